/* record.c - the record of a model folder's downloads.  A record that breaks its rules is refused by name: it can be deleted, and
 * the files then count as put there by hand. */
#include "fetch/record.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

#define RECORD "dreamo/fetched.json"

static dreamo_status no_memory(const char *dir, dreamo_error *err)
{
    return fail(err, DREAMO_MEMORY, "%s: no memory for its record of downloads", dir);
}

dreamo_status record_open(const char *dir, json_t **record, dreamo_error *err)
{
    char *path = path_join(dir, RECORD);
    dreamo_status s = path ? DREAMO_OK : no_memory(dir, err);
    *record = NULL;
    if (!s && file_exists(path)) {
        s = json_read(path, 1 << 20, record, err);
        if (!s && !json_is_object(*record)) s = fail(err, DREAMO_FORMAT, "%s: is not a JSON object", path);
    } else if (!s && !(*record = json_object())) {
        s = no_memory(dir, err);
    }
    mem_free(path);
    return s;
}

dreamo_status record_find(const json_t *record, const char *dir, const char *path, record_entry *out, bool *found, dreamo_error *err)
{
    const json_t *o = json_object_get(record, path);
    int64_t nbytes = 0;
    *found = o != NULL;
    *out = (record_entry){ 0 };
    if (!o) return DREAMO_OK;
    char *what = mem_printf("%s/" RECORD ": %s", dir, path);
    dreamo_status s = what ? DREAMO_OK : no_memory(dir, err);
    if (!s) s = json_get_string(o, what, "repository", NULL, &out->repository, err);
    if (!s) s = json_get_string(o, what, "file", NULL, &out->file, err);
    if (!s) s = json_get_string(o, what, "sha256", NULL, &out->sha256, err);
    if (!s) s = json_get_int(o, what, "bytes", 0, INT64_MAX, -1, &nbytes, err);
    if (!s && (strlen(out->sha256) != 64 || strspn(out->sha256, "0123456789abcdef") != 64))
        s = fail(err, DREAMO_FORMAT, "%s: field \"sha256\" is not 64 hex digits", what);
    out->nbytes = (uint64_t)nbytes;
    mem_free(what);
    return s;
}

dreamo_status record_add(json_t *record, const char *dir, const manifest_file *f, uint64_t nbytes, const char *sha256,
                         dreamo_error *err)
{
    char *path = path_join(dir, RECORD), *text = NULL;
    json_t *entry = json_pack("{s:s, s:s, s:I, s:s}", "repository", f->from->name, "file", f->file, "bytes", (json_int_t)nbytes,
                              "sha256", sha256);
    bool entered = entry && json_object_set_new(record, manifest_path(f), entry) == 0; /* takes the entry, also when it fails */
    if (entered) text = json_text(record);
    dreamo_status s = path && text ? file_replace(path, text, strlen(text), err) : no_memory(dir, err);
    mem_free(text);
    mem_free(path);
    return s;
}
