/* windows.c - rectangles of cells. */
#include "eval/windows.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

enum { LEAST = 2 };

static bool allowed(int w, int h) { return w <= 2 * h && h <= 2 * w; }

static int list_all(windows *all, window *list)
{
    int n = 0;
    for (int h = LEAST; h <= all->rows; h++)
        for (int w = LEAST; w <= all->cols; w++)
            for (int y = 0; allowed(w, h) && y + h <= all->rows; y++)
                for (int x = 0; x + w <= all->cols; x++, n++)
                    if (list) list[n] = (window){ x, y, w, h };
    return n;
}

dreamo_status windows_new(windows *all, int cols, int rows, dreamo_error *err)
{
    *all = (windows){ .cols = cols, .rows = rows };
    all->n = list_all(all, NULL);
    if (!all->n) return fail(err, DREAMO_ARG, "%d x %d cells are too few to look for anything", cols, rows);
    all->list = mem_alloc((size_t)all->n * sizeof *all->list);
    if (!all->list) return fail(err, DREAMO_MEMORY, "no memory for %d windows", all->n);
    list_all(all, all->list);
    return DREAMO_OK;
}

void windows_free(windows *all)
{
    mem_free(all->list);
    *all = (windows){ 0 };
}

static int common(int a, int an, int b, int bn)
{
    int lo = a > b ? a : b, hi = a + an < b + bn ? a + an : b + bn;
    return hi > lo ? hi - lo : 0;
}

double windows_overlap(window a, window b)
{
    double both = (double)common(a.x, a.w, b.x, b.w) * common(a.y, a.h, b.y, b.h);
    return both / (a.w * a.h + b.w * b.h - both);
}

window windows_of_mask(const windows *all, const float *coverage)
{
    double total = 0, most = -1;
    window best = windows_whole(all);
    for (int i = 0; i < all->cols * all->rows; i++) total += coverage[i];
    for (int k = 0; k < all->n; k++) {
        window at = all->list[k];
        double inside = 0;
        for (int y = at.y; y < at.y + at.h; y++)
            for (int x = at.x; x < at.x + at.w; x++) inside += coverage[y * all->cols + x];
        double share = inside / (at.w * at.h + total - inside);
        if (share > most) best = at, most = share;
    }
    return best;
}

void windows_coverage(const windows *all, const unsigned char *mask, int w, int h, float *coverage)
{
    int cells = all->cols * all->rows;
    memset(coverage, 0, (size_t)cells * sizeof *coverage);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            coverage[y * all->rows / h * all->cols + x * all->cols / w] += (float)mask[(size_t)y * (size_t)w + (size_t)x] / 255;
    for (int i = 0; i < cells; i++) coverage[i] *= (float)cells / (float)(w * h);
}

double window_mean(const windows *all, const float *cells, int stride, int n, window at, float *mean)
{
    double square = 0, area = at.w * at.h;
    memset(mean, 0, (size_t)n * sizeof *mean);
    for (int y = at.y; y < at.y + at.h; y++)
        for (int x = at.x; x < at.x + at.w; x++) {
            const float *cell = cells + (size_t)(y * all->cols + x) * (size_t)stride;
            for (int k = 0; k < n; k++) mean[k] += cell[k];
        }
    for (int k = 0; k < n; k++) {
        mean[k] = (float)(mean[k] / area);
        square += (double)mean[k] * mean[k];
    }
    return sqrt(square);
}

void window_vector(const windows *all, const float *cells, int stride, int n, window at, float *vector)
{
    double length = window_mean(all, cells, stride, n, at, vector);
    for (int k = 0; k < n; k++) vector[k] = (float)(vector[k] / (length + 1e-12));
}

void windows_vectors(const windows *all, const float *cells, int stride, int n, float *vectors)
{
    for (int i = 0; i < all->n; i++) window_vector(all, cells, stride, n, all->list[i], vectors + (size_t)i * (size_t)n);
}

double windows_best(const windows *all, const float *vectors, int n, const float *wanted, int *which)
{
    double most = -2;
    for (int i = 0; i < all->n; i++) {
        const float *v = vectors + (size_t)i * (size_t)n;
        float dot = 0;
        for (int k = 0; k < n; k++) dot += v[k] * wanted[k];
        if (dot > most) most = dot, *which = i;
    }
    return most;
}
