/* curve.c - scales, ticks, lines. */
#include "train/report/curve.h"

#include <math.h>

enum { WIDTH = 460, HEIGHT = 230, LEFT = 56, RIGHT = 12, TOP = 10, BOTTOM = 26, COLUMNS = 400 };

typedef struct axes { double x0, x1, y0, y1; bool logarithmic; } axes; /* y in log10 when logarithmic */

static double up(const axes *a, double y) { return a->logarithmic ? log10(y) : y; }
static double px(const axes *a, double x) { return LEFT + (WIDTH - LEFT - RIGHT) * (x - a->x0) / (a->x1 - a->x0); }
static double py(const axes *a, double y) { return TOP + (HEIGHT - TOP - BOTTOM) * (a->y1 - up(a, y)) / (a->y1 - a->y0); }

/* The least of 1, 2, 5 times a power of ten that is not below x. */
static double nice(double x)
{
    double power = pow(10, floor(log10(x)));
    return x <= power ? power : x <= 2 * power ? 2 * power : x <= 5 * power ? 5 * power : 10 * power;
}

static bool find_axes(const curve *c, axes *a)
{
    bool any = false, above = true;
    double lo = 0, hi = 0;
    for (int k = 0; k < c->n; k++)
        for (int i = 0; i < c->line[k].of->n; i++) above = above && !(c->line[k].of->value[i] <= 0);
    *a = (axes){ .logarithmic = c->logarithmic && above };
    for (int k = 0; k < c->n; k++) {
        const series *s = c->line[k].of, *e = c->line[k].error;
        for (int i = 0; i < s->n; i++) {
            if (!isfinite(s->value[i])) continue;
            double bar = e && i < e->n && isfinite(e->value[i]) && !a->logarithmic ? e->value[i] : 0;
            double down = up(a, s->value[i] - bar), top = up(a, s->value[i] + bar);
            a->x0 = any ? fmin(a->x0, s->step[i]) : s->step[i];
            a->x1 = any ? fmax(a->x1, s->step[i]) : s->step[i];
            lo = any ? fmin(lo, down) : down;
            hi = any ? fmax(hi, top) : top;
            any = true;
        }
    }
    if (a->x1 <= a->x0) a->x1 = a->x0 + 1;
    double room = hi > lo ? 0.05 * (hi - lo) : 0.1 * fabs(hi) + 1e-6;
    a->y0 = lo - room;
    a->y1 = hi + room;
    return any;
}

static void horizontal(text *t, const axes *a, double y)
{
    double at = py(a, y);
    text_put(t, "<path class=grid d='M%d %.1fH%d'/><text x=%d y=%.1f class=y>%.4g</text>", LEFT, at, WIDTH - RIGHT, LEFT - 6, at + 4, y);
}

static void ticks(text *t, const axes *a)
{
    double step = nice((a->x1 - a->x0) / 6);
    for (double x = ceil(a->x0 / step) * step; x <= a->x1 * (1 + 1e-9); x += step)
        text_put(t, "<text x=%.1f y=%d class=x>%.10g</text>", px(a, x), HEIGHT - 8, x);
    double range = a->y1 - a->y0;
    if (a->logarithmic && range > 1) {
        int every = (int)ceil(range / 5);
        for (int p = (int)ceil(a->y0); p <= a->y1; p += every) horizontal(t, a, pow(10, p));
        return;
    }
    double lo = a->logarithmic ? pow(10, a->y0) : a->y0, hi = a->logarithmic ? pow(10, a->y1) : a->y1;
    step = nice((hi - lo) / 7);
    for (double y = ceil(lo / step) * step; y <= hi; y += step) horizontal(t, a, fabs(y) < step * 1e-9 ? 0 : y);
}

/* At most two points a column of the picture: its least and its greatest number, in their order. */
static void polyline(text *t, const axes *a, const series *s)
{
    bool pen = false;
    for (int i = 0; i < s->n;) {
        int column = (int)(COLUMNS * (s->step[i] - a->x0) / (a->x1 - a->x0)), lo = i, hi = i, end = i;
        for (; end < s->n && (int)(COLUMNS * (s->step[end] - a->x0) / (a->x1 - a->x0)) == column; end++) {
            if (!(s->value[end] >= s->value[lo])) lo = end;
            if (!(s->value[end] <= s->value[hi])) hi = end;
        }
        for (int k = 0; k < (lo == hi ? 1 : 2); k++) {
            int p = (k == 0) == (lo < hi) ? lo : hi;
            if (isfinite(s->value[p])) text_put(t, "%c%.1f %.1f", pen ? 'L' : 'M', px(a, s->step[p]), py(a, s->value[p]));
            pen = isfinite(s->value[p]);
        }
        i = end;
    }
}

static void bars(text *t, const axes *a, const curve_line *l, int number)
{
    if (!l->error || a->logarithmic) return;
    text_put(t, "<path class='bar c%d' d='", number);
    for (int i = 0; i < l->of->n && i < l->error->n; i++) {
        double y = l->of->value[i], e = l->error->value[i];
        if (isfinite(y) && isfinite(e)) text_put(t, "M%.1f %.1fV%.1f", px(a, l->of->step[i]), py(a, y - e), py(a, y + e));
    }
    text_put(t, "'/>");
}

void curve_write(text *t, const curve *c)
{
    axes a;
    if (!find_axes(c, &a)) return;
    text_put(t, "<figure><figcaption>");
    text_html(t, c->title);
    for (int k = 0; k < c->n; k++) {
        const series *s = c->line[k].of;
        double last = s->n ? s->value[s->n - 1] : NAN;
        text_put(t, " <span class='c%d%s'>", k, c->line[k].faint ? " faint" : "");
        text_html(t, s->name);
        text_put(t, " <b>%.4g</b></span>", last);
    }
    text_put(t, "</figcaption><svg viewBox='0 0 %d %d' role=img>", WIDTH, HEIGHT);
    ticks(t, &a);
    for (int k = 0; k < c->n; k++) bars(t, &a, &c->line[k], k);
    for (int k = 0; k < c->n; k++) {
        text_put(t, "<path class='line c%d%s' d='", k, c->line[k].faint ? " faint" : "");
        polyline(t, &a, c->line[k].of);
        text_put(t, "'/>");
        if (c->line[k].of->n > 40) continue; /* few points: each can be seen and asked */
        for (int i = 0; i < c->line[k].of->n; i++) {
            const series *s = c->line[k].of;
            if (isfinite(s->value[i]))
                text_put(t, "<circle class=c%d cx=%.1f cy=%.1f r=2.5><title>step %.10g: %.6g</title></circle>", k, px(&a, s->step[i]),
                         py(&a, s->value[i]), s->step[i], s->value[i]);
        }
    }
    text_put(t, "</svg></figure>\n");
}
