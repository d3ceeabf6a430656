/* parse.c - BiSeNet: an aligned face to the class of each pixel (spec 3.6). */
#include "base/mem.h"
#include "model/bisenet.h"
#include "prep/engine.h"
#include "weights/prep/bind_prep.h"

_Static_assert((int)PARSE_CLASSES == (int)BISENET_CLASSES, "one number of classes");

struct parse_net { bisenet *network; bound_files files; };

const char *parse_net_name(const parse_net *n)
{
    (void)n;
    return "BiSeNet";
}

void parse_net_close(parse_net *n)
{
    if (!n) return;
    bisenet_free(n->network);
    bind_close(&n->files);
    mem_free(n);
}

dreamo_status parse_net_open(const char *path, parse_net **out, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    *out = NULL;
    parse_net *n = mem_calloc(1, sizeof *n);
    if (!n || !(n->network = bisenet_new())) s = fail(err, DREAMO_MEMORY, "%s: no memory for the network", path);
    if (!s) s = bind_bisenet(n->network, path, &n->files, err);
    if (s) parse_net_close(n);
    else *out = n;
    return s;
}

typedef struct parse_job { const parse_net *n; float *x, *logits; } parse_job;

static void run(nn *cx, void *user)
{
    const parse_job *j = user;
    grid g = { 1, PARSE_SIDE, PARSE_SIDE }, small = { 1, PARSE_SIDE / 8, PARSE_SIDE / 8 };
    tensor x = tensor_from(cx, PARSE_SIDE * PARSE_SIDE, 3, j->x);
    tensor_read(cx, op_resample(cx, bisenet_logits(cx, j->n->network, x, g), small, g, SAMPLE_CORNERS), j->logits);
}

dreamo_status parse_net_labels(parse_net *n, device *dev, const bitmap *rgb, unsigned char *labels, prep_progress tell, void *user, dreamo_error *err)
{
    static const float mean[3] = { 0.485f, 0.456f, 0.406f }, std[3] = { 0.229f, 0.224f, 0.225f };
    enum { PIXELS = PARSE_SIDE * PARSE_SIDE };
    if (rgb->channels != 3 || rgb->width != PARSE_SIDE || rgb->height != PARSE_SIDE)
        return fail(err, DREAMO_BUG, "BiSeNet takes %d x %d pixels of 3 channels, not %d x %d of %d", PARSE_SIDE, PARSE_SIDE, rgb->width, rgb->height, rgb->channels);
    parse_job j = { n, mem_alloc(3 * PIXELS * sizeof(float)), mem_alloc((size_t)PARSE_CLASSES * PIXELS * sizeof(float)) };
    dreamo_status s = j.x && j.logits ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a face of %d x %d", PARSE_SIDE, PARSE_SIDE);
    for (int i = 0; !s && i < 3 * PIXELS; i++) j.x[i] = ((float)rgb->data[i] / 255 - mean[i % 3]) / std[i % 3];
    if (!s) s = net_run(dev, run, &j, tell, user, err);
    for (int i = 0; !s && i < PIXELS; i++) {
        const float *l = j.logits + (size_t)i * PARSE_CLASSES;
        int best = 0;
        for (int c = 1; c < PARSE_CLASSES; c++)
            if (l[c] > l[best]) best = c;
        labels[i] = (unsigned char)best;
    }
    mem_free(j.x);
    mem_free(j.logits);
    return s;
}
