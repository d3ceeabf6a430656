/* change.c - rows of a change, a tile of columns at a time: tiles begin at multiples of every storage block, and live on the stack. */
#include "weights/lora/change.h"

#include <math.h>
#include <string.h>

#include "weights/stored.h"

enum { TILE = 256 };

bool change_cayley(float *m, int n, double factor, double *room)
{
    int wide = 2 * n; /* [I - Q | I + Q] */
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double q = factor * ((double)m[i * n + j] - (double)m[j * n + i]);
            room[i * wide + j] = (i == j) - q;
            room[i * wide + n + j] = (i == j) + q;
        }
    for (int k = 0; k < n; k++) {
        int pivot = k;
        for (int i = k + 1; i < n; i++)
            if (fabs(room[i * wide + k]) > fabs(room[pivot * wide + k])) pivot = i;
        if (!(fabs(room[pivot * wide + k]) > 0)) return false;
        for (int j = k; j < wide && pivot != k; j++) {
            double t = room[k * wide + j];
            room[k * wide + j] = room[pivot * wide + j];
            room[pivot * wide + j] = t;
        }
        double by = 1 / room[k * wide + k];
        for (int j = k; j < wide; j++) room[k * wide + j] *= by;
        for (int i = 0; i < n; i++) {
            double times = room[i * wide + k];
            if (i == k || times == 0) continue;
            for (int j = k; j < wide; j++) room[i * wide + j] -= times * room[k * wide + j];
        }
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) m[i * n + j] = (float)room[i * wide + n + j];
    return true;
}

/* The adapter's row r is the layer's row, and the other way round: exchanging halves is its own inverse. */
static int exchanged(const lora_change *c, int r) { return !c->swapped ? r : r < c->rows / 2 ? r + c->rows / 2 : r - c->rows / 2; }

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

/* sum over k of b[k] A[k, col..col + n), sums staying in registers: a whole small model is merged while its user waits. */
static void row_product(const float *b, const float *A, int rank, int in, int col, int n, float *out)
{
    int j = 0;
    for (; j + 16 <= n; j += 16) {
        four s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };
        const float *a = A + col + j;
        for (int k = 0; k < rank; k++, a += in) {
            const four *v = (const four *)a;
            s0 += b[k] * v[0];
            s1 += b[k] * v[1];
            s2 += b[k] * v[2];
            s3 += b[k] * v[3];
        }
        four *to = (four *)(out + j);
        to[0] = s0, to[1] = s1, to[2] = s2, to[3] = s3;
    }
    for (; j < n; j++) {
        out[j] = 0;
        for (int k = 0; k < rank; k++) out[j] += b[k] * A[(size_t)k * (size_t)in + (size_t)(col + j)];
    }
}

/* Row r, W rotated minus W: R[n, m] of a block adds row n to row m. */
static void rotate_rows(const lora_change *c, const weight *base, int r, int col, int n, float *out)
{
    int b = c->n[0], block = r / b, m = r % b;
    const float *R = c->f[0] + (c->n[1] ? 0 : (size_t)block * (size_t)b * (size_t)b);
    float own[TILE], row[TILE], gain = c->f[1] ? c->f[1][r] : 1;
    memset(out, 0, (size_t)n * sizeof *out);
    for (int k = 0; k < b; k++) {
        stored_values(base, c->row0 + exchanged(c, block * b + k), 1, col, n, row);
        for (int j = 0; j < n; j++) out[j] += R[k * b + m] * row[j];
        if (k == m) memcpy(own, row, sizeof own);
    }
    for (int j = 0; j < n; j++) out[j] = gain * out[j] - own[j];
}

/* Row r, rotated minus W: column i of a block gets R[i, j] of column j.  The block may reach over the tile on both sides. */
static void rotate_columns(const lora_change *c, const weight *base, int r, int col, int n, float *out)
{
    int in = c->w->in, b = c->n[0], row = c->row0 + exchanged(c, r), first = col / b * b, end = (col + n - 1) / b * b + b;
    float tile[TILE], own[TILE], gain = c->f[1] ? c->f[1][r] : 1;
    memset(out, 0, (size_t)n * sizeof *out);
    for (int at = first / TILE * TILE; at < end; at += TILE) {
        int width = in - at < TILE ? in - at : TILE;
        stored_values(base, row, 1, at, width, tile);
        if (at == col) memcpy(own, tile, sizeof own);
        for (int i = col; i < col + n; i++) {
            int block = i / b, from = block * b > at ? block * b : at, to = block * b + b < at + width ? block * b + b : at + width;
            const float *R = c->f[0] + (c->n[1] ? 0 : (size_t)block * (size_t)b * (size_t)b) + (size_t)(i - block * b) * (size_t)b;
            for (int j = from; j < to; j++) out[i - col] += R[j - block * b] * tile[j - at];
        }
    }
    for (int j = 0; j < n; j++) out[j] = gain * out[j] - own[j];
}

/* Of the adapter's row r, before DoRA. */
static void difference(const lora_change *c, const weight *base, int r, int col, int n, float *out)
{
    int in = c->w->in;
    float other[TILE];
    switch (c->kind) {
    case CHANGE_PRODUCT: row_product(c->f[0] + (size_t)r * (size_t)c->n[0], c->f[1], c->n[0], in, col, n, out); break;
    case CHANGE_KRONECKER:
        for (int j = 0; j < n; j++)
            out[j] = c->f[0][(size_t)(r / c->n[2]) * (size_t)c->n[1] + (size_t)((col + j) / c->n[3])] *
                     c->f[1][(size_t)(r % c->n[2]) * (size_t)c->n[3] + (size_t)((col + j) % c->n[3])];
        break;
    case CHANGE_HADAMARD:
        row_product(c->f[0] + (size_t)r * (size_t)c->n[0], c->f[1], c->n[0], in, col, n, out);
        row_product(c->f[2] + (size_t)r * (size_t)c->n[1], c->f[3], c->n[1], in, col, n, other);
        for (int j = 0; j < n; j++) out[j] *= other[j];
        break;
    case CHANGE_FULL: memcpy(out, c->f[0] + (size_t)r * (size_t)in + col, (size_t)n * sizeof *out); break;
    case CHANGE_ROTATED_ROWS: rotate_rows(c, base, r, col, n, out); return; /* these have no alpha */
    case CHANGE_ROTATED_COLUMNS: rotate_columns(c, base, r, col, n, out); return;
    }
    for (int j = 0; j < n; j++) out[j] *= c->scale;
}

/* sum and its parts: w, and w + difference. */
static void changed(const lora_change *c, const weight *base, int r, int col, int n, float *w, float *sum)
{
    stored_values(base, c->row0 + exchanged(c, r), 1, col, n, w);
    difference(c, base, r, col, n, sum);
    for (int j = 0; j < n; j++) sum[j] += w[j];
}

static int tile_at(const lora_change *c, int col) { return c->w->in - col < TILE ? c->w->in - col : TILE; }

void change_prepare(lora_change *c, const weight *base)
{
    float w[TILE], sum[TILE];
    double squares[TILE];
    bool bound = base->nparts && base->part[0].data; /* a plan's networks have shapes only */
    for (int col = 0; bound && c->norms && col < c->w->in; col += TILE) {
        int n = tile_at(c, col);
        memset(squares, 0, sizeof squares);
        for (int r = 0; r < c->rows; r++) {
            changed(c, base, r, col, n, w, sum);
            for (int j = 0; j < n; j++) squares[j] += (double)sum[j] * sum[j];
        }
        for (int j = 0; j < n; j++) c->norms[col + j] = (float)sqrt(squares[j]);
    }
}

static float row_norm(const lora_change *c, const weight *base, int r)
{
    float w[TILE], sum[TILE];
    double squares = 0;
    for (int col = 0; col < c->w->in; col += TILE) {
        int n = tile_at(c, col);
        changed(c, base, r, col, n, w, sum);
        for (int j = 0; j < n; j++) squares += (double)sum[j] * sum[j];
    }
    return (float)sqrt(squares);
}

/* W' = magnitude (W + difference) / its length */
static void add_with_length(const lora_change *c, const weight *base, int r, float *dst)
{
    float w[TILE], sum[TILE], by = c->by_column ? 0 : c->magnitude[r] / row_norm(c, base, r);
    for (int col = 0; col < c->w->in; col += TILE) {
        int n = tile_at(c, col);
        changed(c, base, r, col, n, w, sum);
        for (int j = 0; j < n; j++) {
            float times = c->by_column ? c->magnitude[col + j] / c->norms[col + j] : by;
            dst[col + j] += c->strength * (times * sum[j] - w[j]);
        }
    }
}

void change_add_rows(const lora_change *c, const weight *base, int row0, int n, float *dst)
{
    float delta[TILE];
    int first = row0 > c->row0 ? row0 : c->row0, end = row0 + n < c->row0 + c->rows ? row0 + n : c->row0 + c->rows;
    for (int row = first; row < end; row++) {
        int r = exchanged(c, row - c->row0);
        float *to = dst + (size_t)(row - row0) * (size_t)c->w->in;
        if (c->magnitude) {
            add_with_length(c, base, r, to);
            continue;
        }
        for (int col = 0; col < c->w->in; col += TILE) {
            int width = tile_at(c, col);
            difference(c, base, r, col, width, delta);
            for (int j = 0; j < width; j++) to[col + j] += c->strength * delta[j];
        }
    }
}
