/* conv.h - convolutions without im2col.
 *
 * A task copies a block of the picture with its zero border into its cache (channels-last, [rows][cols][channels]); there
 * the pixels under one filter tap are rows at a constant distance, which is what the micro-kernel wants, one segment of
 * k a tap.  Forward, gradient of the input (the same with the taps turned over; for stride 2 once for each parity of the
 * input pixel) and gradient of the weights share the copied block. */
#ifndef CPU_KERNELS_CONV_H
#define CPU_KERNELS_CONV_H
#include "backend/cpu/kernels/elementwise.h"
#include "backend/cpu/kernels/linear.h"

enum { CONV_TAPS = 49, CONV_CHANNELS = 128, CONV_COLS = 64, CONV_PIXELS = 256 };

/* What is multiplied: for output pixel (oy, ox) tap t sees source pixel (oy step + dy[t], ox step + dx[t]).  Taps come row by
 * row, from left to right, `run` in a row: in a copied block the channels under a row of taps are contiguous, one long
 * segment of k. */
typedef struct taps { int n, run, dy[CONV_TAPS], dx[CONV_TAPS], at[CONV_TAPS]; /* place in the file's kh x kw */ } taps;

typedef struct conv_job {
    tensor src;              /* [gs pixels, channels] */
    grid gs;
    int step;                /* source pixels from output pixel to output pixel */
    taps t;
    tensor out;              /* its pixel (oy spread + phase_y, ox spread + phase_x) of grid go is written */
    grid go;
    int spread, phase_y, phase_x, oh, ow;
    const float *bias;
    bool add;
    tensor beside;           /* spread 1: added to what comes out, before `act` */
    act act;
    /* weights [outs][channels][taps] in the file's order, strides in numbers */
    const weight_part *w;
    size_t w_out, w_channel;
    int channels, each;      /* channels copied at a time */
    int block_h, block_w;    /* output pixels of a task's block */
    int pad_y, pad_x, patch_h, patch_w; /* border before, size of the copied block */
    float *packed, *work;
    size_t work_each;
    /* weights' gradient, by conv_weight_task: sums [groups][channels / each][outs][taps][each] */
    float *sums;
    int groups, m_each, m_chunks;
} conv_job;

static void conv_extent(conv_job *j)
{
    int y0 = 0, y1 = 0, x0 = 0, x1 = 0;
    for (int i = 0; i < j->t.n; i++) {
        y0 = imin(y0, j->t.dy[i]), y1 = imax(y1, j->t.dy[i]);
        x0 = imin(x0, j->t.dx[i]), x1 = imax(x1, j->t.dx[i]);
    }
    j->pad_y = -y0, j->pad_x = -x0;
    j->block_w = ceil_div(j->ow, ceil_div(j->ow, CONV_COLS));
    j->block_h = imax(1, imin(j->oh, CONV_PIXELS / j->block_w));
    j->patch_h = (j->block_h - 1) * j->step + y1 - y0 + 1;
    j->patch_w = (j->block_w - 1) * j->step + x1 - x0 + 1;
}

/* How many channels are copied at a time, and what a worker's block then takes. */
static void conv_cut_channels(conv_job *j)
{
    int chunks = ceil_div(j->channels, CONV_CHANNELS);
    j->each = round_up(ceil_div(j->channels, chunks), chunks == 1 ? 1 : 16);
    j->work_each = (size_t)round_up(j->patch_h * j->patch_w * j->each + NR, 16);
}

INLINE void conv_copy(float *dst, const float *src, int n)
{
    for (int c = 0; c < n; c += VL) v_storen(dst + c, v_loadn(src + c, n - c), n - c);
}

/* channels c0.. (n of them) of the source under output block (picture, oy, ox) -> patch [patch_h][patch_w][n] */
static void conv_copy_patch(const conv_job *j, float *patch, int picture, int oy, int ox, int c0, int n)
{
    int y0 = oy * j->step - j->pad_y, x0 = ox * j->step - j->pad_x;
    int left = imax(0, -x0), right = imax(left, imin(j->patch_w, j->gs.w - x0)); /* columns left..right lie inside */
    for (int r = 0; r < j->patch_h; r++) {
        float *dst = patch + (size_t)r * (size_t)(j->patch_w * n);
        bool inside = y0 + r >= 0 && y0 + r < j->gs.h;
        int from = inside ? left : 0, to = inside ? right : 0;
        memset(dst, 0, sizeof(float) * (size_t)(from * n));
        memset(dst + to * n, 0, sizeof(float) * (size_t)((j->patch_w - to) * n));
        if (from == to) continue;
        const float *src = row(j->src, (picture * j->gs.h + y0 + r) * j->gs.w + x0 + from) + c0;
        if (j->src.ld == n) conv_copy(dst + from * n, src, (to - from) * n);
        else for (int q = from; q < to; q++, src += j->src.ld) conv_copy(dst + q * n, src, n);
    }
}

/* Where each row of taps begins in a block copied with n channels; returns how many there are. */
INLINE int conv_runs(const conv_job *j, int n, ptrdiff_t *at)
{
    int runs = 0;
    for (int t = 0; t < j->t.n; t += j->t.run) at[runs++] = (ptrdiff_t)((j->pad_y + j->t.dy[t]) * j->patch_w + j->pad_x + j->t.dx[t]) * n;
    return runs;
}

/* Weights -> panels [outs/NR][channels/each][taps][each][NR]; one task a panel. */
static void conv_pack_task(void *arg, int task, int worker)
{
    const conv_job *j = arg;
    (void)worker;
    float *panel = j->packed + (size_t)task * (size_t)(j->channels * j->t.n * NR);
    int n0 = task * NR, outs = j->out.cols;
    for (int i = 0; i < NR; i++)
        for (int c0 = 0; c0 < j->channels; c0 += j->each) {
            int n = imin(j->each, j->channels - c0);
            for (int c = 0; c < n; c++)
                for (int t = 0; t < j->t.n; t++) {
                    size_t at = (size_t)(n0 + i) * j->w_out + (size_t)(c0 + c) * j->w_channel + (size_t)j->t.at[t];
                    float scale = j->w->row_scale && n0 + i < outs ? j->w->row_scale[n0 + i] : 1.0f;
                    float v = n0 + i >= outs ? 0.0f : j->w->type == DT_F32 ? load_as(DT_F32, j->w->data, at)
                              : j->w->type == DT_BF16 ? load_as(DT_BF16, j->w->data, at) : load_as(DT_F16, j->w->data, at);
                    panel[(size_t)((c0 * j->t.n + t * n + c) * NR + i)] = v * scale;
                }
        }
}

INLINE void conv_block_of(const conv_job *j, int task, int *picture, int *oy, int *ox)
{
    int across = ceil_div(j->ow, j->block_w), down = ceil_div(j->oh, j->block_h);
    *ox = task % across * j->block_w;
    *oy = task / across % down * j->block_h;
    *picture = task / across / down;
}

INLINE int conv_blocks(const conv_job *j) { return j->go.n * ceil_div(j->ow, j->block_w) * ceil_div(j->oh, j->block_h); }

/* n output pixels from row `first` on, while they are in the cache. */
INLINE void conv_finish(tensor out, int first, int n, tensor beside, act a)
{
    for (int r = first; r < first + n; r++) {
        float *y = row(out, r);
        const float *b = beside.p ? row(beside, r) : NULL;
        for (int c = 0; c < out.cols; c += VL) {
            vf v = v_loadn(y + c, out.cols - c);
            if (b) v += v_loadn(b + c, out.cols - c);
            v_storen(y + c, act_value(v, a), out.cols - c);
        }
    }
}

static void conv_task(void *arg, int task, int worker)
{
    const conv_job *j = arg;
    float *patch = j->work + (size_t)worker * j->work_each;
    int picture, oy, ox, outs = j->out.cols;
    conv_block_of(j, task, &picture, &oy, &ox);
    int h = imin(j->block_h, j->oh - oy), w = imin(j->block_w, j->ow - ox);
    for (int c0 = 0; c0 < j->channels; c0 += j->each) {
        int n = imin(j->each, j->channels - c0);
        conv_copy_patch(j, patch, picture, oy, ox, c0, n);
        ptrdiff_t run_at[CONV_TAPS];
        int runs = conv_runs(j, n, run_at);
        for (int n0 = 0; n0 < outs; n0 += NR)
            for (int r = 0; r < h; r++) {
                int first = (picture * j->go.h + (oy + r) * j->spread + j->phase_y) * j->go.w + ox * j->spread + j->phase_x;
                tile t = {.a = patch + (ptrdiff_t)(r * j->step * j->patch_w) * n, .lda = (ptrdiff_t)j->step * n, .a_at = run_at,
                          .b = j->packed + (size_t)n0 * (size_t)(j->channels * j->t.n) + (size_t)(c0 * j->t.n * NR),
                          .ldb = NR, .b_step = (ptrdiff_t)(j->t.run * n) * NR, .segments = runs, .k = j->t.run * n,
                          .c = row(j->out, first) + n0, .ldc = (ptrdiff_t)j->out.ld * j->spread,
                          .bias = j->bias && c0 == 0 ? j->bias + n0 : NULL, .add = j->add || c0 > 0};
                micro_strip(t, w, imin(NR, outs - n0), false);
            }
    }
    for (int r = 0; r < h && (j->act || j->beside.p); r++)
        conv_finish(j->out, (picture * j->go.h + oy + r) * j->go.w + ox, w, j->beside, j->act);
}

static void conv_run(device *dev, conv_job j)
{
    conv_extent(&j);
    conv_cut_channels(&j);
    int panels = ceil_div(j.out.cols, NR);
    size_t packed = (size_t)panels * (size_t)(j.channels * j.t.n * NR);
    j.packed = cpu_scratch(dev, CPU_WORK, packed + j.work_each * (size_t)cpu_threads(dev));
    if (!j.packed) return;
    j.work = j.packed + packed;
    pool_run(dev->threads, panels, conv_pack_task, &j);
    pool_run(dev->threads, conv_blocks(&j), conv_task, &j);
}

/* The filter's taps as the forward pass sees them: padding kh/2 all around, or none at left and top with stride 2. */
static taps conv_taps(const weight *w, int stride)
{
    taps t = {.n = w->kh * w->kw, .run = w->kw};
    for (int i = 0; i < t.n; i++) {
        t.dy[i] = i / w->kw - (stride == 2 ? 0 : w->kh / 2);
        t.dx[i] = i % w->kw - (stride == 2 ? 0 : w->kw / 2);
        t.at[i] = i;
    }
    return t;
}

/* Taps that lead back from output gradients to input pixels of parity (py, px): oy stride + dy = y, so for y = stride oy' + py
 * the tap sees oy' + (py - dy)/stride.  Backwards, so that they come from left to right again. */
static taps conv_taps_back(taps f, int stride, int py, int px)
{
    taps t = {0};
    for (int i = f.n - 1; i >= 0; i--) {
        int y = py - f.dy[i], x = px - f.dx[i];
        if (y % stride || x % stride) continue;
        t.dy[t.n] = y / stride, t.dx[t.n] = x / stride, t.at[t.n++] = f.at[i];
        if (t.dy[t.n - 1] == t.dy[0]) t.run = t.n;
    }
    return t;
}

static bool conv_is_linear(const weight *w, int stride) { return w->kh == 1 && w->kw == 1 && stride == 1; }

static void k_conv2d(device *dev, tensor y, tensor x, grid g, const weight *w, int stride)
{
    if (conv_is_linear(w, stride)) {
        k_linear(dev, y, x, w, NO_TENSOR);
        return;
    }
    grid out = {g.n, g.h / stride, g.w / stride};
    size_t area = (size_t)(w->kh * w->kw);
    for (int i = 0, at = 0; i < w->nparts; at += w->part[i++].rows)
        conv_run(dev, (conv_job){.src = x, .gs = g, .step = stride, .t = conv_taps(w, stride), .out = cols_of(y, at, w->part[i].rows), .go = out,
                                 .spread = 1, .oh = out.h, .ow = out.w, .bias = w->part[i].bias, .w = &w->part[i],
                                 .w_out = (size_t)w->in * area, .w_channel = area, .channels = w->in});
}

/* Of any reach, and what comes after it (op_conv). */
static void finish_rows(const rows_job *j, int row0, int row1) { conv_finish(j->t[0], row0, row1 - row0, j->t[1], *(const act *)j->extra); }

static void k_conv(device *dev, tensor y, tensor x, grid g, const weight *w, reach r, tensor beside, act a)
{
    if (r.side == 1 && r.stride == 1) {
        k_linear(dev, y, x, w, NO_TENSOR);
        if (a || beside.p) rows_run(dev, (rows_job){.fn = finish_rows, .t = {y, beside}, .extra = &a}, y.rows, y.cols);
        return;
    }
    taps t = {.n = r.side * r.side, .run = r.dilation == 1 ? r.side : 1};
    for (int i = 0; i < t.n; i++) {
        t.dy[i] = i / r.side * r.dilation - r.before;
        t.dx[i] = i % r.side * r.dilation - r.before;
        t.at[i] = i;
    }
    size_t area = (size_t)t.n;
    conv_run(dev, (conv_job){.src = x, .gs = g, .step = r.stride, .t = t, .out = y, .go = {g.n, r.h, r.w}, .spread = 1, .oh = r.h, .ow = r.w,
                             .bias = w->part[0].bias, .beside = beside, .act = a, .w = &w->part[0], .w_out = (size_t)w->in * area, .w_channel = area,
                             .channels = w->in});
}

/* sums += dy^T patch over the blocks of one group, for some channels and some outs. */
static void conv_weight_task(void *arg, int task, int worker)
{
    const conv_job *j = arg;
    float *patch = j->work + (size_t)worker * j->work_each;
    int m0 = task % j->m_chunks * j->m_each, m = imin(j->m_each, j->out.cols - m0), group = task / j->m_chunks % j->groups;
    int c0 = task / j->m_chunks / j->groups * j->each, n = imin(j->each, j->channels - c0), taps_n = j->t.n;
    float *sums = j->sums + (size_t)group * (size_t)(j->out.cols * taps_n * j->channels) + (size_t)(c0 * j->out.cols * taps_n);
    ptrdiff_t row_at[CONV_PIXELS], run_at[CONV_TAPS];
    int runs = conv_runs(j, n, run_at), blocks = conv_blocks(j), columns = j->t.run * n;
    int begin = (int)((int64_t)blocks * group / j->groups), end = (int)((int64_t)blocks * (group + 1) / j->groups);
    for (int b = begin; b < end; b++) {
        int picture, oy, ox;
        conv_block_of(j, b, &picture, &oy, &ox);
        int h = imin(j->block_h, j->oh - oy), w = imin(j->block_w, j->ow - ox);
        conv_copy_patch(j, patch, picture, oy, ox, c0, n);
        for (int r = 0; r < h; r++) row_at[r] = (ptrdiff_t)r * j->ow * j->out.ld;
        for (int run = 0; run < runs; run++)
            for (int c = 0; c < columns; c += NR) {
                tile u = {.a = row(j->out, (picture * j->oh + oy) * j->ow + ox) + m0, .lda = j->out.ld, .a_at = row_at,
                          .b = patch + run_at[run] + c, .ldb = (ptrdiff_t)j->step * n, .b_step = (ptrdiff_t)j->step * j->patch_w * n,
                          .segments = h, .k = w, .c = sums + (size_t)(m0 * taps_n + run * j->t.run) * (size_t)n + c,
                          .ldc = (ptrdiff_t)taps_n * n, .add = b > begin};
                micro_strip(u, m, imin(NR, columns - c), true);
            }
    }
}

/* sums -> the gradient in the file's order, [outs][channels][taps]; extra: the job. */
static void conv_weight_add(const rows_job *r, int out0, int out1)
{
    const conv_job *j = r->extra;
    int outs = j->out.cols, taps_n = j->t.n;
    for (int o = out0; o < out1; o++)
        for (int c0 = 0; c0 < j->channels; c0 += j->each) {
            int n = imin(j->each, j->channels - c0);
            for (int at = 0; at < taps_n * n; at += VL) { /* tap at / n, channel at % n */
                const float *sum = j->sums + (size_t)(c0 * outs + o * n) * (size_t)taps_n + at;
                float total[VL];
                vf v = v_zero();
                for (int g = 0; g < j->groups; g++) v += v_loadn(sum + (size_t)(g * outs * taps_n) * (size_t)j->channels, taps_n * n - at);
                v_store(total, v);
                for (int i = 0; i < VL && at + i < taps_n * n; i++)
                    r->t[0].p[((size_t)o * (size_t)j->channels + (size_t)(c0 + (at + i) % n)) * (size_t)taps_n + (size_t)j->t.at[(at + i) / n]] += total[i];
            }
        }
}

static void conv_weight_gradient(device *dev, conv_job j, float *grad)
{
    conv_extent(&j);
    conv_cut_channels(&j);
    int outs = j.out.cols, chunks = ceil_div(j.channels, j.each), wanted = cpu_threads(dev) == 1 ? 1 : 3 * cpu_threads(dev);
    j.m_chunks = imax(1, imin(ceil_div(wanted, chunks), outs / (4 * MR)));
    j.m_each = round_up(ceil_div(outs, j.m_chunks), MR);
    j.m_chunks = ceil_div(outs, j.m_each);
    j.groups = imax(1, imin(ceil_div(wanted, chunks * j.m_chunks), conv_blocks(&j)));
    size_t total = (size_t)j.groups * (size_t)outs * (size_t)(j.t.n * j.channels);
    total = (total + 15) / 16 * 16;
    j.sums = cpu_scratch(dev, CPU_WORK, total + j.work_each * (size_t)cpu_threads(dev));
    if (!j.sums) return;
    j.work = j.sums + total;
    pool_run(dev->threads, chunks * j.groups * j.m_chunks, conv_weight_task, &j);
    rows_run(dev, (rows_job){.fn = conv_weight_add, .t = {{.p = grad}}, .extra = &j}, outs, j.channels * j.t.n);
}

static void k_conv2d_backward(device *dev, tensor dx, tensor dy, tensor x, grid g, const weight *w, int stride)
{
    if (conv_is_linear(w, stride)) {
        k_linear_backward(dev, dx, dy, x, w, NO_TENSOR);
        return;
    }
    grid out = {g.n, g.h / stride, g.w / stride};
    size_t area = (size_t)(w->kh * w->kw);
    taps forward = conv_taps(w, stride);
    for (int i = 0, at = 0; i < w->nparts; at += w->part[i++].rows) {
        const weight_part *p = &w->part[i];
        tensor d = cols_of(dy, at, p->rows);
        for (int phase = 0; dx.p && phase < stride * stride; phase++) {
            int py = phase / stride, px = phase % stride;
            conv_run(dev, (conv_job){.src = d, .gs = out, .step = 1, .t = conv_taps_back(forward, stride, py, px), .out = dx, .go = g,
                                     .spread = stride, .phase_y = py, .phase_x = px, .oh = ceil_div(g.h - py, stride), .ow = ceil_div(g.w - px, stride),
                                     .add = true, .w = p, .w_out = area, .w_channel = (size_t)w->in * area, .channels = p->rows});
        }
        if (p->grad)
            conv_weight_gradient(dev, (conv_job){.src = x, .gs = g, .step = stride, .t = forward, .out = d, .go = out, .spread = 1,
                                                 .oh = out.h, .ow = out.w, .channels = w->in}, p->grad);
        if (p->grad_bias) colsum_add(dev, p->grad_bias, d);
    }
}

/* ---- moving pixels: upsampling, space to depth ---- */

/* t = {wide, small}; one job row a row of pixels of the small picture */
static void upsample_rows(const rows_job *j, int row0, int row1)
{
    for (int r = row0; r < row1; r++)
        for (int x = 0; x < j->g.w; x++)
            for (int k = 0; k < 4; k++)
                memcpy(row(j->t[0], ((2 * r + k / 2) * j->g.w + x) * 2 + k % 2), row(j->t[1], r * j->g.w + x), sizeof(float) * (size_t)j->t[1].cols);
}

static void upsample_back_rows(const rows_job *j, int row0, int row1)
{
    for (int r = row0; r < row1; r++)
        for (int x = 0; x < j->g.w; x++)
            for (int k = 0; k < 4; k++)
                add_row(row(j->t[0], r * j->g.w + x), row(j->t[1], ((2 * r + k / 2) * j->g.w + x) * 2 + k % 2), j->t[0].cols);
}

static void k_upsample2x(device *dev, tensor y, tensor x, grid g)
{
    rows_run(dev, (rows_job){.fn = upsample_rows, .t = {y, x}, .g = g}, g.n * g.h, 4 * g.w * x.cols);
}

static void k_upsample2x_backward(device *dev, tensor dx, tensor dy, grid g)
{
    if (dx.p) rows_run(dev, (rows_job){.fn = upsample_back_rows, .t = {dx, dy}, .g = g}, g.n * g.h, 4 * g.w * dx.cols);
}

/* One job row a row of packed tokens.  Channel 4c + 2dy + dx of token (i, j) is channel c of pixel (2i + dy, 2j + dx)
 * (spec 1.12); g is the unpacked grid. */
INLINE void pack_rows(const rows_job *j, int row0, int row1, bool unpack, bool add)
{
    int tokens = j->g.w / 2;
    tensor packed = unpack ? j->t[1] : j->t[0], wide = unpack ? j->t[0] : j->t[1];
    for (int r = row0; r < row1; r++)
        for (int x = 0; x < tokens; x++)
            for (int k = 0; k < 4; k++) {
                float *p = row(packed, r * tokens + x) + k, *q = row(wide, ((2 * r + k / 2) * tokens + x) * 2 + k % 2);
                for (int c = 0; c < wide.cols; c++) {
                    float *to = unpack ? &q[c] : &p[4 * c];
                    float v = unpack ? p[4 * c] : q[c];
                    *to = add ? *to + v : v;
                }
            }
}

static void pack_forward(const rows_job *j, int row0, int row1) { pack_rows(j, row0, row1, false, false); }
static void unpack_forward(const rows_job *j, int row0, int row1) { pack_rows(j, row0, row1, true, false); }
static void pack_add(const rows_job *j, int row0, int row1) { pack_rows(j, row0, row1, false, true); }
static void unpack_add(const rows_job *j, int row0, int row1) { pack_rows(j, row0, row1, true, true); }

static void pack_run(device *dev, void (*fn)(const rows_job *, int, int), tensor to, tensor from, grid g)
{
    if (to.p) rows_run(dev, (rows_job){.fn = fn, .t = {to, from}, .g = g}, g.n * (g.h / 2), 2 * g.w * imin(to.cols, from.cols));
}

static void k_pack2x2(device *dev, tensor y, tensor x, grid g) { pack_run(dev, pack_forward, y, x, g); }
static void k_unpack2x2(device *dev, tensor y, tensor x, grid g) { pack_run(dev, unpack_forward, y, x, g); }
static void k_pack2x2_backward(device *dev, tensor dx, tensor dy, grid g) { pack_run(dev, unpack_add, dx, dy, g); }
static void k_unpack2x2_backward(device *dev, tensor dx, tensor dy, grid g) { pack_run(dev, pack_add, dx, dy, g); }
#endif
