/* tokenizer.h - the two tokenizers: T5's unigram (spec 6.4) and CLIP's byte-level BPE (spec 5.4). */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H
#include <stdint.h>
#include "base/error.h"

typedef struct unigram unigram;
typedef struct bpe bpe;

/* Text into ids.  `ids` is owned by the caller (mem_free).  nfull counts ids before cutting; cut_at = byte offset in `text`
 * where the cut part begins: the start of the first word that is not whole (T5: of the space before it), or the text's length. */
typedef struct token_ids {
    int32_t *ids;
    int n, nfull;
    size_t cut_at;
    int nunknown;        /* T5: characters that its vocabulary does not have */
    char unknown[124];   /* the first of them as the tokenizer sees them, words apart; "" */
} token_ids;

/* folder = tokenizer_2/.  The choice of prefix rule is read from tokenizer_config.json (spec 6.4, "Other folders"). */
dreamo_status unigram_open(const char *folder, unigram **out, dreamo_error *err);
void          unigram_close(unigram *t);
/* Ids with the end token, at most max (end kept), not padded.  [ref#1]..[ref#9] and [res] become ids first_added..first_added + 9
 * (spec 2.5).  DREAMO_ARG: not UTF-8; DREAMO_LIMIT: over 1 MiB. */
dreamo_status unigram_encode(const unigram *t, const char *text, int max, token_ids *out, dreamo_error *err);
/* The same for a text that may hold NUL characters. */
dreamo_status unigram_encode_n(const unigram *t, const char *text, size_t nbytes, int max, token_ids *out, dreamo_error *err);
int           unigram_max_length(const unigram *t);   /* model_max_length of the config */
int           unigram_first_added(const unigram *t);  /* id of [ref#1]: 32100 for FLUX (spec 2.5) */
int           unigram_pad(const unigram *t);
const char   *unigram_piece(const unigram *t, int32_t id); /* borrowed; NULL: no such id */

/* folder = tokenizer/ (vocab.json, merges.txt). */
dreamo_status bpe_open(const char *folder, bpe **out, dreamo_error *err);
void          bpe_close(bpe *t);
dreamo_status bpe_encode(const bpe *t, const char *text, int max, token_ids *out, dreamo_error *err); /* with start and end, not padded */
dreamo_status bpe_encode_n(const bpe *t, const char *text, size_t nbytes, int max, token_ids *out, dreamo_error *err);
int           bpe_max_length(const bpe *t);
int           bpe_start(const bpe *t);
int           bpe_end(const bpe *t);                  /* also the padding (spec 5.4.6) */
const char   *bpe_piece(const bpe *t, int32_t id);
#endif
