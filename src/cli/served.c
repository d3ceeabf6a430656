/* served.c - what `serve` and `worker` share: a model's options, times, lines of talk from any thread. */
#include "cli/served.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/screen.h"

static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;

void served_say(const char *label, const char *text)
{
    pthread_mutex_lock(&line_lock);
    if (strcmp(label, "warning") == 0) screen_warn("%s", text);
    else screen_line(label, "%s", text);
    pthread_mutex_unlock(&line_lock);
}

dreamo_status served_time(const parsed *p, const char *name, int64_t *out, dreamo_error *err)
{
    const char *s = option_text(p, name, NULL);
    char digits[16];
    if (!s) return DREAMO_OK;
    size_t n = strspn(s, "0123456789");
    int64_t unit = strcmp(s + n, "s") == 0 ? 1 : strcmp(s + n, "m") == 0 ? 60 : strcmp(s + n, "h") == 0 ? 3600 : 0;
    if (n == 0 || n > 7 || !unit) return complain(err, DREAMO_ARG, "for example 30s, 10m, 2h", "--%s: \"%s\" is not a time", name, s);
    snprintf(digits, sizeof digits, "%.*s", (int)n, s);
    text_integer(digits, out);
    *out *= unit;
    return DREAMO_OK;
}

dreamo_status served_model(const parsed *p, dreamo_model_options *m, dreamo_lora loras[SERVED_LORAS], char *room, size_t nbytes, dreamo_error *err)
{
    const char *text;
    m->dir = option_text(p, "model", NULL);
    m->dit = option_text(p, "dit", NULL);
    m->t5 = option_text(p, "t5", NULL);
    m->clip = option_text(p, "clip", NULL);
    m->vae = option_text(p, "vae", NULL);
    m->variant = option_text(p, "variant", NULL);
    m->variant_dir = option_text(p, "dreamo", NULL);
    m->no_turbo = option_flag(p, "no-turbo");
    m->fast = option_flag(p, "fast");
    m->threads = (int)option_integer(p, "threads", 0);
    m->backend = option_text(p, "backend", NULL);
    m->loras = loras;
    m->progress = screen_event;
    for (; (text = option_nth(p, "lora", m->nloras)); m->nloras++) {
        if (m->nloras == SERVED_LORAS) return complain(err, DREAMO_LIMIT, NULL, "more than %d LoRAs", SERVED_LORAS);
        dreamo_status s = text_lora("lora", text, room, nbytes, &loras[m->nloras], err);
        if (s) return s;
        size_t used = strlen(loras[m->nloras].path) + 1;
        room += used;
        nbytes -= used;
    }
    return DREAMO_OK;
}
