/* test_request.c - what a request may say, what is refused and how, what events tell; and the model folder's own defaults. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "dreamo.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MODEL TEST_DATA "/models/tiny"
#define DREAMO_LORA TEST_DATA "/lora/tiny/dreamo.safetensors"
#define TOY TEST_DATA "/cases/plain/toy.png"

/* What the events said: the last line of each kind, and when to stop. */
typedef struct listener { char line[6][400]; int steps, stop_after; } listener;

static bool listen(void *user, const dreamo_event *e)
{
    listener *l = user;
    if (e->text) snprintf(l->line[e->kind], sizeof l->line[e->kind], "%s", e->text);
    if (e->kind == DREAMO_EVENT_STEP) l->steps++;
    return !l->stop_after || l->steps < l->stop_after;
}

static listener heard;

static dreamo_model *open_model(const char *dir, float scale, dreamo_status want)
{
    dreamo_model_options o;
    dreamo_lora lora = { DREAMO_LORA, scale };
    dreamo_model *m = NULL;
    dreamo_error err = { 0 };
    dreamo_model_options_init(&o);
    o.dir = dir;
    o.loras = &lora;
    o.nloras = scale != 0;
    o.cutter = "plain"; /* whatever lies beside the shipped model */
    o.networks = TEST_DATA;
    o.threads = 1;
    if (dreamo_open(&o, &m, &err) != want) fail_msg("%s: %s", dir ? dir : "default", err.message);
    return m;
}

static dreamo_request small_request(void)
{
    dreamo_request r;
    dreamo_request_init(&r);
    r.prompt = "a toy";
    r.width = r.height = 32;
    r.steps = 1;
    r.progress = listen;
    r.user = &heard;
    heard = (listener){ 0 };
    return r;
}

static void expect(dreamo_model *m, const dreamo_request *r, dreamo_status want, const char *words)
{
    dreamo_image out;
    dreamo_error err = { 0 };
    dreamo_status s = dreamo_generate(m, r, &out, &err);
    if (s != want || !strstr(err.message, words)) fail_msg("status %d \"%s\", expected %d \"%s\"", s, err.message, want, words);
    if (s != DREAMO_OK) assert_true(!out.rgb && !out.metadata);
    dreamo_image_free(&out);
}

#define REFUSED(status, words, ...)                                         \
    do {                                                                    \
        dreamo_request r = small_request();                                 \
        __VA_ARGS__;                                                        \
        expect(m, &r, status, words);                                       \
    } while (0)

static void test_numbers(void **state)
{
    dreamo_model *m = *state;
    REFUSED(DREAMO_ARG, "width 33 is not a multiple of 16; the nearest are 32 and 48", r.width = 33);
    REFUSED(DREAMO_ARG, "height 1000 is not a multiple of 16; the nearest are 992 and 1008", r.height = 1000);
    REFUSED(DREAMO_ARG, "height -8: the smallest is 16", r.height = -8);
    REFUSED(DREAMO_ARG, "width 1000000000: the largest is 4096", r.width = 1000000000);
    REFUSED(DREAMO_ARG, "steps -1", r.steps = -1);
    REFUSED(DREAMO_LIMIT, "steps 61: allowed is 1 to 60", r.steps = 61);
    REFUSED(DREAMO_ARG, "guidance nan", r.guidance = NAN);
    REFUSED(DREAMO_ARG, "guidance inf", r.guidance = INFINITY);
    REFUSED(DREAMO_ARG, "true CFG 0.5", r.true_cfg = 0.5);
    REFUSED(DREAMO_ARG, "in steps 3 to 1", r.cfg_start = 3, r.cfg_end = 1);
    REFUSED(DREAMO_ARG, "noise \"pink\"", r.noise = "pink");
    REFUSED(DREAMO_ARG, "UTF-8", r.prompt = "caf\xe9");
    REFUSED(DREAMO_ARG, "the prompt is missing", r.prompt = NULL);
    REFUSED(DREAMO_NOT_FOUND, "no/such", r.dump = "no/such/folder");
    REFUSED(DREAMO_OK, "");
}

static void test_references(void **state)
{
    dreamo_model *m = *state;
    dreamo_reference refs[10] = { 0 };
    for (int i = 0; i < 10; i++) refs[i] = (dreamo_reference){ .task = DREAMO_IP, .path = TOY, .res = 32, .cut = DREAMO_CUT_OFF };
#define REFS(count) r.refs = refs, r.nrefs = (count)
    REFUSED(DREAMO_LIMIT, "10 references: the model takes 9", REFS(10));
    REFUSED(DREAMO_OK, "", REFS(9));
    refs[1].slot = 1;
    REFUSED(DREAMO_ARG, "reference 2: slot 1 is taken", REFS(2));
    refs[1].slot = 10;
    REFUSED(DREAMO_ARG, "slot 10, this model has 1 to 9", REFS(2));
    refs[1].slot = 0;
    refs[1].res = 7;
    REFUSED(DREAMO_ARG, "reference 2: res 7", REFS(2));
    refs[0].path = "nosuch.png";
    REFUSED(DREAMO_NOT_FOUND, "nosuch.png", REFS(1));
    refs[0].path = TEST_DATA "/cases/plain/case.json";
    REFUSED(DREAMO_FORMAT, "case.json", REFS(1));
    refs[0].path = NULL;
    REFUSED(DREAMO_ARG, "neither a file nor pixels", REFS(1));
    dreamo_model *plain = open_model(MODEL, 0, DREAMO_OK);
    dreamo_request r = small_request();
    REFS(1);
    expect(plain, &r, DREAMO_MISMATCH, "references need DreamO's adapter");
    dreamo_close(plain);
}

/* Pixels drawn here: a square on a ground that is white, one colour, or a ramp. */
static void test_backgrounds(void **state)
{
    dreamo_model *m = *state;
    static uint8_t rgb[48 * 48 * 3];
    dreamo_image im = { .width = 48, .height = 48, .rgb = rgb };
    dreamo_reference ref = { .task = DREAMO_IP, .image = &im, .res = -1 };
    dreamo_request r = small_request();
    r.refs = &ref;
    r.nrefs = 1;
    memset(rgb, 255, sizeof rgb);
    expect(m, &r, DREAMO_OK, "");
    assert_non_null(strstr(heard.line[DREAMO_EVENT_REF], "white background, 48x48"));
    assert_string_equal(heard.line[DREAMO_EVENT_WARNING], "");
    memset(rgb, 120, sizeof rgb);
    expect(m, &r, DREAMO_OK, "");
    assert_non_null(strstr(heard.line[DREAMO_EVENT_WARNING], "nothing was found to cut out"));
    for (int y = 16; y < 32; y++) memset(rgb + 3 * (48 * y + 16), 20, 3 * 16);
    heard = (listener){ 0 };
    expect(m, &r, DREAMO_OK, "");
    assert_non_null(strstr(heard.line[DREAMO_EVENT_REF], "cut out by its plain background"));
    assert_string_equal(heard.line[DREAMO_EVENT_WARNING], "");
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(i * 5 / 48);
    expect(m, &r, DREAMO_OK, "");
    assert_non_null(strstr(heard.line[DREAMO_EVENT_WARNING], "neither alpha nor a plain background"));
    heard = (listener){ 0 };
    ref.cut = DREAMO_CUT_OFF;
    expect(m, &r, DREAMO_OK, "");
    assert_string_equal(heard.line[DREAMO_EVENT_WARNING], "");
    ref.cut = DREAMO_CUT_BEST;
    ref.task = DREAMO_ID;
    expect(m, &r, DREAMO_OK, "");
    assert_non_null(strstr(heard.line[DREAMO_EVENT_WARNING], "no network that finds faces is there"));
    im.height = 15;
    expect(m, &r, DREAMO_CONTENT, "a reference needs at least 16");
}

static void test_warnings(void **state)
{
    dreamo_model *m = *state;
    char *text = mem_calloc(1, 6000);
    assert_non_null(text);
    for (int i = 0; i < 1100; i++) memcpy(text + 5 * i, "word ", 5);
    dreamo_request r = small_request();
    r.prompt = text;
    expect(m, &r, DREAMO_OK, "");
    assert_non_null(strstr(heard.line[DREAMO_EVENT_WARNING], "it does not see: \""));
    mem_free(text);
    r = small_request();
    r.negative = "blurry";
    expect(m, &r, DREAMO_OK, "");
    assert_non_null(strstr(heard.line[DREAMO_EVENT_WARNING], "no effect: true CFG is 1"));
}

/* Embeddings from a cache make the same picture; a damaged file is made again; another prompt or adapter has its own. */
static void test_cache(void **state)
{
    (void)state;
    dreamo_model_options o;
    dreamo_error err = { 0 };
    dreamo_image first = { 0 }, again = { 0 };
    char **names, folder[] = "cache-XXXXXX";
    int n;
    assert_non_null(mkdtemp(folder));
    const dreamo_lora lora = { TEST_DATA "/lora/kinds/text.safetensors", 1 };
    for (int run = 0; run < 4; run++) { /* made, taken, damaged and made again, adapted */
        dreamo_model *m;
        dreamo_model_options_init(&o);
        o.dir = TEST_DATA "/models/tiny";
        o.cache = folder;
        o.threads = 1;
        o.loras = &lora;
        o.nloras = run == 3;
        if (run == 2) {
            assert_int_equal(folder_list(folder, &names, &n, &err), DREAMO_OK);
            for (int i = 0; i < n; i++) {
                char path[300];
                snprintf(path, sizeof path, "%s/%s", folder, names[i]);
                FILE *f = fopen(path, "r+");
                assert_int_equal(fseek(f, -5000, SEEK_END), 0);
                fputc(77, f);
                fclose(f);
            }
            folder_list_free(names, n);
        }
        if (dreamo_open(&o, &m, &err)) fail_msg("%s", err.message);
        dreamo_request r = small_request();
        r.true_cfg = 2;
        r.nrefs = 0;
        dreamo_plan plan;
        assert_int_equal(dreamo_plan_request(m, &r, &plan, &err), DREAMO_OK);
        static int64_t ops;
        if (run == 0) ops = plan.ops;
        assert_true(run == 1 ? plan.ops < ops : plan.ops == ops);
        if (dreamo_generate(m, &r, &again, &err)) fail_msg("%s", err.message);
        if (run == 0) first = again, again = (dreamo_image){ 0 };
        else if (run < 3) assert_memory_equal(first.rgb, again.rgb, (size_t)first.width * (size_t)first.height * 3);
        else assert_memory_not_equal(first.rgb, again.rgb, (size_t)first.width * (size_t)first.height * 3);
        dreamo_image_free(&again);
        dreamo_close(m);
        assert_int_equal(folder_list(folder, &names, &n, &err), DREAMO_OK);
        assert_int_equal(n, run < 3 ? 2 : 4); /* two prompts each */
        folder_list_free(names, n);
    }
    dreamo_image_free(&first);
    assert_int_equal(folder_remove(folder, &err), DREAMO_OK);
}

/* The same request gives the same bytes; after a stop, too. */
static void test_repeat_and_cancel(void **state)
{
    dreamo_model *m = *state;
    dreamo_request r = small_request();
    dreamo_image a, b;
    r.steps = 3;
    r.seed = 17;
    assert_int_equal(dreamo_generate(m, &r, &a, NULL), DREAMO_OK);
    assert_int_equal(heard.steps, 3);
    heard = (listener){ .stop_after = 2 };
    expect(m, &r, DREAMO_CANCELLED, "stopped");
    assert_int_equal(heard.steps, 2);
    heard = (listener){ 0 };
    assert_int_equal(dreamo_generate(m, &r, &b, NULL), DREAMO_OK);
    assert_memory_equal(a.rgb, b.rgb, 32 * 32 * 3);
    assert_string_equal(a.metadata, b.metadata);
    assert_non_null(strstr(a.metadata, "\"seed\":17"));
    assert_non_null(strstr(a.metadata, "\"loras\":[{\"sha256\":\""));
    dreamo_image_free(&b);
    r.seed = 18;
    assert_int_equal(dreamo_generate(m, &r, &b, NULL), DREAMO_OK);
    assert_memory_not_equal(a.rgb, b.rgb, 32 * 32 * 3);
    dreamo_image_free(&a);
    dreamo_image_free(&b);
}

static void test_plan(void **state)
{
    dreamo_model *m = *state;
    dreamo_request r = small_request();
    dreamo_plan one, four;
    dreamo_error err = { 0 };
    assert_int_equal(dreamo_plan_request(m, &r, &one, &err), DREAMO_OK);
    r.steps = 4;
    assert_int_equal(dreamo_plan_request(m, &r, &four, &err), DREAMO_OK);
    assert_int_equal(one.tokens, 512 + 4);
    assert_int_equal(four.steps, 4);
    assert_true(four.flops > one.flops && four.work_bytes == one.work_bytes && one.weight_bytes > 5000000 && one.seconds > 0);
    assert_int_equal(heard.steps, 0);
}

static void test_numeric(void **state)
{
    (void)state;
    dreamo_model *m = open_model(MODEL, 1e30f, DREAMO_OK);
    dreamo_request r = small_request();
    r.steps = 2;
    expect(m, &r, DREAMO_NUMERIC, "step 1 of 2");
    dreamo_close(m);
}

/* ---- a folder with its own adapter and defaults ---- */

static void link_part(const char *part)
{
    char from[512], to[64];
    snprintf(from, sizeof from, "%s/%s", MODEL, part);
    snprintf(to, sizeof to, "own_model/%s", part);
    assert_int_equal(symlink(from, to), 0);
}

/* A folder like the model's, all but the autoencoder. */
static void link_model(void)
{
    static const char *const parts[] = { "model_index.json", "transformer", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler" };
    folder_remove("own_model", NULL);
    assert_int_equal(folder_make("own_model", NULL), DREAMO_OK);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) link_part(parts[i]);
}

/* Of four steps (noise 1, 0.83, 0.61, 0.35) those above 0.6, unless the request names others. */
static void own_window(dreamo_model *m, dreamo_request r)
{
    static const struct { int start, end; const char *seen; } rows[] = { { 0, 0, "\"start\":0,\"end\":3," }, { 0, 4, "\"start\":0,\"end\":4," }, { 1, 2, "\"start\":1,\"end\":2," } };
    dreamo_image out;
    dreamo_error err;
    r.steps = 4;
    r.true_cfg = 2;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        r.cfg_start = rows[i].start;
        r.cfg_end = rows[i].end;
        assert_int_equal(dreamo_generate(m, &r, &out, &err), DREAMO_OK);
        if (!strstr(out.metadata, rows[i].seen)) fail_msg("%s", out.metadata);
        dreamo_image_free(&out);
    }
}

/* Sides of the second of two references: the model's for several where the first takes room in the picture, too, which a style does not. */
static void own_sides(dreamo_model *m, dreamo_request r)
{
    static const struct { dreamo_task first, second; const char *seen; } rows[] = {
        { DREAMO_IP, DREAMO_IP, "48x48 from 64x64" }, { DREAMO_IP, DREAMO_ID, "16x16 from 64x64" }, { DREAMO_STYLE, DREAMO_IP, "32x32 from 64x64" }, { DREAMO_STYLE, DREAMO_ID, "32x32 from 64x64" },
    };
    dreamo_image out;
    dreamo_error err;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dreamo_reference both[2] = { { .task = rows[i].first, .path = TOY, .cut = DREAMO_CUT_OFF }, { .task = rows[i].second, .path = TOY, .cut = DREAMO_CUT_OFF } };
        r.refs = both;
        r.nrefs = 2;
        assert_int_equal(dreamo_generate(m, &r, &out, &err), DREAMO_OK);
        if (!strstr(heard.line[DREAMO_EVENT_REF], rows[i].seen)) fail_msg("row %zu: %s", i, heard.line[DREAMO_EVENT_REF]);
        dreamo_image_free(&out);
    }
}

static void test_own_adapter(void **state)
{
    (void)state;
    static const char text[] = "{\"width\": 48, \"height\": 32, \"steps\": 2, \"guidance\": 2.5, \"true_cfg_above\": 0.6, \"ref_res\": 32, \"ref_res_several\": 48, \"ref_res_faces\": 16}";
    dreamo_error err = { 0 };
    link_model();
    assert_int_equal(folder_make("own_model/dreamo", &err), DREAMO_OK);
    link_part("vae");
    assert_int_equal(symlink(DREAMO_LORA, "own_model/dreamo/dreamo.safetensors"), 0);
    assert_int_equal(file_replace("own_model/dreamo/defaults.json", text, sizeof text - 1, &err), DREAMO_OK);

    assert_int_equal(setenv("DREAMO_MODEL", "own_model/", 1), 0);
    assert_string_equal(dreamo_default_model(), "own_model/");
    dreamo_model *m = open_model(NULL, 0, DREAMO_OK);
    dreamo_request r = small_request();
    dreamo_reference ref = { .task = DREAMO_STYLE, .path = TOY };
    dreamo_image out;
    r.width = r.height = r.steps = 0;
    r.refs = &ref;
    r.nrefs = 1;
    assert_int_equal(dreamo_generate(m, &r, &out, &err), DREAMO_OK);
    assert_true(out.width == 48 && out.height == 32 && heard.steps == 2);
    assert_non_null(strstr(out.metadata, "\"guidance\":2.5"));
    assert_non_null(strstr(heard.line[DREAMO_EVENT_REF], "32x32 from 64x64"));
    dreamo_image_free(&out);
    own_window(m, r);
    own_sides(m, r);
    dreamo_close(m);

    assert_int_equal(file_replace("own_model/dreamo/defaults.json", "{\"steps\": 0}", 12, &err), DREAMO_OK);
    assert_null(open_model("own_model", 0, DREAMO_FORMAT));
    assert_null(open_model("no_model", 0, DREAMO_NOT_FOUND));
    assert_null(open_model(TOY, 0, DREAMO_FORMAT));
    assert_int_equal(folder_remove("own_model", &err), DREAMO_OK);
    assert_true(file_exists(DREAMO_LORA)); /* the link went, not what it points to */
}

/* A weight file that is cut while the model is open: refused by name, not a crash. */
static void test_file_cut(void **state)
{
    (void)state;
    static const char *const copied[] = { "config.json", "diffusion_pytorch_model.safetensors" };
    dreamo_error err = { 0 };
    link_model();
    assert_int_equal(folder_make("own_model/vae", &err), DREAMO_OK);
    for (int i = 0; i < 2; i++) {
        char from[512], to[64], *data;
        size_t nbytes;
        snprintf(from, sizeof from, "%s/vae/%s", MODEL, copied[i]);
        snprintf(to, sizeof to, "own_model/vae/%s", copied[i]);
        assert_int_equal(file_read(from, 1 << 20, &data, &nbytes, &err), DREAMO_OK);
        assert_int_equal(file_replace(to, data, nbytes, &err), DREAMO_OK);
        mem_free(data);
    }
    dreamo_model *m = open_model("own_model", 0, DREAMO_OK);
    dreamo_request r = small_request();
    expect(m, &r, DREAMO_OK, "");
    assert_int_equal(truncate("own_model/vae/diffusion_pytorch_model.safetensors", 1000), 0);
    expect(m, &r, DREAMO_IO, "own_model/vae/diffusion_pytorch_model.safetensors");
    dreamo_close(m);
    assert_int_equal(folder_remove("own_model", &err), DREAMO_OK);
}

static int open_shared(void **state)
{
    *state = open_model(MODEL, 1, DREAMO_OK);
    return 0;
}

static int close_shared(void **state)
{
    dreamo_close(*state);
    return mem_live() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_references), cmocka_unit_test(test_backgrounds), cmocka_unit_test(test_warnings), cmocka_unit_test(test_cache),
        cmocka_unit_test(test_repeat_and_cancel), cmocka_unit_test(test_plan), cmocka_unit_test(test_numeric), cmocka_unit_test(test_own_adapter), cmocka_unit_test(test_file_cut),
    };
    return cmocka_run_group_tests(tests, open_shared, close_shared);
}
