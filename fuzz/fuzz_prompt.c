/* fuzz_prompt.c - texts through both tokenizers of FLUX; the vocabularies are the shipped ones. */
#include "fuzz.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static unigram *t5;
    static bpe *clip;
    token_ids ids;
    dreamo_error err = { 0 };
    if (!clip) fuzz_must(!unigram_open(REPO_ROOT "/models/flux-dev/tokenizer_2", &t5, &err) && !bpe_open(REPO_ROOT "/models/flux-dev/tokenizer", &clip, &err), err.message);
    size_t live = mem_live();
    dreamo_status s = unigram_encode_n(t5, (const char *)data, nbytes, 64, &ids, &err);
    fuzz_told(s, &err);
    if (!s) {
        fuzz_must(ids.n >= 1 && ids.n <= 64 && ids.n <= ids.nfull && ids.cut_at <= nbytes, "the ids fit");
        mem_free(ids.ids);
    }
    dreamo_error other = { 0 };
    dreamo_status also = bpe_encode_n(clip, (const char *)data, nbytes, 77, &ids, &other);
    fuzz_told(also, &other);
    fuzz_must(also == s, "both read the same texts");
    if (!also) {
        fuzz_must(ids.n >= 2 && ids.n <= 77 && ids.ids[0] == bpe_start(clip) && ids.cut_at <= nbytes, "start, words, end");
        mem_free(ids.ids);
    }
    fuzz_must(mem_live() == live, "all memory is given back");
    return 0;
}
