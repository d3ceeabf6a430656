/* test_safetensors.c - the rules of robustness C4, at least one file each, and the faults F01 to F49 of the catalogue.
 *
 * The corpus is made here: a header's text and a number of zero bytes behind it.  Judge of what is right beside the rules: files that
 * the official library wrote (golden/kernels). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "format/json.h"
#include "format/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

#define NAME "x.safetensors"

/* length: what the first eight bytes say. */
static void write_raw(const char *path, uint64_t length, const char *header, size_t nheader, size_t ndata)
{
    unsigned char *file = mem_calloc(1, 8 + nheader + ndata);
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)(length >> (8 * i));
    memcpy(file + 8, header, nheader);
    scratch_write(path, file, 8 + nheader + ndata);
    mem_free(file);
}

static void write_header(const char *path, const char *header, size_t ndata) { write_raw(path, strlen(header), header, strlen(header), ndata); }

/* Open the file and expect `status`; the message begins with the file's name and holds `words`. */
static void expect(const char *path, dreamo_status status, const char *words)
{
    st_file f;
    dreamo_error err = { 0 };
    size_t before = mem_live();
    dreamo_status s = st_open(path, &f, &err);
    if (s != status || (s && (!strstr(err.message, words) || strncmp(err.message, path, strlen(path)))))
        fail_msg("expected %d \"%s\", got %d \"%s\"", status, words, s, err.message);
    if (!s) st_close(&f);
    assert_int_equal(mem_live(), before);
    assert_int_equal(st_open(path, &f, NULL), status);
    st_close(&f);
}

/* ---- the corpus: one line a file ---- */

#define T(dims, from, to) "{\"dtype\":\"F32\",\"shape\":[" dims "],\"data_offsets\":[" #from "," #to "]}"
#define ONE(dtype, shape, offsets) "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct { const char *header; size_t ndata; const char *words; } refused[] = {
    /* 3: strict JSON, depth, an object */
    { "", 0, "is zeros only" },
    { "{", 0, "not valid JSON" },
    { "{}x", 0, "not valid JSON" },
    { "{}\0", 1, "are in no tensor" },
    { "{\"a\":" T("1", 0, 4) ",}", 4, "not valid JSON" },
    { "{'a':" T("1", 0, 4) "}", 4, "not valid JSON" },
    { "/* */{}", 0, "not valid JSON" },
    { "\xEF\xBB\xBF{}", 0, "not valid JSON" },
    { "{\"\xC3\x28\":" T("1", 0, 4) "}", 4, "not valid JSON" },
    { "{\"\xC0\xAF\":" T("1", 0, 4) "}", 4, "not valid JSON" },
    { "{\"\\uD800\":" T("1", 0, 4) "}", 4, "not valid JSON" },
    { "{\"a\nb\":" T("1", 0, 4) "}", 4, "not valid JSON" },
    { "[]", 0, "the header is not an object" },
    { "\"\"", 0, "not valid JSON" },
    { "{\"__metadata__\":{\"k\":[[[1]]]}}", 0, "nested deeper than 4" },
    { "{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}", 0, "nested deeper than 4" },
    { ONE("NaN", "[1]", "[0,4]"), 4, "not valid JSON" },
    /* 4: names */
    { "{\"a\":" T("1", 0, 4) ",\"a\":" T("1", 0, 4) "}", 4, "duplicate" },
    { "{\"a\":" T("1", 0, 4) ",\"\\u0061\":" T("1", 4, 8) "}", 8, "duplicate" },
    { "{\"\":" T("1", 0, 4) "}", 4, "empty name" },
    { "{\"a\\u0000b\":" T("1", 0, 4) "}", 4, "NUL" },
    { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate" },
    /* 5: fields, dtypes, numbers */
    { "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor \"a\": dtype is missing" },
    { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor \"a\": shape is missing" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor \"a\": data_offsets" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "has fields beside" },
    { "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "duplicate" },
    { "{\"a\":[]}", 0, "tensor \"a\": is not an object" },
    { "{\"a\":null}", 0, "tensor \"a\": is not an object" },
    { ONE("\"F4\"", "[1]", "[0,4]"), 4, "unknown dtype \"F4\"" },
    { ONE("\"f32\"", "[1]", "[0,4]"), 4, "unknown dtype \"f32\"" },
    { ONE("\"F32 \"", "[1]", "[0,4]"), 4, "unknown dtype \"F32 \"" },
    { ONE("\"F32\\u0000\"", "[1]", "[0,4]"), 4, "unknown dtype" },
    { ONE("32", "[1]", "[0,4]"), 4, "dtype is missing or not a string" },
    { ONE("\"F32\"", "1", "[0,4]"), 4, "shape is missing or not a list" },
    { ONE("\"F32\"", "[\"1\"]", "[0,4]"), 4, "dimension 0 is not a whole number" },
    { ONE("\"F32\"", "[1,true]", "[0,4]"), 4, "dimension 1 is not a whole number" },
    { ONE("\"F32\"", "[[1]]", "[0,4]"), 4, "dimension 0 is not a whole number" },
    { ONE("\"F32\"", "[null]", "[0,4]"), 4, "dimension 0 is not a whole number" },
    { ONE("\"F32\"", "[-1]", "[0,4]"), 4, "a number with a sign" },
    { ONE("\"F32\"", "[-0]", "[0,0]"), 0, "a number with a sign" },
    { ONE("\"F32\"", "[+1]", "[0,4]"), 4, "a number with a sign" },
    { ONE("\"F32\"", "[1.0]", "[0,4]"), 4, "a point" },
    { ONE("\"F32\"", "[.1]", "[0,4]"), 4, "a point" },
    { ONE("\"F32\"", "[1e0]", "[0,4]"), 4, "an exponent" },
    { ONE("\"F32\"", "[1E0]", "[0,4]"), 4, "an exponent" },
    { ONE("\"F32\"", "[01]", "[0,4]"), 4, "a leading zero" },
    { ONE("\"F32\"", "[0x1]", "[0,4]"), 4, "not valid JSON" },
    { ONE("\"F32\"", "[1 2]", "[0,4]"), 4, "not valid JSON" },
    { ONE("\"F32\"", "[9223372036854775808]", "[0,4]"), 4, "too big integer" },
    { ONE("\"F32\"", "[18446744073709551616]", "[0,4]"), 4, "too big integer" },
    { ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "9 dimensions, at most 8" },
    { ONE("\"F32\"", "[1]", "[0]"), 4, "not a pair of whole numbers" },
    { ONE("\"F32\"", "[1]", "[0,4,8]"), 4, "not a pair of whole numbers" },
    { ONE("\"F32\"", "[1]", "[0,true]"), 4, "not a pair of whole numbers" },
    { ONE("\"F32\"", "[1]", "\"0,4\""), 4, "not a pair of whole numbers" },
    { ONE("\"F32\"", "[1]", "{\"0\":0,\"1\":4}"), 4, "not a pair of whole numbers" },
    { ONE("\"F32\"", "[1]", "[0,18446744073709551615]"), 4, "too big integer" },
    /* 6: products that wrap */
    { ONE("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, "its shape is too large" },
    { ONE("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "its shape is too large" },
    { ONE("\"F64\"", "[2305843009213693953]", "[0,8]"), 8, "its shape is too large" },
    { ONE("\"U8\"", "[9223372036854775807,9223372036854775807,4]", "[0,4]"), 4, "its shape is too large" },
    { ONE("\"F32\"", "[4398046511105]", "[0,4]"), 4, "offsets hold 4 bytes, its shape and dtype need 17592186044420" },
    /* 7: every byte in exactly one tensor */
    { ONE("\"F32\"", "[2]", "[0,8]"), 7, "run past the end of the data (7 bytes); the file is cut short" },
    { ONE("\"F32\"", "[2]", "[0,8]"), 9, "1 bytes of data are in no tensor" },
    { ONE("\"F32\"", "[1]", "[4,0]"), 4, "offsets 4..0 run backwards" },
    { ONE("\"F32\"", "[1]", "[4,8]"), 8, "begins at byte 4, the one before ends at 0" },
    { ONE("\"F32\"", "[1]", "[0,8]"), 8, "offsets hold 8 bytes, its shape and dtype need 4" },
    { ONE("\"F32\"", "[]", "[0,0]"), 0, "offsets hold 0 bytes, its shape and dtype need 4" },
    { ONE("\"F32\"", "[0]", "[0,4]"), 4, "offsets hold 4 bytes, its shape and dtype need 0" },
    { "{\"a\":" T("1", 0, 4) ",\"b\":" T("1", 0, 4) "}", 4, "begins at byte 0, the one before ends at 4" },
    { "{\"a\":" T("2", 0, 8) ",\"b\":" T("1", 4, 8) "}", 8, "tensor \"b\": begins at byte 4, the one before ends at 8" },
    { "{\"a\":" T("1", 0, 4) ",\"b\":" T("1", 8, 12) "}", 12, "tensor \"b\": begins at byte 8, the one before ends at 4" },
    { "{\"a\":" T("2", 0, 8) ",\"b\":" T("0", 4, 4) "}", 8, "tensor \"b\": begins at byte 4" },
    { "{}", 1, "1 bytes of data are in no tensor" },
    /* 8: metadata */
    { "{\"__metadata__\":[]}", 0, "__metadata__ is not an object" },
    { "{\"__metadata__\":\"x\"}", 0, "__metadata__ is not an object" },
    { "{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: \"k\" is not a string" },
    { "{\"__metadata__\":{\"k\":null}}", 0, "__metadata__: \"k\" is not a string" },
    { "{\"__metadata__\":{\"k\":{}}}", 0, "__metadata__: \"k\" is not a string" },
};

static const struct { const char *header; size_t ndata; int ntensors; } accepted[] = {
    { "{}", 0, 0 },
    { " \t\r\n{} \t\r\n  ", 0, 0 },
    { "{\"__metadata__\":{}}", 0, 0 },
    { "{\"__metadata__\":{\"a{[\":\"}]{[[[[[[1.5e+9-0\\\"\"}, \"a\":" T("1", 0, 4) "}", 4, 1 },
    { "{\"b\":" T("1", 4, 8) ",\"a\":" T("1", 0, 4) "}", 8, 2 },
    { "{\"a\":{\"data_offsets\":[0,4],\"shape\":[1],\"dtype\":\"F32\"}}", 4, 1 },
    { ONE("\"F32\"", "[]", "[0,4]"), 4, 1 },
    { ONE("\"F32\"", "[1,1,1,1,1,1,1,2]", "[0,8]"), 8, 1 },
    { ONE("\"F32\"", "[5,0,7]", "[0,0]"), 0, 1 },
    { "{\"e\":" T("0", 4, 4) ",\"a\":" T("1", 0, 4) ",\"b\":" T("1", 4, 8) ",\"z\":" T("0", 8, 8) ",\"y\":" T("0", 0, 0) "}", 8, 5 },
    { ONE("\"U8\"", "[3]", "[0,3]"), 3, 1 },
    { ONE("\"BOOL\"", "[3]", "[0,3]"), 3, 1 },
    { ONE("\"F8_E4M3\"", "[3]", "[0,3]"), 3, 1 },
    { ONE("\"\\u00463\\u0032\"", "[1]", "[0,4]"), 4, 1 },
    { "{\"\xE7\x8C\xAB/\\\"\\\\\\/\\n\\u00e9\\ud83d\\ude00\":" T("1", 0, 4) "}", 4, 1 },
};

static void every_rule_refuses_its_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        write_header(NAME, refused[i].header, refused[i].ndata);
        expect(NAME, DREAMO_FORMAT, refused[i].words);
    }
}

static void valid_oddities_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        st_file f;
        write_header(NAME, accepted[i].header, accepted[i].ndata);
        expect(NAME, DREAMO_OK, "");
        assert_int_equal(st_open(NAME, &f, NULL), DREAMO_OK);
        assert_int_equal(f.ntensors, accepted[i].ntensors);
        for (int k = 0; k < f.ntensors; k++) assert_ptr_equal(st_find(&f, f.tensors[k].name), &f.tensors[k]);
        st_close(&f);
    }
    st_file f;
    write_header(NAME, accepted[3].header, accepted[3].ndata);
    assert_int_equal(st_open(NAME, &f, NULL), DREAMO_OK);
    assert_string_equal(st_meta(&f, "a{["), "}]{[[[[[[1.5e+9-0\"");
    assert_null(st_meta(&f, "b"));
    assert_null(st_find(&f, "__metadata__"));
    st_close(&f);
}

/* ---- rules 1 and 2: before the header ---- */

static void lengths_are_compared_without_addition(void **state)
{
    (void)state;
    static const uint64_t lengths[] = { 3, 9, 100000000, 100000001, UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 8, 1ull << 63, 1ull << 32 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        write_raw(NAME, lengths[i], "{}", 2, 0);
        expect(NAME, DREAMO_FORMAT, lengths[i] > 100000000 ? "at most 100000000 are allowed" : "the file is cut short");
    }
    for (size_t n = 0; n < 8; n++) {
        scratch_write(NAME, "\0\0\0\0\0\0\0", n);
        expect(NAME, DREAMO_FORMAT, n ? "is zeros only" : "is empty");
        scratch_write(NAME, "\1\2\3\4\5\6\7", n ? n : 7);
        expect(NAME, DREAMO_FORMAT, "a safetensors file has at least 8");
    }
}

/* F40: refused by its length alone; the gigabyte behind it costs nothing. */
static void a_huge_header_is_not_read(void **state)
{
    (void)state;
    write_raw(NAME, 100000001, "{", 1, 0);
    assert_int_equal(truncate(NAME, 1 << 30), 0);
    expect(NAME, DREAMO_FORMAT, "a header of 100000001 bytes");
}

static void other_files_are_named(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t n; const char *words; } rows[] = {
        { "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16, "a GGUF model" }, { "PK\3\4\0\0\0\0\0\0archive/data.pkl", 26, "holds Python code" },
        { "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9", 9, "a Python pickle" }, { "version https://git-lfs.github.com/spec/v1\n", 43, "a Git LFS pointer" },
        { "<!DOCTYPE html>", 15, "a web page" }, { "{\"architectures\": []}", 21, "JSON" }, { "\n\n  <html><body>Sign in</body></html>\n", 38, "a web page" },
        { "Entry not found", 15, "a hub's answer" }, { "{\"error\":\"Invalid username or password.\"}", 41, "a hub's answer" }, { "\x80\4\x95\0\0\0\0\0\0", 9, "a Python pickle" },
        { "\x1F\x8B\x08\0\0\0\0\0\0", 9, "a gzip archive" }, { "\x89PNG\r\n\x1A\n", 8, "a PNG picture" }, { "just words", 10, "is text" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scratch_write(NAME, rows[i].bytes, rows[i].n);
        expect(NAME, DREAMO_FORMAT, rows[i].words);
    }
    assert_int_equal(mkdir("folder", 0777), 0);
    assert_int_equal(mkfifo("pipe", 0666), 0);
    expect("folder", DREAMO_FORMAT, "is a folder, not a file");
    expect("pipe", DREAMO_FORMAT, "is a pipe, not a file");
    expect("/dev/zero", DREAMO_FORMAT, "is a device, not a file");
    expect("absent", DREAMO_NOT_FOUND, "No such file");
}

/* ---- limits of rules 4 and 8 ---- */

static void write_many(const char *path, int ntensors)
{
    size_t room = (size_t)ntensors * 80 + 16, at = 0;
    char *header = mem_alloc(room);
    for (int i = 0; i < ntensors; i++)
        at += (size_t)snprintf(header + at, room - at, "%c\"block.%d.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? ',' : '{', i, i, i + 1);
    header[at++] = '}';
    write_raw(path, at, header, at, (size_t)ntensors);
    mem_free(header);
}

static void tensors_are_counted(void **state)
{
    (void)state;
    st_file f;
    write_many(NAME, 700);
    expect(NAME, DREAMO_OK, "");
    write_many(NAME, 100000);
    clock_t start = clock();
    assert_int_equal(st_open(NAME, &f, NULL), DREAMO_OK);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_true(seconds < 5); /* 0.1 s; a quadratic algorithm takes minutes */
    assert_int_equal(f.ntensors, 100000);
    assert_ptr_equal((const char *)st_find(&f, "block.99999.weight")->data + 1, f.map.data + f.map.nbytes);
    assert_null(st_find(&f, "block.100000.weight"));
    st_close(&f);
    write_many(NAME, 100001);
    expect(NAME, DREAMO_LIMIT, "100001 tensors, at most 100000 are allowed");
}

static void names_and_metadata_are_bounded(void **state)
{
    (void)state;
    static const int lengths[] = { 300, 1024, 1025 };
    char *text = mem_alloc(1100000);
    for (int i = 0; i < 3; i++) {
        int n = sprintf(text, "{\"%0*d\":" T("1", 0, 4) "}", lengths[i], 7);
        write_raw(NAME, (uint64_t)n, text, (size_t)n, 4);
        expect(NAME, i < 2 ? DREAMO_OK : DREAMO_FORMAT, "its name has 1025 bytes, at most 1024 are allowed");
    }
    for (int over = 0; over < 2; over++) {
        int n = sprintf(text, "{\"__metadata__\":{\"k\":\"%0*d\"}}", 999999 + over, 7);
        write_raw(NAME, (uint64_t)n, text, (size_t)n, 0);
        expect(NAME, over ? DREAMO_FORMAT : DREAMO_OK, "__metadata__ is longer than 1000000 bytes");
    }
    mem_free(text);
}

/* ---- F38, F39: one small valid file, damaged everywhere ---- */

static const char small[] = "{\"__metadata__\":{\"k\":\"v\"},\"a.b\":{\"dtype\":\"BF16\",\"shape\":[3,2],\"data_offsets\":[0,12]},\"c\":" T("2", 12, 20) "}";
enum { SMALL_DATA = 20 };

static void flipped_bytes_are_accepted_or_refused(void **state)
{
    (void)state;
    static unsigned char file[8 + sizeof small - 1 + SMALL_DATA];
    size_t before = mem_live();
    int opened = 0;
    file[0] = sizeof small - 1;
    memcpy(file + 8, small, sizeof small - 1);
    scratch_write(NAME, file, sizeof file);
    int fd = open(NAME, O_WRONLY);
    assert_true(fd >= 0);
    for (size_t at = 0; at < sizeof file; at++)
        for (int value = 1; value < 256; value++) {
            st_file f;
            if (at >= sizeof file - SMALL_DATA && value > 1) continue; /* data may be anything */
            unsigned char flipped = (unsigned char)(file[at] ^ value);
            assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
            dreamo_status s = st_open(NAME, &f, NULL);
            assert_int_equal(pwrite(fd, &file[at], 1, (off_t)at), 1);
            assert_true(s == DREAMO_OK || s == DREAMO_FORMAT);
            if (s) continue;
            opened++;
            for (int i = 0; i < f.ntensors; i++) { /* whatever it says, it lies in the file */
                const unsigned char *p = f.tensors[i].data;
                assert_true(p >= f.map.data && f.tensors[i].nbytes <= (size_t)(f.map.data + f.map.nbytes - p));
            }
            st_close(&f);
        }
    close(fd);
    assert_true(opened > SMALL_DATA);
    assert_int_equal(mem_live(), before);
}

static void prefixes_are_refused(void **state)
{
    (void)state;
    static unsigned char file[8 + sizeof small - 1 + SMALL_DATA];
    file[0] = sizeof small - 1;
    memcpy(file + 8, small, sizeof small - 1);
    for (size_t n = 0; n < sizeof file; n++) {
        scratch_write(NAME, file, n);
        expect(NAME, DREAMO_FORMAT, "");
    }
    scratch_write(NAME, file, sizeof file);
    expect(NAME, DREAMO_OK, "");
}

/* ---- F49: indexes ---- */

static void write_shards(void)
{
    write_header("one.safetensors", "{\"a\":" T("1", 0, 4) ",\"b\":" T("1", 4, 8) "}", 8);
    write_header("two.safetensors", "{\"c\":" T("1", 0, 4) "}", 4);
    write_header("again.safetensors", "{\"a\":" T("1", 0, 4) ",\"c\":" T("1", 4, 8) "}", 8);
}

#define INDEX "model.safetensors.index.json"

static void indexes_name_plain_files(void **state)
{
    (void)state;
    static const struct { const char *map; const char *words; } rows[] = {
        { "{\"a\":\"../one.safetensors\",\"b\":\"one.safetensors\"}", "is not a plain file name" },
        { "{\"a\":\"/etc/passwd\"}", "is not a plain file name" },
        { "{\"a\":\"./one.safetensors\"}", "is not a plain file name" },
        { "{\"a\":\"..\"}", "is not a plain file name" },
        { "{\"a\":\"\"}", "is not a plain file name" },
        { "{\"a\":1}", "is not a plain file name" },
        { "{\"a\":\"one.safetensors\\u0000x\"}", "is not a plain file name" },
        { "{\"a\":\"" INDEX "\"}", "names itself" },
        { "{\"a\":\"absent.safetensors\"}", "shard \"absent.safetensors\" is missing" },
        { "{\"z\":\"one.safetensors\"}", "tensor \"z\" is not in shard \"one.safetensors\"" },
        { "{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}", "tensor \"b\" is not in shard \"two.safetensors\"" },
        { "{\"a\":\"one.safetensors\"}", "tensor \"b\" of one.safetensors is not in the index" },
        { "{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"again.safetensors\"}", "is in shard \"one.safetensors\" and also in again.safetensors" },
        { "{\"a\":\"one.safetensors\",\"a\":\"again.safetensors\"}", "duplicate" },
        { "{}", "\"weight_map\" is missing, empty" },
        { "[]", "\"weight_map\" is missing, empty" },
    };
    st_set s;
    char text[400];
    write_shards();
    size_t before = mem_live();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dreamo_error err = { 0 };
        int n = snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":12},\"weight_map\":%s}", rows[i].map);
        scratch_write(INDEX, text, (size_t)n);
        dreamo_status status = st_set_open(INDEX, "model", &s, &err);
        if (status != DREAMO_FORMAT || !strstr(err.message, rows[i].words) || strncmp(err.message, INDEX, strlen(INDEX)))
            fail_msg("expected \"%s\", got %d \"%s\"", rows[i].words, status, err.message);
        assert_int_equal(st_set_open(INDEX, "model", &s, NULL), DREAMO_FORMAT);
        assert_int_equal(mem_live(), before);
    }
}

#define GOOD_INDEX "{\"weight_map\":{\"c\":\"two.safetensors\",\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}"

static void a_set_is_opened_by_file_index_or_folder(void **state)
{
    (void)state;
    st_set s;
    dreamo_error err = { 0 };
    write_shards();
    scratch_write(INDEX, GOOD_INDEX, strlen(GOOD_INDEX));
    const char *paths[] = { INDEX, ".", scratch_folder };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(st_set_open(paths[i], "model", &s, NULL), DREAMO_OK);
        assert_int_equal(s.nfiles, 2);
        assert_non_null(st_set_find(&s, "a"));
        assert_non_null(st_set_find(&s, "c"));
        assert_null(st_set_find(&s, "d"));
        assert_string_equal(s.name, paths[i]);
        st_set_close(&s);
    }
    assert_int_equal(st_set_open(".", "two", &s, NULL), DREAMO_OK);
    assert_int_equal(s.nfiles, 1);
    st_set_close(&s);
    st_set_close(&s);
    assert_int_equal(st_set_open(".", "three", &s, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "three.safetensors.index.json"));
}

/* ---- writing ---- */

static void what_is_written_is_read(void **state)
{
    (void)state;
    static const float f[2] = { 1, 2 };
    static const uint16_t h[3] = { 1, 2, 3 };
    static const double d[1] = { 0.5 };
    const st_tensor t[] = { { .name = "h", .type = DT_BF16, .rank = 1, .shape = { 3 }, .data = h }, { .name = "f", .type = DT_F32, .rank = 2, .shape = { 1, 2 }, .data = f },
                            { .name = "none", .type = DT_F32, .rank = 2, .shape = { 0, 2 } }, { .name = "d", .type = DT_F64, .rank = 0, .data = d } };
    static const char *const meta[][2] = { { "format", "pt" }, { "say \"caf\xC3\xA9\"", "\n" } };
    static const char expected[] = "{\"__metadata__\":{\"format\":\"pt\",\"say \\\"caf\xC3\xA9\\\"\":\"\\n\"},\"d\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
                                   "\"f\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]},\"none\":{\"dtype\":\"F32\",\"shape\":[0,2],\"data_offsets\":[16,16]},"
                                   "\"h\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[16,22]}}";
    st_file file;
    assert_int_equal(st_write(NAME, t, 4, meta, 2, NULL), DREAMO_OK);
    assert_int_equal(st_open(NAME, &file, NULL), DREAMO_OK);
    assert_memory_equal(file.map.data + 8, expected, sizeof expected - 1);
    assert_int_equal(file.map.nbytes, 8 + (sizeof expected - 1 + 7) / 8 * 8 + 22);
    assert_string_equal(st_meta(&file, "say \"caf\xC3\xA9\""), "\n");
    assert_memory_equal(st_find(&file, "f")->data, f, sizeof f);
    assert_memory_equal(st_find(&file, "h")->data, h, sizeof h);
    assert_memory_equal(st_find(&file, "d")->data, d, sizeof d);
    assert_int_equal(st_find(&file, "f")->shape[1], 2);
    assert_int_equal(st_find(&file, "d")->rank, 0);
    for (int i = 0; i < 4; i++) assert_int_equal((uintptr_t)st_find(&file, t[i].name)->data % dtype_nbytes(t[i].type), 0);
    st_close(&file);
    assert_int_equal(st_write(NAME, NULL, 0, NULL, 0, NULL), DREAMO_OK);
    expect(NAME, DREAMO_OK, "");
}

static void what_could_not_be_read_is_not_written(void **state)
{
    (void)state;
    static const float f[2];
    dreamo_error err = { 0 };
    const st_tensor same[] = { { .name = "a", .rank = 1, .shape = { 1 }, .data = f }, { .name = "a", .rank = 1, .shape = { 1 }, .data = f } };
    const st_tensor bad[] = { { .name = "" }, { .name = "__metadata__" }, { .name = "a", .rank = 9 }, { .name = "a", .rank = 1, .shape = { -1 } } };
    assert_int_equal(st_write("bad.safetensors", same, 2, NULL, 0, &err), DREAMO_BUG);
    assert_non_null(strstr(err.message, "the same name"));
    for (int i = 0; i < 4; i++) assert_int_equal(st_write("bad.safetensors", &bad[i], 1, NULL, 0, NULL), DREAMO_BUG);
    assert_false(file_exists("bad.safetensors"));
    assert_int_equal(st_write("no/folder/x", same, 1, NULL, 0, NULL), DREAMO_NOT_FOUND);
    assert_int_equal(st_write("/dev/full", same, 1, NULL, 0, NULL), DREAMO_IO);
}

static void the_official_librarys_files_are_read(void **state)
{
    (void)state;
    st_file f;
    assert_int_equal(st_open(TEST_DATA "/image-kernels.safetensors", &f, NULL), DREAMO_OK);
    st_tensor *t = st_find(&f, "area.1.in");
    assert_non_null(t);
    assert_int_equal(t->type, DT_U8);
    assert_int_equal(t->rank, 3);
    assert_int_equal(t->shape[0], 96);
    assert_int_equal(t->shape[1], 64);
    assert_int_equal(t->nbytes, 96 * 64 * 3);
    st_close(&f);
}

/* ---- R01: any allocation fails ---- */

static dreamo_status open_one(void)
{
    st_file f;
    dreamo_status s = st_open("one.safetensors", &f, NULL);
    st_close(&f);
    return s;
}

static dreamo_status open_set(void)
{
    st_set set;
    dreamo_status s = st_set_open(".", "model", &set, NULL);
    st_set_close(&set);
    return s;
}

static dreamo_status read_json(void)
{
    json_t *o;
    dreamo_status s = json_read(INDEX, 1000, &o, NULL);
    json_decref(o);
    return s;
}

static dreamo_status write_one(void)
{
    static const float f[2];
    static const char *const meta[][2] = { { "k", "v" } };
    const st_tensor t[] = { { .name = "a", .rank = 2, .shape = { 1, 1 }, .data = f }, { .name = "b", .rank = 1, .shape = { 1 }, .data = f } };
    return st_write("written.safetensors", t, 2, meta, 1, NULL);
}

static void failed_allocations_are_told_and_leave_nothing(void **state)
{
    (void)state;
    static const struct { dreamo_status (*call)(void); int least; } rows[] = { { open_one, 20 }, { open_set, 50 }, { read_json, 10 }, { write_one, 30 } };
    write_shards();
    scratch_write(INDEX, GOOD_INDEX, strlen(GOOD_INDEX));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t before = mem_live();
        int failures = 0, successes = 0;
        for (int n = 1; successes < 3; n++) { /* past the last allocation it succeeds for good */
            mem_fail_at(n);
            dreamo_status s = rows[i].call();
            mem_fail_at(0);
            assert_true(s == DREAMO_OK || s == DREAMO_MEMORY);
            assert_int_equal(mem_live(), before);
            failures += s == DREAMO_MEMORY;
            successes = s ? 0 : successes + 1;
        }
        assert_true(failures >= rows[i].least);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_refuses_its_files), cmocka_unit_test(valid_oddities_are_read), cmocka_unit_test(lengths_are_compared_without_addition),
        cmocka_unit_test(a_huge_header_is_not_read), cmocka_unit_test(other_files_are_named), cmocka_unit_test(tensors_are_counted),
        cmocka_unit_test(names_and_metadata_are_bounded), cmocka_unit_test(flipped_bytes_are_accepted_or_refused), cmocka_unit_test(prefixes_are_refused),
        cmocka_unit_test(indexes_name_plain_files), cmocka_unit_test(a_set_is_opened_by_file_index_or_folder), cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_could_not_be_read_is_not_written), cmocka_unit_test(the_official_librarys_files_are_read),
        cmocka_unit_test(failed_allocations_are_told_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
