/* test_pth.c - files that torch wrote: both containers to the last number, everything else refused by name; ONNX and TensorFlow.js beside them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/pth.h"
#include "format/tfjs.h"
/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

#define PTH TEST_DATA "/pth/"

static void holds(const st_file *f, const char *prefix, const char *name, dtype type, int rank, int64_t first, const double *values, size_t n)
{
    char whole[200];
    float got[32];
    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    const st_tensor *t = st_find(f, whole);
    if (!t) fail_msg("%s: no %s", f->path, whole);
    assert_int_equal(t->type, type);
    assert_int_equal(t->rank, rank);
    assert_int_equal(t->count, n);
    if (rank) assert_int_equal(t->shape[0], first);
    if (type == DT_I64) {
        int64_t v;
        memcpy(&v, t->data, 8);
        assert_int_equal(v, (int64_t)values[0]);
        return;
    }
    dtype_to_f32(type, t->data, n, got);
    for (size_t i = 0; i < n; i++) assert_float_equal(got[i], values[i], 1e-7);
}

/* What torch was given. */
static void holds_all(const st_file *f, const char *prefix)
{
    double weight[24];
    for (int i = 0; i < 24; i++) weight[i] = i / 8.0;
    holds(f, prefix, "conv.weight", DT_F32, 4, 2, weight, 24);
    holds(f, prefix, "conv.bias", DT_F32, 1, 2, (double[]){ 0.5, -1.5 }, 2);
    holds(f, prefix, "half", DT_F16, 2, 2, (double[]){ 1, 2, 3, -4 }, 4);
    holds(f, prefix, "bf", DT_BF16, 1, 3, (double[]){ 1.5, -2.25, 3 }, 3);
    holds(f, prefix, "count", DT_I64, 0, 0, (double[]){ 7 }, 1);
    holds(f, prefix, "double", DT_F64, 1, 2, (double[]){ 0.1, 0.2 }, 2);
    holds(f, prefix, "part", DT_F32, 1, 4, (double[]){ 3, 4, 5, 6 }, 4); /* two views of one storage */
    holds(f, prefix, "row", DT_F32, 2, 2, (double[]){ 0, 1, 2, 3 }, 4);
    holds(f, prefix, "param", DT_F32, 1, 2, (double[]){ 9, 8 }, 2);
}

static void test_both_containers(void **state)
{
    static const struct { const char *path, *prefix; int n; } all[] = { { PTH "old.pth", "", 9 }, { PTH "zip.pth", "", 9 }, { PTH "nested-old.pth", "model_state_dict.", 12 },
                                                                        { PTH "nested-zip.pth", "model_state_dict.", 12 } };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        st_file f;
        dreamo_error err = { 0 };
        if (st_open_any(all[i].path, &f, &err)) fail_msg("%s", err.message);
        assert_int_equal(f.ntensors, all[i].n);
        holds_all(&f, all[i].prefix);
        if (*all[i].prefix) {
            holds(&f, "", "optimizer_state_dict.state.0.step", DT_F32, 0, 0, (double[]){ 5 }, 1);
            holds(&f, "", "list.0", DT_F32, 1, 1, (double[]){ 1 }, 1);
        }
        st_close(&f);
    }
}

static dreamo_status verdict(const char *path, dreamo_error *err)
{
    st_file f;
    size_t live = mem_live();
    *err = (dreamo_error){ 0 };
    dreamo_status s = st_open_any(path, &f, err);
    if (!s) st_close(&f);
    assert_int_equal(mem_live(), live);
    return s;
}

static void test_faults_are_named(void **state)
{
    static const struct { const char *path, *says; } all[] = {
        { PTH "calls.pth", "its pickle calls posix.system" },   { PTH "calls-old.pth", "its pickle calls posix.system" },
        { PTH "object.pth", "its pickle calls __main__.Plain" }, { PTH "set.pth", "its pickle calls __builtin__.set" },
        { PTH "bytes.pth", "its pickle calls _codecs.encode" }, { PTH "transposed.pth", "tensor \"t\": its numbers do not follow each other" },
    };
    dreamo_error err;
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(verdict(all[i].path, &err), DREAMO_FORMAT);
        if (!strstr(err.message, all[i].says)) fail_msg("\"%s\" does not say \"%s\"", err.message, all[i].says);
    }
}

/* An old container whose object is these opcodes. */
static dreamo_status of_opcodes(const char *op, size_t n, dreamo_error *err)
{
    static const char head[] = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}X\x0d\0\0\0little_endian\x88s.";
    static char bytes[1 << 16];
    size_t at = sizeof head - 1;
    memcpy(bytes, head, at);
    memcpy(bytes + at, op, n);
    memcpy(bytes + at + n, "\x80\2].", 4);
    scratch_write("x.pth", bytes, at + n + 4);
    return verdict("x.pth", err);
}
#define OPCODES(text) of_opcodes(text, sizeof text - 1, &err)

static void test_opcodes_are_refused_by_name(void **state)
{
    static const struct { unsigned char op; const char *name; } all[] = {
        { 'i', "INST" }, { 'o', "OBJ" }, { 0x81, "NEWOBJ" }, { 0x92, "NEWOBJ_EX" }, { 0x93, "STACK_GLOBAL" }, { 0x82, "EXT1" }, { 'B', "BINBYTES" }, { '0', "POP" },
        { 'P', "PERSID" }, { 0x94, "MEMOIZE" }, { 0x95, "FRAME" }, { 'I', "INT" }, { 0x8B, "LONG4" }, { 0xFF, "of no known name" },
    };
    dreamo_error err;
    (void)state;
    assert_int_equal(OPCODES("\x80\2}."), DREAMO_OK);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char op[] = { (char)0x80, 2, (char)all[i].op, '.' };
        assert_int_equal(of_opcodes(op, sizeof op, &err), DREAMO_FORMAT);
        if (!strstr(err.message, all[i].name)) fail_msg("\"%s\" does not name %s", err.message, all[i].name);
    }
    assert_int_equal(OPCODES("cos\nsystem\n."), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "calls os.system"));
    /* what is not there, is something else, or does not end */
    assert_int_equal(OPCODES("."), DREAMO_FORMAT);
    assert_int_equal(OPCODES("R."), DREAMO_FORMAT);
    assert_int_equal(OPCODES("h\5."), DREAMO_FORMAT);
    assert_int_equal(OPCODES("NNs."), DREAMO_FORMAT);
    assert_int_equal(OPCODES("(NN."), DREAMO_OK);
    assert_int_equal(OPCODES("(t("), DREAMO_FORMAT);
    assert_int_equal(OPCODES("}(Nu."), DREAMO_FORMAT);
    assert_int_equal(OPCODES("NQ."), DREAMO_FORMAT);
    assert_int_equal(OPCODES("]q\0h\0a."), DREAMO_LIMIT);    /* a list in itself */
    assert_int_equal(OPCODES("Nr\xff\xff\xff\xff."), DREAMO_LIMIT);
    assert_int_equal(OPCODES("X\xff\xff\xff\xff."), DREAMO_FORMAT);
}

/* Each list holds the one before sixteen times: few bytes, many visits. */
static void test_lists_of_lists_are_bounded(void **state)
{
    char op[4096];
    size_t n = 0;
    dreamo_error err;
    (void)state;
    op[n++] = '}', op[n++] = 'q', op[n++] = 0;
    for (int level = 1; level < 14; level++) {
        op[n++] = ']', op[n++] = 'q', op[n++] = (char)level, op[n++] = '(';
        for (int i = 0; i < 16; i++) op[n++] = 'h', op[n++] = (char)(level - 1);
        op[n++] = 'e';
    }
    op[n++] = '.';
    assert_int_equal(of_opcodes(op, n, &err), DREAMO_LIMIT);
}

static void test_cut_and_flipped(void **state)
{
    static const char *const names[] = { PTH "old.pth", PTH "zip.pth", PTH "nested-zip.pth", PTH "small.onnx" };
    dreamo_error err;
    (void)state;
    for (int k = 0; k < 4; k++) {
        static unsigned char bytes[1 << 14];
        FILE *in = fopen(names[k], "rb");
        size_t n = fread(bytes, 1, sizeof bytes, in);
        fclose(in);
        for (size_t cut = n; cut-- > 16; cut -= cut > 200 ? 7 : 0) {
            scratch_write("x.pth", bytes, cut);
            dreamo_status s = verdict("x.pth", &err);
            if (s != DREAMO_FORMAT && s != DREAMO_LIMIT) fail_msg("%s cut to %zu of %zu: %d", names[k], cut, n, (int)s);
        }
        for (size_t i = 0; i < n; i += 3)
            for (int bit = 0; bit < 8; bit += 7) {
                bytes[i] ^= (unsigned char)(1 << bit);
                scratch_write("x.pth", bytes, n);
                dreamo_status s = verdict("x.pth", &err);
                assert_true(s == DREAMO_OK || s == DREAMO_FORMAT || s == DREAMO_LIMIT);
                bytes[i] ^= (unsigned char)(1 << bit);
            }
    }
}

static void test_onnx(void **state)
{
    st_file f;
    dreamo_error err = { 0 };
    (void)state;
    if (st_open_any(PTH "small.onnx", &f, &err)) fail_msg("%s", err.message);
    assert_int_equal(f.ntensors, 3); /* the list of whole numbers is no weight */
    holds(&f, "", "conv.weight", DT_F32, 4, 2, (double[]){ 1, 2, 3, -4 }, 4);
    holds(&f, "", "onnx::Conv_1", DT_F16, 1, 3, (double[]){ 0.5, -2, 8 }, 3);
    holds(&f, "", "floats", DT_F32, 1, 2, (double[]){ 6, 7 }, 2);
    st_close(&f);
}

/* What onnxruntime's quantize_dynamic wrote, as its DequantizeLinear reads it. */
static void test_onnx_codes(void **state)
{
    static const struct { const char *path; double values[8]; } files[] = {
        { PTH "codes.onnx", { 0.5019607543945312, -1.2549018859863281, 3.0117647647857666, 0.10039215534925461, -0.7027450799942017, 2.208627462387085, 0, -3.388235330581665 } },
        { PTH "codes-signed.onnx", { 0, 0.746666669845581, 2.506666660308838, -0.4000000059604645, 0.20000000298023224, 1.7066667079925537, -0.4933333396911621, 2.9066667556762695 } },
    };
    st_file f;
    dreamo_error err = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (st_open_any(files[i].path, &f, &err)) fail_msg("%s", err.message);
        assert_int_equal(f.ntensors, 2); /* their scale and zero point are no weights */
        holds(&f, "", "conv.weight", DT_F32, 4, 4, files[i].values, 8);
        holds(&f, "", "conv.bias", DT_F32, 1, 4, (double[]){ 1, 2, 3, 4 }, 4);
        st_close(&f);
    }
    char *bytes, *zero;
    size_t nbytes;
    assert_int_equal(file_read(PTH "codes.onnx", 2000, &bytes, &nbytes, NULL), DREAMO_OK);
    while ((zero = memmem(bytes, nbytes, "zero_point", 10))) *zero = 'Z';
    scratch_write("x.onnx", bytes, nbytes);
    mem_free(bytes);
    assert_int_equal(st_open_any("x.onnx", &f, &err), DREAMO_FORMAT);
    assert_string_equal(err.message, "x.onnx: tensor \"conv.weight_quantized\": is quantised, and not by one scale and one zero point of its own type beside it");
    assert_non_null(strstr(err.hint, "take the file that it was made from"));
    assert_int_equal(mem_live(), 0);
}

static void test_tfjs(void **state)
{
    static const char json[] = "[{\"weights\":[{\"name\":\"fc/weights\",\"shape\":[2,3],\"quantization\":{\"dtype\":\"uint8\",\"scale\":0.5,\"min\":-1}},"
                               "{\"name\":\"fc/bias\",\"shape\":[2],\"quantization\":{\"dtype\":\"uint8\",\"scale\":0.25,\"min\":2.5}}],\"paths\":[\"w.bin\"]}]";
    static const unsigned char bytes[] = { 0, 1, 2, 3, 4, 255, 0, 4 };
    st_file f;
    dreamo_error err = { 0 };
    (void)state;
    scratch_write("w.json", json, sizeof json - 1);
    scratch_write("w.bin", bytes, sizeof bytes);
    if (tfjs_open("w.json", &f, &err)) fail_msg("%s", err.message);
    holds(&f, "", "fc/weights", DT_F32, 2, 2, (double[]){ -1, -0.5, 0, 0.5, 1, 126.5 }, 6);
    holds(&f, "", "fc/bias", DT_F32, 1, 2, (double[]){ 2.5, 3.5 }, 2);
    st_close(&f);
    scratch_write("w.bin", bytes, sizeof bytes - 1);
    assert_int_equal(tfjs_open("w.json", &f, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "w.bin: has 7 bytes"));
    remove("w.bin");
    assert_int_equal(tfjs_open("w.json", &f, NULL), DREAMO_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_containers), cmocka_unit_test(test_faults_are_named), cmocka_unit_test(test_opcodes_are_refused_by_name),
        cmocka_unit_test(test_lists_of_lists_are_bounded), cmocka_unit_test(test_cut_and_flipped), cmocka_unit_test(test_onnx), cmocka_unit_test(test_onnx_codes), cmocka_unit_test(test_tfjs),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
