/* linear.c - y = x W^T + b with stored types, fused parts and adapters; and rows of a table. */
#include "backend/ref/ref.h"
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "base/half.h"
#include "base/mem.h"

static const weight_part *part_of(const weight *w, int *row)
{
    const weight_part *p = w->part;
    while (*row >= p->rows) *row -= p++->rows;
    return p;
}

/* Row `row` of a table or linear weight, [in]: stored numbers times the row's scale. */
static void weight_row(const weight *w, int row, float *values)
{
    const weight_part *p = part_of(w, &row);
    size_t in = (size_t)w->in;
    dtype_to_f32(p->type, (const char *)p->data + (size_t)row * dtype_nbytes_of(p->type, in), in, values);
    for (int k = 0; p->row_scale && k < w->in; k++) values[k] *= p->row_scale[row];
}

/* A number as a product takes it. */
static float seen(const device *dev, float x) { return dev->bf16 ? round_bf16(x) : x; }

/* All rows, [out, in], as products take them; the caller frees them.  NULL: no memory, and the device has failed. */
static float *weight_rows(device *dev, const weight *w)
{
    float *values = mem_alloc(sizeof *values * (size_t)w->out * (size_t)w->in);
    if (!values) dev->failed = true;
    for (int o = 0; values && o < w->out; o++) weight_row(w, o, values + (size_t)o * (size_t)w->in);
    for (size_t i = 0; values && dev->bf16 && i < (size_t)w->out * (size_t)w->in; i++) values[i] = round_bf16(values[i]);
    return values;
}

double ref_weight(const weight *w, int row, int k)
{
    const weight_part *p = part_of(w, &row);
    size_t block = dtype_block(p->type), i = (size_t)row * (size_t)(w->in * w->kh * w->kw) + (size_t)k;
    float values[256];
    dtype_to_f32(p->type, (const char *)p->data + dtype_nbytes_of(p->type, i / block * block), block, values);
    return p->row_scale ? values[i % block] * p->row_scale[row] : values[i % block];
}

double ref_bias(const weight *w, int row)
{
    const weight_part *p = part_of(w, &row);
    return p->bias ? p->bias[row] : 0;
}

float *ref_weight_grad(const weight *w, int row, int k)
{
    const weight_part *p = part_of(w, &row);
    return p->grad ? p->grad + (size_t)row * (size_t)(w->in * w->kh * w->kw) + k : NULL;
}

float *ref_bias_grad(const weight *w, int row)
{
    const weight_part *p = part_of(w, &row);
    return p->grad_bias ? p->grad_bias + row : NULL;
}

static bool rounds(const device *dev, tensor x, const weight *w, int row)
{
    const weight_part *p = part_of(w, &row);
    return dev->fast && x.rows >= FAST_ROWS && dtype_block(p->type) > 1 && p->type != DT_Q2_K && p->type != DT_NF4 && !p->row_scale;
}

/* A row of x as products take it and as dev->fast rounds it, [in] each. */
static void both_rows(const device *dev, tensor x, int t, double *plain, double *rounded)
{
    for (int k = 0; k < x.cols; k++) plain[k] = rounded[k] = seen(dev, *at(x, t, k));
    for (int k = 0; k + 32 <= x.cols; k += 32) {
        bool finite = true;
        float most = 0;
        for (int i = k; i < k + 32; i++) finite = finite && isfinite(plain[i]), most = fmaxf(most, fabsf(*at(x, t, i)));
        float inverse = 127 / most, unit = most / 127;
        for (int i = k; i < k + 32; i++)
            rounded[i] = !finite ? NAN : most < FAST_LEAST ? 0 : (double)unit * nearbyintf(*at(x, t, i) * inverse);
    }
}

void ref_linear(device *dev, tensor y, tensor x, const weight *w, tensor low)
{
    int column = 0;
    float *W = weight_rows(dev, w);
    double *plain = mem_alloc(sizeof *plain * (size_t)w->in * 2);
    if (!plain) dev->failed = true;
    for (int t = 0; W && plain && t < y.rows; t++) {
        double *rounded = plain + w->in;
        both_rows(dev, x, t, plain, rounded);
        for (int o = 0; o < w->out; o++) {
            const double *a = rounds(dev, x, w, o) ? rounded : plain;
            double s = ref_bias(w, o);
            for (int k = 0; k < w->in; k++) s += a[k] * W[(size_t)o * (size_t)w->in + (size_t)k];
            *at(y, t, o) = (float)s;
        }
    }
    mem_free(plain);
    mem_free(W);
    for (const adapter *a = w->adapters; a; column += a->rank, a = a->next)
        for (int t = 0; t < y.rows; t++) {
            for (int r = 0; r < a->rank; r++) {
                double s = 0;
                for (int k = 0; k < w->in; k++) s += (double)seen(dev, *at(x, t, k)) * seen(dev, a->A[r * w->in + k]);
                *at(low, t, column + r) = (float)s;
            }
            for (int o = 0; o < a->rows; o++) {
                double s = 0;
                for (int r = 0; r < a->rank; r++) s += (double)seen(dev, a->scale * *at(low, t, column + r)) * seen(dev, a->B[o * a->rank + r]);
                *at(y, t, a->row0 + o) += (float)s;
            }
        }
}

/* dlow = scale dy B; dx += dlow A; dA += dlow^T x; dB += scale dy^T low. */
static void adapter_backward(const device *dev, tensor dx, tensor dy, tensor x, const adapter *a, tensor low, int in)
{
    for (int t = 0; t < x.rows; t++)
        for (int r = 0; r < a->rank; r++) {
            double sum = 0;
            for (int o = 0; o < a->rows; o++) {
                double g = seen(dev, a->scale * *at(dy, t, a->row0 + o));
                sum += g * seen(dev, a->B[o * a->rank + r]);
                if (a->grad_B) a->grad_B[o * a->rank + r] += (float)(g * seen(dev, *at(low, t, r)));
            }
            double dlow = dev->bf16 ? round_bf16((float)sum) : sum;
            for (int k = 0; k < in; k++) {
                if (dx.p) *at(dx, t, k) += (float)(dlow * seen(dev, a->A[r * in + k]));
                if (a->grad_A) a->grad_A[r * in + k] += (float)(dlow * seen(dev, *at(x, t, k)));
            }
        }
}

void ref_linear_backward(device *dev, tensor dx, tensor dy, tensor x, const weight *w, tensor low)
{
    int column = 0;
    float *W = dx.p ? weight_rows(dev, w) : NULL;
    for (int t = 0; W && t < x.rows; t++)
        for (int k = 0; k < w->in; k++) {
            double s = 0;
            for (int o = 0; o < w->out; o++) s += (double)seen(dev, *at(dy, t, o)) * W[(size_t)o * (size_t)w->in + (size_t)k];
            *at(dx, t, k) += (float)s;
        }
    mem_free(W);
    for (int o = 0; o < w->out; o++) {
        for (int k = 0; k < w->in; k++) {
            float *g = ref_weight_grad(w, o, k);
            double s = 0;
            for (int t = 0; g && t < x.rows; t++) s += (double)seen(dev, *at(dy, t, o)) * seen(dev, *at(x, t, k));
            if (g) *g += (float)s;
        }
        float *g = ref_bias_grad(w, o);
        double s = 0;
        for (int t = 0; g && t < x.rows; t++) s += *at(dy, t, o);
        if (g) *g += (float)s;
    }
    for (const adapter *a = w->adapters; a; column += a->rank, a = a->next) {
        tensor mine = low;
        mine.p += column;
        adapter_backward(dev, dx, dy, x, a, mine, w->in);
    }
}

void ref_symmetric(device *dev, tensor y, tensor x, tensor w)
{
    for (int i = 0; i < y.rows; i++)
        for (int j = 0; j <= i; j++) {
            double s = 0;
            for (int k = 0; k < x.cols; k++) s += (double)seen(dev, *at(x, i, k)) * seen(dev, *at(w, j, k));
            *at(y, i, j) = *at(y, j, i) = (float)s;
        }
}

void ref_embed(device *dev, tensor y, const int32_t *ids, const weight *w)
{
    (void)dev;
    for (int i = 0; i < y.rows; i++)
        if (ids[i] >= 0) weight_row(w, ids[i], at(y, i, 0));
        else memset(at(y, i, 0), 0, sizeof(float) * (size_t)w->in);
}

void ref_embed_backward(device *dev, tensor dy, const int32_t *ids, const weight *w)
{
    (void)dev;
    for (int i = 0; i < dy.rows; i++)
        for (int k = 0; ids[i] >= 0 && k < w->in; k++) {
            float *g = ref_weight_grad(w, ids[i], k);
            if (g) *g += *at(dy, i, k);
        }
}
