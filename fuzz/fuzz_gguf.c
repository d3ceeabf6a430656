/* fuzz_gguf.c - GGUF files: what opens can be read to the last number. */
#include "base/dtype.h"
#include "format/gguf.h"
#include "fuzz.h"
#include "weights/kind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    st_file f;
    dreamo_error err = { 0 };
    float few[64];
    if (!gguf_is(data, nbytes)) return 0;
    fuzz_put("w.gguf", data, nbytes);
    dreamo_status s = st_open_any("w.gguf", &f, &err);
    fuzz_told(s, &err);
    for (int i = 0; !s && i < f.ntensors; i++) {
        const st_tensor *t = &f.tensors[i];
        unsigned char last = 0;
        if (t->nbytes) memcpy(&last, (const char *)t->data + t->nbytes - 1, 1);
        fuzz_must(st_find(&f, t->name) != NULL, "a tensor is found by its name");
        if (t->count == 64) dtype_to_f32(t->type, t->data, 64, few);
    }
    if (!s) kind_of_weights(&f);
    if (!s) st_close(&f);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
