/* guided.c - the guided filter of a mask by a colour picture, solved small and applied large. */
#include "image/guided.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* Planes of the small picture; those of the solution come last. */
enum { R, G, B, P, RR, RG, RB, GG, GB, BB, RP, GP, BP, INPUTS, A0 = 0, A1, A2, OFFSET, SOLUTION };

typedef struct planes { int w, h; float *plane[INPUTS]; float *line; } planes;

/* Means over windows of (2r + 1)^2 pixels, of what there is of them at the border; in place. */
static void mean_of_windows(float *p, int w, int h, int r, float *line)
{
    for (int pass = 0; pass < 2; pass++) {
        int n = pass ? h : w, lines = pass ? w : h;
        size_t step = pass ? (size_t)w : 1, next = pass ? 1 : (size_t)w;
        for (int i = 0; i < lines; i++) {
            float *at = p + (size_t)i * next;
            double sum = 0;
            for (int k = 0; k < n; k++) line[k] = at[(size_t)k * step];
            for (int k = 0; k < r && k < n; k++) sum += line[k];
            for (int k = 0; k < n; k++) {
                int first = k - r, last = k + r;
                if (last < n) sum += line[last];
                if (first > 0) sum -= line[first - 1];
                at[(size_t)k * step] = (float)(sum / ((last < n ? last : n - 1) - (first > 0 ? first : 0) + 1));
            }
        }
    }
}

/* [a0 a1 a2 offset] of each pixel's window from its means: (covariance + eps) a = covariance with the mask. */
static void solve(float *const *m, size_t n, float eps)
{
    for (size_t i = 0; i < n; i++) {
        float r = m[R][i], g = m[G][i], b = m[B][i], p = m[P][i];
        float rr = m[RR][i] - r * r + eps, rg = m[RG][i] - r * g, rb = m[RB][i] - r * b, gg = m[GG][i] - g * g + eps, gb = m[GB][i] - g * b, bb = m[BB][i] - b * b + eps;
        float cr = m[RP][i] - r * p, cg = m[GP][i] - g * p, cb = m[BP][i] - b * p;
        float i00 = gg * bb - gb * gb, i01 = gb * rb - rg * bb, i02 = rg * gb - gg * rb, i11 = rr * bb - rb * rb, i12 = rb * rg - rr * gb, i22 = rr * gg - rg * rg;
        float det = rr * i00 + rg * i01 + rb * i02, inverse = det > 0 ? 1 / det : 0;
        float a0 = (i00 * cr + i01 * cg + i02 * cb) * inverse, a1 = (i01 * cr + i11 * cg + i12 * cb) * inverse, a2 = (i02 * cr + i12 * cg + i22 * cb) * inverse;
        m[A0][i] = a0, m[A1][i] = a1, m[A2][i] = a2;
        m[OFFSET][i] = p - a0 * r - a1 * g - a2 * b;
    }
}

/* One row of the enlarged solution: a blend of two of its rows, then of neighbours in them. */
static void apply_row(const planes *s, const bitmap *rgb, int y, const int *left, const float *share, float *row, unsigned char *alpha)
{
    float v = ((float)y + 0.5f) * (float)s->h / (float)rgb->height - 0.5f;
    v = v < 0 ? 0 : v;
    int top = (int)v, low = top + 1 < s->h ? top + 1 : s->h - 1;
    if (top > s->h - 1) top = s->h - 1;
    float f = v - (float)top;
    for (int x = 0; x < s->w; x++)
        for (int k = 0; k < SOLUTION; k++) {
            float a = s->plane[k][(size_t)top * (size_t)s->w + (size_t)x], b = s->plane[k][(size_t)low * (size_t)s->w + (size_t)x];
            row[SOLUTION * x + k] = a + f * (b - a);
        }
    memcpy(row + SOLUTION * s->w, row + SOLUTION * (s->w - 1), SOLUTION * sizeof *row); /* a neighbour for the last */
    const unsigned char *p = rgb->data + 3 * (size_t)y * (size_t)rgb->width;
    for (int x = 0; x < rgb->width; x++, p += 3) {
        const float *at = row + SOLUTION * left[x], t = share[x], *to = at + SOLUTION;
        float q = (at[A0] + t * (to[A0] - at[A0])) * (float)p[0] + (at[A1] + t * (to[A1] - at[A1])) * (float)p[1] + (at[A2] + t * (to[A2] - at[A2])) * (float)p[2] +
                  (at[OFFSET] + t * (to[OFFSET] - at[OFFSET])) * 255;
        alpha[x] = (unsigned char)(q <= 0 ? 0 : q >= 255 ? 255 : q + 0.5f);
    }
}

static dreamo_status apply(const planes *s, const bitmap *rgb, unsigned char *alpha, dreamo_error *err)
{
    int *left = mem_alloc((size_t)rgb->width * sizeof *left);
    float *share = mem_alloc((size_t)rgb->width * sizeof *share), *row = mem_alloc((size_t)SOLUTION * ((size_t)s->w + 1) * sizeof *row);
    bool ok = left && share && row;
    for (int x = 0; ok && x < rgb->width; x++) {
        float u = ((float)x + 0.5f) * (float)s->w / (float)rgb->width - 0.5f;
        u = u < 0 ? 0 : u;
        left[x] = (int)u < s->w ? (int)u : s->w - 1;
        share[x] = u - (float)left[x];
    }
    for (int y = 0; ok && y < rgb->height; y++) apply_row(s, rgb, y, left, share, row, alpha + (size_t)y * (size_t)rgb->width);
    mem_free(left);
    mem_free(share);
    mem_free(row);
    return ok ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory to enlarge a mask to %d x %d pixels", rgb->width, rgb->height);
}

dreamo_status guided_upsample(const float *mask, const bitmap *small, const bitmap *rgb, int radius, float eps, unsigned char *alpha, dreamo_error *err)
{
    int longest = small->width > small->height ? small->width : small->height;
    size_t n = (size_t)small->width * (size_t)small->height;
    planes s = { .w = small->width, .h = small->height, .line = mem_alloc((size_t)longest * sizeof(float)) };
    float *all = mem_alloc(INPUTS * n * sizeof *all);
    dreamo_status status = all && s.line ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for the mask of a %d x %d picture", small->width, small->height);
    for (int k = 0; k < INPUTS && !status; k++) s.plane[k] = all + (size_t)k * n;
    for (size_t i = 0; i < n && !status; i++) {
        float r = small->data[3 * i] / 255.0f, g = small->data[3 * i + 1] / 255.0f, b = small->data[3 * i + 2] / 255.0f, p = mask[i];
        const float value[INPUTS] = { r, g, b, p, r * r, r * g, r * b, g * g, g * b, b * b, r * p, g * p, b * p };
        for (int k = 0; k < INPUTS; k++) s.plane[k][i] = value[k];
    }
    for (int k = 0; k < INPUTS && !status; k++) mean_of_windows(s.plane[k], s.w, s.h, radius, s.line);
    if (!status) solve(s.plane, n, eps);
    for (int k = 0; k < SOLUTION && !status; k++) mean_of_windows(s.plane[k], s.w, s.h, radius, s.line);
    if (!status) status = apply(&s, rgb, alpha, err);
    mem_free(all);
    mem_free(s.line);
    return status;
}
