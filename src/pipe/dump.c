/* dump.c - collect, then write at once. */
#include "pipe/dump.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct dump { st_tensor *tensors; int n, room; bool short_of_memory; };

dump *dump_new(void) { return mem_calloc(1, sizeof(dump)); }

void dump_free(dump *d)
{
    if (!d) return;
    for (int i = 0; i < d->n; i++) mem_free((void *)d->tensors[i].data); /* data and name in one block */
    mem_free(d->tensors);
    mem_free(d);
}

static bool make_room(dump *d)
{
    if (d->n < d->room) return true;
    int room = d->room ? 2 * d->room : 64;
    st_tensor *more = mem_realloc(d->tensors, (size_t)room * sizeof *more);
    if (!more) return false;
    d->tensors = more;
    d->room = room;
    return true;
}

void dump_tensor(dump *d, dtype type, dump_shape shape, const void *data, const char *name, ...)
{
    if (!d || d->short_of_memory) return;
    st_tensor t = { .type = type, .count = 1 };
    for (; t.rank < 4 && shape.n[t.rank]; t.rank++) {
        t.shape[t.rank] = shape.n[t.rank];
        t.count *= (size_t)shape.n[t.rank];
    }
    t.nbytes = t.count * dtype_nbytes(type);
    char label[64];
    va_list list;
    va_start(list, name);
    int length = vsnprintf(label, sizeof label, name, list);
    va_end(list);
    char *block = make_room(d) ? mem_alloc(t.nbytes + (size_t)length + 1) : NULL;
    if (!block) {
        d->short_of_memory = true;
        return;
    }
    memcpy(block, data, t.nbytes);
    t.data = block;
    t.name = memcpy(block + t.nbytes, label, (size_t)length + 1);
    d->tensors[d->n++] = t;
}

dreamo_status dump_write(dump *d, const char *folder, dreamo_error *err)
{
    if (d->short_of_memory) return fail(err, DREAMO_MEMORY, "no memory for the dump of %d tensors", d->n);
    char *path = path_join(folder, "stages.safetensors");
    if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory for its name", folder);
    dreamo_status s = st_write(path, d->tensors, d->n, NULL, 0, err);
    mem_free(path);
    return s;
}
