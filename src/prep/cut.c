/* cut.c - the networks that cut out: which one a file holds, and what its pixels are.
 *
 * All see the picture at their own size whatever its shape, resampled as BEN2's authors do it (Pillow's LANCZOS), and their mask comes back to the
 * picture's size bilinearly (spec 2.8). */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "image/resize.h"
#include "model/ben2.h"
#include "model/isnet.h"
#include "prep/engine.h"
#include "weights/kind.h"
#include "weights/prep/bind_prep.h"

/* How a network sees a picture: a row of `kinds`. */
typedef struct cut_kind {
    int holds, side;
    float mean[3], scale[3];                      /* of a channel in 0..255: (value - mean) * scale */
    tensor (*mask)(nn *cx, const void *network, tensor x, grid g);
} cut_kind;

static tensor by_ben2(nn *cx, const void *m, tensor x, grid g) { (void)g; return ben2_mask(cx, m, x); }
static tensor by_isnet(nn *cx, const void *m, tensor x, grid g) { return isnet_mask(cx, m, x, g); }

static const cut_kind kinds[] = {
    { HAS_BEN2, BEN2_SIDE, { 0.485f * 255, 0.456f * 255, 0.406f * 255 }, { 1 / (0.229f * 255), 1 / (0.224f * 255), 1 / (0.225f * 255) }, by_ben2 },
    { HAS_ISNET, ISNET_SIDE, { 128, 128, 128 }, { 1 / 256.0f, 1 / 256.0f, 1 / 256.0f }, by_isnet },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct cut_net { const cut_kind *kind; const prep_network *is; void *network; bound_files files; };

const char *cut_net_name(const cut_net *n) { return n->is->name; }

void cut_net_close(cut_net *n)
{
    if (!n) return;
    if (n->network) n->is->unmake(n->network);
    bind_close(&n->files);
    mem_free(n);
}

/* By what the file holds; of what is none of the kinds, it is told what it is. */
static dreamo_status find_kind(const char *path, const cut_kind **out, dreamo_error *err)
{
    st_set set;
    dreamo_status s = st_set_open(path, "model", &set, err);
    if (s) return s;
    weights_kind k = kind_of_set(&set);
    *out = NULL;
    for (int i = 0; i < KINDS && !*out; i++)
        if (k.holds & kinds[i].holds) *out = &kinds[i];
    if (!*out) {
        s = fail(err, DREAMO_FORMAT, "%s: holds %s, not a network that cuts out", path, k.words);
        if (k.instead) s = hint(err, "%s", k.instead);
    }
    st_set_close(&set);
    return s;
}

dreamo_status cut_net_open(const char *path, cut_net **out, dreamo_error *err)
{
    const cut_kind *kind;
    *out = NULL;
    dreamo_status s = find_kind(path, &kind, err);
    if (s) return s;
    cut_net *n = mem_calloc(1, sizeof *n);
    if (n) n->kind = kind, n->is = prep_network_of(kind->holds);
    if (!n || !(n->network = n->is->make())) s = fail(err, DREAMO_MEMORY, "%s: no memory for the network", path);
    if (!s) s = n->is->bind(n->network, path, &n->files, err);
    if (s) cut_net_close(n);
    else *out = n;
    return s;
}

typedef struct cut_job { const cut_net *n; float *x, *mask; int width, height; } cut_job;

static void run(nn *cx, void *user)
{
    const cut_job *j = user;
    int side = j->n->kind->side;
    grid g = { 1, side, side };
    tensor x = tensor_from(cx, side * side, 3, j->x);
    tensor m = op_resample(cx, j->n->kind->mask(cx, j->n->network, x, g), g, (grid){ 1, j->height, j->width }, SAMPLE_BILINEAR);
    tensor_read(cx, m, j->mask);
}

dreamo_status cut_net_mask(cut_net *n, device *dev, const bitmap *rgb, float *mask, prep_progress tell, void *user, dreamo_error *err)
{
    const cut_kind *k = n->kind;
    bitmap small;
    size_t pixels = (size_t)k->side * (size_t)k->side;
    if (rgb->channels != 3) return fail(err, DREAMO_BUG, "%s takes RGB pictures, this one has %d channels", n->is->name, rgb->channels);
    dreamo_status s = resize_lanczos(rgb, k->side, k->side, &small, err);
    if (s) return s;
    cut_job j = { n, mem_alloc(pixels * 3 * sizeof(float)), mask, rgb->width, rgb->height };
    if (!j.x) s = fail(err, DREAMO_MEMORY, "no memory for a picture of %d x %d", k->side, k->side);
    for (size_t i = 0; !s && i < pixels * 3; i++) j.x[i] = ((float)small.data[i] - k->mean[i % 3]) * k->scale[i % 3];
    if (!s) s = net_run(dev, run, &j, tell, user, err);
    bind_forget(&n->files);
    mem_free(j.x);
    bitmap_free(&small);
    return s;
}
