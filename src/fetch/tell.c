/* tell.c - events, not more often than a person can read them. */
#include "fetch/tell.h"
#include <stdarg.h>
#include <stdio.h>
#include "base/file.h"
#include "base/sha256.h"

static const double often = 0.25; /* seconds between STEP events */

static bool tell(teller *t, const dreamo_event *e)
{
    if (!t->stopped && t->call && !t->call(t->user, e)) t->stopped = true;
    return !t->stopped;
}

bool tell_line(teller *t, dreamo_event_kind kind, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return tell(t, &(dreamo_event){ .kind = kind, .seconds_left = -1, .text = text });
}

void tell_begin(teller *t, const char *name, int64_t done, int64_t total)
{
    progress_start(&t->pace, total);
    t->pace.done = done; /* what lies there already says nothing of the speed */
    t->name = name;
    t->last = seconds_now();
}

bool tell_bytes(teller *t, int64_t done)
{
    double now = seconds_now();
    bool ends = done == t->pace.total && done > t->pace.done;
    if (now - t->last < often && !ends) return !t->stopped;
    progress_step(&t->pace, done);
    t->last = now;
    return tell(t, &(dreamo_event){ .kind = DREAMO_EVENT_STEP, .done = done, .total = t->pace.total, .text = t->name,
                                    .seconds_left = t->pace.total ? progress_seconds_left(&t->pace) : -1,
                                    .seconds_a_step = progress_seconds_a_step(&t->pace) });
}

bool tell_alive(teller *t) { return tell_bytes(t, t->pace.done); }

dreamo_status tell_sha256(teller *t, const char *path, const char *name, char out[65], dreamo_error *err)
{
    enum { PIECE = 4 << 20 };
    filemap map;
    sha256 h;
    char what[400];
    dreamo_status s = file_map(path, &map, err);
    if (s) return s;
    snprintf(what, sizeof what, "%s (checksum)", name);
    sha256_init(&h);
    tell_begin(t, what, 0, (int64_t)map.nbytes);
    for (size_t done = 0; done < map.nbytes && !s;) {
        size_t n = map.nbytes - done < PIECE ? map.nbytes - done : PIECE;
        if ((s = file_map_check(&map, path, err)) != DREAMO_OK) break;
        sha256_add(&h, map.data + done, n);
        done += n;
        if (!tell_bytes(t, (int64_t)done)) s = fail(err, DREAMO_CANCELLED, "stopped on request");
    }
    file_unmap(&map);
    t->name = name;
    sha256_text(&h, out);
    return s;
}
