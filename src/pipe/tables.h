/* tables.h - DreamO's three embedding tables (spec 2.1) in a file: a LoRA's, or a transformer's that was fused with one. */
#ifndef PIPE_TABLES_H
#define PIPE_TABLES_H
#include "format/safetensors.h"
#include "pipe/condition.h"

extern const char *const tables_names[]; /* task, idx, t5; ends with NULL */

/* For model m, whose T5 has text_width columns: fp32, each NULL where the files have none.  Of the T5 table the last ten rows count.
 * path is for messages.  On failure *out is to be freed all the same. */
dreamo_status tables_read(const st_set *set, const char *path, const dit *m, int text_width, dreamo_tables *out, dreamo_error *err);
void          tables_free(dreamo_tables *t); /* zeroed tables are allowed */
/* What `from` has replaces what `to` has; both point to the same numbers afterwards. */
void          tables_replace(dreamo_tables *to, const dreamo_tables *from);
#endif
