/* serve.c - dreamo serve: options of the HTTP server (src/serve). */
#include "serve/serve.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/screen.h"
#include "cli/served.h"

const option serve_options_table[] = {
    SERVED_MODEL_OPTIONS,
    { "listen", 'l', VALUE_TEXT, false, 0, 0, "ADDRESS", "HOST:PORT or unix:PATH; 127.0.0.1:7860.  A socket passed by systemd goes before it" },
    { "key-file", 0, VALUE_TEXT, false, 0, 0, "FILE", "lines NAME KEY [PER-MINUTE]; needed when others than this machine can connect" },
    { "insecure", 0, VALUE_NONE, false, 0, 0, NULL, "serve others without keys" },
    { "hosts", 0, VALUE_TEXT, true, 0, 0, "NAME", "accept this Host name, too" },
    { "allow-origin", 0, VALUE_TEXT, true, 0, 0, "URL", "let pages of this origin use the server" },
    { "store", 0, VALUE_TEXT, false, 0, 0, "FILE", "jobs and pictures (SQLite); $XDG_STATE_HOME/dreamo/serve.db" },
    { "keep-results", 0, VALUE_TEXT, false, 0, 0, "TIME", "results and uploads, 10m: a number with s, m or h" },
    { "drain", 0, VALUE_TEXT, false, 0, 0, "TIME", "after SIGTERM jobs may run on so long, 60s" },
    { "queue", 0, VALUE_TEXT, true, 0, 0, "N|URL", "N: jobs that may wait, 16.  redis://[:PASSWORD@]HOST[:PORT][/DB]: hand them to `dreamo worker` there" },
    { "max-body", 0, VALUE_INTEGER, false, 1024, 1073741824, "BYTES", "of a request, 33554432" },
    { "max-pixels", 0, VALUE_INTEGER, false, 64, 16777216, "N", "of a picture to be made, 2097152" },
    { "max-upload-pixels", 0, VALUE_INTEGER, false, 64, 40000000, "N", "of a picture given, 16777216" },
    { "max-refs", 0, VALUE_INTEGER, false, 0, 9, "N", "references in a request, 9" },
    { "max-steps", 0, VALUE_INTEGER, false, 1, 60, "N", "60" },
    { "max-count", 0, VALUE_INTEGER, false, 1, 1000, "N", "pictures in a request, 8" },
    { "max-connections", 0, VALUE_INTEGER, false, 8, 100000, "N", "1024" },
    { "blobs", 0, VALUE_TEXT, false, 0, 0, "DIR", "with --queue redis://: pictures and uploads as files in this folder, which the workers see, too" },
    { "batch", 0, VALUE_INTEGER, false, 1, DREAMO_BATCH, "N", "jobs of equal size and steps that are made at a time, 1" },
    { "no-worker", 0, VALUE_NONE, false, 0, 0, NULL, "take jobs in and make none of them: another start with the same --store does" },
    { "no-web", 0, VALUE_NONE, false, 0, 0, NULL, "no web page" },
    { 0 }
};

#ifdef DREAMO_SERVE

static dreamo_status parse_list(const parsed *p, const char *name, const char *list[SERVE_NAMES], int *n, dreamo_error *err)
{
    for (const char *s; (s = option_nth(p, name, *n)); list[(*n)++] = s)
        if (*n == SERVE_NAMES) return complain(err, DREAMO_LIMIT, NULL, "--%s: more than %d", name, SERVE_NAMES);
    return DREAMO_OK;
}

/* A number is how many may wait, an address where. */
static dreamo_status parse_queue(const parsed *p, serve_options *o, dreamo_error *err)
{
    const char *s;
    for (int i = 0; (s = option_nth(p, "queue", i)); i++) {
        if (strncmp(s, "redis://", 8) == 0) o->queue_at = s;
        else if (!text_integer(s, &o->queue) || o->queue < 1 || o->queue > 1000000)
            return complain(err, DREAMO_ARG, "a number of jobs that may wait, 1 to 1000000, or redis://HOST", "--queue: \"%.80s\" is neither", s);
    }
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

int run_serve(const parsed *p)
{
    static char keys[1 << 16], store[4096];
    static model_names names;
    dreamo_error err = { 0 };
    serve_options o;
    serve_options_init(&o);
    dreamo_status s = option_model(p, &o.model, &names, &err);
    o.listen = option_text(p, "listen", o.listen);
    o.insecure = option_flag(p, "insecure");
    o.no_web = option_flag(p, "no-web");
    o.no_worker = option_flag(p, "no-worker");
    if (!s) s = parse_queue(p, &o, &err);
    o.max_body = option_integer(p, "max-body", o.max_body);
    o.max_pixels = option_integer(p, "max-pixels", o.max_pixels);
    o.max_upload_pixels = option_integer(p, "max-upload-pixels", o.max_upload_pixels);
    o.max_refs = option_integer(p, "max-refs", o.max_refs);
    o.max_steps = option_integer(p, "max-steps", o.max_steps);
    o.max_count = option_integer(p, "max-count", o.max_count);
    o.blobs = option_text(p, "blobs", NULL);
    if (!s && o.blobs && !o.queue_at) s = complain(&err, DREAMO_ARG, "--queue redis://HOST, or leave it out", "--blobs: is for a fleet; alone, pictures lie in the --store");
    o.batch = option_integer(p, "batch", o.batch);
    o.max_connections = option_integer(p, "max-connections", o.max_connections);
    if (!s) s = served_time(p, "keep-results", &o.keep_seconds, &err);
    if (!s) s = served_time(p, "drain", &o.drain_seconds, &err);
    if (!s) s = parse_list(p, "hosts", o.hosts, &o.nhosts, &err);
    if (!s) s = parse_list(p, "allow-origin", o.origins, &o.norigins, &err);
    if (!s && option_text(p, "key-file", NULL) && !(s = text_file("key-file", option_text(p, "key-file", ""), keys, sizeof keys, &err))) o.keys = keys;
    o.store = option_text(p, "store", NULL);
    if (!s && !o.store && !o.queue_at && !(s = default_store(store, sizeof store, &err))) o.store = store;
    o.say = served_say;
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
