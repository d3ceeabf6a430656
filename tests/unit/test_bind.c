/* test_bind.c - files to networks: what is in the file is what the network computes with, and every tensor that does not fit is
 * named.  The files are those of the official tiny model, taken apart and written again with one thing changed. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"
#include "model/vae.h"
#include "weights/bind.h"
#include "weights/config.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

#define TINY TEST_DATA "/models/tiny/"

static vae *new_vae(void)
{
    vae_config c;
    dreamo_error err = { 0 };
    assert_int_equal(config_vae(TINY "vae/config.json", &c, &err), DREAMO_OK);
    return vae_new(&c);
}

static t5 *new_t5(void)
{
    t5_config c;
    dreamo_error err = { 0 };
    assert_int_equal(config_t5(TINY "text_encoder_2/config.json", &c, &err), DREAMO_OK);
    return t5_new(&c);
}

static clip *new_clip(void)
{
    clip_config c;
    dreamo_error err = { 0 };
    assert_int_equal(config_clip(TINY "text_encoder/config.json", &c, &err), DREAMO_OK);
    return clip_new(&c);
}

/* ---- a file with something changed ---- */

typedef struct editable { st_set from; st_tensor *t; int n; } editable;

static editable take(const char *folder, const char *stem)
{
    editable e = { 0 };
    dreamo_error err = { 0 };
    assert_int_equal(st_set_open(folder, stem, &e.from, &err), DREAMO_OK);
    for (int f = 0; f < e.from.nfiles; f++) e.n += e.from.files[f].ntensors;
    e.t = mem_calloc((size_t)e.n + 16, sizeof *e.t);
    for (int f = 0, n = 0; f < e.from.nfiles; f++)
        for (int i = 0; i < e.from.files[f].ntensors; i++) e.t[n++] = e.from.files[f].tensors[i];
    return e;
}

static st_tensor *pick(editable *e, const char *name)
{
    for (int i = 0; i < e->n; i++)
        if (strcmp(e->t[i].name, name) == 0) return &e->t[i];
    fail_msg("%s is not there", name);
    return NULL;
}

static void drop(editable *e, const char *name)
{
    st_tensor *t = pick(e, name);
    *t = e->t[--e->n];
}

static void add(editable *e, const char *name, dtype type, int64_t rows)
{
    static const char zeros[4096];
    e->t[e->n++] = (st_tensor){ .name = name, .type = type, .rank = 1, .shape = { rows }, .count = (size_t)rows,
                                .nbytes = (size_t)rows * dtype_nbytes(type), .data = zeros };
}

static void write_out(editable *e, const char *path)
{
    dreamo_error err = { 0 };
    if (st_write(path, e->t, e->n, NULL, 0, &err)) fail_msg("%s", err.message);
    mem_free(e->t);
    st_set_close(&e->from);
}

static void bad_vae(const char *path, const char *says)
{
    bound_files b;
    dreamo_error err = { 0 };
    vae *m = new_vae();
    size_t live = mem_live();
    assert_int_equal(bind_vae(m, path, &b, &err), DREAMO_FORMAT);
    if (strcmp(err.message, says) != 0) fail_msg("\"%s\" is not \"%s\"", err.message, says);
    assert_int_equal(mem_live(), live);
    bind_close(&b);
    vae_free(m);
}

static editable take_vae(void) { return take(TINY "vae", "diffusion_pytorch_model"); }

/* ---- what fits ---- */

typedef struct check { const bound_files *b; int n; bool moved; } check;

/* A matrix lies in the map (moved: not there), a vector is a copy; both have the file's values. */
static void same_values(void *user, const param *p)
{
    check *c = user;
    const st_tensor *t = st_set_find(&c->b->set, p->name);
    float want, got;
    assert_non_null(t);
    c->n++;
    for (int64_t i = 0; i < param_count(p); i += 1 + param_count(p) / 7) {
        dtype_to_f32(t->type, (const char *)t->data + (size_t)i * dtype_nbytes(t->type), 1, &want);
        const weight_part *part = p->w ? &p->w->part[p->part] : NULL;
        if (part) dtype_to_f32(part->type, (const char *)part->data + (size_t)i * dtype_nbytes(part->type), 1, &got);
        else got = (*p->fp32)[i];
        assert_true(want == got);
    }
    if (p->w && (p->w->part[p->part].data == t->data) != !c->moved) fail_msg("%s at %p", p->name, t->data);
}

static void test_tiny(void **state)
{
    dit_config config;
    bound_files b;
    dreamo_error err = { 0 };
    (void)state;
    assert_int_equal(config_dit(TINY "transformer/config.json", &config, &err), DREAMO_OK);
    dit *d = dit_new(&config); /* in five shards */
    assert_int_equal(bind_dit(d, TINY "transformer", &b, &err), DREAMO_OK);
    assert_int_equal(b.set.nfiles, 5);
    check c = { .b = &b };
    dit_visit(d, same_values, &c);
    assert_int_equal(c.n, 4 + 12 + 2 * 32 + 2 * 14 + 4); /* embedders, double and single blocks, last layer */
    bind_close(&b);
    dit_free(d);

    t5 *t = new_t5();
    assert_int_equal(bind_t5(t, TINY "text_encoder_2", &b, &err), DREAMO_OK);
    t5_visit(t, same_values, &(check){ .b = &b });
    bind_close(&b);
    t5_free(t);

    clip *k = new_clip();
    assert_int_equal(bind_clip(k, TINY "text_encoder/model.safetensors", &b, &err), DREAMO_OK);
    clip_visit(k, same_values, &(check){ .b = &b });
    bind_close(&b);
    clip_free(k);
    assert_int_equal(mem_live(), 0);
}

/* One more space after the header: all tensors at odd addresses. */
static void shift_by_one(const char *path)
{
    char *data, *shifted;
    size_t nbytes;
    uint64_t header;
    dreamo_error err = { 0 };
    assert_int_equal(file_read(path, 1 << 24, &data, &nbytes, &err), DREAMO_OK);
    memcpy(&header, data, 8);
    shifted = mem_alloc(nbytes + 1);
    memcpy(shifted, data, 8 + header);
    shifted[8 + header] = ' ';
    memcpy(shifted + 9 + header, data + 8 + header, nbytes - 8 - header);
    header++;
    memcpy(shifted, &header, 8);
    scratch_write(path, shifted, nbytes + 1);
    mem_free(shifted);
    mem_free(data);
}

/* Stored as F32 and F16, and at odd addresses: the values stay. */
static void test_types(void **state)
{
    bound_files b;
    dreamo_error err = { 0 };
    editable e = take_vae();
    static float wide[8 * 16 * 9];
    static uint16_t half[32];
    (void)state;
    st_tensor *t = pick(&e, "encoder.conv_in.weight");
    dtype_to_f32(t->type, t->data, t->count, wide);
    t->type = DT_F32;
    t->data = wide;
    t->nbytes = t->count * 4;
    t = pick(&e, "encoder.mid_block.attentions.0.to_q.bias");
    for (size_t i = 0; i < t->count; i++) half[i] = 0x3C00; /* 1 */
    t->type = DT_F16;
    t->data = half;
    write_out(&e, "vae.safetensors");
    vae *m = new_vae();
    for (int odd = 0; odd < 2; odd++) {
        if (odd) shift_by_one("vae.safetensors");
        assert_int_equal(bind_vae(m, "vae.safetensors", &b, &err), DREAMO_OK);
        vae_visit(m, same_values, &(check){ .b = &b, .moved = odd });
        assert_true(m->encoder.attention.q.part[0].bias[31] == 1);
        bind_close(&b);
    }
    vae_free(m);
}

/* The attention of older files: other names, and 1x1 convolutions. */
static void test_older_vae(void **state)
{
    static const char *const pairs[][2] = { { "to_q", "query" }, { "to_k", "key" }, { "to_v", "value" }, { "to_out.0", "proj_attn" } };
    bound_files b;
    dreamo_error err = { 0 };
    editable e = take_vae();
    char names[16][80], old[80];
    int n = 0;
    (void)state;
    for (int part = 0; part < 2; part++)
        for (int i = 0; i < 4; i++)
            for (int bias = 0; bias < 2; bias++) {
                const char *side = part ? "decoder" : "encoder", *end = bias ? "bias" : "weight";
                snprintf(old, sizeof old, "%s.mid_block.attentions.0.%s.%s", side, pairs[i][0], end);
                snprintf(names[n], sizeof names[n], "%s.mid_block.attentions.0.%s.%s", side, pairs[i][1], end);
                st_tensor *t = pick(&e, old);
                t->name = names[n++];
                if (!bias) t->rank = 4, t->shape[2] = t->shape[3] = 1;
            }
    write_out(&e, "older.safetensors");
    vae *m = new_vae();
    if (bind_vae(m, "older.safetensors", &b, &err)) fail_msg("%s", err.message);
    assert_ptr_equal(m->decoder.attention.out.part[0].data, st_set_find(&b.set,
                                                                        "decoder.mid_block.attentions.0.proj_attn.weight")->data);
    bind_close(&b);
    vae_free(m);
}

/* T5's table under its other name, or under both; CLIP's two extra tensors. */
static void test_spare_tensors(void **state)
{
    bound_files b;
    dreamo_error err = { 0 };
    (void)state;
    for (int both = 0; both < 2; both++) {
        editable e = take(TINY "text_encoder_2", "model");
        st_tensor *t = pick(&e, "shared.weight");
        if (both) e.t[e.n++] = *t;
        t->name = "encoder.embed_tokens.weight";
        write_out(&e, "t5.safetensors");
        t5 *m = new_t5();
        if (bind_t5(m, "t5.safetensors", &b, &err)) fail_msg("%s", err.message);
        assert_ptr_equal(m->embed.part[0].data, st_set_find(&b.set,
                                                            both ? "shared.weight" : "encoder.embed_tokens.weight")->data);
        bind_close(&b);
        t5_free(m);
    }
    editable e = take(TINY "text_encoder", "model");
    add(&e, "text_projection.weight", DT_F16, 24 * 24);
    add(&e, "text_model.embeddings.position_ids", DT_I64, 77);
    write_out(&e, "clip.safetensors");
    clip *m = new_clip();
    if (bind_clip(m, "clip.safetensors", &b, &err)) fail_msg("%s", err.message);
    bind_close(&b);
    clip_free(m);
}

/* ---- what does not ---- */

static void test_missing(void **state)
{
    static const char *const names[] = { "encoder.conv_in.weight", "encoder.conv_in.bias", "encoder.conv_out.weight",
                                         "encoder.conv_out.bias",
                                         "decoder.conv_in.weight", "decoder.conv_in.bias", "decoder.conv_out.bias" };
    (void)state;
    editable e = take_vae();
    drop(&e, "decoder.conv_norm_out.weight");
    write_out(&e, "v.safetensors");
    bad_vae("v.safetensors", "v.safetensors: 1 tensor is missing: decoder.conv_norm_out.weight");
    e = take_vae();
    for (int i = 0; i < 7; i++) drop(&e, names[i]);
    write_out(&e, "v.safetensors");
    bad_vae("v.safetensors",
            "v.safetensors: 7 tensors are missing: encoder.conv_in.weight, encoder.conv_in.bias, encoder.conv_out.weight, "
                             "encoder.conv_out.bias, decoder.conv_in.weight and 2 more");
}

static void test_extra(void **state)
{
    (void)state;
    editable e = take_vae();
    add(&e, "quant_conv.weight", DT_F32, 4);
    write_out(&e, "v.safetensors");
    bad_vae("v.safetensors", "v.safetensors: 1 tensor belongs to no part of the model: quant_conv.weight");
}

static void test_shape(void **state)
{
    (void)state;
    editable e = take_vae();
    st_tensor *t = pick(&e, "encoder.conv_in.bias");
    t->rank = 2;
    t->shape[0] = 4;
    t->shape[1] = 4;
    write_out(&e, "v.safetensors");
    bad_vae("v.safetensors", "v.safetensors: 1 tensor has another shape: encoder.conv_in.bias (is 4 4, needs 16)");
    e = take_vae();
    t = pick(&e, "decoder.conv_in.weight"); /* as many numbers, rows and columns swapped */
    t->shape[0] = 16;
    t->shape[1] = 32;
    write_out(&e, "v.safetensors");
    bad_vae("v.safetensors", "v.safetensors: 1 tensor has another shape: decoder.conv_in.weight (is 16 32 3 3, needs 32 16 3 3)");
}

static void test_type(void **state)
{
    (void)state;
    editable e = take_vae();
    pick(&e, "decoder.conv_in.weight")->type = DT_I16;
    pick(&e, "decoder.conv_in.bias")->type = DT_U16;
    write_out(&e, "v.safetensors");
    bad_vae("v.safetensors",
            "v.safetensors: 2 tensors are of a type that their places cannot have: decoder.conv_in.weight (I16), decoder.conv_in.bias (U16)");
}

/* A tensor under a wrong name is a missing and an extra one: one line says both. */
static void test_several(void **state)
{
    (void)state;
    editable e = take_vae();
    pick(&e, "decoder.conv_out.bias")->name = "decoder.conv_out.bais";
    pick(&e, "decoder.conv_in.bias")->type = DT_U16;
    write_out(&e, "v.safetensors");
    bad_vae("v.safetensors",
            "v.safetensors: 1 tensor is missing: decoder.conv_out.bias; 1 tensor is of a type that its place cannot have: decoder.conv_in.bias (U16); "
                             "1 tensor belongs to no part of the model: decoder.conv_out.bais");
    /* another network's file */
    vae *m = new_vae();
    bound_files b;
    dreamo_error err = { 0 };
    assert_int_equal(bind_vae(m, TINY "text_encoder/model.safetensors", &b, &err), DREAMO_FORMAT);
    assert_string_equal(err.message, TINY "text_encoder/model.safetensors: is a CLIP text encoder, not an autoencoder");
    vae_free(m);
}

static void test_no_file(void **state)
{
    bound_files b;
    dreamo_error err = { 0 };
    vae *m = new_vae();
    (void)state;
    assert_int_equal(bind_vae(m, "nowhere.safetensors", &b, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "nowhere.safetensors"));
    assert_int_equal(folder_make("empty", NULL), DREAMO_OK);
    err = (dreamo_error){ 0 };
    assert_int_equal(bind_vae(m, "empty", &b, &err), DREAMO_NOT_FOUND);
    assert_non_null(strstr(err.message, "empty: holds neither diffusion_pytorch_model.safetensors nor"));
    vae_free(m);
    assert_int_equal(mem_live(), 0);
}

/* Every allocation of binding fails in turn: DREAMO_MEMORY, nothing leaks. */
static void test_no_memory(void **state)
{
    vae *m = new_vae();
    size_t live = mem_live();
    (void)state;
    for (long nth = 1;; nth++) {
        bound_files b;
        dreamo_error err = { 0 };
        mem_fail_at(nth);
        dreamo_status s = bind_vae(m, TINY "vae", &b, &err);
        mem_fail_at(0);
        bind_close(&b);
        if (mem_live() != live) fail_msg("allocation %ld leaks", nth);
        if (s == DREAMO_OK) break;
        if (s != DREAMO_MEMORY) fail_msg("allocation %ld: %s", nth, err.message);
    }
    vae_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),  cmocka_unit_test(test_types), cmocka_unit_test(test_older_vae), cmocka_unit_test(test_spare_tensors), cmocka_unit_test(test_missing),
        cmocka_unit_test(test_extra), cmocka_unit_test(test_shape), cmocka_unit_test(test_type),      cmocka_unit_test(test_several),       cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
