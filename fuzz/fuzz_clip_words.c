/* fuzz_clip_words.c - the CLIP tokenizer's folder: tokenizer_config.json, vocab.json, merges.txt, and a text to encode. */
#include "fuzz.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_parts p = { data, data + nbytes, false };
    const uint8_t *text;
    size_t n;
    bpe *t = NULL;
    token_ids ids;
    dreamo_error err = { 0 };
    fuzz_put_next(&p, "tokenizer_config.json");
    fuzz_put_next(&p, "vocab.json");
    fuzz_put_next(&p, "merges.txt");
    if (!fuzz_next(&p, &text, &n)) text = (const uint8_t *)"A cat's \xC3\xA9 42!", n = 13;
    dreamo_status s = bpe_open(".", &t, &err);
    fuzz_told(s, &err);
    if (!s && (s = bpe_encode_n(t, (const char *)text, n, bpe_max_length(t) > 77 ? 77 : bpe_max_length(t), &ids, &err)) == DREAMO_OK) {
        for (int i = 0; i < ids.n; i++) fuzz_must(bpe_piece(t, ids.ids[i]) != NULL, "an id has a piece");
        mem_free(ids.ids);
    }
    fuzz_told(s, &err);
    bpe_close(t);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
