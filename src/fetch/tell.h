/* tell.h - events of a download, and the caller's wish to stop. */
#ifndef FETCH_TELL_H
#define FETCH_TELL_H
#include "base/error.h"
#include "base/progress.h"

typedef struct teller {
    dreamo_progress call;  /* NULL: nobody listens */
    void *user;
    const char *name;      /* the file in work, for STEP events */
    progress pace;         /* bytes */
    double last;           /* when the last STEP went out */
    bool stopped;          /* the caller has asked to stop */
} teller;

/* Each returns false once the caller wants to stop. */
bool tell_line(teller *t, dreamo_event_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
void tell_begin(teller *t, const char *name, int64_t done, int64_t total); /* total 0: not known */
bool tell_bytes(teller *t, int64_t done);                                   /* at most four events a second; the last one always */
bool tell_alive(teller *t);                                                 /* as tell_bytes, while there is nothing new */
/* sha256 of a file as 64 hex digits, told like a download. */
dreamo_status tell_sha256(teller *t, const char *path, const char *name, char out[65], dreamo_error *err);
#endif
