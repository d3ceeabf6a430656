/* random_flux.c - FLUX.1-dev's weight files at their real size and under their real names, with random numbers in them.
 *
 *     random_flux FOLDER CONFIGS [TYPE [LAYERS SINGLE_LAYERS]]
 *
 * CONFIGS is a folder like models/flux-dev.  Makes flux1-dev-TYPE.gguf (BFL's names; TYPE: Q4_0, Q8_0, BF16), t5xxl-Q8_0.gguf (llama.cpp's names),
 * clip_l.safetensors, ae.safetensors and DreamO's embedding tables (embedding.safetensors), those that are not there yet.  For measuring speed and memory where the real weights are not at
 * hand: pictures made with them are noise.  Matrices have the variance of an initialised network, so that nothing overflows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "format/gguf_write.h"
#include "model/clip.h"
#include "model/dit.h"
#include "model/t5.h"
#include "model/vae.h"
#include "weights/config.h"
#include "weights/layout.h"

enum { MOST = 2000, SMALL = 1 << 20, PIECE = 1 << 20 };

typedef struct maker {
    const void *network;
    file_layout layout;
    dtype big, small;              /* of matrices of SMALL numbers and more; of the others but vectors */
    st_tensor t[MOST];
    double scale[MOST];            /* standard deviation; 0: all ones (norms' gains), negative: all zeros (biases) */
    int n;
    uint64_t state;
} maker;

static uint64_t next(maker *m) /* xorshift64 */
{
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    return m->state ^= m->state << 17;
}

/* Parameters that share a file tensor are met one after the other; the first one describes it. */
static void describe(void *user, const param *p)
{
    maker *m = user;
    file_place at;
    if (!m->layout(m->network, p, &at)) return;
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->t[i].name, at.name) == 0) return;
    if (m->n == MOST) exit((fprintf(stderr, "random_flux: more than %d tensors\n", MOST), 70));
    st_tensor *t = &m->t[m->n];
    *t = (st_tensor){ .name = mem_strdup(at.name), .rank = p->rank, .count = 1 };
    for (int i = 0; i < p->rank; i++) t->shape[i] = i == 0 && at.rows ? at.rows : p->shape[i];
    for (int i = 0; i < p->rank; i++) t->count *= (size_t)t->shape[i];
    size_t rest = t->count / (size_t)t->shape[0];
    bool blocks = p->rank == 2 && t->count >= SMALL && t->shape[1] % (int64_t)dtype_block(m->big) == 0;
    t->type = p->rank == 1 ? DT_F32 : blocks ? m->big : m->small;
    t->nbytes = dtype_nbytes_of(t->type, t->count);
    const char *end = strrchr(p->name, '.');
    m->scale[m->n++] = p->rank > 1 ? 1 / sqrt((double)rest) : end && strcmp(end, ".bias") == 0 ? -1 : 0;
}

/* nbytes, whole blocks, of random numbers of this standard deviation: uniform whole numbers under the block's scale. */
static void random_bytes(maker *m, dtype type, double scale, unsigned char *to, size_t nbytes)
{
    size_t block = type == DT_Q4_0 || type == DT_Q8_0 ? dtype_nbytes_of(type, dtype_block(type)) : dtype_nbytes(type);
    if (type == DT_F32 || type == DT_BF16) {
        for (size_t i = 0; i < nbytes; i += block) {
            float v = scale > 0 ? (float)(((double)(next(m) >> 40) / (1 << 23) - 1) * scale * sqrt(3)) : scale == 0;
            uint16_t h = f32_to_bf16(v);
            memcpy(to + i, type == DT_F32 ? (void *)&v : (void *)&h, block);
        }
        return;
    }
    uint16_t step = f32_to_f16((float)(scale / (type == DT_Q4_0 ? 4.61 : 73.9))); /* of -8..7, of -128..127 */
    for (size_t i = 0; i + 8 <= nbytes; i += 8) {
        uint64_t r = next(m);
        memcpy(to + i, &r, 8);
    }
    for (size_t i = 0; i < nbytes; i += block) memcpy(to + i, &step, sizeof step);
}

static dreamo_status fill(void *user, int i, filewriter *w, dreamo_error *err)
{
    maker *m = user;
    static unsigned char piece[PIECE + 64];
    const st_tensor *t = &m->t[i];
    size_t block = dtype_nbytes_of(t->type, dtype_block(t->type)), most = PIECE / block * block;
    dreamo_status s = DREAMO_OK;
    for (size_t at = 0; at < t->nbytes && !s; at += most) {
        size_t n = t->nbytes - at < most ? t->nbytes - at : most;
        random_bytes(m, t->type, m->scale[i], piece, n);
        s = file_write(w, piece, n, err);
    }
    return s;
}

/* GGUF with an architecture, else safetensors. */
static dreamo_status write_out(maker *m, const char *path, const char *architecture, dreamo_error *err)
{
    printf("%s: %d tensors\n", path, m->n);
    const gguf_meta meta[] = { { "general.architecture", architecture, 0 }, { "general.quantization_version", NULL, 2 } };
    dreamo_status s = architecture ? gguf_write(path, true, meta, 2, m->t, m->n, fill, m, err)
                                   : st_write_filled(path, true, m->t, m->n, NULL, 0, fill, m, err);
    for (int i = 0; i < m->n; i++) mem_free((char *)(uintptr_t)m->t[i].name);
    return s;
}

static maker *begin(const void *network, file_layout layout, dtype big, dtype small)
{
    static maker m;
    m = (maker){ .network = network, .layout = layout, .big = big, .small = small, .state = 88172645463325252u };
    return &m;
}

/* DreamO's three tables as published: bf16 (spec 2.1). */
static dreamo_status make_tables(const char *folder, dreamo_error *err)
{
    static const struct { const char *name; int64_t rows, cols; } tables[] = {
        { "dreamo_task_embedding.weight", 2, 3072 }, { "dreamo_idx_embedding.weight", 10, 3072 }, { "dreamo_t5_embedding.weight", 10, 4096 } };
    char path[1024];
    snprintf(path, sizeof path, "%s/embedding.safetensors", folder);
    if (file_exists(path)) return DREAMO_OK;
    maker *m = begin(NULL, NULL, DT_BF16, DT_BF16);
    for (int i = 0; i < 3; i++) {
        size_t n = (size_t)(tables[i].rows * tables[i].cols);
        m->t[i] = (st_tensor){ .name = mem_strdup(tables[i].name), .type = DT_BF16, .rank = 2, .shape = { tables[i].rows, tables[i].cols }, .count = n, .nbytes = 2 * n };
        m->scale[m->n++] = 0.02;
    }
    return write_out(m, path, NULL, err);
}

/* One file: unless it is there, read the config, list the network, write. */
#define MAKE(kind, config_file, walk_layout, file, architecture, big, small, ...)                         \
    do {                                                                                                  \
        char path[1024], config_path[1024];                                                               \
        kind##_config c;                                                                                  \
        snprintf(path, sizeof path, "%s/" file, argv[1], type_name);                                      \
        if (file_exists(path)) break;                                                                     \
        snprintf(config_path, sizeof config_path, "%s/" config_file "/config.json", argv[2]);             \
        s = config_##kind(config_path, &c, &err);                                                         \
        if (s) break;                                                                                     \
        __VA_ARGS__;                                                                                         \
        kind *network = kind##_new(&c);                                                                   \
        maker *m = begin(network, walk_layout, big, small);                                               \
        kind##_visit(network, describe, m);                                                               \
        s = write_out(m, path, architecture, &err);                                                       \
        kind##_free(network);                                                                             \
    } while (0)

int main(int argc, char **argv)
{
    dreamo_error err = { 0 };
    dreamo_status s = DREAMO_OK;
    const char *type_name = argc > 3 ? argv[3] : "Q4_0";
    int type = dtype_from_name(type_name);
    if ((argc != 3 && argc != 4 && argc != 6) || (type != DT_Q4_0 && type != DT_Q8_0 && type != DT_BF16)) {
        fprintf(stderr, "usage: random_flux FOLDER CONFIGS [Q4_0|Q8_0|BF16 [LAYERS SINGLE_LAYERS]]\n");
        return 2;
    }
    MAKE(dit, "transformer", layout_dit_bfl, "flux1-dev-%s.gguf", "flux", (dtype)type, DT_BF16,
         if (argc == 6) c.layers = atoi(argv[4]), c.single_layers = atoi(argv[5]));
    if (!s) MAKE(t5, "text_encoder_2", layout_t5_gguf, "t5xxl-Q8_0.gguf%.0s", "t5encoder", DT_Q8_0, DT_F32, (void)0);
    if (!s) MAKE(clip, "text_encoder", layout_own, "clip_l.safetensors%.0s", NULL, DT_BF16, DT_BF16, (void)0);
    if (!s) MAKE(vae, "vae", layout_vae_bfl, "ae.safetensors%.0s", NULL, DT_F32, DT_F32, (void)0);
    if (!s) s = make_tables(argv[1], &err);
    if (s) fprintf(stderr, "random_flux: %s\n", err.message);
    return s ? 1 : 0;
}
