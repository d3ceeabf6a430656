/* export.c - weight files and copies of model folders. */
#include "train/export.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "weights/lora.h"

/* The same weights in another form, which came with the model folder: they are not the same any more. */
static void remove_older(const char *path)
{
    int stem = (int)(strlen(path) - strlen(".safetensors"));
    char *older = mem_printf("%.*s.gguf", stem, path);
    if (older) remove(older);
    mem_free(older);
}

dreamo_status export_remove_atop(const char *dir, const char *but, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (int i = 1; i < LORA_OWN && !s; i++) {
        if (but && strcmp(lora_own[i], but) == 0) continue;
        char *path = mem_printf("%s/%s.safetensors", dir, lora_own[i]);
        if (!path) return fail(err, DREAMO_MEMORY, "%s: no memory for a path", dir);
        if (file_exists(path)) s = file_remove(path, err);
        mem_free(path);
    }
    return s;
}

dreamo_status export_weights(const char *path, const params *p, const float *vector, int first, int n, const char *prefix,
                             bool bf16, dreamo_error *err)
{
    static const char *const meta[][2] = { { "format", "pt" } };
    size_t count = 0, at = 0;
    for (int i = first; i < first + n; i++) count += p->slot[i].count;
    st_tensor *t = mem_calloc((size_t)n + 1, sizeof *t);
    uint16_t *half = bf16 ? mem_alloc(count * sizeof *half) : NULL;
    dreamo_status s = t && (half || !bf16) ? DREAMO_OK
                                           : fail(err, DREAMO_MEMORY, "%s: no memory to export %zu numbers", path, count);
    for (int i = 0; !s && i < n; i++) {
        const param_slot *q = &p->slot[first + i];
        t[i] = (st_tensor){ .name = q->name + strlen(prefix), .type = bf16 ? DT_BF16 : DT_F32, .rank = q->rank, .count = q->count,
                            .nbytes = q->count * (bf16 ? 2 : 4), .data = bf16 ? (const void *)(half + at) : vector + q->at };
        memcpy(t[i].shape, q->shape, sizeof q->shape);
        for (size_t k = 0; bf16 && k < q->count; k++) half[at + k] = f32_to_bf16(vector[q->at + k]);
        at += q->count;
    }
    if (!s) s = st_write(path, t, n, meta, 1, err);
    if (!s) remove_older(path);
    mem_free(t);
    mem_free(half);
    return s;
}

static dreamo_status copy_file(const char *from, const char *to, size_t most, int *skipped, dreamo_error *err)
{
    filemap map;
    dreamo_status s = file_map(from, &map, err);
    if (s) return s;
    if (map.nbytes > most) ++*skipped;
    else s = file_replace(to, map.data, map.nbytes, err);
    file_unmap(&map);
    return s;
}

dreamo_status copy_folder(const char *from, const char *to, size_t most, int *skipped, dreamo_error *err)
{
    char **names = NULL;
    int n = 0;
    dreamo_status s = folder_make(to, err);
    if (!s) s = folder_list(from, &names, &n, err);
    for (int i = 0; !s && i < n; i++) {
        char *a = path_join(from, names[i]), *b = path_join(to, names[i]);
        if (!a || !b) s = fail(err, DREAMO_MEMORY, "%s: no memory", from);
        else if (folder_exists(a)) s = copy_folder(a, b, most, skipped, err);
        else s = copy_file(a, b, most, skipped, err);
        mem_free(a);
        mem_free(b);
    }
    folder_list_free(names, n);
    return s;
}
