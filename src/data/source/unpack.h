/* unpack.h - deflated bytes of a known length, through zlib. */
#ifndef DATA_UNPACK_H
#define DATA_UNPACK_H
#include <stdbool.h>
#include <stddef.h>

typedef enum unpack_wrap { UNPACK_RAW, UNPACK_GZIP } unpack_wrap;

/* The first `nbytes` bytes of the stream; false when fewer came out, when the stream is damaged, and, where `all` of it is asked for, when
 * more would come. */
bool unpack(const unsigned char *from, size_t packed, unpack_wrap wrap, unsigned char *to, size_t nbytes, bool all);
#endif
