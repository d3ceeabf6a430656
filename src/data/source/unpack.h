/* unpack.h - deflated bytes of a known length, through zlib. */
#ifndef DATA_UNPACK_H
#define DATA_UNPACK_H
#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"

typedef enum unpack_wrap { UNPACK_RAW, UNPACK_GZIP } unpack_wrap;

/* The first `nbytes` bytes of the stream.  DREAMO_FORMAT: fewer came out, the stream is damaged, or, where `all` of it is asked for, more
 * would come; DREAMO_MEMORY.  Who calls says what it was. */
dreamo_status unpack(const unsigned char *from, size_t packed, unpack_wrap wrap, unsigned char *to, size_t nbytes, bool all);
#endif
