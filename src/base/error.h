/* error.h - one way to fail.
 *
 * Who detects, speaks: the function that finds the fault fills the caller's
 * dreamo_error once; everyone above it only passes the status on. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H
#include "dreamo.h"

/* Fill *err (NULL is allowed; an error that is already set is kept) and return `status`, so that a
 * check reads `return fail(err, DREAMO_FORMAT, "%s: ...", path);`. */
dreamo_status fail(dreamo_error *err, dreamo_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Right after fail: add what the user can do about it; returns fail's status, so that a check ends `return hint(err, "Try ...")`. */
dreamo_status hint(dreamo_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "Not a directory" and the like: fail with DREAMO_NOT_FOUND, DREAMO_MEMORY or DREAMO_IO by errno. */
dreamo_status fail_errno(dreamo_error *err, const char *path, const char *doing);
/* The same for something that was to be read: what may not be reached is as if it were not there. */
dreamo_status fail_reading(dreamo_error *err, const char *path, const char *doing);
#endif
