/* model.c - a model's options, read. */
#include "cli/model.h"
#include <string.h>
#include "cli/screen.h"

dreamo_status option_model(const parsed *p, dreamo_model_options *m, model_names *names, dreamo_error *err)
{
    const char *text;
    size_t used = 0;
    m->dir = option_text(p, "model", NULL);
    m->dit = option_text(p, "dit", NULL);
    m->t5 = option_text(p, "t5", NULL);
    m->clip = option_text(p, "clip", NULL);
    m->vae = option_text(p, "vae", NULL);
    m->variant = option_text(p, "variant", NULL);
    m->variant_dir = option_text(p, "dreamo", NULL);
    m->no_turbo = option_flag(p, "no-turbo");
    if (m->no_turbo && option_flag(p, "turbo")) return complain(err, DREAMO_ARG, NULL, "--turbo and --no-turbo contradict each other");
    if (!m->variant && (m->no_turbo || m->variant_dir || option_flag(p, "turbo")))
        return complain(err, DREAMO_ARG, "add --variant v1.1", "--turbo, --no-turbo and --dreamo belong to a --variant");
    m->backend = option_text(p, "backend", NULL);
    m->networks = option_text(p, "networks", NULL);
    m->cutter = option_text(p, "cutter", NULL);
    m->ref_cache = option_text(p, "ref-cache", NULL);
    m->threads = (int)option_integer(p, "threads", 0);
    m->fast = option_flag(p, "fast");
    m->loras = names->loras;
    m->progress = screen_event;
    for (; (text = option_nth(p, "lora", m->nloras)); m->nloras++) {
        if (m->nloras == MODEL_LORAS) return complain(err, DREAMO_LIMIT, NULL, "more than %d LoRAs", MODEL_LORAS);
        dreamo_lora *l = &names->loras[m->nloras];
        dreamo_status s = text_lora("lora", text, names->paths + used, sizeof names->paths - used, l, err);
        if (s) return s;
        used += strlen(l->path) + 1;
    }
    return DREAMO_OK;
}
