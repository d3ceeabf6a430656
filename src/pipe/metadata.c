/* metadata.c - what a picture says about how it was made. */
#include <stdio.h>

#include "format/json.h"
#include "pipe/generate.h"

/* `o` at the end of the list; NULL, and the list gone, when memory ran out. */
static json_t *append(json_t *list, json_t *o)
{
    if (o && json_array_append_new(list, o) == 0) return list; /* takes o over even when it fails */
    json_decref(list);
    return NULL;
}

static json_t *references(const generation *g)
{
    static const char *const tasks[] = { [DREAMO_IP] = "ip", [DREAMO_ID] = "id", [DREAMO_STYLE] = "style" };
    json_t *list = json_array();
    for (int i = 0; list && i < g->sample.nrefs; i++) {
        const reference *r = &g->refs[i];
        list = append(list, json_pack("{s:s, s:i, s:i, s:i, s:s}", "task", tasks[r->task], "slot", r->slot, "width", r->rgb.width,
                                      "height", r->rgb.height, "sha256", r->sha256));
    }
    return list;
}

static json_t *loras(const dreamo_model *m)
{
    json_t *list = json_array();
    for (int i = 0; list && i < m->nloras; i++)
        list = append(list, json_pack("{s:s, s:f}", "sha256", m->loras[i].sha256, "scale", (double)m->loras[i].scale));
    return list;
}

/* A number, or a string of digits where JSON readers would lose some. */
static json_t *seed(uint64_t n)
{
    char digits[24];
    if (n <= INT64_MAX) return json_integer((json_int_t)n);
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    return json_string(digits);
}

static json_t *describe(const generation *g)
{
    const dreamo_request *r = g->r;
    const sampling *h = &g->how;
    json_t *o = json_pack("{s:s, s:s, s:o, s:i, s:i, s:i, s:f, s:f, s:s, s:s, s:s}", "program", "dreamo " DREAMO_VERSION_TEXT,
                          "prompt", r->prompt, "seed", seed(r->seed), "width", g->width, "height", g->height, "steps", h->steps,
                          "guidance", (double)h->guidance, "first_guidance", (double)h->first_guidance, "noise", noise_kernel_name(g->kernel), "numerics",
                          h->official ? "official" : "exact", "model", g->m->hash);
    if (!o) return NULL;
    if (g->cfg) {
        json_t *cfg = json_pack("{s:s, s:f, s:i, s:i, s:f}", "negative", g->negative_words, "true_cfg", (double)h->true_cfg,
                                "start", h->cfg_start, "end", h->cfg_end, "negative_guidance", (double)h->negative_guidance);
        if (!cfg || json_object_set_new(o, "cfg", cfg)) goto no_memory;
    }
    if (json_object_set_new(o, "references", references(g)) || json_object_set_new(o, "loras", loras(g->m))) goto no_memory;
    if (json_object_set_new(o, "fast", json_boolean(g->m->fast))) goto no_memory;
    if (r->ref_noise && json_object_set_new(o, "ref_seed", seed(r->ref_seed))) goto no_memory;
    return o;
no_memory:
    json_decref(o);
    return NULL;
}

dreamo_status metadata_write(const generation *g, char **out, dreamo_error *err)
{
    json_t *o = describe(g);
    *out = json_text(o);
    json_decref(o);
    return *out ? DREAMO_OK : fail(err, DREAMO_MEMORY, "no memory for the picture's metadata");
}
