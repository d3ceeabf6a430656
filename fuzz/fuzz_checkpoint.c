/* fuzz_checkpoint.c - a training checkpoint.  The first byte says which of its files the rest is: 'M' MANIFEST, 's' state.json,
 * else weights.safetensors; the others are good, and so is the manifest of a file that is not. */
#include <stdio.h>
#include "base/sha256.h"
#include "fuzz.h"
#include "train/checkpoint.h"

static void make(params *p)
{
    *p = (params){ 0 };
    fuzz_must(!params_add(p, "w", 2, (const int64_t[]){ 2, 3 }, NULL) && !params_allocate(p, false, NULL), "memory");
}

/* The name and the line of MANIFEST. */
static void put(const char *name, const void *data, size_t nbytes, char *manifest)
{
    char path[64], hex[65];
    snprintf(path, sizeof path, "run/ckpt-000001/%s", name);
    fuzz_put(path, data, nbytes);
    sha256_hex(data, nbytes, hex);
    sprintf(manifest + strlen(manifest), "%s %zu %s\n", hex, nbytes, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static char *good[4];
    static size_t ngood[4];
    static const char *const names[] = { "weights.safetensors", "optim.safetensors", "state.json", "recipe.conf" };
    char manifest[1024] = "";
    params p;
    run_state s = { .stage = "base", .step = 1, .samples = 8, .seed = 7, .threads = 2, .backend = "cpu", .model = "m", .data = "d" };
    dreamo_error err = { 0 };
    if (nbytes < 1) return 0;
    make(&p);
    if (!good[0]) {
        fuzz_put("run/x", "", 0);
        fuzz_must(!checkpoint_save("run", &p, &s, "steps = 1\n", 1, &err), err.message);
        for (int i = 0; i < 4; i++) {
            char path[64];
            FILE *f;
            snprintf(path, sizeof path, "run/ckpt-000001/%s", names[i]);
            fuzz_must((f = fopen(path, "rb")) && (good[i] = malloc(1 << 16)), path);
            ngood[i] = fread(good[i], 1, 1 << 16, f);
            fclose(f);
        }
    }
    int which = data[0] == 's' ? 2 : data[0] == 'M' ? 4 : 0;
    for (int i = 0; i < 4; i++) put(names[i], i == which ? (const void *)(data + 1) : good[i], i == which ? nbytes - 1 : ngood[i], manifest);
    if (which == 4) fuzz_put("run/ckpt-000001/MANIFEST", data + 1, nbytes - 1);
    else fuzz_put("run/ckpt-000001/MANIFEST", manifest, strlen(manifest));
    dreamo_status status = checkpoint_read("run/ckpt-000001", &p, &s, &err);
    fuzz_told(status, &err);
    if (!status && which == 4) fuzz_must(nbytes - 1 == strlen(manifest), "a manifest that counts names each file once");
    params_free(&p);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
