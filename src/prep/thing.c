/* thing.c - a thing on white: which cutter, and what its mask does.
 *
 * Where the official network is there it cuts, as it always does there (spec 2.8), else ISNet by the same rule.  Without them what is white stays, and a plain
 * background is taken away by its colour, which is exact; our own network is for all others. */
#include "prep/work.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "prep/plain.h"

void whiten(bitmap *rgb, const unsigned char *alpha)
{
    size_t n = (size_t)rgb->width * (size_t)rgb->height;
    for (size_t i = 0; i < n; i++) {
        int a = alpha[i];
        unsigned char *p = rgb->data + 3 * i;
        if (a == 255) continue;
        for (int c = 0; c < 3; c++) {
            int t = 255 * (255 - a) + p[c] * a + 128; /* Pillow's paste (spec 4.5) */
            p[c] = (unsigned char)((t + (t >> 8)) >> 8);
        }
    }
}

/* From the least to the most, truncated: what the official code does (spec 2.8).  False: there is nothing between them. */
static bool stretch(const float *mask, size_t n, unsigned char *alpha)
{
    float least = mask[0], most = mask[0];
    for (size_t i = 1; i < n; i++) {
        least = mask[i] < least ? mask[i] : least;
        most = mask[i] > most ? mask[i] : most;
    }
    if (!(most > least)) return false;
    for (size_t i = 0; i < n; i++) alpha[i] = (unsigned char)((mask[i] - least) / (most - least) * 255);
    return most >= 0.5f; /* a network that is sure of nothing has found nothing */
}

static dreamo_status by_network(work *w, const char *path, const bitmap *rgb, unsigned char *alpha, bool *found, const char **which, dreamo_error *err)
{
    size_t n = (size_t)rgb->width * (size_t)rgb->height;
    dreamo_status s = w->t->cut ? DREAMO_OK : cut_net_open(path, &w->t->cut, err);
    if (s) return s;
    float *mask = mem_alloc(n * sizeof *mask);
    s = mask ? cut_net_mask(w->t->cut, w->t->dev, rgb, mask, work_tick, w, err) : fail(err, DREAMO_MEMORY, "%s: no memory for a mask of %d x %d pixels", w->name, rgb->width, rgb->height);
    if (!s) *found = stretch(mask, n, alpha);
    *which = cut_net_name(w->t->cut);
    mem_free(mask);
    return s;
}

static dreamo_status by_own(work *w, const bitmap *rgb, unsigned char *alpha, bool *found, const char **which, dreamo_error *err)
{
    float most = 0;
    dreamo_status s = w->t->own ? DREAMO_OK : own_net_open(w->t->at.path[PLACE_OWN], &w->t->own, err);
    if (!s) s = own_net_mask(w->t->own, w->t->dev, rgb, alpha, &most, err);
    *found = most >= 0.5f;
    *which = "dreamo's own network";
    return s;
}

static dreamo_status by_colour(const bitmap *rgb, unsigned char *alpha, bool *found, const char **which, dreamo_error *err)
{
    size_t n = (size_t)rgb->width * (size_t)rgb->height;
    dreamo_status s = plain_mask(rgb, alpha, err);
    *found = !s && memchr(alpha, 255, n) != NULL;
    *which = "its plain background";
    return s;
}

static dreamo_status missing(const work *w, const char *cutter, dreamo_error *err)
{
    fail(err, DREAMO_NOT_FOUND, "%s: the cutter \"%s\" is not there", w->name, cutter);
    return hint(err, "dreamo fetch prep gets the official networks, tools/fetch-prep-free.sh free ones; auto takes the best that is there");
}

/* *which NULL: no cutter can do anything with this picture. */
dreamo_status cut_mask(work *w, const bitmap *rgb, unsigned char *alpha, bool *found, const char **which, dreamo_error *err)
{
    const char *name = w->t->cutter;
    char *const *path = w->t->at.path;
    bool any = strcmp(name, "auto") == 0, only_networks = w->r->cut == DREAMO_CUT_NET;
    *which = NULL;
    *found = false;
    if (strcmp(name, "ben2") == 0 || (any && path[PLACE_BEN2]))
        return path[PLACE_BEN2] ? by_network(w, path[PLACE_BEN2], rgb, alpha, found, which, err) : missing(w, name, err);
    if (strcmp(name, "isnet") == 0 || (any && path[PLACE_ISNET]))
        return path[PLACE_ISNET] ? by_network(w, path[PLACE_ISNET], rgb, alpha, found, which, err) : missing(w, name, err);
    if (strcmp(name, "own") == 0) return path[PLACE_OWN] ? by_own(w, rgb, alpha, found, which, err) : missing(w, name, err);
    if (plain_background(rgb) != BACKGROUND_BUSY && !(only_networks && path[PLACE_OWN])) return by_colour(rgb, alpha, found, which, err);
    if (any && path[PLACE_OWN]) return by_own(w, rgb, alpha, found, which, err);
    return DREAMO_OK;
}

/* Above this a cut-out has holes or remains: of DreamO's 17 examples the two that our own network gets wrong by eye have 0.37 and 0.48, the others at most 0.29. */
static const double UNSURE = 0.33;

/* Of what is kept, by a fifth at least, how much is kept by no more than four fifths.  Edges and hair are such, a tenth to a fifth of a good cut-out. */
static double unsure_share(const unsigned char *alpha, size_t n)
{
    size_t kept = 0, unsure = 0;
    for (size_t i = 0; i < n; i++) kept += alpha[i] > 51, unsure += alpha[i] > 51 && alpha[i] <= 204;
    return kept ? (double)unsure / (double)kept : 0;
}

dreamo_status cut_thing(work *w, dreamo_error *err)
{
    const dreamo_reference *r = w->r;
    snprintf(w->how, sizeof w->how, "%s", w->holes ? "alpha on white" : "as it is");
    if (r->cut == DREAMO_CUT_OFF || (w->holes && r->cut != DREAMO_CUT_NET)) return DREAMO_OK;
    if (r->cut == DREAMO_CUT_ALPHA) {
        fail(err, DREAMO_CONTENT, "%s: cut=alpha, but the picture has no transparent pixel", w->name);
        return hint(err, "leave cut=alpha out to have it cut out, or say cut=off");
    }
    bool official = strcmp(w->t->cutter, "auto") == 0 ? w->t->at.path[PLACE_BEN2] || w->t->at.path[PLACE_ISNET] : strcmp(w->t->cutter, "plain") != 0, found;
    if (!official && r->cut != DREAMO_CUT_NET && plain_background(&w->rgb) == BACKGROUND_WHITE) {
        snprintf(w->how, sizeof w->how, "white background");
        return DREAMO_OK;
    }
    const char *which;
    unsigned char *alpha = mem_alloc((size_t)w->rgb.width * (size_t)w->rgb.height);
    dreamo_status s = alpha ? cut_mask(w, &w->rgb, alpha, &found, &which, err) : fail(err, DREAMO_MEMORY, "%s: no memory for its mask", w->name);
    if (!s && !which)
        s = work_note(w, DREAMO_EVENT_WARNING, err, "%s: has neither alpha nor a plain background, and no network to cut it out is there: the whole picture is used (cut=off says so silently)", w->name);
    else if (!s && !found)
        s = work_note(w, DREAMO_EVENT_WARNING, err, "%s: nothing was found to cut out by %s: the whole picture is used (cut=off says so silently)", w->name, which);
    else if (!s) {
        double unsure = unsure_share(alpha, (size_t)w->rgb.width * (size_t)w->rgb.height);
        if (unsure > UNSURE)
            s = work_note(w, DREAMO_EVENT_WARNING, err, "%s: %s is unsure of %.0f %% of what it keeps: look at what is left (dreamo prep), or choose another cutter, a box=x,y,w,h, or cut=off", w->name, which, 100 * unsure);
        whiten(&w->rgb, alpha);
        snprintf(w->how, sizeof w->how, "cut out by %s", which);
    }
    mem_free(alpha);
    return s;
}
