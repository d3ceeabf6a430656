/* stored_weights.h - weights of every stored type for tests: values that others wrote, and any bit pattern. */
#ifndef TESTS_STORED_WEIGHTS_H
#define TESTS_STORED_WEIGHTS_H
#include "base/half.h"
#include "format/safetensors.h"
#include "devices.h" /* and cmocka.h */

#define WEIGHTS DT_NF4 /* the types before it are a weight's, and others wrote values of them; NF4's are in test_nf4.c */

/* ---- what others wrote ---- */

/* Bytes and values of a type: a named pair in gguf-blocks, or all 256 bytes of fp8. */
typedef struct golden {
    dtype type;
    int rows, in;
    uint8_t *bytes; /* at an odd address */
    float *values;
    uint8_t *room;
} golden;

static const st_tensor *need(const st_file *f, const char *name, const char *what)
{
    char full[32];
    snprintf(full, sizeof full, "%s.%s", name, what);
    const st_tensor *t = st_find(f, full);
    if (!t) fail_msg("%s is not there", full);
    return t;
}

static golden golden_read(dtype type)
{
    bool fp8 = type == DT_F8_E4M3 || type == DT_F8_E5M2;
    golden g = { .type = type, .rows = 1, .in = 256 };
    st_file f;
    assert_int_equal(st_open(fp8 ? TEST_DATA "/fp8.safetensors" : TEST_DATA "/gguf-blocks.safetensors", &f, NULL), DREAMO_OK);
    const st_tensor *values = need(&f, type == DT_F8_E4M3 ? "e4m3fn" : fp8 ? "e5m2" : dtype_name(type), "values");
    if (!fp8) g.rows = (int)values->shape[0], g.in = (int)values->shape[1];
    size_t n = (size_t)g.rows * (size_t)g.in, nbytes = dtype_nbytes_of(type, n);
    g.values = malloc(n * sizeof *g.values);
    g.room = malloc(nbytes + 4);
    bool wide = type == DT_BF16 || type == DT_F16; /* a kernel may want these aligned */
    g.bytes = g.room + (wide ? 0 : 1);
    memcpy(g.values, values->data, n * sizeof *g.values);
    if (fp8) {
        for (int i = 0; i < 256; i++) g.bytes[i] = (uint8_t)i;
        for (int i = 0; i < 256; i++) /* without NaN and infinity, which would drown the sums */
            if (!isfinite(g.values[i])) g.bytes[i] = 0, g.values[i] = 0;
    } else {
        const st_tensor *bytes = need(&f, dtype_name(type), "bytes");
        assert_int_equal(bytes->nbytes, nbytes);
        memcpy(g.bytes, bytes->data, nbytes);
    }
    st_close(&f);
    return g;
}

static void golden_free(golden *g)
{
    free(g->room);
    free(g->values);
}

/* ---- weights of any bit pattern ---- */

/* Where the fp16 scales lie in a block; all other bytes may be anything. */
static void set_scales(dtype t, uint8_t *block)
{
    static const int at[WEIGHTS][2] = {
        [DT_Q4_1] = { 0, 2 }, [DT_Q5_1] = { 0, 2 }, [DT_Q2_K] = { 80, 82 }, [DT_Q3_K] = { 108, 108 },
        [DT_Q4_K] = { 0, 2 }, [DT_Q5_K] = { 0, 2 }, [DT_Q6_K] = { 208, 208 },
    };
    for (int i = 0; i < 2; i++) {
        uint16_t h = f32_to_f16((float)rng_range(&chance, -1, 1));
        memcpy(block + at[t][i], &h, sizeof h);
    }
}

/* n stored numbers; `room` is what to free.  Blocks and fp8 begin at an odd address. */
static const void *stored(dtype t, int n, void **room)
{
    size_t nbytes = dtype_nbytes_of(t, (size_t)n), block = dtype_block(t), each = dtype_nbytes_of(t, block);
    uint8_t *p = *room = malloc(nbytes + 8);
    if (t > DT_F16) p++;
    if (block == 1) {
        float *values = normals(n, 1);
        dtype_from_f32(t, values, (size_t)n, p);
        free(values);
        return p;
    }
    for (size_t i = 0; i < nbytes; i++) p[i] = (uint8_t)rng_range(&chance, 0, 256);
    for (size_t i = 0; i < nbytes; i += each) set_scales(t, p + i);
    return p;
}

#endif
