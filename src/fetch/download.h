/* download.h - one file from one address to one path, whatever happens on the way. */
#ifndef FETCH_DOWNLOAD_H
#define FETCH_DOWNLOAD_H
#include <stdint.h>
#include "fetch/tell.h"

/* How patient a download is. */
typedef struct download_patience {
    int tries;               /* in a row that bring less than `progress` new bytes */
    uint64_t progress;
    double first_wait;       /* seconds before the second try; doubled each time */
    double longest_wait;     /* also the longest Retry-After that is waited for */
    double stall;            /* seconds without a byte */
} download_patience;
extern const download_patience download_patient;

typedef struct download_request {
    const char *url, *path;  /* the folder is there */
    const char *name;        /* "owner/name: vae/config.json", for messages */
    const char *shown;       /* the name in the model folder, for events */
    const char *token;       /* NULL: none */
    const char *sha256;      /* what the file must hash to; NULL: the hub's word, if it gives one */
    const char *about;       /* where a person accepts the licence; for the hint when access is refused */
    const download_patience *patience;
    teller *tell;
    /* Called once the file is complete, before it takes its name; NULL: nobody keeps a record. */
    dreamo_status (*enter)(void *user, uint64_t nbytes, const char *sha256, dreamo_error *err);
    void *user;
} download_request;

/* The file under `path`, complete, its checksum compared (computed, if there is none to compare with) and on the disk; or an
 * error, and PATH.part and PATH.part.json kept for the next call (not when the checksum differs).  Statuses: dreamo_fetch_run. */
dreamo_status download(const download_request *r, uint64_t *nbytes, char sha256[65], dreamo_error *err);
#endif
