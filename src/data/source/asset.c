/* asset.c - trimming and judging the views of a subject. */
#include "data/source/asset.h"
#include <string.h>
#include "base/mem.h"

typedef struct box { int x0, y0, x1, y1; } box; /* x1, y1 past the end */

static const unsigned char *pixel(const unsigned char *rgba, int width, int x, int y)
{
    return rgba + 4 * ((size_t)y * (size_t)width + (size_t)x);
}

static box extent(const unsigned char *rgba, int side)
{
    box b = { side, side, 0, 0 };
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            if (pixel(rgba, side, x, y)[3] > 12) {
                if (x < b.x0) b.x0 = x;
                if (x >= b.x1) b.x1 = x + 1;
                if (y < b.y0) b.y0 = y;
                if (y >= b.y1) b.y1 = y + 1;
            }
    return b;
}

/* Mean of the source rectangle [x0, x1) x [y0, y1) with fractional edges, weighted by alpha. */
static void area_mean(const tile *src, double x0, double y0, double x1, double y1, unsigned char out[4])
{
    double sum[4] = { 0 };
    for (int y = y0 > 0 ? (int)y0 : 0; y < y1 && y < src->height; y++)
        for (int x = x0 > 0 ? (int)x0 : 0; x < x1 && x < src->width; x++) {
            double w = ((x + 1 < x1 ? x + 1 : x1) - (x > x0 ? x : x0)) * ((y + 1 < y1 ? y + 1 : y1) - (y > y0 ? y : y0));
            const unsigned char *p = pixel(src->rgba, src->row, x, y);
            for (int k = 0; k < 3; k++) sum[k] += w * p[3] * p[k];
            sum[3] += w * p[3];
        }
    for (int k = 0; k < 3; k++) out[k] = sum[3] > 0 ? (unsigned char)(sum[k] / sum[3] + 0.5) : 0;
    out[3] = (unsigned char)(sum[3] / ((x1 - x0) * (y1 - y0)) + 0.5);
}

void tile_shrink(const tile *src, double left, double top, double step, int width, int height, unsigned char *out)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, out += 4)
            area_mean(src, left + x * step, top + y * step, left + (x + 1) * step, top + (y + 1) * step, out);
}

/* Why these pixels cannot be a subject, or NULL. */
static const char *judge(asset *a)
{
    size_t n = (size_t)a->width * (size_t)a->height, views = (size_t)(a->yaws * a->pitches), bins[512] = { 0 };
    double cover = 0, pale = 0, sum[3] = { 0 };
    for (size_t i = 0; i < n * views; i++) {
        const unsigned char *p = a->rgba + 4 * i;
        double w = p[3] / 255.0;
        cover += w;
        if (p[0] > 225 && p[1] > 225 && p[2] > 225) pale += w;
        for (int k = 0; k < 3; k++) sum[k] += w * p[k];
        if (p[3] > 127) bins[(p[0] >> 5) << 6 | (p[1] >> 5) << 3 | p[2] >> 5]++;
    }
    if (cover < 1) return "empty";
    for (int k = 0; k < 3; k++) a->mean[k] = (uint8_t)(sum[k] / cover + 0.5);
    double share = cover / (double)(n * views), aspect = a->width > a->height ? (double)a->height / a->width : (double)a->width / a->height;
    if (aspect < 0.18) return "too thin";
    if (share * aspect < 0.10) return "nearly empty";
    if (share > 0.965 && aspect > 0.6) return "fills its rectangle";
    if (pale / cover > 0.80) return "white on white";
    size_t most = 0, all = 0;
    for (int i = 0; i < 512; i++) all += bins[i], most = bins[i] > most ? bins[i] : most;
    return (double)most > 0.97 * (double)all ? "one flat colour" : NULL;
}

dreamo_status asset_trim(asset *a, const unsigned char *views, int side, dreamo_error *err)
{
    int n = a->yaws * a->pitches;
    size_t each = (size_t)side * (size_t)side * 4;
    int w = 0, h = 0;
    for (int i = 0; i < n; i++) {
        box b = extent(views + each * (size_t)i, side);
        if (b.x1 - b.x0 > w) w = b.x1 - b.x0;
        if (b.y1 - b.y0 > h) h = b.y1 - b.y0;
    }
    if (w < 4 || h < 4) {
        a->refused = "empty";
        return DREAMO_OK;
    }
    double step = (double)(w > h ? w : h) / ASSET_SIDE; /* source pixels an asset pixel */
    a->width = (int)(w / step + 0.5), a->height = (int)(h / step + 0.5);
    if (a->width < 1) a->width = 1;
    if (a->height < 1) a->height = 1;
    size_t to = (size_t)a->width * (size_t)a->height * 4;
    if (!(a->rgba = mem_alloc(to * (size_t)n))) return fail(err, DREAMO_MEMORY, "%s: no memory for its views", a->file);
    for (int i = 0; i < n; i++) {
        const unsigned char *src = views + each * (size_t)i;
        box b = extent(src, side);
        double left = (b.x0 + b.x1) / 2.0 - a->width * step / 2, top = b.y1 - a->height * step; /* centred, standing */
        tile_shrink(&(tile){ side, side, side, src, NULL }, left, top, step, a->width, a->height, a->rgba + to * (size_t)i);
    }
    a->refused = judge(a);
    return DREAMO_OK;
}

void asset_free(asset *a)
{
    mem_free(a->rgba);
    a->rgba = NULL;
}
