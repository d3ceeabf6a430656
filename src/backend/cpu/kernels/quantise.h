/* quantise.h - activations in 8 bits: each run of 32 numbers of a row becomes a scale and 32 whole numbers (nn/backend.h, `linear`). */
#ifndef CPU_KERNELS_QUANTISE_H
#define CPU_KERNELS_QUANTISE_H
#include "backend/cpu/kernels/rows.h"
#include "base/blocks_int8.h"

/* x [rows, 32 runs] in 8 bits. */
typedef struct quantised {
    tensor x;
    uint8_t *q;         /* [rows][lda], `shift` added */
    float *scale, *sum; /* [rows][runs]: of a run the scale, and the sum of its rounded numbers */
    size_t lda;
    int runs, shift;
} quantised;

/* The rounded numbers of one run, -127..127, to `q`; *scale receives their unit, which is NaN when one of x is NaN or infinite. */
INLINE void quantise_run(const float *restrict x, int32_t *restrict q, float *restrict scale)
{
    int32_t bits[BLOCKS_RUN], top = 0; /* magnitudes as bit patterns compare like integers, NaN above infinity above the rest */
    float largest;
    memcpy(bits, x, sizeof bits);
    for (int i = 0; i < BLOCKS_RUN; i++) {
        int32_t b = bits[i] & 0x7FFFFFFF;
        top = b > top ? b : top;
    }
    memcpy(&largest, &top, sizeof top);
    if (top >= 0x7F800000 || largest < FAST_LEAST) {
        memset(q, 0, sizeof(int32_t) * BLOCKS_RUN);
        *scale = top >= 0x7F800000 ? NAN : 0;
        return;
    }
    vf inverse = v_set(127.0f / largest);
    float whole[BLOCKS_RUN];
    for (int i = 0; i < BLOCKS_RUN; i += VL) v_store(whole + i, v_round(v_load(x + i) * inverse));
    for (int i = 0; i < BLOCKS_RUN; i++) q[i] = (int32_t)whole[i];
    *scale = largest / 127.0f;
}

static void quantise_row(const quantised *a, int i)
{
    const float *x = row(a->x, i);
    uint8_t *q = a->q + (size_t)i * a->lda;
    for (int r = 0; r < a->runs; r++, x += BLOCKS_RUN, q += BLOCKS_RUN) {
        int32_t whole[BLOCKS_RUN], sum = 0;
        float scale;
        quantise_run(x, whole, &scale);
        for (int k = 0; k < BLOCKS_RUN; k++) sum += whole[k];
        for (int k = 0; k < BLOCKS_RUN; k++) q[k] = (uint8_t)(whole[k] + a->shift);
        a->scale[(size_t)i * (size_t)a->runs + (size_t)r] = scale;
        a->sum[(size_t)i * (size_t)a->runs + (size_t)r] = scale * (float)sum;
    }
}

enum { QUANTISE_EACH = 16 }; /* rows a task */

static void quantise_task(void *arg, int task, int worker)
{
    const quantised *a = arg;
    (void)worker;
    for (int i = task * QUANTISE_EACH; i < imin(a->x.rows, (task + 1) * QUANTISE_EACH); i++) quantise_row(a, i);
}

/* x in CPU_TEMP, until that is asked for again; q NULL: no memory, and the device has failed. */
static quantised quantise(device *dev, tensor x)
{
    quantised a = {.x = x, .runs = x.cols / BLOCKS_RUN, .lda = (size_t)x.cols + 64, /* off the powers of two */
                   .shift = ((const cpu_state *)dev->state)->int8->shift};
    size_t numbers = (size_t)x.rows * (size_t)a.runs;
    a.scale = cpu_scratch(dev, CPU_TEMP, 2 * numbers + ((size_t)x.rows * a.lda + 3) / 4);
    if (!a.scale) return a;
    a.sum = a.scale + numbers;
    a.q = (uint8_t *)(a.sum + numbers);
    pool_run(dev->threads, ceil_div(x.rows, QUANTISE_EACH), quantise_task, &a);
    return a;
}
#endif
