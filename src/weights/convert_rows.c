/* convert_rows.c - rows of a weight as they are stored, with its adapters fused in (spec 2.10). */
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "base/half.h"
#include "base/mem.h"
#include "weights/convert.h"
#include "weights/stored.h"

/* ---- adapters ---- */

enum { TILE_ROWS = 4, TILE_COLS = 256 };

/* acc[r][j] = sum over k of B[r, k] A[k, j], columns [col, col + n) of A: four rows share each number of A that is read. */
static void product(const float *B, int rows, const float *A, int rank, int in, int col, int n, float acc[TILE_ROWS][TILE_COLS])
{
    float *restrict y0 = acc[0], *restrict y1 = acc[1], *restrict y2 = acc[2], *restrict y3 = acc[3];
    memset(acc, 0, sizeof(float[TILE_ROWS][TILE_COLS]));
    for (int k = 0; k < rank; k++) {
        const float *restrict a = A + (size_t)k * (size_t)in + col;
        float b[TILE_ROWS] = { 0 };
        for (int r = 0; r < rows; r++) b[r] = B[(size_t)r * (size_t)rank + k];
        for (int j = 0; j < n; j++) {
            y0[j] += b[0] * a[j];
            y1[j] += b[1] * a[j];
            y2[j] += b[2] * a[j];
            y3[j] += b[3] * a[j];
        }
    }
}

static void add_delta(float *w, const float *delta, float scale, int n, bool bf16)
{
    if (bf16) /* the delta is rounded, then the sum */
        for (int j = 0; j < n; j++) w[j] = round_bf16(w[j] + round_bf16(scale * delta[j]));
    else
        for (int j = 0; j < n; j++) w[j] += scale * delta[j];
}

/* Rows [row0, row0 + n) of the weight a belongs to, [n, in], get a's share. */
static void fuse(const adapter *a, int in, int row0, int n, bool bf16, float *dst)
{
    float acc[TILE_ROWS][TILE_COLS];
    int first = row0 > a->row0 ? row0 : a->row0, end = row0 + n < a->row0 + a->rows ? row0 + n : a->row0 + a->rows;
    for (int row = first; row < end; row += TILE_ROWS) {
        int rows = end - row < TILE_ROWS ? end - row : TILE_ROWS;
        for (int col = 0; col < in; col += TILE_COLS) {
            int cols = in - col < TILE_COLS ? in - col : TILE_COLS;
            product(a->B + (size_t)(row - a->row0) * (size_t)a->rank, rows, a->A, a->rank, in, col, cols, acc);
            for (int r = 0; r < rows; r++) add_delta(dst + (size_t)(row - row0 + r) * (size_t)in + col, acc[r], a->scale, cols, bf16);
        }
    }
}

/* ---- rows ---- */

/* n rows of a weight, in the order in which the network has them; all of them on one side of the middle when the output swaps. */
static void weight_rows(const weight *w, int row0, int n, bool official, float *dst)
{
    bool bf16 = official;
    for (int i = 0, start = 0; i < w->nparts; start += w->part[i++].rows)
        bf16 = bf16 && (w->part[i].type == DT_BF16 || start >= row0 + n || start + w->part[i].rows <= row0);
    stored_values(w, row0, n, 0, w->in, dst);
    for (const adapter *a = w->adapters; a; a = a->next) fuse(a, w->in, row0, n, bf16, dst);
}

static void piece_rows(const convert_tensor *t, int64_t row0, int n, float *dst)
{
    for (int i = 0; i < t->npieces; i++) {
        int64_t start = t->piece[i].row0, end = start + t->piece[i].rows;
        int64_t first = row0 > start ? row0 : start, last = row0 + n < end ? row0 + n : end;
        if (first < last)
            memcpy(dst + (first - row0) * t->cols, t->piece[i].values + (first - start) * t->cols,
                   (size_t)((last - first) * t->cols) * sizeof *dst);
    }
}

static void source_rows(const convert_tensor *t, int64_t row0, int n, bool official, float *dst)
{
    if (!t->w) piece_rows(t, row0, n, dst);
    else weight_rows(t->w, (int)row0, n, official, dst);
    for (const lora_change *c = t->changes; c; c = c->next) change_add_rows(c, t->w, (int)row0, n, dst);
}

void convert_rows(const convert_tensor *t, int64_t row0, int n, bool official, float *dst)
{
    int64_t half = t->rows / 2;
    while (t->swapped && n > 0) {
        int run = row0 < half && row0 + n > half ? (int)(half - row0) : n;
        source_rows(t, row0 < half ? row0 + half : row0 - half, run, official, dst);
        dst += run * t->cols;
        row0 += run;
        n -= run;
    }
    if (n > 0) source_rows(t, row0, n, official, dst);
}

/* ---- all rows, by many threads ---- */

typedef struct walk {
    const convert_tensor *t;
    bool official;
    int64_t row0, rows;
    float *room;          /* CONVERT_ROWS rows a worker */
    convert_take take;
    void *user;
    atomic_bool bad;
} walk;

static void walk_task(void *arg, int task, int worker)
{
    walk *k = arg;
    int64_t row = k->row0 + (int64_t)task * CONVERT_ROWS, left = k->row0 + k->rows - row;
    int n = left < CONVERT_ROWS ? (int)left : CONVERT_ROWS;
    float *rows = k->room + (size_t)worker * CONVERT_ROWS * (size_t)k->t->cols;
    convert_rows(k->t, row, n, k->official, rows);
    if (!k->take(k->user, row, n, rows, worker)) atomic_store(&k->bad, true);
}

dreamo_status convert_walk(const convert_tensor *t, bool official, int64_t row0, int64_t rows, pool *threads, convert_take take,
                           void *user, dreamo_error *err)
{
    walk k = { .t = t, .official = official, .row0 = row0, .rows = rows, .take = take, .user = user };
    k.room = mem_alloc((size_t)pool_threads(threads) * CONVERT_ROWS * (size_t)t->cols * sizeof *k.room);
    if (!k.room) return fail(err, DREAMO_MEMORY, "no memory for rows of %s", t->name);
    pool_run(threads, (int)((rows + CONVERT_ROWS - 1) / CONVERT_ROWS), walk_task, &k);
    mem_free(k.room);
    if (!atomic_load(&k.bad)) return DREAMO_OK;
    return fail(err, DREAMO_NUMERIC, "%s: holds a number that is not finite", t->name);
}
