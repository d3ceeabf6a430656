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

dreamo_status unpack(const unsigned char *from, size_t packed, unpack_wrap wrap, unsigned char *to, size_t nbytes, bool all)
{
    if (packed > UINT_MAX || nbytes > UINT_MAX) return DREAMO_FORMAT;
    z_stream s = { .zalloc = z_alloc, .zfree = z_free, .next_in = (unsigned char *)(uintptr_t)from, .avail_in = (uInt)packed,
                   .next_out = to, .avail_out = (uInt)nbytes };
    int code = inflateInit2(&s, wrap == UNPACK_GZIP ? MAX_WBITS + 16 : -MAX_WBITS);
    if (code != Z_OK) return DREAMO_MEMORY;
    code = inflate(&s, all ? Z_FINISH : Z_SYNC_FLUSH);
    bool whole = s.total_out == nbytes && (all ? code == Z_STREAM_END : code == Z_OK || code == Z_STREAM_END);
    inflateEnd(&s);
    return whole ? DREAMO_OK : code == Z_MEM_ERROR ? DREAMO_MEMORY : DREAMO_FORMAT;
}
