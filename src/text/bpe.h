/* bpe.h - inside of the CLIP tokenizer, shared by bpe_open.c (files) and bpe.c (encoding). */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H
#include "text/tokenizer.h"

#define BPE_MOST_MERGES (49152 - 256 - 2) /* later lines of merges.txt are ignored, as by the official class */
#define BPE_NO_SYMBOL (-1) /* a byte that the vocabulary does not have: it merges with nothing */

/* Two neighbouring symbols that become one; lower ranks go first. */
typedef struct bpe_merge { int32_t left, right, rank, product; } bpe_merge;

struct bpe {
    char **name;             /* [n] token of an id, as vocab.json writes it; owned */
    int n;
    int32_t symbol[2][256];  /* id of a byte inside a word, and of the last byte of one */
    bpe_merge *merges;       /* hash table with open addressing; rank < 0: free */
    uint32_t mask;           /* its length - 1, a power of two minus one */
    int32_t start, end;
    int max_length;
};

/* The slot of the pair, or the free slot where it belongs. */
bpe_merge *bpe_slot(const bpe *t, int32_t left, int32_t right);

/* GPT-2's way to write any byte as a printable character (spec 5.4 rule 4): its UTF-8, NUL-terminated. */
void bpe_byte_name(int byte, char out[3]);

#define BPE_START "<|startoftext|>"
#define BPE_END   "<|endoftext|>"
#define BPE_WORD_END "</w>"
#endif
