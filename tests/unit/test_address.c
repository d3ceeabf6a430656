/* test_address.c - which addresses are trusted with what, and header values read strictly or not at all. */
#include "base/error.h"
#include "fetch/address.h"
#include "fetch/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SHA256 "d60acb128cf7b7f2536e8f38a5b18a05535c9e14c7a355904270e15b0945ea86"

static void addresses(void **state)
{
    static const char *const good[] = { "https://example.org", "https://example.org:8443/hub/", "http://127.0.0.1:80", "http://localhost/x", "http://[::1]:5",
                                        "HTTPS://EXAMPLE.org" };
    static const char *const bad[] = { "", "example.org", "http://example.org", "http://127.0.0.1.example.org", "http://localhost.example.org", "https://",
                                       "https:///x", "https://user:word@example.org", "https://example.org?x", "https://example.org#x", "https://exa mple.org",
                                       "https://example.org\r\nX: y", "ftp://example.org", "file:///etc/passwd", "http://127.0.0.1@example.org",
                                       "https://example.org\\x", "https://ex\xC3\xA4mple.org" };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_int_equal(address_check_endpoint(good[i], NULL), DREAMO_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(address_check_endpoint(bad[i], NULL), DREAMO_ARG);
    assert_true(address_same_origin("https://a.org/x", "https://A.org/y?z"));
    assert_false(address_same_origin("https://a.org/x", "https://a.org:444/x"));
    assert_false(address_same_origin("https://a.org/x", "http://a.org/x"));
    assert_false(address_same_origin("https://a.org/x", "https://a.org.b.org/x"));
    assert_false(address_may_follow("https://a.org/x", "http://127.0.0.1/x")); /* a far server does not reach into this machine in the clear */
    assert_true(address_may_follow("https://a.org/x", "https://b.org/x"));
    assert_true(address_may_follow("http://localhost/x", "https://b.org/x"));
    assert_false(address_token_is_plain("two words"));
    assert_false(address_token_is_plain("line\r\nX: y"));
    assert_false(address_token_is_plain(""));
    assert_true(address_token_is_plain("hf_Abc-123"));
}

static void content_ranges(void **state)
{
    static const struct { const char *text; bool good; int64_t first, last, total; } cases[] = {
        { "bytes 5-9/10", true, 5, 9, 10 },     { "bytes 5-9/*", true, 5, 9, -1 },
        { "bytes */10", true, -1, -1, 10 },     { "bytes 0-0/1", true, 0, 0, 1 },
        { "bytes 0-9223372036854775806/9223372036854775807", true, 0, INT64_MAX - 1, INT64_MAX },
        { "bytes 5-9", false, 0, 0, 0 },        { "bytes 9-5/10", false, 0, 0, 0 },
        { "bytes 5-10/10", false, 0, 0, 0 },    { "bytes -5/10", false, 0, 0, 0 },
        { "items 5-9/10", false, 0, 0, 0 },     { "bytes 5-9/10 ", false, 0, 0, 0 },
        { "bytes 0-1/9223372036854775808", false, 0, 0, 0 }, { "", false, 0, 0, 0 },
        { "bytes 0x5-9/10", false, 0, 0, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t first = -7, last = -7, total = -7;
        assert_int_equal(header_content_range(cases[i].text, &first, &last, &total), cases[i].good);
        assert_int_equal(first, cases[i].good ? cases[i].first : -7);
        assert_int_equal(last, cases[i].good ? cases[i].last : -7);
        assert_int_equal(total, cases[i].good ? cases[i].total : -7);
    }
}

static void header_values(void **state)
{
    static const struct { const char *text, *etag, *sha256; } cases[] = {
        { "\"abc\"", "\"abc\"", "" }, { "W/\"abc\"", "", "" }, { "abc", "", "" }, { "\"", "", "" }, { "\"a b\"", "", "" }, { "\"\xC3\xA4\"", "", "" },
        { SHA256, "", SHA256 }, { "\"" SHA256 "\"", "\"" SHA256 "\"", SHA256 }, { "\"" SHA256, "", "" }, { SHA256 "0", "", "" },
        { "D60ACB128CF7B7F2536E8F38A5B18A05535C9E14C7A355904270E15B0945EA86", "", SHA256 },
    };
    int64_t n = -1;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char etag[HTTP_ETAG] = "", sha256[65] = "";
        header_etag(cases[i].text, etag);
        header_sha256(cases[i].text, sha256);
        assert_string_equal(etag, cases[i].etag);
        assert_string_equal(sha256, cases[i].sha256);
    }
    assert_true(header_number("9223372036854775807", &n));
    assert_int_equal(n, INT64_MAX);
    assert_false(header_number("9223372036854775808", &n) || header_number("", &n) || header_number("-1", &n) || header_number("1 ", &n) || header_number("0x1", &n));
    assert_int_equal(n, INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(addresses), cmocka_unit_test(content_ranges), cmocka_unit_test(header_values) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
