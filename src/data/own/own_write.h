/* own_write.h - samples as files beside a manifest (docs/data.md): what the sets of own.h are read from.
 *
 * The manifest is written last: a folder that has one is whole. */
#ifndef DATA_OWN_WRITE_H
#define DATA_OWN_WRITE_H
#include "data/sample.h"
#include "format/text.h"

typedef struct own_writer {
    const char *folder;       /* NULL: nothing is wanted */
    text lines;               /* of the manifest */
    int written;
} own_writer;

/* Makes the folder, and refuses one that has a manifest.  folder NULL: closed already. */
dreamo_status own_write_open(own_writer *w, const char *folder, dreamo_error *err);

/* What becomes of a sample: NAME.target.png, NAME.rejected.png, NAME.ref1.png, NAME.ref1.mask.png. */
typedef struct own_written {
    const char *name, *words;
    const bitmap *target, *rejected; /* rejected NULL: none */
    bool masks;
    data_split split;
} own_written;
dreamo_status own_write_sample(own_writer *w, const data_sample *s, const own_written *as, dreamo_error *err);

dreamo_status own_write_finish(own_writer *w, dreamo_error *err); /* the manifest */
void          own_write_close(own_writer *w);                     /* a zeroed one is allowed */
#endif
