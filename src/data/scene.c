/* scene.c - the scenes: a table of kinds, each with a phrase and a function from place to colour. */
#include "data/scene.h"
#include <stdio.h>
#include <string.h>

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

typedef struct place { double u, v; } place; /* in the picture, 0..1, v downwards */

/* ---- brushes: each covers `rgb` with a flat or shaded colour where the shape is ---- */

static void cover(float rgb[3], const float with[3], double share)
{
    for (int k = 0; k < 3; k++) rgb[k] += (float)share * (with[k] - rgb[k]);
}

static void paint(float rgb[3], float r, float g, float b) { rgb[0] = r, rgb[1] = g, rgb[2] = b; }

static void dim(float rgb[3], double by)
{
    for (int k = 0; k < 3; k++) rgb[k] *= (float)by;
}

/* Sky: the colour overhead fading to near white at the horizon. */
static void sky(float rgb[3], const float top[3], double v, double horizon)
{
    static const float haze[3] = { 1, 1, 1 };
    memcpy(rgb, top, 3 * sizeof *rgb);
    cover(rgb, haze, 0.55 * (horizon > 0 ? v / horizon : 1));
}

static bool disc(place p, double x, double y, double radius)
{
    double dx = p.u - x, dy = p.v - y;
    return dx * dx + dy * dy < radius * radius;
}

/* A line of hills: height above the horizon at u. */
static double wave(double u, double waves, double shift, double height)
{
    return height * (0.5 + 0.5 * sine(u * waves + shift));
}

/* A repeated triangle, 1 at its peak. */
static double peak(double u, double count, double shift)
{
    double t = u * count + shift;
    t -= (double)(int)t;
    return 1 - 2 * (t > 0.5 ? t - 0.5 : 0.5 - t);
}

/* A fixed random number in 0..1 for a cell. */
static double cell(int i, int j, double seed)
{
    uint32_t h = (uint32_t)i * 374761393u + (uint32_t)j * 668265263u + (uint32_t)(seed * 1e6) * 2246822519u;
    h = (h ^ (h >> 13)) * 1274126177u;
    h ^= h >> 16;
    return h / 4294967296.0;
}

/* ---- the kinds ---- */

static void plain(const scene *s, place p, float rgb[3])
{
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    dim(rgb, 1.04 - 0.10 * p.v);
}

static void outdoors(const scene *s, place p, float rgb[3])
{
    sky(rgb, s->shade[1], p.v, s->horizon);
    if (p.v < s->horizon) return;
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    dim(rgb, 0.88 + 0.22 * (p.v - s->horizon) / (1 - s->horizon));
}

static const float blue_sky[3] = { .33f, .63f, .93f };

static void beach(const scene *s, place p, float rgb[3])
{
    double shore = s->horizon + 0.02 * sine(p.u * 1.5 + s->p[0]);
    double sea = s->horizon - 0.16;
    sky(rgb, blue_sky, p.v, sea);
    if (p.v >= sea) {
        paint(rgb, .10f, .45f, .70f);
        static const float near[3] = { .25f, .70f, .80f };
        cover(rgb, near, (p.v - sea) / 0.18);
    }
    if (p.v > shore - 0.025) paint(rgb, .93f, .96f, .96f); /* foam */
    if (p.v > shore) paint(rgb, .94f, .83f, .58f);
}

static void sea(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    if (p.v < s->horizon) return;
    double depth = (p.v - s->horizon) / (1 - s->horizon);
    paint(rgb, .10f, .38f, .68f);
    if (sine((p.v - s->horizon) * 12 + 0.10 * sine(p.u * 3 + s->p[0])) > 0.55 - 0.2 * depth) paint(rgb, .22f, .52f, .80f);
}

static void hills(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    if (p.v > s->horizon - 0.06 - wave(p.u, 1.1, s->p[0], 0.20)) paint(rgb, .35f, .60f, .38f);
    if (p.v > s->horizon - wave(p.u, 0.8, s->p[1], 0.14)) paint(rgb, .45f, .70f, .28f);
    if (p.v > s->horizon + 0.05 - wave(p.u, 0.6, s->p[2], 0.07)) paint(rgb, .55f, .76f, .30f);
}

static void mountains(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    double top = 0.34 * peak(p.u, 1.7, s->p[0]) + 0.04;
    double up = s->horizon - p.v;
    if (up < top) {
        paint(rgb, .45f, .47f, .55f);
        if (up > 0.22 + 0.02 * sine(p.u * 9)) paint(rgb, .96f, .97f, 1);
    }
    if (up < 0) paint(rgb, .40f, .60f, .30f);
}

static void desert(const scene *s, place p, float rgb[3])
{
    static const float heat[3] = { .98f, .72f, .38f };
    sky(rgb, heat, p.v, s->horizon);
    if (disc(p, 0.2 + 0.6 * s->p[3], 0.16, 0.09)) paint(rgb, 1, .95f, .70f);
    if (p.v > s->horizon - wave(p.u, 0.9, s->p[0], 0.13)) paint(rgb, .85f, .60f, .30f);
    if (p.v > s->horizon + 0.04 - wave(p.u, 0.7, s->p[1], 0.10)) paint(rgb, .93f, .72f, .38f);
}

static void snow(const scene *s, place p, float rgb[3])
{
    static const float cold[3] = { .58f, .72f, .88f };
    sky(rgb, cold, p.v, s->horizon);
    if (p.v > s->horizon - wave(p.u, 0.9, s->p[0], 0.10)) paint(rgb, .82f, .88f, .95f);
    if (p.v > s->horizon + 0.03 - wave(p.u, 0.6, s->p[1], 0.06)) paint(rgb, .95f, .97f, 1);
}

static void forest(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    double up = s->horizon - p.v;
    if (up < 0.46 * peak(p.u, 5.5, s->p[0]) + 0.10) paint(rgb, .12f, .36f, .22f);
    if (up < 0.30 * peak(p.u, 4.2, s->p[1]) + 0.05) paint(rgb, .18f, .46f, .25f);
    if (up < 0) paint(rgb, .42f, .56f, .24f);
}

static void night(const scene *s, place p, float rgb[3])
{
    static const float glow[3] = { .20f, .22f, .45f };
    paint(rgb, .05f, .06f, .20f);
    cover(rgb, glow, p.v / s->horizon);
    int i = (int)(p.u * 9), j = (int)(p.v * 9);
    place star = { (i + 0.2 + 0.6 * cell(i, j, s->p[0])) / 9, (j + 0.2 + 0.6 * cell(j, i, s->p[1])) / 9 };
    if (cell(i, j, s->p[2]) > 0.45 && disc(p, star.u, star.v, 0.013)) paint(rgb, 1, 1, .85f);
    if (disc(p, 0.15 + 0.7 * s->p[3], 0.17, 0.10)) paint(rgb, .98f, .96f, .80f);
    if (p.v > s->horizon) paint(rgb, .08f, .14f, .12f);
}

static void city(const scene *s, place p, float rgb[3])
{
    paint(rgb, .10f, .10f, .28f);
    static const float glow[3] = { .45f, .28f, .45f };
    cover(rgb, glow, p.v / s->horizon);
    double x = p.u * 6 + s->p[0];
    int block = (int)x;
    double top = s->horizon - 0.18 - 0.38 * cell(block, 1, s->p[1]);
    if (p.v > top) {
        paint(rgb, .07f, .07f, .13f);
        double wx = (x - block) * 3, wy = (p.v - top) * 16;
        bool pane = wx - (int)wx > 0.3 && wx - (int)wx < 0.85 && wy - (int)wy > 0.25 && wy - (int)wy < 0.8;
        if (pane && cell(block * 3 + (int)wx, (int)wy, s->p[2]) > 0.4) paint(rgb, .98f, .82f, .38f);
    }
    if (p.v > s->horizon) paint(rgb, .22f, .22f, .25f);
}

static void room(const scene *s, place p, float rgb[3])
{
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    dim(rgb, 1.02 - 0.08 * p.u);
    if (p.v > s->horizon - 0.035) paint(rgb, .93f, .92f, .90f); /* skirting */
    if (p.v > s->horizon) {
        paint(rgb, .66f, .47f, .30f);
        double board = (p.u - 0.5) / (0.35 + p.v - s->horizon) * 2.2 + 10;
        if (board - (int)board < 0.06) dim(rgb, 0.8);
    }
}

static void table(const scene *s, place p, float rgb[3])
{
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    dim(rgb, 1.02 - 0.10 * p.v);
    double t = s->horizon;
    if (p.v > t) {
        paint(rgb, .72f, .50f, .29f);
        if (sine(p.v * 9 + 0.08 * sine(p.u * 1.3 + s->p[0])) > 0.8) dim(rgb, 0.93);
    }
    if (p.v > 0.94) paint(rgb, .48f, .31f, .17f);
}

static void stripes(const scene *s, place p, float rgb[3])
{
    double t = p.u * (5 + (int)(s->p[1] * 3)) + s->p[0];
    memcpy(rgb, s->shade[(int)t % 2], 3 * sizeof *rgb);
}

static void sunset(const scene *s, place p, float rgb[3])
{
    static const float high[3] = { .38f, .22f, .50f }, low[3] = { 1, .60f, .25f };
    memcpy(rgb, high, sizeof high);
    cover(rgb, low, smoothstep(0, s->horizon, p.v));
    if (disc(p, 0.25 + 0.5 * s->p[0], s->horizon - 0.02, 0.15)) paint(rgb, 1, .90f, .50f);
    if (p.v < s->horizon) return;
    paint(rgb, .30f, .18f, .25f);
    dim(rgb, 1.1 - 0.4 * (p.v - s->horizon));
}

static void road(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    if (p.v < s->horizon) return;
    paint(rgb, .42f, .64f, .28f);
    double near = (p.v - s->horizon) / (1 - s->horizon), across = (p.u - 0.5) / (0.10 + 0.50 * near);
    if (across > -1 && across < 1) paint(rgb, .40f, .40f, .43f);
    if (across > -0.06 && across < 0.06 && sine(near * 3 + s->p[0]) > 0) paint(rgb, .95f, .95f, .92f);
}

/* A phrase is `lead` + `alone`; %a and %b stand for the two choices. */
typedef struct kind {
    const char *name, *lead, *alone;
    const colour *choice[2];
    int nchoices[2];
    double horizon_lo, horizon_hi;
    int weight;
    void (*shade)(const scene *s, place p, float rgb[3]);
} kind;

static const kind kinds[] = {
    { "plain", "on", "a plain %a background", { colours }, { NCOLOURS }, 1, 1, 24, plain },
    { "outdoors", "on", "%a under a %b sky", { grounds, skies }, { NGROUNDS, NSKIES }, 0.45, 0.65, 18, outdoors },
    { "beach", "on", "a beach by the sea", { NULL }, { 0 }, 0.55, 0.66, 8, beach },
    { "sea", "on", "the blue sea", { NULL }, { 0 }, 0.42, 0.55, 5, sea },
    { "hills", "in front of", "green hills", { NULL }, { 0 }, 0.50, 0.62, 6, hills },
    { "mountains", "in front of", "snowy mountains", { NULL }, { 0 }, 0.50, 0.64, 6, mountains },
    { "desert", "in", "a desert", { NULL }, { 0 }, 0.48, 0.60, 7, desert },
    { "snow", "in", "a snowy field", { NULL }, { 0 }, 0.45, 0.60, 7, snow },
    { "forest", "in", "a forest", { NULL }, { 0 }, 0.55, 0.66, 7, forest },
    { "night", "under", "a starry night sky", { NULL }, { 0 }, 0.62, 0.74, 7, night },
    { "city", "in", "a city at night", { NULL }, { 0 }, 0.62, 0.72, 6, city },
    { "room", "in", "a room with a %a wall", { colours }, { NCOLOURS }, 0.60, 0.70, 14, room },
    { "table", "on", "a wooden table and a %a wall", { colours }, { NCOLOURS }, 0.58, 0.66, 8, table },
    { "stripes", "on", "%a and %b stripes", { colours, colours }, { NCOLOURS, NCOLOURS }, 1, 1, 6, stripes },
    { "sunset", "at", "sunset", { NULL }, { 0 }, 0.58, 0.68, 7, sunset },
    { "road", "on", "a grey road", { NULL }, { 0 }, 0.42, 0.54, 6, road },
};
enum { NKINDS = sizeof kinds / sizeof *kinds };

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
    for (int y = 0; y < c->side; y++)
        for (int x = 0; x < c->side; x++)
            kinds[s->kind].shade(s, (place){ (x + 0.5) / c->side, (y + 0.5) / c->side },
                                 c->rgb + 3 * ((size_t)y * (size_t)c->side + (size_t)x));
}

double scene_contrast(const scene *s, const float rgb[3])
{
    double sum = 0;
    int n = 0;
    for (double v = 0.35; v < 0.9; v += 0.1)
        for (double u = 0.1; u < 1; u += 0.2, n++) {
            float at[3];
            kinds[s->kind].shade(s, (place){ u, v }, at);
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

void scene_alone(const scene *s, char *out, size_t nbytes) { fill_in(&kinds[s->kind], s->colour, out, nbytes); }

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
