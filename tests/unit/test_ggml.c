/* test_ggml.c - whole pictures on ggml's devices: the same bytes again, with weights that stay and with weights that pass through, within the limit; what
 * breaks in mid-step ends in one line and leaves the process usable; nothing grows; NaN has a name; devices that are not there.
 *
 * On ggml's CPU, or on the device that DREAMO_TEST_DEVICE names. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ggml/ggml.h"
#include "backend/ggml/self_test.h"
#include "backend/ggml/state.h"
#include "base/file.h"
#include "base/mem.h"
#include "pipe/model.h"
#include "pipe/plan.h"

#include "asked_device.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MODEL TEST_DATA "/models/tiny"
#define MINI REPO_ROOT "/models/dreamo-mini" /* more of its memory is weights */

static dreamo_model *opened_with(const char *dir, const dreamo_lora *lora, const char *device, uint64_t memory)
{
    dreamo_model_options o;
    dreamo_error err = { 0 };
    dreamo_model *m = NULL;
    dreamo_model_options_init(&o);
    o.dir = dir;
    o.backend = device;
    o.threads = 1;
    o.memory = memory;
    o.loras = lora;
    o.nloras = lora != NULL;
    if (dreamo_open(&o, &m, &err)) fail_msg("%s", err.message);
    return m;
}

static dreamo_model *opened(const char *device, uint64_t memory) { return opened_with(MODEL, NULL, device, memory); }

static dreamo_request asked(int steps)
{
    dreamo_request r;
    dreamo_request_init(&r);
    r.prompt = "a red toy on a table";
    r.width = r.height = 64;
    r.steps = steps;
    r.seed = 5;
    return r;
}

static dreamo_status picture(dreamo_model *m, int steps, dreamo_image *out, dreamo_error *err)
{
    dreamo_request r = asked(steps);
    return dreamo_generate(m, &r, out, err);
}

static dreamo_image must(dreamo_model *m, int steps)
{
    dreamo_image im = { 0 };
    dreamo_error err = { 0 };
    if (picture(m, steps, &im, &err)) fail_msg("%s", err.message);
    return im;
}

static void same_bytes(const dreamo_image *a, const dreamo_image *b)
{
    assert_int_equal(a->width * a->height, 64 * 64);
    assert_memory_equal(a->rgb, b->rgb, 3 * 64 * 64);
}

static char notes[2048];
static bool take_note(void *user, const dreamo_event *e)
{
    (void)user;
    if (e->kind == DREAMO_EVENT_NOTE) snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%s\n", e->text);
    return true;
}

static void the_same_again_and_nothing_grows(void **state)
{
    (void)state;
    dreamo_model *m = opened(asked_device(), 0);
    dreamo_image first = must(m, 2);
    const ggml_counts *c = ggml_device_counts(m->dev);
    size_t held = 0, blocks = 0;
    uint64_t process = 0;
    const char *many = getenv("DREAMO_TEST_TURNS");
    int turns = many ? (int)strtol(many, NULL, 10) : 20;
    for (int i = 0; i < turns; i++) {
        dreamo_image again = must(m, 2);
        same_bytes(&first, &again);
        dreamo_image_free(&again);
        if (i == 1) held = c->held, blocks = mem_live();
        if (i == turns / 4) process = memory_now(); /* what libraries hold as well; caches are full by then */
    }
    print_message("             %d pictures: %.2f MB of the process at a quarter, %.2f MB at the end\n", turns + 1, (double)process / 1e6, (double)memory_now() / 1e6);
    assert_true(memory_now() <= process + ((uint64_t)1 << 20));
    assert_true(c->held <= held);
    assert_true(mem_live() <= blocks);
    dreamo_image_free(&first);
    dreamo_close(m);
}

static double difference(const dreamo_image *a, const dreamo_image *b)
{
    double off = 0;
    int n = 3 * a->width * a->height;
    assert_true(a->width == b->width && a->height == b->height);
    for (int i = 0; i < n; i++) off += abs(a->rgb[i] - b->rgb[i]);
    return off / n;
}

/* Whole, with a reference that our own network cuts out: what the processor makes, but for bf16's rounding. */
static void shipped_model_with_a_reference(void **state)
{
    dreamo_reference ref = { .task = DREAMO_IP, .path = REPO_ROOT "/examples/cupcake.png", .res = 64, .cut = DREAMO_CUT_NET };
    dreamo_request r = asked(1);
    dreamo_image seen[2] = { { 0 } }, made[2] = { { 0 } };
    dreamo_error err = { 0 };
    (void)state;
    r.refs = &ref;
    r.nrefs = 1;
    for (int i = 0; i < 2; i++) {
        dreamo_model *m = opened_with(MINI, NULL, i ? asked_device() : "cpu", 0);
        if (dreamo_reference_show(m, &ref, 0, NULL, NULL, &seen[i], &err)) fail_msg("%s", err.message);
        if (i) assert_true(ggml_device_counts(m->dev)->nodes > 0); /* cut out there */
        if (dreamo_generate(m, &r, &made[i], &err)) fail_msg("%s", err.message);
        dreamo_close(m);
    }
    double cut = difference(&seen[0], &seen[1]), off = difference(&made[0], &made[1]);
    print_message("             off by %.3f of 255 in what the model sees, by %.3f in the picture\n", cut, off);
    assert_true(cut < 0.5 && off < 4);
    for (int i = 0; i < 2; i++) dreamo_image_free(&seen[i]), dreamo_image_free(&made[i]);
}

/* Without a model; the device belongs to what was opened. */
static void references_without_a_model(void **state)
{
    dreamo_reference ref = { .task = DREAMO_IP, .path = REPO_ROOT "/examples/cupcake.png", .res = 64, .cut = DREAMO_CUT_NET };
    dreamo_image seen[2] = { { 0 } };
    dreamo_error err = { 0 };
    dreamo_prep_options o;
    dreamo_prep *with;
    (void)state;
    dreamo_prep_options_init(&o);
    o.threads = 1;
    for (int i = 0; i < 2; i++) {
        o.device = i ? asked_device() : NULL;
        if (dreamo_prep_open(&o, &with, &err) || dreamo_prep_run(with, &ref, 0, NULL, NULL, &seen[i], NULL, &err)) fail_msg("%s", err.message);
        dreamo_prep_close(with);
    }
    double off = difference(&seen[0], &seen[1]);
    if (!(off < 0.5)) fail_msg("off by %.3f of 255", off);
    assert_true(memcmp(seen[0].rgb, seen[1].rgb, (size_t)(3 * seen[0].width * seen[0].height)) != 0); /* it rounds otherwise: it was there */
    for (int i = 0; i < 2; i++) dreamo_image_free(&seen[i]);
    o.device = asked_device();
    o.memory = 1 << 16;
    if (dreamo_prep_open(&o, &with, &err)) fail_msg("%s", err.message);
    assert_int_equal(dreamo_prep_run(with, &ref, 0, NULL, NULL, &seen[0], NULL, &err), DREAMO_MEMORY);
    assert_non_null(strstr(err.message, "no memory"));
    dreamo_prep_close(with);
    o.device = "ggml:none";
    err = (dreamo_error){ 0 };
    assert_int_equal(dreamo_prep_open(&o, &with, &err), DREAMO_DEVICE);
    assert_non_null(strstr(err.message, "ggml:none is none of this machine's"));
    assert_null(with);
}

/* A step's graph is recorded once: later steps only run it. */
static void a_step_is_recorded_once(void **state)
{
    (void)state;
    dreamo_model *m = opened(asked_device(), 0);
    dreamo_image im = must(m, 2);
    dreamo_image_free(&im);
    const ggml_counts *c = ggml_device_counts(m->dev);
    ggml_device_count_anew(m->dev);
    im = must(m, 2);
    dreamo_image_free(&im);
    int64_t two = c->built, two_run = c->graphs;
    ggml_device_count_anew(m->dev);
    im = must(m, 8);
    dreamo_image_free(&im);
    assert_int_equal(c->built, two);
    assert_int_equal(c->graphs - two_run, 6); /* one a step more */
    dreamo_close(m);
}

/* A tower of products with different weights, three times over: bytes, and what the device counted. */
enum { LAYERS = 24, WIDE = 256, ROWS = 32 };
static void tower(const weight *w, size_t cap, float *out, ggml_counts *c, int64_t *built_again)
{
    dreamo_error err = { 0 };
    device *dev = ggml_device_open(asked_device(), 1, cap, &err);
    nn *cx = dev ? nn_new(&(nn_options){ .dev = dev, .work_nbytes = (LAYERS + 2) * 2 * ROWS * WIDE * sizeof(float) }, &err) : NULL;
    if (!cx) fail_msg("%s", err.message);
    float *x = mem_alloc(sizeof *x * ROWS * WIDE);
    for (int i = 0; i < ROWS * WIDE; i++) x[i] = (float)sin(i);
    for (int step = 0; step < 3; step++) {
        int64_t before = ggml_device_counts(dev)->built;
        nn_reset(cx);
        tensor t = tensor_from(cx, ROWS, WIDE, x);
        for (int i = 0; i < LAYERS; i++) t = op_gelu(cx, op_linear(cx, t, &w[i]));
        tensor_read(cx, t, out);
        if (nn_status(cx, &err)) fail_msg("%s", err.message);
        *built_again = ggml_device_counts(dev)->built - before;
    }
    nn_free(cx);
    *c = *ggml_device_counts(dev);
    dev->be->close(dev);
    mem_free(x);
}

static void weights_pass_through(void **state)
{
    (void)state;
    static float data[LAYERS][WIDE * WIDE], bias[WIDE], want[ROWS * WIDE], got[ROWS * WIDE];
    weight w[LAYERS];
    ggml_counts all, some;
    int64_t again;
    for (int i = 0; i < LAYERS * WIDE * WIDE; i++) data[i / (WIDE * WIDE)][i % (WIDE * WIDE)] = (float)sin(i * 0.7) / 8;
    for (int i = 0; i < WIDE; i++) bias[i] = (float)cos(i);
    for (int i = 0; i < LAYERS; i++)
        w[i] = (weight){ .name = "layer", .in = WIDE, .out = WIDE, .kh = 1, .kw = 1, .nparts = 1, .part = { { .rows = WIDE, .type = DT_F32, .data = data[i], .bias = bias } } };
    tower(w, (size_t)1 << 30, want, &all, &again);
    assert_int_equal(again, 0);
    assert_int_equal(all.streamed, 0);
    for (int part = 2; part <= 4; part++) { /* of what all weights and tensors took */
        size_t cap = all.resident / (size_t)part + ((size_t)3 << 20);
        tower(w, cap, got, &some, &again);
        assert_memory_equal(want, got, sizeof want);
        assert_true(some.peak <= cap);
        assert_true(some.resident < all.resident && some.streamed > 0);
        assert_int_equal(again, 0); /* the same weights pass at the same places: graphs hold */
    }
}

/* ---- plans ---- */

typedef struct found { dreamo_device_plan own; int rows; bool cpu; } found;

static bool keep_row(void *user, const dreamo_device_plan *d)
{
    found *f = user;
    f->rows++;
    if (strcmp(d->name, asked_device()) == 0) f->own = *d;
    f->cpu = f->cpu || (strcmp(d->name, "cpu") == 0 && d->fits && !d->why && d->seconds > 0 && d->held_bytes > 0);
    return true;
}

static found planned(dreamo_model *m, int steps)
{
    dreamo_request r = asked(steps);
    dreamo_error err = { 0 };
    found f = { 0 };
    if (dreamo_plan_devices(m, &r, keep_row, &f, &err)) fail_msg("%s", err.message);
    assert_true(f.cpu && f.rows >= 2);
    assert_non_null(f.own.name);
    if (f.own.fits) assert_true(f.own.seconds > f.own.step_seconds * steps * 0.99 && f.own.step_seconds > 0);
    return f;
}

/* Bytes of weights that pass through in one step: what four steps, which make this picture, have over two. */
static double passed_in_a_step(dreamo_model *m, const dreamo_image *four)
{
    double passed[2];
    generation_rate(m); /* what that sends is not counted */
    for (int i = 0; i < 2; i++) {
        ggml_device_count_anew(m->dev);
        dreamo_image im = must(m, i ? 4 : 2);
        if (i) same_bytes(four, &im);
        dreamo_image_free(&im);
        passed[i] = (double)ggml_device_counts(m->dev)->streamed;
    }
    return (passed[1] - passed[0]) / 2;
}

/* With less and less memory: what a plan says before anything is loaded is what happens then (it fits or not, so much stays, so much passes through), the
 * picture is the same, and the peak stays within the limit. */
static void plans_come_true_within_a_limit(void **state)
{
    (void)state;
    dreamo_model *m = opened_with(MINI, NULL, asked_device(), (uint64_t)512 << 20); /* from a gigabyte on the autoencoder's sums run in larger pieces */
    found f = planned(m, 4);
    dreamo_image all = must(m, 4);
    double weights = (double)f.own.resident_bytes;
    size_t peak = ggml_device_counts(m->dev)->peak;
    if (!f.own.fits || f.own.why || f.own.streamed_bytes || f.own.held_bytes < peak)
        fail_msg("%s: %llu bytes pass through, at most %llu are held, really %zu", f.own.why ? f.own.why : "fits", (unsigned long long)f.own.streamed_bytes,
                 (unsigned long long)f.own.held_bytes, peak);
    const dit_config *c = &m->dit->config;
    int blocks = c->layers + c->single_layers, passing = 0;
    assert_int_equal(f.own.doubles, c->layers);
    assert_int_equal(f.own.singles, c->single_layers);
    dreamo_close(m);
    static const size_t caps[] = { 15 << 20, 12 << 20, 11 << 20, 2 << 20 }; /* the least that fits grows with what LoRAs add to the widest layer */
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        size_t cap = caps[i];
        m = opened_with(MINI, NULL, asked_device(), cap);
        f = planned(m, 4);
        assert_true(f.own.limit_bytes == cap && f.own.held_bytes <= cap);
        assert_int_equal(f.own.fits, i < 3);
        if (f.own.fits) {
            double passed = passed_in_a_step(m, &all), off = fabs(passed - (double)f.own.streamed_bytes);
            print_message("             %zu bytes: %.0f pass through in a step, planned were %.0f\n", cap, passed, (double)f.own.streamed_bytes);
            assert_true(off <= 0.4 * weights); /* of two passes */
            passing += passed > 0;
            assert_true(f.own.streamed_bytes == 0 || f.own.doubles + f.own.singles < blocks);
        } else { /* one line that names the memory, if it does not do all the same */
            dreamo_image some = { 0 };
            dreamo_error err = { 0 };
            assert_non_null(strstr(f.own.why, "too little memory"));
            dreamo_status s = picture(m, 4, &some, &err);
            if (s == DREAMO_OK) same_bytes(&all, &some);
            else if (s != DREAMO_MEMORY || !strstr(err.message, "no memory")) fail_msg("%s", err.message);
            dreamo_image_free(&some);
        }
        assert_true(ggml_device_counts(m->dev)->peak <= cap);
        dreamo_close(m);
    }
    assert_true(weights > 0 && passing > 0);
    dreamo_image_free(&all);
}

static dreamo_status chosen(dreamo_model *m, uint64_t memory, char (*names)[64], int n, dreamo_error *err)
{
    const reporter to = { take_note, NULL };
    *notes = '\0';
    m->backend->close(m->dev);
    m->dev = NULL;
    m->memory = memory;
    dreamo_status s = plan_choose(m, names, n, 1, &to, err);
    if (!m->dev) m->dev = device_open("cpu", 1, 0, NULL);
    m->backend = m->dev->be;
    return s;
}

static void the_quickest_that_fits_is_chosen(void **state)
{
    char names[2][64] = { "cpu" };
    dreamo_error err = { 0 };
    (void)state;
    strcpy(names[1], asked_device());
    dreamo_model *m = opened("cpu", 0);
    assert_int_equal(chosen(m, (uint64_t)1 << 20, names, 2, &err), DREAMO_OK);
    assert_string_equal(device_name(m->dev), "cpu");
    assert_non_null(strstr(notes, "is not taken: a picture needs more than the 0.00105 GB that it may have"));
    assert_int_equal(chosen(m, 0, names, 2, &err), DREAMO_OK);
    const char *other = device_name(m->dev);
    bool own = strcmp(other, "cpu") != 0;
    assert_true(strncmp(notes, names[!own], strlen(names[!own])) == 0 && strstr(notes, "is not taken: a picture would take about"));
    assert_non_null(strstr(notes, other));
    dreamo_image im = must(m, 2);
    dreamo_image_free(&im);
    assert_int_equal(chosen(m, (uint64_t)1 << 20, names + 1, 1, &err), DREAMO_DEVICE);
    assert_non_null(strstr(err.message, "none of this machine's devices"));
    strcpy(names[1], "ggml:none");
    assert_int_equal(chosen(m, 0, names, 2, &err), DREAMO_OK);
    assert_non_null(strstr(notes, "ggml:none is not taken: device ggml:none is none of this machine's"));
    dreamo_close(m);
}

static void faults_in_mid_step(void **state)
{
    (void)state;
    dreamo_model *m = opened(asked_device(), 0);
    dreamo_image good = must(m, 3);
    int graphs = 0;
    for (int nth = 1; nth < 200; nth++) { /* out of memory: the model stays */
        dreamo_image im = { 0 };
        dreamo_error err = { 0 };
        guard_fault(nth, 2);
        dreamo_status s = picture(m, 1, &im, &err);
        bool came = guard_fault_now() == 0 && s != DREAMO_OK;
        guard_fault(0, 0);
        if (!came) {
            assert_int_equal(s, DREAMO_OK);
            dreamo_image_free(&im);
            break;
        }
        graphs++;
        assert_int_equal(s, DREAMO_MEMORY);
        assert_non_null(strstr(err.message, "out of memory in mid-run"));
        dreamo_image_free(&im);
    }
    assert_true(graphs > 5);
    dreamo_image again = must(m, 3);
    same_bytes(&good, &again);
    dreamo_image_free(&again);
    dreamo_image im = { 0 };
    dreamo_error err = { 0 };
    guard_fault(4, 1); /* the device is lost: this model is done for, another one is not */
    assert_int_equal(picture(m, 3, &im, &err), DREAMO_DEVICE);
    assert_non_null(strstr(err.message, "lost in mid-run"));
    err = (dreamo_error){ 0 };
    assert_int_equal(picture(m, 3, &im, &err), DREAMO_DEVICE);
    assert_non_null(strstr(err.message, "open the model again"));
    dreamo_close(m);
    m = opened(asked_device(), 0);
    again = must(m, 3);
    same_bytes(&good, &again);
    dreamo_image_free(&again);
    dreamo_image_free(&good);
    dreamo_close(m);
}

static void a_nan_has_a_name(void **state)
{
    (void)state;
    dreamo_model *m = opened(asked_device(), 0);
    weight *w = &m->dit->singles[0].out;
    assert_non_null(w->part[0].bias);
    float *bias = mem_alloc(sizeof *bias * (size_t)w->part[0].rows);
    memcpy(bias, w->part[0].bias, sizeof *bias * (size_t)w->part[0].rows);
    bias[3] = NAN;
    const float *old = w->part[0].bias;
    w->part[0].bias = bias;
    dreamo_image im = { 0 };
    dreamo_error err = { 0 };
    assert_int_equal(picture(m, 2, &im, &err), DREAMO_NUMERIC);
    if (!strstr(err.message, "is made by linear") || !strstr(err.message, w->name)) fail_msg("%s", err.message);
    w->part[0].bias = old;
    dreamo_close(m);
    mem_free(bias);
}

static void devices_that_are_not_there(void **state)
{
    (void)state;
    dreamo_model_options o;
    dreamo_model *m = NULL;
    dreamo_error err = { 0 };
    dreamo_model_options_init(&o);
    o.dir = MODEL;
    o.backend = "ggml:CPu";
    assert_int_equal(dreamo_open(&o, &m, &err), DREAMO_DEVICE);
    assert_non_null(strstr(err.message, "ggml:CPu is none of this machine's: "));
    assert_non_null(strstr(err.hint, "did you mean ggml:CPU?"));
    err = (dreamo_error){ 0 };
    o.backend = "ggml:CUDA7";
    assert_int_equal(dreamo_open(&o, &m, &err), DREAMO_DEVICE);
    assert_non_null(strstr(err.hint, "info --devices"));
    err = (dreamo_error){ 0 };
    o.backend = "cuda";
    assert_int_equal(dreamo_open(&o, &m, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "none of auto, cpu, ref, ggml:NAME"));
    assert_null(m);
    device *dev = ggml_device_open("CPU", 1, (uint64_t)1 << 20, &err); /* too little for anything */
    assert_non_null(dev);
    err = (dreamo_error){ 0 };
    assert_null(nn_new(&(nn_options){ .dev = dev, .work_nbytes = 2 << 20 }, &err));
    assert_non_null(strstr(err.message, "no memory for tensors of 2.1 MB: 0.0 of 1.0 MB are in use"));
    dev->be->close(dev);
}

static void every_device_passes_its_test(void **state)
{
    ggml_device_info all[8];
    int n = ggml_devices(all, 8);
    (void)state;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        self_test t;
        dreamo_error err = { 0 };
        if (strcmp(all[i].name, asked_device()) != 0) continue;
        if (!ggml_self_test(all[i].name, &t, &err)) fail_msg("%s: %s", all[i].name, err.message);
        assert_true(t.error > 0 && t.rate > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_device_passes_its_test),
        cmocka_unit_test(the_same_again_and_nothing_grows),
        cmocka_unit_test(shipped_model_with_a_reference),
        cmocka_unit_test(references_without_a_model),
        cmocka_unit_test(a_step_is_recorded_once),
        cmocka_unit_test(weights_pass_through),
        cmocka_unit_test(plans_come_true_within_a_limit),
        cmocka_unit_test(the_quickest_that_fits_is_chosen),
        cmocka_unit_test(faults_in_mid_step),
        cmocka_unit_test(a_nan_has_a_name),
        cmocka_unit_test(devices_that_are_not_there),
    };
    if (getenv("DREAMO_TEST_ONLY")) cmocka_set_test_filter(getenv("DREAMO_TEST_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
