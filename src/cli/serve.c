/* serve.c - dreamo serve: options of the HTTP server (src/serve). */
#include "serve/serve.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option serve_options_table[] = {
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "model folder, or flux-dev; DREAMO_MODEL, else the shipped model" },
    { "variant", 0, VALUE_TEXT, false, 0, 0, "NAME", "v1 or v1.1: DreamO's published LoRAs with their settings" },
    { "dreamo", 0, VALUE_TEXT, false, 0, 0, "DIR", "where those files lie; DIR/dreamo of the model" },
    { "no-turbo", 0, VALUE_NONE, false, 0, 0, NULL, "a variant without its turbo LoRA" },
    { "dit", 0, VALUE_TEXT, false, 0, 0, "FILE", "transformer from this file" },
    { "t5", 0, VALUE_TEXT, false, 0, 0, "FILE", "T5 encoder from this file" },
    { "clip", 0, VALUE_TEXT, false, 0, 0, "FILE", "CLIP encoder from this file" },
    { "vae", 0, VALUE_TEXT, false, 0, 0, "FILE", "autoencoder from this file" },
    { "lora", 0, VALUE_TEXT, true, 0, 0, "FILE@S", "add a LoRA with scale S" },
    { "fast", 0, VALUE_NONE, false, 0, 0, NULL, "8-bit products in the denoising steps" },
    { "threads", 0, VALUE_INTEGER, false, 0, 1024, "N", "0 = one for each core" },
    { "backend", 0, VALUE_TEXT, false, 0, 0, "NAME", "cpu (default) or ref" },
    { "listen", 'l', VALUE_TEXT, false, 0, 0, "ADDRESS", "HOST:PORT or unix:PATH; 127.0.0.1:7860.  A socket passed by systemd goes before it" },
    { "key-file", 0, VALUE_TEXT, false, 0, 0, "FILE", "lines NAME KEY [PER-MINUTE]; needed when others than this machine can connect" },
    { "insecure", 0, VALUE_NONE, false, 0, 0, NULL, "serve others without keys" },
    { "hosts", 0, VALUE_TEXT, true, 0, 0, "NAME", "accept this Host name, too" },
    { "allow-origin", 0, VALUE_TEXT, true, 0, 0, "URL", "let pages of this origin use the server" },
    { "store", 0, VALUE_TEXT, false, 0, 0, "FILE", "jobs and pictures (SQLite); $XDG_STATE_HOME/dreamo/serve.db" },
    { "keep-results", 0, VALUE_TEXT, false, 0, 0, "TIME", "results and uploads, 10m: a number with s, m or h" },
    { "drain", 0, VALUE_TEXT, false, 0, 0, "TIME", "after SIGTERM jobs may run on so long, 60s" },
    { "queue", 0, VALUE_INTEGER, false, 1, 1000000, "N", "jobs that may wait, 16" },
    { "max-body", 0, VALUE_INTEGER, false, 1024, 1073741824, "BYTES", "of a request, 33554432" },
    { "max-pixels", 0, VALUE_INTEGER, false, 64, 16777216, "N", "of a picture to be made, 2097152" },
    { "max-upload-pixels", 0, VALUE_INTEGER, false, 64, 40000000, "N", "of a picture given, 16777216" },
    { "max-refs", 0, VALUE_INTEGER, false, 0, 9, "N", "references in a request, 9" },
    { "max-steps", 0, VALUE_INTEGER, false, 1, 60, "N", "60" },
    { "max-count", 0, VALUE_INTEGER, false, 1, 1000, "N", "pictures in a request, 8" },
    { "max-connections", 0, VALUE_INTEGER, false, 8, 100000, "N", "1024" },
    { "no-worker", 0, VALUE_NONE, false, 0, 0, NULL, "take jobs in and make none of them: another start with the same --store does" },
    { "no-web", 0, VALUE_NONE, false, 0, 0, NULL, "no web page" },
    { 0 }
};

#ifdef DREAMO_SERVE

#define MAX_LORAS 32
static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *label, const char *text)
{
    pthread_mutex_lock(&line_lock);
    if (strcmp(label, "warning") == 0) screen_warn("%s", text);
    else screen_line(label, "%s", text);
    pthread_mutex_unlock(&line_lock);
}

static dreamo_status parse_time(const parsed *p, const char *name, int64_t *out, dreamo_error *err)
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

static dreamo_status parse_list(const parsed *p, const char *name, const char *list[SERVE_NAMES], int *n, dreamo_error *err)
{
    for (const char *s; (s = option_nth(p, name, *n)); list[(*n)++] = s)
        if (*n == SERVE_NAMES) return complain(err, DREAMO_LIMIT, NULL, "--%s: more than %d", name, SERVE_NAMES);
    return DREAMO_OK;
}

/* $XDG_STATE_HOME/dreamo/serve.db, its folders made. */
static dreamo_status default_store(char *path, size_t nbytes, dreamo_error *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (state && *state == '/') n = snprintf(path, nbytes, "%s/dreamo/serve.db", state);
    else if (home && *home) n = snprintf(path, nbytes, "%s/.local/state/dreamo/serve.db", home);
    if (n < 0 || (size_t)n >= nbytes) return complain(err, DREAMO_ARG, "give --store FILE", "there is no place for the job store: HOME is not set");
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        bool failed = mkdir(path, 0700) && errno != EEXIST;
        if (failed) complain(err, DREAMO_IO, "give --store FILE", "%s: cannot be made: %s", path, strerror(errno));
        *at = '/';
        if (failed) return DREAMO_IO;
    }
    return DREAMO_OK;
}

static dreamo_status parse_model(const parsed *p, dreamo_model_options *m, dreamo_lora loras[MAX_LORAS], char *room, size_t nbytes, dreamo_error *err)
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
        if (m->nloras == MAX_LORAS) return complain(err, DREAMO_LIMIT, NULL, "more than %d LoRAs", MAX_LORAS);
        dreamo_status s = text_lora("lora", text, room, nbytes, &loras[m->nloras], err);
        if (s) return s;
        size_t used = strlen(loras[m->nloras].path) + 1;
        room += used;
        nbytes -= used;
    }
    return DREAMO_OK;
}

int run_serve(const parsed *p)
{
    static char keys[1 << 16], names[8192], store[4096];
    static dreamo_lora loras[MAX_LORAS];
    dreamo_error err = { 0 };
    serve_options o;
    serve_options_init(&o);
    dreamo_status s = parse_model(p, &o.model, loras, names, sizeof names, &err);
    o.listen = option_text(p, "listen", o.listen);
    o.insecure = option_flag(p, "insecure");
    o.no_web = option_flag(p, "no-web");
    o.no_worker = option_flag(p, "no-worker");
    o.queue = option_integer(p, "queue", o.queue);
    o.max_body = option_integer(p, "max-body", o.max_body);
    o.max_pixels = option_integer(p, "max-pixels", o.max_pixels);
    o.max_upload_pixels = option_integer(p, "max-upload-pixels", o.max_upload_pixels);
    o.max_refs = option_integer(p, "max-refs", o.max_refs);
    o.max_steps = option_integer(p, "max-steps", o.max_steps);
    o.max_count = option_integer(p, "max-count", o.max_count);
    o.max_connections = option_integer(p, "max-connections", o.max_connections);
    if (!s) s = parse_time(p, "keep-results", &o.keep_seconds, &err);
    if (!s) s = parse_time(p, "drain", &o.drain_seconds, &err);
    if (!s) s = parse_list(p, "hosts", o.hosts, &o.nhosts, &err);
    if (!s) s = parse_list(p, "allow-origin", o.origins, &o.norigins, &err);
    if (!s && option_text(p, "key-file", NULL) && !(s = text_file("key-file", option_text(p, "key-file", ""), keys, sizeof keys, &err))) o.keys = keys;
    o.store = option_text(p, "store", NULL);
    if (!s && !o.store && !(s = default_store(store, sizeof store, &err))) o.store = store;
    o.say = say;
    o.stop = &screen_stop;
    screen_catch_signals();
    signal(SIGPIPE, SIG_IGN); /* a client that is gone ends its connection, not the server */
    if (!s) s = serve_run(&o, &err);
    return s ? report(p, &err) : 0;
}

#else

int run_serve(const parsed *p)
{
    dreamo_error err = { 0 };
    complain(&err, DREAMO_NOT_FOUND, "install libmicrohttpd-dev and libsqlite3-dev, and build again",
             "serve: this program was built without the server");
    return report(p, &err);
}

#endif
