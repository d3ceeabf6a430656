/* maps.c - votes of the layers, and the picture in their light. */
#include "pipe/maps.h"

#include <math.h>
#include <string.h>

static const double DARK = 24; /* the grey of what is not looked at */

void maps_add(float *sum, const float *map, int n)
{
    double mean = 0, square = 0;
    for (int i = 0; i < n; i++) mean += map[i];
    mean /= n;
    for (int i = 0; i < n; i++) square += (map[i] - mean) * (map[i] - mean);
    double scale = sqrt(n / square);
    if (!isfinite(mean) || !isfinite(scale)) return;
    for (int i = 0; i < n; i++) sum[i] += (float)((map[i] - mean) * scale);
}

/* Where pixel x of `pixels` lies among n tokens: between `low` and the next, this far on. */
static double place(int x, int pixels, int n, int *low, int *high)
{
    double at = fmin(fmax((x + 0.5) * n / pixels - 0.5, 0), n - 1);
    *low = (int)at;
    *high = *low + 1 < n ? *low + 1 : *low;
    return at - *low;
}

dreamo_status maps_light(const bitmap *picture, const float *sum, int h, int w, bitmap *out, dreamo_error *err)
{
    dreamo_status s = bitmap_new(out, picture->width, picture->height, 3, err);
    if (s) return s;
    float least = sum[0], most = sum[0];
    for (int i = 1; i < h * w; i++) {
        least = fminf(least, sum[i]);
        most = fmaxf(most, sum[i]);
    }
    double range = most > least ? (double)most - least : 1;
    for (int y = 0; y < picture->height; y++) {
        int y0, y1, x0, x1;
        double v = place(y, picture->height, h, &y0, &y1);
        for (int x = 0; x < picture->width; x++) {
            double u = place(x, picture->width, w, &x0, &x1);
            double above = (1 - u) * sum[y0 * w + x0] + u * sum[y0 * w + x1], below = (1 - u) * sum[y1 * w + x0] + u * sum[y1 * w + x1];
            double light = ((1 - v) * above + v * below - least) / range;
            size_t at = 3 * ((size_t)y * (size_t)picture->width + (size_t)x);
            for (size_t c = 0; c < 3; c++) out->data[at + c] = (unsigned char)lround(DARK + light * (picture->data[at + c] - DARK));
        }
    }
    return DREAMO_OK;
}
