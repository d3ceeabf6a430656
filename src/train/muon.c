/* muon.c - the list of matrices, and the step of one. */
#include "train/muon.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/ends.h"
#include "base/mem.h"
#include "nn/nn.h"

enum { ROUNDS = 5 };

typedef struct matrix { int slot, rows, cols; float *momentum; size_t image; } matrix;

struct muon {
    params *p;
    device *dev;
    int n, workers;
    matrix *list;              /* dearest first, so that no thread is left with a long one */
    device **one;              /* [workers]: a device of one thread each; NULLs with `image` */
    float **scratch;           /* [workers]: two matrices [rows, cols] and four [rows, rows] */
    size_t room;               /* numbers in each */
    float *image;              /* all matrices' steps, each at its `image`, where a device of its own does them; else NULL */
    host_matrix *images;       /* the same as a list */
    size_t image_room, image_used;
};

/* Newton-Schulz' coefficients (Jordan et al. 2024) */
#define NS_A 3.4445f
#define NS_B -4.7750f
#define NS_C 2.0315f

static bool has(const char *s, const char *part) { return strstr(s, part) != NULL; }

bool muon_takes(const param_slot *s)
{
    const char *name = s->name;
    bool edge = has(name, "x_embedder.") || ends(name, "conv_in.weight") || ends(name, "conv_out.weight") ||
        (ends(name, "proj_out.weight") && !has(name, "blocks"));
    bool per_sample = has(name, "time_text_embed.") || ends(name, "norm1.linear.weight") || ends(name, "norm1_context.linear.weight") ||
        ends(name, ".norm.linear.weight") || ends(name, "norm_out.linear.weight");
    return s->rank >= 2 && s->decay && s->shape[0] > 1 && s->count > (size_t)s->shape[0] && !edge && !per_sample;
}

/* ---- opening ---- */

dreamo_status muon_open(muon **out, params *p, device *dev, dreamo_error *err)
{
    muon *m = *out = mem_calloc(1, sizeof *m);
    if (!m) return fail(err, DREAMO_MEMORY, "no memory for Muon");
    *m = (muon){ .p = p, .dev = dev, .workers = pool_threads(dev->threads) };
    m->list = mem_calloc((size_t)p->n + 1, sizeof *m->list);
    m->one = mem_calloc((size_t)m->workers, sizeof *m->one);
    m->scratch = mem_calloc((size_t)m->workers, sizeof *m->scratch);
    if (!m->list || !m->one || !m->scratch) return fail(err, DREAMO_MEMORY, "no memory for Muon");
    for (int i = p->first; i < p->end; i++) {
        const param_slot *s = &p->slot[i];
        size_t rows = (size_t)s->shape[0], cols = s->count / rows, least = rows < cols ? rows : cols;
        size_t room = 2 * s->count + 4 * least * least;
        if (muon_takes(s) && room > m->room) m->room = room;
        if (muon_takes(s)) m->image_room += s->count;
    }
    if (dev->be->newton_schulz) {
        m->image = mem_aligned(m->image_room * sizeof(float) + 64);
        m->images = mem_calloc((size_t)p->n + 1, sizeof *m->images);
        if (m->image && dev->be->pin) dev->be->pin(dev, m->image, m->image_room * sizeof(float) + 64, true);
    }
    if (dev->be->newton_schulz && (!m->image || !m->images))
        return fail(err, DREAMO_MEMORY, "no memory for Muon's %zu numbers", m->image_room);
    for (int w = 0; w < m->workers; w++) {
        if (!m->image) m->one[w] = dev->be->open(1);
        m->scratch[w] = mem_aligned(m->room * sizeof(float) + 64);
        if ((!m->one[w] && !m->image) || !m->scratch[w]) return fail(err, DREAMO_MEMORY, "no memory for Muon's %zu numbers a thread", m->room);
    }
    return DREAMO_OK;
}

void muon_close(muon *m)
{
    if (!m) return;
    for (int w = 0; w < m->workers; w++) {
        if (m->one && m->one[w]) m->dev->be->close(m->one[w]);
        if (m->scratch) mem_free(m->scratch[w]);
    }
    if (m->image && m->dev->be->pin) m->dev->be->pin(m->dev, m->image, m->image_room * sizeof(float) + 64, false);
    mem_free(m->image);
    mem_free(m->images);
    mem_free(m->one);
    mem_free(m->scratch);
    mem_free(m->list);
    mem_free(m);
}

/* Multiplications and additions for a matrix r x c, k = c / r, in units of r^3: see `orthogonal`.  About 9/16 of a symmetric product is made. */
static const double half_product = 2 * 9 / 16.0;
static double early(double k) { return ROUNDS * (2 * k + half_product * (k + 1)); }
static double late(double k) { return 2 * k + half_product * (k + 4 * ROUNDS - 3); }
static bool multiplies_late(int rows, int cols) { return late((double)cols / rows) < early((double)cols / rows); }

/* Products that are multiplied early may be rounded, as Muon is published.  Late, all rounds' squares of singular values come from the first round's,
 * and what rounding adds to a small one would grow by `a` squared in each. */
static bool may_round(int rows, int cols) { return !multiplies_late(rows, cols); }

static double cost(const matrix *a)
{
    double r = a->rows < a->cols ? a->rows : a->cols, k = (a->rows < a->cols ? a->cols : a->rows) / r;
    return r * r * r * fmin(early(k), late(k));
}

void muon_add(muon *m, int slot, float *momentum)
{
    const param_slot *s = &m->p->slot[slot];
    matrix a = { slot, (int)s->shape[0], (int)(s->count / (size_t)s->shape[0]), momentum, m->image_used };
    m->image_used += s->count;
    int at = m->n++;
    for (; at > 0 && cost(&m->list[at - 1]) < cost(&a); at--) m->list[at] = m->list[at - 1];
    m->list[at] = a;
}

double muon_flops(const muon *m)
{
    double sum = 0;
    for (int i = 0; m && i < m->n; i++) sum += cost(&m->list[i]);
    return sum;
}

/* ---- the step ---- */

/* Newton-Schulz takes a matrix that is no higher than wide; others are turned over. */
static bool is_turned(const matrix *a) { return a->rows > a->cols; }
static int high(const matrix *a) { return is_turned(a) ? a->cols : a->rows; }
static int wide(const matrix *a) { return is_turned(a) ? a->rows : a->cols; }

static weight as_weight(tensor x)
{
    return (weight){ .in = x.cols, .out = x.rows, .kh = 1, .kw = 1, .nparts = 1,
                     .part = { { .rows = x.rows, .type = DT_F32, .data = x.p } } };
}

/* y += x w: what `linear` does on its way back; its input is asked for its shape alone, as nothing is trained */
static void add_times(device *d, tensor y, tensor x, tensor w)
{
    weight by = as_weight(w);
    d->be->linear_backward(d, y, x, (tensor){ .rows = y.rows, .cols = y.cols, .ld = y.cols }, &by, (tensor){ 0 });
}

static tensor place(float *p, int rows, int cols) { return (tensor){ .p = p, .rows = rows, .cols = cols, .ld = cols }; }

/* to[c][r] = from[r][c], a tile at a time, so that what one line of the cache holds is used while it is there. */
static void turn(float *to, size_t ldt, const float *from, size_t ldf, int rows, int cols)
{
    enum { TILE = 16 };
    for (int r0 = 0; r0 < rows; r0 += TILE)
        for (int c0 = 0; c0 < cols; c0 += TILE) {
            int r1 = rows - r0 < TILE ? rows : r0 + TILE, c1 = cols - c0 < TILE ? cols : c0 + TILE;
            for (int c = c0; c < c1; c++)
                for (int r = r0; r < r1; r++) to[(size_t)c * ldt + (size_t)r] = from[(size_t)r * ldf + (size_t)c];
        }
}

/* t = b s + c s^2, and `a` more on its diagonal */
static void polynomial(device *d, tensor t, tensor s, float a)
{
    static const float b = NS_B, c = NS_C;
    size_t n = (size_t)s.rows;
    d->be->symmetric(d, t, s, s);
    for (size_t i = 0; i < n * n; i++) t.p[i] = b * s.p[i] + c * t.p[i];
    for (size_t i = 0; i < n; i++) t.p[i * n + i] += a;
}

static void swap(tensor *x, tensor *y)
{
    tensor t = *x;
    *x = *y;
    *y = t;
}

/* x [rows, cols], rows <= cols, becomes its Newton-Schulz image, which lies in x or y; sq is room for four matrices [rows, rows].
 * All of a round's polynomials are of one symmetric matrix and commute.  Where cols are many it pays to multiply them with each
 * other, and with x at the end alone. */
static tensor orthogonal(device *d, tensor x, tensor y, float *sq)
{
    static const float a = NS_A;
    int n = x.rows;
    size_t count = (size_t)n * (size_t)x.cols, square = (size_t)n * (size_t)n;
    tensor s = place(sq, n, n), t = place(sq + square, n, n), q = place(sq + 2 * square, n, n), u = place(sq + 3 * square, n, n);
    bool late = multiplies_late(n, x.cols);
    for (int round = 0; round < ROUNDS; round++) {
        if (!late || round == 0) d->be->symmetric(d, s, x, x);
        polynomial(d, t, s, late ? a : 0);
        if (!late) {
            for (size_t i = 0; i < count; i++) y.p[i] = a * x.p[i];
            add_times(d, y, t, x);
            swap(&x, &y);
            continue;
        }
        if (round == 0) memcpy(q.p, t.p, square * sizeof(float));
        else {
            d->be->symmetric(d, u, q, t);
            swap(&q, &u);
        }
        if (round == ROUNDS - 1) break;
        d->be->symmetric(d, u, s, t);
        d->be->symmetric(d, s, u, t); /* x x^T of the next round: s t^2 */
    }
    if (!late) return x;
    memset(y.p, 0, count * sizeof(float));
    add_times(d, y, q, x);
    return y;
}

typedef struct step_job { muon *m; float momentum, lr, keep, scale; bool bf16; } step_job;

enum { LANES = 8 }; /* independent sums, so that the loop can be vectorised without changing its meaning */

/* The momentum's step into u; the answer is its length. */
static double gather(const step_job *j, size_t n, float *restrict g, float *restrict m, float *restrict u)
{
    float mu = j->momentum, scale = j->scale;
    double sum[LANES] = { 0 }, total = 0;
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * scale;
        m[i] = mu * m[i] + (1 - mu) * d;
        u[i] = mu * m[i] + (1 - mu) * d;
        g[i] = 0;
    }
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) sum[k] += (double)u[i + (size_t)k] * u[i + (size_t)k];
    for (; i < n; i++) sum[0] += (double)u[i] * u[i];
    for (int k = 0; k < LANES; k++) total += sum[k];
    return sqrt(total);
}

/* The momentum's step, of length 1 and no higher than wide, into x; y is room for another. */
static void prepare(const step_job *j, const matrix *a, float *x, float *y)
{
    const param_slot *s = &j->m->p->slot[a->slot];
    bool turned = is_turned(a);
    double length = gather(j, s->count, j->m->p->grad + s->at, a->momentum, turned ? y : x);
    float by = (float)(1 / fmax(length, 1e-7));
    if (turned) turn(x, (size_t)wide(a), y, (size_t)high(a), wide(a), high(a));
    for (size_t i = 0; i < s->count; i++) x[i] *= by;
}

/* The values go along `step`; other is room for one more. */
static void apply(const step_job *j, const matrix *a, const float *step, float *other)
{
    const param_slot *s = &j->m->p->slot[a->slot];
    float rate = j->lr * 0.2f * sqrtf((float)wide(a)), keep = j->keep, *value = j->m->p->value + s->at;
    if (is_turned(a)) {
        turn(other, (size_t)high(a), step, (size_t)wide(a), high(a), wide(a));
        step = other;
    }
    for (size_t i = 0; i < s->count; i++) value[i] = value[i] * keep - rate * step[i];
}

static void step_one(void *arg, int task, int worker)
{
    const step_job *j = arg;
    muon *m = j->m;
    const matrix *a = &m->list[task];
    size_t count = m->p->slot[a->slot].count;
    float *x = m->scratch[worker], *y = x + count;
    prepare(j, a, x, y);
    m->one[worker]->bf16 = j->bf16 && may_round(high(a), wide(a));
    tensor u = orthogonal(m->one[worker], place(x, high(a), wide(a)), place(y, high(a), wide(a)), y + count);
    apply(j, a, u.p, u.p == x ? y : x);
}

/* On a device of its own: all of them there, one after the other, what comes before and after on the host's cores. */
static void prepare_one(void *arg, int task, int worker)
{
    const step_job *j = arg;
    const matrix *a = &j->m->list[task];
    prepare(j, a, j->m->image + a->image, j->m->scratch[worker]);
}

static void apply_one(void *arg, int task, int worker)
{
    const step_job *j = arg;
    const matrix *a = &j->m->list[task];
    apply(j, a, j->m->image + a->image, j->m->scratch[worker]);
}

void muon_step(muon *m, float momentum, float lr, float keep, float scale)
{
    device *d = m->dev;
    step_job j = { m, momentum, lr, keep, scale, d->bf16 };
    if (!d->be->newton_schulz) {
        pool_run(d->threads, m->n, step_one, &j);
        for (int w = 0; w < m->workers; w++) d->failed |= m->one[w]->failed;
        return;
    }
    pool_run(d->threads, m->n, prepare_one, &j);
    for (int i = 0; i < m->n; i++) m->images[i] = (host_matrix){ m->image + m->list[i].image, high(&m->list[i]), wide(&m->list[i]) };
    d->be->newton_schulz(d, m->images, m->n, ROUNDS, NS_A, NS_B, NS_C);
    pool_run(d->threads, m->n, apply_one, &j);
}
