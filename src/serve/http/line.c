/* line.c - who is late. */
#include "serve/http/line.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define HEADER_SECONDS 10
#define IDLE_SECONDS 30
#define BODY_GRACE 10
#define BODY_RATE 16384 /* bytes a second */

double line_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void lines_init(lines *l, int max)
{
    *l = (lines){ .max = max };
    l->head.prev = l->head.next = &l->head;
    pthread_mutex_init(&l->lock, NULL);
}

static bool mute(const line *c) { return c->phase == LINE_HEADER || c->phase == LINE_IDLE; }

static void make_room(lines *l, line *newest)
{
    line *c = l->head.next;
    while (c != &l->head && (c == newest || !mute(c))) c = c->next;
    if (c == &l->head) c = newest; /* everybody is at work: the new one has to go */
    c->phase = LINE_WORK;          /* shut down once */
    shutdown(c->fd, SHUT_RDWR);
    l->cut++;
}

line *line_open(lines *l, int fd)
{
    line *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    *c = (line){ .fd = fd, .phase = LINE_HEADER, .since = line_now() };
    pthread_mutex_lock(&l->lock);
    c->prev = l->head.prev;
    c->next = &l->head;
    c->prev->next = c->next->prev = c;
    if (++l->n > l->max) make_room(l, c);
    pthread_mutex_unlock(&l->lock);
    return c;
}

void line_close(lines *l, line *c)
{
    if (!c) return;
    pthread_mutex_lock(&l->lock);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    l->n--;
    pthread_mutex_unlock(&l->lock);
    free(c);
}

void line_enter(lines *l, line *c, line_phase phase)
{
    if (!c) return;
    pthread_mutex_lock(&l->lock);
    c->phase = phase;
    c->since = line_now();
    c->body = 0;
    pthread_mutex_unlock(&l->lock);
}

void line_wait(lines *l, line *c, void (*tick)(void *user, bool gone, double now), void *user)
{
    if (!c) return;
    pthread_mutex_lock(&l->lock);
    c->phase = LINE_WAIT;
    c->tick = tick;
    c->user = user;
    pthread_mutex_unlock(&l->lock);
}

void line_unwait(lines *l, line *c)
{
    if (!c) return;
    pthread_mutex_lock(&l->lock);
    c->phase = LINE_REPLY;
    c->tick = NULL;
    pthread_mutex_unlock(&l->lock);
}

static bool late(const line *c, double now)
{
    double spent = now - c->since;
    switch (c->phase) {
    case LINE_HEADER: return spent > HEADER_SECONDS;
    case LINE_IDLE: return spent > IDLE_SECONDS;
    case LINE_BODY: return spent > BODY_GRACE && (double)c->body < BODY_RATE * (spent - BODY_GRACE);
    default: return false;
    }
}

/* It has closed its side, or is gone altogether. */
static bool hung_up(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLRDHUP };
    return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

void lines_cut_all(lines *l)
{
    pthread_mutex_lock(&l->lock);
    for (line *c = l->head.next; c != &l->head; c = c->next) shutdown(c->fd, SHUT_RDWR);
    pthread_mutex_unlock(&l->lock);
}

int lines_sweep(lines *l)
{
    double now = line_now();
    pthread_mutex_lock(&l->lock);
    for (line *c = l->head.next; c != &l->head; c = c->next) {
        if (c->phase == LINE_WAIT && c->tick) c->tick(c->user, hung_up(c->fd), now);
        if (!late(c, now)) continue;
        c->phase = LINE_WORK;
        shutdown(c->fd, SHUT_RDWR);
        l->cut++;
    }
    int cut = (int)l->cut;
    l->cut = 0;
    pthread_mutex_unlock(&l->lock);
    return cut;
}
