/* prompt_cache.c - what a prompt's embeddings depend on. */
#include "pipe/prompt_cache.h"

#include <string.h>

#include "base/sha256.h"
#include "weights/cache.h"

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
    sha256 h;
    sha256_init(&h);
    sha256_add(&h, DREAMO_VERSION_TEXT, sizeof DREAMO_VERSION_TEXT);
    sha256_add(&h, device_name(m->dev), strlen(device_name(m->dev)) + 1);
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
    sha256_text(&h, out);
}

static dreamo_status visit(const dreamo_model *m, const prompt *p, bool write, bool *found, dreamo_error *err)
{
    char key[65];
    const cache_part parts[] = { { "prompt_embeds", p->nt5, m->t5->config.width, p->embeds }, { "pooled", 0, m->clip->config.width, p->pooled } };
    key_of(m, p, key);
    if (write) return cache_write(m->cache, key, parts, 2, err);
    *found = cache_read(m->cache, key, parts, 2);
    return DREAMO_OK;
}

bool prompt_cache_read(const dreamo_model *m, prompt *p)
{
    bool found = false;
    if (m->cache) visit(m, p, false, &found, NULL);
    return found;
}

dreamo_status prompt_cache_write(const dreamo_model *m, const prompt *p, dreamo_error *err)
{
    return m->cache ? visit(m, p, true, NULL, err) : DREAMO_OK;
}
