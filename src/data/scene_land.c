/* scene_land.c - scenes under a sky, under water and in space. */
#include "data/scene_brush.h"

static const float blue_sky[3] = { .33f, .63f, .93f };

void shade_outdoors(const scene *s, place p, float rgb[3])
{
    sky(rgb, s->shade[1], p.v, s->horizon);
    if (p.v < s->horizon) return;
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    dim(rgb, 0.88 + 0.22 * (p.v - s->horizon) / (1 - s->horizon));
}

void shade_beach(const scene *s, place p, float rgb[3])
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

void shade_sea(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    if (p.v < s->horizon) return;
    double depth = (p.v - s->horizon) / (1 - s->horizon);
    paint(rgb, .10f, .38f, .68f);
    if (sine((p.v - s->horizon) * 12 + 0.10 * sine(p.u * 3 + s->p[0])) > 0.55 - 0.2 * depth) paint(rgb, .22f, .52f, .80f);
}

void shade_hills(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    if (p.v > s->horizon - 0.06 - wave(p.u, 1.1, s->p[0], 0.20)) paint(rgb, .35f, .60f, .38f);
    if (p.v > s->horizon - wave(p.u, 0.8, s->p[1], 0.14)) paint(rgb, .45f, .70f, .28f);
    if (p.v > s->horizon + 0.05 - wave(p.u, 0.6, s->p[2], 0.07)) paint(rgb, .55f, .76f, .30f);
}

void shade_mountains(const scene *s, place p, float rgb[3])
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

void shade_desert(const scene *s, place p, float rgb[3])
{
    static const float heat[3] = { .98f, .72f, .38f };
    sky(rgb, heat, p.v, s->horizon);
    if (disc(p, (0.2 + 0.6 * s->p[3]) * p.aspect, 0.16, 0.09)) paint(rgb, 1, .95f, .70f);
    if (p.v > s->horizon - wave(p.u, 0.9, s->p[0], 0.13)) paint(rgb, .85f, .60f, .30f);
    if (p.v > s->horizon + 0.04 - wave(p.u, 0.7, s->p[1], 0.10)) paint(rgb, .93f, .72f, .38f);
}

void shade_snow(const scene *s, place p, float rgb[3])
{
    static const float cold[3] = { .58f, .72f, .88f };
    sky(rgb, cold, p.v, s->horizon);
    if (p.v > s->horizon - wave(p.u, 0.9, s->p[0], 0.10)) paint(rgb, .82f, .88f, .95f);
    if (p.v > s->horizon + 0.03 - wave(p.u, 0.6, s->p[1], 0.06)) paint(rgb, .95f, .97f, 1);
}

void shade_forest(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    double up = s->horizon - p.v;
    if (up < 0.46 * peak(p.u, 5.5, s->p[0]) + 0.10) paint(rgb, .12f, .36f, .22f);
    if (up < 0.30 * peak(p.u, 4.2, s->p[1]) + 0.05) paint(rgb, .18f, .46f, .25f);
    if (up < 0) paint(rgb, .42f, .56f, .24f);
}

void shade_night(const scene *s, place p, float rgb[3])
{
    static const float glow[3] = { .20f, .22f, .45f };
    paint(rgb, .05f, .06f, .20f);
    cover(rgb, glow, p.v / s->horizon);
    int i = (int)(p.u * 9), j = (int)(p.v * 9);
    place star = { .u = (i + 0.2 + 0.6 * cell(i, j, s->p[0])) / 9, .v = (j + 0.2 + 0.6 * cell(j, i, s->p[1])) / 9 };
    if (cell(i, j, s->p[2]) > 0.45 && disc(p, star.u, star.v, 0.013)) paint(rgb, 1, 1, .85f);
    if (disc(p, (0.15 + 0.7 * s->p[3]) * p.aspect, 0.17, 0.10)) paint(rgb, .98f, .96f, .80f);
    if (p.v > s->horizon) paint(rgb, .08f, .14f, .12f);
}

void shade_city(const scene *s, place p, float rgb[3])
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

void shade_sunset(const scene *s, place p, float rgb[3])
{
    static const float high[3] = { .38f, .22f, .50f }, low[3] = { 1, .60f, .25f };
    memcpy(rgb, high, sizeof high);
    cover(rgb, low, smoothstep(0, s->horizon, p.v));
    if (disc(p, (0.25 + 0.5 * s->p[0]) * p.aspect, s->horizon - 0.02, 0.15)) paint(rgb, 1, .90f, .50f);
    if (p.v < s->horizon) return;
    paint(rgb, .30f, .18f, .25f);
    dim(rgb, 1.1 - 0.4 * (p.v - s->horizon));
}

void shade_road(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    if (p.v < s->horizon) return;
    paint(rgb, .42f, .64f, .28f);
    double near = (p.v - s->horizon) / (1 - s->horizon), across = p.mid / (0.10 + 0.50 * near);
    if (across > -1 && across < 1) paint(rgb, .40f, .40f, .43f);
    if (across > -0.06 && across < 0.06 && sine(near * 3 + s->p[0]) > 0) paint(rgb, .95f, .95f, .92f);
}

void shade_street(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    double x = p.u * 4 + s->p[0];
    int house = (int)x;
    double top = s->horizon - 0.16 - 0.30 * cell(house, 1, s->p[1]), side = x - house;
    static const float walls[4][3] = { { .82f, .52f, .40f }, { .90f, .80f, .60f }, { .62f, .70f, .76f }, { .86f, .70f, .68f } };
    if (p.v > top) {
        memcpy(rgb, walls[(int)(3.99 * cell(house, 2, s->p[2]))], 3 * sizeof *rgb);
        double wx = share(side * 3), wy = share((p.v - top) * 9);
        if (wx > 0.28 && wx < 0.75 && wy > 0.25 && wy < 0.8) paint(rgb, .30f, .38f, .50f);
        if (side < 0.03) dim(rgb, 0.75);
    }
    if (p.v <= s->horizon) return;
    paint(rgb, .72f, .71f, .69f);
    if (depth_of(s, p) > 0.28) paint(rgb, .40f, .41f, .44f);
}

void shade_lake(const scene *s, place p, float rgb[3])
{
    bool mirrored = p.v > s->horizon; /* the shore again, upside down and darker */
    place q = p;
    if (mirrored) q.v = 2 * s->horizon - p.v;
    sky(rgb, blue_sky, q.v < 0 ? 0 : q.v, s->horizon);
    double up = s->horizon - q.v;
    if (up < 0.10 + 0.16 * peak(p.u, 1.3, s->p[0])) paint(rgb, .42f, .52f, .62f);
    if (up < 0.05 + 0.10 * peak(p.u, 6.5, s->p[1])) paint(rgb, .16f, .42f, .28f);
    if (!mirrored) return;
    static const float water[3] = { .16f, .38f, .55f };
    cover(rgb, water, 0.45);
    if (sine((p.v - s->horizon) * 17 + 0.06 * sine(p.u * 2)) > 0.86) dim(rgb, 1.12);
}

void shade_meadow(const scene *s, place p, float rgb[3])
{
    shade_hills(s, p, rgb);
    if (p.v < s->horizon + 0.02) return;
    double across, away;
    ground(s, p, &across, &away);
    across *= 2.2, away *= 2.2;
    int i = (int)(across + 100), j = (int)away;
    double x = share(across + 100) - 0.5, y = share(away) - 0.5;
    static const float petals[4][3] = { { .95f, .30f, .35f }, { .98f, .85f, .25f }, { .96f, .95f, .98f }, { .75f, .45f, .85f } };
    if (cell(i, j, s->p[3]) > 0.55 && x * x + y * y < 0.06) memcpy(rgb, petals[(int)(3.99 * cell(j, i, s->p[4]))], 3 * sizeof *rgb);
}

void shade_garden(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    double up = s->horizon - p.v;
    if (up < 0.30 + 0.05 * sine(p.u * 3 + s->p[0]) + 0.03 * sine(p.u * 7 + s->p[1])) paint(rgb, .20f, .48f, .24f);
    double slat = share(p.u * 9 + s->p[2]);
    if (up < 0.17 - (slat - 0.35) * (slat - 0.35) * 0.12 && slat < 0.7) paint(rgb, .95f, .94f, .90f);
    if ((up < 0.13 && up > 0.10) || (up < 0.06 && up > 0.03)) paint(rgb, .90f, .89f, .85f);
    if (up < 0) paint(rgb, .45f, .70f, .30f);
}

void shade_underwater(const scene *s, place p, float rgb[3])
{
    static const float deep[3] = { .03f, .20f, .42f };
    paint(rgb, .20f, .66f, .80f);
    cover(rgb, deep, smoothstep(0, 1, p.v) * 0.9);
    double ray = sine(p.u * 1.4 - p.v * 0.5 + s->p[0]);
    if (ray > 0.55) dim(rgb, 1 + 0.25 * (1 - p.v));
    double weed = share(p.u * 5 + s->p[1]) - 0.5 + 0.10 * sine(p.v * 2.4 + s->p[2]);
    int stem = (int)(p.u * 5 + s->p[1]);
    if (p.v > 0.95 - 0.45 * cell(stem, 3, s->p[3]) && weed > -0.08 && weed < 0.08) paint(rgb, .10f, .42f, .25f);
    if (p.v > s->horizon + 0.015 * sine(p.u * 3 + s->p[4])) paint(rgb, .76f, .70f, .48f);
}

void shade_space(const scene *s, place p, float rgb[3])
{
    static const float haze[3] = { .28f, .10f, .36f };
    paint(rgb, .02f, .02f, .08f);
    cover(rgb, haze, 0.4 + 0.4 * sine(p.u * 0.7 + 0.5 * sine(p.v * 0.8 + s->p[0]) + s->p[1]));
    int i = (int)(p.u * 11), j = (int)(p.v * 11);
    place star = { .u = (i + 0.2 + 0.6 * cell(i, j, s->p[2])) / 11, .v = (j + 0.2 + 0.6 * cell(j, i, s->p[3])) / 11 };
    if (cell(i, j, s->p[4]) > 0.5 && disc(p, star.u, star.v, 0.010)) paint(rgb, 1, 1, .95f);
    double x = (0.15 + 0.7 * s->p[5]) * p.aspect, y = 0.20 + 0.15 * s->p[6];
    if (disc(p, x, y, 0.14)) {
        paint(rgb, .85f, .55f, .35f);
        if (sine((p.v - y) * 6) > 0.3) dim(rgb, 0.82);
        if (!disc(p, x - 0.05, y - 0.03, 0.14)) dim(rgb, 0.5);
    }
}

void shade_moon(const scene *s, place p, float rgb[3])
{
    paint(rgb, .02f, .02f, .05f);
    int i = (int)(p.u * 10), j = (int)(p.v * 10);
    place star = { .u = (i + 0.2 + 0.6 * cell(i, j, s->p[0])) / 10, .v = (j + 0.2 + 0.6 * cell(j, i, s->p[1])) / 10 };
    if (cell(i, j, s->p[2]) > 0.6 && disc(p, star.u, star.v, 0.010)) paint(rgb, 1, 1, 1);
    double x = (0.2 + 0.6 * s->p[3]) * p.aspect;
    if (disc(p, x, 0.2, 0.11)) {
        paint(rgb, .25f, .50f, .85f);
        if (sine(p.u * 3 + 0.6 * sine(p.v * 4 + s->p[4])) > 0.4) paint(rgb, .35f, .62f, .35f);
    }
    if (p.v < s->horizon - 0.02 * sine(p.u * 1.7 + s->p[5])) return;
    paint(rgb, .62f, .61f, .60f);
    double across, away;
    ground(s, p, &across, &away);
    double cx = share(across * 0.8 + 50) - 0.5, cy = share(away * 0.8) - 0.5, d = cx * cx + cy * cy;
    if (cell((int)(across * 0.8 + 50), (int)(away * 0.8), s->p[6]) > 0.5 && d < 0.10) dim(rgb, d < 0.07 ? 0.80 : 1.15);
}

void shade_volcano(const scene *s, place p, float rgb[3])
{
    static const float smoke[3] = { .35f, .22f, .25f };
    sky(rgb, smoke, p.v, s->horizon);
    double x = p.mid - 0.3 * (s->p[0] - 0.5), up = s->horizon - p.v, slope = 0.46 - (x < 0 ? -x : x) * 0.8;
    if (up < slope && up < 0.38 + 0.015 * sine(x * 9)) {
        paint(rgb, .30f, .20f, .20f);
        double stream = x - 0.05 * sine(up * 4 + s->p[1]);
        if (stream > -0.035 - 0.05 * (0.4 - up) && stream < 0.035 + 0.05 * (0.4 - up)) paint(rgb, 1, .45f, .10f);
    }
    if (disc(p, p.u - x, s->horizon - 0.40, 0.07)) paint(rgb, 1, .62f, .20f);
    if (up < 0) {
        paint(rgb, .22f, .17f, .18f);
        if (sine(p.u * 4 + 2 * sine(p.v * 3 + s->p[2])) > 0.93) paint(rgb, .95f, .38f, .10f);
    }
}

void shade_farm(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    double x = p.mid - 0.5 * (s->p[0] - 0.5), up = s->horizon - p.v;
    double half = x < 0 ? -x : x;
    if (half < 0.14 && up < 0.15) paint(rgb, .72f, .18f, .15f);
    if (half < 0.16 && up >= 0.15 && up < 0.15 + 0.09 * (1 - half / 0.16)) paint(rgb, .45f, .42f, .42f);
    if (half < 0.04 && up < 0.10) paint(rgb, .93f, .90f, .85f);
    if (up > 0) return;
    double across, away;
    ground(s, p, &across, &away);
    paint(rgb, .85f, .72f, .30f);
    if (share(across * 1.5 + 50) < 0.5) paint(rgb, .70f, .56f, .22f);
}

void shade_bridge(const scene *s, place p, float rgb[3])
{
    sky(rgb, blue_sky, p.v, s->horizon);
    double up = s->horizon - p.v, x = p.mid + 0.25 * (s->p[0] - 0.5);
    if (up < 0.04 + wave(p.u, 0.9, s->p[1], 0.10)) paint(rgb, .40f, .58f, .42f);
    double t = share(x * 1.1 + 10.5) - 0.5;
    if (up < 0.42 && (t < 0 ? -t : t) < 0.035) paint(rgb, .75f, .25f, .20f);                 /* towers */
    if (up > 0.09 && up < 0.12) paint(rgb, .70f, .24f, .20f);                                 /* deck */
    double span = 1 - 2 * (t < 0 ? -t : t), rope = 0.13 + 0.27 * span * span;
    if (up > rope - 0.012 && up < rope + 0.012) paint(rgb, .78f, .30f, .24f);
    if (up < 0) {
        paint(rgb, .18f, .42f, .62f);
        if (sine((p.v - s->horizon) * 14 + 0.10 * sine(p.u * 3)) > 0.75) paint(rgb, .30f, .54f, .72f);
    }
}
