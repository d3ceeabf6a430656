/* fuzz_garments.c - IDX files of garments; the input is the unpacked pictures, or (with another first byte than 0) the file itself. */
#include <zlib.h>
#include "data/source/garments.h"
#include "fuzz.h"

static void put_packed(const char *name, const uint8_t *data, size_t nbytes)
{
    unsigned char *packed = malloc(nbytes + 1024);
    z_stream s = { .next_in = (unsigned char *)(uintptr_t)data, .avail_in = (uInt)nbytes, .next_out = packed, .avail_out = (uInt)nbytes + 1024 };
    fuzz_must(deflateInit2(&s, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK && deflate(&s, Z_FINISH) == Z_STREAM_END, "packed");
    fuzz_put(name, packed, s.total_out);
    deflateEnd(&s);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static const uint8_t labels[] = { 0, 0, 8, 1, 0, 0, 0, 2, 0, 1 };
    static const char *const names[] = { "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz" };
    garment_source s;
    dreamo_error err = { 0 };
    for (int i = 0; i < 4; i++) {
        if (i > 1) put_packed(names[i], labels, sizeof labels);
        else if (nbytes && data[0]) fuzz_put(names[i], data, nbytes);
        else put_packed(names[i], data, nbytes);
    }
    dreamo_status status = garments_open(".", 4, &s, &err);
    fuzz_told(status, &err);
    if (!status) garments_close(&s);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
