/* model.c - a model's options, read. */
#include "cli/model.h"
#include <stdio.h>
#include <string.h>
#include "cli/screen.h"

/* "8G", "6500M": bytes, in powers of 1024. */
static bool text_bytes(const char *s, uint64_t *out)
{
    char digits[16];
    size_t n = strspn(s, "0123456789");
    int shift = strcmp(s + n, "G") == 0 ? 30 : strcmp(s + n, "M") == 0 ? 20 : -1;
    int64_t count;
    if (n == 0 || n > 7 || shift < 0) return false;
    snprintf(digits, sizeof digits, "%.*s", (int)n, s);
    if (!text_integer(digits, &count) || count == 0) return false;
    *out = (uint64_t)count << shift;
    return true;
}

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
    m->backend = option_text(p, "device", option_text(p, "backend", NULL));
    if (option_text(p, "memory", NULL) && !text_bytes(option_text(p, "memory", NULL), &m->memory))
        return complain(err, DREAMO_ARG, "for example 8G, 6500M", "--memory: \"%s\" is no size", option_text(p, "memory", NULL));
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
