/* vocab_bpe.c - a CLIP-style vocabulary: byte-pair merges learned from captions (Sennrich et al. 2016; spec 5.4 for the layout).
 *
 * Captions are cleaned and split exactly as bpe_encode does it.  The most frequent pair is merged in every word, and again;
 * of pairs with the same count the one with the lower ids goes first, so the result depends on nothing but the captions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/vocab.h"
#include "text/bpe.h"
#include "text/clip_text.h"
#include "text/utf8.h"

#define NBYTES 512 /* symbols before the first merge: 256 bytes inside a word, the same at its end */

typedef struct word { int32_t *symbol; size_t n; int64_t count; } word;           /* a different piece of the captions */
typedef struct pair { int32_t left, right; int64_t count; } pair;                 /* count 0: a free slot */

typedef struct trainer {
    word *words;
    size_t nwords, words_cap;
    int32_t *symbols;       /* all words' symbols, one after the other */
    size_t nsymbols, symbols_cap;
    int32_t byte_id[2][256];
    char **name;            /* [nnames] symbol of an id */
    int nnames;
    int32_t (*merges)[2];   /* [nmerges] */
    int nmerges;
    pair *pairs;            /* hash table, counted anew for each merge */
    size_t mask;
} trainer;

static dreamo_status no_memory(dreamo_error *err) { return fail(err, DREAMO_MEMORY, "no memory to make a vocabulary"); }

/* ---- the words of the captions ---------------------------------------------------------------- */

static bool reserve(void **p, size_t *cap, size_t need, size_t each)
{
    if (need <= *cap) return true;
    size_t want = 2 * need + 1024, nbytes;
    if (!mul_nbytes(want, each, &nbytes)) return false;
    void *grown = mem_realloc(*p, nbytes);
    if (!grown) return false;
    *p = grown;
    *cap = want;
    return true;
}

/* A clip_piece_fn: append the piece's bytes as symbols. */
static bool take_piece(void *user, const int32_t *cp, size_t n, size_t from)
{
    trainer *t = user;
    char bytes[4];
    (void)from;
    if (!reserve((void **)&t->words, &t->words_cap, t->nwords + 1, sizeof *t->words)) return false;
    if (!reserve((void **)&t->symbols, &t->symbols_cap, t->nsymbols + 4 * n, sizeof *t->symbols)) return false;
    size_t start = t->nsymbols;
    for (size_t i = 0; i < n; i++) {
        size_t len = utf8_put(bytes, cp[i]);
        for (size_t j = 0; j < len; j++) t->symbols[t->nsymbols++] = t->byte_id[i + 1 == n && j + 1 == len][(unsigned char)bytes[j]];
    }
    t->words[t->nwords++] = (word){.n = t->nsymbols - start, .count = 1}; /* the block still moves: gather_words sets symbol */
    return true;
}

static int by_symbols(const void *pa, const void *pb)
{
    const word *a = pa, *b = pb;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    return memcmp(a->symbol, b->symbol, a->n * sizeof *a->symbol);
}

/* Every different piece once, with its count. */
static dreamo_status gather_words(trainer *t, const char *const *captions, size_t n, dreamo_error *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t nbytes = strlen(captions[i]);
        if (utf8_bad(captions[i], nbytes) < nbytes) return fail(err, DREAMO_FORMAT, "caption %zu is not UTF-8", i);
        if (!clip_split(captions[i], 0, nbytes, take_piece, t)) return no_memory(err);
    }
    int32_t *symbol = t->symbols;
    for (size_t i = 0; i < t->nwords; symbol += t->words[i++].n) t->words[i].symbol = symbol;
    if (t->nwords) qsort(t->words, t->nwords, sizeof *t->words, by_symbols);
    size_t kept = 0;
    for (size_t i = 0; i < t->nwords; i++) {
        if (kept && by_symbols(&t->words[kept - 1], &t->words[i]) == 0) t->words[kept - 1].count++;
        else t->words[kept++] = t->words[i];
    }
    t->nwords = kept;
    return DREAMO_OK;
}

/* ---- merging ---------------------------------------------------------------------------------- */

static pair *slot(const trainer *t, int32_t left, int32_t right)
{
    size_t h = (uint32_t)left * 0x9E3779B1u ^ (uint32_t)right * 0x85EBCA77u;
    for (h ^= h >> 15;; h++) {
        pair *p = &t->pairs[h & t->mask];
        if (p->count == 0 || (p->left == left && p->right == right)) return p;
    }
}

/* The pair to merge next; count < 2: there is none. */
static pair most_frequent(trainer *t)
{
    pair best = {0};
    memset(t->pairs, 0, (t->mask + 1) * sizeof *t->pairs);
    for (size_t i = 0; i < t->nwords; i++) {
        const word *w = &t->words[i];
        for (size_t j = 0; j + 1 < w->n; j++) {
            pair *p = slot(t, w->symbol[j], w->symbol[j + 1]);
            *p = (pair){w->symbol[j], w->symbol[j + 1], p->count + w->count};
        }
    }
    for (size_t i = 0; i <= t->mask; i++) {
        const pair *p = &t->pairs[i];
        bool lower = p->left < best.left || (p->left == best.left && p->right < best.right);
        if (p->count > best.count || (p->count && p->count == best.count && lower)) best = *p;
    }
    return best;
}

static void merge_in(word *w, pair p, int32_t product)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; n++) {
        bool hit = i + 1 < w->n && w->symbol[i] == p.left && w->symbol[i + 1] == p.right;
        w->symbol[n] = hit ? product : w->symbol[i];
        i += hit ? 2 : 1;
    }
    w->n = n;
}

/* The id of left and right written together: nearly always a new one, but two merges can have the same result. */
static int32_t product_of(trainer *t, pair p)
{
    char *name = mem_printf("%s%s", t->name[p.left], t->name[p.right]);
    if (!name) return -1;
    for (int32_t i = NBYTES; i < t->nnames; i++) {
        if (strcmp(t->name[i], name)) continue;
        mem_free(name);
        return i;
    }
    t->name[t->nnames] = name;
    return t->nnames++;
}

static dreamo_status learn(trainer *t, int merges, dreamo_error *err)
{
    size_t longest = 0, room = 1024;
    for (size_t i = 0; i < t->nwords; i++) longest += t->words[i].n;
    while (room < 2 * longest) room *= 2; /* no more different pairs than places */
    t->pairs = mem_calloc(room, sizeof *t->pairs);
    t->merges = mem_calloc((size_t)merges, sizeof *t->merges);
    if (!t->pairs || !t->merges) return no_memory(err);
    t->mask = room - 1;
    for (t->nmerges = 0; t->nmerges < merges; t->nmerges++) {
        pair best = most_frequent(t);
        if (best.count < 2) break;
        int32_t product = product_of(t, best);
        if (product < 0) return no_memory(err);
        t->merges[t->nmerges][0] = best.left;
        t->merges[t->nmerges][1] = best.right;
        for (size_t i = 0; i < t->nwords; i++) merge_in(&t->words[i], best, product);
    }
    return DREAMO_OK;
}

/* ---- bytes as symbols ------------------------------------------------------------------------- */

static bool is_own_name(int byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174; }

/* Ids of bytes: those that stand for themselves first, then the others, then all again at the end of a word. */
static bool name_bytes(trainer *t)
{
    for (int own = 1; own >= 0; own--)
        for (int byte = 0; byte < 256; byte++) {
            char name[3];
            if (is_own_name(byte) != own) continue;
            bpe_byte_name(byte, name);
            t->byte_id[0][byte] = t->nnames;
            t->name[t->nnames] = mem_strdup(name);
            if (!t->name[t->nnames++]) return false;
        }
    for (int byte = 0; byte < 256; byte++) t->byte_id[1][byte] = t->byte_id[0][byte] + 256;
    for (int i = 0; i < 256; i++) {
        t->name[t->nnames] = mem_printf("%s%s", t->name[i], BPE_WORD_END);
        if (!t->name[t->nnames++]) return false;
    }
    return true;
}

/* ---- files ------------------------------------------------------------------------------------ */

static dreamo_status put(filewriter *w, const char *s, dreamo_error *err) { return file_write(w, s, strlen(s), err); }

/* "name": id, with the two characters of JSON that a symbol can hold escaped. */
static dreamo_status put_entry(filewriter *w, const char *name, int id, bool last, dreamo_error *err)
{
    char number[32];
    dreamo_status s = put(w, "  \"", err);
    for (size_t n; !s && *name; name += n) {
        n = strcspn(name, "\"\\");
        if (n == 0) n = 1, s = put(w, "\\", err);
        if (!s) s = file_write(w, name, n, err);
    }
    snprintf(number, sizeof number, "\": %d%s\n", id, last ? "" : ",");
    return s ? s : put(w, number, err);
}

static dreamo_status write_vocab(const trainer *t, filewriter *w, dreamo_error *err)
{
    dreamo_status s = put(w, "{\n", err);
    for (int i = 0; !s && i < t->nnames; i++) s = put_entry(w, t->name[i], i, false, err);
    if (!s) s = put_entry(w, BPE_START, t->nnames, false, err);
    if (!s) s = put_entry(w, BPE_END, t->nnames + 1, true, err);
    return s ? s : put(w, "}\n", err);
}

static dreamo_status write_merges(const trainer *t, filewriter *w, dreamo_error *err)
{
    dreamo_status s = put(w, "#version: 0.2\n", err);
    for (int i = 0; !s && i < t->nmerges; i++) {
        s = put(w, t->name[t->merges[i][0]], err);
        if (!s) s = put(w, " ", err);
        if (!s) s = put(w, t->name[t->merges[i][1]], err);
        if (!s) s = put(w, "\n", err);
    }
    return s;
}

static dreamo_status write_file(const trainer *t, const char *folder, const char *name,
                                dreamo_status (*fill)(const trainer *, filewriter *, dreamo_error *), dreamo_error *err)
{
    char *path = path_join(folder, name);
    filewriter w;
    if (!path) return no_memory(err);
    dreamo_status s = file_create(&w, path, true, err);
    mem_free(path);
    if (s) return s;
    s = fill(t, &w, err);
    if (!s) return file_commit(&w, err);
    file_abort(&w);
    return s;
}

static dreamo_status write_text(const char *folder, const char *name, char *text, dreamo_error *err)
{
    char *path = path_join(folder, name);
    dreamo_status s = path && text ? file_replace(path, text, strlen(text), err) : no_memory(err);
    mem_free(path);
    mem_free(text);
    return s;
}

static dreamo_status write_config(const trainer *t, const char *folder, int max_length, dreamo_error *err)
{
    static const char special[] = "{\"content\": \"%s\", \"lstrip\": false, \"normalized\": %s, \"rstrip\": false, \"single_word\": false, \"special\": true}";
    char *start = mem_printf(special, BPE_START, "true"), *end = mem_printf(special, BPE_END, "false"), *config = NULL;
    if (start && end)
        config = mem_printf("{\n  \"add_prefix_space\": false,\n  \"added_tokens_decoder\": {\n    \"%d\": %s,\n    \"%d\": %s\n  },\n"
                            "  \"bos_token\": \"%s\",\n  \"do_lower_case\": true,\n  \"eos_token\": \"%s\",\n  \"errors\": \"replace\",\n"
                            "  \"model_max_length\": %d,\n  \"pad_token\": \"%s\",\n  \"tokenizer_class\": \"CLIPTokenizer\",\n  \"unk_token\": \"%s\"\n}\n",
                            t->nnames, start, t->nnames + 1, end, BPE_START, BPE_END, max_length, BPE_END, BPE_END);
    mem_free(start);
    mem_free(end);
    dreamo_status s = write_text(folder, "tokenizer_config.json", config, err);
    if (s) return s;
    return write_text(folder, "special_tokens_map.json",
                      mem_printf("{\n  \"bos_token\": \"%s\",\n  \"eos_token\": \"%s\",\n  \"pad_token\": \"%s\",\n  \"unk_token\": \"%s\"\n}\n",
                                 BPE_START, BPE_END, BPE_END, BPE_END), err);
}

dreamo_status vocab_make_bpe(const char *const *captions, size_t ncaptions, int merges, int max_length, const char *folder, dreamo_error *err)
{
    trainer t = {0};
    if (merges < 0 || merges > BPE_MOST_MERGES || max_length < 3)
        return fail(err, DREAMO_ARG, "%d merges and %d tokens a text; 0 to %d and at least 3 are allowed", merges, max_length, BPE_MOST_MERGES);
    dreamo_status s = folder_make(folder, err);
    if (s) return s;
    t.name = mem_calloc(NBYTES + (size_t)merges, sizeof *t.name);
    s = t.name && name_bytes(&t) ? gather_words(&t, captions, ncaptions, err) : no_memory(err);
    if (!s) s = learn(&t, merges, err);
    if (!s) s = write_file(&t, folder, "vocab.json", write_vocab, err);
    if (!s) s = write_file(&t, folder, "merges.txt", write_merges, err);
    if (!s) s = write_config(&t, folder, max_length, err);
    for (int i = 0; i < t.nnames; i++) mem_free(t.name[i]);
    mem_free(t.name);
    mem_free(t.words);
    mem_free(t.symbols);
    mem_free(t.merges);
    mem_free(t.pairs);
    return s;
}
