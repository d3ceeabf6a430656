/* nf4.h - weights that bitsandbytes packed into 4 bits (load_in_4bit; "bnb-nf4" files).
 *
 * Beside "X.weight", bytes of two codes each, lie "X.weight.absmax" (a magnitude for each 64 numbers, or where it is nested a byte of them),
 * "X.weight.quant_map" (16 values), "X.weight.quant_state.bitsandbytes__nf4" (JSON) and with nesting "nested_absmax", "nested_quant_map".
 * A number is quant_map[code] * absmax[its place / 64], in fp32. */
#ifndef WEIGHTS_NF4_H
#define WEIGHTS_NF4_H
#include "format/safetensors.h"

typedef struct nf4 {
    const unsigned char *codes;  /* two numbers a byte, the first in the upper half */
    size_t count;                /* numbers */
    size_t block;                /* numbers that share a magnitude */
    float map[16];
    bool common;                 /* map is the published table, which blocks of DT_NF4 have */
    const st_tensor *absmax, *nested_absmax, *nested_map;
    size_t nested_block;
    float offset;
} nf4;

/* Is `t`, called `name` in the set, packed so?  *is false: it is not.  DREAMO_FORMAT: it is, and what belongs to it is missing or of the wrong size. */
dreamo_status nf4_find(const st_set *s, st_tensor *t, bool *is, nf4 *out, dreamo_error *err);
/* Numbers [from, from + n) as fp32; as blocks of DT_NF4, where from and n are multiples of 32 and the map is the common one. */
void nf4_values(const nf4 *q, size_t from, size_t n, float *dst);
void nf4_blocks(const nf4 *q, size_t from, size_t n, unsigned char *dst);
#endif
