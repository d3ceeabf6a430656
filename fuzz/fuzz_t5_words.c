/* fuzz_t5_words.c - the T5 tokenizer's folder: tokenizer_config.json, spiece.model, tokenizer.json, and a text to encode. */
#include <unistd.h>
#include "fuzz.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static const char *const names[] = { "tokenizer_config.json", "spiece.model", "tokenizer.json" };
    fuzz_parts p = { data, data + nbytes, false };
    const uint8_t *text;
    size_t n;
    unigram *t = NULL;
    token_ids ids;
    dreamo_error err = { 0 };
    for (int i = 0; i < 3; i++) {
        if (!fuzz_next(&p, &text, &n) || (i == 2 && !n)) unlink(names[i]); /* a folder need not have them */
        else fuzz_put(names[i], text, n);
    }
    if (!fuzz_next(&p, &text, &n)) text = (const uint8_t *)"a b\xC3\xA9 [ref#1]  abc", n = 17;
    dreamo_status s = unigram_open(".", &t, &err);
    fuzz_told(s, &err);
    if (!s && (s = unigram_encode_n(t, (const char *)text, n, unigram_max_length(t) > 512 ? 512 : unigram_max_length(t), &ids, &err)) == DREAMO_OK) {
        for (int i = 0; i < ids.n; i++) fuzz_must(unigram_piece(t, ids.ids[i]) != NULL, "an id has a piece");
        mem_free(ids.ids);
    }
    fuzz_told(s, &err);
    unigram_close(t);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
