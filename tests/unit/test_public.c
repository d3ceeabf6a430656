/* test_public.c - what the public functions make of missing pointers, of options from other headers, and of their own callbacks. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "dreamo.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MODEL TEST_DATA "/models/tiny"
#define DATA TEST_DATA "/assets"

#define ARG(call) assert_int_equal(call, DREAMO_ARG)

static bool any_file(void *user, const dreamo_fetch_file *f)
{
    (void)user, (void)f;
    return true;
}

/* Each pointer that must be there, missing alone. */
static void missing_pointers(void **state)
{
    dreamo_model *m = *state, *other = NULL;
    dreamo_model_options mo;
    dreamo_request r;
    dreamo_image image = { 0 };
    dreamo_plan plan;
    dreamo_tokenizer *t = NULL;
    dreamo_tokens tokens;
    dreamo_convert_options co;
    dreamo_convert_costs costs;
    dreamo_train_options to;
    dreamo_train_costs tc;
    dreamo_dataset_options dop;
    dreamo_dataset_stats stats;
    dreamo_sheet_options so;
    dreamo_fetch_options fo;
    char *text;
    dreamo_model_options_init(NULL), dreamo_request_init(NULL), dreamo_convert_options_init(NULL), dreamo_train_options_init(NULL);
    dreamo_dataset_options_init(NULL), dreamo_sheet_options_init(NULL), dreamo_fetch_options_init(NULL);
    dreamo_model_options_init(&mo), dreamo_request_init(&r), dreamo_convert_options_init(&co), dreamo_train_options_init(&to);
    dreamo_dataset_options_init(&dop), dreamo_sheet_options_init(&so), dreamo_fetch_options_init(&fo);
    ARG(dreamo_open(NULL, &other, NULL));
    ARG(dreamo_open(&mo, NULL, NULL));
    dreamo_close(NULL);
    ARG(dreamo_image_read(NULL, &image, NULL));
    ARG(dreamo_image_read(TEST_DATA "/toy.png", NULL, NULL));
    ARG(dreamo_image_write(NULL, "x.png", "png", true, NULL));
    ARG(dreamo_image_write(&image, "x.png", "png", true, NULL)); /* without pixels */
    assert_int_equal(dreamo_image_read(TEST_DATA "/toy.png", &image, NULL), DREAMO_OK);
    ARG(dreamo_image_write(&image, NULL, "png", true, NULL));
    ARG(dreamo_image_write(&image, "x.png", NULL, true, NULL));
    dreamo_image_free(&image);
    dreamo_image_free(NULL);
    ARG(dreamo_generate(NULL, &r, &image, NULL));
    ARG(dreamo_generate(m, NULL, &image, NULL));
    ARG(dreamo_generate(m, &r, NULL, NULL));
    ARG(dreamo_generate(m, &r, &image, NULL)); /* no prompt */
    ARG(dreamo_plan_request(NULL, &r, &plan, NULL));
    ARG(dreamo_plan_request(m, NULL, &plan, NULL));
    ARG(dreamo_plan_request(m, &r, NULL, NULL));
    ARG(dreamo_tokenizer_open(NULL, &t, NULL));
    ARG(dreamo_tokenizer_open(MODEL, NULL, NULL));
    ARG(dreamo_tokenizer_run(NULL, "x", 1, &tokens, NULL));
    assert_int_equal(dreamo_tokenizer_open(MODEL, &t, NULL), DREAMO_OK);
    ARG(dreamo_tokenizer_run(t, NULL, 1, &tokens, NULL));
    ARG(dreamo_tokenizer_run(t, "x", 1, NULL, NULL));
    dreamo_tokenizer_close(t);
    dreamo_tokenizer_close(NULL);
    ARG(dreamo_tokenize(NULL, "x", &tokens, NULL));
    ARG(dreamo_tokenize(MODEL, NULL, &tokens, NULL));
    ARG(dreamo_tokenize(MODEL, "x", NULL, NULL));
    dreamo_tokens_free(NULL);
    ARG(dreamo_info(NULL, false, &text, NULL));
    ARG(dreamo_info(MODEL, false, NULL, NULL));
    dreamo_text_free(NULL);
    ARG(dreamo_convert(NULL, NULL));
    ARG(dreamo_convert(&co, NULL)); /* nothing to convert */
    ARG(dreamo_convert_plan(NULL, &costs, NULL));
    ARG(dreamo_convert_plan(&co, NULL, NULL));
    ARG(dreamo_train(NULL, NULL));
    ARG(dreamo_train(&to, NULL));
    ARG(dreamo_train_plan(NULL, &tc, NULL));
    ARG(dreamo_train_plan(&to, NULL, NULL));
    ARG(dreamo_train_probe(NULL, &mo, "x", NULL));
    ARG(dreamo_train_probe("x", NULL, "x", NULL));
    ARG(dreamo_train_probe("x", &mo, NULL, NULL));
    ARG(dreamo_dataset_build(NULL, NULL));
    ARG(dreamo_dataset_build(&dop, NULL));
    ARG(dreamo_dataset_count(NULL, &stats, NULL));
    ARG(dreamo_dataset_count(DATA, NULL, NULL));
    ARG(dreamo_dataset_check(NULL, NULL, NULL, NULL));
    ARG(dreamo_dataset_captions(NULL, "x", NULL));
    ARG(dreamo_dataset_captions(DATA, NULL, NULL));
    ARG(dreamo_dataset_show(NULL, NULL));
    ARG(dreamo_dataset_show(&so, NULL));
    ARG(dreamo_fetch_list(NULL, any_file, NULL, NULL));
    ARG(dreamo_fetch_list(&fo, NULL, NULL, NULL));
    ARG(dreamo_fetch_check(NULL, NULL, NULL, NULL));
    ARG(dreamo_fetch_check(&fo, NULL, NULL, NULL));
    ARG(dreamo_fetch_run(NULL, NULL));
    ARG(dreamo_fetch_run(&fo, NULL));
    assert_null(dreamo_mapped_file(NULL));
    dreamo_model_about about = { .size = sizeof about };
    dreamo_distil_options di;
    const dreamo_reference ref = { .path = NULL };
    void *bytes;
    size_t nbytes;
    int removed;
    char hex[65];
    dreamo_distil_options_init(NULL), dreamo_distil_options_init(&di);
    ARG(dreamo_about(NULL, &about, NULL));
    ARG(dreamo_about(m, NULL, NULL));
    ARG(dreamo_bench_kernels(1, NULL, NULL, NULL, NULL));
    dreamo_bytes_free(NULL);
    ARG(dreamo_dataset_distil(NULL, NULL));
    ARG(dreamo_dataset_distil(&di, NULL));
    assert_false(dreamo_dataset_is_own(NULL));
    ARG(dreamo_dataset_pack(NULL, "x", 1 << 20, NULL));
    ARG(dreamo_dataset_pack(DATA, NULL, 1 << 20, NULL));
    ARG(dreamo_dataset_remove(NULL, "x", NULL, NULL, &removed, NULL));
    ARG(dreamo_dataset_remove(DATA, NULL, NULL, NULL, &removed, NULL));
    ARG(dreamo_dataset_remove(DATA, "x", NULL, NULL, NULL, NULL)); /* no checksum */
    ARG(dreamo_dataset_split(NULL, "x", 0.1, NULL));
    ARG(dreamo_dataset_split(DATA, NULL, 0.1, NULL));
    ARG(dreamo_dataset_tally(NULL, 64, NULL, NULL, NULL));
    ARG(dreamo_dataset_tally(DATA, 64, NULL, NULL, NULL));
    ARG(dreamo_dataset_vocabulary(NULL, 100, 64, "x", NULL));
    ARG(dreamo_dataset_vocabulary(DATA, 100, 64, NULL, NULL));
    ARG(dreamo_image_decode(NULL, 8, "x", 100, &image, NULL));
    ARG(dreamo_image_decode("x", 1, "x", 100, NULL, NULL));
    assert_int_not_equal(dreamo_image_decode("x", 1, NULL, 100, &image, NULL), DREAMO_OK); /* it needs no name */
    ARG(dreamo_image_encode(NULL, "png", 90, &bytes, &nbytes, NULL));
    ARG(dreamo_image_encode(&image, "png", 90, &bytes, &nbytes, NULL));
    ARG(dreamo_image_metadata(NULL, 8, "x", &text, NULL));
    ARG(dreamo_image_metadata("x", 1, "x", NULL, NULL));
    ARG(dreamo_lora_rename(NULL, MODEL, "kohya", "x", true, NULL, NULL, NULL));
    ARG(dreamo_lora_rename("x", MODEL, NULL, "x", true, NULL, NULL, NULL));
    ARG(dreamo_lora_rename("x", MODEL, "kohya", NULL, true, NULL, NULL, NULL));
    ARG(dreamo_reference_show(NULL, &ref, 0, NULL, NULL, &image, NULL));
    ARG(dreamo_reference_show(m, NULL, 0, NULL, NULL, &image, NULL));
    ARG(dreamo_reference_show(m, &ref, 0, NULL, NULL, NULL, NULL));
    ARG(dreamo_reference_show(m, &ref, 0, NULL, NULL, &image, NULL)); /* neither a file nor a picture */
    dreamo_sha256(NULL, 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"); /* of nothing: FIPS 180-4's example */
    /* lists that are announced and not there */
    r.prompt = "x", r.nrefs = 2, r.refs = NULL;
    ARG(dreamo_generate(m, &r, &image, NULL));
    ARG(dreamo_plan_request(m, &r, &plan, NULL));
    r.refs = &ref, r.nrefs = -1;
    ARG(dreamo_generate(m, &r, &image, NULL));
    mo.dir = MODEL, mo.nloras = 1, mo.loras = NULL;
    ARG(dreamo_open(&mo, &other, NULL));
    mo.loras = &(dreamo_lora){ .path = NULL, .scale = 1 };
    ARG(dreamo_open(&mo, &other, NULL));
    co.in = MODEL, co.out = "x.gguf", co.nfuse = 1, co.fuse = NULL;
    ARG(dreamo_convert(&co, NULL));
    co.fuse = mo.loras;
    ARG(dreamo_convert_plan(&co, &costs, NULL));
    to.recipe = "x", to.model = MODEL, to.out = "x", to.data = DATA, to.noverrides = 1;
    ARG(dreamo_train(&to, NULL));
    to.overrides = &(const char *){ NULL };
    ARG(dreamo_train_plan(&to, &tc, NULL));
}

/* ---- options from other headers ---- */

/* The compiler need not know how much it is. */
static void *block(volatile size_t nbytes) { return malloc(nbytes); }

/* A program that knows the struct only up to a field hands over a block of just that size (a byte more is read under ASan), and gets the
 * defaults for the rest; what lies behind its struct stays untouched. */
static void older_programs(void **state)
{
    dreamo_model *m = *state;
    size_t older = offsetof(dreamo_request, true_cfg);
    dreamo_request *r = block(older);
    unsigned char guard[sizeof(dreamo_request)];
    dreamo_plan plan, whole;
    memset(guard, 0xAB, sizeof guard);
    dreamo_request_init_sized((dreamo_request *)(void *)guard, older);
    for (size_t i = older; i < sizeof guard; i++) assert_int_equal(guard[i], 0xAB);
    dreamo_request_init_sized(r, older);
    assert_int_equal(r->size, older);
    assert_true(r->guidance == -1); /* a default that is not zero */
    r->prompt = "x";
    r->width = r->height = 32;
    r->steps = 2;
    assert_int_equal(dreamo_plan_request(m, r, &plan, NULL), DREAMO_OK);
    dreamo_request now;
    dreamo_request_init(&now);
    now.prompt = "x";
    now.width = now.height = 32;
    now.steps = 2;
    assert_int_equal(dreamo_plan_request(m, &now, &whole, NULL), DREAMO_OK);
    assert_true(plan.tokens == whole.tokens && plan.steps == 2 && plan.ops == whole.ops);
    free(r);

    size_t small = offsetof(dreamo_model_options, no_turbo);
    dreamo_model_options *o = block(small);
    dreamo_model *again;
    dreamo_model_options_init_sized(o, small);
    o->dir = MODEL;
    assert_int_equal(dreamo_open(o, &again, NULL), DREAMO_OK);
    dreamo_close(again);
    free(o);
}

/* A newer program's further fields are zero until it uses them; then the library says that it does not know them. */
static void newer_programs(void **state)
{
    (void)state;
    struct { dreamo_sheet_options o; double later; } newer;
    dreamo_error err = { 0 };
    dreamo_sheet_options_init_sized(&newer.o, sizeof newer);
    assert_int_equal(newer.o.size, sizeof newer);
    assert_true(newer.o.count == 24 && newer.later == 0);
    newer.o.folder = DATA;
    newer.o.path = "sheet.png";
    newer.o.count = 1;
    newer.o.clobber = true;
    assert_int_equal(dreamo_dataset_show(&newer.o, &err), DREAMO_OK);
    newer.later = 1;
    assert_int_equal(dreamo_dataset_show(&newer.o, &err), DREAMO_VERSION);
    newer.o.size = 0;
    ARG(dreamo_dataset_show(&newer.o, NULL)); /* never set up */
    newer.o.size = SIZE_MAX;
    ARG(dreamo_dataset_show(&newer.o, NULL));
}

/* ---- callbacks ---- */

typedef struct caller { dreamo_model *m; dreamo_status status[2]; int calls; } caller;

static bool call_again(void *user, const dreamo_event *e)
{
    caller *c = user;
    dreamo_request r;
    dreamo_image image;
    dreamo_plan plan;
    (void)e;
    dreamo_request_init(&r);
    r.prompt = "y";
    c->status[0] = dreamo_generate(c->m, &r, &image, NULL);
    c->status[1] = dreamo_plan_request(c->m, &r, &plan, NULL);
    c->calls++;
    return true;
}

static void a_call_from_its_own_callback(void **state)
{
    caller c = { .m = *state };
    dreamo_request r;
    dreamo_image image;
    dreamo_request_init(&r);
    r.prompt = "x";
    r.width = r.height = 32;
    r.steps = 1;
    r.progress = call_again;
    r.user = &c;
    assert_int_equal(dreamo_generate(c.m, &r, &image, NULL), DREAMO_OK);
    dreamo_image_free(&image);
    assert_true(c.calls > 0);
    assert_int_equal(c.status[0], DREAMO_BUSY);
    assert_int_equal(c.status[1], DREAMO_OK); /* a plan waits for nobody */
}

static int open_model(void **state)
{
    dreamo_model_options o;
    dreamo_model *m = NULL;
    dreamo_model_options_init(&o);
    o.dir = MODEL;
    o.threads = 1;
    if (scratch_enter(NULL) || dreamo_open(&o, &m, NULL)) return -1;
    *state = m;
    return 0;
}

static int close_model(void **state)
{
    dreamo_close(*state);
    return mem_live() == 0 ? scratch_leave(NULL) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(missing_pointers), cmocka_unit_test(older_programs), cmocka_unit_test(newer_programs),
                                        cmocka_unit_test(a_call_from_its_own_callback) };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
