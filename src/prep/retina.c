/* retina.c - RetinaFace's cells to faces (spec 3.1, 3.2): priors, boxes, points, scores. */
#include <math.h>
#include "base/mem.h"
#include "model/retinaface.h"
#include "prep/engine.h"
#include "prep/faces.h"
#include "weights/prep/bind_prep.h"

typedef struct finder { retinaface *network; bound_files files; } finder;

static void finder_close(void *state)
{
    finder *f = state;
    retinaface_free(f->network);
    bind_close(&f->files);
    mem_free(f);
}

static int cells(int side, int level) { return (side + (8 << level) - 1) / (8 << level); }

typedef struct job { const finder *f; float *x, *out[RETINA_LEVELS]; int width, height; } job;

static void run(nn *cx, void *user)
{
    const job *j = user;
    tensor out[RETINA_LEVELS];
    grid to[RETINA_LEVELS];
    retinaface_run(cx, j->f->network, tensor_from(cx, j->width * j->height, 3, j->x), (grid){ 1, j->height, j->width }, out, to);
    for (int i = 0; i < RETINA_LEVELS && nn_ok(cx); i++) {
        nn_require(cx, to[i].h == cells(j->height, i) && to[i].w == cells(j->width, i), "RetinaFace: %d x %d cells on level %d", to[i].h, to[i].w, i);
        tensor_read(cx, out[i], j->out[i]);
    }
}

/* One anchor of one cell; its prior's centre and size are shares of the picture, made in double and kept in float. */
static face decode(const float *row, int anchor, int cell_x, int cell_y, int level, int width, int height)
{
    const float *score = row + 2 * anchor, *box = row + 4 + 4 * anchor, *point = row + 12 + 10 * anchor;
    double stride = 8 << level, size = 16 << (2 * level + anchor);
    float cx = (float)((cell_x + 0.5) * stride / width), cy = (float)((cell_y + 0.5) * stride / height), w = (float)(size / width), h = (float)(size / height);
    float x = cx + 0.1f * box[0] * w, y = cy + 0.1f * box[1] * h, bw = w * expf(0.2f * box[2]), bh = h * expf(0.2f * box[3]);
    float x1 = x - bw / 2, y1 = y - bh / 2, W = (float)width, H = (float)height;
    face f = { .box = { x1 * W, y1 * H, (x1 + bw) * W, (y1 + bh) * H }, .score = 1 / (1 + expf(score[0] - score[1])) };
    for (int i = 0; i < 5; i++) {
        f.landmark[i][0] = (cx + 0.1f * point[2 * i] * w) * W;
        f.landmark[i][1] = (cy + 0.1f * point[2 * i + 1] * h) * H;
    }
    return f;
}

static dreamo_status collect(const job *j, float threshold, face_list *out, dreamo_error *err)
{
    for (int level = 0; level < RETINA_LEVELS; level++) {
        int down = cells(j->height, level), across = cells(j->width, level);
        for (int i = 0; i < down * across * RETINA_ANCHORS; i++) {
            int cell = i / RETINA_ANCHORS;
            face f = decode(j->out[level] + (size_t)cell * RETINA_COLUMNS, i % RETINA_ANCHORS, cell % across, cell / across, level, j->width, j->height);
            if (f.score > out->best) out->best = f.score;
            if (f.score > threshold && !faces_add(out, &f)) return fail(err, DREAMO_MEMORY, "no memory for a list of faces");
        }
    }
    return faces_settle(out, 0.4f) ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a list of faces");
}

static dreamo_status find(void *state, device *dev, const bitmap *rgb, float threshold, face_list *out, prep_progress tell, void *user, dreamo_error *err)
{
    static const float mean[3] = { 104, 117, 123 }; /* blue, green, red */
    size_t pixels = (size_t)rgb->width * (size_t)rgb->height, total = 0;
    job j = { .f = state, .width = rgb->width, .height = rgb->height };
    for (int i = 0; i < RETINA_LEVELS; i++) total += (size_t)cells(j.height, i) * (size_t)cells(j.width, i) * RETINA_COLUMNS;
    j.x = mem_alloc(pixels * 3 * sizeof(float));
    float *rows = mem_alloc(total * sizeof(float));
    dreamo_status s = j.x && rows ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory to look for faces in %d x %d pixels", rgb->width, rgb->height);
    for (int i = 0; i < RETINA_LEVELS && !s; i++) j.out[i] = i ? j.out[i - 1] + (size_t)cells(j.height, i - 1) * (size_t)cells(j.width, i - 1) * RETINA_COLUMNS : rows;
    for (size_t i = 0; !s && i < pixels * 3; i++) j.x[i] = (float)rgb->data[i / 3 * 3 + 2 - i % 3] - mean[i % 3];
    if (!s) s = net_run(dev, run, &j, tell, user, err);
    if (!s) s = collect(&j, threshold, out, err);
    mem_free(j.x);
    mem_free(rows);
    return s;
}

dreamo_status retinaface_finder(const char *path, face_net *out, dreamo_error *err)
{
    finder *f = mem_calloc(1, sizeof *f);
    dreamo_status s = DREAMO_OK;
    if (!f || !(f->network = retinaface_new())) s = fail(err, DREAMO_MEMORY, "%s: no memory for the network", path);
    if (!s) s = bind_retinaface(f->network, path, &f->files, err);
    if (s && f) finder_close(f);
    if (s) return s;
    *out = (face_net){ "RetinaFace", 0.97f, f, finder_close, find };
    return DREAMO_OK;
}
