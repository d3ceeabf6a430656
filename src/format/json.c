/* json.c - strict JSON over jansson. */
#include "format/json.h"
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

/* ---- memory ---- */

/* jansson's reader ignores that its text buffer could not grow and then reads past it (2.14: lex_save), so it may never see
 * a failed allocation: the first one jumps out of the parse, and what the parse had taken is freed by its list. */
typedef struct block { struct block *prev, *next; } block; /* before each of jansson's blocks; NULL: on no list */

typedef struct reading {
    jmp_buf out;
    block list; /* what this parse has taken, in a ring */
} reading;

static _Thread_local reading *now; /* the parse under way in this thread, or NULL */
static _Thread_local bool lost;    /* json_lost */

static void *json_alloc(size_t nbytes)
{
    block *b = nbytes > SIZE_MAX - sizeof *b ? NULL : mem_alloc(sizeof *b + nbytes);
    if (!b && now) longjmp(now->out, 1);
    if (!b) {
        lost = true;
        return NULL;
    }
    *b = (block){ 0 };
    if (now) {
        *b = (block){ &now->list, now->list.next };
        b->next->prev = b;
        now->list.next = b;
    }
    return b + 1;
}

static void json_free(void *p)
{
    if (!p) return;
    block *b = (block *)p - 1;
    if (b->next) {
        b->prev->next = b->next;
        b->next->prev = b->prev;
    }
    mem_free(b);
}

/* The parse is over: its blocks live on without the list, or go with it. */
static void end_reading(reading *r, bool keep)
{
    for (block *b = r->list.next, *next; b != &r->list; b = next) {
        next = b->next;
        if (keep) *b = (block){ 0 };
        else mem_free(b);
    }
    now = NULL;
}

bool json_lost(void)
{
    bool was = lost;
    lost = false;
    return was;
}

/* Before main: st_write and others build JSON without parsing any first. */
__attribute__((constructor)) static void use_our_allocator(void) { json_set_alloc_funcs(json_alloc, json_free); }

/* ---- reading ---- */

/* False: no memory, and everything is given back. */
static bool load(reading *r, const char *text, size_t nbytes, json_t **out, json_error_t *why)
{
    now = r;
    if (setjmp(r->out)) {
        end_reading(r, false);
        *out = NULL;
        return false;
    }
    *out = json_loadb(text, nbytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, why);
    end_reading(r, true);
    return true;
}

dreamo_status json_parse(const char *text, size_t nbytes, const char *what, json_t **out, dreamo_error *err)
{
    json_error_t why;
    reading r = { .list = { &r.list, &r.list } };
    if (!load(&r, text, nbytes, out, &why)) return fail(err, DREAMO_MEMORY, "%s: no memory to read its JSON", what);
    if (*out) return DREAMO_OK;
    return fail(err, DREAMO_FORMAT, "%s: not valid JSON: line %d, column %d: %s", what, why.line, why.column, why.text);
}

/* Bytes of the UTF-8 character at `c` (RFC 3629); 0: there is none. */
static size_t character(const unsigned char *c)
{
    size_t n = *c < 0x80 ? 1 : *c >= 0xC2 && *c < 0xE0 ? 2 : (*c & 0xF0) == 0xE0 ? 3 : *c >= 0xF0 && *c < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((c[i] & 0xC0) != 0x80) return 0;
    bool bad = (*c == 0xE0 && c[1] < 0xA0) || (*c == 0xED && c[1] >= 0xA0) || (*c == 0xF0 && c[1] < 0x90) || (*c == 0xF4 && c[1] >= 0x90);
    return bad ? 0 : n;
}

json_t *json_any_string(const char *bytes)
{
    size_t nbytes = strlen(bytes), room;
    char *text = mul_nbytes(nbytes, 3, &room) && room < SIZE_MAX ? mem_alloc(room + 1) : NULL, *to = text;
    if (!text) {
        lost = true;
        return NULL;
    }
    for (const unsigned char *c = (const unsigned char *)bytes; *c;) {
        size_t n = character(c);
        memcpy(to, n ? (const char *)c : "\xEF\xBF\xBD", n ? n : 3);
        to += n ? n : 3;
        c += n ? n : 1;
    }
    *to = '\0';
    json_t *o = json_string(text);
    mem_free(text);
    return o;
}

char *json_text(const json_t *o)
{
    size_t n = o ? json_dumpb(o, NULL, 0, JSON_COMPACT) : 0;
    char *text = n ? mem_alloc(n + 1) : NULL;
    if (!text) return NULL;
    text[json_dumpb(o, text, n, JSON_COMPACT)] = '\0';
    return text;
}

dreamo_status json_read(const char *path, size_t max_nbytes, json_t **out, dreamo_error *err)
{
    char *text;
    size_t nbytes;
    *out = NULL;
    dreamo_status s = file_read(path, max_nbytes, &text, &nbytes, err);
    if (s) return s;
    s = json_parse(text, nbytes, path, out, err);
    mem_free(text);
    return s;
}

static dreamo_status missing(const char *what, const char *field, dreamo_error *err)
{
    return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is missing", what, field);
}

dreamo_status json_get_int(const json_t *o, const char *what, const char *field, int64_t lo, int64_t hi, int64_t otherwise, int64_t *out, dreamo_error *err)
{
    const json_t *v = json_object_get(o, field);
    if (!v || json_is_null(v)) {
        if (otherwise < lo || otherwise > hi) return missing(what, field, err);
        *out = otherwise;
        return DREAMO_OK;
    }
    if (!json_is_integer(v)) return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is not a whole number", what, field);
    *out = json_integer_value(v);
    if (*out < lo || *out > hi)
        return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is %lld, allowed are %lld to %lld", what, field, (long long)*out, (long long)lo, (long long)hi);
    return DREAMO_OK;
}

dreamo_status json_get_number(const json_t *o, const char *what, const char *field, double lo, double hi, double otherwise, double *out, dreamo_error *err)
{
    const json_t *v = json_object_get(o, field);
    if (!v || json_is_null(v)) {
        if (!(otherwise >= lo && otherwise <= hi)) return missing(what, field, err);
        *out = otherwise;
        return DREAMO_OK;
    }
    if (!json_is_number(v)) return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is not a number", what, field);
    *out = json_number_value(v);
    if (!(*out >= lo && *out <= hi)) return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is %g, allowed are %g to %g", what, field, *out, lo, hi);
    return DREAMO_OK;
}

dreamo_status json_get_bool(const json_t *o, const char *what, const char *field, bool otherwise, bool *out, dreamo_error *err)
{
    const json_t *v = json_object_get(o, field);
    *out = otherwise;
    if (!v || json_is_null(v)) return DREAMO_OK;
    if (!json_is_boolean(v)) return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is neither true nor false", what, field);
    *out = json_is_true(v);
    return DREAMO_OK;
}

dreamo_status json_get_string(const json_t *o, const char *what, const char *field, const char *otherwise, const char **out, dreamo_error *err)
{
    const json_t *v = json_object_get(o, field);
    *out = otherwise;
    if (!v || json_is_null(v)) return otherwise ? DREAMO_OK : missing(what, field, err);
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return fail(err, DREAMO_FORMAT, "%s: field \"%s\" is not a plain string", what, field);
    *out = json_string_value(v);
    return DREAMO_OK;
}
