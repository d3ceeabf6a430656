/* cache.c - entries as safetensors files, with a hash over their numbers. */
#include "weights/cache.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "format/safetensors.h"

static size_t count_of(const cache_part *p) { return (size_t)(p->rows ? p->rows : 1) * (size_t)p->cols; }

/* Over the numbers: a flipped bit is no entry. */
static void hash_values(const cache_part *parts, int n, char out[65])
{
    char all[CACHE_PARTS * 64 + 1];
    for (int i = 0; i < n; i++) sha256_hex(parts[i].data, count_of(&parts[i]) * sizeof(float), all + 64 * i);
    sha256_hex(all, (size_t)n * 64, out);
}

static bool take(const st_file *f, const cache_part *p)
{
    const st_tensor *t = st_find(f, p->name);
    if (!t || t->type != DT_F32 || t->count != count_of(p)) return false;
    memcpy(p->data, t->data, t->count * sizeof(float));
    return true;
}

bool cache_read(const char *folder, const char *key, const cache_part *parts, int n)
{
    char hash[65];
    st_file f;
    char *path = mem_printf("%s/%s.safetensors", folder, key);
    bool found = path && file_exists(path) && st_open(path, &f, NULL) == DREAMO_OK;
    mem_free(path);
    if (!found) return false;
    const char *want = st_meta(&f, "sha256");
    for (int i = 0; i < n; i++) found = found && take(&f, &parts[i]);
    if (found) hash_values(parts, n, hash);
    found = found && want && strcmp(hash, want) == 0;
    st_close(&f);
    return found;
}

dreamo_status cache_write(const char *folder, const char *key, const cache_part *parts, int n, dreamo_error *err)
{
    char hash[65];
    st_tensor t[CACHE_PARTS];
    for (int i = 0; i < n; i++) {
        const cache_part *p = &parts[i];
        t[i] = (st_tensor){ .name = p->name, .type = DT_F32, .rank = p->rows ? 2 : 1, .shape = { p->rows ? p->rows : p->cols, p->rows ? p->cols : 0 },
                            .count = count_of(p), .nbytes = count_of(p) * sizeof(float), .data = p->data };
    }
    hash_values(parts, n, hash);
    const char *const meta[][2] = { { "sha256", hash } };
    char *path = mem_printf("%s/%s.safetensors", folder, key);
    dreamo_status s = path ? folder_make(folder, err) : fail(err, DREAMO_MEMORY, "%s: no memory for a path", folder);
    if (s == DREAMO_OK) s = st_write(path, t, n, meta, 1, err);
    mem_free(path);
    return s;
}
