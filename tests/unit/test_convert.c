/* test_convert.c - dreamo_convert against what the official code stored: LoRA stacks fused in fp32 and with the official bf16
 * roundings (golden/lora), quantised files of the published layouts (golden/layouts); then its failures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "dreamo.h"
#include "format/safetensors.h"
#include "scratch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MODEL TEST_DATA "/models/tiny"
#define LORA TEST_DATA "/lora/tiny/"
#define SHARED REPO_ROOT "/../shared/golden/"
enum { WIDTH = 32 };

/* ---- the two layouts (spec 1.2): names within a block or outside, and the row where the matrix begins in the single file's ---- */

static const struct { const char *diffusers, *single; int row; } names[] = {
    { "x_embedder", "img_in", 0 }, { "context_embedder", "txt_in", 0 }, { "proj_out", "final_layer.linear", 0 },
    { "time_text_embed.timestep_embedder.linear_1", "time_in.in_layer", 0 }, { "time_text_embed.timestep_embedder.linear_2", "time_in.out_layer", 0 },
    { "time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer", 0 },
    { "time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer", 0 },
    { "time_text_embed.text_embedder.linear_1", "vector_in.in_layer", 0 }, { "time_text_embed.text_embedder.linear_2", "vector_in.out_layer", 0 },
    { "norm_out.linear", "final_layer.adaLN_modulation.1", 0 }, /* with halves swapped */
    { "transformer_blocks.#.norm1.linear", "double_blocks.#.img_mod.lin", 0 },
    { "transformer_blocks.#.norm1_context.linear", "double_blocks.#.txt_mod.lin", 0 },
    { "transformer_blocks.#.attn.to_q", "double_blocks.#.img_attn.qkv", 0 },
    { "transformer_blocks.#.attn.to_k", "double_blocks.#.img_attn.qkv", WIDTH },
    { "transformer_blocks.#.attn.to_v", "double_blocks.#.img_attn.qkv", 2 * WIDTH },
    { "transformer_blocks.#.attn.add_q_proj", "double_blocks.#.txt_attn.qkv", 0 },
    { "transformer_blocks.#.attn.add_k_proj", "double_blocks.#.txt_attn.qkv", WIDTH },
    { "transformer_blocks.#.attn.add_v_proj", "double_blocks.#.txt_attn.qkv", 2 * WIDTH },
    { "transformer_blocks.#.attn.to_out.0", "double_blocks.#.img_attn.proj", 0 },
    { "transformer_blocks.#.attn.to_add_out", "double_blocks.#.txt_attn.proj", 0 },
    { "transformer_blocks.#.ff.net.0.proj", "double_blocks.#.img_mlp.0", 0 }, { "transformer_blocks.#.ff.net.2", "double_blocks.#.img_mlp.2", 0 },
    { "transformer_blocks.#.ff_context.net.0.proj", "double_blocks.#.txt_mlp.0", 0 },
    { "transformer_blocks.#.ff_context.net.2", "double_blocks.#.txt_mlp.2", 0 },
    { "single_transformer_blocks.#.norm.linear", "single_blocks.#.modulation.lin", 0 },
    { "single_transformer_blocks.#.attn.to_q", "single_blocks.#.linear1", 0 },
    { "single_transformer_blocks.#.attn.to_k", "single_blocks.#.linear1", WIDTH },
    { "single_transformer_blocks.#.attn.to_v", "single_blocks.#.linear1", 2 * WIDTH },
    { "single_transformer_blocks.#.proj_mlp", "single_blocks.#.linear1", 3 * WIDTH },
    { "single_transformer_blocks.#.proj_out", "single_blocks.#.linear2", 0 },
};

/* "a.#.b" with block `i` and an ending. */
static void spell(const char *pattern, int i, char *out, size_t nbytes)
{
    const char *hash = strchr(pattern, '#');
    if (hash) snprintf(out, nbytes, "%.*s%d%s.weight", (int)(hash - pattern), pattern, i, hash + 1);
    else snprintf(out, nbytes, "%s.weight", pattern);
}

/* Number i of the diffusers tensor `t`, looked up in the single file. */
static float in_single(const st_file *f, const st_tensor *t, size_t i)
{
    char name[128];
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (int block = 0; block < 2; block++) {
            spell(names[k].diffusers, block, name, sizeof name);
            if (strcmp(name, t->name) != 0) continue;
            spell(names[k].single, block, name, sizeof name);
            const st_tensor *s = st_find(f, name);
            size_t half = t->count / 2, at = i + (size_t)names[k].row * (size_t)t->shape[1];
            float v;
            if (!s) fail_msg("%s is not there", name);
            if (strncmp(t->name, "norm_out", 8) == 0) at = i < half ? i + half : i - half;
            dtype_to_f32(s->type, (const char *)s->data + at * dtype_nbytes(s->type), 1, &v);
            return v;
        }
    fail_msg("%s has no name in the single file", t->name);
    return 0;
}

/* ---- fusing ---- */

static void fuse(const char *out, const char *to, bool official, const dreamo_lora *loras, int nloras)
{
    dreamo_convert_options o;
    dreamo_error err = { 0 };
    dreamo_convert_options_init(&o);
    o.in = MODEL;
    o.out = out;
    o.to = to;
    o.official = official;
    o.fuse = loras;
    o.nfuse = nloras;
    o.clobber = o.verify = true;
    if (dreamo_convert(&o, &err)) fail_msg("%s", err.message);
}

/* Largest relative error (L2, per tensor) of the file against the golden one. */
static double against(const char *path, const char *golden)
{
    st_file f, g;
    double worst = 0;
    assert_int_equal(st_open(path, &f, NULL), DREAMO_OK);
    assert_int_equal(st_open(golden, &g, NULL), DREAMO_OK);
    for (int k = 0; k < g.ntensors; k++) {
        double error = 0, size = 0;
        for (size_t i = 0; i < g.tensors[k].count; i++) {
            float want;
            dtype_to_f32(g.tensors[k].type, (const char *)g.tensors[k].data + i * dtype_nbytes(g.tensors[k].type), 1, &want);
            error += pow((double)in_single(&f, &g.tensors[k], i) - (double)want, 2);
            size += pow((double)want, 2);
        }
        worst = fmax(worst, sqrt(error / size));
    }
    st_close(&f);
    st_close(&g);
    return worst;
}

static const dreamo_lora v11[] = { { LORA "dreamo.safetensors", 1 }, { LORA "dreamo_cfg_distill.safetensors", 1 },
                                   { LORA "v1.1/dreamo_sft_lora.safetensors", 1 }, { LORA "v1.1/dreamo_dpo_lora.safetensors", 1.25f },
                                   { LORA "diffusion_pytorch_model.safetensors", 1 } };

static void stacks_fuse_as_the_official_code(void **state)
{
    const dreamo_lora turbo_third[] = { v11[0], v11[1], v11[4], v11[2], v11[3] };
    const dreamo_lora kohya[] = { { LORA "kohya.safetensors", 1 } };
    const dreamo_lora v1[] = { v11[0], v11[1], v11[4], { LORA "dreamo_quality_lora_pos.safetensors", 0.15f },
                                      { LORA "dreamo_quality_lora_neg.safetensors", -0.8f } };
    (void)state;
    fuse("v11.safetensors", "f32", false, turbo_third, 5);
    assert_true(against("v11.safetensors", LORA "fused-v1.1-fp32.safetensors") <= 1e-6);
    fuse("kohya.safetensors", "f32", false, kohya, 1);
    assert_true(against("kohya.safetensors", LORA "kohya-fused.safetensors") <= 1e-6);
    fuse("v11.safetensors", "bf16", true, v11, 4); /* without turbo, every sum rounded */
    assert_true(against("v11.safetensors", LORA "fused-v1.1-noturbo-bf16.safetensors") == 0);
    fuse("v11.safetensors", "bf16", false, v11, 4); /* one rounding: near, and not the same */
    double once = against("v11.safetensors", LORA "fused-v1.1-noturbo-bf16.safetensors");
    assert_true(once > 0 && once < 0x1p-7);
    dreamo_convert_options o; /* the published set by its name */
    dreamo_convert_options_init(&o);
    o.in = MODEL;
    o.out = "variant.safetensors";
    o.to = "f32";
    o.variant = "v1.1";
    o.variant_dir = TEST_DATA "/lora/tiny";
    assert_int_equal(dreamo_convert(&o, NULL), DREAMO_OK);
    assert_true(against("variant.safetensors", LORA "fused-v1.1-fp32.safetensors") <= 1e-6);
    if (!file_exists(SHARED "lora/tiny/fused-v1-fp32.safetensors")) return;
    fuse("v1.safetensors", "f32", false, v1, 5);
    assert_true(against("v1.safetensors", SHARED "lora/tiny/fused-v1-fp32.safetensors") <= 1e-6);
}

/* What was fused stays written in the file when it is converted again, and a published set is not added to it a second time. */
static void a_fused_file_stays_one(void **state)
{
    static const dreamo_lora one[] = { { LORA "dreamo.safetensors", 1 } };
    dreamo_error err = { 0 };
    st_file f;
    dreamo_convert_options o;
    (void)state;
    fuse("one.safetensors", "f32", false, one, 1);
    dreamo_convert_options_init(&o);
    o.in = "one.safetensors";
    o.model = MODEL;
    o.out = "one-again.gguf";
    if (dreamo_convert(&o, &err)) fail_msg("%s", err.message);
    assert_int_equal(st_open_any("one-again.gguf", &f, NULL), DREAMO_OK);
    assert_string_equal(st_meta(&f, "dreamo.fused"), "dreamo.safetensors@1");
    st_close(&f);
    o.in = "one-again.gguf";
    o.out = "one-twice.gguf";
    o.variant = "v1.1";
    o.variant_dir = TEST_DATA "/lora/tiny";
    assert_int_equal(dreamo_convert(&o, &err), DREAMO_MISMATCH);
    assert_string_equal(err.message, "one-again.gguf: variant v1.1 on a transformer that has LoRAs fused in already: dreamo.safetensors@1");
    assert_false(file_exists("one-twice.gguf"));
}

/* The tables of the first file (the others have none) under their own names, bit for bit. */
static void tables_go_with_the_file(void **state)
{
    static const char *const tables[] = { "dreamo_task_embedding.weight", "dreamo_idx_embedding.weight", "dreamo_t5_embedding.weight" };
    st_file f, g;
    (void)state;
    fuse("v11.safetensors", "bf16", false, v11, 5);
    assert_int_equal(st_open("v11.safetensors", &f, NULL), DREAMO_OK);
    assert_int_equal(st_open(LORA "dreamo.safetensors", &g, NULL), DREAMO_OK);
    for (int i = 0; i < 3; i++) {
        const st_tensor *a = st_find(&f, tables[i]), *b = st_find(&g, tables[i]);
        assert_non_null(a);
        assert_non_null(b);
        for (size_t k = 0; k < a->count; k++) { /* of the T5 table the last ten rows */
            float x, y;
            dtype_to_f32(a->type, (const char *)a->data + k * dtype_nbytes(a->type), 1, &x);
            dtype_to_f32(b->type, (const char *)b->data + (b->count - a->count + k) * dtype_nbytes(b->type), 1, &y);
            assert_true(x == y);
        }
    }
    st_close(&f);
    st_close(&g);
}

/* ---- types ---- */

static dreamo_status convert(const char *in, const char *out, const char *to, dreamo_error *err)
{
    dreamo_convert_options o;
    dreamo_convert_options_init(&o);
    *err = (dreamo_error){ 0 };
    o.in = in;
    o.out = out;
    o.to = to;
    o.threads = 1;
    return dreamo_convert(&o, err);
}

/* Every fp8 matrix with its scale, and every name: those of a file made from the same model in the published scaled layout.  Its
 * vectors are bf16, ours fp32. */
static void fp8_is_the_published_layout(void **state)
{
    st_file f, g;
    dreamo_error err;
    int bytes = 0;
    (void)state;
    remove("fp8.safetensors");
    if (convert(MODEL, "fp8.safetensors", "fp8", &err)) fail_msg("%s", err.message);
    assert_int_equal(st_open("fp8.safetensors", &f, NULL), DREAMO_OK);
    assert_int_equal(st_open(TEST_DATA "/layouts/flux1-dev-fp8-scaled.safetensors", &g, NULL), DREAMO_OK);
    assert_int_equal(f.ntensors, g.ntensors);
    for (int i = 0; i < g.ntensors; i++) {
        const st_tensor *t = st_find(&f, g.tensors[i].name);
        if (!t) fail_msg("%s is not there", g.tensors[i].name);
        if (t->type == g.tensors[i].type && memcmp(t->data, g.tensors[i].data, t->nbytes) != 0) fail_msg("%s differs", t->name);
        bytes += t->type == DT_F8_E4M3 && g.tensors[i].type == DT_F8_E4M3;
    }
    assert_int_equal(bytes, 26 + 1); /* 10 a double block, 3 a single block, and the mark */
    st_close(&f);
    st_close(&g);
}

/* ggml's own library made the same blocks of the same numbers.  What we keep in 16 bits (a transformer's ends, T5's table of positions) may
 * have another type there. */
static void gguf_holds_ggmls_blocks(void **state)
{
    static const struct { const char *in, *golden, *to; int tensors, same; } rows[] = {
        { MODEL, TEST_DATA "/layouts/flux1-dev-Q4_0.gguf", "q4_0", 84, 74 },
        { MODEL "/text_encoder_2", TEST_DATA "/layouts/t5xxl-Q8_0.gguf", "q8", 21, 20 },
    };
    (void)state;
    for (int k = 0; k < 2; k++) {
        st_file f, g;
        dreamo_error err;
        int same = 0;
        remove("q.gguf");
        if (convert(rows[k].in, "q.gguf", rows[k].to, &err)) fail_msg("%s", err.message);
        assert_int_equal(st_open_any("q.gguf", &f, NULL), DREAMO_OK);
        assert_int_equal(st_open_any(rows[k].golden, &g, NULL), DREAMO_OK);
        assert_int_equal(f.ntensors, rows[k].tensors);
        assert_int_equal(g.ntensors, rows[k].tensors);
        assert_string_equal(st_meta(&f, "general.architecture"), st_meta(&g, "general.architecture"));
        for (int i = 0; i < g.ntensors; i++) {
            const st_tensor *a = st_find(&f, g.tensors[i].name), *b = &g.tensors[i];
            if (!a) fail_msg("%s is not there", b->name);
            assert_int_equal(a->rank, b->rank);
            assert_memory_equal(a->shape, b->shape, sizeof a->shape);
            same += a->type == b->type && memcmp(a->data, b->data, a->nbytes) == 0;
        }
        assert_int_equal(same, rows[k].same);
        st_close(&f);
        st_close(&g);
    }
}

static void same_file(const char *a, const char *b)
{
    filemap x, y;
    assert_int_equal(file_map(a, &x, NULL), DREAMO_OK);
    assert_int_equal(file_map(b, &y, NULL), DREAMO_OK);
    assert_int_equal(x.nbytes, y.nbytes);
    assert_memory_equal(x.data, y.data, x.nbytes);
    file_unmap(&x);
    file_unmap(&y);
}

static void threads_do_not_matter(void **state)
{
    static const char *const names_of[] = { "one.gguf", "three.gguf" };
    (void)state;
    for (int i = 0; i < 2; i++) {
        dreamo_convert_options o;
        dreamo_convert_options_init(&o);
        o.in = MODEL;
        o.out = names_of[i];
        o.to = "q5_1";
        o.fuse = v11;
        o.nfuse = 5;
        o.threads = i ? 3 : 1;
        assert_int_equal(dreamo_convert(&o, NULL), DREAMO_OK);
    }
    same_file(names_of[0], names_of[1]);
}

/* A single file, converted again: the same numbers, names and tables as from the folder at once. */
static void converted_files_can_be_converted(void **state)
{
    static const char *const kept[] = { "bf16.gguf", "again.gguf" };
    dreamo_convert_options o;
    (void)state;
    fuse("f32.safetensors", "f32", false, v11, 5);
    fuse(kept[0], "bf16", false, v11, 5);
    dreamo_convert_options_init(&o);
    o.in = "f32.safetensors";
    o.model = MODEL;
    o.out = kept[1];
    o.to = "bf16";
    assert_int_equal(dreamo_convert(&o, NULL), DREAMO_OK);
    st_file f, g;
    assert_int_equal(st_open_any(kept[0], &f, NULL), DREAMO_OK);
    assert_int_equal(st_open_any(kept[1], &g, NULL), DREAMO_OK);
    assert_int_equal(f.ntensors, 84 + 3);
    assert_int_equal(g.ntensors, 84 + 3);
    for (int i = 0; i < f.ntensors; i++) {
        assert_string_equal(f.tensors[i].name, g.tensors[i].name);
        if (f.tensors[i].type == g.tensors[i].type) assert_memory_equal(f.tensors[i].data, g.tensors[i].data, f.tensors[i].nbytes);
        else assert_int_equal(g.tensors[i].type, DT_F32); /* sensitive ones keep the type they had */
    }
    st_close(&f);
    st_close(&g);
}

/* ---- from the prompt to the latents with a fused file, against the official pipeline (case `plain`: main LoRA, one reference) ---- */

static double relative(const st_file *got, const st_file *want, const char *name)
{
    const st_tensor *g = st_find(got, name), *w = st_find(want, name);
    double error = 0, size = 0;
    assert_non_null(g);
    assert_non_null(w);
    assert_int_equal(g->count, w->count);
    for (size_t i = 0; i < w->count; i++) {
        float x, y;
        memcpy(&x, (const char *)g->data + 4 * i, 4);
        memcpy(&y, (const char *)w->data + 4 * i, 4);
        error += pow((double)x - (double)y, 2);
        size += pow((double)y, 2);
    }
    return sqrt(error / size);
}

/* Relative error of the last step's velocity. */
static double plain_case(const char *dit, const char *t5)
{
    const dreamo_reference ref = { .task = DREAMO_IP, .path = TEST_DATA "/cases/plain/toy.png", .slot = 1, .res = -1, .cut = DREAMO_CUT_OFF };
    dreamo_model_options o;
    dreamo_request r;
    dreamo_model *m;
    dreamo_image im;
    dreamo_error err = { 0 };
    st_file got, want;
    dreamo_model_options_init(&o);
    o.dir = MODEL;
    o.dit = dit;
    o.t5 = t5;
    if (dreamo_open(&o, &m, &err)) fail_msg("%s", err.message);
    dreamo_request_init(&r);
    r.prompt = "a purple toy holding a sign saying \"DreamO\", on the mountain";
    r.refs = &ref;
    r.nrefs = 1;
    r.width = r.height = 64;
    r.steps = 4;
    r.guidance = 3.5;
    r.noise = "fp32";
    r.dump = "dump";
    if (dreamo_generate(m, &r, &im, &err)) fail_msg("%s", err.message);
    dreamo_image_free(&im);
    dreamo_close(m);
    assert_int_equal(st_open("dump/stages.safetensors", &got, NULL), DREAMO_OK);
    assert_int_equal(st_open(TEST_DATA "/cases/plain/stages.safetensors", &want, NULL), DREAMO_OK);
    assert_true(relative(&got, &want, "cond") <= 1e-6); /* the tables came with the file */
    double e = relative(&got, &want, "step.3.v");
    st_close(&got);
    st_close(&want);
    return e;
}

/* The limits are two to three times what was measured when they were written. */
static void pictures_from_fused_files_are_the_official_ones(void **state)
{
    static const struct { const char *to, *file; double limit; } rows[] = {
        { "f32", "e.safetensors", 5e-5 }, { "bf16", "e.safetensors", 0.004 }, { "fp8", "e.safetensors", 0.1 },
        { "q8", "e.gguf", 0.03 },         { "q5", "e.gguf", 0.15 },           { "q4", "e.gguf", 0.3 },
    };
    dreamo_error err;
    (void)state;
    remove("t5.gguf");
    if (convert(MODEL "/text_encoder_2", "t5.gguf", "q8", &err)) fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fuse(rows[i].file, rows[i].to, false, v11, 1);
        double e = plain_case(rows[i].file, NULL);
        print_message("%s: velocity %.2g\n", rows[i].to, e);
        if (!(e <= rows[i].limit)) fail_msg("%s: velocity %g, allowed %g", rows[i].to, e, rows[i].limit);
    }
    assert_true(plain_case("e.gguf", "t5.gguf") <= 0.3);
}

/* ---- reading back ---- */

typedef struct watch { int rows; double worst; bool spoil; } watch;

/* Once the file is being read, one of its numbers becomes another: one of the last matrix. */
static bool count_row(void *user, const dreamo_tensor_loss *l)
{
    watch *w = user;
    w->rows++;
    w->worst = fmax(w->worst, l->mean);
    if (!w->spoil || w->rows > 1) return true;
    FILE *f = fopen("v.safetensors", "r+b");
    uint16_t huge = 0x4500;
    assert_int_equal(fseek(f, -1000, SEEK_END), 0);
    assert_int_equal(fwrite(&huge, 2, 1, f), 1);
    fclose(f);
    return true;
}

static void verify_tells_what_was_lost(void **state)
{
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        dreamo_convert_options o;
        dreamo_error err = { 0 };
        watch w = { .spoil = bad };
        dreamo_convert_options_init(&o);
        o.in = MODEL;
        o.out = "v.safetensors";
        o.to = "f16";
        o.verify = true;
        o.row = count_row;
        o.user = &w;
        remove(o.out);
        dreamo_status s = dreamo_convert(&o, &err);
        assert_int_equal(s, bad ? DREAMO_DIFFERS : DREAMO_OK);
        assert_int_equal(w.rows, 84);
        assert_true(bad ? w.worst > 0.5 && strstr(err.message, "lost more") : w.worst < 0x1p-11); /* bf16 in, of normal size */
    }
}

/* ---- failures ---- */

static bool stop(void *user, const dreamo_event *e)
{
    (void)user;
    return e->kind != DREAMO_EVENT_STEP;
}

static int files_here(void)
{
    char **list;
    int n;
    assert_int_equal(folder_list(".", &list, &n, NULL), DREAMO_OK);
    folder_list_free(list, n);
    return n;
}

static void wrong_calls_are_refused(void **state)
{
    static const struct { const char *in, *out, *to; dreamo_status status; const char *says; } rows[] = {
        { MODEL, "x.bin", NULL, DREAMO_ARG, ".gguf or .safetensors" },      { MODEL, NULL, NULL, DREAMO_ARG, "output is missing" },
        { MODEL, "x.gguf", "fp8", DREAMO_ARG, "no fp8" },                   { MODEL, "x.safetensors", "q8", DREAMO_ARG, "no Q8_0" },
        { MODEL, "x.gguf", "q2_k", DREAMO_ARG, "none of" },                 { MODEL, "x.gguf", "i8", DREAMO_ARG, "none of" },
        { MODEL, "x.gguf", "q9999999999999999999999999", DREAMO_ARG, "none of" }, { MODEL, "x.gguf", "", DREAMO_ARG, "none of" },
        { MODEL, "nosuch/x.gguf", NULL, DREAMO_NOT_FOUND, "nosuch" },       { "nosuch", "x.gguf", NULL, DREAMO_NOT_FOUND, "nosuch" },
        { MODEL "/text_encoder", "x.gguf", NULL, DREAMO_FORMAT, "config.json" }, { LORA "dreamo.safetensors", "x.gguf", NULL, DREAMO_FORMAT, "DreamO LoRA" },
        { "there.gguf", "x.gguf", NULL, DREAMO_FORMAT, "there.gguf" },
        { MODEL, "there.gguf", NULL, DREAMO_IO, "exists already" },         { NULL, "x.gguf", NULL, DREAMO_ARG, "is missing" },
    };
    (void)state;
    scratch_write("there.gguf", "x", 1);
    int before = files_here();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dreamo_error err;
        dreamo_status s = convert(rows[i].in, rows[i].out, rows[i].to, &err);
        if (s != rows[i].status || !strstr(err.message, rows[i].says)) fail_msg("row %zu: %d, %s", i, s, err.message);
    }
    dreamo_convert_options o;
    dreamo_convert_options_init(&o);
    o.in = MODEL;
    o.out = "x.gguf";
    o.progress = stop;
    assert_int_equal(dreamo_convert(&o, NULL), DREAMO_CANCELLED);
    o.nfuse = 1;
    assert_int_equal(dreamo_convert(&o, NULL), DREAMO_ARG);
    o.nfuse = 0;
    o.threads = -1;
    assert_int_equal(dreamo_convert(&o, NULL), DREAMO_ARG);
    o.size = 0;
    assert_int_equal(dreamo_convert(&o, NULL), DREAMO_ARG);
    assert_int_equal(dreamo_convert(NULL, NULL), DREAMO_ARG);
    assert_int_equal(files_here(), before); /* nothing left */
}

/* A matrix with a NaN is named; the type's largest number is respected. */
static void numbers_that_do_not_fit_are_refused(void **state)
{
    static const dreamo_lora huge[] = { { LORA "dreamo.safetensors", 1e8f } };
    dreamo_convert_options o;
    dreamo_error err = { 0 };
    (void)state;
    dreamo_convert_options_init(&o);
    o.in = MODEL;
    o.out = "n.safetensors";
    o.to = "f16";
    o.fuse = huge;
    o.nfuse = 1;
    assert_int_equal(dreamo_convert(&o, &err), DREAMO_NUMERIC);
    assert_non_null(strstr(err.message, "blocks.0"));
    assert_false(file_exists("n.safetensors"));
    o.to = "f32";
    assert_int_equal(dreamo_convert(&o, NULL), DREAMO_OK);
}

static void failed_allocations_are_told_and_leave_nothing(void **state)
{
    static const char *const out[] = { "m.gguf", "m.safetensors" };
    (void)state;
    int before = files_here();
    for (int i = 0; i < 2; i++) {
        size_t live = mem_live();
        int failures = 0;
        dreamo_status s = DREAMO_MEMORY;
        for (int n = 1; s; n++) {
            dreamo_convert_options o;
            dreamo_convert_options_init(&o);
            o.in = MODEL;
            o.out = out[i];
            o.to = i ? "fp8" : "q4";
            o.fuse = v11;
            o.nfuse = 1;
            o.threads = 1;
            mem_fail_at(n);
            s = dreamo_convert(&o, NULL);
            mem_fail_at(0);
            assert_true(s == DREAMO_OK || s == DREAMO_MEMORY);
            assert_int_equal(mem_live(), live);
            assert_int_equal(files_here(), before + (s == DREAMO_OK));
            failures += s == DREAMO_MEMORY;
        }
        assert_true(failures > 100);
        remove(out[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_fuse_as_the_official_code), cmocka_unit_test(a_fused_file_stays_one), cmocka_unit_test(tables_go_with_the_file),
        cmocka_unit_test(fp8_is_the_published_layout), cmocka_unit_test(gguf_holds_ggmls_blocks),
        cmocka_unit_test(threads_do_not_matter), cmocka_unit_test(converted_files_can_be_converted),
        cmocka_unit_test(pictures_from_fused_files_are_the_official_ones), cmocka_unit_test(verify_tells_what_was_lost), cmocka_unit_test(wrong_calls_are_refused),
        cmocka_unit_test(numbers_that_do_not_fit_are_refused), cmocka_unit_test(failed_allocations_are_told_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
