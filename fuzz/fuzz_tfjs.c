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
    return fuzz_opened(tfjs_open("w.json", &f, &err), &err, &f);
}
