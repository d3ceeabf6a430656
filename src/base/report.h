/* report.h - telling the caller what happens, and hearing that it should stop. */
#ifndef BASE_REPORT_H
#define BASE_REPORT_H
#include "base/error.h"
#include "base/progress.h"

typedef struct reporter { dreamo_progress call; void *user; } reporter; /* call NULL: nobody listens */

/* DREAMO_CANCELLED, with *err filled, when the caller asks to stop. */
dreamo_status report_line(const reporter *r, dreamo_event_kind kind, dreamo_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
dreamo_status report_step(const reporter *r, const progress *p, dreamo_error *err);
#endif
