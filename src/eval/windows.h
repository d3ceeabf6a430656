/* windows.h - where in a picture something may be: rectangles of the judge's cells, and what stands in them.
 *
 * Cells are [rows * cols] rows of `stride` numbers, of which a head has `n`.  A window's vector is the mean of its cells', made 1 long. */
#ifndef EVAL_WINDOWS_H
#define EVAL_WINDOWS_H
#include "base/error.h"

typedef struct window { int x, y, w, h; } window; /* in cells */

/* All rectangles of at least two cells a side, no side over twice the other: a fixed set. */
typedef struct windows { int cols, rows, n; window *list; } windows;

dreamo_status windows_new(windows *all, int cols, int rows, dreamo_error *err);
void          windows_free(windows *all);
static inline window windows_whole(const windows *all) { return (window){ 0, 0, all->cols, all->rows }; }

double windows_overlap(window a, window b); /* area of both / area of either */
/* The one that holds a mask best.  coverage [rows * cols]: share of each cell that it covers. */
window windows_of_mask(const windows *all, const float *coverage);
/* coverage of a mask of w x h pixels, 0..255 */
void   windows_coverage(const windows *all, const unsigned char *mask, int w, int h, float *coverage);

/* The mean of n numbers of a window's cells; returns its length. */
double window_mean(const windows *all, const float *cells, int stride, int n, window at, float *mean);
void   window_vector(const windows *all, const float *cells, int stride, int n, window at, float *vector);
/* vectors [all->n, n] */
void   windows_vectors(const windows *all, const float *cells, int stride, int n, float *vectors);
/* The greatest cosine with `wanted`, and which window has it. */
double windows_best(const windows *all, const float *vectors, int n, const float *wanted, int *which);
#endif
