/* mixture.c - lists of what:share. */
#include "train/mixture.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/sample.h"

enum { SIDE_MAX = 4096, WORD = 64 };

/* A whole number of digits alone, up to SIDE_MAX. */
static bool whole(const char *word, int *value)
{
    char *end;
    if (!isdigit((unsigned char)*word)) return false;
    long v = strtol(word, &end, 10);
    *value = (int)v;
    return !*end && v <= SIDE_MAX;
}

static bool read_what(mixture_part *p, mixture_of of, char *word)
{
    data_kind kind;
    char *x = strchr(word, 'x'), *slash = strchr(word, '/');
    switch (of) {
    case MIXTURE_KINDS:
        if (!data_kind_find(word, &kind)) return false;
        p->a = (int)kind;
        return true;
    case MIXTURE_SIDES:
        if (slash) {
            *slash = '\0';
            if (!data_kind_find(word, &kind)) return false;
            p->b = 1 + (int)kind;
        }
        return whole(slash ? slash + 1 : word, &p->a) && (p->a == 0 || p->a >= 8);
    default:
        if (x) *x = '\0';
        if (!whole(word, &p->a) || !whole(x ? x + 1 : word, &p->b)) return false;
        return (p->a >= 8 && p->b >= 8) || (x && p->b == 0 && (p->a == 0 || p->a >= 8));
    }
}

static dreamo_status read_part(mixture *m, mixture_of of, const char *where, const char *name, const char *word, dreamo_error *err)
{
    static const char *const allowed[] = { DATA_KIND_NAMES, "WIDTHxHEIGHT, 8 to 4096; SIDEx0 and 0x0", "sides, 8 to 4096, and 0; KIND/SIDE" };
    mixture_part p = { .share = 1 };
    char what[WORD];
    const char *colon = strchr(word, ':');
    if (m->n == MIXTURE_MAX) return fail(err, DREAMO_ARG, "%s: %s: lists more than %d", where, name, MIXTURE_MAX);
    snprintf(what, sizeof what, "%.*s", colon ? (int)(colon - word) : (int)strlen(word), word);
    if (!read_what(&p, of, what)) return fail(err, DREAMO_ARG, "%s: %s = %s: allowed are %s", where, name, word, allowed[of]);
    if (colon) {
        char *end;
        bool digit = isdigit((unsigned char)colon[1]) || (colon[1] == '.' && isdigit((unsigned char)colon[2]));
        p.share = strtod(colon + 1, &end);
        if (!digit || *end || !isfinite(p.share) || p.share <= 0 || p.share > 1e6)
            return fail(err, DREAMO_ARG, "%s: %s = %s: a share is a number above 0, at most 1000000", where, name, word);
    }
    for (int i = 0; i < m->n; i++)
        if (m->part[i].a == p.a && m->part[i].b == p.b) return fail(err, DREAMO_ARG, "%s: %s = %s: is listed twice", where, name, word);
    m->part[m->n++] = p;
    return DREAMO_OK;
}

static bool has_general(const mixture *m)
{
    for (int i = 0; i < m->n; i++)
        if (m->part[i].b == 0) return true;
    return false;
}

dreamo_status mixture_read(mixture *m, mixture_of of, const char *where, const char *name, const char *text, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    mixture out = { 0 };
    bool automatic = of == MIXTURE_KINDS && strcmp(text, "auto") == 0;
    for (const char *at = text + strspn(text, " \t"); !s && !automatic && *at;) {
        char word[WORD];
        size_t n = strcspn(at, " \t");
        if (n >= sizeof word) return fail(err, DREAMO_ARG, "%s: %s = %.40s...: a word of %zu characters", where, name, at, n);
        memcpy(word, at, n);
        word[n] = '\0';
        s = read_part(&out, of, where, name, word, err);
        at += n;
        at += strspn(at, " \t");
    }
    if (!s && !out.n && !automatic) s = fail(err, DREAMO_ARG, "%s: %s: is empty", where, name);
    if (!s && of == MIXTURE_SIDES && !has_general(&out))
        s = fail(err, DREAMO_ARG, "%s: %s = %s: lacks a side for the other kinds, one without a kind", where, name, text);
    if (!s) *m = out;
    return s;
}

void mixture_write(const mixture *m, mixture_of of, char *out, size_t room)
{
    size_t used = 0;
    snprintf(out, room, "auto");
    for (int i = 0; i < m->n && used < room; i++) {
        const mixture_part *p = &m->part[i];
        char what[WORD], share[WORD] = "";
        if (of == MIXTURE_KINDS) snprintf(what, sizeof what, "%s", data_kind_name((data_kind)p->a));
        else if (of == MIXTURE_SIZES) snprintf(what, sizeof what, "%dx%d", p->a, p->b);
        else snprintf(what, sizeof what, "%s%s%d", p->b ? data_kind_name((data_kind)(p->b - 1)) : "", p->b ? "/" : "", p->a);
        if (p->share != 1) snprintf(share, sizeof share, ":%.17g", p->share);
        used += (size_t)snprintf(out + used, room - used, "%s%s%s", i ? " " : "", what, share);
    }
}

mixture mixture_for(const mixture *m, int kind)
{
    mixture own = { 0 }, general = { 0 };
    for (int i = 0; i < m->n; i++) {
        mixture *to = m->part[i].b == 0 ? &general : m->part[i].b == 1 + kind ? &own : NULL;
        if (to) to->part[to->n++] = m->part[i];
    }
    return own.n ? own : general;
}

const mixture_part *mixture_draw(const mixture *m, rng *r)
{
    double all = 0;
    for (int i = 0; i < m->n; i++) all += m->part[i].share;
    double at = rng_double(r) * all;
    int i = 0;
    while (i < m->n - 1 && at >= m->part[i].share) at -= m->part[i++].share;
    return &m->part[i];
}
