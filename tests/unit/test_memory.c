/* test_memory.c - what a plan says of memory, against what the system says that a fresh process held at most (VmHWM).
 *
 * With the shipped model, at sizes where activations are most of it; the plan must be within five percent. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "dreamo.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#define MODEL REPO_ROOT "/models/dreamo-mini"

typedef struct outcome { dreamo_status status; double planned, held, again; char message[480]; } outcome;

/* The most memory that this process ever held, in bytes. */
static double high_water(void)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf kB", &kib) == 1) break;
    if (f) fclose(f);
    return kib * 1024;
}

/* In a child: plan, make the picture, make it again with the same model. */
static void measure(int side, int reference, outcome *o)
{
    dreamo_error err = { 0 };
    dreamo_model_options mo;
    dreamo_request r;
    dreamo_model *m = NULL;
    dreamo_plan plan = { 0 };
    dreamo_image pixels = { .width = reference, .height = reference }, one = { 0 }, two = { 0 };
    dreamo_model_options_init(&mo);
    mo.dir = MODEL;
    mo.threads = 2;
    dreamo_request_init(&r);
    r.prompt = "a red car";
    r.width = r.height = side;
    r.steps = 1;
    r.true_cfg = 1;
    dreamo_reference ref = { .task = DREAMO_IP, .image = &pixels, .res = -1, .cut = DREAMO_CUT_OFF };
    r.refs = &ref;
    r.nrefs = reference > 0;
    pixels.rgb = mem_calloc((size_t)reference * (size_t)reference, 3);
    o->status = dreamo_open(&mo, &m, &err);
    if (!o->status) o->status = dreamo_plan_request(m, &r, &plan, &err);
    if (!o->status) o->status = dreamo_generate(m, &r, &one, &err);
    o->held = high_water();
    if (!o->status) o->status = dreamo_generate(m, &r, &two, &err);
    o->again = high_water();
    if (!o->status && memcmp(one.rgb, two.rgb, (size_t)side * (size_t)side * 3)) o->status = DREAMO_DIFFERS;
    o->planned = (double)plan.peak_bytes;
    snprintf(o->message, sizeof o->message, "%s", err.message);
}

/* The child's outcome comes through a pipe; its memory is its own. */
static void compare(int side, int reference)
{
    int ends[2];
    outcome o = { .status = DREAMO_BUG };
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        measure(side, reference, &o);
        _exit(write(ends[1], &o, sizeof o) == sizeof o ? 0 : 1);
    }
    assert_true(child > 0);
    close(ends[1]);
    ssize_t n = read(ends[0], &o, sizeof o);
    close(ends[0]);
    waitpid(child, NULL, 0);
    assert_int_equal(n, sizeof o);
    if (o.status) fail_msg("status %d: %s", o.status, o.message);
    print_message("             %d, reference %d: planned %.1f MB, held %.1f MB (%+.1f %%), after another %.1f MB\n", side, reference, o.planned * 1e-6,
                  o.held * 1e-6, 100 * (o.planned / o.held - 1), o.again * 1e-6);
    assert_true(o.planned > 0.95 * o.held && o.planned < 1.05 * o.held);
    assert_true(o.again < 1.05 * o.held);
}

static void test_plan_is_what_is_held(void **state)
{
    (void)state;
    if (access(MODEL "/model_index.json", F_OK) != 0) skip();
#ifdef __SANITIZE_ADDRESS__
    skip(); /* the sanitizer's own memory is most of it */
#endif
    compare(512, 0);
    compare(256, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_plan_is_what_is_held) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
