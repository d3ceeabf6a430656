/* mapped.c - a table that is written under a lock and read without one. */
#include "base/mapped.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "dreamo.h"

enum { MOST = 128, NAME = 512 };

/* `data` is set last and cleared first: whoever reads it finds the rest in place. */
static struct entry { _Atomic(uintptr_t) data; size_t nbytes; char path[NAME]; } table[MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void mapped_add(const void *data, size_t nbytes, const char *path)
{
    if (!data) return;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST; i++) {
        struct entry *e = &table[i];
        if (atomic_load(&e->data)) continue;
        e->nbytes = nbytes;
        snprintf(e->path, sizeof e->path, "%s", path);
        atomic_store(&e->data, (uintptr_t)data);
        break;
    }
    pthread_mutex_unlock(&lock);
}

void mapped_remove(const void *data)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; data && i < MOST; i++)
        if (atomic_load(&table[i].data) == (uintptr_t)data) {
            atomic_store(&table[i].data, 0);
            break;
        }
    pthread_mutex_unlock(&lock);
}

const char *dreamo_mapped_file(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (int i = 0; i < MOST; i++) {
        uintptr_t data = atomic_load(&table[i].data);
        if (data && at >= data && at - data < table[i].nbytes) return table[i].path;
    }
    return NULL;
}
