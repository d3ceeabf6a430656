/* fuzz_tfjs.c - TensorFlow.js' weights: a manifest and the bytes beside it. */
#include "format/tfjs.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_parts p = { data, data + nbytes, false };
    st_file f;
    dreamo_error err = { 0 };
    fuzz_put_next(&p, "w.json");
    fuzz_put_next(&p, "w.bin");
    dreamo_status s = tfjs_open("w.json", &f, &err);
    fuzz_told(s, &err);
    if (!s) {
        fuzz_walk(&f);
        st_close(&f);
    }
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
