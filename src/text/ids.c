/* ids.c - collecting ids up to a limit. */
#include "text/ids.h"
#include "base/mem.h"

static bool store(id_list *l, int32_t id)
{
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 64;
        int32_t *grown = mem_realloc(l->ids, (size_t)cap * sizeof *grown);
        if (!grown) return false;
        l->ids = grown;
        l->cap = cap;
    }
    l->ids[l->n++] = id;
    return true;
}

bool ids_push(id_list *l, int32_t id, size_t word)
{
    if (l->seen++ < l->keep) return store(l, id);
    if (l->seen == l->keep + 1) l->cut_at = word;
    return true;
}

bool ids_close(id_list *l, int32_t end, size_t text_nbytes, token_ids *out)
{
    bool cut = l->seen++ > l->keep;
    if (!store(l, end)) return false;
    out->ids = l->ids;
    out->n = l->n;
    out->nfull = l->seen;
    out->cut_at = cut ? l->cut_at : text_nbytes;
    *l = (id_list){0};
    return true;
}

void ids_free(id_list *l)
{
    mem_free(l->ids);
    *l = (id_list){0};
}
