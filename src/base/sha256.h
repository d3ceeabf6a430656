/* sha256.h - FIPS 180-4, for the hashes in manifests and picture metadata. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef struct sha256 { uint32_t h[8]; uint64_t nbytes; unsigned char block[64]; } sha256;
void sha256_init(sha256 *s);
void sha256_add(sha256 *s, const void *data, size_t nbytes);
void sha256_done(sha256 *s, unsigned char out[32]);
void sha256_text(sha256 *s, char out[65]); /* the same as 64 hex digits; NUL-terminated */
void sha256_hex(const void *data, size_t nbytes, char out[65]); /* all in one; NUL-terminated */
/* Tests only: true = plain C even where the processor has instructions for it.  Returns whether it has. */
bool sha256_plain_only(bool only);
#endif
