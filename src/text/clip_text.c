/* clip_text.c - CLIP's clean-up of a prompt and its split into pieces.
 *
 * The official requirements lack ftfy, so the official class falls back to the clean-up of BERT's basic tokenizer: drop
 * control characters, split at white space and around CJK ideographs, compose (NFC), lower-case.  Composition never
 * reaches across a space, so all this is done word by word. */
#include "text/clip_text.h"
#include <string.h>
#include <utf8proc.h>
#include "base/mem.h"
#include "text/bpe.h"
#include "text/utf8.h"

typedef struct points { int32_t *cp; size_t n, cap; } points;

typedef struct splitter {
    points raw, nfc, lower; /* the word in its three states */
    size_t from;            /* where it starts in the text */
    clip_piece_fn fn;
    void *user;
} splitter;

static bool reserve(points *p, size_t n)
{
    if (n <= p->cap) return true;
    size_t cap = 2 * n + 64;
    int32_t *grown = mem_realloc(p->cp, cap * sizeof *grown);
    if (!grown) return false;
    p->cp = grown;
    p->cap = cap;
    return true;
}

static bool append(points *p, int32_t cp)
{
    if (!reserve(p, p->n + 1)) return false;
    p->cp[p->n++] = cp;
    return true;
}

/* ---- kinds of characters ---------------------------------------------------------------------- */

static bool is_letter(int32_t cp)
{
    utf8proc_category_t c = utf8proc_category(cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

static bool is_number(int32_t cp)
{
    utf8proc_category_t c = utf8proc_category(cp);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

static bool is_space(int32_t cp)
{
    utf8proc_category_t c = utf8proc_category(cp);
    return cp == '\t' || cp == '\n' || cp == '\r' || (c >= UTF8PROC_CATEGORY_ZS && c <= UTF8PROC_CATEGORY_ZP);
}

/* Category C*: controls, formats, surrogates, private use and what is not assigned. */
static bool is_dropped(int32_t cp)
{
    utf8proc_category_t c = utf8proc_category(cp);
    return cp == 0xFFFD || c == UTF8PROC_CATEGORY_CN || c >= UTF8PROC_CATEGORY_CC;
}

static bool is_cjk(int32_t cp)
{
    return (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) || (cp >= 0x20000 && cp <= 0x2A6DF) ||
           (cp >= 0x2A700 && cp <= 0x2B73F) || (cp >= 0x2B740 && cp <= 0x2B81F) || (cp >= 0x2B820 && cp <= 0x2CEAF) ||
           (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x2F800 && cp <= 0x2FA1F);
}

/* ---- canonical composition -------------------------------------------------------------------- */

static int combining_class(int32_t cp) { return (int)utf8proc_get_property(cp)->combining_class; }

/* Stable sort of a run of combining marks by their class, in linear time: prompts may hold runs of any length. */
static bool order_marks(int32_t *cp, size_t n)
{
    size_t first[257] = {0};
    int32_t *sorted = mem_alloc(n * sizeof *sorted);
    if (!sorted) return false;
    for (size_t i = 0; i < n; i++) first[combining_class(cp[i]) + 1]++;
    for (int c = 0; c < 256; c++) first[c + 1] += first[c];
    for (size_t i = 0; i < n; i++) sorted[first[combining_class(cp[i])]++] = cp[i];
    memcpy(cp, sorted, n * sizeof *sorted);
    mem_free(sorted);
    return true;
}

/* raw -> nfc: decompose, put marks in canonical order, compose (The Unicode Standard, 3.11). */
static bool compose(const points *raw, points *nfc)
{
    nfc->n = 0;
    for (size_t i = 0; i < raw->n; i++) {
        int boundary = 0;
        if (!reserve(nfc, nfc->n + 4)) return false; /* no canonical decomposition is longer */
        utf8proc_ssize_t n = utf8proc_decompose_char(raw->cp[i], nfc->cp + nfc->n, 4, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
        if (n < 0 || n > 4) return false;
        nfc->n += (size_t)n;
    }
    for (size_t i = 0, j; i < nfc->n; i = j + 1) {
        for (j = i; j < nfc->n && combining_class(nfc->cp[j]) > 0; j++) {}
        if (j - i > 1 && !order_marks(nfc->cp + i, j - i)) return false;
    }
    utf8proc_ssize_t n = utf8proc_normalize_utf32(nfc->cp, (utf8proc_ssize_t)nfc->n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0) return false;
    nfc->n = (size_t)n;
    return true;
}

/* ---- lower case ------------------------------------------------------------------------------- */

static bool is_case_ignorable(int32_t cp)
{
    static const int32_t word_breaks[] = {'\'', '.', ':', '^', '`', 0xB7, 0x387, 0x55F, 0x5F4, 0x2018, 0x2019, 0x2024, 0x2027,
                                          0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    utf8proc_category_t c = utf8proc_category(cp);
    if (c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK) return true;
    for (size_t i = 0; i < sizeof word_breaks / sizeof *word_breaks; i++)
        if (cp == word_breaks[i]) return true;
    return false;
}

static bool is_cased(int32_t cp)
{
    utf8proc_category_t c = utf8proc_category(cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT || cp == 0xAA || cp == 0xBA ||
           (cp >= 0x1F130 && cp <= 0x1F149) || (cp >= 0x1F150 && cp <= 0x1F169) || (cp >= 0x1F170 && cp <= 0x1F189) ||
           utf8proc_tolower(cp) != cp || utf8proc_toupper(cp) != cp;
}

/* Final_Sigma (The Unicode Standard, table 3-17): a letter before, none after, case-ignorable characters not counting. */
static bool ends_a_word(const points *w, size_t i)
{
    size_t before = i, after = i + 1;
    while (before > 0 && is_case_ignorable(w->cp[before - 1])) before--;
    if (before == 0 || !is_cased(w->cp[before - 1])) return false;
    while (after < w->n && is_case_ignorable(w->cp[after])) after++;
    return after == w->n || !is_cased(w->cp[after]);
}

static bool lower_case(const points *w, points *out)
{
    out->n = 0;
    for (size_t i = 0; i < w->n; i++) {
        int32_t cp = w->cp[i];
        bool ok;
        if (cp == 0x3A3) ok = append(out, ends_a_word(w, i) ? 0x3C2 : 0x3C3);
        else if (cp == 0x130) ok = append(out, 'i') && append(out, 0x307); /* the one letter whose lower case is two */
        else ok = append(out, utf8proc_tolower(cp));
        if (!ok) return false;
    }
    return true;
}

/* ---- the split -------------------------------------------------------------------------------- */

/* Length of the literal when w starts with it.  The official pattern ignores case, which leaves the long s. */
static size_t literal(const int32_t *w, size_t n, const char *s)
{
    size_t i = 0;
    for (; s[i]; i++)
        if (i == n || (w[i] != s[i] && !(s[i] == 's' && w[i] == 0x17F))) return 0;
    return i;
}

/* The official pattern ignores case, so the iota below is no letter by itself and no non-letter by its capital: nothing
 * matches it, and it is lost. */
#define LOST_IOTA 0x345

/* Length of the first piece of w[0..n), n > 0: a special token, an English suffix, letters, one digit, or anything else. */
static size_t piece_length(const int32_t *w, size_t n)
{
    static const char *const first[] = {BPE_START, BPE_END, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    size_t len = 0;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if ((len = literal(w, n, first[i]))) return len;
    if (is_number(w[0]) || w[0] == LOST_IOTA) return 1;
    bool letters = is_letter(w[0]);
    for (len = 1; len < n && is_letter(w[len]) == letters && !is_number(w[len]) && w[len] != LOST_IOTA; len++) {}
    return len;
}

static bool end_word(splitter *s)
{
    bool ok = compose(&s->raw, &s->nfc) && lower_case(&s->nfc, &s->lower);
    const points *w = &s->lower;
    for (size_t i = 0, len; ok && i < w->n; i += len) {
        len = piece_length(w->cp + i, w->n - i);
        if (w->cp[i] != LOST_IOTA) ok = s->fn(s->user, w->cp + i, len, s->from);
    }
    s->raw.n = 0;
    return ok;
}

bool clip_split(const char *text, size_t begin, size_t end, clip_piece_fn fn, void *user)
{
    splitter s = {.fn = fn, .user = user};
    bool ok = true;
    for (size_t i = begin, len; ok && i < end; i += len) {
        int32_t cp = utf8_next(text + i, &len);
        bool cjk = is_cjk(cp), space = is_space(cp);
        if (!space && is_dropped(cp)) continue;
        if ((cjk || space) && s.raw.n) ok = end_word(&s);
        if (space) continue;
        if (s.raw.n == 0) s.from = i;
        ok = ok && append(&s.raw, cp) && (!cjk || end_word(&s));
    }
    if (s.raw.n) ok = ok && end_word(&s);
    mem_free(s.raw.cp);
    mem_free(s.nfc.cp);
    mem_free(s.lower.cp);
    return ok;
}
