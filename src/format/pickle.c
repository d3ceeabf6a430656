/* pickle.c - a stack, a memo, and a table of the opcodes. */
#include "format/pickle.h"
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

enum { MOST_VALUES = 2 << 20, MOST_STACK = 1 << 20, MOST_MEMO = 2 << 20, MOST_TABLE = 1 << 18 };

/* ---- tables that grow, up to a budget ---- */

static dreamo_status grow(pickle *p, void *list, uint32_t n, uint32_t *room, size_t each, uint32_t most, dreamo_error *err)
{
    void **at = list;
    if (n < *room) return DREAMO_OK;
    if (n >= most) return fail(err, DREAMO_LIMIT, "%s: the pickle makes more than %u things", p->what, most);
    uint32_t wanted = *room ? 2 * *room : 256;
    if (wanted > most) wanted = most;
    void *more = mem_realloc(*at, (size_t)wanted * each);
    if (!more) return fail(err, DREAMO_MEMORY, "%s: no memory for its pickle", p->what);
    *at = more;
    *room = wanted;
    return DREAMO_OK;
}

static dreamo_status value_add(pickle *p, pickle_value v, uint32_t *out, dreamo_error *err)
{
    dreamo_status s = grow(p, &p->values, p->nvalues, &p->value_room, sizeof *p->values, MOST_VALUES, err);
    if (s) return s;
    p->values[*out = p->nvalues++] = v;
    return DREAMO_OK;
}

static dreamo_status push(pickle *p, uint32_t value, dreamo_error *err)
{
    dreamo_status s = grow(p, &p->stack, p->nstack, &p->stack_room, sizeof *p->stack, MOST_STACK, err);
    if (!s) p->stack[p->nstack++] = value;
    return s;
}

static dreamo_status push_new(pickle *p, pickle_value v, dreamo_error *err)
{
    uint32_t at = 0;
    dreamo_status s = value_add(p, v, &at, err);
    return s ? s : push(p, at, err);
}

static dreamo_status underflow(const pickle *p, dreamo_error *err) { return fail(err, DREAMO_FORMAT, "%s: its pickle takes more than it put", p->what); }

/* What lies on top, without the marks, which only `since_mark` may take. */
static dreamo_status pop(pickle *p, uint32_t *out, dreamo_error *err)
{
    if (!p->nstack || p->values[p->stack[p->nstack - 1]].kind == PK_MARK) return underflow(p, err);
    *out = p->stack[--p->nstack];
    return DREAMO_OK;
}

static dreamo_status top(pickle *p, pickle_kind kind, pickle_kind other, const char *what, uint32_t *out, dreamo_error *err)
{
    dreamo_status s = pop(p, out, err);
    if (s) return s;
    p->nstack++;
    pickle_kind is = p->values[*out].kind;
    return is == kind || is == other ? DREAMO_OK : fail(err, DREAMO_FORMAT, "%s: its pickle wants %s where it has none", p->what, what);
}

/* First stack place after the last mark; the mark goes. */
static dreamo_status since_mark(pickle *p, uint32_t *first, dreamo_error *err)
{
    uint32_t i = p->nstack;
    while (i && p->values[p->stack[i - 1]].kind != PK_MARK) i--;
    if (!i) return underflow(p, err);
    *first = i;
    return DREAMO_OK;
}

static dreamo_status append(pickle *p, uint32_t to, uint32_t value, dreamo_error *err)
{
    if (!p->ncells) p->ncells = 1; /* 0 means none */
    dreamo_status s = grow(p, &p->cells, p->ncells, &p->cell_room, sizeof *p->cells, MOST_VALUES, err);
    if (s) return s;
    pickle_value *v = &p->values[to];
    uint32_t at = p->ncells++;
    p->cells[at] = (pickle_cell){ value, 0 };
    if (v->cells.last) p->cells[v->cells.last].next = at;
    else v->cells.first = at;
    v->cells.last = at;
    v->cells.count++;
    return DREAMO_OK;
}

/* The stack from `first` on, into a value; the stack then ends at `end`. */
static dreamo_status move_to(pickle *p, uint32_t to, uint32_t first, uint32_t end, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (uint32_t i = first; i < p->nstack && !s; i++) s = append(p, to, p->stack[i], err);
    p->nstack = end;
    return s;
}

/* ---- callables, by name ---- */

enum { G_ORDERED_DICT, G_TENSOR, G_PARAMETER, G_STORAGE };
static const struct { const char *module, *name; int call; dtype type; } globals[] = {
    { "collections", "OrderedDict", G_ORDERED_DICT, DT_F32 }, { "torch._utils", "_rebuild_tensor_v2", G_TENSOR, DT_F32 }, { "torch._utils", "_rebuild_parameter", G_PARAMETER, DT_F32 },
    { "torch", "FloatStorage", G_STORAGE, DT_F32 }, { "torch", "HalfStorage", G_STORAGE, DT_F16 }, { "torch", "BFloat16Storage", G_STORAGE, DT_BF16 },
    { "torch", "LongStorage", G_STORAGE, DT_I64 }, { "torch", "DoubleStorage", G_STORAGE, DT_F64 },
};
enum { GLOBALS = sizeof globals / sizeof *globals };

static bool same(const char *p, size_t n, const char *word) { return strlen(word) == n && memcmp(p, word, n) == 0; }

/* For messages: at most 60 bytes, those that are no plain ASCII as '?'. */
static void shown(const char *p, size_t n, char out[64])
{
    size_t k = n < 60 ? n : 60;
    for (size_t i = 0; i < k; i++) out[i] = p[i] > ' ' && p[i] < 127 ? p[i] : '?';
    out[k] = '\0';
}

static dreamo_status push_global(pickle *p, const char *module, size_t module_n, const char *name, size_t name_n, dreamo_error *err)
{
    char a[64], b[64];
    for (uint32_t i = 0; i < GLOBALS; i++)
        if (same(module, module_n, globals[i].module) && same(name, name_n, globals[i].name)) return push_new(p, (pickle_value){ .kind = PK_GLOBAL, .index = i }, err);
    shown(module, module_n, a);
    shown(name, name_n, b);
    fail(err, DREAMO_FORMAT, "%s: its pickle calls %s.%s, which is not what a file of tensors needs", p->what, a, b);
    return hint(err, "take a .safetensors file of it: a pickle can hold any program");
}

/* The nth value of a tuple or list, or NULL. */
static const pickle_value *item(const pickle *p, uint32_t of, uint32_t n)
{
    const pickle_value *v = &p->values[of];
    if (v->kind != PK_TUPLE && v->kind != PK_LIST) return NULL;
    uint32_t c = v->cells.first;
    while (c && n--) c = p->cells[c].next;
    return c ? &p->values[p->cells[c].value] : NULL;
}

static bool is_int(const pickle_value *v) { return v && v->kind == PK_INT && v->number >= 0; }

static bool sizes(const pickle *p, const pickle_value *v, int64_t *out, int *rank)
{
    if (!v || v->kind != PK_TUPLE || v->cells.count > PICKLE_MAX_RANK) return false;
    *rank = 0;
    for (uint32_t c = v->cells.first; c; c = p->cells[c].next) {
        const pickle_value *n = &p->values[p->cells[c].value];
        if (!is_int(n)) return false;
        out[(*rank)++] = n->number;
    }
    return true;
}

static dreamo_status rebuild_tensor(pickle *p, uint32_t args, dreamo_error *err)
{
    const pickle_value *storage = item(p, args, 0), *offset = item(p, args, 1);
    pickle_tensor t = { 0 };
    int strides = 0;
    if (!storage || storage->kind != PK_STORAGE || !is_int(offset) || !sizes(p, item(p, args, 2), t.shape, &t.rank) || !sizes(p, item(p, args, 3), t.stride, &strides) || strides != t.rank)
        return fail(err, DREAMO_FORMAT, "%s: its pickle makes a tensor of something that is no storage, offset, shape and strides (of at most %d dimensions)", p->what, PICKLE_MAX_RANK);
    t.storage = storage->index;
    t.offset = offset->number;
    dreamo_status s = grow(p, &p->tensors, p->ntensors, &p->tensor_room, sizeof *p->tensors, MOST_TABLE, err);
    if (s) return s;
    p->tensors[p->ntensors] = t;
    return push_new(p, (pickle_value){ .kind = PK_TENSOR, .index = p->ntensors++ }, err);
}

/* Python 2 gives its pairs as one list; 3 gives nothing and sets them after. */
static dreamo_status ordered_dict(pickle *p, uint32_t args, dreamo_error *err)
{
    uint32_t dict = 0;
    const pickle_value *pairs = item(p, args, 0);
    dreamo_status s = value_add(p, (pickle_value){ .kind = PK_DICT }, &dict, err);
    uint32_t c = !s && pairs && pairs->kind == PK_LIST ? item(p, args, 0)->cells.first : 0; /* the table may have moved */
    for (; c && !s; c = p->cells[c].next) {
        uint32_t pair = p->cells[c].value, cell = p->values[pair].kind == PK_TUPLE || p->values[pair].kind == PK_LIST ? p->values[pair].cells.first : 0;
        if (!cell || p->values[pair].cells.count != 2) return fail(err, DREAMO_FORMAT, "%s: its pickle makes a dictionary of something that is no pairs", p->what);
        uint32_t key = p->cells[cell].value, value = p->cells[p->cells[cell].next].value;
        s = append(p, dict, key, err);
        if (!s) s = append(p, dict, value, err);
    }
    return s ? s : push(p, dict, err);
}

static dreamo_status reduce(pickle *p, dreamo_error *err)
{
    uint32_t args = 0, callable = 0;
    dreamo_status s = pop(p, &args, err);
    if (!s) s = pop(p, &callable, err);
    if (s) return s;
    const pickle_value *c = &p->values[callable];
    if (c->kind != PK_GLOBAL || p->values[args].kind != PK_TUPLE) return fail(err, DREAMO_FORMAT, "%s: its pickle calls what is no callable", p->what);
    switch (globals[c->index].call) {
    case G_ORDERED_DICT: return ordered_dict(p, args, err);
    case G_TENSOR: return rebuild_tensor(p, args, err);
    case G_PARAMETER: {
        const pickle_value *t = item(p, args, 0);
        if (!t || t->kind != PK_TENSOR) return fail(err, DREAMO_FORMAT, "%s: its pickle makes a parameter of what is no tensor", p->what);
        return push(p, (uint32_t)(t - p->values), err);
    }
    default: return fail(err, DREAMO_FORMAT, "%s: its pickle calls %s.%s", p->what, globals[c->index].module, globals[c->index].name);
    }
}

/* ('storage', its type, key, where it was, number of elements[, view]). */
static dreamo_status persistent(pickle *p, dreamo_error *err)
{
    uint32_t id = 0;
    dreamo_status s = pop(p, &id, err);
    if (s) return s;
    const pickle_value *word = item(p, id, 0), *type = item(p, id, 1), *key = item(p, id, 2), *count = item(p, id, 4), *view = item(p, id, 5);
    if (!word || word->kind != PK_STRING || !same(word->string.p, word->string.n, "storage") || !type || type->kind != PK_GLOBAL || globals[type->index].call != G_STORAGE ||
        !key || key->kind != PK_STRING || !is_int(count))
        return fail(err, DREAMO_FORMAT, "%s: its pickle refers to something that is no storage", p->what);
    if (view && view->kind != PK_NONE) return fail(err, DREAMO_FORMAT, "%s: its pickle has a storage that is a view of another", p->what);
    s = grow(p, &p->storages, p->nstorages, &p->storage_room, sizeof *p->storages, MOST_TABLE, err);
    if (s) return s;
    p->storages[p->nstorages] = (pickle_storage){ key->string.p, key->string.n, globals[type->index].type, count->number, NULL };
    return push_new(p, (pickle_value){ .kind = PK_STORAGE, .index = p->nstorages++ }, err);
}

/* ---- opcodes ---- */

typedef struct reader { const unsigned char *at, *end; } reader;

static const unsigned char *take(reader *r, size_t n)
{
    if (n > (size_t)(r->end - r->at)) return NULL;
    const unsigned char *p = r->at;
    r->at += n;
    return p;
}

static uint64_t little(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

static dreamo_status cut_short(const pickle *p, dreamo_error *err) { return fail(err, DREAMO_FORMAT, "%s: the file is cut short in its pickle", p->what); }

static dreamo_status put(pickle *p, uint64_t at, dreamo_error *err)
{
    uint32_t value = 0;
    dreamo_status s = pop(p, &value, err);
    if (s) return s;
    p->nstack++;
    if (at >= MOST_MEMO) return fail(err, DREAMO_LIMIT, "%s: its pickle remembers more than %d things", p->what, MOST_MEMO);
    uint32_t before = p->memo_room;
    while (at >= p->memo_room && !s) s = grow(p, &p->memo, p->memo_room, &p->memo_room, sizeof *p->memo, MOST_MEMO, err);
    if (s) return s;
    for (uint32_t i = before; i < p->memo_room; i++) p->memo[i] = UINT32_MAX;
    p->memo[at] = value;
    return DREAMO_OK;
}

static dreamo_status get(pickle *p, uint64_t at, dreamo_error *err)
{
    if (at >= p->memo_room || p->memo[at] == UINT32_MAX) return fail(err, DREAMO_FORMAT, "%s: its pickle takes what it did not remember", p->what);
    return push(p, p->memo[at], err);
}

static dreamo_status tuple(pickle *p, uint32_t first, uint32_t end, dreamo_error *err)
{
    uint32_t at = 0;
    for (uint32_t i = first; i < p->nstack; i++)
        if (p->values[p->stack[i]].kind == PK_MARK) return underflow(p, err);
    dreamo_status s = value_add(p, (pickle_value){ .kind = PK_TUPLE }, &at, err);
    if (!s) s = move_to(p, at, first, end, err);
    return s ? s : push(p, at, err);
}

/* APPENDS and SETITEMS: what lies above the last mark goes into what lies below it. */
static dreamo_status add_all(pickle *p, pickle_kind kind, const char *what, dreamo_error *err)
{
    uint32_t first = 0, to;
    dreamo_status s = since_mark(p, &first, err);
    if (s) return s;
    if (first < 2) return underflow(p, err);
    to = p->stack[first - 2];
    if (p->values[to].kind != kind || (kind == PK_DICT && (p->nstack - first) % 2)) return fail(err, DREAMO_FORMAT, "%s: its pickle wants %s where it has none", p->what, what);
    return move_to(p, to, first, first - 1, err);
}

static dreamo_status add_one(pickle *p, pickle_kind kind, uint32_t n, const char *what, dreamo_error *err)
{
    uint32_t v[2] = { 0 }, to = 0;
    dreamo_status s = DREAMO_OK;
    for (uint32_t i = n; i-- > 0 && !s;) s = pop(p, &v[i], err);
    if (!s) s = top(p, kind, kind, what, &to, err);
    for (uint32_t i = 0; i < n && !s; i++) s = append(p, to, v[i], err);
    return s;
}

static dreamo_status string(pickle *p, reader *r, int length, dreamo_error *err)
{
    const unsigned char *n = take(r, (size_t)length), *text = n ? take(r, little(n, length)) : NULL;
    if (!text) return cut_short(p, err);
    return push_new(p, (pickle_value){ .kind = PK_STRING, .string = { (const char *)text, (uint32_t)little(n, length) } }, err);
}

static dreamo_status integer(pickle *p, reader *r, int nbytes, bool sign, dreamo_error *err)
{
    const unsigned char *b = take(r, (size_t)nbytes);
    if (!b) return cut_short(p, err);
    int64_t v = (int64_t)little(b, nbytes);
    return push_new(p, (pickle_value){ .kind = PK_INT, .number = sign ? (int32_t)(uint32_t)v : v }, err);
}

/* LONG1: two's complement of any length; of more than 8 bytes it is only told apart. */
static dreamo_status long1(pickle *p, reader *r, dreamo_error *err)
{
    const unsigned char *n = take(r, 1), *b = n ? take(r, *n) : NULL;
    if (!b) return cut_short(p, err);
    if (*n > 8) return push_new(p, (pickle_value){ .kind = PK_BIG, .string = { (const char *)b, *n } }, err);
    uint64_t v = little(b, *n), sign = *n && b[*n - 1] & 0x80 && *n < 8 ? ~(uint64_t)0 << (8 * *n) : 0;
    return push_new(p, (pickle_value){ .kind = PK_INT, .number = (int64_t)(v | sign) }, err);
}

static dreamo_status binfloat(pickle *p, reader *r, dreamo_error *err)
{
    const unsigned char *b = take(r, 8);
    uint64_t bits = 0;
    double v;
    if (!b) return cut_short(p, err);
    for (int i = 0; i < 8; i++) bits = bits << 8 | b[i]; /* the one number with the largest byte first */
    memcpy(&v, &bits, sizeof v);
    return push_new(p, (pickle_value){ .kind = PK_FLOAT, .real = v }, err);
}

static dreamo_status global(pickle *p, reader *r, dreamo_error *err)
{
    const unsigned char *module = r->at, *a = memchr(module, '\n', (size_t)(r->end - module));
    const unsigned char *name = a ? a + 1 : r->end, *b = a ? memchr(name, '\n', (size_t)(r->end - name)) : NULL;
    if (!b) return cut_short(p, err);
    r->at = b + 1;
    return push_global(p, (const char *)module, (size_t)(a - module), (const char *)name, (size_t)(b - name), err);
}

/* BUILD gives an OrderedDict its _metadata: nothing that is used. */
static dreamo_status build(pickle *p, dreamo_error *err)
{
    uint32_t state = 0, of = 0;
    dreamo_status s = pop(p, &state, err);
    return s ? s : top(p, PK_DICT, PK_TENSOR, "a dictionary", &of, err);
}

/* The names of what is refused (protocols 0 to 5). */
static const char *opcode_name(unsigned char op)
{
    static const struct { unsigned char op; const char *name; } all[] = {
        { '0', "POP" }, { '1', "POP_MARK" }, { '2', "DUP" }, { 'F', "FLOAT" }, { 'I', "INT" }, { 'L', "LONG" }, { 'S', "STRING" }, { 'T', "BINSTRING" },
        { 'U', "SHORT_BINSTRING" }, { 'V', "UNICODE" }, { 'P', "PERSID" }, { 'd', "DICT" }, { 'l', "LIST" }, { 'g', "GET" }, { 'p', "PUT" }, { 'i', "INST" }, { 'o', "OBJ" },
        { 'B', "BINBYTES" }, { 'C', "SHORT_BINBYTES" }, { 0x81, "NEWOBJ" }, { 0x82, "EXT1" }, { 0x83, "EXT2" }, { 0x84, "EXT4" }, { 0x8B, "LONG4" }, { 0x8D, "BINUNICODE8" },
        { 0x8E, "BINBYTES8" }, { 0x8F, "EMPTY_SET" }, { 0x90, "ADDITEMS" }, { 0x91, "FROZENSET" }, { 0x92, "NEWOBJ_EX" }, { 0x93, "STACK_GLOBAL" }, { 0x94, "MEMOIZE" },
        { 0x95, "FRAME" }, { 0x96, "BYTEARRAY8" }, { 0x97, "NEXT_BUFFER" }, { 0x98, "READONLY_BUFFER" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].op == op) return all[i].name;
    return "of no known name";
}

static dreamo_status refuse(const pickle *p, unsigned char op, dreamo_error *err)
{
    fail(err, DREAMO_FORMAT, "%s: its pickle has the opcode %s (0x%02x), which a file of tensors does not need", p->what, opcode_name(op), op);
    return hint(err, "take a .safetensors file of it: a pickle can hold any program");
}

static dreamo_status step(pickle *p, reader *r, unsigned char op, dreamo_error *err)
{
    const unsigned char *b;
    uint32_t first = 0;
    dreamo_status s;
    switch (op) {
    case 0x80: /* PROTO */
        if (!(b = take(r, 1))) return cut_short(p, err);
        return *b <= 5 ? DREAMO_OK : fail(err, DREAMO_FORMAT, "%s: its pickle is of protocol %d", p->what, *b);
    case '(': return push_new(p, (pickle_value){ .kind = PK_MARK }, err);
    case '}': return push_new(p, (pickle_value){ .kind = PK_DICT }, err);
    case ']': return push_new(p, (pickle_value){ .kind = PK_LIST }, err);
    case ')': return push_new(p, (pickle_value){ .kind = PK_TUPLE }, err);
    case 't': return (s = since_mark(p, &first, err)) ? s : tuple(p, first, first - 1, err);
    case 0x85: case 0x86: case 0x87: { /* TUPLE1, TUPLE2, TUPLE3 */
        uint32_t n = op - 0x84u;
        return p->nstack < n ? underflow(p, err) : tuple(p, p->nstack - n, p->nstack - n, err);
    }
    case 'X': return string(p, r, 4, err);
    case 0x8C: return string(p, r, 1, err);
    case 'J': return integer(p, r, 4, true, err);
    case 'K': return integer(p, r, 1, false, err);
    case 'M': return integer(p, r, 2, false, err);
    case 0x8A: return long1(p, r, err);
    case 'G': return binfloat(p, r, err);
    case 0x88: case 0x89: return push_new(p, (pickle_value){ .kind = PK_BOOL, .number = op == 0x88 }, err);
    case 'N': return push_new(p, (pickle_value){ .kind = PK_NONE }, err);
    case 'c': return global(p, r, err);
    case 'R': return reduce(p, err);
    case 'b': return build(p, err);
    case 's': return add_one(p, PK_DICT, 2, "a dictionary", err);
    case 'a': return add_one(p, PK_LIST, 1, "a list", err);
    case 'u': return add_all(p, PK_DICT, "a dictionary", err);
    case 'e': return add_all(p, PK_LIST, "a list", err);
    case 'q': return (b = take(r, 1)) ? put(p, *b, err) : cut_short(p, err);
    case 'r': return (b = take(r, 4)) ? put(p, little(b, 4), err) : cut_short(p, err);
    case 'h': return (b = take(r, 1)) ? get(p, *b, err) : cut_short(p, err);
    case 'j': return (b = take(r, 4)) ? get(p, little(b, 4), err) : cut_short(p, err);
    case 'Q': return persistent(p, err);
    default: return refuse(p, op, err);
    }
}

dreamo_status pickle_read(pickle *p, const unsigned char *data, size_t nbytes, uint32_t *root, size_t *used, dreamo_error *err)
{
    reader r = { data, data + nbytes };
    p->nstack = 0;
    for (uint32_t i = 0; i < p->memo_room; i++) p->memo[i] = UINT32_MAX;
    for (const unsigned char *op; (op = take(&r, 1)) != NULL;) {
        if (*op == '.') {
            *used = (size_t)(r.at - data);
            return pop(p, root, err);
        }
        dreamo_status s = step(p, &r, *op, err);
        if (s) return s;
    }
    return cut_short(p, err);
}

void pickle_free(pickle *p)
{
    mem_free(p->values);
    mem_free(p->cells);
    mem_free(p->storages);
    mem_free(p->tensors);
    mem_free(p->stack);
    mem_free(p->memo);
    *p = (pickle){ 0 };
}
