/* tables.h - DreamO's three embedding tables (spec 2.1) in a file: a LoRA's, or a transformer's that was fused with one. */
#ifndef WEIGHTS_TABLES_H
#define WEIGHTS_TABLES_H
#include "format/safetensors.h"
#include "model/dit.h"

#define CONDITION_REFS 9                     /* slots 1..9 have an index embedding */

/* The three tables of dreamo.safetensors, fp32 (spec 2.1). */
typedef struct dreamo_tables {
    int width, text_width, nslots;           /* nslots counts row 0, which is never used */
    float *task, *idx, *t5;                  /* [2, width], [nslots, width], [10, text_width]; NULL: not loaded */
} dreamo_tables;
#define DREAMO_T5_ROWS 10

extern const char *const tables_names[]; /* task, idx, t5; ends with NULL */

/* For model m, whose T5 has text_width columns: fp32, each NULL where the files have none.  Of the T5 table the last ten rows count.
 * path is for messages.  On failure *out is to be freed all the same. */
dreamo_status tables_read(const st_set *set, const char *path, const dit *m, int text_width, dreamo_tables *out, dreamo_error *err);
void          tables_free(dreamo_tables *t); /* zeroed tables are allowed */
/* What `from` has replaces what `to` has; both point to the same numbers afterwards. */
void          tables_replace(dreamo_tables *to, const dreamo_tables *from);
#endif
