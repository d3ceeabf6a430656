/* test_train_run.c - whole runs of the three stages on a small model and a dataset made here.
 *
 * The losses of ten steps are stored; a resumed run has the bytes of an uninterrupted one; a stop, a lock, a NaN and another
 * dataset are met as promised; what is exported opens and generates. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/names.h"
#include "data/source/pack.h"
#include "dreamo.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "train/export.h"
#include "train/flow/flow_item.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MODEL TEST_DATA "/models/tiny"

/* ---- a dataset: discs and diamonds in a few colours, with names that are and names that are not held out ---- */

enum { SIDE = 48, SUBJECTS = 12 };

static void draw(unsigned char *rgba, int number)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int dx = x - SIDE / 2, dy = y - SIDE / 2;
            bool in = number % 2 ? dx * dx + dy * dy < 400 : abs(dx) + abs(dy) < 22;
            unsigned char *p = rgba + (y * SIDE + x) * 4;
            for (int k = 0; k < 3; k++) p[k] = (unsigned char)((number * (37 + 50 * k) + (dy > 0 ? 90 : 0)) % 220);
            p[3] = in ? 255 : 0;
        }
}

static void make_data(const char *folder)
{
    asset list[SUBJECTS] = { 0 };
    unsigned char pixels[SIDE * SIDE * 4];
    const asset_source source = { "drawn", "none", "1", "CC0", "nobody" };
    int names = 0, held = 0;
    for (int i = 0; i < SUBJECTS; i++) {
        asset *a = &list[i];
        bool want_held = i >= SUBJECTS - 3; /* three of them held out */
        do snprintf(a->concept, sizeof a->concept, "thing %c%c", 'a' + names / 26 % 26, 'a' + names % 26);
        while (names++ < 600 && name_held_out(a->concept) != want_held);
        held += want_held;
        name_phrase(a->concept, a->phrase, sizeof a->phrase);
        snprintf(a->set, sizeof a->set, "drawn");
        snprintf(a->group, sizeof a->group, "objects");
        snprintf(a->licence, sizeof a->licence, "CC0");
        a->yaws = a->pitches = 1;
        draw(pixels, i);
        assert_int_equal(asset_trim(a, pixels, SIDE, NULL), DREAMO_OK);
        assert_null(a->refused);
    }
    assert_int_equal(held, 3);
    assert_int_equal(folder_make(folder, NULL), DREAMO_OK);
    assert_int_equal(pack_write(folder, &(pack_lists){ .nassets = SUBJECTS, .nsources = 1, .assets = list, .sources = &source }, NULL), DREAMO_OK);
    for (int i = 0; i < SUBJECTS; i++) asset_free(&list[i]);
}

/* ---- running ---- */

typedef struct run {
    const char *stage, *model, *data, *out, *backend;
    bool resume;
    int steps, stop_after;      /* 0: never */
    const char *more[9];
    int warnings;
    const char *dit, *t5;       /* NULL: the model's own */
} run;

static bool watch(void *user, const dreamo_event *e)
{
    run *r = user;
    r->warnings += e->kind == DREAMO_EVENT_WARNING;
    return !(e->kind == DREAMO_EVENT_STEP && r->stop_after && e->done >= r->stop_after);
}

static dreamo_status train(run *r, dreamo_error *err)
{
    static const char recipe[] = "picture = 32\nbatch = 4\nmicro = 2\nwarmup = 2\nlr = 1e-3\nschedule = constant\nlog_every = 1\nsave_every = 2\n"
                                 "keep = 9\nvalidate_every = 0\nvalidation = 4\nsamples = 1\nrank = 4\nkl = 1e-4\n"
                                 "init = plain\nexport_bf16 = no\n";
    char steps[32], stage[32];
    const char *overrides[11] = { steps, stage };
    int n = 2;
    dreamo_train_options o;
    scratch_write("recipe.conf", recipe, sizeof recipe - 1);
    dreamo_train_options_init(&o);
    snprintf(steps, sizeof steps, "steps=%d", r->steps);
    snprintf(stage, sizeof stage, "stage=%s", r->stage);
    for (int i = 0; i < 9 && r->more[i]; i++) overrides[n++] = r->more[i];
    o.recipe = "recipe.conf";
    o.overrides = overrides;
    o.noverrides = n;
    o.model = r->model ? r->model : MODEL;
    o.dit = r->dit;
    o.t5 = r->t5;
    o.data = r->data ? r->data : "data";
    o.out = r->out;
    o.resume = r->resume;
    o.threads = 2;
    o.backend = r->backend;
    o.progress = watch;
    o.user = r;
    return dreamo_train(&o, err);
}

static void must_train(run *r)
{
    dreamo_error err = { 0 };
    if (train(r, &err)) fail_msg("%s", err.message);
}

/* The losses of a run, from its log. */
static int losses(const char *out, double *loss, int room)
{
    char path[64], line[1024];
    int n = 0;
    long long step;
    snprintf(path, sizeof path, "%s/log.ndjson", out);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (n < room && fgets(line, sizeof line, f)) {
        json_t *o = json_loads(line, 0, NULL);
        assert_non_null(o);
        if (sscanf(line, "{\"step\":%lld,\"loss\":%lf", &step, &loss[n]) == 2) {
            assert_int_equal(step, n + 1);
            n++;
        }
        json_decref(o);
    }
    fclose(f);
    return n;
}

/* ---- tests ---- */

/* The rate rises, falls along a half cosine and ends with the run, an interrupted one, too. */
static void test_rate_falls(void **state)
{
    (void)state;
    static const double want[] = { 5e-4, 1e-3, (1e-3 + 1e-5) / 2, 1e-5 };
    run r = { .stage = "vae", .out = "falls", .steps = 4, .stop_after = 2, .more = { "schedule=cosine", "lr_last=1e-5" } };
    assert_int_equal(train(&r, NULL), DREAMO_CANCELLED);
    r.stop_after = 0;
    r.resume = true;
    must_train(&r);
    char *log;
    size_t n;
    assert_int_equal(file_read("falls/log.ndjson", 1 << 20, &log, &n, NULL), DREAMO_OK);
    const char *at = log;
    for (int i = 0; i < 4; i++) {
        at = strstr(at, "\"lr\":");
        assert_non_null(at);
        at += 5;
        assert_true(fabs(strtod(at, NULL) - want[i]) < 1e-9);
    }
    mem_free(log);
}

/* Losses of ten steps, as this program computed them first; kernels of other machines add in another order. */
static void test_ten_steps(void **state)
{
    (void)state;
    static const struct { const char *stage; double loss[10]; } stored[] = {
#include "train_losses.h"
    };
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        double loss[10];
        run r = { .stage = stored[i].stage, .out = stored[i].stage, .steps = 10 };
        must_train(&r);
        assert_int_equal(losses(r.out, loss, 10), 10);
        for (int k = 0; k < 10; k++)
            if (fabs(loss[k] / stored[i].loss[k] - 1) > 1e-3)
                fail_msg("%s, step %d: loss %.7f, stored %.7f", r.stage, k + 1, loss[k], stored[i].loss[k]);
        assert_int_equal(r.warnings, 0);
    }
}

/* Backends that share no kernel. */
static void test_backends_agree(void **state)
{
    (void)state;
    static const char *const stages[] = { "vae", "base", "adapter" };
    static const struct { const char *backend; double limit; } others[] = { { "cpu", 1e-4 },
#ifdef DREAMO_CUDA
        { "cuda", 3e-4 }, /* AdamW's first step is of one length for every gradient, those that are rounding alone, too */
#endif
    };
    for (int i = 0; i < 3; i++) {
        char out[32];
        double other[2], ref[2];
        snprintf(out, sizeof out, "ref-%s", stages[i]);
        run r = { .stage = stages[i], .out = out, .steps = 2, .backend = "ref", .more = { "picture=16", "routing_loss=1" } };
        must_train(&r);
        assert_int_equal(losses(out, ref, 2), 2);
        for (size_t b = 0; b < sizeof others / sizeof *others; b++) {
            snprintf(out, sizeof out, "%s-%s", others[b].backend, stages[i]);
            r.backend = others[b].backend;
            must_train(&r);
            assert_int_equal(losses(out, other, 2), 2);
            for (int k = 0; k < 2; k++)
                if (!(fabs(other[k] / ref[k] - 1) < others[b].limit)) fail_msg("%s, %s, step %d: %.8g, on ref %.8g", stages[i], others[b].backend, k + 1, other[k], ref[k]);
        }
    }
}

static void same_file(const char *a, const char *b, const char *name)
{
    char path[128], *x, *y;
    size_t n, m;
    snprintf(path, sizeof path, "%s/%s", a, name);
    assert_int_equal(file_read(path, 1 << 28, &x, &n, NULL), DREAMO_OK);
    snprintf(path, sizeof path, "%s/%s", b, name);
    assert_int_equal(file_read(path, 1 << 28, &y, &m, NULL), DREAMO_OK);
    if (n != m || memcmp(x, y, n)) fail_msg("%s differs", name);
    mem_free(x);
    mem_free(y);
}

/* Stopped after three of six steps, resumed: every byte that is trained, and the log, as if nothing had happened. */
static void test_resume_is_exact(void **state)
{
    (void)state;
    static const struct { const char *stage, *optimizer; } kinds[] = {
        { "vae", "adamw" }, { "base", "adamw" }, { "adapter", "adamw" }, { "vae", "muon" }, { "base", "muon" }, { "adapter", "muon" },
        { "vae", "adamw8" }, { "base", "adamw8" }, { "adapter", "adamw8" },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char setting[32], whole[32], parts[32], a[64], b[64];
        double x[6], y[6];
        dreamo_error err = { 0 };
        snprintf(setting, sizeof setting, "optimizer=%s", kinds[i].optimizer);
        snprintf(whole, sizeof whole, "whole-%s-%s", kinds[i].stage, kinds[i].optimizer);
        snprintf(parts, sizeof parts, "parts-%s-%s", kinds[i].stage, kinds[i].optimizer);
        run r = { .stage = kinds[i].stage, .out = whole, .steps = 6, .more = { "ema_every=2", setting } };
        must_train(&r);
        r.out = parts;
        r.stop_after = 3;
        assert_int_equal(train(&r, &err), DREAMO_CANCELLED);
        assert_non_null(strstr(err.message, "stopped after step 3"));
        r.stop_after = 0;
        r.resume = true;
        must_train(&r);
        snprintf(a, sizeof a, "%s/ckpt-000006", whole);
        snprintf(b, sizeof b, "%s/ckpt-000006", parts);
        same_file(a, b, "weights.safetensors");
        same_file(a, b, "optim.safetensors");
        same_file(a, b, "average.safetensors");
        assert_int_equal(losses(whole, x, 6), 6);
        assert_int_equal(losses(parts, y, 6), 6);
        assert_memory_equal(x, y, sizeof x);
        assert_int_equal(r.warnings, 0);
    }
}

/* Products in bf16: the first loss is fp32's but for rounding, later ones drift apart as steps of this length let them; a resumed run is exact. */
static void test_products_in_bf16(void **state)
{
    (void)state;
    static const char *const stages[] = { "base", "adapter" };
    for (int i = 0; i < 2; i++) {
        double exact[6], x[6], y[6], off = 0;
        dreamo_error err = { 0 };
        run r = { .stage = stages[i], .out = i ? "exact-adapter" : "exact-base", .steps = 6, .more = { "optimizer=muon" } };
        must_train(&r);
        assert_int_equal(losses(r.out, exact, 6), 6);
        r.more[1] = "products=bf16";
        r.out = i ? "bf16-adapter" : "bf16-base";
        must_train(&r);
        assert_int_equal(losses(r.out, x, 6), 6);
        r.out = i ? "bf16-adapter-parts" : "bf16-base-parts";
        r.stop_after = 3;
        assert_int_equal(train(&r, &err), DREAMO_CANCELLED);
        r.stop_after = 0;
        r.resume = true;
        must_train(&r);
        assert_int_equal(losses(r.out, y, 6), 6);
        assert_memory_equal(x, y, sizeof x);
        for (int k = 0; k < 6; k++) off = fmax(off, fabs(x[k] / exact[k] - 1));
        if (!(off > 1e-7 && off < 2e-2 && fabs(x[0] / exact[0] - 1) < 1e-3)) fail_msg("%s: losses are %.3g off", stages[i], off);
    }
}

/* The state of one optimizer is no beginning for another, and the message says so. */
static void test_another_optimizer(void **state)
{
    (void)state;
    dreamo_error err = { 0 };
    run r = { .stage = "vae", .out = "optimizers", .steps = 2, .more = { "optimizer=muon" } };
    must_train(&r);
    r.resume = true;
    r.steps = 4;
    r.more[0] = "optimizer=adamw8";
    assert_int_equal(train(&r, &err), DREAMO_MISMATCH);
    assert_non_null(strstr(err.message, "this network with this optimizer"));
}

/* A log without the figures that a second run has otherwise: how long it took. */
static void forget_times(char *log)
{
    static const char *const names[] = { "\"s_per_step\":", "\"samples_per_s\":", "\"left_s\":" };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (char *at = log; (at = strstr(at, names[k]));) {
            at += strlen(names[k]);
            memmove(at, at + strcspn(at, ",}"), strlen(at + strcspn(at, ",}")) + 1);
        }
}

/* model/ is that of the loaded step, whatever a killed process left of it; so are validation, `latest` and the number of checkpoints. */
static void test_resume_does_what_was_due(void **state)
{
    (void)state;
    static const char *const left[] = { "due/model.tmp/x", "due/model.trash/x", "due/ckpt-000009.tmp/x", "due/latest.tmp.77", "due/latest.tmp.77.3", "due/samples/step-000001.png.tmp.9" };
    dreamo_error err = { 0 };
    char *log, *again;
    size_t n, nagain;
    run r = { .stage = "vae", .out = "due", .steps = 3, .more = { "validate_every=3", "save_every=1", "keep=2" } };
    must_train(&r);
    assert_int_equal(copy_folder("due/model", "due-model", SIZE_MAX, &(int){ 0 }, &err), DREAMO_OK);
    assert_int_equal(file_read("due/log.ndjson", 1 << 20, &log, &n, &err), DREAMO_OK);
    char *kept = mem_strdup(log);
    forget_times(kept);
    r.resume = true;
    for (int kind = 0; kind < 4; kind++) {
        if (kind == 0) assert_int_equal(folder_remove("due/model", &err), DREAMO_OK);       /* gone */
        if (kind == 1) scratch_write("due/model/trained.json", "{\"stage\":\"vae\",\"step\":2}", 24); /* of another step */
        if (kind == 1) assert_int_equal(truncate("due/model/vae/diffusion_pytorch_model.safetensors", 9), 0);
        if (kind == 2) assert_int_equal(truncate("due/log.ndjson", (off_t)(strrchr(log, '{') - log) - 12), 0); /* killed before the validation */
        if (kind == 2) assert_int_equal(file_remove("due/report.html", &err), DREAMO_OK); /* which is written after it */
        if (kind == 2) scratch_write("due/latest", "ckpt-000002", 11);
        for (size_t i = 0; kind == 3 && i < sizeof left / sizeof *left; i++) {
            char folder[64];
            snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(left[i], '/') - left[i]), left[i]);
            assert_int_equal(folder_make(folder, &err), DREAMO_OK);
            scratch_write(left[i], "x", 1);
        }
        must_train(&r);
        same_file("due-model", "due/model", "vae/diffusion_pytorch_model.safetensors");
        same_file("due-model", "due/model", "trained.json");
        assert_int_equal(file_read("due/log.ndjson", 1 << 20, &again, &nagain, &err), DREAMO_OK);
        assert_non_null(strstr(again, "{\"step\":3,\"validation\""));
        forget_times(again);
        assert_string_equal(again, kept);
        mem_free(again);
        assert_int_equal(file_read("due/latest", 100, &again, &nagain, &err), DREAMO_OK);
        assert_string_equal(again, "ckpt-000003");
        mem_free(again);
        for (size_t i = 0; i < sizeof left / sizeof *left; i++) assert_false(file_exists(left[i]));
    }
    mem_free(kept);
    mem_free(log);
}

static void test_refusals(void **state)
{
    (void)state;
    dreamo_error err = { 0 };
    run r = { .stage = "vae", .out = "refuse", .steps = 2 };
    must_train(&r);
    assert_int_equal(train(&r, &err), DREAMO_ARG); /* there is a run already */
    assert_non_null(strstr(err.message, "holds a run already"));

    int fd;
    err = (dreamo_error){ 0 };
    r.resume = true;
    r.steps = 3;
    assert_int_equal(file_lock("refuse/lock", &fd, NULL), DREAMO_OK);
    assert_int_equal(train(&r, &err), DREAMO_BUSY);
    file_unlock(fd);

    err = (dreamo_error){ 0 };
    r.more[0] = "seed=2";
    assert_int_equal(train(&r, &err), DREAMO_MISMATCH);
    assert_non_null(strstr(err.message, "seed"));

    err = (dreamo_error){ 0 };
    r.more[0] = NULL;
    make_data("data2");
    scratch_write("data2/more.txt", "x", 1);
    r.data = "data2";
    assert_int_equal(train(&r, &err), DREAMO_MISMATCH);
    assert_non_null(strstr(err.message, "other data"));

    err = (dreamo_error){ 0 };
    r.data = NULL;
    r.stage = "base";
    assert_int_equal(train(&r, &err), DREAMO_MISMATCH);

    err = (dreamo_error){ 0 };
    r = (run){ .stage = "vae", .out = "refuse2", .steps = 2, .more = { "picture=40" } };
    assert_int_equal(train(&r, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "pictures = 40x40"));

    err = (dreamo_error){ 0 };
    r = (run){ .stage = "vae", .out = "nowhere/refuse", .steps = 2 };
    assert_int_equal(train(&r, &err), DREAMO_NOT_FOUND);
    r = (run){ .stage = "vae", .out = "refuse3", .steps = 2, .model = "nowhere" };
    assert_int_equal(train(&r, NULL), DREAMO_NOT_FOUND);
    r = (run){ .stage = "vae", .out = "refuse4", .steps = 2, .data = "nowhere" };
    assert_int_equal(train(&r, NULL), DREAMO_NOT_FOUND);
}

/* A damaged newest checkpoint: one warning, on from the one before. */
static void test_falls_back(void **state)
{
    (void)state;
    run r = { .stage = "vae", .out = "fall", .steps = 4 };
    must_train(&r);
    assert_int_equal(truncate("fall/ckpt-000004/optim.safetensors", 100), 0);
    r.resume = true;
    r.steps = 4;
    must_train(&r);
    assert_int_equal(r.warnings, 1);
    double loss[5];
    assert_int_equal(losses("fall", loss, 5), 4);
}

/* A model folder of its own, to be changed. */
static void copy_model(const char *to)
{
    int skipped = 0;
    assert_int_equal(copy_folder(MODEL, to, SIZE_MAX, &skipped, NULL), DREAMO_OK);
    assert_int_equal(skipped, 0);
}

/* A weight that is not a number: steps are skipped and counted, then the run ends; no checkpoint holds it. */
static void test_nan(void **state)
{
    (void)state;
    copy_model("nan-model");
    st_file f;
    assert_int_equal(st_open("nan-model/vae/diffusion_pytorch_model.safetensors", &f, NULL), DREAMO_OK);
    float bad[16];
    st_tensor *t = st_find(&f, "decoder.conv_in.bias");
    assert_true(t && t->count <= 32);
    for (int i = 0; i < 16; i++) bad[i] = NAN;
    uint16_t bits[32];
    for (int i = 0; i < 32; i++) bits[i] = 0x7FC0; /* bf16 */
    t->data = t->type == DT_F32 ? (const void *)bad : bits;
    assert_int_equal(st_write("bad.safetensors", f.tensors, f.ntensors, NULL, 0, NULL), DREAMO_OK);
    st_close(&f);
    assert_int_equal(rename("bad.safetensors", "nan-model/vae/diffusion_pytorch_model.safetensors"), 0);
    dreamo_error err = { 0 };
    run r = { .stage = "vae", .out = "nan", .steps = 9, .model = "nan-model",
              .more = { "max_skips=3", "save_every=4", "validation=0" } };
    assert_int_equal(train(&r, &err), DREAMO_NUMERIC);
    assert_non_null(strstr(err.message, "step 3"));
    assert_false(folder_exists("nan/ckpt-000004"));
}

static double mean(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] / n;
    return sum;
}

/* Networks without weights begin anew, learn, and come out as a model that opens and generates. */
static void test_from_nothing(void **state)
{
    (void)state;
    double loss[60];
    copy_model("fresh");
    assert_int_equal(remove("fresh/vae/diffusion_pytorch_model.safetensors"), 0);
    run r = { .stage = "vae", .out = "fresh-vae", .steps = 60, .model = "fresh",
              .more = { "save_every=60", "validate_every=60", "sample_every=60", "lr=3e-3" } };
    must_train(&r);
    assert_int_equal(losses(r.out, loss, 60), 60);
    assert_true(mean(loss + 50, 10) < 0.85 * mean(loss, 10));
    assert_true(file_exists("fresh-vae/samples/step-000060.png"));

    char **names;
    int n;
    assert_int_equal(folder_list("fresh-vae/model/transformer", &names, &n, NULL), DREAMO_OK);
    for (int i = 0; i < n; i++) {
        char path[128];
        snprintf(path, sizeof path, "fresh-vae/model/transformer/%s", names[i]);
        if (strcmp(names[i], "config.json") != 0) assert_int_equal(remove(path), 0);
    }
    folder_list_free(names, n);
    assert_int_equal(remove("fresh-vae/model/text_encoder_2/model.safetensors"), 0);
    run b = { .stage = "base", .out = "fresh-base", .steps = 30, .model = "fresh-vae/model",
              .more = { "save_every=30", "validate_every=30", "lr=3e-3" } };
    must_train(&b);
    assert_int_equal(losses(b.out, loss, 40), 30);
    assert_true(mean(loss + 20, 10) < 0.85 * mean(loss, 10));

    run a = { .stage = "adapter", .out = "fresh-adapter", .steps = 4, .model = "fresh-base/model",
              .more = { "save_every=4", "validate_every=4", "sample_every=4", "routing_loss=0.1" } };
    must_train(&a);
    assert_true(file_exists("fresh-adapter/samples/step-000004.png"));
    assert_true(file_exists("fresh-adapter/model/dreamo/dreamo.safetensors"));
    char *log;
    size_t nbytes;
    assert_int_equal(file_read("fresh-adapter/log.ndjson", 1 << 20, &log, &nbytes, NULL), DREAMO_OK);
    assert_non_null(strstr(log, "\"subject.other_minus_right\":"));
    mem_free(log);

    /* Begun from that adapter, at a learning rate of zero: the same adapter. */
    run again = { .stage = "adapter", .out = "again", .steps = 2, .model = "fresh-adapter/model", .more = { "begin=model", "lr=0", "rank=3" } };
    must_train(&again);
    same_file("fresh-adapter/model/dreamo", "again/model/dreamo", "dreamo.safetensors");
    dreamo_error err = { 0 };
    run none = { .stage = "adapter", .out = "none", .steps = 2, .model = "fresh-base/model", .more = { "begin=model" } };
    assert_int_equal(train(&none, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "dreamo.safetensors"));
}

/* The loss of one sample whose subject's tokens weigh 1 + w: (a + w e) / (1 + w c), where a is the plain loss, e the subject's part of it
 * and c the share of the picture that the subject covers.  Two weights tell e and c, a third one must agree. */
static void test_subject_weight(void **state)
{
    (void)state;
    static const char *const weights[4] = { "subject_weight=0", "subject_weight=1", "subject_weight=3", "subject_weight=7" };
    double l[4];
    for (int i = 0; i < 4; i++) {
        char out[32];
        snprintf(out, sizeof out, "weight-%d", i);
        run r = { .stage = "adapter", .out = out, .steps = 2, .more = { "batch=1", "micro=1", weights[i] } };
        double both[2];
        must_train(&r);
        assert_int_equal(losses(out, both, 2), 2);
        l[i] = both[0]; /* nothing has been learnt yet */
    }
    double c = (3 * l[1] - 2 * l[0] - l[2]) / (3 * (l[2] - l[1])), e = l[1] * (1 + c) - l[0];
    assert_true(fabs(l[1] / l[0] - 1) > 1e-3);
    assert_true(c > 0.1 && c < 0.6);
    assert_true(fabs((l[0] + 7 * e) / (1 + 7 * c) / l[3] - 1) < 1e-6);
}

/* The value of a tensor that must be there. */
static const float *numbers(const st_file *f, const char *name)
{
    st_tensor *t = st_find((st_file *)(uintptr_t)f, name);
    assert_non_null(t);
    assert_int_equal(t->type, DT_F32);
    return t->data;
}

/* Even channels: what the encoder's last rows gain, the decoder's first columns lose, so that pictures stay. */
static void test_even_channels(void **state)
{
    (void)state;
    enum { RUNS = 3 };
    static const char *const outs[RUNS] = { "uneven", "even", "visible" };
    st_file f[RUNS];
    for (int i = 0; i < RUNS; i++) {
        char path[64];
        run r = { .stage = "vae", .out = outs[i], .steps = 2, .more = { i ? "even_channels=yes" : "even_channels=no", i == 2 ? "visible_channels=0.5" : NULL } };
        must_train(&r);
        snprintf(path, sizeof path, "%s/model/vae/diffusion_pytorch_model.safetensors", outs[i]);
        assert_int_equal(st_open(path, &f[i], NULL), DREAMO_OK);
    }
    st_tensor *last = st_find(&f[0], "encoder.conv_out.weight"), *first = st_find(&f[0], "decoder.conv_in.weight");
    int n = (int)first->shape[1], moved = 0;
    size_t row = last->count / (size_t)(2 * n), taps = 9;
    const float *w[RUNS], *b[RUNS], *d[RUNS];
    for (int i = 0; i < RUNS; i++) {
        w[i] = numbers(&f[i], "encoder.conv_out.weight");
        b[i] = numbers(&f[i], "encoder.conv_out.bias");
        d[i] = numbers(&f[i], "decoder.conv_in.weight");
    }
    for (int k = 0; k < n; k++) {
        double s = (double)w[1][(size_t)k * row] / w[0][(size_t)k * row];
        moved += fabs(s - 1) > 0.01;
        for (size_t i = 0; i < row; i++) {
            assert_true(fabs(w[1][(size_t)k * row + i] - s * w[0][(size_t)k * row + i]) < 1e-6);
            assert_true(w[1][(size_t)(n + k) * row + i] == w[0][(size_t)(n + k) * row + i]);
        }
        assert_true(fabs(b[1][k] - s * b[0][k]) < 1e-6);
        assert_true(fabs(b[1][n + k] - b[0][n + k] - 2 * log(s)) < 1e-5);
        for (size_t t = 0; t < taps; t++) assert_true(fabs(d[1][(size_t)k * taps + t] * s - d[0][(size_t)k * taps + t]) < 1e-6);
    }
    assert_true(moved > 0);
    /* turned and scaled anew: what goes through both layers is the same, what lies between is not */
    double apart = 0;
    for (size_t i = 0; i < row; i++)
        for (size_t t = 0; t < taps; t++) {
            double through[2] = { 0 };
            for (int k = 0; k < n; k++)
                for (int j = 0; j < 2; j++) through[j] += (double)d[2 * j][(size_t)k * taps + t] * w[2 * j][(size_t)k * row + i];
            assert_true(fabs(through[0] - through[1]) < 1e-5);
        }
    for (int k = 0; k < n; k++) {
        apart += fabs(w[2][(size_t)k * row] - w[1][(size_t)k * row]);
        for (size_t i = 0; i < row; i++) assert_true(w[2][(size_t)(n + k) * row + i] == 0);
    }
    assert_true(apart > 1e-3);
    for (int i = 0; i < RUNS; i++) st_close(&f[i]);
}

/* Kinds, sizes and sides in one batch; the parts of the loss are in the log, every kind is validated, and all of it is drawn. */
static void test_mixture(void **state)
{
    (void)state;
    run r = { .stage = "adapter", .out = "mixture", .steps = 2,
              .more = { "kinds=subject subjects:2 style", "pictures=32x32 48x32:2 16x48", "ref_sides=0 16 32", "routing_loss=1" } };
    char *log;
    size_t nbytes;
    must_train(&r);
    assert_int_equal(file_read("mixture/log.ndjson", 1 << 20, &log, &nbytes, NULL), DREAMO_OK);
    assert_non_null(strstr(log, "\"route\":"));
    mem_free(log);
    run v = { .stage = "adapter", .out = "mixture2", .steps = 2,
              .more = { "kinds=subjects style t2i", "pictures=48x32 32x32", "validate_every=2", "sample_every=2" } };
    must_train(&v);
    assert_int_equal(file_read("mixture2/log.ndjson", 1 << 20, &log, &nbytes, NULL), DREAMO_OK);
    static const char *const names[] = { "\"subjects.right\":", "\"subjects.none_minus_right_error\":", "\"subjects.none_minus_right1\":", "\"style.level4\":", "\"t2i.loss\":" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strstr(log, names[i])) fail_msg("no %s in the log", names[i]);
    mem_free(log);
    assert_true(file_exists("mixture2/samples/step-000002.png"));

    dreamo_error err = { 0 };
    run people = { .stage = "adapter", .out = "people", .steps = 2, .more = { "kinds=id" } };
    assert_int_equal(train(&people, &err), DREAMO_CONTENT);
    assert_non_null(strstr(err.message, "\"id\""));
}

static const char plan_text[] =
    "stage = adapter\npicture = 32\nbatch = 4\nmicro = 2\nsteps = 4\nwarmup = 1\nlr = 1e-3\nlog_every = 1\nsave_every = 2\nkeep = 9\n"
    "validate_every = 0\nrank = 4\nexport_bf16 = no\nema = 0\n"
    "[stage first]\nkinds = subject\nrouting_loss = 1\n"
    "[stage second]\nkinds = subjects:2 style\nrouting_loss = 1\nplaceholder_loss = 1\nplaceholders = 1\ntrain_t5_rows = yes\ntoken_dropout = 0.3\n"
    "[stage found]\nkinds = t2i\nself_reference = yes\nref_crop = 0.3\n"
    "[stage third]\nkinds = t2i\nself_reference = yes\nref_tokens = 0.25\nlr = 0\nlr_last = 0\n"
    "[stage last]\nstage = cfg\nkinds = subject\n";

/* The stages of a plan follow each other from any place where they were stopped, to the same bytes. */
static void test_stages(void **state)
{
    (void)state;
    enum { STAGES = 5 };
    static const char *const names[STAGES] = { "first", "second", "found", "third", "last" };
    dreamo_error err = { 0 };
    dreamo_train_options o;
    scratch_write("plan-stages.conf", plan_text, sizeof plan_text - 1);
    dreamo_train_options_init(&o);
    run watched = { .steps = 0 };
    o.recipe = "plan-stages.conf";
    o.model = MODEL;
    o.data = "data";
    o.threads = 2;
    o.progress = watch;
    o.user = &watched;
    o.out = "stages";
    if (dreamo_train(&o, &err)) fail_msg("%s", err.message);
    o.out = "stages2";
    watched.stop_after = 3; /* in every stage */
    for (int i = 0; i < STAGES; i++) {
        assert_int_equal(dreamo_train(&o, &err), DREAMO_CANCELLED);
        o.resume = true;
    }
    watched.stop_after = 0;
    if (dreamo_train(&o, &err)) fail_msg("%s", err.message);
    for (int i = 0; i < STAGES; i++) {
        char a[64], b[64];
        snprintf(a, sizeof a, "stages/%s/ckpt-000004", names[i]);
        snprintf(b, sizeof b, "stages2/%s/ckpt-000004", names[i]);
        same_file(a, b, "weights.safetensors");
        same_file(a, b, "optim.safetensors");
    }
    /* the third learns nothing at a rate of 0: what it has is what the one before left */
    same_file("stages/found/model/dreamo", "stages/third/model/dreamo", "dreamo.safetensors");
    /* and the last has it beside its own LoRA */
    same_file("stages/third/model/dreamo", "stages/last/model/dreamo", "dreamo.safetensors");
    assert_true(file_exists("stages/last/model/dreamo/cfg.safetensors"));
    char *log;
    size_t nbytes;
    assert_int_equal(file_read("stages/second/log.ndjson", 1 << 20, &log, &nbytes, NULL), DREAMO_OK);
    assert_non_null(strstr(log, "\"holder\":0.")); /* some sample had placeholders */
    mem_free(log);

    /* told before anything is trained */
    static const char wrong[] = "stage = adapter\n[stage a]\nsteps = 10\nwarmup = 2\n[stage b]\nsteps = 10\nlearning = 3\n";
    scratch_write("wrong.conf", wrong, sizeof wrong - 1);
    o.recipe = "wrong.conf";
    o.out = "wrong";
    o.resume = false;
    err = (dreamo_error){ 0 };
    assert_int_equal(dreamo_train(&o, &err), DREAMO_ARG);
    assert_non_null(strstr(err.message, "wrong.conf:7"));
    assert_false(folder_exists("wrong"));
}

/* A target's own rectangle: cut at whole tokens, no smaller than asked for, in many places; and its pixels are the target's. */
static void test_ref_crop(void **state)
{
    (void)state;
    dreamo_error err = { 0 };
    recipe r;
    recipe_defaults(&r);
    r.self_reference = true;
    r.ref_crop = 0.4;
    r.ref_dropout = 0;
    stage s = { .r = &r };
    assert_int_equal(recipe_override(&r, "pictures=64x48", &err), DREAMO_OK);
    if (network_open(&s.n, MODEL, NULL, PARTS_OF_A_MODEL, 0, &err) || data_open("data", &s.data, &err)) fail_msg("%s", err.message);
    int cell = 2 * vae_factor(&s.n.vae->config), whole = 64 / cell * (48 / cell), moved = 0, parts = 0;
    for (uint64_t i = 0; i < 40; i++) {
        flow_item it = { .kind = DATA_T2I, .split = DATA_TRAIN, .index = i, .sigma = -1 };
        if (flow_item_compose(&s, &it, true, &err)) fail_msg("%s", err.message);
        const bitmap *t = it.target, *p = it.shown[0];
        assert_int_equal(it.nrefs, 1);
        assert_true(t->width == 64 && t->height == 48 && p->width % cell == 0 && p->height % cell == 0);
        assert_true(p->width >= lrint(0.4 * 64 / cell) * cell && p->height >= lrint(0.4 * 48 / cell) * cell && p->width <= 64 && p->height <= 48);
        bool found = false;
        for (int y = 0; y + p->height <= 48 && !found; y += cell)
            for (int x = 0; x + p->width <= 64 && !found; x += cell) {
                found = true;
                for (int row = 0; row < p->height && found; row++)
                    found = !memcmp(p->data + (size_t)row * (size_t)p->width * 3, t->data + ((size_t)(y + row) * 64 + (size_t)x) * 3, (size_t)p->width * 3);
                moved += found && (x || y);
            }
        assert_true(found);
        parts += p->width / cell * (p->height / cell) < whole;
        flow_item_free(&it);
    }
    assert_true(moved > 10 && parts > 20);

    /* the whole of it in other sizes: no larger, of whole tokens, of the same mean */
    r.ref_crop = 1;
    r.ref_scale = 0.5;
    unsigned sizes = 0;
    for (uint64_t i = 0; i < 40; i++) {
        flow_item it = { .kind = DATA_T2I, .split = DATA_TRAIN, .index = i, .sigma = -1 };
        if (flow_item_compose(&s, &it, true, &err)) fail_msg("%s", err.message);
        const bitmap *p = it.shown[0];
        double mean[2] = { 0 };
        assert_true(p->width % cell == 0 && p->height % cell == 0 && p->width >= 32 && p->width <= 64 && p->height >= 16 && p->height <= 48);
        for (int k = 0; k < 2; k++) {
            const bitmap *b = k ? p : it.target;
            size_t n = (size_t)b->width * (size_t)b->height * 3;
            for (size_t j = 0; j < n; j++) mean[k] += b->data[j] / (double)n;
        }
        if (fabs(mean[0] - mean[1]) > 3) fail_msg("%d x %d has mean %g instead of %g", p->width, p->height, mean[1], mean[0]);
        sizes |= 1u << (p->width / cell);
        flow_item_free(&it);
    }
    assert_true((sizes & (sizes - 1)) != 0);
    data_close(s.data);
    network_close(&s.n);
}

/* A number of the last validation in a run's log. */
static double validated(const char *out, const char *name)
{
    char path[64], key[64], *log;
    size_t nbytes;
    snprintf(path, sizeof path, "%s/log.ndjson", out);
    snprintf(key, sizeof key, "\"%s\":", name);
    assert_int_equal(file_read(path, 1 << 20, &log, &nbytes, NULL), DREAMO_OK);
    const char *at = NULL;
    for (const char *p = log; (p = strstr(p, key)) != NULL; p++) at = p;
    if (!at) fail_msg("%s: no %s", out, name);
    double value = strtod(at + strlen(key), NULL);
    mem_free(log);
    return value;
}

/* A picture by a model folder's own LoRAs, without its adapter, or with another true CFG than its own (0). */
static uint64_t made_by(const char *model, bool own, double true_cfg)
{
    dreamo_error err = { 0 };
    dreamo_model *m;
    dreamo_model_options o;
    dreamo_image made;
    dreamo_request q;
    dreamo_model_options_init(&o);
    o.dir = model;
    o.no_default_lora = !own;
    if (dreamo_open(&o, &m, &err)) fail_msg("%s", err.message);
    dreamo_request_init(&q);
    q.prompt = "a cat";
    q.steps = 2;
    q.true_cfg = true_cfg;
    if (dreamo_generate(m, &q, &made, &err)) fail_msg("%s", err.message);
    uint64_t hash = hash_fnv1a((const char *)made.rgb, (size_t)made.width * (size_t)made.height * 3);
    dreamo_image_free(&made);
    dreamo_close(m);
    return hash;
}

/* LoRAs on top of DreamO's adapter: one pass comes near to what true CFG says; none of them moves the adapter. */
static void test_after(void **state)
{
    (void)state;
    run first = { .stage = "adapter", .out = "after-adapter", .steps = 4, .more = { "save_every=4", "lr=1e-2" } };
    must_train(&first);
    static const char defaults[] = "{\"width\": 32, \"height\": 32, \"ref_res\": 32, \"true_cfg\": 3}";
    scratch_write("after-adapter/model/dreamo/defaults.json", defaults, sizeof defaults - 1);
    run c = { .stage = "cfg", .out = "cfg", .model = "after-adapter/model", .steps = 80,
              .more = { "lr=1e-2", "rank=16", "validate_every=80", "save_every=80" } };
    must_train(&c);
    if (validated("cfg", "apart") > 0.5 * validated("cfg", "apart_before"))
        fail_msg("cfg: %g from the teacher, %g before", validated("cfg", "apart"), validated("cfg", "apart_before"));
    run never = { .stage = "cfg", .out = "never", .model = "after-adapter/model", .steps = 2, .more = { "cfg_above=1", "lr=0", "rank=2", "validate_every=2", "save_every=2" } };
    must_train(&never);
    assert_true(validated("never", "apart") < 1e-9 && validated("never", "teacher_loss") == validated("never", "loss")); /* a teacher that never guides says what one pass says */
    assert_true(file_exists("cfg/model/dreamo/cfg.safetensors"));
    same_file("after-adapter/model/dreamo", "cfg/model/dreamo", "dreamo.safetensors");
    /* 3 is the default: by two passes without it, with it by the one that 1 asks for; 4 is a third more than that pass says */
    uint64_t two = made_by("after-adapter/model", true, 0), one = made_by("cfg/model", true, 0);
    assert_true(two == made_by("after-adapter/model", true, 3) && two != made_by("after-adapter/model", true, 1));
    assert_true(one == made_by("cfg/model", true, 3) && one == made_by("cfg/model", true, 1) && one != two);
    assert_true(made_by("cfg/model", true, 4) != one && made_by("cfg/model", false, 0) == made_by("cfg/model", false, 3) && made_by("cfg/model", false, 0) != made_by("cfg/model", false, 1));

    /* going on from it at a rate of 0 is where it was; there is nothing to go on from where there is none */
    dreamo_error err = { 0 };
    run further = { .stage = "cfg", .out = "further", .model = "cfg/model", .steps = 2, .more = { "lr=0", "begin=model", "rank=2", "save_every=2" } };
    must_train(&further);
    same_file("cfg/model/dreamo", "further/model/dreamo", "cfg.safetensors");
    run nowhere = { .stage = "dpo", .out = "nowhere", .model = "cfg/model", .steps = 2, .more = { "begin=model" } };
    assert_int_equal(train(&nowhere, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "dpo.safetensors"));
    assert_non_null(strstr(err.hint, "begin = fresh"));

    /* what else the folder has lies beneath: to another LoRA, which says nothing yet, the network is what the one pass was */
    run bare = { .stage = "sft", .out = "bare", .model = "after-adapter/model", .steps = 2, .more = { "lr=0", "validate_every=2", "save_every=2" } };
    run atop = { .stage = "sft", .out = "atop", .model = "cfg/model", .steps = 2, .more = { "lr=0", "validate_every=2", "save_every=2" } };
    must_train(&bare);
    must_train(&atop);
    if (fabs(validated("atop", "subject.right") - validated("cfg", "loss")) > 2e-3 * validated("cfg", "loss") || fabs(validated("bare", "subject.right") - validated("cfg", "loss")) < 0.02)
        fail_msg("sft: %g on cfg, which has %g; %g without it", validated("atop", "subject.right"), validated("cfg", "loss"), validated("bare", "subject.right"));
    assert_true(made_by("atop/model", true, 0) == one && file_exists("atop/model/dreamo/sft.safetensors"));

    /* an adapter that goes on keeps it, a fresh one does not */
    run on = { .stage = "adapter", .out = "on", .model = "cfg/model", .steps = 2, .more = { "save_every=2", "begin=model" } };
    run anew = { .stage = "adapter", .out = "anew", .model = "cfg/model", .steps = 2, .more = { "save_every=2" } };
    must_train(&on);
    must_train(&anew);
    assert_true(file_exists("on/model/dreamo/cfg.safetensors") && !file_exists("anew/model/dreamo/cfg.safetensors"));

    /* before a step is made the network is what it was: every pair is undecided */
    run d = { .stage = "dpo", .out = "dpo", .model = "after-adapter/model", .steps = 4, .more = { "lr=1e-2", "rejected=style", "validate_every=4" } };
    double loss[4];
    must_train(&d);
    assert_int_equal(losses("dpo", loss, 4), 4);
    assert_true(fabs(loss[0] - log(2)) < 1e-6);
    assert_true(fabs(loss[3] - log(2)) > 1e-4);
    assert_true(validated("dpo", "ahead") >= 0 && validated("dpo", "right_before") <= 1);
    assert_true(file_exists("dpo/model/dreamo/dpo.safetensors"));
    same_file("after-adapter/model/dreamo", "dpo/model/dreamo", "dreamo.safetensors");

    run s = { .stage = "sft", .out = "sft", .model = "after-adapter/model", .steps = 2, .more = { "sample_every=2", "save_every=2" } };
    must_train(&s);
    assert_true(file_exists("sft/samples/step-000002.png"));

    err = (dreamo_error){ 0 };
    run odd = { .stage = "dpo", .out = "odd", .model = "after-adapter/model", .steps = 2, .more = { "micro=1" } };
    assert_int_equal(train(&odd, &err), DREAMO_ARG);
    err = (dreamo_error){ 0 };
    run none = { .stage = "cfg", .out = "no-adapter", .steps = 2 };
    assert_int_equal(train(&none, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "dreamo.safetensors"));
}

/* The base's own pictures: again the same, and made only once. */
static void test_distil(void **state)
{
    (void)state;
    dreamo_error err = { 0 };
    dreamo_distil_options o;
    dreamo_distil_options_init(&o);
    o.model = MODEL;
    o.data = "data";
    o.kinds = "t2i subject";
    o.pictures = "32x32 16x32";
    o.count = 3;
    static const char *const outs[2] = { "distilled", "again-distilled" };
    for (int i = 0; i < 2; i++) {
        o.out = outs[i];
        if (i) o.vae = MODEL "/vae/diffusion_pytorch_model.safetensors"; /* the same one, named apart */
        if (dreamo_dataset_distil(&o, &err)) fail_msg("%s", err.message);
    }
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "%06d.txt", i);
        same_file(outs[0], outs[1], name);
        snprintf(name, sizeof name, "%06d.png", i);
        same_file(outs[0], outs[1], name);
    }
    scratch_write("distilled/000001.txt", "mine", 4); /* is there, so it stays */
    o.out = outs[0];
    o.count = 4;
    assert_int_equal(dreamo_dataset_distil(&o, &err), DREAMO_OK);
    char *text;
    size_t nbytes;
    assert_int_equal(file_read("distilled/000001.txt", 100, &text, &nbytes, NULL), DREAMO_OK);
    assert_string_equal(text, "mine");
    mem_free(text);
    assert_true(file_exists("distilled/000003.png"));
}

static void test_plan(void **state)
{
    (void)state;
    static const char recipe[] = "stage = base\npicture = 32\nbatch = 8\nmicro = 2\n";
    dreamo_train_options o;
    dreamo_train_costs c;
    scratch_write("plan.conf", recipe, sizeof recipe - 1);
    dreamo_train_options_init(&o);
    o.recipe = "plan.conf";
    o.model = MODEL;
    assert_int_equal(dreamo_train_plan(&o, &c, NULL), DREAMO_OK);
    assert_int_equal(c.batch, 8);
    assert_int_equal(c.tokens, 8 * (512 + 4));
    /* values, gradients, two moments, the average; parameters begin at multiples of 16 numbers */
    assert_true(c.param_bytes >= (uint64_t)c.parameters * 20 && c.param_bytes < (uint64_t)c.parameters * 20 + 20 * 16 * 1000);
    assert_true(c.flops > 0 && c.ops > 100 && c.work_bytes > 0 && c.frozen > 0);
    assert_true(c.seconds > 0 && c.weight_bytes > 1000000);
    assert_true(c.peak_bytes > c.param_bytes + c.work_bytes && c.peak_bytes < c.param_bytes + c.work_bytes + c.weight_bytes + (256u << 20));
    double once = c.flops;
    static const char *const half[] = { "batch=4" };
    o.overrides = half;
    o.noverrides = 1;
    assert_int_equal(dreamo_train_plan(&o, &c, NULL), DREAMO_OK);
    assert_true(fabs(c.flops * 2 / once - 1) < 1e-9);
}

static void decode(const char *in, const char *out)
{
    dreamo_error err = { 0 };
    dreamo_convert_options o;
    dreamo_convert_options_init(&o);
    o.in = in;
    o.model = MODEL;
    o.out = out;
    o.to = "f32";
    if (dreamo_convert(&o, &err)) fail_msg("%s", err.message);
}

/* A base in ggml's blocks, in files of its own, is trained on as the same numbers decoded are: losses, sheets and what is exported. */
static void test_stored_base(void **state)
{
    static const char dit[] = TEST_DATA "/layouts/flux1-dev-Q4_0.gguf", t5[] = TEST_DATA "/layouts/t5xxl-Q8_0.gguf";
    double loss[2][2];
    st_file made[2];
    (void)state;
    decode(dit, "dit.safetensors");
    decode(t5, "t5.safetensors");
    for (int i = 0; i < 2; i++) {
        run r = { .stage = "adapter", .out = i ? "decoded" : "blocks", .steps = 2, .more = { "train_t5_rows=yes", "sample_every=2" },
                  .dit = i ? "dit.safetensors" : dit, .t5 = i ? "t5.safetensors" : t5 };
        must_train(&r);
        assert_int_equal(losses(r.out, loss[i], 2), 2);
        assert_int_equal(st_open(i ? "decoded/model/dreamo/dreamo.safetensors" : "blocks/model/dreamo/dreamo.safetensors", &made[i], NULL), DREAMO_OK);
    }
    for (int k = 0; k < 2; k++) assert_true(fabs(loss[0][k] - loss[1][k]) < 1e-5);
    /* rows that the adapter began from the encoder's table */
    const st_tensor *a = st_find(&made[0], "dreamo_t5_embedding.weight"), *b = st_find(&made[1], "dreamo_t5_embedding.weight");
    double difference = 0, size = 0;
    for (size_t i = 0; i < a->count; i++) {
        difference += pow((double)((const float *)a->data)[i] - ((const float *)b->data)[i], 2);
        size += pow(((const float *)a->data)[i], 2);
    }
    assert_true(size > 0 && difference < 1e-6 * size);
    assert_true(file_exists("blocks/samples/step-000002.png"));
    st_close(&made[0]);
    st_close(&made[1]);
    dreamo_error err = { 0 };
    run wrong = { .stage = "adapter", .out = "stored-wrong", .steps = 2, .dit = t5 };
    assert_int_equal(train(&wrong, &err), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "t5xxl-Q8_0.gguf"));
}

static int enter(void **state)
{
    if (scratch_enter(state)) return -1;
    make_data("data");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan), cmocka_unit_test(test_stored_base), cmocka_unit_test(test_ten_steps), cmocka_unit_test(test_rate_falls), cmocka_unit_test(test_resume_is_exact),
        cmocka_unit_test(test_another_optimizer), cmocka_unit_test(test_products_in_bf16),
        cmocka_unit_test(test_resume_does_what_was_due),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_falls_back), cmocka_unit_test(test_nan), cmocka_unit_test(test_backends_agree),
        cmocka_unit_test(test_from_nothing), cmocka_unit_test(test_even_channels),
        cmocka_unit_test(test_subject_weight), cmocka_unit_test(test_mixture), cmocka_unit_test(test_stages), cmocka_unit_test(test_ref_crop), cmocka_unit_test(test_distil),
        cmocka_unit_test(test_after),
    };
    return cmocka_run_group_tests(tests, enter, scratch_leave);
}
