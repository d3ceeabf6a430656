/* stored.c - decoding a piece of a weight. */
#include "weights/stored.h"

static void part_row(const weight_part *p, int in, int row, int col, int n, float *dst)
{
    size_t at = dtype_nbytes_of(p->type, (size_t)row * (size_t)in + (size_t)col);
    dtype_to_f32(p->type, (const char *)p->data + at, (size_t)n, dst);
    for (int j = 0; p->row_scale && j < n; j++) dst[j] *= p->row_scale[row];
}

void stored_values(const weight *w, int row, int rows, int col, int n, float *dst)
{
    int start = 0;
    for (int i = 0; i < w->nparts; start += w->part[i++].rows) {
        const weight_part *p = &w->part[i];
        int first = row > start ? row : start, end = row + rows < start + p->rows ? row + rows : start + p->rows;
        for (int r = first; r < end; r++) part_row(p, w->in, r - start, col, n, dst + (size_t)(r - row) * (size_t)n);
    }
}
