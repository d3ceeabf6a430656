/* folder.c - folders: listing, removing and replacing them whole, and taking away what killed writers left in them. */
#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"

dreamo_status folder_make(const char *path, dreamo_error *err)
{
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && folder_exists(path))) return DREAMO_OK;
    return fail_errno(err, path, "folder cannot be created");
}

char *path_join(const char *folder, const char *name)
{
    size_t n = strlen(folder);
    return mem_printf("%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void folder_list_free(char **names, int count)
{
    for (int i = 0; i < count; i++) mem_free(names[i]);
    mem_free(names);
}

dreamo_status folder_list(const char *path, char ***names, int *count, dreamo_error *err)
{
    char **list = NULL;
    int n = 0, room = 0;
    struct dirent *entry;
    dreamo_status s = DREAMO_OK;
    DIR *dir = opendir(path);
    *names = NULL;
    *count = 0;
    if (!dir) return fail_reading(err, path, "folder cannot be read");
    while (!s && (errno = 0, entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (n == room) {
            char **more = mem_realloc(list, (size_t)(room = room ? 2 * room : 32) * sizeof *list);
            if (!more) {
                s = fail(err, DREAMO_MEMORY, "%s: no memory for its list of names", path);
                break;
            }
            list = more;
        }
        list[n] = mem_strdup(entry->d_name);
        if (!list[n]) s = fail(err, DREAMO_MEMORY, "%s: no memory for its list of names", path);
        else n++;
    }
    if (!s && errno) s = fail_errno(err, path, "folder cannot be read");
    closedir(dir);
    if (s) {
        folder_list_free(list, n);
        return s;
    }
    if (n) qsort(list, (size_t)n, sizeof *list, by_bytes);
    *names = list;
    *count = n;
    return DREAMO_OK;
}

static dreamo_status remove_tree(const char *path, dreamo_error *err)
{
    struct stat st;
    char **names = NULL;
    int n = 0;
    if (lstat(path, &st) != 0) return fail_errno(err, path, "cannot be examined");
    if (!S_ISDIR(st.st_mode)) return unlink(path) == 0 ? DREAMO_OK : fail_errno(err, path, "cannot be removed");
    dreamo_status s = folder_list(path, &names, &n, err);
    for (int i = 0; i < n && !s; i++) {
        char *inside = path_join(path, names[i]);
        s = inside ? remove_tree(inside, err) : fail(err, DREAMO_MEMORY, "%s: no memory", path);
        mem_free(inside);
    }
    folder_list_free(names, n);
    if (!s && rmdir(path) != 0) s = fail_errno(err, path, "folder cannot be removed");
    return s;
}

dreamo_status folder_remove(const char *path, dreamo_error *err)
{
    char *trash = mem_printf("%s.trash", path);
    if (!trash) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    dreamo_status s = DREAMO_OK;
    if (file_exists(trash)) s = remove_tree(trash, err);
    if (!s && rename(path, trash) != 0) s = fail_errno(err, path, "cannot be renamed for removal");
    if (!s) s = remove_tree(trash, err);
    mem_free(trash);
    return s;
}

/* Both names keep naming something at every moment. */
static int exchange(const char *a, const char *b)
{
#ifdef RENAME_EXCHANGE
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
#else
    (void)a, (void)b;
    errno = ENOSYS;
    return -1;
#endif
}

/* On a system that cannot exchange: for a moment only the trash has the old one. */
static dreamo_status replace_in_turn(const char *from, const char *to, dreamo_error *err)
{
    char *trash = mem_printf("%s.trash", to);
    dreamo_status s = trash ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", to);
    if (!s && file_exists(trash)) s = remove_tree(trash, err);
    if (!s && rename(to, trash) != 0) s = fail_errno(err, to, "cannot be replaced");
    if (!s && rename(from, to) != 0) {
        s = fail_errno(err, to, "cannot be put in place");
        rename(trash, to);
    }
    if (!s) file_sync_name(to);
    if (!s) s = remove_tree(trash, err);
    mem_free(trash);
    return s;
}

dreamo_status folder_replace(const char *from, const char *to, dreamo_error *err)
{
    bool there = file_exists(to);
    if (there && exchange(from, to) != 0) {
        bool cannot = errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
        return cannot ? replace_in_turn(from, to, err) : fail_errno(err, to, "cannot be replaced");
    }
    if (!there && rename(from, to) != 0) return fail_errno(err, to, "cannot be put in place");
    file_sync_name(to);
    return there ? remove_tree(from, err) : DREAMO_OK;
}

/* ---- what killed writers left ---- */

static size_t before_word(const char *name, size_t n, const char *word)
{
    size_t length = strlen(word);
    return n > length && memcmp(name + n - length, word, length) == 0 ? n - length : 0;
}

/* Bytes of `name` before its last ".12"; 0: it does not end so. */
static size_t before_number(const char *name, size_t n)
{
    size_t digits = n;
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') digits--;
    return digits < n && digits > 1 && name[digits - 1] == '.' ? digits - 1 : 0;
}

/* "latest.tmp.17.2", "model.tmp.trash": bytes of the name that it was made for; 0: a name that nobody here gives. */
static size_t leftover_of(const char *name)
{
    size_t n = strlen(name), stem = n, shorter;
    for (;; stem = shorter) {
        size_t once = before_number(name, stem), twice = once ? before_number(name, once) : 0;
        if (!(shorter = before_word(name, stem, ".trash")) && !(shorter = before_word(name, stem, ".tmp")) &&
            !(shorter = once ? before_word(name, once, ".tmp") : 0) && !(shorter = twice ? before_word(name, twice, ".tmp") : 0))
            return stem < n ? stem : 0;
    }
}

dreamo_status folder_sweep(const char *folder, bool (*ours)(void *user, const char *name), void *user, dreamo_error *err)
{
    char **names = NULL;
    int n = 0;
    dreamo_status s = folder_list(folder, &names, &n, err);
    for (int i = 0; i < n && !s; i++) {
        size_t stem = leftover_of(names[i]);
        char *path = stem ? path_join(folder, names[i]) : NULL;
        if (!stem) continue;
        names[i][stem] = '\0';
        if (!path) s = fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        else if (ours(user, names[i])) s = remove_tree(path, err);
        mem_free(path);
    }
    folder_list_free(names, n);
    return s;
}
