/* test_gguf.c - GGUF files: what a public writer made is read to the value; every broken one is refused by name, never followed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

/* ---- the tiny FLUX and T5, written by llama.cpp's gguf package ---- */

/* Every tensor of `decoded` is in `packed` with these values. */
static void same_values(const char *packed, const char *decoded)
{
    st_file f, want;
    dreamo_error err = { 0 };
    if (st_open_any(packed, &f, &err)) fail_msg("%s", err.message);
    assert_int_equal(st_open(decoded, &want, &err), DREAMO_OK);
    assert_true(want.ntensors > 0);
    for (int i = 0; i < want.ntensors; i++) {
        const st_tensor *w = &want.tensors[i], *t = st_find(&f, w->name);
        assert_non_null(t);
        assert_int_equal(t->rank, w->rank);
        for (int d = 0; d < w->rank; d++) assert_int_equal(t->shape[d], w->shape[d]);
        float *got = mem_alloc(w->count * sizeof *got);
        assert_non_null(got);
        dtype_to_f32(t->type, t->data, t->count, got);
        assert_memory_equal(got, w->data, w->nbytes);
        mem_free(got);
    }
    st_close(&f);
    st_close(&want);
}

static void public_files(void **state)
{
    st_file f;
    dreamo_error err = { 0 };
    (void)state;
    same_values(TEST_DATA "/layouts/flux1-dev-Q4_0.gguf", TEST_DATA "/layouts/flux1-dev-Q4_0-decoded.safetensors");
    same_values(TEST_DATA "/layouts/t5xxl-Q8_0.gguf", TEST_DATA "/layouts/t5xxl-Q8_0-decoded.safetensors");
    assert_int_equal(st_open_any(TEST_DATA "/layouts/flux1-dev-Q4_0.gguf", &f, &err), DREAMO_OK);
    assert_string_equal(st_meta(&f, "general.architecture"), "flux");
    st_close(&f);
    assert_int_equal(st_open(TEST_DATA "/layouts/flux1-dev-Q4_0.gguf", &f, &err), DREAMO_FORMAT); /* where only safetensors will do */
    assert_non_null(strstr(err.message, "is a GGUF model"));
}

/* ---- files of our own ---- */

typedef struct bytes { unsigned char p[1024]; size_t n; } bytes;

static void number(bytes *b, uint64_t v, int nbytes)
{
    for (int i = 0; i < nbytes; i++) b->p[b->n++] = (unsigned char)(v >> 8 * i);
}

static void string(bytes *b, const char *s)
{
    number(b, strlen(s), 8);
    memcpy(b->p + b->n, s, strlen(s));
    b->n += strlen(s);
}

static void tensor(bytes *b, const char *name, uint64_t columns, uint64_t rows, uint32_t type, uint64_t at)
{
    string(b, name);
    number(b, 2, 4);
    number(b, columns, 8);
    number(b, rows, 8);
    number(b, type, 4);
    number(b, at, 8);
}

enum { F32 = 0, Q8_0 = 8, VERSION_AT = 4, TENSORS_AT = 8, ENTRIES_AT = 16 };

static void begin(bytes *b, int tensors, int entries)
{
    *b = (bytes){ 0 };
    memcpy(b->p, "GGUF", 4);
    b->n = 4;
    number(b, 3, 4);
    number(b, (uint64_t)tensors, 8);
    number(b, (uint64_t)entries, 8);
}

static void finish(bytes *b, size_t data, size_t alignment)
{
    while (b->n % alignment) b->n++;
    for (size_t i = 0; i < data; i++) b->p[b->n++] = 0;
}

/* A string, a list of strings, a list of lists, a number; two tensors. */
static bytes good(void)
{
    bytes b;
    begin(&b, 2, 4);
    string(&b, "general.name"), number(&b, 8, 4), string(&b, "toy");
    string(&b, "words"), number(&b, 9, 4), number(&b, 8, 4), number(&b, 2, 8), string(&b, "a"), string(&b, "");
    string(&b, "lists"), number(&b, 9, 4), number(&b, 9, 4), number(&b, 1, 8), number(&b, 0, 4), number(&b, 3, 8), number(&b, 7, 3);
    string(&b, "count"), number(&b, 4, 4), number(&b, 9, 4);
    tensor(&b, "w", 32, 2, Q8_0, 0);   /* 68 bytes, then 28 of padding */
    tensor(&b, "b", 2, 1, F32, 96);
    finish(&b, 104, 32);
    return b;
}

static dreamo_status verdict(const bytes *b, const char *says)
{
    st_file f;
    dreamo_error err = { 0 };
    size_t live = mem_live();
    scratch_write("x.gguf", b->p, b->n);
    dreamo_status s = st_open_any("x.gguf", &f, &err);
    if (!s) st_close(&f);
    assert_int_equal(mem_live(), live);
    if (says && !strstr(err.message, says)) fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    return s;
}

static void all_of_it_is_read(void **state)
{
    st_file f;
    dreamo_error err = { 0 };
    bytes b = good();
    (void)state;
    scratch_write("x.gguf", b.p, b.n);
    if (st_open_any("x.gguf", &f, &err)) fail_msg("%s", err.message);
    assert_int_equal(f.ntensors, 2);
    const st_tensor *w = st_find(&f, "w");
    assert_int_equal(w->type, DT_Q8_0);
    assert_int_equal(w->shape[0], 2); /* rows first */
    assert_int_equal(w->shape[1], 32);
    assert_int_equal(w->nbytes, 68);
    assert_int_equal((const unsigned char *)st_find(&f, "b")->data - (const unsigned char *)w->data, 96);
    assert_string_equal(st_meta(&f, "general.name"), "toy");
    st_close(&f);
}

static void every_prefix_is_refused(void **state)
{
    bytes b = good();
    (void)state;
    for (size_t n = b.n; n-- > 4;) {
        bytes cut = b;
        cut.n = n;
        assert_int_equal(verdict(&cut, NULL), DREAMO_FORMAT);
    }
}

static void every_flipped_byte_is_survived(void **state)
{
    bytes b = good();
    (void)state;
    for (size_t i = 4; i < b.n; i++)
        for (int bit = 0; bit < 8; bit += 7) {
            bytes flipped = b;
            flipped.p[i] ^= (unsigned char)(1 << bit);
            dreamo_status s = verdict(&flipped, NULL);
            assert_true(s == DREAMO_OK || s == DREAMO_FORMAT || s == DREAMO_LIMIT);
        }
}

/* good() with one tensor's description replaced. */
static void refuse_tensor(const char *name, uint64_t columns, uint64_t rows, uint32_t type, uint64_t at, const char *says)
{
    bytes b;
    begin(&b, 2, 0);
    tensor(&b, "w", 32, 2, Q8_0, 0);
    tensor(&b, name, columns, rows, type, at);
    finish(&b, 104, 32);
    assert_int_equal(verdict(&b, says), DREAMO_FORMAT);
}

static void faults_are_named(void **state)
{
    (void)state;
    refuse_tensor("b", 2, 1, 99, 96, "tensor \"b\": its type 99 is none that this program reads");
    refuse_tensor("b", 30, 1, Q8_0, 96, "tensor \"b\": rows of 30 numbers, Q8_0 needs a multiple of 32");
    refuse_tensor("b", 2, 1, F32, 64, "tensor \"b\": begins at byte 64, the one before ends at 68");
    refuse_tensor("b", 2, 1, F32, 100, "tensor \"b\": offset 100 is not a multiple of 32");
    refuse_tensor("b", 32, 1, F32, 96, "tensor \"b\": its 128 bytes at 96 run past the end of the data (104 bytes)");
    refuse_tensor("b", 2, 1, F32, UINT64_MAX - 31, "run past the end of the data");
    refuse_tensor("b", (uint64_t)1 << 62, 4, F32, 96, "tensor \"b\": its shape is too large"); /* 2^64 numbers */
    refuse_tensor("b", (uint64_t)1 << 40, (uint64_t)1 << 22, F32, 96, "tensor \"b\": its shape is too large"); /* 2^64 bytes */
    refuse_tensor("w", 2, 1, F32, 96, "tensor \"w\" is there twice");
    refuse_tensor("", 2, 1, F32, 96, "a tensor's name has 0 bytes");

    bytes b = good();
    b.p[VERSION_AT] = 1;
    assert_int_equal(verdict(&b, "GGUF version 1; 2 and 3, little endian, are read"), DREAMO_FORMAT);
    b = good();
    b.p[TENSORS_AT + 7] = 0x20; /* a count whose product with anything wraps */
    assert_int_equal(verdict(&b, "do not fit in"), DREAMO_FORMAT);
    b = good();
    b.p[ENTRIES_AT + 3] = 0x20;
    assert_int_equal(verdict(&b, "do not fit in"), DREAMO_FORMAT);

    begin(&b, 0, 1);
    string(&b, "general.alignment"), number(&b, 4, 4), number(&b, 24, 4);
    assert_int_equal(verdict(&b, "general.alignment is 24, not a power of two"), DREAMO_FORMAT);
    begin(&b, 0, 1);
    string(&b, "x"), number(&b, 9, 4), number(&b, 10, 4), number(&b, (uint64_t)1 << 61, 8), number(&b, 0, 8);
    assert_int_equal(verdict(&b, "cut short in its metadata"), DREAMO_FORMAT);
    begin(&b, 0, 1);
    string(&b, "x"), number(&b, 9, 4);
    for (int i = 0; i < 9; i++) number(&b, 9, 4), number(&b, 1, 8); /* a list in a list in a list ... */
    assert_int_equal(verdict(&b, "an array of kind"), DREAMO_FORMAT);
    begin(&b, 0, 1);
    string(&b, "x"), number(&b, 13, 4), number(&b, 0, 8);
    assert_int_equal(verdict(&b, "unknown kind of value 13"), DREAMO_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_files), cmocka_unit_test(all_of_it_is_read), cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(every_flipped_byte_is_survived), cmocka_unit_test(faults_are_named),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
