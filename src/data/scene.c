/* scene.c - the scenes: a table of kinds, each with a phrase and a function from place to colour (scene_shade.h). */
#include "data/scene.h"
#include <stdio.h>
#include <string.h>
#include "data/scene_brush.h"

typedef struct colour { const char *name; float rgb[3]; } colour;

static const colour colours[] = {
    { "red", { .83f, .16f, .15f } },    { "orange", { .95f, .55f, .12f } },     { "yellow", { .97f, .83f, .22f } },
    { "green", { .25f, .62f, .26f } },  { "turquoise", { .20f, .72f, .70f } },  { "light blue", { .60f, .82f, .96f } },
    { "blue", { .16f, .37f, .78f } },   { "purple", { .50f, .26f, .66f } },     { "pink", { .96f, .62f, .75f } },
    { "brown", { .48f, .30f, .18f } },  { "beige", { .90f, .82f, .68f } },      { "grey", { .55f, .56f, .58f } },
    { "black", { .09f, .09f, .11f } },  { "white", { .95f, .95f, .95f } },
};
enum { NCOLOURS = sizeof colours / sizeof *colours };

static const colour grounds[] = {
    { "green grass", { .36f, .64f, .24f } }, { "brown earth", { .50f, .36f, .22f } }, { "grey stone", { .56f, .55f, .54f } },
};
enum { NGROUNDS = sizeof grounds / sizeof *grounds };

static const colour skies[] = {
    { "blue", { .36f, .65f, .93f } }, { "grey", { .68f, .71f, .74f } }, { "pink", { .96f, .68f, .72f } },
};
enum { NSKIES = sizeof skies / sizeof *skies };

/* A phrase is `lead` + `alone`; %a and %b stand for the two choices. */
typedef struct kind {
    const char *name, *lead, *alone;
    const colour *choice[2];
    int nchoices[2];
    double horizon_lo, horizon_hi;
    int weight;
    shade_fn *shade;
    bool outside;          /* weather can fall, and the sun stands on one side */
    float tint[3];         /* on what stands in it; zeros: none */
} kind;

static const kind kinds[] = {
    { "plain", "on", "a plain %a background", { colours }, { NCOLOURS }, 1, 1, 22, shade_plain, 0, { 0 } },
    { "outdoors", "on", "%a under a %b sky", { grounds, skies }, { NGROUNDS, NSKIES }, 0.45, 0.65, 14, shade_outdoors, 1, { 0 } },
    { "beach", "on", "a beach by the sea", { NULL }, { 0 }, 0.55, 0.66, 8, shade_beach, 1, { 0 } },
    { "sea", "on", "the blue sea", { NULL }, { 0 }, 0.42, 0.55, 5, shade_sea, 1, { 0 } },
    { "hills", "in front of", "green hills", { NULL }, { 0 }, 0.50, 0.62, 6, shade_hills, 1, { 0 } },
    { "mountains", "in front of", "snowy mountains", { NULL }, { 0 }, 0.50, 0.64, 6, shade_mountains, 1, { 0 } },
    { "desert", "in", "a desert", { NULL }, { 0 }, 0.48, 0.60, 6, shade_desert, 1, { 1.04f, .97f, .88f } },
    { "snow", "in", "a snowy field", { NULL }, { 0 }, 0.45, 0.60, 6, shade_snow, 1, { .95f, .98f, 1.03f } },
    { "forest", "in", "a forest", { NULL }, { 0 }, 0.55, 0.66, 6, shade_forest, 1, { .94f, 1, .93f } },
    { "night", "under", "a starry night sky", { NULL }, { 0 }, 0.62, 0.74, 6, shade_night, 0, { .74f, .78f, .95f } },
    { "city", "in", "a city at night", { NULL }, { 0 }, 0.62, 0.72, 5, shade_city, 0, { .84f, .80f, .92f } },
    { "room", "in", "a room with a %a wall", { colours }, { NCOLOURS }, 0.60, 0.70, 10, shade_room, 0, { 0 } },
    { "table", "on", "a wooden table and a %a wall", { colours }, { NCOLOURS }, 0.58, 0.66, 7, shade_table, 0, { 0 } },
    { "stripes", "on", "%a and %b stripes", { colours, colours }, { NCOLOURS, NCOLOURS }, 1, 1, 4, shade_stripes, 0, { 0 } },
    { "sunset", "at", "sunset", { NULL }, { 0 }, 0.58, 0.68, 6, shade_sunset, 0, { 1, .84f, .72f } },
    { "road", "on", "a grey road", { NULL }, { 0 }, 0.42, 0.54, 5, shade_road, 1, { 0 } },
    { "street", "in", "a street with houses", { NULL }, { 0 }, 0.52, 0.62, 5, shade_street, 1, { 0 } },
    { "lake", "by", "a calm lake", { NULL }, { 0 }, 0.44, 0.54, 4, shade_lake, 1, { 0 } },
    { "meadow", "in", "a flower meadow", { NULL }, { 0 }, 0.46, 0.56, 5, shade_meadow, 1, { 0 } },
    { "garden", "in", "a garden with a white fence", { NULL }, { 0 }, 0.50, 0.60, 5, shade_garden, 1, { 0 } },
    { "tiles", "on", "a checkered floor by a %a wall", { colours }, { NCOLOURS }, 0.50, 0.62, 6, shade_tiles, 0, { 0 } },
    { "kitchen", "in", "a kitchen with %a tiles", { colours }, { NCOLOURS }, 0.58, 0.66, 5, shade_kitchen, 0, { 0 } },
    { "library", "in", "a library full of books", { NULL }, { 0 }, 0.70, 0.78, 4, shade_library, 0, { 1.02f, .96f, .88f } },
    { "stage", "on", "a stage with a red curtain", { NULL }, { 0 }, 0.66, 0.74, 4, shade_stage, 0, { 0 } },
    { "window", "in", "a %a room with a window", { colours }, { NCOLOURS }, 0.62, 0.70, 6, shade_window, 0, { 0 } },
    { "underwater", "under", "water", { NULL }, { 0 }, 0.84, 0.92, 4, shade_underwater, 0, { .76f, .95f, 1.02f } },
    { "space", "in", "outer space", { NULL }, { 0 }, 1, 1, 4, shade_space, 0, { .92f, .90f, 1 } },
    { "moon", "on", "the moon", { NULL }, { 0 }, 0.55, 0.66, 4, shade_moon, 0, { 0 } },
    { "volcano", "in front of", "a volcano", { NULL }, { 0 }, 0.56, 0.64, 4, shade_volcano, 0, { 1, .86f, .80f } },
    { "farm", "on", "a farm with a red barn", { NULL }, { 0 }, 0.48, 0.58, 4, shade_farm, 1, { 0 } },
    { "bridge", "in front of", "a red bridge over water", { NULL }, { 0 }, 0.52, 0.60, 3, shade_bridge, 1, { 0 } },
    { "bricks", "in front of", "a brick wall", { NULL }, { 0 }, 0.72, 0.82, 4, shade_bricks, 0, { 0 } },
    { "dots", "on", "%a with %b dots", { colours, colours }, { NCOLOURS, NCOLOURS }, 1, 1, 3, shade_dots, 0, { 0 } },
    { "checks", "on", "%a and %b checks", { colours, colours }, { NCOLOURS, NCOLOURS }, 1, 1, 3, shade_checks, 0, { 0 } },
    { "studio", "in", "a %a photo studio", { colours }, { NCOLOURS }, 0.68, 0.76, 6, shade_studio, 0, { 0 } },
    { "cave", "in", "a dark cave", { NULL }, { 0 }, 0.60, 0.68, 4, shade_cave, 0, { .84f, .82f, .82f } },
};
enum { NKINDS = sizeof kinds / sizeof *kinds };

static const char *const weather_words[WEATHERS] = { "", " in the rain", " in the fog", " in falling snow", " in golden evening light",
                                                     " in cold morning light" };

int scene_kinds(void) { return NKINDS; }
const char *scene_kind_name(int k) { return kinds[k].name; }

scene scene_pick_kind(rng *r, int k)
{
    scene s = { .kind = k, .horizon = rng_range(r, kinds[k].horizon_lo, kinds[k].horizon_hi) };
    for (int i = 0; i < 8; i++) s.p[i] = rng_double(r);
    for (int i = 0; i < 2; i++) {
        int n = kinds[k].nchoices[i];
        if (!n) continue;
        s.colour[i] = (int)rng_below(r, (uint32_t)n);
        if (i == 1 && kinds[k].choice[0] == kinds[k].choice[1] && s.colour[1] == s.colour[0]) s.colour[1] = (s.colour[0] + 5) % n;
        for (int c = 0; c < 3; c++) s.shade[i][c] = kinds[k].choice[i][s.colour[i]].rgb[c] + (float)rng_range(r, -0.035, 0.035);
    }
    if (kinds[k].outside) { /* two of five have weather, in equal parts */
        int w = (int)rng_below(r, 5 * (WEATHERS - 1));
        s.weather = w < 2 * (WEATHERS - 1) ? (scene_weather)(1 + w % (WEATHERS - 1)) : WEATHER_NONE;
    }
    for (int c = 0; c < 3; c++) s.lit.tint[c] = kinds[k].tint[0] > 0 ? kinds[k].tint[c] : 1;
    s.lit.side = kinds[k].horizon_lo < 1 ? rng_range(r, -1, 1) : 0;
    return s;
}

scene scene_pick(rng *r)
{
    int total = 0, k = 0;
    for (int i = 0; i < NKINDS; i++) total += kinds[i].weight;
    int at = (int)rng_below(r, (uint32_t)total);
    while ((at -= kinds[k].weight) >= 0) k++;
    return scene_pick_kind(r, k);
}

void scene_draw(const scene *s, canvas *c)
{
    double high = c->height, aspect = c->width / high;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            double u = (x + 0.5) / high;
            kinds[s->kind].shade(s, (place){ u, (y + 0.5) / high, u - aspect / 2, aspect },
                                 c->rgb + 3 * ((size_t)y * (size_t)c->width + (size_t)x));
        }
}

/* ---- weather ---- */

/* Is there a drop here?  Streaks and flakes lie in a grid of cells, one each at most. */
static bool falls(const scene *s, double u, double v, double columns, double rows, double wide, double high, double lean)
{
    double x = u * columns + lean * v, y = v * rows + 3 * cell((int)x, 7, s->p[7]);
    int i = (int)x, j = (int)y;
    double dx = x - i - 0.2 - 0.6 * cell(i, j, s->p[6]), dy = y - j - 0.5;
    return cell(j, i, s->p[5]) > 0.45 && dx > -wide && dx < wide && dy > -high && dy < high;
}

void scene_veil(const scene *s, canvas *c)
{
    static const float fog[3] = { .86f, .88f, .90f }, water[3] = { .80f, .88f, .96f }, flake[3] = { 1, 1, 1 };
    static const float golden[3] = { 1.06f, .92f, .70f }, cold[3] = { .86f, .95f, 1.08f };
    if (s->weather == WEATHER_NONE) return;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            float *rgb = c->rgb + 3 * ((size_t)y * (size_t)c->width + (size_t)x);
            double u = (x + 0.5) / c->height, v = (y + 0.5) / c->height;
            const float *tint = NULL;
            switch (s->weather) {
            case WEATHER_RAIN:
                dim(rgb, 0.84);
                if (falls(s, u, v, 22, 6, 0.09, 0.32, 1.5)) cover(rgb, water, 0.55);
                break;
            case WEATHER_FOG: cover(rgb, fog, 0.62 - 0.34 * v); break;
            case WEATHER_SNOWFALL:
                if (falls(s, u, v, 15, 15, 0.17, 0.17, 0.4)) cover(rgb, flake, 0.9);
                break;
            case WEATHER_GOLDEN: tint = golden; break;
            default: tint = cold; break;
            }
            for (int k = 0; tint && k < 3; k++) rgb[k] = rgb[k] * tint[k] < 1 ? rgb[k] * tint[k] : 1;
        }
}

double scene_contrast(const scene *s, const float rgb[3])
{
    double sum = 0;
    int n = 0;
    for (double v = 0.35; v < 0.9; v += 0.1)
        for (double u = 0.1; u < 1; u += 0.2, n++) {
            float at[3];
            kinds[s->kind].shade(s, (place){ u, v, u - 0.5, 1 }, at);
            double d = 0;
            for (int k = 0; k < 3; k++) d += (at[k] > rgb[k] ? at[k] - rgb[k] : rgb[k] - at[k]) / 3.0;
            sum += d;
        }
    return sum / n;
}

static void fill_in(const kind *k, const int chosen[2], char *out, size_t nbytes)
{
    size_t n = 0;
    for (const char *f = k->alone; *f && n + 1 < nbytes; f++) {
        if (*f != '%') { out[n++] = *f; continue; }
        int i = *++f - 'a';
        const char *w = k->choice[i][chosen[i]].name;
        bool bare_a = n >= 2 && !memcmp(out + n - 2, "a ", 2) && (n == 2 || out[n - 3] == ' ');
        if (bare_a && *w == 'o') out[n - 1] = 'n', out[n++] = ' '; /* an orange wall: the only colour with a vowel */
        for (; *w && n + 1 < nbytes; w++) out[n++] = *w;
    }
    out[n] = 0;
}

void scene_alone(const scene *s, char *out, size_t nbytes)
{
    fill_in(&kinds[s->kind], s->colour, out, nbytes);
    size_t n = strlen(out);
    snprintf(out + n, nbytes - n, "%s", weather_words[s->weather]);
}

void scene_phrase(const scene *s, char *out, size_t nbytes)
{
    char alone[96];
    scene_alone(s, alone, sizeof alone);
    snprintf(out, nbytes, "%s %s", kinds[s->kind].lead, alone);
}

/* The ith combination of kind and choices. */
static bool combination(int i, scene *s)
{
    for (int k = 0; k < NKINDS; k++) {
        int na = kinds[k].nchoices[0] ? kinds[k].nchoices[0] : 1, nb = kinds[k].nchoices[1] ? kinds[k].nchoices[1] : 1;
        *s = (scene){ .kind = k, .colour = { i / nb, i % nb } };
        if (i < na * nb) return true;
        i -= na * nb;
    }
    return false;
}

bool scene_phrase_at(int i, char *out, size_t nbytes)
{
    scene s;
    if (!combination(i, &s)) return false;
    scene_phrase(&s, out, nbytes);
    return true;
}

bool scene_alone_at(int i, char *out, size_t nbytes)
{
    scene s;
    if (!combination(i, &s)) return false;
    scene_alone(&s, out, nbytes);
    return true;
}
