/* prompt.c - from text to conditioning (spec 5, 6): the same string goes to both encoders. */
#include "pipe/prompt.h"

#include <string.h>

#include "base/mem.h"
#include "pipe/phase.h"
#include "pipe/prompt_cache.h"

void prompt_free(prompt *p)
{
    mem_free(p->t5_ids);
    mem_free(p->clip_ids);
    mem_free(p->embeds);
    mem_free(p->pooled);
    *p = (prompt){ 0 };
}

/* An excerpt of at most 120 bytes that ends between two characters. */
static int excerpt(const char *s)
{
    size_t n = strlen(s);
    if (n <= 120) return (int)n;
    for (n = 120; n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80; n--) {}
    return (int)n;
}

static dreamo_status warn_if_cut(const token_ids *t, const char *text, const char *encoder, const reporter *to, dreamo_error *err)
{
    if (t->nfull <= t->n) return DREAMO_OK;
    const char *lost = text + t->cut_at;
    int n = excerpt(lost);
    return report_line(to, DREAMO_EVENT_WARNING, err, "the prompt has %d tokens for %s, which reads %d; it does not see: \"%.*s%s\"",
                       t->nfull, encoder, t->n, n, lost, lost[n] ? "..." : "");
}

static dreamo_status warn_if_unknown(const token_ids *t, const reporter *to, dreamo_error *err)
{
    if (!t->nunknown) return DREAMO_OK;
    return report_line(to, DREAMO_EVENT_WARNING, err, "T5's vocabulary lacks %d character%s of the prompt, which it does not read: \"%s\"", t->nunknown,
                       t->nunknown == 1 ? "" : "s", t->unknown);
}

/* ids padded to `length`; t->ids is taken over. */
static int32_t *pad(token_ids *t, int length, int32_t with)
{
    int32_t *ids = mem_realloc(t->ids, (size_t)length * sizeof *ids);
    if (!ids) {
        mem_free(t->ids);
        return NULL;
    }
    for (int i = t->n; i < length; i++) ids[i] = with;
    return ids;
}

static dreamo_status read_t5(const dreamo_model *m, const char *text, const reporter *to, prompt *out, dreamo_error *err)
{
    token_ids t = { 0 };
    out->nt5 = m->text_tokens;
    dreamo_status s = unigram_encode(m->t5_words, text, out->nt5, &t, err);
    if (s == DREAMO_OK) s = warn_if_cut(&t, text, "T5", to, err);
    if (s == DREAMO_OK) s = warn_if_unknown(&t, to, err);
    if (s != DREAMO_OK) {
        mem_free(t.ids);
        return s;
    }
    out->t5_ids = pad(&t, out->nt5, unigram_pad(m->t5_words));
    return out->t5_ids ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for %d ids", out->nt5);
}

static dreamo_status read_clip(const dreamo_model *m, const char *text, const reporter *to, prompt *out, dreamo_error *err)
{
    token_ids t = { 0 };
    out->nclip = bpe_max_length(m->clip_words);
    dreamo_status s = bpe_encode(m->clip_words, text, out->nclip, &t, err);
    /* CLIP's 77 tokens are the lesser encoder's; what it misses T5 still reads, so this is a note. */
    if (s == DREAMO_OK && t.nfull > t.n)
        s = report_line(to, DREAMO_EVENT_NOTE, err, "CLIP reads the first %d of %d tokens; T5 reads on", t.n, t.nfull);
    if (s != DREAMO_OK) {
        mem_free(t.ids);
        return s;
    }
    out->clip_ids = pad(&t, out->nclip, bpe_end(m->clip_words));
    if (!out->clip_ids) return fail(err, DREAMO_MEMORY, "no memory for %d ids", out->nclip);
    while (out->clip_end < out->nclip - 1 && out->clip_ids[out->clip_end] != bpe_end(m->clip_words)) out->clip_end++;
    return DREAMO_OK;
}

/* A vocabulary larger than the encoder's table would read past it. */
static dreamo_status check_ids(const dreamo_model *m, const int32_t *ids, int n, int rows, const char *encoder, dreamo_error *err)
{
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= rows)
            return fail(err, DREAMO_MISMATCH, "%s: the %s tokenizer makes id %d, the encoder's table has %d rows", m->dir, encoder,
                        (int)ids[i], rows);
    return DREAMO_OK;
}

dreamo_status prompt_read(const dreamo_model *m, const char *text, const reporter *to, prompt *out, dreamo_error *err)
{
    *out = (prompt){ 0 };
    dreamo_status s = read_t5(m, text, to, out, err);
    if (s == DREAMO_OK) s = read_clip(m, text, to, out, err);
    if (s == DREAMO_OK) s = check_ids(m, out->t5_ids, out->nt5, m->t5->config.vocab, "T5", err);
    if (s == DREAMO_OK) s = check_ids(m, out->clip_ids, out->nclip, m->clip->config.vocab, "CLIP", err);
    if (s == DREAMO_OK) {
        out->embeds = mem_calloc((size_t)out->nt5 * (size_t)m->t5->config.width, sizeof(float));
        out->pooled = mem_calloc((size_t)m->clip->config.width, sizeof(float));
        if (!out->embeds || !out->pooled) s = fail(err, DREAMO_MEMORY, "no memory for the prompt's embeddings");
        else out->ready = prompt_cache_read(m, out);
    }
    if (s != DREAMO_OK) prompt_free(out);
    return s;
}

typedef struct encode_job { const dreamo_model *m; prompt *p; } encode_job;

static void encode_t5(nn *cx, void *job)
{
    encode_job *j = job;
    span one = { 0, j->p->nt5, 0 };
    tensor_read(cx, t5_encode(cx, j->m->t5, j->p->t5_ids, (layout){ 1, 1, &one }), j->p->embeds);
}

static void encode_clip(nn *cx, void *job)
{
    encode_job *j = job;
    span one = { 0, j->p->nclip, 0 };
    tensor_read(cx, clip_encode(cx, j->m->clip, j->p->clip_ids, (layout){ 1, 1, &one }, &j->p->clip_end), j->p->pooled);
}

dreamo_status prompt_measure(const dreamo_model *m, prompt *p, int64_t times, nn_counts *out, dreamo_error *err)
{
    encode_job job = { m, p };
    nn_counts clip = { 0 };
    dreamo_status s = phase_measure(encode_t5, &job, times, out, err);
    if (s == DREAMO_OK) s = phase_measure(encode_clip, &job, times, &clip, err);
    phase_add(out, &clip);
    out->weights += clip.weights; /* both stay until the prompts are encoded */
    return s;
}

dreamo_status prompt_encode(const dreamo_model *m, prompt *p, dump *d, const char *prefix, dreamo_error *err)
{
    encode_job job = { m, p };
    dreamo_status s = p->ready ? DREAMO_OK : phase_run(m->dev, encode_t5, &job, err);
    if (s == DREAMO_OK && !p->ready) s = phase_run(m->dev, encode_clip, &job, err);
    if (s == DREAMO_OK && !p->ready) s = prompt_cache_write(m, p, err);
    if (s != DREAMO_OK) return s;
    if (!*prefix) { /* the ids of the negative prompt are not among the stages */
        dump_tensor(d, DT_I32, SHAPE(p->nt5), p->t5_ids, "t5.ids");
        dump_tensor(d, DT_I32, SHAPE(p->nclip), p->clip_ids, "clip.ids");
    }
    dump_tensor(d, DT_F32, SHAPE(p->nt5, m->t5->config.width), p->embeds, "%sprompt_embeds", prefix);
    dump_tensor(d, DT_F32, SHAPE(m->clip->config.width), p->pooled, "%spooled", prefix);
    return DREAMO_OK;
}
