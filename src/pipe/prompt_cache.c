/* prompt_cache.c - keys and files. */
#include "pipe/prompt_cache.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"

enum { SAMPLES = 4096, SAMPLE = 64 };

/* A weight file by its header and by bytes all over it: gigabytes need not be read, and two trainings of one network differ everywhere. */
static void add_file(sha256 *h, const st_file *f)
{
    const filemap *map = &f->map;
    uint64_t nbytes = map->nbytes, step = nbytes / SAMPLES;
    sha256_add(h, &nbytes, sizeof nbytes);
    sha256_add(h, map->data, f->header_nbytes);
    for (uint64_t at = 0; at + SAMPLE <= nbytes; at += step > SAMPLE ? step : SAMPLE) sha256_add(h, map->data + at, SAMPLE);
}

static void key_of(const dreamo_model *m, const prompt *p, char out[65])
{
    unsigned char digest[32];
    sha256 h;
    sha256_init(&h);
    sha256_add(&h, DREAMO_VERSION_TEXT, sizeof DREAMO_VERSION_TEXT);
    sha256_add(&h, m->backend->name, strlen(m->backend->name) + 1);
    for (int part = MODEL_T5; part <= MODEL_CLIP; part++)
        for (int i = 0; i < m->files[part].set.nfiles; i++) add_file(&h, &m->files[part].set.files[i]);
    for (int i = 0; i < m->nloras; i++) { /* they may adapt the encoders */
        sha256_add(&h, m->loras[i].sha256, 64);
        sha256_add(&h, &m->loras[i].scale, sizeof m->loras[i].scale);
    }
    if (m->tables.t5) sha256_add(&h, m->tables.t5, (size_t)DREAMO_T5_ROWS * (size_t)m->tables.text_width * sizeof(float));
    const int sizes[] = { p->nt5, p->nclip, p->clip_end, m->t5->config.heads, m->clip->config.heads };
    sha256_add(&h, sizes, sizeof sizes);
    sha256_add(&h, p->t5_ids, (size_t)p->nt5 * sizeof *p->t5_ids);
    sha256_add(&h, p->clip_ids, (size_t)p->nclip * sizeof *p->clip_ids);
    sha256_done(&h, digest);
    for (int i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static char *path_of(const dreamo_model *m, const char *key) { return mem_printf("%s/%s.safetensors", m->cache, key); }

/* Over the numbers: a flipped bit is no embedding. */
static void hash_values(const float *embeds, size_t n, const float *pooled, size_t k, char out[65])
{
    char both[129];
    sha256_hex(embeds, n * sizeof *embeds, both);
    sha256_hex(pooled, k * sizeof *pooled, both + 64);
    sha256_hex(both, 128, out);
}

bool prompt_cache_read(const dreamo_model *m, prompt *p)
{
    char key[65], hash[65];
    st_file f;
    size_t n = (size_t)p->nt5 * (size_t)m->t5->config.width, k = (size_t)m->clip->config.width;
    if (!m->cache) return false;
    key_of(m, p, key);
    char *path = path_of(m, key);
    bool found = path && file_exists(path) && st_open(path, &f, NULL) == DREAMO_OK;
    mem_free(path);
    if (!found) return false;
    const st_tensor *embeds = st_find(&f, "prompt_embeds"), *pooled = st_find(&f, "pooled");
    const char *want = st_meta(&f, "sha256");
    found = embeds && pooled && want && embeds->type == DT_F32 && pooled->type == DT_F32 && embeds->count == n && pooled->count == k;
    if (found) {
        memcpy(p->embeds, embeds->data, n * sizeof *p->embeds);
        memcpy(p->pooled, pooled->data, k * sizeof *p->pooled);
        hash_values(p->embeds, n, p->pooled, k, hash);
        found = strcmp(hash, want) == 0;
    }
    st_close(&f);
    return found;
}

dreamo_status prompt_cache_write(const dreamo_model *m, const prompt *p, dreamo_error *err)
{
    char key[65], hash[65];
    size_t n = (size_t)p->nt5 * (size_t)m->t5->config.width, k = (size_t)m->clip->config.width;
    if (!m->cache) return DREAMO_OK;
    const st_tensor t[] = {
        { .name = "prompt_embeds", .type = DT_F32, .rank = 2, .shape = { p->nt5, m->t5->config.width }, .count = n, .nbytes = n * sizeof(float), .data = p->embeds },
        { .name = "pooled", .type = DT_F32, .rank = 1, .shape = { m->clip->config.width }, .count = k, .nbytes = k * sizeof(float), .data = p->pooled },
    };
    key_of(m, p, key);
    hash_values(p->embeds, n, p->pooled, k, hash);
    const char *const meta[][2] = { { "sha256", hash } };
    char *path = path_of(m, key);
    dreamo_status s = path ? folder_make(m->cache, err) : fail(err, DREAMO_MEMORY, "%s: no memory for a path", m->cache);
    if (s == DREAMO_OK) s = st_write(path, t, 2, meta, 1, err);
    mem_free(path);
    return s;
}
