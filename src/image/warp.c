/* warp.c - fixed-point affine resampling and the robust similarity of five points, with OpenCV 4's arithmetic. */
#include "image/warp.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

/* ---- warpAffine ---- */

enum { COORD_BITS = 10, FRACTION_BITS = 5, FRACTIONS = 1 << FRACTION_BITS, WEIGHT_BITS = 15 };

static int round_int(double v) /* half to even; what does not fit is far outside any picture */
{
    return v > 2147483647.0 ? 2147483647 : v < -2147483648.0 ? -2147483647 - 1 : (int)lrint(v);
}

static int add_wrapping(int a, int b) { return (int)((unsigned)a + (unsigned)b); } /* as two's complement does it there */
static int clip_short(int v) { return v < -32768 ? -32768 : v > 32767 ? 32767 : v; }

dreamo_status affine_invert(const affine *a, affine *out, dreamo_error *err)
{
    double d = a->m[0][0] * a->m[1][1] - a->m[0][1] * a->m[1][0];
    if (!isfinite(d) || d == 0) return fail(err, DREAMO_CONTENT, "the points of the face lie so that nothing can be made upright by them");
    d = 1 / d;
    double a11 = a->m[1][1] * d, a22 = a->m[0][0] * d, a12 = -a->m[0][1] * d, a21 = -a->m[1][0] * d;
    *out = (affine){ { { a11, a12, -a11 * a->m[0][2] - a12 * a->m[1][2] }, { a21, a22, -a21 * a->m[0][2] - a22 * a->m[1][2] } } };
    return DREAMO_OK;
}

affine affine_then(const affine *a, const affine *b)
{
    affine out;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++) out.m[i][j] = b->m[i][0] * a->m[0][j] + b->m[i][1] * a->m[1][j] + (j == 2 ? b->m[i][2] : 0);
    return out;
}

/* The four source pixels around cell (x, y), the border's colour where there are none. */
static void four_taps(const bitmap *src, int x, int y, const unsigned char *border, const unsigned char *tap[4])
{
    for (int k = 0; k < 4; k++) {
        int u = x + (k & 1), v = y + (k >> 1);
        bool inside = u >= 0 && v >= 0 && u < src->width && v < src->height;
        tap[k] = inside ? src->data + 3 * ((size_t)v * (size_t)src->width + (size_t)u) : border;
    }
}

dreamo_status warp_affine(const bitmap *src, const affine *a, int width, int height, const unsigned char border[3], bitmap *out, dreamo_error *err)
{
    affine back = { 0 };
    dreamo_status s = affine_invert(a, &back, err);
    if (!s) s = bitmap_new(out, width, height, 3, err);
    if (s) return s;
    const double scale = 1 << COORD_BITS;
    const int half = (1 << COORD_BITS) / FRACTIONS / 2, shift = COORD_BITS - FRACTION_BITS;
    for (int y = 0; y < height; y++) {
        int x0 = add_wrapping(round_int((back.m[0][1] * y + back.m[0][2]) * scale), half);
        int y0 = add_wrapping(round_int((back.m[1][1] * y + back.m[1][2]) * scale), half);
        for (int x = 0; x < width; x++) {
            int u = add_wrapping(x0, round_int(back.m[0][0] * x * scale)) >> shift, v = add_wrapping(y0, round_int(back.m[1][0] * x * scale)) >> shift;
            int fx = u & (FRACTIONS - 1), fy = v & (FRACTIONS - 1);
            const int w[4] = { (FRACTIONS - fx) * (FRACTIONS - fy) * 32, fx * (FRACTIONS - fy) * 32, (FRACTIONS - fx) * fy * 32, fx * fy * 32 };
            const unsigned char *tap[4];
            four_taps(src, clip_short(u >> FRACTION_BITS), clip_short(v >> FRACTION_BITS), border, tap);
            unsigned char *to = out->data + 3 * ((size_t)y * (size_t)width + (size_t)x);
            for (int c = 0; c < 3; c++)
                to[c] = (unsigned char)((tap[0][c] * w[0] + tap[1][c] * w[1] + tap[2][c] * w[2] + tap[3][c] * w[3] + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS);
        }
    }
    return DREAMO_OK;
}

/* ---- least median of squares ---- */

typedef struct pairing { float from[5][2], to[5][2]; } pairing;

/* [a -b tx; b a ty] through two of the points.  False: they are one. */
static bool through(const pairing *p, int i, int k, double model[4])
{
    double ux = (double)p->from[i][0] - p->from[k][0], uy = (double)p->from[i][1] - p->from[k][1];
    double vx = (double)p->to[i][0] - p->to[k][0], vy = (double)p->to[i][1] - p->to[k][1], n = ux * ux + uy * uy;
    if (!(n > 0)) return false;
    double a = (vx * ux + vy * uy) / n, b = (vy * ux - vx * uy) / n;
    model[0] = a, model[1] = b;
    model[2] = p->to[i][0] - a * p->from[i][0] + b * p->from[i][1];
    model[3] = p->to[i][1] - b * p->from[i][0] - a * p->from[i][1];
    return true;
}

/* Squared distances, in single precision as there. */
static void errors_of(const pairing *p, const double model[4], float error[5])
{
    float a = (float)model[0], b = (float)model[1], tx = (float)model[2], ty = (float)model[3];
    for (int i = 0; i < 5; i++) {
        float dx = a * p->from[i][0] - b * p->from[i][1] + tx - p->to[i][0], dy = b * p->from[i][0] + a * p->from[i][1] + ty - p->to[i][1];
        error[i] = dx * dx + dy * dy;
    }
}

static float median(const float error[5])
{
    float sorted[5];
    memcpy(sorted, error, sizeof sorted);
    for (int i = 1; i < 5; i++)
        for (int k = i; k > 0 && sorted[k] < sorted[k - 1]; k--) {
            float t = sorted[k];
            sorted[k] = sorted[k - 1], sorted[k - 1] = t;
        }
    return sorted[2];
}

/* The best similarity of the points that count. */
static bool refit(const pairing *p, const bool inlier[5], affine *out)
{
    double mean[4] = { 0 }, n = 0, dot = 0, cross = 0, square = 0;
    for (int i = 0; i < 5; i++) {
        if (!inlier[i]) continue;
        for (int k = 0; k < 2; k++) mean[k] += p->from[i][k], mean[2 + k] += p->to[i][k];
        n++;
    }
    for (int k = 0; k < 4; k++) mean[k] /= n;
    for (int i = 0; i < 5; i++) {
        if (!inlier[i]) continue;
        double fx = p->from[i][0] - mean[0], fy = p->from[i][1] - mean[1], gx = p->to[i][0] - mean[2], gy = p->to[i][1] - mean[3];
        dot += fx * gx + fy * gy, cross += fx * gy - fy * gx, square += fx * fx + fy * fy;
    }
    if (!(square > 0)) return false;
    double a = dot / square, b = cross / square;
    *out = (affine){ { { a, -b, mean[2] - a * mean[0] + b * mean[1] }, { b, a, mean[3] - b * mean[0] - a * mean[1] } } };
    return true;
}

dreamo_status similarity_lmeds(const double from[5][2], const double to[5][2], affine *out, bool inlier[5], dreamo_error *err)
{
    /* The pairs that its generator draws, which it seeds anew at each call; of equal ones the first counts. */
    static const int pairs[][2] = { { 0, 4 }, { 0, 3 }, { 1, 2 }, { 1, 0 }, { 3, 0 }, { 0, 4 }, { 1, 4 }, { 3, 1 }, { 0, 3 }, { 0, 1 }, { 0, 4 }, { 4, 1 }, { 0, 3 } };
    pairing p;
    double model[4], best[4] = { 0 };
    float error[5] = { 0 }, least = 0;
    bool any = false, used[5];
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 2; k++) p.from[i][k] = (float)from[i][k], p.to[i][k] = (float)to[i][k];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!through(&p, pairs[i][0], pairs[i][1], model)) continue;
        errors_of(&p, model, error);
        float m = median(error);
        if (any && !(m < least)) continue;
        least = m, any = true;
        memcpy(best, model, sizeof best);
    }
    double sigma = fmax(0.001, 2.5 * 1.4826 * (1 + 5.0 / 3) * sqrt((double)least));
    if (any) errors_of(&p, best, error);
    for (int i = 0; i < 5; i++) used[i] = any && error[i] <= (float)(sigma * sigma);
    if (!any || !refit(&p, used, out)) return fail(err, DREAMO_CONTENT, "the points of the face lie in one place");
    if (inlier) memcpy(inlier, used, sizeof used);
    return DREAMO_OK;
}
