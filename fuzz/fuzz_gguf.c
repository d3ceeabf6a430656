/* fuzz_gguf.c - GGUF files: what opens can be read to the last number. */
#include "format/gguf.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    st_file f;
    dreamo_error err = { 0 };
    if (!gguf_is(data, nbytes)) return 0;
    fuzz_put("w.gguf", data, nbytes);
    dreamo_status s = st_open_any("w.gguf", &f, &err);
    fuzz_told(s, &err);
    if (!s) {
        fuzz_walk(&f);
        st_close(&f);
    }
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
