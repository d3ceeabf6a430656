/* unpack.c - zlib's inflate with our memory. */
#include "data/source/unpack.h"
#include <limits.h>
#include <stdint.h>
#include <zlib.h>
#include "base/mem.h"

static void *z_alloc(void *user, unsigned count, unsigned each)
{
    (void)user;
    return mem_calloc(count, each);
}

static void z_free(void *user, void *p)
{
    (void)user;
    mem_free(p);
}

bool unpack(const unsigned char *from, size_t packed, unpack_wrap wrap, unsigned char *to, size_t nbytes, bool all)
{
    if (packed > UINT_MAX || nbytes > UINT_MAX) return false;
    z_stream s = { .zalloc = z_alloc, .zfree = z_free, .next_in = (unsigned char *)(uintptr_t)from, .avail_in = (uInt)packed,
                   .next_out = to, .avail_out = (uInt)nbytes };
    if (inflateInit2(&s, wrap == UNPACK_GZIP ? MAX_WBITS + 16 : -MAX_WBITS) != Z_OK) return false;
    int code = inflate(&s, all ? Z_FINISH : Z_SYNC_FLUSH);
    bool whole = s.total_out == nbytes && (all ? code == Z_STREAM_END : code == Z_OK || code == Z_STREAM_END);
    inflateEnd(&s);
    return whole;
}
