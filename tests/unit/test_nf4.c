/* test_nf4.c - weights packed by bitsandbytes: nf4.safetensors holds what bitsandbytes 0.50.2 made of numbers, plain and nested, and what it made of
 * these again ("values."). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/safetensors.h"
#include "model/dit.h"
#include "nn/backend.h"
#include "weights/bind.h"
#include "weights/config.h"
#include "weights/nf4.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

#define FILE_NAME TEST_DATA "/nf4.safetensors"

static void values_are_bitsandbytes(void **state)
{
    static const char *const names[] = { "plain", "nested", "double_blocks.0.img_attn.qkv", "final_layer.adaLN_modulation.1", "vector_in.in_layer" };
    st_set s;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(st_set_open(FILE_NAME, "", &s, &err), DREAMO_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[80];
        bool is;
        nf4 q;
        snprintf(name, sizeof name, "values.%s", names[i]);
        const st_tensor *want = st_set_find(&s, name);
        snprintf(name, sizeof name, "%s.weight", names[i]);
        assert_int_equal(nf4_find(&s, st_set_find(&s, name), &is, &q, &err), DREAMO_OK);
        assert_true(is && q.common && want && q.count == want->count);
        float *got = mem_alloc(want->nbytes), *again = mem_alloc(want->nbytes);
        nf4_values(&q, 0, q.count, got);
        if (memcmp(got, want->data, want->nbytes) != 0) fail_msg("%s differs", name);
        unsigned char *blocks = mem_alloc(dtype_nbytes_of(DT_NF4, q.count));
        nf4_blocks(&q, 0, q.count, blocks);
        dtype_to_f32(DT_NF4, blocks, q.count, again);
        assert_memory_equal(again, got, want->nbytes);
        mem_free(blocks);
        mem_free(got);
        mem_free(again);
    }
    st_set_close(&s);
}

/* A product with blocks is the product with the numbers that they stand for, on every instruction set, and `fast` leaves them alone. */
static void products(void **state)
{
    enum { ROWS = 12, IN = 352, OUT = 6 };
    st_set s;
    bool is;
    nf4 q;
    (void)state;
    assert_int_equal(st_set_open(FILE_NAME, "", &s, NULL), DREAMO_OK);
    assert_int_equal(nf4_find(&s, st_set_find(&s, "nested.weight"), &is, &q, NULL), DREAMO_OK);
    const float *values = st_set_find(&s, "values.nested")->data;
    unsigned char *blocks = mem_alloc(dtype_nbytes_of(DT_NF4, q.count));
    nf4_blocks(&q, 0, q.count, blocks);
    weight packed = { .in = IN, .out = OUT, .kh = 1, .kw = 1, .nparts = 1, .part[0] = { .rows = OUT, .type = DT_NF4, .data = blocks } }, plain = packed;
    plain.part[0] = (weight_part){ .rows = OUT, .type = DT_F32, .data = values };
    static float xs[ROWS * IN], ys[2][ROWS * OUT];
    tensor x = { xs, ROWS, IN, IN, 0 }, y[2] = { { ys[0], ROWS, OUT, OUT, 0 }, { ys[1], ROWS, OUT, OUT, 0 } };
    for (int i = 0; i < ROWS * IN; i++) xs[i] = (float)(i / IN * 37 % 101 + i % IN * 11 % 101 - 100) / 50;
    static const char *const sets[] = { "generic", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx", "ref" };
    for (size_t i = 0; i < 2 * sizeof sets / sizeof *sets; i++) {
        setenv("DREAMO_CPU", sets[i / 2], 1);
        device *dev = !strcmp(sets[i / 2], "ref") ? backend_ref.open(1) : backend_cpu.open(1);
        if (!dev) continue; /* this machine lacks it */
        dev->fast = i % 2;
        dev->be->linear(dev, y[0], x, &packed, (tensor){ 0 });
        dev->be->linear(dev, y[1], x, &plain, (tensor){ 0 });
        for (int k = 0; k < ROWS * OUT; k++) /* summed in another order */
            if (!(fabsf(ys[0][k] - ys[1][k]) <= 1e-3f)) fail_msg("%s, fast %zu: %g, not %g", sets[i / 2], i % 2, (double)ys[0][k], (double)ys[1][k]);
        dev->be->close(dev);
    }
    unsetenv("DREAMO_CPU");
    mem_free(blocks);
    st_set_close(&s);
}

/* The single-file model with three matrices packed: rows of a fused one, one whose halves change places, one whose rows are no whole blocks. */
static void a_packed_file_is_bound(void **state)
{
    st_file plain;
    st_set packed;
    dit_config c;
    bound_files b;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(st_open(TEST_DATA "/layouts/flux1-dev-comfy.safetensors", &plain, &err), DREAMO_OK);
    assert_int_equal(st_set_open(FILE_NAME, "", &packed, &err), DREAMO_OK);
    static st_tensor out[400];
    int n = 0;
    for (int i = 0; i < plain.ntensors; i++) {
        plain.tensors[i].name += strlen("model.diffusion_model.");
        if (!st_set_find(&packed, plain.tensors[i].name)) out[n++] = plain.tensors[i];
    }
    for (int i = 0; i < packed.files[0].ntensors; i++) {
        const st_tensor *t = &packed.files[0].tensors[i];
        if (strncmp(t->name, "values.", 7) && strncmp(t->name, "plain.", 6) && strncmp(t->name, "nested.", 7)) out[n++] = *t;
    }
    assert_int_equal(st_write("packed.safetensors", out, n, NULL, 0, &err), DREAMO_OK);
    assert_int_equal(config_dit(TEST_DATA "/models/tiny/transformer/config.json", &c, &err), DREAMO_OK);
    dit *m = dit_new(&c);
    if (bind_dit(m, "packed.safetensors", &b, &err)) fail_msg("%s", err.message);
    const float *qkv = st_set_find(&packed, "values.double_blocks.0.img_attn.qkv")->data, *last = st_set_find(&packed, "values.final_layer.adaLN_modulation.1")->data;
    float got[32 * 32];
    for (int k = 0; k < 3; k++) {
        const weight_part *p = &m->doubles[0].img.qkv.part[k];
        assert_int_equal(p->type, DT_NF4);
        dtype_to_f32(p->type, p->data, 32 * 32, got);
        assert_memory_equal(got, qkv + k * 32 * 32, sizeof got);
    }
    assert_int_equal(m->norm_out.part[0].type, DT_F32); /* scale, shift there; shift, scale here */
    assert_memory_equal(m->norm_out.part[0].data, last + 32 * 32, sizeof got);
    assert_memory_equal((const float *)m->norm_out.part[0].data + 32 * 32, last, sizeof got);
    assert_int_equal(m->pooled_in.in.part[0].type, DT_F32); /* 24 wide */
    bind_close(&b);
    for (int i = 0; i < n; i++) /* without its magnitudes nothing is guessed */
        if (strcmp(out[i].name, "double_blocks.0.img_attn.qkv.weight.nested_absmax") == 0) out[i] = out[--n];
    assert_int_equal(st_write("packed.safetensors", out, n, NULL, 0, &err), DREAMO_OK);
    assert_int_equal(bind_dit(m, "packed.safetensors", &b, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "img_attn.qkv.weight: is packed in 4 bits by bitsandbytes, and its absmax"));
    dit_free(m);
    st_close(&plain);
    st_set_close(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(values_are_bitsandbytes), cmocka_unit_test(products), cmocka_unit_test(a_packed_file_is_bound) };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
