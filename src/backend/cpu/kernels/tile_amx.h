/* tile_amx.h - micro.h's tile of C on AMX: four tile registers of 16 x 16 sums, over pairs of bf16 as pack_pairs.h packs them, 2 x 16 x 16
 * products each an instruction.
 *
 * A tile register of A is 16 rows of 16 pairs, one of B 16 pairs of k by 16 columns: what a block of rows and a panel are, so both are
 * loaded from where they were packed. */
#ifndef CPU_KERNELS_TILE_AMX_H
#define CPU_KERNELS_TILE_AMX_H
#include "backend/cpu/kernels/micro.h"

enum { AMX_SIDE = 16, AMX_PAIRS = 16 /* of k, a register of A holds */, AMX_MR = 2 * AMX_SIDE };

/* All eight registers whole: 16 rows of 64 bytes. */
INLINE void amx_begin(void)
{
    static const struct { uint8_t palette, first_row, zero[14]; uint16_t bytes[16]; uint8_t rows[16]; } shapes = {
        1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&shapes);
}

INLINE void amx_end(void) { _tile_release(); }

/* Sums i of C's begin with C, with the bias in all rows, or with zero.  Registers are named at compile time: hence macros. */
#define AMX_FROM(i, t, row, col)                                                                                       \
    do {                                                                                                               \
        if ((t)->add) _tile_loadd(i, (t)->c + (row) * (t)->ldc + (col), 4 * (t)->ldc);                                 \
        else if ((t)->bias) _tile_loadd(i, (t)->bias + (col), 0);                                                      \
        else _tile_zero(i);                                                                                            \
    } while (0)
#define AMX_TO(i, t, row, col) _tile_stored(i, (t)->c + (row) * (t)->ldc + (col), 4 * (t)->ldc)

/* C[16 or 32][16 or 32], whole registers; constant `two` and `wide` leave no branch in the loop. */
INLINE void amx_body(const tile *t, const bool two, const bool wide)
{
    __asm__ volatile("" ::"r"(t->a), "r"(t->b), "r"(t->c) : "memory"); /* all of it is in memory: the compiler sees no read in a tile's load */
    AMX_FROM(0, t, 0, 0);
    if (wide) AMX_FROM(1, t, 0, AMX_SIDE);
    if (two) AMX_FROM(2, t, AMX_SIDE, 0);
    if (two && wide) AMX_FROM(3, t, AMX_SIDE, AMX_SIDE);
    for (int i = 0; i < (two ? AMX_MR : AMX_SIDE); i++) { /* the next tile of these rows: it is wanted before this one's products are done */
        __builtin_prefetch(t->c + i * t->ldc + NR, 1);
        __builtin_prefetch(t->c + i * t->ldc + NR + VL, 1);
    }
    const float *a = t->a, *below = a + AMX_SIDE * t->lda, *b = t->b;
    for (int k = 0; k < t->k; k += AMX_PAIRS, a += AMX_PAIRS, below += AMX_PAIRS, b += AMX_PAIRS * t->ldb) {
        _tile_loadd(4, a, 4 * t->lda);
        _tile_loadd(6, b, 4 * t->ldb);
        _tile_dpbf16ps(0, 4, 6);
        if (wide) {
            _tile_loadd(7, b + AMX_SIDE, 4 * t->ldb);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (two) {
            _tile_loadd(5, below, 4 * t->lda);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (two && wide) _tile_dpbf16ps(3, 5, 7);
    }
    AMX_TO(0, t, 0, 0);
    if (wide) AMX_TO(1, t, 0, AMX_SIDE);
    if (two) AMX_TO(2, t, AMX_SIDE, 0);
    if (two && wide) AMX_TO(3, t, AMX_SIDE, AMX_SIDE);
}

static void amx_whole(const tile *t, int m, int n)
{
    if (m > AMX_SIDE && n > AMX_SIDE) amx_body(t, true, true);
    else if (m > AMX_SIDE) amx_body(t, true, false);
    else if (n > AMX_SIDE) amx_body(t, false, true);
    else amx_body(t, false, false);
}

/* The first m rows and n columns of a tile of 32 x 32.  A's rows must be readable to a multiple of 16, B's columns to a whole panel, k is a
 * multiple of AMX_PAIRS. */
static void amx_tile(const tile *t, int m, int n)
{
    if (m % AMX_SIDE == 0 && n % AMX_SIDE == 0) {
        amx_whole(t, m, n);
        return;
    }
    /* Beside, then the part that counts is moved.  What is there already goes in first, as in whole tiles: a row's sums do not depend on where the
     * matrix ends. */
    _Alignas(64) float edge[AMX_MR * NR] = {0};
    tile whole = *t;
    whole.c = edge;
    whole.ldc = NR;
    whole.add = true;
    for (int i = 0; i < m && (t->add || t->bias); i++)
        for (int j = 0; j < n; j += VL) v_store(edge + i * NR + j, v_loadn(t->add ? t->c + i * t->ldc + j : t->bias + j, n - j));
    amx_whole(&whole, m, n);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j += VL) v_storen(t->c + i * t->ldc + j, v_load(edge + i * NR + j), n - j);
}
#endif
