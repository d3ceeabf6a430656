/* stream.c - events on their way to one client.
 *
 * Between two events the connection is suspended.  A comment goes out every 15 s, so that what lies between does not cut the line. */
#include "serve/http/stream.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/server.h"

#define BEAT_SECONDS 15

struct stream {
    exchange *x;
    listener listener;
    stream_format format;
    int64_t after;
    text out;                   /* what is on its way */
    size_t sent;
    bool end, heavy;
    hub_event event;            /* on its way to becoming text */
    pool_item item;
    atomic_bool formatted;      /* `out` is the polling thread's again */
    bool formatting;            /* the polling thread's note that it is not */
    atomic_int busy;            /* pool threads that still know this stream */
    _Atomic double beat;        /* when something was last sent */
    atomic_bool asleep;         /* the connection is suspended, and nobody has woken it yet */
    atomic_bool gone, beat_due;
};

/* One wake a sleep: libmicrohttpd keeps a resume of a connection that is awake, and would then not suspend it the next time, be it for another request. */
static void sleep_until_woken(void *user)
{
    stream *s = user;
    MHD_suspend_connection(s->x->c);
    atomic_store(&s->asleep, true);
}

static void on_wake(void *user)
{
    stream *s = user;
    if (atomic_exchange(&s->asleep, false)) MHD_resume_connection(s->x->c);
}

static void on_tick(void *user, bool gone, double now)
{
    stream *s = user;
    bool closing = atomic_load(&s->x->server->http.closing);
    if (gone || closing) atomic_store(&s->gone, true);
    else if (now - s->beat > BEAT_SECONDS) atomic_store(&s->beat_due, true);
    else return;
    on_wake(s);
}

bool reply_stream(exchange *x, int64_t after, stream_format format, bool heavy)
{
    problem p = { 0 };
    stream *s = calloc(1, sizeof *s);
    if (s) {
        *s = (stream){ .x = x, .format = format, .heavy = heavy, .after = after, .beat = line_now() };
        s->listener = (listener){ .wake = on_wake, .user = s };
    }
    if (!s || hub_listen(x->server->hub, x->job, &s->listener, &p)) {
        free(s);
        if (!p.e.status) refuse(&p, DREAMO_MEMORY, NULL, "no memory for a stream");
        reply_problem(x, &p);
        return false;
    }
    x->reply.stream = s;
    x->reply.status = 200;
    x->reply.type = "text/event-stream";
    exchange_set(x, "X-Accel-Buffering", "no");
    return true;
}

void stream_begin(stream *s, exchange *x)
{
    line_wait(&x->server->http.lines, x->line, on_tick, s);
}

int stream_has(const stream *s, int64_t after) { return hub_has(s->x->server->hub, &s->listener, after); }

void stream_free(stream *s)
{
    if (!s) return;
    hub_leave(s->x->server->hub, &s->listener);
    while (atomic_load(&s->busy)) nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); /* the client left while the pool works for it */
    free(s->event.data);
    text_free(&s->out);
    free(s);
}

static void format_event(stream *s)
{
    s->format(s->x, &s->event, &s->out, &s->end);
    free(s->event.data);
    s->event.data = NULL;
    if (s->out.failed) s->end = true;
}

/* In the pool.  The connection may be resumed earlier by somebody else: `formatted` tells whether there is something to send. */
static void format_in_pool(void *user)
{
    stream *s = user;
    format_event(s);
    atomic_store(&s->formatted, true);
    on_wake(s);
    atomic_fetch_sub(&s->busy, 1);
}

static void hand_to_pool(stream *s)
{
    s->formatting = true;
    atomic_store(&s->formatted, false);
    atomic_fetch_add(&s->busy, 1);
    s->item = (pool_item){ .run = format_in_pool, .user = s };
    sleep_until_woken(s);
    pool_put(&s->x->server->http.pool, &s->item);
}

/* More text into `out`: false when there is none now. */
static bool fill(stream *s)
{
    if (s->formatting) {
        if (!atomic_load(&s->formatted)) { /* woken by another event */
            sleep_until_woken(s);
            if (atomic_load(&s->formatted)) on_wake(s);
            return false;
        }
        s->formatting = false;
        if (s->out.nbytes) return true;
    } else {
        text_free(&s->out);
        s->sent = 0;
    }
    while (!s->end && s->out.nbytes == 0) {
        bool beat = atomic_exchange(&s->beat_due, false);
        if (beat) {
            text_add(&s->out, ": \n\n", 4);
            break;
        }
        int found = hub_next(s->x->server->hub, &s->listener, s->after, &s->event, sleep_until_woken, s);
        if (found == 0) return false;
        if (found < 0) {
            s->end = true;
            break;
        }
        s->after = s->event.id;
        if (s->heavy) {
            hand_to_pool(s);
            return false;
        }
        format_event(s);
    }
    s->beat = line_now();
    return true;
}

ssize_t stream_read(void *user, uint64_t at, char *to, size_t room)
{
    stream *s = user;
    (void)at;
    if (atomic_load(&s->gone)) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (s->sent == s->out.nbytes || s->formatting) {
        if (s->end && !s->formatting) return MHD_CONTENT_READER_END_OF_STREAM;
        if (!fill(s)) return 0;
        if (s->out.nbytes == 0) return MHD_CONTENT_READER_END_OF_STREAM;
    }
    size_t n = s->out.nbytes - s->sent;
    if (n > room) n = room;
    memcpy(to, s->out.data + s->sent, n);
    s->sent += n;
    return (ssize_t)n;
}
