/* progress.c - an exponentially smoothed step time. */
#include "base/progress.h"
#include <stdio.h>
#include "base/file.h"

void progress_start(progress *p, int64_t total) { *p = (progress){ .start = seconds_now(), .last = seconds_now(), .smoothed = -1, .total = total }; }

void progress_step(progress *p, int64_t done)
{
    double now = seconds_now();
    if (done > p->done) {
        double each = (now - p->last) / (double)(done - p->done);
        p->smoothed = p->smoothed < 0 ? each : 0.9 * p->smoothed + 0.1 * each;
    }
    p->done = done;
    p->last = now;
}

double progress_seconds_a_step(const progress *p) { return p->smoothed; }
double progress_seconds_left(const progress *p) { return p->smoothed < 0 ? -1 : p->smoothed * (double)(p->total - p->done); }

void progress_words(double seconds, char *out, int nbytes)
{
    long s = (long)(seconds + 0.5);
    size_t room = nbytes > 0 ? (size_t)nbytes : 0;
    if (seconds < 0) snprintf(out, room, "unknown");
    else if (seconds < 60) snprintf(out, room, "%.1f s", seconds);
    else if (s < 3600) snprintf(out, room, "%ld min %02ld s", s / 60, s % 60);
    else snprintf(out, room, "%ld h %02ld min", s / 3600, s / 60 % 60);
}
