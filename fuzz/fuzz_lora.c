/* fuzz_lora.c - LoRA files of every naming against a small transformer. */
#include "fuzz.h"
#include "weights/lora.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static const dit_config tiny = { .layers = 1, .single_layers = 1, .heads = 2, .head_dim = 16, .in_channels = 64, .out_channels = 64,
                                     .text_dim = 32, .pooled_dim = 24, .rope_axes = { 4, 6, 6 }, .guidance = true };
    static dit *m;
    lora_file f;
    dreamo_error err = { 0 };
    if (!m) fuzz_must((m = dit_new(&tiny)) != NULL, "a transformer");
    size_t live = mem_live();
    fuzz_put("l.safetensors", data, nbytes);
    dreamo_status s = lora_open("l.safetensors", 0.5f, m, 32, &f, &err);
    fuzz_told(s, &err);
    if (!s) {
        lora_attach(&f);
        lora_detach(&f);
        lora_close(&f);
    }
    fuzz_must(mem_live() == live, "all memory is given back");
    return 0;
}
