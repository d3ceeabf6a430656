/* inside.c - paths that may not leave a folder. */
#include "base/inside.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

bool name_is_inside(const char *name)
{
    for (const char *part = name;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.')) return false;
        part += n;
        if (!*part) return true;
    }
}

/* Whether the place that `path` leads to lies below the one that `folder` leads to. */
static dreamo_status lies_below(const char *folder, const char *path, bool *below, dreamo_error *err)
{
    char top[PATH_MAX], end[PATH_MAX];
    if (!realpath(folder, top)) return fail_errno(err, folder, "cannot be found");
    if (!realpath(path, end)) return fail_errno(err, path, "cannot be found");
    size_t n = strlen(top);
    *below = !strcmp(top, "/") || (!strncmp(top, end, n) && end[n] == '/');
    return DREAMO_OK;
}

dreamo_status path_inside(const char *folder, const char *name, char **path, dreamo_error *err)
{
    bool below = false;
    *path = NULL;
    if (!name_is_inside(name)) {
        fail(err, DREAMO_FORMAT, "\"%.200s\": is not a name below %s", name, folder);
        return hint(err, "absolute paths, \"..\" and \".\" are refused; keep the pictures beside or below the file that names them");
    }
    char *joined = path_join(folder, name);
    if (!joined) return fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    dreamo_status s = lies_below(folder, joined, &below, err);
    if (!s && !below) s = fail(err, DREAMO_FORMAT, "%s: is a link that leads out of %s", joined, folder);
    if (!s) *path = joined;
    else mem_free(joined);
    return s;
}
