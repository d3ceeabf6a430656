/* history.h - log.ndjson read back as series of numbers over steps. */
#ifndef TRAIN_HISTORY_H
#define TRAIN_HISTORY_H
#include <stdbool.h>
#include "base/error.h"

typedef struct series {
    char group[32], name[64];     /* {"step":5,"validation":{"right":..}}: "validation", "right"; group "" for numbers of the step itself */
    int n, room;
    double *step, *value;
} series;

typedef struct history {
    series *list;                 /* as they first appear */
    int n, room;
    int skipped;                  /* lines of steps whose gradients were not finite */
} history;

dreamo_status history_read(history *h, const char *path, dreamo_error *err); /* no such file: empty */
void          history_free(history *h);
const series *history_find(const history *h, const char *group, const char *name); /* NULL: none */
#endif
