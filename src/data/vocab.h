/* vocab.h - makes the default model's own vocabularies from its captions, in the layouts that FLUX's files have. */
#ifndef DATA_VOCAB_H
#define DATA_VOCAB_H
#include <stddef.h>
#include "base/error.h"

/* folder/ becomes a tokenizer_2: spiece.model, tokenizer_config.json, special_tokens_map.json.  SentencePiece's own trainer does
 * the work: `spm_train` of Debian's package sentencepiece is run as a child process.  pieces: how many to aim at, with <pad>,
 * </s>, <unk> as 0, 1, 2; a small corpus gives fewer.  Captions are UTF-8, one line each.  The result has the same bytes
 * for the same captions and the same version of the trainer. */
dreamo_status vocab_make_unigram(const char *const *captions, size_t ncaptions, int pieces, int max_length, const char *folder, dreamo_error *err);

/* folder/ becomes a tokenizer: vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json, in CLIP's order
 * (spec 5.4): 256 bytes, the same at the end of a word, the merges' results, start, end.  merges: how many to aim at; it
 * ends earlier when no pair occurs twice. */
dreamo_status vocab_make_bpe(const char *const *captions, size_t ncaptions, int merges, int max_length, const char *folder, dreamo_error *err);
#endif
