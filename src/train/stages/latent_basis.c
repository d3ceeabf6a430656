/* latent_basis.c - matrices of channels, into the two layers that meet the latent; and what a decoder shows of each channel. */
#include "train/stages/latent_basis.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "train/flow/flow.h"
#include "train/pca.h"
#include "train/stages/stage.h"

static const double most = 8, least_share = 1e-6; /* of the largest eigenvalue: what is not seen at all is not blown up */

dreamo_status latent_basis_new(latent_basis *b, int n, dreamo_error *err)
{
    *b = (latent_basis){ n, mem_calloc((size_t)(2 * n * n), sizeof(double)), NULL };
    if (!b->to) return fail(err, DREAMO_MEMORY, "no memory for a basis of %d channels", n);
    b->back = b->to + n * n;
    for (int k = 0; k < n; k++) b->to[k * n + k] = b->back[k * n + k] = 1;
    return DREAMO_OK;
}

void latent_basis_free(latent_basis *b)
{
    mem_free(b->to);
    *b = (latent_basis){ 0 };
}

void latent_even(latent_basis *b, const double *variance)
{
    double mean = 0;
    for (int k = 0; k < b->n; k++) mean += variance[k] / b->n;
    for (int k = 0; k < b->n; k++) {
        double scale = variance[k] > 0 ? fmin(fmax(sqrt(mean / variance[k]), 1 / most), most) : 1;
        b->to[k * b->n + k] = scale;
        b->back[k * b->n + k] = 1 / scale;
    }
}

/* out = a b, or a' b; all [n, n], out apart from both. */
static void times(int n, const double *a, bool turned, const double *b, double *out)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++) sum += (turned ? a[k * n + i] : a[i * n + k]) * b[k * n + j];
            out[i * n + j] = sum;
        }
}

dreamo_status latent_visible(latent_basis *b, const double *gram, double power, dreamo_error *err)
{
    int n = b->n;
    size_t nn = (size_t)(n * n);
    double *g = mem_calloc(4 * nn, sizeof *g), *v = g + nn, *a = v + nn, *old = a + nn, mean = 0, largest = 0;
    if (!g) return fail(err, DREAMO_MEMORY, "no memory for a basis of %d channels", n);
    times(n, gram, false, b->back, a); /* of the basis so far: back' G back */
    times(n, b->back, true, a, g);
    eigenvectors(g, v, n);
    for (int k = 0; k < n; k++) largest = fmax(largest, g[k * n + k]);
    for (int k = 0; k < n; k++) {
        g[k * n + k] = pow(fmax(g[k * n + k], least_share * largest), power / 2);
        mean += g[k * n + k] * g[k * n + k] / n;
    }
    memcpy(old, b->to, nn * sizeof *old);
    memcpy(a, b->back, nn * sizeof *a);
    for (int row = 0; row < n; row++) { /* the largest that is left */
        int k = 0;
        for (int i = 1; i < n; i++) k = g[i * n + i] > g[k * n + k] ? i : k;
        double factor = g[k * n + k] / sqrt(mean);
        g[k * n + k] = -1;
        for (int j = 0; j < n; j++) {
            double to = 0, back = 0;
            for (int i = 0; i < n; i++) {
                to += v[i * n + k] * old[i * n + j];
                back += a[j * n + i] * v[i * n + k];
            }
            b->to[row * n + j] = factor * to;
            b->back[j * n + row] = back / factor;
        }
    }
    mem_free(g);
    return DREAMO_OK;
}

static bool is_scaling(const latent_basis *b)
{
    for (int i = 0; i < b->n * b->n; i++)
        if (i % (b->n + 1) && b->to[i] != 0) return false;
    return true;
}

/* columns [n, count]: each column x becomes m x. */
static void mix_rows(int n, const double *m, float *columns, size_t count, double *x)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < n; k++) x[k] = columns[(size_t)k * count + i];
        for (int k = 0; k < n; k++) {
            double sum = 0;
            for (int j = 0; j < n; j++) sum += m[k * n + j] * x[j];
            columns[(size_t)k * count + i] = (float)sum;
        }
    }
}

dreamo_status latent_basis_apply(const latent_basis *b, const params *p, float *vector, const double *posterior, dreamo_error *err)
{
    int last_weight = params_find(p, "encoder.conv_out.weight"), last_bias = params_find(p, "encoder.conv_out.bias");
    int first_weight = params_find(p, "decoder.conv_in.weight"), n = b->n;
    if (last_weight < 0 || last_bias < 0 || first_weight < 0) return fail(err, DREAMO_BUG, "the autoencoder has no layers beside its latent");
    const param_slot *w = &p->slot[last_weight], *c = &p->slot[last_bias], *d = &p->slot[first_weight];
    size_t row = w->count / (size_t)(2 * n), taps = (size_t)(d->shape[2] * d->shape[3]), outs = (size_t)d->shape[0];
    double *turned = mem_alloc((size_t)(n * n + n) * sizeof *turned), *x = turned + n * n;
    if (!turned) return fail(err, DREAMO_MEMORY, "no memory for a basis of %d channels", n);
    for (int k = 0; k < n; k++)
        for (int j = 0; j < n; j++) turned[k * n + j] = b->back[j * n + k];
    mix_rows(n, b->to, vector + w->at, row, x);
    mix_rows(n, b->to, vector + c->at, 1, x);
    for (size_t o = 0; o < outs; o++) mix_rows(n, turned, vector + d->at + o * (size_t)n * taps, taps, x); /* [out, in, kh, kw] */
    bool scaling = is_scaling(b);
    for (int k = 0; k < n; k++) {
        double variance = 0;
        for (int j = 0; j < n; j++) variance += b->to[k * n + j] * b->to[k * n + j] * posterior[j];
        if (!scaling) memset(vector + w->at + (size_t)(n + k) * row, 0, row * sizeof *vector);
        if (scaling) vector[c->at + (size_t)(n + k)] += (float)(2 * log(b->to[k * n + k]));
        else vector[c->at + (size_t)(n + k)] = (float)log(fmax(variance, 1e-12));
    }
    mem_free(turned);
    return DREAMO_OK;
}

/* ---- what is seen ---- */

typedef struct probe { const vae *m; const float *z; grid g; float *pixels, *u, *back; } probe;

static void decode(nn *cx, void *job)
{
    probe *j = job;
    tensor z = tensor_leaf(cx, tensor_from(cx, j->g.n * j->g.h * j->g.w, j->m->config.latent_channels, j->z));
    tensor y = vae_decode(cx, j->m, z, j->g);
    tensor_read(cx, y, j->pixels);
    stage_backward(cx, y, j->pixels, j->u);
    tensor slope = tensor_grad(cx, z);
    if (slope.p) tensor_read(cx, slope, j->back);
}

dreamo_status latent_gram(device *dev, const vae *m, const float *z, grid g, int probes, rng *r, double *gram, int64_t *count, dreamo_error *err)
{
    int f = vae_factor(&m->config), n = m->config.latent_channels;
    size_t rows = (size_t)(g.n * g.h * g.w), values = rows * (size_t)(f * f * m->config.image_channels), latent = rows * (size_t)n;
    float *pixels = mem_calloc(2 * values + latent, sizeof *pixels);
    if (!pixels) return fail(err, DREAMO_MEMORY, "no memory for %d decoded pictures", g.n);
    probe job = { m, z, g, pixels, pixels + values, pixels + 2 * values };
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < probes && !s; i++) {
        flow_noise(r, job.u, values);
        s = sized_run(dev, true, false, decode, &job, err);
        for (size_t at = 0; at < rows && !s; at++)
            for (int a = 0; a < n; a++)
                for (int b = 0; b < n; b++) gram[a * n + b] += (double)job.back[at * (size_t)n + (size_t)a] * job.back[at * (size_t)n + (size_t)b];
        *count += (int64_t)rows;
    }
    mem_free(pixels);
    return s;
}
