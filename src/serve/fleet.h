/* fleet.h - `dreamo worker`: one model kept open behind a queue that `dreamo serve --queue` fills, on this machine or another. */
#ifndef SERVE_FLEET_H
#define SERVE_FLEET_H
#include "dreamo.h"

typedef struct fleet_options {
    dreamo_model_options model;
    const char *queue;              /* redis://... */
    int64_t lease_seconds;          /* not heard for so long, its job is given to another */
    int64_t drain_seconds;          /* after `stop`: how long the running job may still take; then it is put back */
    const char *blobs;              /* the folder that was given to serve; NULL: none */
    int64_t batch;                  /* jobs of equal shape made at a time, 1 to DREAMO_BATCH */
    void (*say)(const char *label, const char *text);
    const volatile bool *stop;
} fleet_options;

void          fleet_options_init(fleet_options *o);
dreamo_status fleet_work(const fleet_options *o, dreamo_error *err); /* returns when stopped */
#endif
