/* worker.c - dreamo worker: make the pictures of jobs that servers put into a queue (src/serve/fleet.h). */
#include "serve/fleet.h"
#include <signal.h>
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/screen.h"
#include "cli/served.h"

const option worker_options[] = {
    { "queue", 0, VALUE_TEXT, false, 0, 0, "URL", "redis://[:PASSWORD@]HOST[:PORT][/DB], as given to serve" },
    SERVED_MODEL_OPTIONS,
    { "lease", 0, VALUE_TEXT, false, 0, 0, "TIME", "not heard of for so long, its job is given to another worker, 10s" },
    { "blobs", 0, VALUE_TEXT, false, 0, 0, "DIR", "the folder that was given to serve" },
    { "batch", 0, VALUE_INTEGER, false, 1, DREAMO_BATCH, "N", "jobs of equal size and steps that are made at a time, 1" },
    { "drain", 0, VALUE_TEXT, false, 0, 0, "TIME", "after SIGTERM the job may run on so long, 60s; then it goes back into the queue" },
    { 0 }
};

#ifdef DREAMO_SERVE

int run_worker(const parsed *p)
{
    static model_names names;
    dreamo_error err = { 0 };
    fleet_options o;
    fleet_options_init(&o);
    dreamo_status s = option_model(p, &o.model, &names, &err);
    o.queue = option_text(p, "queue", NULL);
    if (!s && !o.queue) s = complain(&err, DREAMO_ARG, "--queue redis://HOST, as given to dreamo serve", "worker: there is no queue to take jobs from");
    if (!s) s = served_time(p, "lease", &o.lease_seconds, &err);
    if (!s) s = served_time(p, "drain", &o.drain_seconds, &err);
    if (!s && (o.lease_seconds < 2 || o.lease_seconds > 3000)) s = complain(&err, DREAMO_ARG, "2s to 50m", "--lease: %lld seconds", (long long)o.lease_seconds);
    o.blobs = option_text(p, "blobs", NULL);
    o.batch = option_integer(p, "batch", o.batch);
    o.say = served_say;
    o.stop = &screen_stop;
    screen_catch_signals();
    signal(SIGPIPE, SIG_IGN); /* Redis may go away */
    if (!s) s = fleet_work(&o, &err);
    return s ? report(p, &err) : 0;
}

#else

int run_worker(const parsed *p)
{
    dreamo_error err = { 0 };
    complain(&err, DREAMO_NOT_FOUND, "install libmicrohttpd-dev, libsqlite3-dev and libhiredis-dev, and build again",
             "worker: this program was built without the server");
    return report(p, &err);
}

#endif
