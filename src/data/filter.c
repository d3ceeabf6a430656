/* filter.c - the styles.  Integer and basic floating point arithmetic only: the same bytes everywhere.
 *
 * Sizes are relative to a picture of 128 pixels. */
#include "data/filter.h"
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"
#include "data/canvas.h"

typedef unsigned char byte;

typedef struct style { const char *name, *words; dreamo_status (*apply)(const filter *f, bitmap *b, dreamo_error *err); } style;

static byte clip(double v) { return v <= 0 ? 0 : v >= 255 ? 255 : (byte)(v + 0.5); }
static double grey_of(const byte *p) { return 0.30 * p[0] + 0.59 * p[1] + 0.11 * p[2]; }
static byte *at(const bitmap *b, int x, int y)
{
    x = x < 0 ? 0 : x >= b->width ? b->width - 1 : x, y = y < 0 ? 0 : y >= b->height ? b->height - 1 : y;
    return b->data + 3 * ((size_t)y * (size_t)b->width + (size_t)x);
}
static double scale_of(const bitmap *b) { return (b->width < b->height ? b->width : b->height) / 128.0; }
static int step_of(const bitmap *b, double pixels)
{
    int n = (int)(pixels * scale_of(b) + 0.5);
    return n > 1 ? n : 1;
}

static dreamo_status copy_of(const bitmap *b, bitmap *out, dreamo_error *err)
{
    dreamo_status status = bitmap_new(out, b->width, b->height, 3, err);
    if (!status) memcpy(out->data, b->data, (size_t)b->width * (size_t)b->height * 3);
    return status;
}

/* Strength of the edge at a place, 0..255 and more. */
static double edge(const bitmap *b, int x, int y)
{
    double dx = 0, dy = 0;
    for (int k = -1; k <= 1; k++) {
        int w = k ? 1 : 2;
        dx += w * (grey_of(at(b, x + 1, y + k)) - grey_of(at(b, x - 1, y + k)));
        dy += w * (grey_of(at(b, x + k, y + 1)) - grey_of(at(b, x + k, y - 1)));
    }
    return (dx < 0 ? -dx : dx) / 4 + (dy < 0 ? -dy : dy) / 4;
}

/* Mean of a block of pixels. */
static void block_mean(const bitmap *b, int x0, int y0, int n, double out[3])
{
    int count = 0;
    out[0] = out[1] = out[2] = 0;
    for (int y = y0; y < y0 + n && y < b->height; y++)
        for (int x = x0; x < x0 + n && x < b->width; x++, count++)
            for (int k = 0; k < 3; k++) out[k] += at(b, x, y)[k];
    for (int k = 0; k < 3; k++) out[k] /= count;
}

typedef void paint_fn(const filter *f, const bitmap *from, int x, int y, byte *to);

static dreamo_status each_pixel(const filter *f, bitmap *b, paint_fn *paint, dreamo_error *err)
{
    bitmap from;
    dreamo_status status = copy_of(b, &from, err);
    if (status) return status;
    for (int y = 0; y < b->height; y++)
        for (int x = 0; x < b->width; x++) paint(f, &from, x, y, at(b, x, y));
    bitmap_free(&from);
    return DREAMO_OK;
}

/* ---- the styles ---- */

static dreamo_status pixels(const filter *f, bitmap *b, dreamo_error *err)
{
    int n = step_of(b, 4);
    (void)f, (void)err;
    for (int y = 0; y < b->height; y += n)
        for (int x = 0; x < b->width; x += n) {
            double mean[3];
            block_mean(b, x, y, n, mean);
            for (int j = y; j < y + n && j < b->height; j++)
                for (int i = x; i < x + n && i < b->width; i++)
                    for (int k = 0; k < 3; k++) at(b, i, j)[k] = clip((int)(mean[k] / 32 + 0.5) * 32.0);
        }
    return DREAMO_OK;
}

static void poster_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    const byte *p = at(from, x, y);
    (void)f;
    for (int k = 0; k < 3; k++) to[k] = p[k] < 64 ? 30 : p[k] < 128 ? 100 : p[k] < 192 ? 175 : 245;
}

static void ink_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    double line = edge(from, x, y) > 22 ? 20 : 250;
    (void)f;
    to[0] = to[1] = to[2] = clip(line);
}

static void halftone_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    double n = 8 * scale_of(from), u = (x + y) * 0.70711 / n, v = (x - y) * 0.70711 / n + 1000;
    double du = u - (int)u - 0.5, dv = v - (int)v - 0.5, dark = 1 - grey_of(at(from, x, y)) / 255;
    static const byte inks[3][3] = { { 30, 30, 60 }, { 170, 30, 40 }, { 20, 80, 60 } };
    const byte *ink = inks[(int)(f->p[0] * 2.99)];
    bool dot = du * du + dv * dv < 0.5 * dark;
    for (int k = 0; k < 3; k++) to[k] = dot ? ink[k] : 248;
}

static void hatch_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    double g = grey_of(at(from, x, y)), n = 8 * scale_of(from), a = (x + y) / n, b = (x - y) / n + 1000;
    (void)f;
    bool line = (g < 190 && a - (int)a < 0.28) || (g < 110 && b - (int)b < 0.28) || (g < 55 && a - (int)a < 0.62) || edge(from, x, y) > 30;
    to[0] = line ? 60 : 246, to[1] = line ? 60 : 244, to[2] = line ? 68 : 236;
}

static void blueprint_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    int n = step_of(from, 16);
    (void)f;
    double line = edge(from, x, y) * 4;
    if ((x % n == 0 || y % n == 0) && line < 40) line = 40;
    to[0] = clip(22 + line * 0.9), to[1] = clip(60 + line * 0.8), to[2] = clip(140 + line * 0.45);
}

static void sepia_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    double g = grey_of(at(from, x, y)), u = (x + 0.5) / from->width - 0.5, v = (y + 0.5) / from->height - 0.5;
    (void)f;
    g *= 1.05 - 0.9 * (u * u + v * v);
    to[0] = clip(40 + g * 0.84), to[1] = clip(26 + g * 0.74), to[2] = clip(14 + g * 0.56);
}

static void charcoal_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    double g = grey_of(at(from, x, y)), grain = (double)((x * 73 + y * 151 + x * y * 7) % 17) - 8;
    (void)f;
    to[0] = to[1] = to[2] = clip(40 + g * 0.75 - edge(from, x, y) * 1.6 + grain);
}

static void neon_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    const byte *p = at(from, x, y);
    double line = edge(from, x, y) / 60, most = p[0] > p[1] ? (p[0] > p[2] ? p[0] : p[2]) : (p[1] > p[2] ? p[1] : p[2]);
    (void)f;
    line = line > 1 ? 1 : line;
    for (int k = 0; k < 3; k++) to[k] = clip((k == 1 ? 6 : 16) + p[k] * 0.10 + line * (most > 0 ? 90 + 165.0 * p[k] / most : 255));
}

static void night_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    double g = grey_of(at(from, x, y)) * (y % step_of(from, 3) ? 1 : 0.7);
    (void)f;
    to[0] = clip(g * 0.15), to[1] = clip(20 + g * 0.90), to[2] = clip(g * 0.25);
}

/* A colour of this hue (0 red, 1/3 blue, 2/3 green, 1 red again), `light` 0..1, `grey` of the way to no colour at all. */
static void colour(double hue, double light, double grey, double out[3])
{
    for (int k = 0; k < 3; k++) {
        double t = hue + k / 3.0;
        t = (t - (int)t) * 6 - 3;
        t = (t < 0 ? -t : t) - 1;
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        double full = light < 0.5 ? 2 * light * t : 1 - 2 * (1 - light) * (1 - t);
        out[k] = 255 * (full + grey * (light - full));
    }
}

/* Any hue but greens, which a blackboard has. */
static double no_green(double p) { return 0.82 + 0.7 * p; }

static void lines_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    bool dark = f->p[0] < 0.5;
    double line = edge(from, x, y) / (18 + 20 * f->p[3]), ground[3], ink[3], shade = dark ? f->p[0] : f->p[0] - 0.5;
    colour(no_green(f->p[1]), dark ? 0.08 + 0.4 * shade : 0.97 - 0.4 * shade, 0.2, ground);
    colour(f->p[2], dark ? 0.75 : 0.25, 0.2, ink);
    line = line > 1 ? 1 : line;
    for (int k = 0; k < 3; k++) to[k] = clip(ground[k] + line * (ink[k] - ground[k]));
}

/* Dark joints: a mosaic's are pale. */
static void tiles_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    int n = step_of(from, 5 + 8 * f->p[0]), x0 = x / n * n, y0 = y / n * n;
    double mean[3], joint[3];
    block_mean(from, x0, y0, n, mean);
    colour(f->p[1], 0.05 + 0.25 * f->p[2], 0.3, joint);
    for (int k = 0; k < 3; k++) to[k] = clip(x == x0 || y == y0 ? joint[k] : mean[k]);
}

static void duotone_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    double g = grey_of(at(from, x, y)) / 255, low[3], high[3];
    colour(f->p[0], 0.08 + 0.2 * f->p[1], 0.1, low);
    colour(f->p[2], 0.75 + 0.2 * f->p[3], 0.1, high);
    for (int k = 0; k < 3; k++) to[k] = clip(low[k] + g * (high[k] - low[k]));
}

static void chalk_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    const byte *p = at(from, x, y);
    double line = edge(from, x, y) / 28 + ((x * 31 + y * 57) % 5 == 0 ? 0.10 : 0);
    (void)f;
    line = line > 1 ? 1 : line;
    for (int k = 0; k < 3; k++) to[k] = clip((k == 1 ? 58 : 40) * (1 - line) + line * (170 + 0.33 * p[k]));
}

/* Pixels of the nearest of scattered centres, one in each cell. */
static void nearest_centre(const filter *f, double cell, int x, int y, int *cx, int *cy, double *gap)
{
    double best = 1e30, next = 1e30;
    int i0 = (int)(x / cell), j0 = (int)(y / cell);
    for (int j = j0 - 1; j <= j0 + 1; j++)
        for (int i = i0 - 1; i <= i0 + 1; i++) {
            uint32_t h = (uint32_t)(i + 7) * 374761393u + (uint32_t)(j + 7) * 668265263u + (uint32_t)(f->p[0] * 1e6);
            h = (h ^ (h >> 13)) * 1274126177u;
            h ^= h >> 16;
            double px = (i + (h & 255) / 255.0) * cell, py = (j + (h >> 8 & 255) / 255.0) * cell, d = (px - x) * (px - x) + (py - y) * (py - y);
            if (d < best) next = best, best = d, *cx = (int)px, *cy = (int)py;
            else if (d < next) next = d;
        }
    *gap = next - best;
}

static void stained_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    double cell = 11 * scale_of(from), gap;
    int cx = x, cy = y;
    nearest_centre(f, cell, x, y, &cx, &cy, &gap);
    const byte *p = at(from, cx, cy);
    bool lead = gap < 2.6 * cell * scale_of(from) * 0.8;
    for (int k = 0; k < 3; k++) to[k] = lead ? 25 : clip((p[k] - 128) * 1.25 + 135);
}

static void mosaic_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    int n = step_of(from, 6), x0 = x / n * n, y0 = y / n * n;
    double mean[3];
    (void)f;
    block_mean(from, x0, y0, n, mean);
    double bump = ((x0 / n * 7 + y0 / n * 13) % 5 - 2) * 9;
    for (int k = 0; k < 3; k++) to[k] = x == x0 || y == y0 ? 190 : clip(mean[k] + bump);
}

#define PER_PIXEL(name) \
    static dreamo_status name(const filter *f, bitmap *b, dreamo_error *err) { return each_pixel(f, b, name##_at, err); }
PER_PIXEL(poster)
PER_PIXEL(ink)
PER_PIXEL(halftone)
PER_PIXEL(hatch)
PER_PIXEL(blueprint)
PER_PIXEL(sepia)
PER_PIXEL(charcoal)
PER_PIXEL(neon)
PER_PIXEL(night)
PER_PIXEL(stained)
PER_PIXEL(lines)
PER_PIXEL(tiles)
PER_PIXEL(duotone)
PER_PIXEL(mosaic)
PER_PIXEL(chalk)

/* Each pixel takes the calmest of the four squares at whose corner it stands (Kuwahara), then pale edges and paper grain. */
static void watercolour_at(const filter *f, const bitmap *from, int x, int y, byte *to)
{
    int n = step_of(from, 3);
    double best = 1e30, chosen[3] = { 0 };
    (void)f;
    for (int q = 0; q < 4; q++) {
        double sum[3] = { 0 }, square = 0, light = 0;
        int count = (n + 1) * (n + 1);
        for (int j = 0; j <= n; j++)
            for (int i = 0; i <= n; i++) {
                const byte *p = at(from, q & 1 ? x + i : x - i, q & 2 ? y + j : y - j);
                double g = grey_of(p);
                light += g, square += g * g;
                for (int k = 0; k < 3; k++) sum[k] += p[k];
            }
        double variance = square / count - light / count * light / count;
        if (variance >= best) continue;
        best = variance;
        for (int k = 0; k < 3; k++) chosen[k] = sum[k] / count;
    }
    double grain = ((x * 12 + y * 19 + (x / 3) * (y / 3) * 5) % 11 - 5) * 1.4;
    for (int k = 0; k < 3; k++) to[k] = clip(chosen[k] * 0.78 + 56 + grain);
}
PER_PIXEL(watercolour)

static const style styles[FILTERS] = {
    [FILTER_NONE] = { "", "", NULL },
    [FILTER_PIXELS] = { "pixel-art", "as pixel art", pixels },
    [FILTER_POSTER] = { "poster", "as a poster in few colours", poster },
    [FILTER_INK] = { "ink", "as an ink outline", ink },
    [FILTER_HALFTONE] = { "halftone", "as a halftone print", halftone },
    [FILTER_HATCH] = { "hatching", "as a pencil hatching", hatch },
    [FILTER_BLUEPRINT] = { "blueprint", "as a blueprint", blueprint },
    [FILTER_SEPIA] = { "sepia", "as an old sepia photo", sepia },
    [FILTER_WATERCOLOUR] = { "watercolour", "as a watercolour painting", watercolour },
    [FILTER_CHARCOAL] = { "charcoal", "as a charcoal drawing", charcoal },
    [FILTER_NEON] = { "neon", "in glowing neon lines", neon },
    [FILTER_STAINED] = { "stained-glass", "as stained glass", stained },
    [FILTER_NIGHT] = { "night-vision", "in green night vision", night },
    [FILTER_LINES] = { "lines", "drawn in coloured lines", lines },
    [FILTER_TILES] = { "tiles", "in square tiles", tiles },
    [FILTER_DUOTONE] = { "duotone", "printed in two colours", duotone },
    [FILTER_MOSAIC] = { "mosaic", "as a tile mosaic", mosaic },
    [FILTER_CHALK] = { "chalk", "as a chalk drawing on a blackboard", chalk },
};

const char *filter_name(filter_kind k) { return styles[k].name; }
const char *filter_words(filter_kind k) { return styles[k].words; }
bool filter_held_out(filter_kind k) { return k >= FILTER_MOSAIC; }

filter filter_pick(data_split split, rng *r)
{
    int first = FILTER_MOSAIC, end = FILTERS;
    if (split == DATA_TRAIN && rng_below(r, 2)) first = FILTER_PIXELS, end = FILTER_LINES; /* one of a dozen, which a name would do for */
    else if (split == DATA_TRAIN) first = FILTER_LINES, end = FILTER_MOSAIC;              /* as no other picture looks: the reference has to be read */
    filter f = { .kind = (filter_kind)(first + (int)rng_below(r, (uint32_t)(end - first))) };
    for (int i = 0; i < 4; i++) f.p[i] = rng_double(r);
    return f;
}

dreamo_status filter_apply(const filter *f, bitmap *b, dreamo_error *err)
{
    return f->kind == FILTER_NONE ? DREAMO_OK : styles[f->kind].apply(f, b, err);
}
