/* served.c - what `serve` and `worker` share: times, lines of talk from any thread. */
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
