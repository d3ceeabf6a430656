/* test_json.c - strict JSON, and getters that name the file, the field, what was found and what is allowed. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "format/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

static void only_json_is_json(void **state)
{
    (void)state;
    static const struct { const char *text; size_t n; const char *words; } rows[] = {
        { "", 0, "line" }, { "{", 1, "line 1" }, { "{}{}", 4, "line 1" }, { "{} x", 4, "line 1" }, { "{\"a\":1,\"a\":2}", 13, "duplicate" },
        { "{\"a\":1,\"\\u0061\":2}", 18, "duplicate" }, { "{\n\"a\":1,\n}", 10, "line 3" }, { "{\"a\":NaN}", 9, "NaN" }, { "{\"a\":Infinity}", 14, "Infinity" },
        { "{\"a\":1e400}", 11, "real number overflow" }, { "{\"a\":01}", 8, "near '0'" }, { "{\"a\":9223372036854775808}", 25, "too big integer" },
        { "{\"a\":\"\\ud800\"}", 14, "line" }, { "{\"a\":\"\xff\"}", 9, "0xff" }, { "\xEF\xBB\xBF{}", 5, "line" }, { "{\"a\\u0000\":1}", 13, "NUL" }, { "'a'", 3, "line" },
        { "{}\0", 3, "line" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *o;
        dreamo_error err = { 0 };
        assert_int_equal(json_parse(rows[i].text, rows[i].n, "c.json", &o, &err), DREAMO_FORMAT);
        assert_null(o);
        if (!strstr(err.message, rows[i].words) || strncmp(err.message, "c.json: not valid JSON: ", 24)) fail_msg("%zu: \"%s\"", i, err.message);
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    char *text = mem_alloc(2 * DEPTH);
    json_t *o;
    dreamo_error err = { 0 };
    size_t before = mem_live();
    memset(text, '[', DEPTH);
    memset(text + DEPTH, ']', DEPTH);
    assert_int_equal(json_parse(text, 2 * DEPTH, "deep", &o, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "maximum parsing depth"));
    assert_int_equal(mem_live(), before);
    mem_free(text);
}

static void fields_are_checked(void **state)
{
    (void)state;
    static const char text[] = "{\"i\":5,\"r\":2.5,\"b\":true,\"s\":\"x\",\"n\":null,\"nul\":\"a\\u0000b\",\"big\":9007199254740993}";
    json_t *o;
    dreamo_error err = { 0 };
    int64_t i;
    double r;
    bool b;
    const char *s;
    assert_int_equal(json_parse(text, sizeof text - 1, "c.json", &o, NULL), DREAMO_OK);
    assert_int_equal(json_get_int(o, "c.json", "i", 1, 5, 0, &i, NULL), DREAMO_OK);
    assert_int_equal(i, 5);
    assert_int_equal(json_get_int(o, "c.json", "big", 0, INT64_MAX, -1, &i, NULL), DREAMO_OK);
    assert_int_equal(i, 9007199254740993); /* not by way of a double */
    assert_int_equal(json_get_int(o, "c.json", "absent", 1, 5, 3, &i, NULL), DREAMO_OK);
    assert_int_equal(i, 3);
    assert_int_equal(json_get_int(o, "c.json", "n", 1, 5, 4, &i, NULL), DREAMO_OK);
    assert_int_equal(i, 4);
    assert_int_equal(json_get_number(o, "c.json", "i", 0, 9, -1, &r, NULL), DREAMO_OK);
    assert_true(r == 5);
    assert_int_equal(json_get_bool(o, "c.json", "b", false, &b, NULL), DREAMO_OK);
    assert_true(b);
    assert_int_equal(json_get_string(o, "c.json", "s", NULL, &s, NULL), DREAMO_OK);
    assert_string_equal(s, "x");
    assert_int_equal(json_get_string(o, "c.json", "absent", "else", &s, NULL), DREAMO_OK);
    assert_string_equal(s, "else");

    assert_int_equal(json_get_int(o, "c.json", "i", 6, 9, 0, &i, &err), DREAMO_FORMAT);
    assert_string_equal(err.message, "c.json: field \"i\" is 5, allowed are 6 to 9");
#define REFUSED(call, words)                        \
    err = (dreamo_error){ 0 };                      \
    assert_int_equal(call, DREAMO_FORMAT);          \
    assert_string_equal(err.message, "c.json: field " words)
    REFUSED(json_get_int(o, "c.json", "absent", 1, 5, 0, &i, &err), "\"absent\" is missing");
    REFUSED(json_get_int(o, "c.json", "r", 1, 5, 0, &i, &err), "\"r\" is not a whole number");
    REFUSED(json_get_int(o, "c.json", "b", 0, 5, -1, &i, &err), "\"b\" is not a whole number");
    REFUSED(json_get_number(o, "c.json", "r", 3, 5, 0, &r, &err), "\"r\" is 2.5, allowed are 3 to 5");
    REFUSED(json_get_number(o, "c.json", "absent", 3, 5, NAN, &r, &err), "\"absent\" is missing");
    REFUSED(json_get_number(o, "c.json", "s", 3, 5, 0, &r, &err), "\"s\" is not a number");
    REFUSED(json_get_bool(o, "c.json", "i", false, &b, &err), "\"i\" is neither true nor false");
    REFUSED(json_get_string(o, "c.json", "absent", NULL, &s, &err), "\"absent\" is missing");
    REFUSED(json_get_string(o, "c.json", "i", NULL, &s, &err), "\"i\" is not a plain string");
    REFUSED(json_get_string(o, "c.json", "nul", NULL, &s, &err), "\"nul\" is not a plain string");
#undef REFUSED
    json_decref(o);
}

static void text_is_compact_and_in_order(void **state)
{
    (void)state;
    static const char text[] = "{ \"z\": [1, 2.5], \"a\": \"\xC3\xA9\\n\" }";
    json_t *o;
    size_t before = mem_live();
    assert_int_equal(json_parse(text, sizeof text - 1, "c.json", &o, NULL), DREAMO_OK);
    char *out = json_text(o);
    assert_string_equal(out, "{\"z\":[1,2.5],\"a\":\"\xC3\xA9\\n\"}");
    mem_free(out);
    json_decref(o);
    assert_null(json_text(NULL));
    assert_int_equal(mem_live(), before);
}

static void files_have_a_limit(void **state)
{
    (void)state;
    json_t *o;
    dreamo_error err = { 0 };
    scratch_write("c.json", "{\"a\": 1}", 8);
    assert_int_equal(json_read("c.json", 8, &o, NULL), DREAMO_OK);
    json_decref(o);
    assert_int_equal(json_read("c.json", 7, &o, &err), DREAMO_LIMIT);
    assert_string_equal(err.message, "c.json: 8 bytes, at most 7 are allowed");
    assert_null(o);
    assert_int_equal(json_read("absent", 7, &o, NULL), DREAMO_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_json_is_json), cmocka_unit_test(depth_is_limited), cmocka_unit_test(fields_are_checked),
        cmocka_unit_test(text_is_compact_and_in_order), cmocka_unit_test(files_have_a_limit),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
