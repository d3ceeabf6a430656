/* progress.c - an exponentially smoothed step time. */
#include "base/progress.h"
#include <stdbool.h>
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

double progress_seconds_left(const progress *p)
{
    int64_t left = p->total > p->done ? p->total - p->done : 0;
    return p->smoothed < 0 ? -1 : p->smoothed * (double)left;
}

void progress_words(double seconds, char *out, int nbytes)
{
    size_t room = nbytes > 0 ? (size_t)nbytes : 0;
    bool known = seconds >= 0 && seconds < 1e15;
    long s = known ? (long)(seconds + 0.5) : 0;
    if (!known) snprintf(out, room, "unknown");
    else if (seconds < 59.95) snprintf(out, room, "%.1f s", seconds);
    else if (s < 3600) snprintf(out, room, "%ld min %02ld s", s / 60, s % 60);
    else snprintf(out, room, "%ld h %02ld min", s / 3600, s / 60 % 60);
}

void progress_bytes(double count, char *out, int nbytes)
{
    static const char *const units[] = { "kB", "MB", "GB" };
    size_t room = nbytes > 0 ? (size_t)nbytes : 0;
    int unit = 0;
    if (count < 999.5) {
        snprintf(out, room, "%.0f B", count);
        return;
    }
    for (count /= 1e3; unit < 2 && count >= 999.5; unit++) count /= 1e3;
    snprintf(out, room, count < 1000 ? "%.3g %s" : "%.0f %s", count, units[unit]);
}
