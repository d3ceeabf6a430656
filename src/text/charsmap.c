/* charsmap.c - SentencePiece's precompiled character map.
 *
 * The blob is a double-array trie (darts-clone) and the replacements that its leaves point to.  charsmap_open refuses a
 * blob of which any unit could lead out of the trie or any value out of the strings, so that walking needs no checks. */
#include "text/charsmap.h"
#include <string.h>
#include <utf8proc.h>
#include "base/mem.h"
#include "text/utf8.h"

/* A unit of the trie.  The one that a leaf flag points to has bit 31 set, so its label equals no byte. */
static uint32_t unit_offset(uint32_t u) { return (u >> 10) << ((u & 512) >> 6); }
static uint32_t unit_label(uint32_t u)  { return u & 0x800000FFu; }
static bool     unit_leaf(uint32_t u)   { return u & 256; }
static bool     unit_is_value(uint32_t u) { return u >> 31; }
static uint32_t unit_value(uint32_t u)  { return u & 0x7FFFFFFFu; }

static uint32_t read_le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A fault of the trie in words, or NULL. */
static const char *find_fault(const charsmap *m, size_t nstrings)
{
    if (unit_is_value(m->units[0])) return "the root of its trie is a leaf";
    for (size_t i = 0; i < m->nunits; i++) {
        uint32_t u = m->units[i];
        if (unit_is_value(u)) {
            uint32_t at = unit_value(u);
            if (at >= nstrings || ((unsigned char)m->strings[at] & 0xC0) == 0x80) return "a replacement lies outside its strings";
        } else {
            /* nunits is a multiple of 256, so children base ^ 0..255 lie inside with their base */
            size_t base = i ^ unit_offset(u);
            if (base >= m->nunits) return "a unit of its trie points outside";
            if (unit_leaf(u) && !unit_is_value(m->units[base])) return "a leaf of its trie has no value";
        }
    }
    return NULL;
}

dreamo_status charsmap_open(charsmap *m, const void *blob, size_t nbytes, const char *what, dreamo_error *err)
{
    const unsigned char *p = blob;
    *m = (charsmap){0};
    if (nbytes == 0) return DREAMO_OK;
    size_t ntrie = nbytes < 4 ? 0 : read_le32(p);
    if (nbytes < 4 || ntrie > nbytes - 4 || ntrie == 0 || ntrie % 1024)
        return fail(err, DREAMO_FORMAT, "%s: character map: its trie has %zu bytes; a positive multiple of 1024 within the map's %zu is allowed",
                    what, ntrie, nbytes);
    size_t nstrings = nbytes - 4 - ntrie;
    const char *strings = (const char *)p + 4 + ntrie;
    if (nstrings == 0 || strings[nstrings - 1] != 0 || utf8_bad(strings, nstrings) < nstrings)
        return fail(err, DREAMO_FORMAT, "%s: character map: its replacements are not NUL-terminated UTF-8", what);

    m->nunits = ntrie / 4;
    m->units = mem_alloc(ntrie);
    m->strings = mem_alloc(nstrings);
    if (!m->units || !m->strings) {
        charsmap_close(m);
        return fail(err, DREAMO_MEMORY, "%s: no memory for the character map", what);
    }
    for (size_t i = 0; i < m->nunits; i++) m->units[i] = read_le32(p + 4 + 4 * i);
    memcpy(m->strings, strings, nstrings);
    const char *fault = find_fault(m, nstrings);
    if (fault) {
        charsmap_close(m);
        return fail(err, DREAMO_FORMAT, "%s: character map: %s", what, fault);
    }
    return DREAMO_OK;
}

void charsmap_close(charsmap *m)
{
    mem_free(m->units);
    mem_free(m->strings);
    *m = (charsmap){0};
}

/* The replacement of the shortest prefix of s[0..n) that has one, or NULL. */
static const char *lookup(const charsmap *m, const char *s, size_t n)
{
    size_t pos = unit_offset(m->units[0]);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == 0) return NULL; /* the trie has no such edge, but unused units bear the label 0 */
        pos ^= c;
        uint32_t u = m->units[pos];
        if (unit_label(u) != c) return NULL;
        pos ^= unit_offset(u);
        if (unit_leaf(u)) return m->strings + unit_value(m->units[pos]);
    }
    return NULL;
}

static bool append(traced *t, const char *s, size_t n, size_t from)
{
    if (!n) return true; /* mapped to nothing: there may be no text yet to count from */
    if (t->n + n > t->cap) {
        size_t cap = t->cap ? t->cap : 256;
        while (cap < t->n + n) cap *= 2;
        char *grown = mem_realloc(t->s, cap);
        if (!grown) return false;
        t->s = grown;
        size_t *grown_from = mem_realloc(t->from, cap * sizeof *grown_from);
        if (!grown_from) return false;
        t->from = grown_from;
        t->cap = cap;
    }
    memcpy(t->s + t->n, s, n);
    for (size_t i = 0; i < n; i++) t->from[t->n + i] = from;
    t->n += n;
    return true;
}

/* End of the extended grapheme cluster that starts at text[i]. */
static size_t cluster_end(const char *text, size_t i, size_t end)
{
    utf8proc_int32_t state = 0;
    size_t n;
    int32_t before = utf8_next(text + i, &n);
    for (i += n; i < end; i += n) {
        int32_t cp = utf8_next(text + i, &n);
        if (utf8proc_grapheme_break_stateful(before, cp, &state)) break;
        before = cp;
    }
    return i;
}

/* The fast tokenizer's rule: a cluster of less than six bytes is replaced as a whole when any prefix of it is in the map
 * (the rest of the cluster is lost: that is how it is); in all others each code point is looked up alone. */
bool charsmap_apply(const charsmap *m, const char *text, size_t begin, size_t end, traced *out)
{
    if (m->nunits == 0) {
        for (size_t i = begin, n; i < end; i += n) {
            utf8_next(text + i, &n);
            if (!append(out, text + i, n, i)) return false;
        }
        return true;
    }
    for (size_t i = begin, next; i < end; i = next) {
        next = cluster_end(text, i, end);
        const char *whole = next - i < 6 ? lookup(m, text + i, next - i) : NULL;
        if (whole) {
            if (!append(out, whole, strlen(whole), i)) return false;
            continue;
        }
        for (size_t n; i < next; i += n) {
            utf8_next(text + i, &n);
            const char *one = lookup(m, text + i, n);
            if (!append(out, one ? one : text + i, one ? strlen(one) : n, i)) return false;
        }
    }
    return true;
}

void traced_free(traced *t)
{
    mem_free(t->s);
    mem_free(t->from);
    *t = (traced){0};
}
