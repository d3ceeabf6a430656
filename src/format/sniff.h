/* sniff.h - what a file is that is not what it was taken for, by its first bytes: the words that every refusal and `info` share. */
#ifndef FORMAT_SNIFF_H
#define FORMAT_SNIFF_H
#include <stdbool.h>
#include <stddef.h>

/* "is `what`; `instead`" */
typedef struct sniffed { const char *what, *instead; } sniffed;

/* what NULL: nothing that is known. */
sniffed sniff(const unsigned char *data, size_t nbytes);
/* The words for a file that ends `missing` bytes early are its reader's; this says whether the file ends in zeros, as a download does whose
 * room was taken in advance. */
bool    sniff_ends_in_zeros(const unsigned char *data, size_t nbytes);
#endif
