/* spiece.h - SentencePiece model files: the few fields of the protobuf message that a unigram tokenizer needs. */
#ifndef TEXT_SPIECE_H
#define TEXT_SPIECE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

typedef enum spiece_kind { SPIECE_NORMAL = 1, SPIECE_UNKNOWN, SPIECE_CONTROL, SPIECE_USER_DEFINED, SPIECE_UNUSED, SPIECE_BYTE } spiece_kind;

/* Called for each piece in the order of ids; s is not NUL-terminated and not checked. */
typedef dreamo_status (*spiece_fn)(void *user, const char *s, size_t n, float score, spiece_kind kind, dreamo_error *err);

typedef struct spiece_header {
    int32_t unk_id;
    const unsigned char *charsmap; /* inside data */
    size_t ncharsmap;
} spiece_header;

/* Read a model in memory.  Refused: bytes that are not such a message, a model that is not unigram, byte fallback. */
dreamo_status spiece_parse(const void *data, size_t nbytes, const char *what, spiece_fn fn, void *user, spiece_header *out, dreamo_error *err);
#endif
