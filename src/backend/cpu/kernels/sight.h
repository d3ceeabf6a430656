/* sight.h - activations, norms of single channels, pooling, filters of single channels, resampling. */
#ifndef CPU_KERNELS_SIGHT_H
#define CPU_KERNELS_SIGHT_H
#include <float.h>
#include "backend/cpu/kernels/conv.h"

static void activate_rows(const rows_job *j, int row0, int row1)
{
    act a = *(const act *)j->extra;
    for (int r = row0; r < row1; r++) {
        float *y = row(j->t[0], r);
        const float *x = row(j->t[1], r);
        for (int c = 0; c < j->t[0].cols; c += VL) v_storen(y + c, act_value(v_loadn(x + c, j->t[0].cols - c), a), j->t[0].cols - c);
    }
}

static void k_activate(device *dev, tensor y, tensor x, act a)
{
    rows_run(dev, (rows_job){.fn = activate_rows, .t = {y, x}, .extra = &a}, y.rows, y.cols);
}

static void rowscale_rows(const rows_job *j, int row0, int row1)
{
    for (int r = row0; r < row1; r++) {
        float *y = row(j->t[0], r);
        const float *x = row(j->t[1], r);
        vf s = v_set(row(j->t[2], r)[0]);
        for (int c = 0; c < j->t[0].cols; c += VL) v_storen(y + c, v_loadn(x + c, j->t[0].cols - c) * s, j->t[0].cols - c);
    }
}

static void k_rowscale(device *dev, tensor y, tensor x, tensor s)
{
    rows_run(dev, (rows_job){.fn = rowscale_rows, .t = {y, x, s}}, y.rows, y.cols);
}

/* ---- instance norm: two passes of sums in a fixed order, pieces in floats, their totals in double ---- */

typedef struct inorm_job { tensor y, x; const pieces *p; const float *mean, *scale; /* [n][cols] */ int pixels; act a; } inorm_job;

/* Sums of x, or with `mean` of (x - mean)^2. */
static void inorm_sums(void *arg, int task, int worker)
{
    const inorm_job *j = arg;
    piece at = j->p->at[task];
    int cols = j->x.cols;
    float *y = j->p->sums + (size_t)task * (size_t)j->p->width;
    (void)worker;
    for (int c = 0; c < cols; c += 4 * VL)
        for (int i = 0; i < 4 && c + i * VL < cols; i += 1) {
            int at_c = c + i * VL, left = cols - at_c;
            vf sum = v_zero(), mean = j->mean ? v_loadn(j->mean + (size_t)at.sample * (size_t)cols + at_c, left) : v_zero();
            for (int r = at.row0; r < at.row1; r++) {
                vf x = v_loadn(row(j->x, r) + at_c, left) - mean;
                if (j->mean) x *= x;
                sum += x;
            }
            v_storen(y + at_c, sum, left);
        }
}

static void inorm_rows(const rows_job *r, int row0, int row1)
{
    const inorm_job *j = r->extra;
    int cols = j->x.cols;
    for (int i = row0; i < row1; i++) {
        float *y = row(j->y, i);
        const float *x = row(j->x, i);
        const float *mean = j->mean + (size_t)(i / j->pixels) * (size_t)cols, *scale = j->scale + (size_t)(i / j->pixels) * (size_t)cols;
        for (int c = 0; c < cols; c += VL)
            v_storen(y + c, act_value((v_loadn(x + c, cols - c) - v_loadn(mean + c, cols - c)) * v_loadn(scale + c, cols - c), j->a), cols - c);
    }
}

static void k_instancenorm(device *dev, tensor y, tensor x, grid g, float eps, act a)
{
    size_t n = (size_t)g.n * (size_t)x.cols, spans = ((size_t)g.n * sizeof(span) + 63) / 64 * 16;
    float *memory = cpu_scratch(dev, CPU_WORK, spans + 4 * n + 16);
    if (!memory || !n) return;
    span *pictures = (span *)memory;
    float *mean = memory + spans, *scale = mean + n;
    double *total = (double *)(memory + spans + (2 * n + 1) / 2 * 2);
    for (int i = 0; i < g.n; i++) pictures[i] = (span){i * g.h * g.w, g.h * g.w, i};
    pieces p = pieces_cut(dev, (layout){g.n, g.n, pictures}, x.cols, x.cols);
    if (!p.at) return;
    inorm_job j = {.y = y, .x = x, .p = &p, .scale = scale, .pixels = g.h * g.w, .a = a};
    for (int pass = 0; pass < 2; pass++) {
        pool_run(dev->threads, p.n, inorm_sums, &j);
        memset(total, 0, n * sizeof *total);
        for (int i = 0; i < p.n; i++)
            for (int c = 0; c < x.cols; c++) total[(size_t)p.at[i].sample * (size_t)x.cols + (size_t)c] += p.sums[(size_t)i * (size_t)p.width + (size_t)c];
        for (size_t i = 0; i < n; i++) {
            double s = total[i] / j.pixels;
            if (pass) scale[i] = (float)(1 / sqrt(s + (double)eps));
            else mean[i] = (float)s;
        }
        j.mean = mean;
    }
    rows_run(dev, (rows_job){.fn = inorm_rows, .extra = &j}, y.rows, y.cols);
}

/* ---- what looks at some pixels of each channel: one job row a row of output pixels ---- */

typedef struct sight_job { grid g, to; reach r; resampling how; const float *filter, *bias; /* [taps][cols], [cols] */ int cols; } sight_job;

/* Rows of the picture that output row oy of picture n sees: its pixel (i, j) for output pixel ox, or NULL outside. */
INLINE const float *sight_pixel(const sight_job *s, tensor x, int n, int oy, int ox, int i, int k)
{
    int y = oy * s->r.stride - s->r.before + i * s->r.dilation, xx = ox * s->r.stride - s->r.before + k * s->r.dilation;
    return y < 0 || y >= s->g.h || xx < 0 || xx >= s->g.w ? NULL : row(x, (n * s->g.h + y) * s->g.w + xx);
}

static void maxpool_rows(const rows_job *j, int row0, int row1)
{
    const sight_job *s = j->extra;
    for (int r = row0 * s->r.w; r < row1 * s->r.w; r++) {
        int n = r / (s->r.w * s->r.h), oy = r / s->r.w % s->r.h, ox = r % s->r.w, side = s->r.side;
        for (int c = 0; c < s->cols; c += VL) {
            vf top = v_set(-INFINITY), lost = v_zero(); /* v_max keeps the last NaN only: `lost` keeps any */
            for (int i = 0; i < side * side; i++) {
                const float *p = sight_pixel(s, j->t[1], n, oy, ox, i / side, i % side);
                if (!p) continue;
                vf x = v_loadn(p + c, s->cols - c);
                top = v_max(top, x);
                lost = v_fma(v_min(v_set(FLT_MAX), v_max(v_set(-FLT_MAX), x)), v_zero(), lost);
            }
            v_storen(row(j->t[0], r) + c, top + lost, s->cols - c);
        }
    }
}

static void k_maxpool(device *dev, tensor y, tensor x, grid g, reach r)
{
    sight_job s = {.g = g, .r = r, .cols = x.cols};
    rows_run(dev, (rows_job){.fn = maxpool_rows, .t = {y, x}, .extra = &s}, g.n * r.h, r.w * r.side * r.side * x.cols);
}

static void depthwise_rows(const rows_job *j, int row0, int row1)
{
    const sight_job *s = j->extra;
    for (int r = row0 * s->r.w; r < row1 * s->r.w; r++) {
        int n = r / (s->r.w * s->r.h), oy = r / s->r.w % s->r.h, ox = r % s->r.w, side = s->r.side;
        for (int c = 0; c < s->cols; c += VL) {
            vf sum = s->bias ? v_loadn(s->bias + c, s->cols - c) : v_zero();
            for (int i = 0; i < side * side; i++) {
                const float *p = sight_pixel(s, j->t[1], n, oy, ox, i / side, i % side);
                if (p) sum = v_fma(v_loadn(p + c, s->cols - c), v_loadn(s->filter + i * s->cols + c, s->cols - c), sum);
            }
            v_storen(row(j->t[0], r) + c, sum, s->cols - c);
        }
    }
}

static void k_depthwise(device *dev, tensor y, tensor x, grid g, const weight *w, reach r)
{
    int taps_n = r.side * r.side;
    const weight_part *p = &w->part[0];
    float *filter = cpu_scratch(dev, CPU_WORK, (size_t)taps_n * (size_t)x.cols);
    if (!filter) return;
    for (int c = 0; c < x.cols; c++)
        for (int t = 0; t < taps_n; t++) {
            size_t at = (size_t)c * (size_t)taps_n + (size_t)t;
            float v = p->type == DT_F32 ? load_as(DT_F32, p->data, at) : p->type == DT_BF16 ? load_as(DT_BF16, p->data, at) : load_as(DT_F16, p->data, at);
            filter[t * x.cols + c] = p->row_scale ? v * p->row_scale[c] : v;
        }
    sight_job s = {.g = g, .r = r, .cols = x.cols, .filter = filter, .bias = p->bias};
    rows_run(dev, (rows_job){.fn = depthwise_rows, .t = {y, x}, .extra = &s}, g.n * r.h, r.w * taps_n * x.cols);
}

static void boxmean_rows(const rows_job *j, int row0, int row1)
{
    const sight_job *s = j->extra;
    int bh = s->g.h / s->to.h, bw = s->g.w / s->to.w;
    vf part = v_set(1.0f / (float)(bh * bw));
    for (int r = row0 * s->to.w; r < row1 * s->to.w; r++) {
        int first = r / s->to.w * bh * s->g.w + r % s->to.w * bw; /* pictures follow each other in rows of pixels, too */
        for (int c = 0; c < s->cols; c += VL) {
            vf sum = v_zero();
            for (int i = 0; i < bh; i++) {
                vf line = v_zero();
                for (int k = 0; k < bw; k++) line += v_loadn(row(j->t[1], first + i * s->g.w + k) + c, s->cols - c);
                sum += line;
            }
            v_storen(row(j->t[0], r) + c, sum * part, s->cols - c);
        }
    }
}

static void k_boxmean(device *dev, tensor y, tensor x, grid g, grid to)
{
    sight_job s = {.g = g, .to = to, .cols = x.cols};
    rows_run(dev, (rows_job){.fn = boxmean_rows, .t = {y, x}, .extra = &s}, g.n * to.h, imin(g.h / to.h * g.w * x.cols, 1 << 20));
}

static void resample_rows(const rows_job *j, int row0, int row1)
{
    const sight_job *s = j->extra;
    for (int line = row0; line < row1; line++) {
        int n = line / s->to.h, y0, y1, x0, x1;
        vf fy = v_set(sample_at(line % s->to.h, s->g.h, s->to.h, s->how, &y0, &y1)), one = v_set(1.0f);
        y0 = (n * s->g.h + y0) * s->g.w, y1 = (n * s->g.h + y1) * s->g.w;
        for (int x = 0; x < s->to.w; x++) {
            float *y = row(j->t[0], line * s->to.w + x);
            vf fx = v_set(sample_at(x, s->g.w, s->to.w, s->how, &x0, &x1));
            const float *a = row(j->t[1], y0 + x0), *b = row(j->t[1], y0 + x1), *c = row(j->t[1], y1 + x0), *d = row(j->t[1], y1 + x1);
            if (s->how == SAMPLE_NEAREST) {
                memcpy(y, a, sizeof(float) * (size_t)s->cols);
                continue;
            }
            for (int i = 0; i < s->cols; i += VL) {
                int left = s->cols - i;
                vf top = v_loadn(a + i, left) * (one - fx) + v_loadn(b + i, left) * fx, low = v_loadn(c + i, left) * (one - fx) + v_loadn(d + i, left) * fx;
                v_storen(y + i, top * (one - fy) + low * fy, left);
            }
        }
    }
}

static void k_resample(device *dev, tensor y, tensor x, grid g, grid to, resampling how)
{
    sight_job s = {.g = g, .to = to, .how = how, .cols = x.cols};
    rows_run(dev, (rows_job){.fn = resample_rows, .t = {y, x}, .extra = &s}, g.n * to.h, to.w * x.cols);
}
#endif
