/* faceapi.c - face-api's detector and landmarks (spec 6.2): the picture filled up to a square, cells to boxes, each box to 68 points, those to five. */
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/tfjs.h"
#include "model/tinyface.h"
#include "prep/engine.h"
#include "prep/faces.h"

typedef struct finder { tinyface boxes; landmarks points; float *memory; } finder;

static void finder_close(void *state)
{
    finder *f = state;
    mem_free(f->memory);
    mem_free(f);
}

/* ---- weights: filters lie as [height, width, in, out], depthwise ones as [height, width, channels, 1], matrices as [in, out] ---- */

typedef struct binding { const st_file *file; float *to; const char *missing; size_t room; } binding;

static void bind_one(void *user, const param *p)
{
    binding *b = user;
    const st_tensor *t = st_find(b->file, p->name);
    size_t n = (size_t)param_count(p), area = p->rank == 4 ? (size_t)(p->shape[2] * p->shape[3]) : 1, out = (size_t)p->shape[0], in = p->rank > 1 ? (size_t)p->shape[1] : 1;
    if (b->missing) return;
    if (!t || t->count != n || n > b->room) {
        b->missing = t ? t->name : p->w ? p->w->name : "bias";
        return;
    }
    const float *from = t->data;
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t k = 0; k < area; k++) b->to[(o * in + i) * area + k] = from[(k * in + i) * out + o];
    if (p->w) {
        p->w->part[0].type = DT_F32;
        p->w->part[0].data = b->to;
    } else {
        *p->fp32 = b->to;
    }
    b->to += n;
    b->room -= n;
}

static void count_one(void *user, const param *p) { *(size_t *)user += (size_t)param_count(p); }

static dreamo_status read_weights(const char *folder, const char *name, void *network, void (*visit)(void *, param_visitor, void *), float *to, dreamo_error *err)
{
    st_file file;
    char *path = path_join(folder, name);
    size_t n = 0;
    if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", folder);
    dreamo_status s = tfjs_open(path, &file, err);
    if (!s) {
        visit(network, count_one, &n);
        binding b = { &file, to, NULL, n };
        visit(network, bind_one, &b);
        if (b.missing) s = fail(err, DREAMO_FORMAT, "%s: %s is missing, or of another shape than face-api's", path, b.missing);
        st_close(&file);
    }
    mem_free(path);
    return s;
}

static void visit_boxes(void *m, param_visitor fn, void *user) { tinyface_visit(m, fn, user); }
static void visit_points(void *m, param_visitor fn, void *user) { landmarks_visit(m, fn, user); }

/* ---- pictures ---- */

/* A box of the picture, moved into a square of `side` pixels with black around it, to `out` pixels a side.  Pixel i of a line comes from i * side / out. */
typedef struct square { int x, y, width, height, side, left, top; } square;

static void sample(const bitmap *b, square q, int out, const float mean[3], float scale, float *to)
{
    float step = (float)q.side / (float)out;
    for (int i = 0; i < out * out; i++) {
        float fy = (float)(i / out) * step, fx = (float)(i % out) * step;
        int y0 = (int)fy, x0 = (int)fx;
        float wy = fy - (float)y0, wx = fx - (float)x0;
        for (int c = 0; c < 3; c++) {
            float v[4];
            for (int k = 0; k < 4; k++) {
                int y = (y0 + k / 2 < q.side ? y0 + k / 2 : q.side - 1) - q.top, x = (x0 + k % 2 < q.side ? x0 + k % 2 : q.side - 1) - q.left;
                bool inside = y >= 0 && y < q.height && x >= 0 && x < q.width;
                v[k] = inside ? b->data[((size_t)(q.y + y) * (size_t)b->width + (size_t)(q.x + x)) * 3 + (size_t)c] : 0;
            }
            float above = v[0] + (v[1] - v[0]) * wx, below = v[2] + (v[3] - v[2]) * wx;
            to[3 * i + c] = (above + (below - above) * wy - mean[c]) * scale;
        }
    }
}

/* ---- boxes ---- */

typedef struct job { const finder *f; float *x, *y; } job;

static void run_boxes(nn *cx, void *user)
{
    const job *j = user;
    tensor_read(cx, tinyface_cells(cx, &j->f->boxes, tensor_from(cx, TINYFACE_SIDE * TINYFACE_SIDE, 3, j->x)), j->y);
}

static void run_points(nn *cx, void *user)
{
    const job *j = user;
    tensor_read(cx, landmarks_points(cx, &j->f->points, tensor_from(cx, LANDMARKS_SIDE * LANDMARKS_SIDE, 3, j->x)), j->y);
}

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

static dreamo_status collect(const float *cells, float side, float threshold, face_list *out, dreamo_error *err)
{
    static const float anchors[TINYFACE_ANCHORS][2] = { { 1.603231f, 2.094468f }, { 6.041143f, 7.080126f }, { 2.882459f, 3.518061f }, { 4.266906f, 5.178857f }, { 9.041765f, 10.66308f } };
    const float unit = side / TINYFACE_CELLS;
    for (int i = 0; i < TINYFACE_CELLS * TINYFACE_CELLS * TINYFACE_ANCHORS; i++) {
        const float *t = cells + 5 * i, *anchor = anchors[i % TINYFACE_ANCHORS];
        int cell = i / TINYFACE_ANCHORS;
        float score = sigmoid(t[4]);
        if (score > out->best) out->best = score;
        if (!(score > threshold)) continue;
        float cx = ((float)(cell % TINYFACE_CELLS) + sigmoid(t[0])) * unit, cy = ((float)(cell / TINYFACE_CELLS) + sigmoid(t[1])) * unit;
        float w = expf(t[2]) * anchor[0] * unit, h = expf(t[3]) * anchor[1] * unit;
        face f = { .box = { cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2 }, .score = score };
        if (!faces_add(out, &f)) return fail(err, DREAMO_MEMORY, "no memory for a list of faces");
    }
    return faces_settle(out, 0.4f) ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a list of faces");
}

/* ---- points ---- */

/* What of the box lies in the picture, in whole pixels, as face-api cuts it: floors first, then the border, then floors again. */
static bool cut_box(const float box[4], int width, int height, square *out)
{
    float x = floorf(box[0]), y = floorf(box[1]), right = x + floorf(box[2] - box[0]), bottom = y + floorf(box[3] - box[1]);
    float left = fmaxf(x, 0), top = fmaxf(y, 0);
    float w = floorf(fminf(right - left, (float)width - left)), h = floorf(fminf(bottom - top, (float)height - top));
    if (!(w >= 1 && h >= 1)) return false;
    *out = (square){ .x = (int)left, .y = (int)top, .width = (int)w, .height = (int)h };
    out->side = out->width > out->height ? out->width : out->height;
    /* the larger half of what is missing comes after */
    out->left = (out->side - out->width) - (out->side - out->width + 1) / 2;
    out->top = (out->side - out->height) - (out->side - out->height + 1) / 2;
    return true;
}

static void mean_of(const float *points, int from, int to, float out[2])
{
    for (int k = 0; k < 2; k++) {
        out[k] = 0;
        for (int i = from; i <= to; i++) out[k] += points[2 * i + k] / (float)(to - from + 1);
    }
}

/* 0..1 of the square to pixels; the five of the 68 (spec 6.2). */
static void place(face *f, const square *q, float *points)
{
    float longest = (float)q->side, pad_x = (longest - (float)q->width) / 2, pad_y = (longest - (float)q->height) / 2;
    for (int i = 0; i < LANDMARKS; i++) {
        points[2 * i] = points[2 * i] * longest - pad_x + f->box[0];
        points[2 * i + 1] = points[2 * i + 1] * longest - pad_y + f->box[1];
    }
    mean_of(points, 36, 41, f->landmark[0]);
    mean_of(points, 42, 47, f->landmark[1]);
    mean_of(points, 30, 30, f->landmark[2]);
    mean_of(points, 48, 48, f->landmark[3]);
    mean_of(points, 54, 54, f->landmark[4]);
}

static dreamo_status find_points(job *j, device *dev, const bitmap *rgb, face_list *out, dreamo_error *err)
{
    static const float mean[3] = { 122.782f, 117.001f, 104.298f };
    dreamo_status s = DREAMO_OK;
    int kept = 0;
    for (int i = 0; i < out->n && !s; i++) {
        square q;
        if (!cut_box(out->faces[i].box, rgb->width, rgb->height, &q)) continue; /* in the part that was filled up */
        sample(rgb, q, LANDMARKS_SIDE, mean, 1 / 255.0f, j->x);
        s = net_run(dev, run_points, j, NULL, NULL, err);
        out->faces[kept] = out->faces[i];
        if (!s) place(&out->faces[kept++], &q, j->y);
    }
    out->n = kept;
    return s;
}

static dreamo_status find(void *state, device *dev, const bitmap *rgb, float threshold, face_list *out, prep_progress tell, void *user, dreamo_error *err)
{
    static const float mean[3] = { 117.001f, 114.697f, 97.404f };
    square all = { 0, 0, rgb->width, rgb->height, rgb->width > rgb->height ? rgb->width : rgb->height, 0, 0 };
    job j = { state, mem_alloc(sizeof(float) * 3 * TINYFACE_SIDE * TINYFACE_SIDE), mem_alloc(sizeof(float) * TINYFACE_CELLS * TINYFACE_CELLS * TINYFACE_COLUMNS) };
    dreamo_status s = j.x && j.y ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory to look for faces");
    if (!s) {
        sample(rgb, all, TINYFACE_SIDE, mean, 1 / 256.0f, j.x);
        s = net_run(dev, run_boxes, &j, tell, user, err);
    }
    if (!s) s = collect(j.y, (float)all.side, threshold, out, err);
    if (!s) s = find_points(&j, dev, rgb, out, err);
    mem_free(j.x);
    mem_free(j.y);
    return s;
}

dreamo_status faceapi_finder(const char *folder, face_net *out, dreamo_error *err)
{
    size_t boxes = 0, points = 0;
    finder *f = mem_calloc(1, sizeof *f);
    if (!f) return fail(err, DREAMO_MEMORY, "%s: no memory for the network", folder);
    tinyface_shape(&f->boxes);
    landmarks_shape(&f->points);
    tinyface_visit(&f->boxes, count_one, &boxes);
    landmarks_visit(&f->points, count_one, &points);
    f->memory = mem_alloc((boxes + points) * sizeof *f->memory);
    dreamo_status s = f->memory ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for the network", folder);
    if (!s) s = read_weights(folder, "tiny_face_detector_model-weights_manifest.json", &f->boxes, visit_boxes, f->memory, err);
    if (!s) s = read_weights(folder, "face_landmark_68_model-weights_manifest.json", &f->points, visit_points, f->memory + boxes, err);
    if (s) finder_close(f);
    else *out = (face_net){ "face-api", 0.5f, f, finder_close, find };
    return s;
}
