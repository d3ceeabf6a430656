/* unigram.c - T5's tokenizer: text into ids (spec 6.4).
 *
 * It follows the official *fast* tokenizer, step by step: added tokens are cut out of the raw text, each part between
 * them is mapped, DreamO's ten tokens are cut out of the mapped text, and the words between them go through the unigram
 * model, which finds the segmentation with the highest sum of scores (Kudo 2018, "Subword Regularization"). */
#include "text/unigram.h"
#include <string.h>
#include "base/mem.h"
#include "text/ids.h"
#include "text/utf8.h"

const char *const unigram_ref_names[NREFS] = {"[ref#1]", "[ref#2]", "[ref#3]", "[ref#4]", "[ref#5]",
                                              "[ref#6]", "[ref#7]", "[ref#8]", "[ref#9]", "[res]"};

/* The best way to cut the word's bytes before some place: its last piece is `id` and starts at `start`. */
typedef struct node { double score; size_t start, next; int32_t id; } node;
#define UNREACHED ((size_t)-1)

typedef struct encoder {
    const unigram *t;
    const char *text;
    traced part;     /* the mapped part */
    char *word;      /* [part.n + METASPACE_NBYTES] */
    size_t nword, word_cap, word_from;
    node *nodes;     /* [nword + 1] */
    size_t nodes_cap;
    id_list ids;
    token_ids *out;  /* whose unknown characters are told */
} encoder;

/* Unicode's White_Space property. */
static bool is_white(int32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

static void strip_end(traced *t)
{
    while (t->n) {
        size_t i = t->n - 1, n;
        while (((unsigned char)t->s[i] & 0xC0) == 0x80) i--;
        if (!is_white(utf8_next(t->s + i, &n))) return;
        t->n = i;
    }
}

static void offer(node *at, double score, size_t start, int32_t id)
{
    if (at->start == UNREACHED || score > at->score) *at = (node){.score = score, .start = start, .id = id};
}

/* Fill in e->nodes: for each place in the word the best way to reach it. */
static void viterbi(encoder *e)
{
    const unigram *t = e->t;
    size_t len;
    for (size_t i = 0; i <= e->nword; i++) e->nodes[i].start = UNREACHED;
    e->nodes[0] = (node){0};
    for (size_t i = 0; i < e->nword; i += len) {
        bool single = false; /* is there a piece of exactly this character? */
        lexicon_cursor at = lexicon_begin(&t->pieces);
        utf8_next(e->word + i, &len);
        for (size_t j = i; j < e->nword && lexicon_step(&t->pieces, &at, e->word[j]); j++) {
            const lexeme *piece = lexicon_here(&t->pieces, &at);
            if (!piece) continue;
            offer(&e->nodes[j + 1], e->nodes[i].score + t->score[piece->value], i, piece->value);
            single = single || j + 1 == i + len;
        }
        if (!single) offer(&e->nodes[i + len], e->nodes[i].score + t->unk_score, i, t->unk);
    }
}

static bool reserve_nodes(encoder *e)
{
    if (e->nword < e->nodes_cap) return true;
    size_t cap = 2 * e->nword + 64;
    node *grown = mem_realloc(e->nodes, cap * sizeof *grown);
    if (!grown) return false;
    e->nodes = grown;
    e->nodes_cap = cap;
    return true;
}

/* One character without a piece; `apart`: the one before it has one. */
static void note_unknown(token_ids *out, const char *s, size_t n, bool apart)
{
    size_t used = strlen(out->unknown), space = apart && used;
    out->nunknown++;
    if (used + space + n + sizeof "..." > sizeof out->unknown) { /* the first that does not fit ends it */
        if (used < 3 || memcmp(out->unknown + used - 3, "...", 3) != 0) memcpy(out->unknown + used, "...", 4);
        return;
    }
    if (space) out->unknown[used++] = ' ';
    memcpy(out->unknown + used, s, n);
    out->unknown[used + n] = '\0';
}

/* Emit the word's ids, if there is a word; neighbouring unknown characters become one id. */
static bool end_word(encoder *e)
{
    if (e->nword == 0) return true;
    if (!reserve_nodes(e)) return false;
    viterbi(e);
    for (size_t i = e->nword; i > 0; i = e->nodes[i].start) e->nodes[e->nodes[i].start].next = i;
    int32_t before = -1;
    for (size_t i = 0; i < e->nword; ) {
        size_t from = i;
        i = e->nodes[i].next;
        int32_t id = e->nodes[i].id;
        if (id == e->t->unk) note_unknown(e->out, e->word + from, i - from, before != id);
        if (!(id == e->t->unk && before == id) && !ids_push(&e->ids, id, e->word_from)) return false;
        before = id;
    }
    e->nword = 0;
    return true;
}

static void begin_word(encoder *e, bool with_metaspace, size_t from)
{
    e->nword = with_metaspace ? METASPACE_NBYTES : 0;
    e->word_from = from;
    memcpy(e->word, METASPACE, e->nword);
}

/* Bytes at s[0..n) that stand for one metaspace; 0: none. */
static size_t space_nbytes(const unigram *t, const char *s, size_t n)
{
    if (n >= METASPACE_NBYTES && memcmp(s, METASPACE, METASPACE_NBYTES) == 0) return METASPACE_NBYTES;
    size_t run = 0;
    while (run < n && s[run] == ' ') run++;
    return t->collapse || run < 2 ? run : 1;
}

/* Cut the mapped part into DreamO's tokens and words.  at_start: the part begins the prompt. */
static bool split_part(encoder *e, bool at_start)
{
    const unigram *t = e->t;
    const traced *p = &e->part;
    bool fresh = true; /* nothing of this stretch between tokens was seen yet */
    for (size_t i = 0, len; i < p->n; i += len) {
        const lexeme *ref = lexicon_longest(&t->refs, p->s + i, p->n - i);
        if (ref) {
            len = ref->n;
            if (!end_word(e) || !ids_push(&e->ids, ref->value, p->from[i])) return false;
            fresh = true;
            continue;
        }
        len = space_nbytes(t, p->s + i, p->n - i);
        if (len) {
            if (!end_word(e)) return false;
            begin_word(e, true, p->from[i]);
        } else {
            if (fresh) begin_word(e, t->prefix == PREFIX_ALWAYS || (t->prefix == PREFIX_FIRST && at_start && i == 0), p->from[i]);
            utf8_next(p->s + i, &len);
            memcpy(e->word + e->nword, p->s + i, len);
            e->nword += len;
        }
        fresh = false;
    }
    return end_word(e);
}

/* The raw text[begin..end), which holds no added token. */
static bool encode_part(encoder *e, size_t begin, size_t end)
{
    if (begin == end) return true;
    e->part.n = 0;
    if (!charsmap_apply(&e->t->map, e->text, begin, end, &e->part)) return false;
    if (e->t->strip_end) strip_end(&e->part);
    size_t need = e->part.n + METASPACE_NBYTES;
    if (need > e->word_cap) {
        char *grown = mem_realloc(e->word, need);
        if (!grown) return false;
        e->word = grown;
        e->word_cap = need;
    }
    return split_part(e, begin == 0);
}

static bool encode_text(encoder *e, size_t n)
{
    size_t begin = 0;
    for (size_t i = 0; i < n; ) {
        const lexeme *token = lexicon_longest(&e->t->added, e->text + i, n - i);
        if (!token) {
            i++;
            continue;
        }
        if (!encode_part(e, begin, i) || !ids_push(&e->ids, token->value, i)) return false;
        begin = i += token->n;
    }
    return encode_part(e, begin, n);
}

dreamo_status unigram_encode_n(const unigram *t, const char *text, size_t n, int max, token_ids *out, dreamo_error *err)
{
    *out = (token_ids){0};
    if (max < 1) return fail(err, DREAMO_ARG, "a limit of %d T5 tokens leaves no room for the end token", max);
    dreamo_status s = utf8_check_prompt(text, n, err);
    if (s) return s;
    encoder e = {.t = t, .text = text, .ids.keep = max - 1, .out = out};
    bool ok = encode_text(&e, n) && ids_close(&e.ids, t->eos, n, out);
    ids_free(&e.ids);
    traced_free(&e.part);
    mem_free(e.word);
    mem_free(e.nodes);
    return ok ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory to tokenize a prompt of %zu bytes", n);
}

dreamo_status unigram_encode(const unigram *t, const char *text, int max, token_ids *out, dreamo_error *err)
{
    return unigram_encode_n(t, text, strlen(text), max, out, err);
}

int unigram_max_length(const unigram *t)  { return t->max_length; }
int unigram_first_added(const unigram *t) { return t->first_added; }
int unigram_pad(const unigram *t)         { return t->pad; }

const char *unigram_piece(const unigram *t, int32_t id)
{
    return id < 0 || id >= t->first_added + NREFS ? NULL : t->name[id];
}

void unigram_close(unigram *t)
{
    if (!t) return;
    lexicon_free(&t->pieces);
    lexicon_free(&t->added);
    lexicon_free(&t->refs);
    charsmap_close(&t->map);
    mem_free(t->score);
    mem_free(t->name);
    mem_free(t);
}
