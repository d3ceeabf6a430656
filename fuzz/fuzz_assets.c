/* fuzz_assets.c - an asset folder: assets.json and assets.safetensors; what opens makes a sample. */
#include "data/sample.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    fuzz_parts p = { data, data + nbytes, false };
    data_set *d = NULL;
    data_sample sample;
    dreamo_error err = { 0 };
    fuzz_put_next(&p, "assets.json");
    fuzz_put("assets.safetensors", p.over ? (const uint8_t *)"" : p.at, p.over ? 0 : (size_t)(p.end - p.at)); /* whatever bytes it has */
    dreamo_status s = data_open(".", &d, &err);
    fuzz_told(s, &err);
    if (!s) {
        const data_request q = { .kind = DATA_T2I, .split = DATA_TRAIN, .seed = 1, .index = 2, .width = 16, .height = 16 };
        s = data_sample_make(d, NULL, &q, &sample, &err);
        fuzz_told(s, &err);
        if (!s) data_sample_free(&sample);
        data_close(d);
    }
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
