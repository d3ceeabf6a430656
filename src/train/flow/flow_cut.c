/* flow_cut.c - which rows stay. */
#include "train/flow/flow_cut.h"

#include <string.h>

#include "base/mem.h"

void flow_cut_free(flow_cut *c)
{
    mem_free(c->rows);
    mem_free(c->back);
    mem_free(c->spans);
    mem_free(c->cos);
    mem_free(c->sin);
    *c = (flow_cut){ 0 };
}

static dreamo_status reserve(flow_cut *c, size_t rows, size_t samples, size_t half, dreamo_error *err)
{
    if (rows <= c->room && samples <= c->samples_room && half <= c->half_room) return DREAMO_OK;
    flow_cut_free(c);
    *c = (flow_cut){ .room = rows, .samples_room = samples, .half_room = half };
    c->rows = mem_alloc(rows * sizeof *c->rows);
    c->back = mem_alloc(rows * sizeof *c->back);
    c->spans = mem_alloc(2 * samples * sizeof *c->spans);
    c->cos = mem_alloc(rows * half * sizeof *c->cos);
    c->sin = mem_alloc(rows * half * sizeof *c->sin);
    if (c->rows && c->back && c->spans && c->cos && c->sin) return DREAMO_OK;
    flow_cut_free(c);
    return fail(err, DREAMO_MEMORY, "no memory for %zu rows", rows);
}

dreamo_status flow_cut_make(flow_cut *c, const flow_batch *b, const dit_config *dit, double drop, rng r, dreamo_error *err)
{
    int all = b->text_rows + b->image_rows, n = 0, spans = 0;
    size_t half = (size_t)dit->head_dim / 2;
    dreamo_status s = reserve(c, (size_t)all, (size_t)b->samples, half, err);
    if (s) return s;
    for (int i = 0; i < all; i++) c->back[i] = i;
    for (; n < b->text_rows; n++) c->rows[n] = n;
    for (int i = 0; i < b->samples; i++) {
        int first = n, row0 = b->text_rows + b->image0[i], rows = b->image_spans[i].rows;
        for (int k = 0; k < rows; k++)
            if (rng_double(&r) >= drop || (k == rows - 1 && n == first)) c->rows[n++] = row0 + k;
        c->spans[spans++] = b->text_spans[i];
        c->spans[spans++] = (span){ first, n - first, i };
    }
    for (int i = 0; i < n; i++) {
        c->back[c->rows[i]] = all + i;
        memcpy(c->cos + (size_t)i * half, b->cos + (size_t)c->rows[i] * half, half * sizeof(float));
        memcpy(c->sin + (size_t)i * half, b->sin + (size_t)c->rows[i] * half, half * sizeof(float));
    }
    int singles = dit->single_layers, last = singles / 4 > 1 ? singles / 4 : 1;
    c->s = (dit_short){ .first = 0, .end = singles > last ? singles - last : 0, .nrows = n, .rows = c->rows, .back = c->back,
                        .joint = { b->samples, spans, c->spans }, .pe = { .cos = c->cos, .sin = c->sin, .dim = dit->head_dim / 2 } };
    return DREAMO_OK;
}
