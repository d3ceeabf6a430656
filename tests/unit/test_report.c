/* test_report.c - what a run tells: the event file against TensorBoard's own writer, and the page's parts. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/report/curve.h"
#include "train/report/events.h"
#include "train/report/page.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* ---- events ---- */

static void test_crc32c(void **state)
{
    (void)state;
    unsigned char zeros[32] = { 0 }, rising[32];
    for (int i = 0; i < 32; i++) rising[i] = (unsigned char)i;
    assert_int_equal(crc32c(zeros, 32), 0x8a9136aau); /* RFC 3720, B.4 */
    assert_int_equal(crc32c(rising, 32), 0x46dd794eu);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283u);
}

static size_t nbytes_of(const char *path)
{
    uint64_t n;
    assert_int_equal(file_nbytes(path, &n, NULL), DREAMO_OK);
    return (size_t)n;
}

static void copy(const char *from, const char *to, size_t less)
{
    char *data;
    size_t n;
    assert_int_equal(file_read(from, 1 << 20, &data, &n, NULL), DREAMO_OK);
    scratch_write(to, data, n - less);
    mem_free(data);
}

/* A file by tensorboard 2.21 (its version, then "loss" at steps 1 to 3): records are known, and cut
 * after a step or where one is not whole. */
static void test_cuts_theirs(void **state)
{
    (void)state;
    static const char theirs[] = TEST_DATA "/train/tensorboard.tfevents";
    size_t all = nbytes_of(theirs), each = 42, head = all - 3 * each;
    static const struct { int64_t done; int left; } cuts[] = { { 9, 3 }, { 3, 3 }, { 2, 2 }, { 1, 1 } };
    for (size_t i = 0; i < 4; i++) {
        copy(theirs, "a.tfevents", 0);
        assert_int_equal(events_open("a.tfevents", cuts[i].done, true, NULL), DREAMO_OK);
        size_t left = nbytes_of("a.tfevents");
        if (left != (cuts[i].left == 3 ? all : head + (size_t)cuts[i].left * each))
            fail_msg("done %d: %zu bytes of %zu", (int)cuts[i].done, left, all);
    }
    copy(theirs, "a.tfevents", 1);
    assert_int_equal(events_open("a.tfevents", 9, true, NULL), DREAMO_OK);
    assert_int_equal(nbytes_of("a.tfevents"), head + 2 * each);
    scratch_write("a.tfevents", "no events at all", 16); /* begun anew */
    assert_int_equal(events_open("a.tfevents", 9, true, NULL), DREAMO_OK);
    assert_true(nbytes_of("a.tfevents") > 16);
}

/* The same three events as theirs: but for the time, byte by byte the same. */
static void test_writes_theirs(void **state)
{
    (void)state;
    char *a, *b;
    size_t n, m;
    float value = 0.5f;
    assert_int_equal(events_open("b.tfevents", 0, true, NULL), DREAMO_OK);
    size_t head = nbytes_of("b.tfevents");
    for (int step = 1; step <= 3; step++, value *= 0.5f) {
        log_part part = { "loss", (double)value };
        assert_int_equal(events_numbers("b.tfevents", step, "", &part, 1, NULL), DREAMO_OK);
    }
    assert_int_equal(file_read("b.tfevents", 1 << 20, &a, &n, NULL), DREAMO_OK);
    assert_int_equal(file_read(TEST_DATA "/train/tensorboard.tfevents", 1 << 20, &b, &m, NULL), DREAMO_OK);
    assert_int_equal(n, m);
    for (int i = 0; i < 3; i++) {
        const char *ours = a + head + i * 42, *theirs = b + m - (3 - i) * 42;
        assert_memory_equal(ours, theirs, 12 + 1);                  /* length, its CRC, the key of the time */
        assert_memory_equal(ours + 21, theirs + 21, 42 - 21 - 4);   /* step and summary */
    }
    mem_free(a);
    mem_free(b);
}

/* A step that was not finished keeps its line and loses what came after it. */
static void test_cuts_the_unfinished(void **state)
{
    (void)state;
    log_part loss = { "loss", 0.5 }, db = { "db", 10 };
    assert_int_equal(events_open("c.tfevents", 0, true, NULL), DREAMO_OK);
    assert_int_equal(events_numbers("c.tfevents", 299, "", &loss, 1, NULL), DREAMO_OK);
    assert_int_equal(events_numbers("c.tfevents", 299, "validation/", &db, 1, NULL), DREAMO_OK);
    size_t before = nbytes_of("c.tfevents");
    assert_int_equal(events_numbers("c.tfevents", 300, "", &loss, 1, NULL), DREAMO_OK);
    size_t line = nbytes_of("c.tfevents");
    assert_int_equal(events_numbers("c.tfevents", 300, "validation/", &db, 1, NULL), DREAMO_OK);
    assert_int_equal(events_picture("c.tfevents", 300, "samples", "\x89PNG, twenty-four bytes", 24, NULL), DREAMO_OK);
    size_t whole = nbytes_of("c.tfevents");
    assert_int_equal(events_open("c.tfevents", 300, true, NULL), DREAMO_OK);
    assert_int_equal(nbytes_of("c.tfevents"), whole);
    assert_int_equal(events_open("c.tfevents", 300, false, NULL), DREAMO_OK);
    assert_int_equal(nbytes_of("c.tfevents"), line);
    assert_int_equal(events_open("c.tfevents", 299, true, NULL), DREAMO_OK);
    assert_int_equal(nbytes_of("c.tfevents"), before);
}

/* ---- text ---- */

static void test_text(void **state)
{
    (void)state;
    static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
                                            { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } }; /* RFC 4648, 10 */
    for (size_t i = 0; i < 7; i++) {
        text t = { 0 };
        text_put(&t, "%s", "");
        text_base64(&t, (const unsigned char *)pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(t.p, pairs[i][1]);
        mem_free(t.p);
    }
    text t = { 0 };
    text_html(&t, "a<b> & \"c\"");
    assert_string_equal(t.p, "a&lt;b&gt; &amp; &quot;c&quot;");
    mem_free(t.p);
}

/* ---- curves ---- */

/* 100,000 points: few are drawn, the highest among them. */
static void test_curve(void **state)
{
    (void)state;
    enum { N = 100000 };
    series s = { .name = "x", .n = N, .step = mem_alloc(N * sizeof(double)), .value = mem_alloc(N * sizeof(double)) };
    for (int i = 0; i < N; i++) {
        s.step[i] = i;
        s.value[i] = i == 54321 ? 10 : i % 2;
    }
    s.value[7] = NAN;
    text t = { 0 };
    curve_write(&t, &(curve){ .title = "t", .n = 1, .line = { { .of = &s } } });
    assert_true(t.n > 1000 && t.n < 20000);
    assert_null(strstr(t.p, "nan"));
    /* 5 % of room above: the highest point lies at 10 + 194 * 0.05 / 1.1 */
    assert_non_null(strstr(t.p, " 18.8L"));
    mem_free(t.p);
    t = (text){ 0 };
    for (int i = 0; i < N; i++) s.value[i] = NAN;
    curve_write(&t, &(curve){ .title = "t", .n = 1, .line = { { .of = &s } } });
    assert_int_equal(t.n, 0);
    mem_free(s.step);
    mem_free(s.value);
}

/* ---- the page ---- */

static void test_page(void **state)
{
    (void)state;
    static const char log[] = "{\"step\":1,\"loss\":2.5,\"smoothed\":2.5,\"diff\":2.25,\"lr\":0.001,\"grad_norm\":null,\"left_s\":61,\"skipped\":true}\n"
                              "{\"step\":2,\"loss\":1.5,\"smoothed\":2.4,\"diff\":1.25,\"lr\":0.002,\"grad_norm\":3,\"left_s\":61,\"skipped\":false}\n"
                              "{\"step\":2,\"validation\":{\"right\":1,\"right_error\":0.25,\"right_minus_wrong\":0.5}}\n"
                              "{\"step\":3,\"lo";
    static const unsigned char png[] = { 0x89, 'P', 'N', 'G' };
    char *html;
    size_t n;
    history h;
    assert_int_equal(folder_make("run", NULL), DREAMO_OK);
    assert_int_equal(folder_make("run/samples", NULL), DREAMO_OK);
    scratch_write("run/log.ndjson", log, sizeof log - 1);
    scratch_write("run/samples/step-000002.png", png, sizeof png);
    assert_int_equal(history_read(&h, "run/log.ndjson", NULL), DREAMO_OK);
    assert_int_equal(history_find(&h, "", "loss")->n, 2);
    assert_int_equal(history_find(&h, "", "grad_norm")->n, 1);
    assert_true(history_find(&h, "validation", "right_error")->value[0] == 0.25);
    assert_int_equal(h.skipped, 1);
    history_free(&h);
    page p = { .out = "run", .stage = "base", .model = "m<1>", .data = "d", .recipe = "steps = 4\n", .computer = "cpu, 2 threads",
               .optimizer = "muon", .step = 2, .steps = 4, .samples = 16, .batch = 8, .seconds = 7200, .processes = 1 };
    assert_int_equal(page_write(&p, NULL), DREAMO_OK);
    assert_int_equal(file_read("run/report.html", 1 << 20, &html, &n, NULL), DREAMO_OK);
    static const char *const wanted[] = { "step 2 of 4", "2.00 hours", "muon", "m&lt;1&gt;", "steps = 4", "data:image/png;base64,iVBORw==",
                                          "right <b>1</b>", "diff <b>1.25</b>", "validation, in pairs", "width:50.0%" };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(html, wanted[i])) fail_msg("no %s", wanted[i]);
    assert_null(strstr(html, "http")); /* it needs nothing from anywhere */
    mem_free(html);
    p.out = "nowhere";
    assert_int_not_equal(page_write(&p, NULL), DREAMO_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c), cmocka_unit_test(test_cuts_theirs), cmocka_unit_test(test_writes_theirs), cmocka_unit_test(test_cuts_the_unfinished), cmocka_unit_test(test_text),
        cmocka_unit_test(test_curve), cmocka_unit_test(test_page),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
