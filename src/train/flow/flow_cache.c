/* flow_cache.c - keys, and which captions T5 has to see. */
#include "train/flow/flow_cache.h"

#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "weights/cache.h"

dreamo_status flow_cache_open(stage *s, flow_cache *c, bool texts, dreamo_error *err)
{
    if (!s->cache || !s->data) return DREAMO_OK;
    if (!data_given(s->data)) {
        fail(err, DREAMO_ARG, "%s: the samples of this data are composed anew each time, there is nothing to keep", s->cache);
        return hint(err, "leave the cache out, or train on given pictures");
    }
    c->folder = s->cache;
    c->texts = texts;
    network_part_hash(&s->n, PART_VAE, c->of_vae);
    if (!texts) return DREAMO_OK; /* files of gigabytes are not read for nothing */
    network_part_hash(&s->n, PART_T5, c->of_t5);
    network_part_hash(&s->n, PART_CLIP, c->of_clip);
    return DREAMO_OK;
}

/* Another version, another instruction set or other weights may make other numbers. */
static void key_begin(sha256 *h, const char *what, const char *of)
{
    sha256_init(h);
    sha256_add(h, DREAMO_VERSION_TEXT, sizeof DREAMO_VERSION_TEXT);
    sha256_add(h, what, strlen(what) + 1);
    sha256_add(h, of, 64);
}

/* ---- pictures ---- */

void flow_cache_picture_key(const flow_cache *c, const bitmap *b, char key[65])
{
    sha256 h;
    const int32_t size[] = { b->width, b->height };
    key_begin(&h, "latent", c->of_vae);
    sha256_add(&h, size, sizeof size);
    sha256_add(&h, b->data, (size_t)b->width * (size_t)b->height * 3);
    sha256_text(&h, key);
}

bool flow_cache_read_tokens(const flow_cache *c, const char *key, int rows, int channels, float *tokens)
{
    return cache_read(c->folder, key, &(cache_part){ "tokens", rows, channels, tokens }, 1);
}

dreamo_status flow_cache_write_tokens(const flow_cache *c, const char *key, int rows, int channels, float *tokens, dreamo_error *err)
{
    return cache_write(c->folder, key, &(cache_part){ "tokens", rows, channels, tokens }, 1, err);
}

/* ---- texts ---- */

/* Some captions, one after the other, for one encoder. */
typedef struct texts_job {
    const network *n;
    int count;
    bool clip;
    int32_t *ids;
    span *spans;
    int *end;
    float *out;              /* T5: their rows; CLIP: a row each */
} texts_job;

static void encode_texts(nn *cx, void *arg)
{
    texts_job *j = arg;
    layout l = { j->count, j->count, j->spans };
    tensor y = j->clip ? clip_encode(cx, j->n->clip, j->ids, l, j->end) : t5_encode(cx, j->n->t5, j->ids, l);
    if (nn_ok(cx)) tensor_read(cx, y, j->out);
}

static bool has_own_rows(const stage *s, const int32_t *ids, int n)
{
    int first = unigram_first_added(s->n.t5_words);
    for (int i = 0; i < n; i++)
        if (ids[i] >= first) return true;
    return false;
}

static const int32_t *ids_of(const flow_batch *b, bool clip, int i, int *n)
{
    *n = clip ? b->text[i].nclip : b->text[i].nt5;
    return clip ? b->clip_ids + b->clip0[i] : b->t5_ids + b->text0[i];
}

static void text_key(const flow_cache *c, const flow_batch *b, bool clip, int i, char key[65])
{
    sha256 h;
    int n;
    const int32_t *ids = ids_of(b, clip, i, &n);
    key_begin(&h, clip ? "clip" : "t5", clip ? c->of_clip : c->of_t5);
    sha256_add(&h, ids, (size_t)n * sizeof *ids);
    sha256_text(&h, key);
}

/* Where sample i's numbers stand among those that are kept. */
static cache_part place_of(flow_batch *b, bool clip, int i, int width)
{
    flow_kept *k = &b->kept;
    return clip ? (cache_part){ "pooled", 1, width, k->pooled + (size_t)i * (size_t)width }
                : (cache_part){ "text", b->text[i].nt5, width, k->text + (size_t)b->text0[i] * (size_t)width };
}

/* Encode what is missing in one go, keep each. */
static dreamo_status make_missing(stage *s, const flow_cache *c, flow_batch *b, bool clip, const int *missing, int n, int width, dreamo_error *err)
{
    texts_job j = { .n = &s->n, .count = n, .clip = clip };
    int rows = 0, count;
    dreamo_status status = DREAMO_OK;
    for (int k = 0; k < n; k++) {
        ids_of(b, clip, missing[k], &count);
        rows += count;
    }
    j.ids = mem_calloc((size_t)rows + 1, sizeof *j.ids);
    j.spans = mem_calloc((size_t)n + 1, sizeof *j.spans);
    j.end = mem_calloc((size_t)n + 1, sizeof *j.end);
    j.out = mem_calloc((size_t)(clip ? n : rows) * (size_t)width + 1, sizeof *j.out);
    if (!j.ids || !j.spans || !j.end || !j.out) status = fail(err, DREAMO_MEMORY, "no memory for %d captions", n);
    for (int k = 0, at = 0; k < n && !status; k++, at += count) {
        const int32_t *ids = ids_of(b, clip, missing[k], &count);
        memcpy(j.ids + at, ids, (size_t)count * sizeof *ids);
        j.spans[k] = (span){ at, count, k };
        j.end[k] = at + count - 1;
    }
    if (!status) status = sized_step(&s->plain, true, encode_texts, &j, err);
    for (int k = 0; k < n && !status; k++) {
        char key[65];
        cache_part p = place_of(b, clip, missing[k], width);
        size_t from = (size_t)(clip ? k : j.spans[k].start) * (size_t)width;
        memcpy(p.data, j.out + from, (size_t)p.rows * (size_t)width * sizeof(float));
        text_key(c, b, clip, missing[k], key);
        status = cache_write(c->folder, key, &p, 1, err);
    }
    mem_free(j.ids);
    mem_free(j.spans);
    mem_free(j.end);
    mem_free(j.out);
    return status;
}

static dreamo_status texts_of(stage *s, const flow_cache *c, flow_batch *b, bool clip, int width, int *missing, dreamo_error *err)
{
    int n = 0;
    for (int i = 0; i < b->samples; i++) {
        char key[65];
        cache_part p = place_of(b, clip, i, width);
        if (!clip && b->kept.live[i]) continue;
        text_key(c, b, clip, i, key);
        if (!cache_read(c->folder, key, &p, 1)) missing[n++] = i;
    }
    return n ? make_missing(s, c, b, clip, missing, n, width, err) : DREAMO_OK;
}

dreamo_status flow_cache_texts(stage *s, const flow_cache *c, flow_batch *b, dreamo_error *err)
{
    if (!c->folder || !c->texts) return DREAMO_OK;
    int width = s->n.t5->config.width, pooled = s->n.clip->config.width;
    dreamo_status status = flow_batch_keep(b, width, pooled, err);
    int *missing = mem_calloc((size_t)b->samples, sizeof *missing);
    if (!status && !missing) status = fail(err, DREAMO_MEMORY, "no memory for %d samples", b->samples);
    for (int i = 0; i < b->samples && !status; i++) b->kept.live[i] = has_own_rows(s, b->t5_ids + b->text0[i], b->text[i].nt5);
    if (!status) status = texts_of(s, c, b, false, width, missing, err);
    if (!status) status = texts_of(s, c, b, true, pooled, missing, err);
    if (!status) flow_batch_lay_live(b);
    mem_free(missing);
    return status;
}
