/* sha256_block.h - what sha256.c and its fast path share. */
#ifndef BASE_SHA256_BLOCK_H
#define BASE_SHA256_BLOCK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
extern const uint32_t sha256_constants[64];
bool sha256_x86_found(void); /* this processor has the SHA instructions */
void sha256_x86(uint32_t h[8], const unsigned char *data, size_t nblocks); /* blocks of 64 bytes into the state */
#endif
