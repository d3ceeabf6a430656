/* canvas.c - pasting, shadows and area-downsampling. */
#include "data/canvas.h"
#include <math.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"

double sine(double turns)
{
    double t = turns - (double)(long long)turns;
    if (t < 0) t += 1;                        /* [0, 1) */
    double sign = 1;
    if (t >= 0.5) { t -= 0.5; sign = -1; }
    if (t > 0.25) t = 0.5 - t;                /* [0, 1/4] */
    double x = 6.283185307179586 * t, s = x * x;
    return sign * x * (1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110))))); /* Taylor, x <= pi/2 */
}

double smoothstep(double lo, double hi, double x)
{
    double t = (x - lo) / (hi - lo);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}

dreamo_status canvas_new(canvas *c, int width, int height, dreamo_error *err)
{
    int side = width < height ? width : height, fine = side >= 64 ? 2 : (128 + side - 1) / side;
    size_t n = (size_t)(width * fine) * (size_t)(height * fine);
    *c = (canvas){ .width = width * fine, .height = height * fine, .fine = fine, .rgb = mem_alloc(n * 3 * sizeof(float)) };
    if (!c->rgb) return fail(err, DREAMO_MEMORY, "no memory for a drawing of %d x %d pixels", c->width, c->height);
    for (size_t i = 0; i < n * 3; i++) c->rgb[i] = 1;
    return DREAMO_OK;
}

void canvas_free(canvas *c)
{
    mem_free(c->rgb);
    for (int i = 0; i < CANVAS_LAYERS; i++) mem_free(c->cover[i]);
    *c = (canvas){ 0 };
}

static double unit_of(const canvas *c) { return c->width < c->height ? c->width : c->height; }
double canvas_wide(const canvas *c) { return c->width / unit_of(c); }
double canvas_high(const canvas *c) { return c->height / unit_of(c); }

/* ---- pasting ---- */

/* Colour (premultiplied), alpha, and how much of the alpha is matte, at (x, y) in tile pixels, bilinear, transparent outside. */
static void tile_at(const tile *t, double x, double y, float out[5])
{
    x -= 0.5, y -= 0.5;
    int x0 = (int)(x + 2) - 2, y0 = (int)(y + 2) - 2; /* floor for x > -2 */
    float fx = (float)(x - x0), fy = (float)(y - y0);
    memset(out, 0, 5 * sizeof *out);
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            int px = x0 + i, py = y0 + j;
            if (px < 0 || py < 0 || px >= t->width || py >= t->height) continue;
            size_t at = (size_t)py * (size_t)t->row + (size_t)px;
            const unsigned char *p = t->rgba + 4 * at;
            float a = (float)p[3] * (1.0f / 255) * (i ? fx : 1 - fx) * (j ? fy : 1 - fy);
            for (int k = 0; k < 3; k++) out[k] += a * (float)p[k] * (1.0f / 255);
            out[3] += a;
            if (t->matte) out[4] += a * (float)t->matte[at] * (1.0f / 255);
        }
}

static dreamo_status layer_ready(canvas *c, int layer, dreamo_error *err)
{
    if (layer == NO_LAYER || c->cover[layer]) return DREAMO_OK;
    c->cover[layer] = mem_calloc((size_t)c->width * (size_t)c->height, sizeof(float));
    return c->cover[layer] ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for a mask of %d x %d pixels", c->width, c->height);
}

/* From canvas pixels to tile pixels. */
typedef struct mapping { double cx, cy, sn, cs, zoom, mx, my; bool mirror; } mapping;

static mapping map_tile(const canvas *c, const tile *t, const placement *at)
{
    int longest = t->width > t->height ? t->width : t->height;
    double unit = unit_of(c);
    return (mapping){ at->x * unit, at->y * unit, sine(at->turn), sine(at->turn + 0.25), at->scale * unit / longest, t->width / 2.0,
                      t->height / 2.0, at->mirror };
}

static void to_tile(const mapping *m, double x, double y, double *u, double *v)
{
    double dx = (x - m->cx) / m->zoom, dy = (y - m->cy) / m->zoom;
    *u = m->cs * dx + m->sn * dy, *v = m->cs * dy - m->sn * dx; /* turned back */
    if (m->mirror) *u = -*u;
    *u += m->mx, *v += m->my;
}

static void put(canvas *c, size_t i, const float s[5], const paste *p, float shade)
{
    float part = p->part == PART_ALL || s[3] <= 0 ? 1 : p->part == PART_MATTE ? s[4] / s[3] : 1 - s[4] / s[3];
    float alpha = s[3] * part, matte = p->part == PART_PLAIN ? 0 : p->part == PART_MATTE ? alpha : s[4];
    for (int k = 0; k < 3; k++) {
        float colour = s[k] * part * shade * (p->lit ? p->lit->tint[k] : 1);
        c->rgb[3 * i + (size_t)k] = c->rgb[3 * i + (size_t)k] * (1 - alpha) + (colour < alpha ? colour : alpha);
    }
    for (int l = 0; l < CANVAS_LAYERS; l++) {
        float *cover = c->cover[l];
        if (!cover) continue;
        cover[i] *= 1 - alpha;
        if (l == p->matte_layer) cover[i] += matte;
        if (l == p->layer) cover[i] += alpha - matte;
    }
}

dreamo_status canvas_paste(canvas *c, const paste *p, dreamo_error *err)
{
    const tile *t = p->t;
    dreamo_status status = layer_ready(c, p->layer, err);
    if (!status) status = layer_ready(c, p->matte_layer, err);
    if (status) return status;
    mapping m = map_tile(c, t, &p->at);
    double reach = m.zoom * sqrt((double)t->width * t->width + (double)t->height * t->height) / 2 + m.zoom + 1;
    int x0 = m.cx - reach > 0 ? (int)(m.cx - reach) : 0, x1 = m.cx + reach < c->width ? (int)(m.cx + reach) : c->width - 1;
    int y0 = m.cy - reach > 0 ? (int)(m.cy - reach) : 0, y1 = m.cy + reach < c->height ? (int)(m.cy + reach) : c->height - 1;
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            double u, v;
            float s[5];
            to_tile(&m, x + 0.5, y + 0.5, &u, &v);
            if (u < -0.5 || v < -0.5 || u > t->width + 0.5 || v > t->height + 0.5) continue;
            tile_at(t, u, v, s);
            if (s[3] <= 0) continue;
            float shade = p->lit ? (float)(1 + 0.2 * p->lit->side * ((x + 0.5 - m.cx) / (m.zoom * t->width / 2.0))) : 1;
            put(c, (size_t)y * (size_t)c->width + (size_t)x, s, p, shade);
        }
    return DREAMO_OK;
}

/* ---- shadows ---- */

static void darken(canvas *c, int x, int y, double keep)
{
    for (size_t k = 0; k < 3; k++) c->rgb[3 * ((size_t)y * (size_t)c->width + (size_t)x) + k] *= (float)keep;
}

void canvas_shadow(canvas *c, double x, double y, double rx, double ry, double dark)
{
    if (dark <= 0) return;
    double n = unit_of(c);
    int x0 = (int)((x - rx) * n), x1 = (int)((x + rx) * n), y0 = (int)((y - ry) * n), y1 = (int)((y + ry) * n);
    for (int j = y0 > 0 ? y0 : 0; j <= y1 && j < c->height; j++)
        for (int i = x0 > 0 ? x0 : 0; i <= x1 && i < c->width; i++) {
            double u = ((i + 0.5) / n - x) / rx, v = ((j + 0.5) / n - y) / ry, d = u * u + v * v;
            if (d < 1) darken(c, i, j, 1 - dark * (1 - d) * (1 - d));
        }
}

void canvas_cast(canvas *c, const tile *t, const placement *at, double lean, double flat, double dark)
{
    if (dark <= 0 || flat <= 0) return;
    mapping m = map_tile(c, t, at);
    double high = t->height * m.zoom, wide = t->width * m.zoom, foot = m.cy + high / 2;
    double reach = wide / 2 + (lean < 0 ? -lean : lean) * high + 1;
    int x0 = m.cx - reach > 0 ? (int)(m.cx - reach) : 0, x1 = m.cx + reach < c->width ? (int)(m.cx + reach) : c->width - 1;
    int y0 = foot - flat * high > 0 ? (int)(foot - flat * high) : 0, y1 = foot < c->height ? (int)foot : c->height - 1;
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            double h = (foot - y - 0.5) / flat, u, v; /* how high above its foot the tile is that shades this place */
            float s[5];
            if (h < 0 || h > high) continue;
            to_tile(&m, x + 0.5 - lean * h, foot - h, &u, &v);
            if (u < -0.5 || v < -0.5 || u > t->width + 0.5 || v > t->height + 0.5) continue;
            tile_at(t, u, v, s);
            darken(c, x, y, 1 - dark * (double)s[3] * (1 - 0.6 * h / high));
        }
}

/* ---- the result ---- */

static unsigned char byte_of(float v) { return v <= 0 ? 0 : v >= 1 ? 255 : (unsigned char)(v * 255 + 0.5f); }

/* Means of fine x fine blocks of [height, width, channels]. */
static void shrink(const canvas *c, const float *from, int channels, unsigned char *to)
{
    int w = c->width / c->fine, h = c->height / c->fine, f = c->fine;
    float each = 1.0f / (float)(f * f);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float sum[3] = { 0 };
            for (int j = 0; j < f; j++)
                for (int i = 0; i < f; i++) {
                    const float *p = from + (size_t)channels * ((size_t)(y * f + j) * (size_t)c->width + (size_t)(x * f + i));
                    for (int k = 0; k < channels; k++) sum[k] += p[k];
                }
            for (int k = 0; k < channels; k++)
                to[(size_t)channels * ((size_t)y * (size_t)w + (size_t)x) + (size_t)k] = byte_of(sum[k] * each);
        }
}

dreamo_status canvas_finish(const canvas *c, bitmap *out, dreamo_error *err)
{
    dreamo_status status = bitmap_new(out, c->width / c->fine, c->height / c->fine, 3, err);
    if (!status) shrink(c, c->rgb, 3, out->data);
    return status;
}

dreamo_status canvas_mask(const canvas *c, int layer, unsigned char **mask, dreamo_error *err)
{
    int w = c->width / c->fine, h = c->height / c->fine;
    if (!(*mask = mem_calloc((size_t)w * (size_t)h, 1))) return fail(err, DREAMO_MEMORY, "no memory for a mask of %d x %d", w, h);
    if (c->cover[layer]) shrink(c, c->cover[layer], 1, *mask);
    return DREAMO_OK;
}
