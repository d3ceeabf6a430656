/* fuzz_safetensors.c - weight files, safetensors and (by their first bytes) GGUF: what opens can be read to the last number. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    st_file f;
    dreamo_error err = { 0 };
    fuzz_put("w.safetensors", data, nbytes);
    dreamo_status s = st_open_any("w.safetensors", &f, &err);
    fuzz_told(s, &err);
    if (!s) {
        fuzz_walk(&f);
        st_close(&f);
    }
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
