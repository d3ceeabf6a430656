/* problem.h - why a request is refused, in the one shape that every answer has:
 * {"error":{"code","field","message","hint","request"}}. */
#ifndef SERVE_PROBLEM_H
#define SERVE_PROBLEM_H
#include "dreamo.h"

typedef struct problem {
    dreamo_error e;          /* its status decides the code and, unless `http` is set, the HTTP status */
    int http;                /* 0: by the library's table of outcomes */
    int retry_after;         /* seconds; 0: none */
    char field[64];          /* "references[0].task"; "" = none */
} problem;

/* Fill *p, unless it is filled already, and return the status: `return refuse(p, DREAMO_ARG, "steps", "%lld is below 1", n);` becomes
 * the message "steps: 0 is below 1".  field NULL = none. */
dreamo_status refuse(problem *p, dreamo_status status, const char *field, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Right after it, what the user can do. */
dreamo_status advise(problem *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with an HTTP status of its own. */
dreamo_status refuse_http(problem *p, dreamo_status status, int http, const char *format, ...) __attribute__((format(printf, 4, 5)));
#endif
