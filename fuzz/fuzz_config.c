/* fuzz_config.c - the configurations of a model folder, and the index of a file in shards: each reader gets the same text. */
#include "fuzz.h"
#include "format/safetensors.h"
#include "weights/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    union { dit_config dit; vae_config vae; t5_config t5; clip_config clip; } c;
    st_set set;
    dreamo_error err[6] = { 0 };
    fuzz_put("config.json", data, nbytes);
    fuzz_put("w.safetensors.index.json", data, nbytes);
    fuzz_told(config_pipeline("config.json", &err[0]), &err[0]);
    fuzz_told(config_dit("config.json", &c.dit, &err[1]), &err[1]);
    fuzz_told(config_vae("config.json", &c.vae, &err[2]), &err[2]);
    fuzz_told(config_t5("config.json", &c.t5, &err[3]), &err[3]);
    fuzz_told(config_clip("config.json", &c.clip, &err[4]), &err[4]);
    dreamo_status s = st_set_open("w.safetensors.index.json", NULL, &set, &err[5]);
    fuzz_told(s, &err[5]);
    if (!s) st_set_close(&set);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
