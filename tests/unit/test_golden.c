/* test_golden.c - whole requests against what the official pipeline computed, stage by stage.
 *
 * tests/data/cases/NAME holds the arguments, the reference pictures and the intermediate tensors (cfg and v1_two without the text rows
 * of blocks, for size).  The limits are relative L2 errors: fp32 for exact numerics, wider where the official pipeline rounded
 * everything to bf16. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dreamo.h"
#include "format/json.h"
#include "format/safetensors.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MODEL TEST_DATA "/models/tiny"
#define LORA TEST_DATA "/lora/tiny/"
enum { MAX_REFS = 4, MAX_LORAS = 5 };

/* ---- limits ---- */

static const struct limit { const char *prefix, *suffix; double fp32, bf16; } limits[] = {
    { "t5.ids", "", 0, 0 }, { "clip.ids", "", 0, 0 }, { "img_ids", "", 0, 0 }, { "noise", "", 2e-6, 0 }, { "sigmas", "", 1e-6, 1e-6 },
    { "timesteps", "", 1e-6, 1e-6 }, { "cond", "", 1e-6, 1e-2 }, { "prompt_embeds", "", 2e-5, 4e-2 }, { "neg.prompt_embeds", "", 2e-5, 4e-2 },
    { "pooled", "", 2e-5, 3e-2 }, { "neg.pooled", "", 2e-5, 3e-2 }, { "ref.", ".rgb", 0, 0 }, { "ref.", ".eps", 2e-6, 0 }, { "ref.", "", 5e-5, 4e-2 },
    { "tokens", "", 5e-5, 4e-2 }, { "step.", "", 5e-5, 5e-2 }, { "latent", "", 5e-5, 3e-2 }, { "image", "", 1e-4, 5e-2 },
};

/* Against what a case is held: fp32, the official bf16, or fp32 by a model that rounds activations to 8 bits (measured: 1.3 % at most). */
typedef enum numerics { EXACT, OFFICIAL, FAST } numerics;

static double limit_of(const char *name, numerics how)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        size_t p = strlen(limits[i].prefix), s = strlen(limits[i].suffix);
        if (strncmp(name, limits[i].prefix, p) == 0 && n >= s && strcmp(name + n - s, limits[i].suffix) == 0)
            return how == OFFICIAL ? limits[i].bf16 : how == FAST && limits[i].fp32 > 0 ? 0.02 : limits[i].fp32;
    }
    fail_msg("no limit for %s", name);
    return 0;
}

static double value(const st_tensor *t, size_t i)
{
    float f;
    if (t->type == DT_U8) return ((const uint8_t *)t->data)[i];
    if (t->type == DT_I32) return ((const int32_t *)t->data)[i];
    dtype_to_f32(t->type, (const char *)t->data + i * dtype_nbytes(t->type), 1, &f);
    return f;
}

/* The finished picture: a level here and there in fp32; a level on average in bf16. */
static void compare_picture(const st_tensor *want, const st_tensor *got, numerics how)
{
    double most = 0, sum = 0, different = 0;
    for (size_t i = 0; i < want->count; i++) {
        double d = fabs(value(want, i) - value(got, i));
        most = fmax(most, d);
        sum += d;
        different += d > 0;
    }
    if (most > (how ? 16 : 1) || sum / (double)want->count > 2 || (how == EXACT && different / (double)want->count > 0.01))
        fail_msg("rgb: largest difference %g, mean %g", most, sum / (double)want->count);
}

static void compare_tensor(const st_tensor *want, const st_file *stages, numerics how)
{
    const st_tensor *got = st_find(stages, want->name);
    double error = 0, size = 0;
    if (!got) fail_msg("%s is missing", want->name);
    assert_int_equal(got->rank, want->rank);
    for (int i = 0; i < want->rank; i++) assert_int_equal(got->shape[i], want->shape[i]);
    if (strcmp(want->name, "rgb") == 0) {
        compare_picture(want, got, how);
        return;
    }
    for (size_t i = 0; i < want->count; i++) {
        double w = value(want, i), d = value(got, i) - w;
        error += d * d;
        size += w * w;
    }
    double relative = sqrt(error / fmax(size, 1e-60));
    if (!(relative <= limit_of(want->name, how))) fail_msg("%s: error %.2g, limit %g", want->name, relative, limit_of(want->name, how));
    if (how == FAST && strcmp(want->name, "step.0.v") == 0 && relative < 1e-3) fail_msg("%s: error %.2g: was anything rounded?", want->name, relative);
}

/* ---- a case's arguments ---- */

typedef struct golden {
    json_t *json;
    dreamo_model_options model;
    dreamo_request request;
    dreamo_lora loras[MAX_LORAS];
    dreamo_reference refs[MAX_REFS];
    char paths[MAX_REFS + 1][512], parts[4][512];
} golden;

static const char *text(const golden *c, const char *field) { return json_string_value(json_object_get(c->json, field)); }

static double number(const golden *c, const char *field, double otherwise)
{
    const json_t *v = json_object_get(c->json, field);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static const dreamo_lora v1[] = { { LORA "dreamo.safetensors", 1 }, { LORA "dreamo_cfg_distill.safetensors", 1 }, { LORA "dreamo_quality_lora_pos.safetensors", 0.15f },
                                  { LORA "dreamo_quality_lora_neg.safetensors", -0.8f }, { LORA "diffusion_pytorch_model.safetensors", 1 } };
static const dreamo_lora v11[] = { { LORA "dreamo.safetensors", 1 }, { LORA "dreamo_cfg_distill.safetensors", 1 }, { LORA "v1.1/dreamo_sft_lora.safetensors", 1 },
                                   { LORA "v1.1/dreamo_dpo_lora.safetensors", 1.25f }, { LORA "diffusion_pytorch_model.safetensors", 1 } };

static void read_stack(golden *c)
{
    const char *version = text(c, "version");
    bool turbo = !json_is_false(json_object_get(c->json, "turbo"));
    c->model.loras = strcmp(version, "v1") == 0 ? v1 : v11;
    c->model.nloras = strcmp(version, "main") == 0 ? 1 : turbo ? 5 : 4;
}

static void read_references(golden *c, const char *folder)
{
    const json_t *list = json_object_get(c->json, "references"), *o;
    size_t i;
    json_array_foreach(list, i, o) {
        const char *task = json_string_value(json_object_get(o, "task"));
        snprintf(c->paths[i], sizeof c->paths[i], "%s/%s", folder, json_string_value(json_object_get(o, "file")));
        c->refs[i] = (dreamo_reference){ .task = strcmp(task, "ip") == 0 ? DREAMO_IP : strcmp(task, "id") == 0 ? DREAMO_ID : DREAMO_STYLE, .path = c->paths[i],
                                         .slot = (int)json_integer_value(json_object_get(o, "slot")), .res = -1, .cut = DREAMO_CUT_OFF };
    }
    c->request.refs = c->refs;
    c->request.nrefs = (int)json_array_size(list);
}

/* Parts from other files: the case names them beside its own folder, "../../layouts/tiny/NAME"; ours lie in tests/data/layouts. */
static void read_parts(golden *c)
{
    static const char *const names[] = { "dit", "t5", "clip", "vae" };
    const char **parts[] = { &c->model.dit, &c->model.t5, &c->model.clip, &c->model.vae };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *file = json_string_value(json_object_get(json_object_get(c->json, "files"), names[i]));
        if (!file) continue;
        snprintf(c->parts[i], sizeof c->parts[i], "%s/layouts/%s", TEST_DATA, strrchr(file, '/') + 1);
        *parts[i] = c->parts[i];
    }
}

static void read_case(golden *c, const char *folder)
{
    char path[512];
    dreamo_error err = { 0 };
    snprintf(path, sizeof path, "%s/case.json", folder);
    assert_int_equal(json_read(path, 1 << 16, &c->json, &err), DREAMO_OK);
    dreamo_model_options_init(&c->model);
    dreamo_request_init(&c->request);
    c->model.dir = MODEL;
    c->model.threads = 2;
    c->model.numerics = strcmp(text(c, "dtype"), "bf16") == 0 ? DREAMO_NUMERICS_OFFICIAL : DREAMO_NUMERICS_EXACT;
    read_stack(c);
    read_parts(c);
    read_references(c, folder);
    dreamo_request *r = &c->request;
    r->prompt = text(c, "prompt");
    r->negative = text(c, "negative");
    r->width = (int)number(c, "width", 0);
    r->height = (int)number(c, "height", 0);
    r->steps = (int)number(c, "steps", 0);
    r->guidance = number(c, "guidance", -1);
    r->first_guidance = number(c, "first_guidance", 0);
    r->true_cfg = number(c, "true_cfg", 1);
    r->cfg_start = (int)number(c, "cfg_start", 0);
    r->cfg_end = (int)number(c, "cfg_end", 0);
    r->negative_guidance = number(c, "negative_guidance", -1);
    r->seed = (uint64_t)json_integer_value(json_object_get(c->json, "seed"));
    r->ref_noise = json_is_integer(json_object_get(c->json, "reference_noise"));
    r->ref_seed = (uint64_t)number(c, "reference_noise", 0);
}

static void run_case(void **state)
{
    const char *name = *state, *fast = strstr(name, " fast");
    char folder[256], stages[320];
    golden c = { 0 };
    dreamo_error err = { 0 };
    dreamo_model *model = NULL;
    dreamo_image out = { 0 };
    st_file want, got;
    snprintf(folder, sizeof folder, "%s/cases/%.*s", TEST_DATA, (int)strcspn(name, " "), name);
    read_case(&c, folder);
    c.model.fast = fast;
    numerics how = fast ? FAST : c.model.numerics == DREAMO_NUMERICS_OFFICIAL ? OFFICIAL : EXACT;
    char *dump = mem_printf("golden_%s", name);
    assert_non_null(dump);
    c.request.dump = dump;

    if (dreamo_open(&c.model, &model, &err) != DREAMO_OK) fail_msg("%s", err.message);
    if (dreamo_generate(model, &c.request, &out, &err) != DREAMO_OK) fail_msg("%s", err.message);
    assert_int_equal(out.width, c.request.width);
    assert_non_null(strstr(out.metadata, "\"seed\":"));
    assert_int_equal(strstr(out.metadata, "\"fast\":true") != NULL, c.model.fast);
    snprintf(stages, sizeof stages, "%s/stages.safetensors", folder);
    assert_int_equal(st_open(stages, &want, &err), DREAMO_OK);
    snprintf(stages, sizeof stages, "%s/stages.safetensors", dump);
    assert_int_equal(st_open(stages, &got, &err), DREAMO_OK);
    for (int i = 0; i < want.ntensors; i++) compare_tensor(&want.tensors[i], &got, how);

    st_close(&want);
    st_close(&got);
    assert_int_equal(folder_remove(dump, &err), DREAMO_OK);
    mem_free(dump);
    dreamo_image_free(&out);
    dreamo_close(model);
    json_decref(c.json);
}

/* --variant v1 applies the stack of the case v1_two: the same picture, to the byte. */
static void a_variant_is_its_stack(void **state)
{
    dreamo_image out[2] = { { 0 }, { 0 } };
    (void)state;
    for (int i = 0; i < 2; i++) {
        golden c = { 0 };
        dreamo_error err = { 0 };
        dreamo_model *model = NULL;
        static const dreamo_lora in_order[] = { { LORA "dreamo.safetensors", 1 }, { LORA "dreamo_cfg_distill.safetensors", 1 }, { LORA "diffusion_pytorch_model.safetensors", 1 },
                                                { LORA "dreamo_quality_lora_pos.safetensors", 0.15f }, { LORA "dreamo_quality_lora_neg.safetensors", -0.8f } };
        read_case(&c, TEST_DATA "/cases/v1_two");
        c.model.loras = i ? NULL : in_order;
        c.model.nloras = i ? 0 : 5;
        c.model.variant = i ? "v1" : NULL;
        c.model.variant_dir = TEST_DATA "/lora/tiny";
        if (dreamo_open(&c.model, &model, &err) != DREAMO_OK) fail_msg("%s", err.message);
        if (dreamo_generate(model, &c.request, &out[i], &err) != DREAMO_OK) fail_msg("%s", err.message);
        dreamo_close(model);
        json_decref(c.json);
    }
    assert_memory_equal(out[0].rgb, out[1].rgb, (size_t)out[0].width * (size_t)out[0].height * 3);
    dreamo_image_free(&out[0]);
    dreamo_image_free(&out[1]);
}

int main(void)
{
#define CASE(name) { name, run_case, NULL, NULL, name }
    const struct CMUnitTest tests[] = { CASE("plain"), CASE("v1_two"), CASE("cfg"), CASE("v11_noturbo_bf16"), CASE("files_q4"), CASE("files_q4 fast"), CASE("files_fp8"),
                                        cmocka_unit_test(a_variant_is_its_stack) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
