/* wardrobe.c - colours, patterns, a body of simple shapes.
 *
 * A garment's picture tells brightness only: where it is dark there is nothing, so its alpha rises from 6 % (the data's background
 * is exactly 0), and its brightness shades the colour. */
#include "data/wardrobe.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct dye { const char *name; unsigned char rgb[3]; } dye;

static const dye dyes[] = {
    { "red", { 205, 40, 40 } },    { "orange", { 240, 140, 40 } }, { "yellow", { 245, 210, 60 } }, { "green", { 60, 150, 70 } },
    { "turquoise", { 50, 180, 175 } }, { "blue", { 45, 90, 200 } }, { "purple", { 130, 65, 170 } }, { "pink", { 240, 150, 185 } },
    { "brown", { 120, 78, 48 } },  { "grey", { 140, 142, 148 } },  { "black", { 40, 40, 46 } },    { "white", { 240, 240, 240 } },
};
enum { NDYES = sizeof dyes / sizeof *dyes, PLAIN = 0, STRIPES, CHECKS, DOTS, NPATTERNS };

worn worn_pick(const garment *g, rng *r)
{
    worn w = { .g = g, .number = (int)rng_below(r, (uint32_t)g->count), .colour = (int)rng_below(r, NDYES) };
    w.second = (w.colour + 1 + (int)rng_below(r, NDYES - 1)) % NDYES;
    w.pattern = rng_below(r, 2) ? PLAIN : 1 + (int)rng_below(r, NPATTERNS - 1);
    return w;
}

void worn_words(const worn *w, char *out, size_t nbytes)
{
    static const char *const patterns[NPATTERNS] = { "", "stripes", "checks", "dots" };
    const char *name = w->g->name, *colour = dyes[w->colour].name;
    bool many = name[strlen(name) - 1] == 's' && strcmp(name, "dress") != 0;
    const char *article = many ? "" : *colour == 'o' ? "an " : "a ";
    if (w->pattern == PLAIN) snprintf(out, nbytes, "%s%s %s", article, colour, name);
    else snprintf(out, nbytes, "%s%s %s with %s %s", article, colour, name, dyes[w->second].name, patterns[w->pattern]);
}

/* Brightness at (x, y) of the garment's own pixels, 0..1, bilinear, 0 outside. */
static double grey_at(const unsigned char *grey, double x, double y)
{
    x -= 0.5, y -= 0.5;
    int x0 = (int)(x + 2) - 2, y0 = (int)(y + 2) - 2;
    double sum = 0;
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            int px = x0 + i, py = y0 + j;
            if (px < 0 || py < 0 || px >= GARMENT_SIDE || py >= GARMENT_SIDE) continue;
            sum += grey[py * GARMENT_SIDE + px] / 255.0 * (i ? x - x0 : 1 - x + x0) * (j ? y - y0 : 1 - y + y0);
        }
    return sum;
}

static bool second_here(int pattern, double u, double v)
{
    switch (pattern) {
    case STRIPES: return v * 9 - (int)(v * 9) < 0.45;
    case CHECKS: return ((int)(u * 9) + (int)(v * 9)) % 2;
    case DOTS: {
        double y = v * 8, x = u * 8 + 0.5 * ((int)y % 2);
        x -= (int)x + 0.5, y -= (int)y + 0.5;
        return x * x + y * y < 0.08;
    }
    default: return false;
    }
}

static tile crop(tile t)
{
    int x0 = t.width, x1 = -1, y0 = t.height, y1 = -1;
    for (int y = 0; y < t.height; y++)
        for (int x = 0; x < t.width; x++)
            if (t.rgba[4 * ((size_t)y * (size_t)t.row + (size_t)x) + 3] > 12) {
                x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1;
                y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
            }
    if (x1 < 0) return t;
    t.rgba += 4 * ((size_t)y0 * (size_t)t.row + (size_t)x0);
    t.width = x1 - x0 + 1, t.height = y1 - y0 + 1;
    return t;
}

tile worn_draw(const worn *w, unsigned char *rgba)
{
    const unsigned char *grey = w->g->grey + (size_t)w->number * GARMENT_SIDE * GARMENT_SIDE;
    for (int y = 0; y < WORN_SIDE; y++)
        for (int x = 0; x < WORN_SIDE; x++) {
            double u = (x + 0.5) / WORN_SIDE, v = (y + 0.5) / WORN_SIDE, g = grey_at(grey, u * GARMENT_SIDE, v * GARMENT_SIDE);
            double alpha = (g - 0.06) * 8;
            unsigned char *p = rgba + 4 * (y * WORN_SIDE + x);
            const unsigned char *colour = dyes[second_here(w->pattern, u, v) ? w->second : w->colour].rgb;
            double shade = 0.50 + 0.55 * g;
            for (int k = 0; k < 3; k++) p[k] = (unsigned char)(colour[k] * shade < 255 ? colour[k] * shade : 255);
            p[3] = (unsigned char)(alpha <= 0 ? 0 : alpha >= 1 ? 255 : alpha * 255);
        }
    return crop((tile){ WORN_SIDE, WORN_SIDE, WORN_SIDE, rgba, NULL });
}

/* ---- the body ---- */

/* In units of BODY_HIGH: x from the middle. */
const fit fit_head = { 0, -0.070, 0.24 };
const fit fit_part[3] = { [GARMENT_TOP] = { 0, 0.225, 0.40 }, [GARMENT_BOTTOM] = { 0, 0.665, 0.235 }, [GARMENT_WHOLE] = { 0, 0.36, 0.30 } };

typedef struct limb { double x0, y0, x1, y1, r0, r1; enum { SKIN, CLOTH, SHOE } what; } limb;

static const limb limbs[] = {
    { 0, 0.00, 0, 0.12, 0.040, 0.042, SKIN },                                                    /* neck */
    { -0.135, 0.125, -0.175, 0.44, 0.034, 0.026, SKIN }, { 0.135, 0.125, 0.175, 0.44, 0.034, 0.026, SKIN }, /* arms */
    { -0.075, 0.12, -0.055, 0.42, 0.070, 0.060, SKIN }, { 0.075, 0.12, 0.055, 0.42, 0.070, 0.060, SKIN },   /* torso */
    { -0.055, 0.45, -0.060, 0.93, 0.062, 0.034, CLOTH }, { 0.055, 0.45, 0.060, 0.93, 0.062, 0.034, CLOTH }, /* legs */
    { -0.065, 0.965, -0.085, 0.972, 0.026, 0.022, SHOE }, { 0.065, 0.965, 0.085, 0.972, 0.026, 0.022, SHOE },
};

/* Signed distance to a limb, negative inside. */
static double distance(const limb *l, double x, double y)
{
    double dx = l->x1 - l->x0, dy = l->y1 - l->y0, t = ((x - l->x0) * dx + (y - l->y0) * dy) / (dx * dx + dy * dy);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    double ex = x - l->x0 - t * dx, ey = y - l->y0 - t * dy;
    return sqrt(ex * ex + ey * ey) - (l->r0 + t * (l->r1 - l->r0));
}

tile body_draw(const unsigned char skin[3], int trousers, unsigned char *rgba)
{
    static const unsigned char cloth[4][3] = { { 58, 64, 92 }, { 70, 70, 74 }, { 104, 84, 64 }, { 48, 72, 60 } }, shoe[3] = { 44, 36, 34 };
    for (int y = 0; y < BODY_HIGH; y++)
        for (int x = 0; x < BODY_WIDE; x++) {
            double u = (x + 0.5 - BODY_WIDE / 2.0) / BODY_HIGH, v = (y + 0.5) / BODY_HIGH, best = 1;
            const unsigned char *colour = skin;
            for (size_t i = 0; i < sizeof limbs / sizeof *limbs; i++) {
                double d = distance(&limbs[i], u, v);
                if (d < best || (d < 0 && limbs[i].what != SKIN)) {
                    best = d < best ? d : best;
                    colour = limbs[i].what == SKIN ? skin : limbs[i].what == SHOE ? shoe : cloth[trousers & 3];
                }
            }
            double alpha = 0.5 - best * BODY_HIGH, shade = best > -0.02 ? 0.90 : 1;
            unsigned char *p = rgba + 4 * (y * BODY_WIDE + x);
            for (int k = 0; k < 3; k++) p[k] = (unsigned char)(colour[k] * shade);
            p[3] = (unsigned char)(alpha <= 0 ? 0 : alpha >= 1 ? 255 : alpha * 255);
        }
    return (tile){ BODY_WIDE, BODY_HIGH, BODY_WIDE, rgba, NULL };
}
