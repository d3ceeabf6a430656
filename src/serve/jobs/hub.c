/* hub.c - channels of events. */
#include "serve/jobs/hub.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct channel {
    char job[33];
    int64_t first_of_try;       /* events of this try before `ring` are gone when ring[0].id is larger */
    hub_event ring[HUB_RING];   /* ring[(start + i) % HUB_RING], i < n */
    int start, n;
    int64_t last_id;
    bool ended;
    hub_progress now;
    listener *listeners;
    channel *next;
};

struct hub {
    pthread_mutex_t lock;
    channel *channels;          /* newest first */
    int nlisteners, max_listeners;
};

hub *hub_new(int max_listeners)
{
    hub *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    h->max_listeners = max_listeners;
    if (pthread_mutex_init(&h->lock, NULL) == 0) return h;
    free(h);
    return NULL;
}

static void channel_free(channel *c)
{
    for (int i = 0; i < HUB_RING; i++) free(c->ring[i].data);
    free(c);
}

void hub_free(hub *h)
{
    if (!h) return;
    for (channel *c = h->channels, *next; c; c = next) {
        next = c->next;
        channel_free(c);
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static channel *find(hub *h, const char *job)
{
    for (channel *c = h->channels; c; c = c->next)
        if (strcmp(c->job, job) == 0) return c;
    return NULL;
}

static channel *find_or_make(hub *h, const char *job)
{
    channel *c = find(h, job);
    if (c || !(c = calloc(1, sizeof *c))) return c;
    snprintf(c->job, sizeof c->job, "%s", job);
    c->now.seconds_left = -1;
    c->next = h->channels;
    return h->channels = c;
}

/* Channels that nobody needs: empty ones, and ended ones beyond those that are kept. */
static void tidy(hub *h)
{
    int ended = 0;
    for (channel **at = &h->channels; *at;) {
        channel *c = *at;
        bool idle = !c->listeners, drop = idle && (c->n == 0 || (c->ended && ++ended > HUB_ENDED_KEPT));
        if (drop) {
            *at = c->next;
            channel_free(c);
        } else {
            at = &c->next;
        }
    }
}

/* ---- the worker's side ---- */

static hub_event *newest_preview(channel *c)
{
    for (int i = c->n; i-- > 0;) {
        hub_event *e = &c->ring[(c->start + i) % HUB_RING];
        if (e->data && strcmp(e->name, "preview") == 0) return e;
    }
    return NULL;
}

static void add(channel *c, const char *name, const char *data)
{
    if (c->n == HUB_RING) {
        free(c->ring[c->start].data);
        c->ring[c->start].data = NULL;
        c->start = (c->start + 1) % HUB_RING;
        c->n--;
    }
    hub_event *e = strcmp(name, "preview") ? NULL : newest_preview(c);
    if (e) { /* previews are large, and only the newest is worth anything */
        free(e->data);
        e->data = NULL;
    }
    e = &c->ring[(c->start + c->n) % HUB_RING];
    *e = (hub_event){ .id = ++c->last_id, .data = strdup(data), .nbytes = strlen(data) };
    snprintf(e->name, sizeof e->name, "%s", name);
    c->n++;
}

static void begin_try(channel *c, int tries)
{
    int64_t base = (int64_t)tries << 16;
    if (c->last_id >= base && c->n) return;
    c->first_of_try = base + 1;
    c->last_id = base;
}

static void wake(hub *h, channel *c, bool last)
{
    c->ended = last;
    for (listener *l = c->listeners; l; l = l->next)
        if (last || !l->only_end) l->wake(l->user);
    if (last) tidy(h);
}

void hub_tell(hub *h, const char *job, int tries, const char *name, const char *data, bool last)
{
    pthread_mutex_lock(&h->lock);
    channel *c = find_or_make(h, job);
    if (c) {
        begin_try(c, tries);
        if (c->n == 0 && strcmp(name, "queued")) add(c, "queued", "{\"state\":\"queued\"}"); /* nobody watched it wait */
        add(c, name, data);
        wake(h, c, last);
    }
    pthread_mutex_unlock(&h->lock);
}

void hub_relay(hub *h, const char *job, int64_t id, const char *name, const char *data, bool last)
{
    pthread_mutex_lock(&h->lock);
    channel *c = find_or_make(h, job);
    if (c && id > c->last_id) {
        begin_try(c, (int)(id >> 16));
        if (c->n == 0) add(c, "queued", "{\"state\":\"queued\"}");
        c->last_id = id - 1;
        add(c, name, data);
        wake(h, c, last);
    }
    pthread_mutex_unlock(&h->lock);
}

void hub_set_progress(hub *h, const char *job, const hub_progress *now)
{
    pthread_mutex_lock(&h->lock);
    channel *c = find_or_make(h, job);
    if (c) c->now = *now;
    pthread_mutex_unlock(&h->lock);
}

int64_t hub_last_id(hub *h, const char *job)
{
    pthread_mutex_lock(&h->lock);
    channel *c = find(h, job);
    int64_t id = c ? c->last_id : 0;
    pthread_mutex_unlock(&h->lock);
    return id;
}

/* ---- the listener's side ---- */

dreamo_status hub_listen(hub *h, const char *job, listener *l, problem *p)
{
    dreamo_status s = DREAMO_OK;
    pthread_mutex_lock(&h->lock);
    channel *c = h->nlisteners < h->max_listeners ? find_or_make(h, job) : NULL;
    if (c) {
        l->on = c;
        l->next = c->listeners;
        c->listeners = l;
        h->nlisteners++;
    } else {
        p->retry_after = 5;
        s = h->nlisteners < h->max_listeners ? refuse(p, DREAMO_MEMORY, NULL, "no memory for another listener")
                                             : refuse(p, DREAMO_BUSY, NULL, "%d connections wait for jobs already, no more are allowed", h->nlisteners);
    }
    pthread_mutex_unlock(&h->lock);
    return s;
}

void hub_leave(hub *h, listener *l)
{
    pthread_mutex_lock(&h->lock);
    if (l->on) {
        listener **at = &l->on->listeners;
        while (*at != l) at = &(*at)->next;
        *at = l->next;
        l->on = NULL;
        h->nlisteners--;
        tidy(h);
    }
    pthread_mutex_unlock(&h->lock);
}

bool hub_get_progress(hub *h, const char *job, hub_progress *out)
{
    pthread_mutex_lock(&h->lock);
    channel *c = find(h, job);
    if (c) *out = c->now;
    pthread_mutex_unlock(&h->lock);
    return c != NULL;
}

int hub_next(hub *h, const listener *l, int64_t after, hub_event *out, void (*sleep)(void *user), void *user)
{
    int found = 0;
    pthread_mutex_lock(&h->lock);
    channel *c = l->on;
    for (int i = 0; c && i < c->n && !found; i++) {
        const hub_event *e = &c->ring[(c->start + i) % HUB_RING];
        if (e->id <= after || !e->data) continue;
        *out = *e;
        out->data = strdup(e->data);
        found = out->data ? 1 : -1;
    }
    if (!found && (!c || c->ended)) found = -1;
    if (!found && sleep) sleep(user);
    pthread_mutex_unlock(&h->lock);
    return found;
}

int hub_has(hub *h, const listener *l, int64_t after)
{
    pthread_mutex_lock(&h->lock);
    channel *c = l->on;
    int answer = 0;
    if (c && c->n) {
        int64_t oldest = c->ring[c->start].id;
        if (after > c->last_id) answer = 1;
        else if (after + 1 < oldest && oldest > c->first_of_try) answer = -1;
    }
    pthread_mutex_unlock(&h->lock);
    return answer;
}

char *hub_preview(hub *h, const char *job)
{
    pthread_mutex_lock(&h->lock);
    channel *c = find(h, job);
    hub_event *e = c ? newest_preview(c) : NULL;
    char *copy = e ? strdup(e->data) : NULL;
    pthread_mutex_unlock(&h->lock);
    return copy;
}

int hub_listeners(hub *h)
{
    pthread_mutex_lock(&h->lock);
    int n = h->nlisteners;
    pthread_mutex_unlock(&h->lock);
    return n;
}
