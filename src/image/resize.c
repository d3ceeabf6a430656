/* resize.c - INTER_AREA, LANCZOS and compositing, to the bit (spec appendix D). */
#include "image/resize.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

static unsigned char clamp_u8(int v) { return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v); }
static unsigned char round_u8(float v) { return clamp_u8((int)lrintf(v)); } /* half to even */

void area_size(int width, int height, int res, int grid, int *out_width, int *out_height)
{
    double k = sqrt((double)res * res / ((double)height * width));
    int h = (int)floor(height * k), w = (int)floor(width * k);
    *out_height = h - h % grid > 0 ? h - h % grid : grid;
    *out_width = w - w % grid > 0 ? w - w % grid : grid;
}

/* ---- INTER_AREA, both axes shrinking by whole factors (D.1) ---- */

static void area_whole(const bitmap *src, bitmap *out, int sx, int sy)
{
    int ch = src->channels;
    float scale = 1.0f / (float)(sx * sy);
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            for (int c = 0; c < ch; c++) {
                int sum = 0;
                for (int dy = 0; dy < sy; dy++)
                    for (int dx = 0; dx < sx; dx++) sum += src->data[((size_t)(y * sy + dy) * (size_t)src->width + (size_t)(x * sx + dx)) * (size_t)ch + (size_t)c];
                out->data[((size_t)y * (size_t)out->width + (size_t)x) * (size_t)ch + (size_t)c] =
                    sx == 2 && sy == 2 ? (unsigned char)((sum + 2) >> 2) : round_u8((float)sum * scale);
            }
}

/* ---- INTER_AREA, shrinking in general (D.1): which sources a destination averages ---- */

typedef struct share { int source; float weight; } share;

/* Contributions to destination d, in order; at most s + 2 of them. */
static int area_shares(int d, double s, int n, share *out)
{
    double f1 = d * s, f2 = f1 + s, cell = fmin(s, n - f1);
    int b = (int)floor(f2), a = (int)ceil(f1), count = 0;
    if (b > n - 1) b = n - 1;
    if (a > b) a = b;
    if (a - f1 > 1e-3) out[count++] = (share){ a - 1, (float)((a - f1) / cell) };
    for (int i = a; i < b; i++) out[count++] = (share){ i, (float)(1.0 / cell) };
    if (f2 - b > 1e-3) out[count++] = (share){ b, (float)(fmin(fmin(f2 - b, 1.0), cell) / cell) };
    return count;
}

static dreamo_status area_general(const bitmap *src, bitmap *out, double sx, double sy, dreamo_error *err)
{
    size_t width = (size_t)out->width * (size_t)src->channels;
    int ch = src->channels, most = (int)(fmax(sx, sy) + 3);
    int *count = mem_calloc((size_t)out->width, sizeof *count);
    share *across = mem_calloc((size_t)out->width * (size_t)most, sizeof *across), *down = mem_calloc((size_t)most, sizeof *down);
    float *row = mem_alloc(width * sizeof *row), *sum = mem_alloc(width * sizeof *sum);
    bool ok = count && across && down && row && sum;
    for (int x = 0; ok && x < out->width; x++) count[x] = area_shares(x, sx, src->width, across + (size_t)x * (size_t)most);
    for (int y = 0; ok && y < out->height; y++) {
        int rows = area_shares(y, sy, src->height, down);
        for (int r = 0; r < rows; r++) {
            const unsigned char *line = src->data + (size_t)down[r].source * (size_t)src->width * (size_t)ch;
            memset(row, 0, width * sizeof *row);
            for (int x = 0; x < out->width; x++)
                for (int k = 0; k < count[x]; k++) {
                    share one = across[(size_t)x * (size_t)most + (size_t)k];
                    for (int c = 0; c < ch; c++) row[x * ch + c] += (float)line[one.source * ch + c] * one.weight;
                }
            for (size_t i = 0; i < width; i++) sum[i] = r ? sum[i] + down[r].weight * row[i] : down[r].weight * row[i];
        }
        for (size_t i = 0; i < width; i++) out->data[(size_t)y * width + i] = round_u8(sum[i]);
    }
    mem_free(count);
    mem_free(across);
    mem_free(down);
    mem_free(row);
    mem_free(sum);
    return ok ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory to resize a picture to %d x %d", out->width, out->height);
}

/* ---- INTER_AREA when an axis grows (D.2): a fixed-point linear blend ---- */

static void grow_weights(int d, double scale_up, int n, int *source, int *w0, int *w1)
{
    double s = 1 / scale_up;
    int i = (int)floor(d * s);
    float f = (float)((d + 1) - (i + 1) * scale_up);
    f = f <= 0 ? 0 : f - floorf(f);
    if (i >= n - 1) {
        i = n - 1;
        f = 0;
    }
    *source = i;
    *w0 = (int)lrintf((1 - f) * 2048);
    *w1 = (int)lrintf(f * 2048);
}

static void area_grow(const bitmap *src, bitmap *out)
{
    int ch = src->channels, i, j, a0, a1, b0, b1;
    double up_x = (double)out->width / src->width, up_y = (double)out->height / src->height;
    for (int y = 0; y < out->height; y++) {
        grow_weights(y, up_y, src->height, &i, &b0, &b1);
        const unsigned char *top = src->data + (size_t)i * (size_t)src->width * (size_t)ch;
        const unsigned char *bottom = i + 1 < src->height ? top + (size_t)src->width * (size_t)ch : top;
        for (int x = 0; x < out->width; x++) {
            grow_weights(x, up_x, src->width, &j, &a0, &a1);
            int next = j + 1 < src->width ? j + 1 : j;
            for (int c = 0; c < ch; c++) {
                int h0 = top[j * ch + c] * a0 + top[next * ch + c] * a1, h1 = bottom[j * ch + c] * a0 + bottom[next * ch + c] * a1;
                out->data[((size_t)y * (size_t)out->width + (size_t)x) * (size_t)ch + (size_t)c] =
                    clamp_u8((((b0 * (h0 >> 4)) >> 16) + ((b1 * (h1 >> 4)) >> 16) + 2) >> 2);
            }
        }
    }
}

dreamo_status resize_area(const bitmap *src, int width, int height, bitmap *out, dreamo_error *err)
{
    dreamo_status s = bitmap_new(out, width, height, src->channels, err);
    if (s) return s;
    double sx = 1 / ((double)width / src->width), sy = 1 / ((double)height / src->height);
    if (width == src->width && height == src->height) memcpy(out->data, src->data, (size_t)width * (size_t)height * (size_t)src->channels);
    else if (width > src->width || height > src->height) area_grow(src, out);
    else if (src->width % width == 0 && src->height % height == 0) area_whole(src, out, src->width / width, src->height / height);
    else s = area_general(src, out, sx, sy, err);
    if (s) bitmap_free(out);
    return s;
}

/* ---- Pillow's LANCZOS (D.3): horizontal, then vertical, 22-bit weights, u8 between ---- */

static double sinc(double v) { return v == 0 ? 1 : sin(M_PI * v) / (M_PI * v); }
static double lanczos(double v) { return v >= -3 && v < 3 ? sinc(v) * sinc(v / 3) : 0; }

typedef struct kernel { int first, count; const int *weight; } kernel;

/* One kernel for each of `out` positions over `in` samples; *weights holds them all. */
static kernel *lanczos_kernels(int in, int out, int **weights)
{
    double scale = (double)in / out, fs = fmax(scale, 1), support = 3 * fs;
    int most = (int)ceil(support) * 2 + 1;
    kernel *k = mem_calloc((size_t)out, sizeof *k);
    int *w = *weights = mem_calloc((size_t)out * (size_t)most, sizeof *w);
    double *v = mem_calloc((size_t)most, sizeof *v);
    for (int x = 0; k && w && v && x < out; x++, w += most) {
        double centre = (x + 0.5) * scale, sum = 0;
        int first = (int)fmax(0, (int)(centre - support + 0.5)), end = (int)fmin(in, (int)(centre + support + 0.5));
        for (int j = first; j < end; j++) sum += v[j - first] = lanczos((j - centre + 0.5) / fs);
        for (int j = 0; j < end - first; j++) {
            double one = (sum != 0 ? v[j] / sum : v[j]) * (1 << 22);
            w[j] = (int)(one < 0 ? one - 0.5 : one + 0.5);
        }
        k[x] = (kernel){ first, end - first, w };
    }
    bool ok = k && *weights && v;
    mem_free(v);
    if (ok) return k;
    mem_free(k);
    mem_free(*weights);
    *weights = NULL;
    return NULL;
}

/* n lines of samples `step` apart; each line's beginning `line` apart. */
static void lanczos_pass(const unsigned char *src, unsigned char *dst, int lines, int out, size_t src_line, size_t dst_line, size_t src_step, size_t dst_step,
                         int channels, const kernel *k)
{
    for (int y = 0; y < lines; y++)
        for (int x = 0; x < out; x++)
            for (int c = 0; c < channels; c++) {
                int sum = 1 << 21;
                for (int j = 0; j < k[x].count; j++) sum += src[(size_t)y * src_line + (size_t)(k[x].first + j) * src_step + (size_t)c] * k[x].weight[j];
                dst[(size_t)y * dst_line + (size_t)x * dst_step + (size_t)c] = clamp_u8(sum >> 22);
            }
}

dreamo_status resize_lanczos(const bitmap *src, int width, int height, bitmap *out, dreamo_error *err)
{
    bitmap middle = { 0 };
    int *wx = NULL, *wy = NULL;
    size_t ch = (size_t)src->channels;
    dreamo_status s = bitmap_new(out, width, height, src->channels, err);
    if (!s) s = bitmap_new(&middle, width, src->height, src->channels, err);
    kernel *kx = s ? NULL : lanczos_kernels(src->width, width, &wx), *ky = s ? NULL : lanczos_kernels(src->height, height, &wy);
    if (!s && (!kx || !ky)) s = fail(err, DREAMO_MEMORY, "no memory to resize a picture to %d x %d", width, height);
    if (!s) {
        size_t from = (size_t)src->width * ch, to = (size_t)width * ch;
        lanczos_pass(src->data, middle.data, src->height, width, from, to, ch, ch, src->channels, kx);
        lanczos_pass(middle.data, out->data, width, height, ch, ch, to, to, src->channels, ky);
    }
    mem_free(kx);
    mem_free(ky);
    mem_free(wx);
    mem_free(wy);
    bitmap_free(&middle);
    if (s) bitmap_free(out);
    return s;
}

dreamo_status composite_white(const bitmap *src, bitmap *out, dreamo_error *err)
{
    dreamo_status s = bitmap_new(out, src->width, src->height, 3, err);
    size_t pixels = (size_t)src->width * (size_t)src->height;
    if (s) return s;
    if (src->channels == 3) {
        memcpy(out->data, src->data, 3 * pixels);
        return DREAMO_OK;
    }
    for (size_t i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++) {
            int alpha = src->data[4 * i + 3], t = 255 * (255 - alpha) + src->data[4 * i + (size_t)c] * alpha + 128;
            out->data[3 * i + (size_t)c] = (unsigned char)((t + (t >> 8)) >> 8);
        }
    return DREAMO_OK;
}
