/* ids.h - collecting ids up to a limit, and remembering what did not fit. */
#ifndef TEXT_IDS_H
#define TEXT_IDS_H
#include <stdbool.h>
#include "text/tokenizer.h"

typedef struct id_list {
    int32_t *ids;
    int n, cap;
    int keep;      /* ids that are kept before those of ids_close */
    int seen;      /* ids that came, kept or not */
    size_t cut_at; /* start of the word with the first id that was not kept */
} id_list;

/* word = offset in the prompt of the word that the id belongs to.  false: no memory. */
bool ids_push(id_list *l, int32_t id, size_t word);
/* Add the end token, which is always kept, and hand the ids over; what else `out` holds stays.  false: no memory. */
bool ids_close(id_list *l, int32_t end, size_t text_nbytes, token_ids *out);
void ids_free(id_list *l);
#endif
