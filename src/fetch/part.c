/* part.c - the facts of a part, as JSON.  They are advice: bytes whose origin is not known are downloaded again. */
#include "fetch/part.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

void part_forget_facts(part_facts *f) { *f = (part_facts){ .total = -1 }; }

static char *name_of(const char *path) { return mem_printf("%s.part.json", path); }

static void take_text(const json_t *o, const char *name, const char *field, char *out, size_t nbytes)
{
    const char *text;
    if (json_get_string(o, name, field, "", &text, NULL) == DREAMO_OK && strlen(text) < nbytes) memcpy(out, text, strlen(text) + 1);
}

void part_read(const char *path, part_facts *f)
{
    char *name = name_of(path);
    json_t *o = NULL;
    part_forget_facts(f);
    if (name && file_exists(name) && json_read(name, 4096, &o, NULL) == DREAMO_OK) {
        take_text(o, name, "etag", f->etag, sizeof f->etag);
        take_text(o, name, "sha256", f->sha256, sizeof f->sha256);
        if (json_get_int(o, name, "total", -1, INT64_MAX, -1, &f->total, NULL)) f->total = -1;
    }
    json_decref(o);
    mem_free(name);
}

dreamo_status part_write(const char *path, const part_facts *f, dreamo_error *err)
{
    char *name = name_of(path);
    json_t *o = json_pack("{s:s, s:s, s:I}", "etag", f->etag, "sha256", f->sha256, "total", (json_int_t)f->total);
    char *text = json_text(o);
    dreamo_status s = name && text ? file_replace(name, text, strlen(text), err) : fail(err, DREAMO_MEMORY, "%s: no memory", path);
    mem_free(text);
    json_decref(o);
    mem_free(name);
    return s;
}

void part_remove(const char *path)
{
    char *name = name_of(path);
    if (name) unlink(name);
    mem_free(name);
}
