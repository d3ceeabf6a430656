/* error.c - filling dreamo_error, and the one table of outcomes. */
#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local dreamo_status latest; /* what hint returns when the caller wants no text */

/* Names from files may hold anything: control characters (ASCII's and C1's) would break the line or move a terminal's cursor. */
static void make_plain(char *s)
{
    for (unsigned char *c = (unsigned char *)s; *c; c++) {
        bool c1 = *c == 0xC2 && c[1] >= 0x80 && c[1] < 0xA0;
        if (c1) c[1] = '?';
        if (c1 || *c < 0x20 || *c == 0x7F) *c = '?';
    }
}

dreamo_status fail(dreamo_error *err, dreamo_status status, const char *format, ...)
{
    latest = status;
    if (!err || err->status != DREAMO_OK) return status;
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->message, sizeof err->message, format, ap);
    va_end(ap);
    make_plain(err->message);
    err->hint[0] = '\0';
    err->status = status;
    return status;
}

dreamo_status hint(dreamo_error *err, const char *format, ...)
{
    if (!err) return latest;
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->hint, sizeof err->hint, format, ap);
    va_end(ap);
    make_plain(err->hint);
    return err->status;
}

dreamo_status fail_errno(dreamo_error *err, const char *path, const char *doing)
{
    int number = errno;
    bool absent = number == ENOENT || number == ENOTDIR || number == ELOOP || number == ENAMETOOLONG;
    dreamo_status status = absent ? DREAMO_NOT_FOUND : number == ENOMEM ? DREAMO_MEMORY : DREAMO_IO;
    return fail(err, status, "%s: %s: %s", path, doing, strerror(number));
}

dreamo_status fail_reading(dreamo_error *err, const char *path, const char *doing)
{
    if (errno == EACCES || errno == EPERM) return fail(err, DREAMO_NOT_FOUND, "%s: may not be read: %s", path, strerror(errno));
    return fail_errno(err, path, doing);
}

/* Status, process exit code, machine-readable code, HTTP status (interface B6): nothing else in the project maps these. */
static const struct outcome { int exit; const char *code; int http; } outcomes[] = {
    [DREAMO_OK]        = { 0, "ok", 200 },
    [DREAMO_DIFFERS]   = { 1, "differs", 200 },
    [DREAMO_ARG]       = { 2, "bad_argument", 400 },
    [DREAMO_FORMAT]    = { 3, "bad_file", 422 },
    [DREAMO_NOT_FOUND] = { 4, "not_found", 404 },
    [DREAMO_MEMORY]    = { 5, "no_memory", 507 },
    [DREAMO_LIMIT]     = { 6, "too_large", 413 },
    [DREAMO_IO]        = { 7, "io", 500 },
    [DREAMO_DEVICE]    = { 8, "device", 503 },
    [DREAMO_NUMERIC]   = { 9, "not_finite", 500 },
    [DREAMO_CONTENT]   = { 10, "no_subject", 422 },
    [DREAMO_MISMATCH]  = { 11, "mismatch", 409 },
    [DREAMO_BUSY]      = { 12, "busy", 429 },
    [DREAMO_AUTH]      = { 13, "unauthorized", 401 },
    [DREAMO_NET]       = { 14, "network", 502 },
    [DREAMO_VERSION]   = { 15, "version", 409 },
    [DREAMO_BUG]       = { 70, "internal", 500 },
    [DREAMO_CANCELLED] = { 130, "cancelled", 499 },
};

static const struct outcome *outcome_of(dreamo_status status)
{
    bool known = (unsigned)status < sizeof outcomes / sizeof *outcomes && outcomes[status].code;
    return &outcomes[known ? status : DREAMO_BUG];
}

int         dreamo_exit_code(dreamo_status status) { return outcome_of(status)->exit; }
const char *dreamo_status_code(dreamo_status status) { return outcome_of(status)->code; }
int         dreamo_http_status(dreamo_status status) { return outcome_of(status)->http; }
const char *dreamo_version(void) { return DREAMO_VERSION_TEXT; }
