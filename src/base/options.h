/* options.h - the public structs that begin with `size`, to and from programs that were built against another header.
 *
 * Fields are only ever added at the end, so the smaller of the two sizes is what both sides mean. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H
#include "base/error.h"

/* An *_init_sized function: `defaults` (known bytes) into the caller's nbytes; what we do not know becomes zero.  NULL is allowed. */
void options_give(void *to, size_t nbytes, const void *defaults, size_t known);

/* The caller's options over `own`, which holds the defaults.  DREAMO_ARG: missing, or never set up; DREAMO_VERSION: a field is set that
 * this library does not know. */
dreamo_status options_take(void *own, size_t known, const void *given, dreamo_error *err);
#endif
