/* hub.h - what happens to jobs, told to whoever listens.
 *
 * A channel is a bounded ring of one job's events.  It exists while the job runs, while somebody listens, and a while after the end; a queued
 * job that nobody watches costs nothing.  Event numbers grow over a job's whole life: each try begins at tries << 16. */
#ifndef SERVE_HUB_H
#define SERVE_HUB_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "serve/problem.h"

enum { HUB_RING = 128, HUB_ENDED_KEPT = 64 };

typedef struct hub hub;
typedef struct channel channel;

/* Lives in its owner; `wake` is called under the hub's lock, from any thread, and must not call back. */
typedef struct listener {
    void (*wake)(void *user);
    void *user;
    bool only_end;              /* wake at the last event only */
    channel *on;
    struct listener *next;
} listener;

typedef struct hub_progress { int step, steps, picture; double seconds_left; } hub_progress;
typedef struct hub_event { int64_t id; char name[12]; char *data; size_t nbytes; } hub_event; /* data is free's */

hub *hub_new(int max_listeners);
void hub_free(hub *h);

/* The worker's side.  `data` is one line of JSON; `last`: nothing comes after it. */
void hub_tell(hub *h, const char *job, int tries, const char *name, const char *data, bool last);
/* The same for an event that has its number already, from wherever the job is made; one that is known is not told again. */
void hub_relay(hub *h, const char *job, int64_t id, const char *name, const char *data, bool last);
void hub_set_progress(hub *h, const char *job, const hub_progress *now);
int64_t hub_last_id(hub *h, const char *job); /* of the newest event; 0: none */

/* The listener's side. */
dreamo_status hub_listen(hub *h, const char *job, listener *l, problem *p); /* DREAMO_BUSY over the limit */
void          hub_leave(hub *h, listener *l);                               /* harmless when it does not listen */
bool          hub_get_progress(hub *h, const char *job, hub_progress *out);
/* The first event after `after`: 1 = there is one, 0 = not yet, -1 = none will come.  When there is none, `sleep` (may be NULL) is called
 * under the lock, so that no wake can come between the look and the sleep. */
int           hub_next(hub *h, const listener *l, int64_t after, hub_event *out, void (*sleep)(void *user), void *user);
/* Whether events after `after` are all there: 0 = yes, -1 = some are gone, 1 = there has been no such event. */
int           hub_has(hub *h, const listener *l, int64_t after);
char         *hub_preview(hub *h, const char *job); /* the newest preview's JSON; NULL: none; free's */
int           hub_listeners(hub *h);
#endif
