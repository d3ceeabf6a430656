/* caption.c - both tokenizers, padded and cut as the networks want it. */
#include "train/flow/caption.h"

#include "base/mem.h"

static dreamo_status read_t5(const network *n, const char *text, caption *out, dreamo_error *err)
{
    token_ids t = { 0 };
    int length = unigram_max_length(n->t5_words);
    dreamo_status s = unigram_encode(n->t5_words, text, length, &t, err);
    int32_t *ids = s ? NULL : mem_realloc(t.ids, (size_t)length * sizeof *ids);
    if (!s && !ids) s = fail(err, DREAMO_MEMORY, "no memory for %d ids", length);
    if (s) {
        mem_free(t.ids);
        return s;
    }
    for (int i = t.n; i < length; i++) ids[i] = unigram_pad(n->t5_words); /* no mask: padding is part of what the network sees */
    out->t5 = ids;
    out->rows.nt5 = length;
    return DREAMO_OK;
}

static dreamo_status read_clip(const network *n, const char *text, caption *out, dreamo_error *err)
{
    token_ids t = { 0 };
    dreamo_status s = bpe_encode(n->clip_words, text, bpe_max_length(n->clip_words), &t, err);
    if (s) return s;
    int end = 0;
    while (end < t.n - 1 && t.ids[end] != bpe_end(n->clip_words)) end++;
    out->clip = t.ids;
    out->rows.nclip = end + 1; /* attention is causal and only this row is read */
    return DREAMO_OK;
}

dreamo_status caption_read(const network *n, const char *text, caption *out, dreamo_error *err)
{
    *out = (caption){ 0 };
    dreamo_status s = read_t5(n, text, out, err);
    if (!s) s = read_clip(n, text, out, err);
    if (s) caption_free(out);
    return s;
}

void caption_free(caption *c)
{
    mem_free(c->t5);
    mem_free(c->clip);
    *c = (caption){ 0 };
}
