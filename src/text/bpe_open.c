/* bpe_open.c - CLIP's vocabulary from a tokenizer folder: vocab.json, merges.txt, tokenizer_config.json (spec 5.4).
 *
 * Refused: ids that are not 0..n-1 each once, a merge that appears twice or whose symbols or result are not in the
 * vocabulary, tokens that are empty or huge, added tokens or padding other than CLIP's own. */
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"
#include "text/bpe.h"

#define LARGEST_FILE  ((size_t)64 << 20)
#define MOST_TOKENS   1000000
#define LONGEST_TOKEN 1024

void bpe_byte_name(int byte, char out[3])
{
    int cp = byte;
    if (byte <= 32) cp = 256 + byte;                         /* 33 bytes before '!' */
    else if (byte >= 127 && byte <= 160) cp = 256 + byte - 94; /* 34 from DEL to NBSP */
    else if (byte == 173) cp = 256 + 67;                     /* the soft hyphen */
    if (cp < 128) {
        out[0] = (char)cp;
        out[1] = 0;
    } else {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        out[2] = 0;
    }
}

bpe_merge *bpe_slot(const bpe *t, int32_t left, int32_t right)
{
    uint32_t h = (uint32_t)left * 0x9E3779B1u ^ (uint32_t)right * 0x85EBCA77u;
    for (h ^= h >> 15;; h++) {
        bpe_merge *m = &t->merges[h & t->mask];
        if (m->rank < 0 || (m->left == left && m->right == right)) return m;
    }
}

/* ---- vocab.json ------------------------------------------------------------------------------- */

static dreamo_status read_vocab(bpe *t, const json_t *vocab, const char *what, dreamo_error *err)
{
    const char *token;
    json_t *v;
    size_t n = json_object_size(vocab);
    if (!json_is_object(vocab) || n == 0 || n > MOST_TOKENS)
        return fail(err, DREAMO_FORMAT, "%s: not an object of 1 to %d tokens", what, MOST_TOKENS);
    t->name = mem_calloc(n, sizeof *t->name);
    if (!t->name) return fail(err, DREAMO_MEMORY, "%s: no memory for the vocabulary", what);
    t->n = (int)n;
    json_object_foreach((json_t *)vocab, token, v) {
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= (json_int_t)n)
            return fail(err, DREAMO_FORMAT, "%s: token %.64s: the id must be an integer from 0 to %zu", what, token, n - 1);
        if (t->name[id]) return fail(err, DREAMO_FORMAT, "%s: tokens %.64s and %.64s have the same id %d", what, t->name[id], token, (int)id);
        if (!*token || strlen(token) > LONGEST_TOKEN)
            return fail(err, DREAMO_FORMAT, "%s: the token of id %d has %zu bytes; 1 to %d are allowed", what, (int)id, strlen(token), LONGEST_TOKEN);
        t->name[id] = mem_strdup(token);
        if (!t->name[id]) return fail(err, DREAMO_MEMORY, "%s: no memory for the vocabulary", what);
    }
    return DREAMO_OK;
}

static int32_t id_of(const json_t *vocab, const char *token)
{
    json_t *v = json_object_get(vocab, token);
    return v ? (int32_t)json_integer_value(v) : BPE_NO_SYMBOL;
}

static dreamo_status find_symbols(bpe *t, const json_t *vocab, const char *what, dreamo_error *err)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[3 + sizeof BPE_WORD_END];
        bpe_byte_name(byte, name);
        t->symbol[0][byte] = id_of(vocab, name);
        strcat(name, BPE_WORD_END);
        t->symbol[1][byte] = id_of(vocab, name);
    }
    t->start = id_of(vocab, BPE_START);
    t->end = id_of(vocab, BPE_END);
    if (t->start < 0 || t->end < 0) return fail(err, DREAMO_FORMAT, "%s: no token %s", what, t->start < 0 ? BPE_START : BPE_END);
    return DREAMO_OK;
}

/* ---- merges.txt ------------------------------------------------------------------------------- */

static dreamo_status add_merge(bpe *t, const json_t *vocab, char *line, int32_t rank, const char *what, dreamo_error *err)
{
    char product[2 * LONGEST_TOKEN + 1];
    char *space = strchr(line, ' '), *right = space ? space + 1 : line;
    if (space) *space = 0;
    size_t nleft = strlen(line), nright = strlen(right);
    if (!space || nleft == 0 || nright == 0 || strchr(right, ' '))
        return fail(err, DREAMO_FORMAT, "%s: line %d is not two symbols with a space between", what, (int)rank + 2);
    if (nleft > LONGEST_TOKEN || nright > LONGEST_TOKEN)
        return fail(err, DREAMO_FORMAT, "%s: line %d has a symbol of more than %d bytes", what, (int)rank + 2, LONGEST_TOKEN);
    memcpy(product, line, nleft);
    memcpy(product + nleft, right, nright + 1);
    bpe_merge m = {id_of(vocab, line), id_of(vocab, right), rank, id_of(vocab, product)};
    if (m.left < 0 || m.right < 0 || m.product < 0)
        return fail(err, DREAMO_FORMAT, "%s: line %d: %.64s is not in vocab.json", what, (int)rank + 2, m.left < 0 ? line : m.right < 0 ? right : product);
    bpe_merge *slot = bpe_slot(t, m.left, m.right);
    if (slot->rank >= 0)
        return fail(err, DREAMO_FORMAT, "%s: lines %d and %d are the same merge", what, (int)slot->rank + 2, (int)rank + 2);
    *slot = m;
    return DREAMO_OK;
}

/* The first line is a version comment; text is cut into lines in place. */
static dreamo_status read_merges(bpe *t, const json_t *vocab, char *text, size_t nbytes, const char *what, dreamo_error *err)
{
    size_t nlines = 1;
    if (strlen(text) < nbytes) return fail(err, DREAMO_FORMAT, "%s: holds a NUL byte at offset %zu", what, strlen(text));
    for (char *p = text; (p = strchr(p, '\n')); p++) nlines++;
    uint32_t room = 16;
    while (room < 2 * nlines && room < 2 * BPE_MOST_MERGES) room *= 2;
    t->merges = mem_alloc(room * sizeof *t->merges);
    if (!t->merges) return fail(err, DREAMO_MEMORY, "%s: no memory for the merges", what);
    for (uint32_t i = 0; i < room; i++) t->merges[i].rank = -1;
    t->mask = room - 1;

    int32_t rank = -1; /* of the comment */
    for (char *line = text, *next; line && rank < BPE_MOST_MERGES; line = next, rank++) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        else if (!*line) break; /* after the last newline */
        size_t n = strlen(line);
        if (n && line[n - 1] == '\r') line[n - 1] = 0;
        if (rank < 0) {
            if (!strstr(line, "#version")) return fail(err, DREAMO_FORMAT, "%s: the first line is not a #version comment", what);
            continue;
        }
        dreamo_status s = add_merge(t, vocab, line, rank, what, err);
        if (s) return s;
    }
    return rank < 0 ? fail(err, DREAMO_FORMAT, "%s: empty", what) : DREAMO_OK;
}

/* ---- tokenizer_config.json -------------------------------------------------------------------- */

/* `field` is missing or names `token`, as a string or as {"content": ...}. */
static dreamo_status expect_token(const json_t *config, const char *field, const char *token, const char *what, dreamo_error *err)
{
    json_t *v = json_object_get(config, field);
    if (json_is_object(v)) v = json_object_get(v, "content");
    const char *s = json_string_value(v);
    if (!v || (s && strcmp(s, token) == 0)) return DREAMO_OK;
    return fail(err, DREAMO_FORMAT, "%s: %s is %.64s; only %s is supported", what, field, s ? s : "not a string", token);
}

static dreamo_status read_config(bpe *t, const json_t *config, const char *what, dreamo_error *err)
{
    int64_t max_length;
    const char *key;
    json_t *o;
    dreamo_status s = json_get_int(config, what, "model_max_length", 3, MOST_TOKENS, 2, &max_length, err);
    if (!s) s = expect_token(config, "bos_token", BPE_START, what, err);
    if (!s) s = expect_token(config, "eos_token", BPE_END, what, err);
    if (!s) s = expect_token(config, "pad_token", BPE_END, what, err);
    if (!s) s = expect_token(config, "unk_token", BPE_END, what, err);
    if (s) return s;
    t->max_length = (int)max_length;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, o) {
        const char *content = json_string_value(json_object_get(o, "content"));
        if (!content || (strcmp(content, BPE_START) && strcmp(content, BPE_END)))
            return fail(err, DREAMO_FORMAT, "%s: added token %.64s is not supported", what, content ? content : key);
    }
    return DREAMO_OK;
}

/* ---- putting it together ---------------------------------------------------------------------- */

static dreamo_status read_folder(bpe *t, const char *config_path, const char *vocab_path, const char *merges_path, dreamo_error *err)
{
    json_t *config = NULL, *vocab = NULL;
    char *merges = NULL;
    size_t nbytes = 0;
    dreamo_status s = json_read(config_path, LARGEST_FILE, &config, err);
    if (!s) s = read_config(t, config, config_path, err);
    if (!s) s = json_read(vocab_path, LARGEST_FILE, &vocab, err);
    if (!s) s = read_vocab(t, vocab, vocab_path, err);
    if (!s) s = find_symbols(t, vocab, vocab_path, err);
    if (!s) s = file_read(merges_path, LARGEST_FILE, &merges, &nbytes, err);
    if (!s) s = read_merges(t, vocab, merges, nbytes, merges_path, err);
    json_decref(config);
    json_decref(vocab);
    mem_free(merges);
    return s;
}

dreamo_status bpe_open(const char *folder, bpe **out, dreamo_error *err)
{
    *out = NULL;
    bpe *t = mem_calloc(1, sizeof *t);
    char *config = path_join(folder, "tokenizer_config.json"), *vocab = path_join(folder, "vocab.json"), *merges = path_join(folder, "merges.txt");
    dreamo_status s = t && config && vocab && merges ? read_folder(t, config, vocab, merges, err)
                                                     : fail(err, DREAMO_MEMORY, "%s: no memory for the vocabulary", folder);
    mem_free(config);
    mem_free(vocab);
    mem_free(merges);
    if (s) bpe_close(t);
    else *out = t;
    return s;
}
