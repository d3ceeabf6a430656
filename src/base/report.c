/* report.c - events (include/dreamo.h). */
#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>

static dreamo_status tell(const reporter *r, const dreamo_event *e, dreamo_error *err)
{
    if (!r->call || r->call(r->user, e)) return DREAMO_OK;
    return fail(err, DREAMO_CANCELLED, "stopped on request");
}

dreamo_status report_line(const reporter *r, dreamo_event_kind kind, dreamo_error *err, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return tell(r, &(dreamo_event){ .kind = kind, .seconds_left = -1, .text = text }, err);
}

dreamo_status report_step(const reporter *r, const progress *p, dreamo_error *err)
{
    return tell(r, &(dreamo_event){ .kind = DREAMO_EVENT_STEP, .done = p->done, .total = p->total,
                                    .seconds_left = progress_seconds_left(p), .seconds_a_step = progress_seconds_a_step(p) }, err);
}
