/* fuzz_pth.c - torch.save's files, both containers: what opens can be read to the last number, and nothing in it runs. */
#include "format/pth.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    st_file f;
    dreamo_error err = { 0 };
    if (!pth_is(data, nbytes)) return 0;
    fuzz_put("w.pth", data, nbytes);
    dreamo_status s = st_open_any("w.pth", &f, &err);
    fuzz_told(s, &err);
    if (!s) {
        fuzz_walk(&f);
        st_close(&f);
    }
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
