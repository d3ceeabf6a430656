/* default_model.c - where the shipped model lies: $DREAMO_MODEL, beside the program, the installed data folder. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "weights/default_model.h"

#define NAME "dreamo-mini"

static char found[PATH_MAX + 64];

static bool try_folder(const char *base, const char *rest)
{
    int n = snprintf(found, sizeof found, "%s%s", base, rest);
    if (n > 0 && (size_t)n < sizeof found && folder_exists(found)) return true;
    found[0] = '\0';
    return false;
}

static void look(void)
{
    char folder[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = '\0';
        static const char *const beside[] = { "/models/" NAME, "/../models/" NAME, "/../../models/" NAME, "/../share/dreamo/" NAME };
        for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
            if (try_folder(folder, beside[i])) return;
    }
    try_folder(DREAMO_DATADIR, "/" NAME);
}

const char *dreamo_default_model(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *told = getenv("DREAMO_MODEL");
    if (told && *told) return told;
    pthread_once(&once, look);
    return found[0] ? found : NULL;
}

/* A model's folder in the hub's cache, models--OWNER--NAME, holds refs/main with the name of a folder in snapshots/; one that was fetched
 * by its number has no such name, and the only folder there is meant. */
char *hub_snapshot(const char *folder)
{
    char *ref = mem_printf("%s/refs/main", folder), *all = mem_printf("%s/snapshots", folder), *text = NULL, *path = NULL, **names = NULL;
    size_t nbytes = 0;
    int n = 0;
    if (ref && all && file_exists(ref) && file_read(ref, 200, &text, &nbytes, NULL) == DREAMO_OK) {
        text[strcspn(text, "/ \t\r\n")] = '\0';
        path = *text ? path_join(all, text) : NULL;
    }
    if (!(path && folder_exists(path)) && all && folder_exists(all) && folder_list(all, &names, &n, NULL) == DREAMO_OK && n == 1) {
        mem_free(path);
        path = path_join(all, names[0]);
    }
    bool found = path && folder_exists(path);
    if (names) folder_list_free(names, n);
    mem_free(text);
    mem_free(all);
    mem_free(ref);
    if (found) return path;
    mem_free(path);
    return mem_strdup(folder);
}

char *model_folder(const char *name)
{
    const char *shipped = folder_exists(name) || file_exists(name) ? NULL : dreamo_default_model();
    const char *slash = shipped && !strchr(name, '/') ? strrchr(shipped, '/') : NULL;
    char *path = slash ? mem_printf("%.*s/%s", (int)(slash - shipped), shipped, name) : NULL;
    if (slash && !path) return NULL;
    if (path && folder_exists(path)) return path;
    mem_free(path);
    return hub_snapshot(name);
}
