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

dreamo_status canvas_new(canvas *c, int size, dreamo_error *err)
{
    int fine = size >= 64 ? 2 : (128 + size - 1) / size;
    size_t n = (size_t)(size * fine) * (size_t)(size * fine);
    *c = (canvas){ size * fine, fine, mem_alloc(n * 3 * sizeof(float)), mem_calloc(n, sizeof(float)) };
    if (!c->rgb || !c->cover) {
        canvas_free(c);
        return fail(err, DREAMO_MEMORY, "no memory for a drawing of %d pixels a side", size * fine);
    }
    for (size_t i = 0; i < n * 3; i++) c->rgb[i] = 1;
    return DREAMO_OK;
}

void canvas_free(canvas *c)
{
    mem_free(c->rgb);
    mem_free(c->cover);
    *c = (canvas){ 0 };
}

/* Colour (premultiplied) and alpha at (x, y) in pixels, bilinear, transparent outside. */
static void tile_at(const tile *t, double x, double y, float out[4])
{
    x -= 0.5, y -= 0.5;
    int x0 = (int)(x + 2) - 2, y0 = (int)(y + 2) - 2; /* floor for x > -2 */
    float fx = (float)(x - x0), fy = (float)(y - y0);
    memset(out, 0, 4 * sizeof *out);
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            int px = x0 + i, py = y0 + j;
            if (px < 0 || py < 0 || px >= t->width || py >= t->height) continue;
            const unsigned char *p = t->rgba + 4 * ((size_t)py * (size_t)t->row + (size_t)px);
            float a = (float)p[3] * (1.0f / 255) * (i ? fx : 1 - fx) * (j ? fy : 1 - fy);
            for (int k = 0; k < 3; k++) out[k] += a * (float)p[k] * (1.0f / 255);
            out[3] += a;
        }
}

void canvas_paste(canvas *c, const tile *t, const placement *p)
{
    int longest = t->width > t->height ? t->width : t->height;
    double zoom = p->scale * c->side / longest;            /* canvas pixels a tile pixel */
    double sn = sine(p->turn), cs = sine(p->turn + 0.25);
    double cx = p->x * c->side, cy = p->y * c->side;
    double reach = zoom * sqrt((double)t->width * t->width + (double)t->height * t->height) / 2 + zoom + 1;
    int x0 = cx - reach > 0 ? (int)(cx - reach) : 0, x1 = cx + reach < c->side ? (int)(cx + reach) : c->side - 1;
    int y0 = cy - reach > 0 ? (int)(cy - reach) : 0, y1 = cy + reach < c->side ? (int)(cy + reach) : c->side - 1;
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            double dx = (x + 0.5 - cx) / zoom, dy = (y + 0.5 - cy) / zoom;
            double u = cs * dx + sn * dy, v = cs * dy - sn * dx; /* turned back */
            if (p->mirror) u = -u;
            u += t->width / 2.0, v += t->height / 2.0;
            if (u < -0.5 || v < -0.5 || u > t->width + 0.5 || v > t->height + 0.5) continue;
            float s[4];
            tile_at(t, u, v, s);
            if (s[3] <= 0) continue;
            size_t at = (size_t)y * (size_t)c->side + (size_t)x;
            for (int k = 0; k < 3; k++) c->rgb[3 * at + (size_t)k] = c->rgb[3 * at + (size_t)k] * (1 - s[3]) + s[k];
            c->cover[at] = c->cover[at] * (1 - s[3]) + s[3];
        }
}

void canvas_shadow(canvas *c, double x, double y, double rx, double ry, double dark)
{
    if (dark <= 0) return;
    double n = c->side;
    int x0 = (int)((x - rx) * n), x1 = (int)((x + rx) * n), y0 = (int)((y - ry) * n), y1 = (int)((y + ry) * n);
    for (int j = y0 > 0 ? y0 : 0; j <= y1 && j < c->side; j++)
        for (int i = x0 > 0 ? x0 : 0; i <= x1 && i < c->side; i++) {
            double u = ((i + 0.5) / n - x) / rx, v = ((j + 0.5) / n - y) / ry, d = u * u + v * v;
            if (d >= 1) continue;
            float keep = (float)(1 - dark * (1 - d) * (1 - d));
            for (int k = 0; k < 3; k++) c->rgb[3 * ((size_t)j * (size_t)c->side + (size_t)i) + (size_t)k] *= keep;
        }
}

static unsigned char byte_of(float v) { return v <= 0 ? 0 : v >= 1 ? 255 : (unsigned char)(v * 255 + 0.5f); }

dreamo_status canvas_finish(const canvas *c, bitmap *out, unsigned char **mask, dreamo_error *err)
{
    int n = c->side / c->fine, f = c->fine;
    dreamo_status status = bitmap_new(out, n, n, 3, err);
    if (status) return status;
    if (mask && !(*mask = mem_alloc((size_t)n * (size_t)n))) {
        bitmap_free(out);
        return fail(err, DREAMO_MEMORY, "no memory for a mask of %d x %d", n, n);
    }
    float each = 1.0f / (float)(f * f);
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++) {
            float sum[4] = { 0 };
            for (int j = 0; j < f; j++)
                for (int i = 0; i < f; i++) {
                    size_t at = (size_t)(y * f + j) * (size_t)c->side + (size_t)(x * f + i);
                    for (int k = 0; k < 3; k++) sum[k] += c->rgb[3 * at + (size_t)k];
                    sum[3] += c->cover[at];
                }
            size_t to = (size_t)y * (size_t)n + (size_t)x;
            for (int k = 0; k < 3; k++) out->data[3 * to + (size_t)k] = byte_of(sum[k] * each);
            if (mask) (*mask)[to] = byte_of(sum[3] * each);
        }
    return DREAMO_OK;
}
