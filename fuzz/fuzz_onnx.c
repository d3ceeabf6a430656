/* fuzz_onnx.c - the tensors of ONNX files: what opens can be read to the last number. */
#include "format/onnx.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    st_file f;
    dreamo_error err = { 0 };
    if (!onnx_is(data, nbytes)) return 0;
    fuzz_put("w.onnx", data, nbytes);
    dreamo_status s = st_open_any("w.onnx", &f, &err);
    fuzz_told(s, &err);
    if (!s) {
        fuzz_walk(&f);
        st_close(&f);
    }
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
