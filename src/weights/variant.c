/* variant.c - the table of sets. */
#include "weights/variant.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

#define TURBO NULL

typedef struct member { const char *file; float scale; } member; /* without .safetensors */

/* The demo's settings: 12 steps with the turbo LoRA, 25 without; guidance as the slider begins. */
enum { TURBO_STEPS = 12, STEPS = 25 };
static const struct { const char *name; double guidance; member members[VARIANT_MOST]; int n; } sets[] = {
    { "v1", 3.5, { { "dreamo", 1 }, { "dreamo_cfg_distill", 1 }, { TURBO, 1 }, { "dreamo_quality_lora_pos", 0.15f }, { "dreamo_quality_lora_neg", -0.8f } }, 5 },
    { "v1.1", 4.5, { { "dreamo", 1 }, { "dreamo_cfg_distill", 1 }, { TURBO, 1 }, { "v1.1/dreamo_sft_lora", 1 }, { "v1.1/dreamo_dpo_lora", 1.25f } }, 5 },
};
static const char *const turbo_names[] = { "diffusion_pytorch_model", "FLUX.1-Turbo-Alpha/diffusion_pytorch_model", "turbo", "FLUX.1-Turbo-Alpha" };

void variant_free(variant *v)
{
    for (int i = 0; i < v->n; i++) mem_free((char *)(uintptr_t)v->lora[i].path);
    *v = (variant){ 0 };
}

static dreamo_status add(variant *v, const char *folder, const char *const *names, int n, float scale, dreamo_error *err)
{
    for (int i = 0; i < n; i++) {
        char *path = mem_printf("%s/%s.safetensors", folder, names[i]);
        if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        if (file_exists(path)) {
            v->lora[v->n++] = (dreamo_lora){ path, scale };
            return DREAMO_OK;
        }
        mem_free(path);
    }
    fail(err, DREAMO_NOT_FOUND, "%s/%s.safetensors: no such file", folder, names[0]);
    return hint(err, "`dreamo fetch` lists what a variant needs and gets it");
}

dreamo_status variant_find(const char *name, bool turbo, const char *folder, variant *out, dreamo_error *err)
{
    *out = (variant){ 0 };
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
        if (strcmp(sets[k].name, name) != 0) continue;
        dreamo_status s = DREAMO_OK;
        for (int i = 0; i < sets[k].n && !s; i++) {
            const member *m = &sets[k].members[i];
            if (m->file) s = add(out, folder, &m->file, 1, m->scale, err);
            else if (turbo) s = add(out, folder, turbo_names, (int)(sizeof turbo_names / sizeof *turbo_names), m->scale, err);
        }
        out->steps = turbo ? TURBO_STEPS : STEPS;
        out->guidance = sets[k].guidance;
        if (s) variant_free(out);
        return s;
    }
    return fail(err, DREAMO_ARG, "variant \"%s\" is neither v1 nor v1.1", name);
}

const char *variant_fused(const st_set *transformer) { return transformer->nfiles ? st_meta(&transformer->files[0], "dreamo.fused") : NULL; }

dreamo_status variant_for(const char *name, bool turbo, const char *folder, const char *model, const st_set *transformer, variant *out,
                          dreamo_error *err)
{
    const char *fused = variant_fused(transformer);
    *out = (variant){ 0 };
    if (fused) {
        fail(err, DREAMO_MISMATCH, "%s: variant %s on a transformer that has LoRAs fused in already: %.200s", transformer->name, name, fused);
        return hint(err, "leave --variant out");
    }
    char *beside = path_join(model, "dreamo");
    dreamo_status s = beside ? variant_find(name, turbo, folder ? folder : beside, out, err) : fail(err, DREAMO_MEMORY, "%s: no memory for a path", model);
    mem_free(beside);
    return s;
}
