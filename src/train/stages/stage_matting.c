/* stage_matting.c - the network that cuts things out, on composed pictures whose matte is known (data/matte/).
 *
 * Photographs come from the folders photos/ and cutouts/ of the dataset, where there are any; without, drawn things stand before drawn scenes and walls.
 * Validation is on things, persons and photographs that training never shows, beside what the plain-background cutter makes of the same. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/matte/matte.h"
#include "prep/plain.h"
#include "train/export.h"
#include "train/flow/encode.h"
#include "train/init.h"
#include "train/stages/matting_loss.h"
#include "train/stages/stage.h"

enum { VALIDATION_MICRO = 8, SIZE_STREAM = 0x4d415454, SHEET_COLUMNS = 4 };

typedef struct matting_stage {
    matte_pictures pictures;
    int n, side;               /* of the micro-batch */
    int most, longest;         /* room for so many pictures of so many pixels a side */
    unsigned char *rgb;        /* [most, side, side, 3] */
    unsigned char *alpha;      /* [most, side, side] */
    float *pixels, *logits, *grad;
    double part[2], loss;
    bool backward;
} matting_stage;

static size_t area(const matting_stage *m) { return (size_t)(m->side * m->side); }

/* ---- samples ---- */

typedef struct draw_job { const stage *s; data_split split; int64_t first; } draw_job;

static dreamo_status draw(void *arg, int i, dreamo_error *err)
{
    const draw_job *d = arg;
    const matting_stage *m = d->s->self;
    size_t n = area(m), at = (size_t)i * n;
    bitmap picture;
    unsigned char *alpha;
    dreamo_status s = matte_make(d->s->data, &m->pictures, d->split, (uint64_t)d->s->r->seed, (uint64_t)(d->first + i), m->side, &picture, &alpha, err);
    if (s) return s;
    memcpy(m->rgb + 3 * at, picture.data, 3 * n);
    memcpy(m->alpha + at, alpha, n);
    pixels_from_rgb(picture.data, 3 * n, m->pixels + 3 * at);
    bitmap_free(&picture);
    mem_free(alpha);
    return DREAMO_OK;
}

static dreamo_status compose(stage *s, data_split split, int64_t first, int n, int side, dreamo_error *err)
{
    matting_stage *m = s->self;
    draw_job job = { s, split, first };
    m->n = n, m->side = side;
    return stage_each(s, n, draw, &job, err);
}

/* ---- opening ---- */

static dreamo_status make_room(stage *s, dreamo_error *err)
{
    matting_stage *m = s->self;
    const mixture *sizes = &s->r->pictures;
    m->longest = s->n.matting->config.side;
    for (int i = 0; i < sizes->n; i++) {
        if (sizes->part[i].a != sizes->part[i].b || !sizes->part[i].a) return fail(err, DREAMO_ARG, "pictures = %dx%d: the matting network learns from squares", sizes->part[i].a, sizes->part[i].b);
        if (sizes->part[i].a > m->longest) m->longest = sizes->part[i].a;
    }
    m->most = (int)(s->r->micro > VALIDATION_MICRO ? s->r->micro : VALIDATION_MICRO);
    size_t n = (size_t)m->most * (size_t)m->longest * (size_t)m->longest;
    m->rgb = mem_alloc(3 * n);
    m->alpha = mem_alloc(n);
    m->pixels = mem_alloc(3 * n * sizeof(float));
    m->logits = mem_alloc(n * sizeof(float));
    m->grad = mem_alloc(n * sizeof(float));
    return m->rgb && m->alpha && m->pixels && m->logits && m->grad ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d pictures", m->most);
}

static dreamo_status open_matting(stage *s, dreamo_error *err)
{
    matting_stage *m = s->self = mem_calloc(1, sizeof *m);
    if (!m) return fail(err, DREAMO_MEMORY, "no memory for a stage");
    dreamo_status status = network_open(&s->n, s->model, NULL, 1u << PART_MATTING, 1u << PART_MATTING, err);
    if (status) return status;
    network_hash(&s->n, s->frozen_hash);
    if (s->r->micro > 1024) return fail(err, DREAMO_ARG, "micro = %lld: the matting network takes at most 1024", (long long)s->r->micro);
    status = stage_check_sizes(s, matting_cell(&s->n.matting->config), err);
    if (!status) status = make_room(s, err);
    if (!status && s->data) status = matte_pictures_open(s->data_path, &m->pictures, err);
    if (!status) status = params_add_network(&s->p, "", s->n.matting, network_walker(PART_MATTING), err);
    if (!status) status = params_allocate(&s->p, s->r->ema > 0, err);
    if (status) return status;
    s->in_networks = params_total(&s->p);
    params_attach(&s->p, 0, s->n.matting, network_walker(PART_MATTING));
    if (s->n.fresh[PART_MATTING]) init_network(&s->p, 0, &s->n, PART_MATTING, (uint64_t)s->r->seed);
    return DREAMO_OK;
}

static void close_matting(stage *s)
{
    matting_stage *m = s->self;
    if (!m) return;
    matte_pictures_free(&m->pictures);
    mem_free(m->rgb);
    mem_free(m->alpha);
    mem_free(m->pixels);
    mem_free(m->logits);
    mem_free(m->grad);
    mem_free(m);
}

static void use_matting(stage *s, const float *vector) { params_use(&s->p, vector, 0, s->n.matting, network_walker(PART_MATTING)); }

/* ---- steps ---- */

/* The loss is computed from the log odds on the host. */
static void pass(nn *cx, void *job)
{
    stage *s = job;
    matting_stage *m = s->self;
    int rows = m->n * m->side * m->side;
    tensor x = matting_logits(cx, s->n.matting, tensor_from(cx, rows, 3, m->pixels), (grid){ m->n, m->side, m->side });
    if (!nn_ok(cx)) return;
    if (!nn_device(cx)->be->dry) {
        tensor_read(cx, x, m->logits);
        if (!m->backward) return;
        m->loss = matting_loss(m->logits, m->alpha, m->n, (int)area(m), m->grad, m->part);
    }
    if (m->backward) stage_backward(cx, x, m->logits, m->grad);
}

static dreamo_status micro_matting(stage *s, int64_t first, int of, log_step *out, dreamo_error *err)
{
    matting_stage *m = s->self;
    rng r = rng_new((uint64_t)s->r->seed ^ SIZE_STREAM, (uint64_t)first);
    m->backward = true;
    dreamo_status status = compose(s, DATA_TRAIN, first, (int)s->r->micro, mixture_draw(&s->r->pictures, &r)->a, err);
    if (!status) status = sized_step(&s->tape, true, pass, s, err);
    if (status) return status;
    out->loss += m->loss / of;
    out->nparts = 2;
    for (int i = 0; i < 2; i++) {
        out->part[i].name = i ? "jaccard" : "entropy";
        out->part[i].value += m->part[i] / of;
    }
    return DREAMO_OK;
}

static dreamo_status plan_matting(stage *s, nn_counts *counts, int64_t *tokens, dreamo_error *err)
{
    matting_stage *m = s->self;
    m->backward = true;
    m->n = (int)s->r->micro;
    m->side = 0;
    for (int i = 0; i < s->r->pictures.n; i++) m->side = s->r->pictures.part[i].a > m->side ? s->r->pictures.part[i].a : m->side;
    dreamo_status status = sized_measure(&s->tape, pass, s, err);
    *counts = s->tape.last;
    *tokens = (int64_t)m->n * m->side * m->side;
    return status;
}

/* ---- held-out samples ---- */

/* Held-out samples first .. first + n - 1 at the network's own size; their log odds become masks in 0 .. 1. */
static dreamo_status look(stage *s, int64_t first, int n, dreamo_error *err)
{
    matting_stage *m = s->self;
    m->backward = false;
    dreamo_status status = compose(s, DATA_VAL, first, n, s->n.matting->config.side, err);
    if (!status) status = sized_step(&s->plain, true, pass, s, err);
    for (size_t i = 0; i < (size_t)n * area(m) && !status; i++) m->logits[i] = 1 / (1 + expf(-m->logits[i]));
    return status;
}

/* What the plain-background cutter makes of picture i: a mask in 0 .. 1. */
static dreamo_status cut_plainly(const matting_stage *m, int i, unsigned char *mask, float *p, dreamo_error *err)
{
    bitmap rgb = { .width = m->side, .height = m->side, .channels = 3, .data = m->rgb + 3 * (size_t)i * area(m) };
    dreamo_status s = plain_mask(&rgb, mask, err);
    for (size_t k = 0; k < area(m) && !s; k++) p[k] = mask[k] / 255.0f;
    return s;
}

static dreamo_status validate_matting(stage *s, train_log *log, int64_t step, dreamo_error *err)
{
    matting_stage *m = s->self;
    int count = (int)s->r->validation, side = s->n.matting->config.side;
    double sum[4] = { 0 }, error, jaccard;
    if (!count || !data_can(s->data, DATA_SUBJECT, DATA_VAL)) return DREAMO_OK;
    unsigned char *mask = mem_alloc((size_t)side * (size_t)side);
    float *p = mem_alloc((size_t)side * (size_t)side * sizeof *p);
    dreamo_status status = mask && p ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a mask of %d x %d pixels", side, side);
    for (int at = 0; at < count && !status; at += VALIDATION_MICRO) {
        int n = count - at < VALIDATION_MICRO ? count - at : VALIDATION_MICRO;
        status = look(s, at, n, err);
        for (int i = 0; i < n && !status; i++) {
            const unsigned char *alpha = m->alpha + (size_t)i * area(m);
            matting_measure(m->logits + (size_t)i * area(m), alpha, (int)area(m), &error, &jaccard);
            sum[0] += error / count, sum[1] += jaccard / count;
            status = cut_plainly(m, i, mask, p, err);
            if (!status) matting_measure(p, alpha, (int)area(m), &error, &jaccard);
            sum[2] += error / count, sum[3] += jaccard / count;
        }
    }
    mem_free(mask);
    mem_free(p);
    if (status) return status;
    log_part parts[] = { { "error", sum[0] }, { "iou", sum[1] }, { "plain_error", sum[2] }, { "plain_iou", sum[3] } };
    log_note(log, "step %lld: held-out mattes are off by %.4f, IoU %.3f (plain background: %.4f, %.3f)", (long long)step, sum[0], sum[1], sum[2], sum[3]);
    return log_numbers(log, step, "validation", parts, 4, err);
}

static dreamo_status export_matting(stage *s, const char *folder, dreamo_error *err)
{
    char *path = mem_printf("%s/matting/model.safetensors", folder);
    dreamo_status status = path ? export_weights(path, &s->p, s->p.ema ? s->p.ema : s->p.value, 0, s->p.n, "", s->r->export_bf16, err)
                                : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    mem_free(path);
    return status;
}

/* Three squares a sample: the picture, what was found on white, what is true on white. */
static void put_sample(const matting_stage *m, bitmap *sheet, int i, int left, int top)
{
    const unsigned char *rgb = m->rgb + 3 * (size_t)i * area(m), *alpha = m->alpha + (size_t)i * area(m);
    const float *p = m->logits + (size_t)i * area(m);
    for (int y = 0; y < m->side; y++)
        for (int x = 0; x < m->side; x++) {
            size_t at = (size_t)y * (size_t)m->side + (size_t)x;
            for (int k = 0; k < 3; k++) {
                float share[3] = { 1, p[at], alpha[at] / 255.0f };
                for (int c = 0; c < 3; c++)
                    sheet->data[3 * ((size_t)(top + y) * (size_t)sheet->width + (size_t)(left + k * m->side + x)) + (size_t)c] =
                        (unsigned char)(255 + share[k] * (rgb[3 * at + (size_t)c] - 255.0f) + 0.5f);
            }
        }
}

static dreamo_status sheet_matting(stage *s, const char *model, const char *path, dreamo_error *err)
{
    matting_stage *m = s->self;
    int count = (int)s->r->samples, side = s->n.matting->config.side, columns = count < SHEET_COLUMNS ? count : SHEET_COLUMNS;
    bitmap sheet;
    (void)model; /* the same numbers */
    dreamo_status status = bitmap_new(&sheet, 3 * side * columns, side * ((count + columns - 1) / columns), 3, err);
    if (status) return status;
    memset(sheet.data, 128, 3 * (size_t)sheet.width * (size_t)sheet.height);
    for (int i = 0; i < count && !status; i++) {
        status = look(s, i, 1, err);
        if (!status) put_sample(m, &sheet, 0, i % columns * 3 * side, i / columns * side);
    }
    if (!status) status = image_write_png(path, &sheet, NULL, 0, true, err);
    bitmap_free(&sheet);
    return status;
}

const stage_kind stage_matting = { "matting", open_matting, close_matting, micro_matting, plan_matting, use_matting, validate_matting, export_matting,
                                   sheet_matting };
