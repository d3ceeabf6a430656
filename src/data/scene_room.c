/* scene_room.c - interiors, studio grounds and patterns. */
#include "data/scene_brush.h"

static const float blue_sky[3] = { .33f, .63f, .93f };

void shade_plain(const scene *s, place p, float rgb[3])
{
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    dim(rgb, 1.04 - 0.10 * p.v);
}

void shade_room(const scene *s, place p, float rgb[3])
{
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    dim(rgb, 1.02 - 0.08 * p.u);
    if (p.v > s->horizon - 0.035) paint(rgb, .93f, .92f, .90f); /* skirting */
    if (p.v > s->horizon) {
        paint(rgb, .66f, .47f, .30f);
        double board = p.mid / (0.35 + p.v - s->horizon) * 2.2 + 10;
        if (board - (int)board < 0.06) dim(rgb, 0.8);
    }
}

void shade_table(const scene *s, place p, float rgb[3])
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

void shade_stripes(const scene *s, place p, float rgb[3])
{
    double t = p.u * (5 + (int)(s->p[1] * 3)) + s->p[0];
    memcpy(rgb, s->shade[(int)t % 2], 3 * sizeof *rgb);
}

void shade_tiles(const scene *s, place p, float rgb[3])
{
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    dim(rgb, 1.02 - 0.10 * p.u / p.aspect);
    if (p.v < s->horizon) return;
    double across, away;
    ground(s, p, &across, &away);
    bool dark = ((int)(across + 100) + (int)(away + s->p[0])) % 2;
    if (dark) paint(rgb, .18f, .18f, .20f);
    else paint(rgb, .93f, .92f, .90f);
    dim(rgb, 0.85 + 0.15 * depth_of(s, p));
}

void shade_kitchen(const scene *s, place p, float rgb[3])
{
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    double row = p.v * 9, x = share(p.u * 9 + 0.5 * ((int)row % 2)), y = share(row);
    if (x < 0.06 || y < 0.06) paint(rgb, .97f, .97f, .96f);
    if (p.v < 0.16) {
        paint(rgb, .62f, .42f, .26f);
        if (share(p.u * 2.5 + s->p[0]) < 0.03 || p.v > 0.15) dim(rgb, 0.7);
    }
    if (p.v > s->horizon) paint(rgb, .80f, .80f, .82f);
    if (p.v > s->horizon + 0.20) {
        paint(rgb, .58f, .38f, .22f);
        if (share(p.u * 2.5 + s->p[0]) < 0.03) dim(rgb, 0.7);
    }
}

void shade_library(const scene *s, place p, float rgb[3])
{
    paint(rgb, .32f, .20f, .12f);
    double row = p.v * 5 + 0.3 * s->p[0], x = p.u * 22 + 7 * cell((int)row, 5, s->p[1]);
    int book = (int)x;
    static const float covers[6][3] = { { .65f, .18f, .16f }, { .18f, .35f, .55f }, { .22f, .45f, .28f }, { .75f, .60f, .30f }, { .45f, .25f, .45f },
                                        { .85f, .80f, .70f } };
    if (share(row) > 0.15 + 0.25 * cell(book, (int)row, s->p[2]) && share(row) < 0.92) {
        memcpy(rgb, covers[(int)(5.99 * cell((int)row, book, s->p[3]))], 3 * sizeof *rgb);
        if (share(x) < 0.12) dim(rgb, 0.6);
    }
    if (p.v > s->horizon) {
        paint(rgb, .50f, .22f, .18f);
        dim(rgb, 0.8 + 0.3 * depth_of(s, p));
    }
}

void shade_stage(const scene *s, place p, float rgb[3])
{
    paint(rgb, .62f, .10f, .14f);
    dim(rgb, 0.72 + 0.28 * sine(p.u * 6 + s->p[0]));
    if (p.v > s->horizon) paint(rgb, .50f, .34f, .20f);
    double spread = 0.10 + 0.22 * p.v, off = p.mid - 0.1 * (s->p[1] - 0.5);
    double beam = 1 - (off < 0 ? -off : off) / spread;
    if (beam > 0) {
        static const float bright[3] = { 1, .97f, .80f };
        cover(rgb, bright, 0.45 * smoothstep(0, 0.3, beam));
    } else dim(rgb, 0.6);
}

void shade_window(const scene *s, place p, float rgb[3])
{
    shade_room(s, p, rgb);
    double x = p.u / p.aspect - 0.22 - 0.36 * s->p[1], half = x < 0 ? -x : x;
    if (p.v > 0.10 && p.v < 0.46 && half < 0.19) paint(rgb, .96f, .96f, .94f);
    if (p.v > 0.13 && p.v < 0.43 && half < 0.165) {
        sky(rgb, blue_sky, p.v, 0.40);
        if (p.v > 0.36 - 0.03 * sine(p.u * 4 + s->p[2])) paint(rgb, .35f, .60f, .30f);
        if (half < 0.012 || (p.v > 0.265 && p.v < 0.285)) paint(rgb, .96f, .96f, .94f);
    }
}

void shade_bricks(const scene *s, place p, float rgb[3])
{
    double row = p.v * 12 + s->p[0], x = p.u * 6 + 0.5 * ((int)row % 2);
    paint(rgb, .68f, .32f, .24f);
    dim(rgb, 0.86 + 0.26 * cell((int)x, (int)row, s->p[1]));
    if (share(row) < 0.14 || share(x) < 0.06) paint(rgb, .80f, .76f, .72f);
    if (p.v < s->horizon) return;
    paint(rgb, .60f, .60f, .60f);
    dim(rgb, 0.85 + 0.2 * depth_of(s, p));
}

void shade_dots(const scene *s, place p, float rgb[3])
{
    double n = 5 + (int)(s->p[0] * 3), x = share(p.u * n + 0.5 * ((int)(p.v * n + s->p[1]) % 2)) - 0.5, y = share(p.v * n + s->p[1]) - 0.5;
    memcpy(rgb, s->shade[x * x + y * y < 0.09], 3 * sizeof *rgb);
}

void shade_checks(const scene *s, place p, float rgb[3])
{
    double n = 4 + (int)(s->p[0] * 4);
    memcpy(rgb, s->shade[((int)(p.u * n + s->p[1]) + (int)(p.v * n + s->p[2])) % 2], 3 * sizeof *rgb);
}

void shade_studio(const scene *s, place p, float rgb[3])
{
    memcpy(rgb, s->shade[0], 3 * sizeof *rgb);
    double x = p.mid / (0.5 * p.aspect), y = (p.v - 0.42) / 0.62, d = x * x + y * y;
    static const float white[3] = { 1, 1, 1 };
    cover(rgb, white, d < 1 ? 0.6 * (1 - d) * (1 - d) : 0);
    if (p.v > s->horizon) dim(rgb, 0.92 + 0.08 * depth_of(s, p));
}

void shade_cave(const scene *s, place p, float rgb[3])
{
    double x = (p.mid - 0.2 * (s->p[0] - 0.5)) / 0.36, y = (p.v - 0.40) / 0.34, d = x * x + y * y + 0.12 * sine(p.u * 5 + s->p[1]) + 0.1 * sine(p.v * 6 + s->p[2]);
    if (d < 1 && p.v < s->horizon) { /* the mouth, daylight behind */
        sky(rgb, blue_sky, p.v, 0.6);
        if (p.v > s->horizon - 0.10) paint(rgb, .35f, .58f, .30f);
        return;
    }
    paint(rgb, .27f, .23f, .22f);
    dim(rgb, 0.8 + 0.25 * sine(p.u * 3 + 0.7 * sine(p.v * 5 + s->p[3])));
    if (p.v > s->horizon) paint(rgb, .36f, .31f, .28f);
}
