/* file.c - files in and out: refusing what is not a file, and writing so that it stays written. */
#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include "base/mapped.h"
#include "base/mem.h"

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

size_t memory_now(void)
{
    unsigned long all, held;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return 0;
    int n = fscanf(f, "%lu %lu", &all, &held);
    fclose(f);
    return n == 2 ? (size_t)held * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* ---- reading ---- */

/* Something that was to be read: what may not be reached is for the caller as if it were not there. */
static dreamo_status cannot_read(const char *path, const char *doing, dreamo_error *err)
{
    if (errno == EACCES || errno == EPERM) return fail(err, DREAMO_NOT_FOUND, "%s: may not be read: %s", path, strerror(errno));
    return fail_errno(err, path, doing);
}

static dreamo_status must_be_regular(const struct stat *st, const char *path, dreamo_error *err)
{
    if (S_ISREG(st->st_mode)) return DREAMO_OK;
    const char *kind = S_ISDIR(st->st_mode) ? "a folder" : S_ISFIFO(st->st_mode) ? "a pipe" : S_ISSOCK(st->st_mode) ? "a socket" : "a device";
    return fail(err, DREAMO_FORMAT, "%s: is %s, not a file", path, kind);
}

/* Open for reading.  Only regular files pass: it looks before it opens, because opening a device may do something, and again
 * afterwards, because the name may have changed hands; O_NONBLOCK keeps it from hanging on a FIFO even then. */
static dreamo_status open_regular(const char *path, int *fd, size_t *nbytes, dreamo_error *err)
{
    struct stat st;
    dreamo_status s = stat(path, &st) == 0 ? must_be_regular(&st, path, err) : cannot_read(path, "cannot be opened", err);
    if (s) return s;
    int f = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (f < 0) return cannot_read(path, "cannot be opened", err);
    s = fstat(f, &st) == 0 ? must_be_regular(&st, path, err) : fail_errno(err, path, "cannot be examined");
    if (s) {
        close(f);
        return s;
    }
    *fd = f;
    *nbytes = (size_t)st.st_size;
    return DREAMO_OK;
}

dreamo_status file_map(const char *path, filemap *out, dreamo_error *err)
{
    int fd = -1;
    size_t nbytes = 0;
    *out = (filemap){ .fd = -1 };
    dreamo_status s = open_regular(path, &fd, &nbytes, err);
    if (s) return s;
    void *p = NULL;
    if (nbytes > 0 && (p = mmap(NULL, nbytes, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
        s = fail_errno(err, path, "cannot be mapped");
        close(fd);
        return s;
    }
    *out = (filemap){ .data = p, .nbytes = nbytes, .fd = fd };
    mapped_add(p, nbytes, path);
    return DREAMO_OK;
}

void file_map_forget(const filemap *m)
{
    if (m->data && m->nbytes) madvise((void *)(uintptr_t)m->data, m->nbytes, MADV_DONTNEED);
}

void file_unmap(filemap *m)
{
    mapped_remove(m->data);
    if (m->data) munmap((void *)(uintptr_t)m->data, m->nbytes);
    if (m->fd > 0) close(m->fd); /* 0: the map was zeroed, never opened */
    *m = (filemap){ .fd = -1 };
}

dreamo_status file_map_check(const filemap *m, const char *path, dreamo_error *err)
{
    struct stat st;
    if (fstat(m->fd, &st) != 0) return fail_errno(err, path, "cannot be examined");
    if ((size_t)st.st_size != m->nbytes) return fail(err, DREAMO_IO, "%s: changed while in use (%lld bytes, was %zu)", path, (long long)st.st_size, m->nbytes);
    return DREAMO_OK;
}

dreamo_status file_read(const char *path, size_t max, char **data, size_t *nbytes, dreamo_error *err)
{
    int fd = -1;
    size_t size = 0, have = 0;
    *data = NULL;
    dreamo_status s = open_regular(path, &fd, &size, err);
    if (s) return s;
    if (size > max) s = fail(err, DREAMO_LIMIT, "%s: %zu bytes, at most %zu are allowed", path, size, max);
    char *p = s ? NULL : mem_alloc(size + 1);
    if (!s && !p) s = fail(err, DREAMO_MEMORY, "%s: no memory for %zu bytes", path, size);
    while (!s && have < size) {
        ssize_t n = read(fd, p + have, size - have);
        if (n > 0) have += (size_t)n;
        else if (n == 0) s = fail(err, DREAMO_IO, "%s: changed while being read", path);
        else if (errno != EINTR) s = fail_errno(err, path, "cannot be read");
    }
    close(fd);
    if (s) {
        mem_free(p);
        return s;
    }
    p[size] = '\0';
    *data = p;
    *nbytes = size;
    return DREAMO_OK;
}

/* ---- writing (robustness C6) ---- */

static void forget(filewriter *w)
{
    mem_free(w->path);
    mem_free(w->temp);
    *w = (filewriter){ .fd = -1 };
}

/* A name that no other writer of this process uses. */
static int open_temporary(filewriter *w)
{
    static atomic_uint count;
    unsigned n = atomic_fetch_add(&count, 1);
    w->temp = n ? mem_printf("%s.tmp.%ld.%u", w->path, (long)getpid(), n) : mem_printf("%s.tmp.%ld", w->path, (long)getpid());
    if (!w->temp) {
        errno = ENOMEM;
        return -1;
    }
    int fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST && unlink(w->temp) == 0) /* left by a process of the same number that was killed */
        fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return fd;
}

/* A device or a pipe is written to as it is: there is nothing to replace.  O_NONBLOCK: a pipe that nobody reads is an error, no wait. */
static int open_in_place(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0) fcntl(fd, F_SETFL, 0);
    return fd;
}

dreamo_status file_create(filewriter *w, const char *path, bool clobber, dreamo_error *err)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    *w = (filewriter){ .fd = -1, .clobber = clobber };
    if (there && S_ISDIR(st.st_mode)) return fail(err, DREAMO_IO, "%s: is a folder", path);
    if (there && S_ISREG(st.st_mode) && !clobber) return fail(err, DREAMO_IO, "%s: exists already", path);
    if (!(w->path = mem_strdup(path))) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    w->fd = there && !S_ISREG(st.st_mode) ? open_in_place(path) : open_temporary(w);
    if (w->fd >= 0) return DREAMO_OK;
    dreamo_status s = fail_errno(err, path, "cannot be created");
    mem_free(w->temp);
    w->temp = NULL;
    file_abort(w);
    return s;
}

dreamo_status file_write(filewriter *w, const void *data, size_t nbytes, dreamo_error *err)
{
    const char *p = data;
    if (w->status) return w->status;
    while (nbytes) {
        ssize_t n = write(w->fd, p, nbytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return w->status = fail_errno(err, w->path, "cannot be written");
        p += n;
        nbytes -= (size_t)n;
        w->nbytes += (uint64_t)n;
    }
    return DREAMO_OK;
}

void file_abort(filewriter *w)
{
    if (w->fd >= 0) close(w->fd);
    if (w->temp) unlink(w->temp);
    forget(w);
}

static char *folder_of(const char *path) /* mem_free; NULL: no memory */
{
    const char *slash = strrchr(path, '/');
    return !slash ? mem_strdup(".") : slash == path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - path), path);
}

dreamo_status file_space(const char *path, uint64_t *nbytes, dreamo_error *err)
{
    struct statvfs v;
    char *folder = folder_of(path);
    if (!folder) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    dreamo_status s = statvfs(folder, &v) == 0 ? DREAMO_OK : fail_errno(err, folder, "cannot be examined");
    if (!s) *nbytes = (uint64_t)v.f_bavail * (uint64_t)v.f_frsize;
    mem_free(folder);
    return s;
}

/* A rename is on the disk only when its folder is. */
static void sync_folder_of(const char *path)
{
    char *folder = folder_of(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    mem_free(folder);
}

/* The temporary gets the final name.  Without clobber by a link, which refuses an existing name, unlike a rename. */
static dreamo_status put_in_place(filewriter *w, dreamo_error *err)
{
    if (w->clobber && rename(w->temp, w->path) != 0) return fail_errno(err, w->path, "cannot be replaced");
    if (!w->clobber && link(w->temp, w->path) != 0)
        return errno == EEXIST ? fail(err, DREAMO_IO, "%s: exists already", w->path) : fail_errno(err, w->path, "cannot be created");
    if (!w->clobber) unlink(w->temp);
    mem_free(w->temp);
    w->temp = NULL;
    sync_folder_of(w->path);
    return DREAMO_OK;
}

dreamo_status file_commit(filewriter *w, dreamo_error *err)
{
    dreamo_status s = w->status;
    if (!s && fsync(w->fd) != 0 && errno != EINVAL && errno != EROFS) s = fail_errno(err, w->path, "cannot be written to the disk");
    int closed = close(w->fd);
    w->fd = -1;
    if (!s && closed != 0) s = fail_errno(err, w->path, "cannot be closed");
    if (!s && w->temp) s = put_in_place(w, err);
    file_abort(w);
    return s;
}

dreamo_status file_replace(const char *path, const void *data, size_t nbytes, dreamo_error *err)
{
    filewriter w;
    dreamo_status s = file_create(&w, path, true, err);
    if (s) return s;
    if ((s = file_write(&w, data, nbytes, err)) == DREAMO_OK) return file_commit(&w, err);
    file_abort(&w);
    return s;
}

/* Opened like an output, but to go on at its end; a link or a pipe under that name is refused. */
static dreamo_status open_part(filewriter *w, dreamo_error *err)
{
    struct stat st;
    w->fd = open(w->temp, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (w->fd < 0) return fail_errno(err, w->temp, "cannot be created");
    if (fstat(w->fd, &st) != 0) return fail_errno(err, w->temp, "cannot be examined");
    dreamo_status s = must_be_regular(&st, w->temp, err);
    w->nbytes = (uint64_t)st.st_size;
    return s;
}

dreamo_status file_continue(filewriter *w, const char *path, dreamo_error *err)
{
    *w = (filewriter){ .fd = -1, .clobber = true, .path = mem_strdup(path), .temp = mem_printf("%s.part", path) };
    dreamo_status s = !w->path || !w->temp ? fail(err, DREAMO_MEMORY, "%s: no memory", path)
                    : folder_exists(path)  ? fail(err, DREAMO_IO, "%s: is a folder", path)
                                           : open_part(w, err);
    if (!s) return DREAMO_OK;
    if (w->fd >= 0) close(w->fd);
    forget(w);
    return s;
}

dreamo_status file_restart(filewriter *w, dreamo_error *err)
{
    if (w->status) return w->status;
    if (ftruncate(w->fd, 0) != 0) return w->status = fail_errno(err, w->temp, "cannot be emptied");
    w->nbytes = 0;
    return DREAMO_OK;
}

void file_pause(filewriter *w)
{
    if (w->temp && w->nbytes == 0) unlink(w->temp);
    if (w->fd >= 0) close(w->fd);
    forget(w);
}

dreamo_status file_append(const char *path, const void *data, size_t nbytes, dreamo_error *err)
{
    filewriter w = { .fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), .path = (char *)(uintptr_t)path };
    if (w.fd < 0) return fail_errno(err, path, "cannot be opened");
    off_t before = lseek(w.fd, 0, SEEK_END);
    dreamo_status s = file_write(&w, data, nbytes, err);
    bool torn = s && before >= 0 && ftruncate(w.fd, before) != 0; /* half a line would spoil the next one */
    if (torn) hint(err, "its last line is not whole");
    if (close(w.fd) != 0 && !s) s = fail_errno(err, path, "cannot be closed");
    return s;
}

/* ---- locks ---- */

dreamo_status file_lock(const char *path, int *fd, dreamo_error *err)
{
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*fd < 0) return fail_errno(err, path, "cannot be opened");
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return DREAMO_OK;
    dreamo_status s = errno == EWOULDBLOCK ? fail(err, DREAMO_BUSY, "%s: another process holds this lock", path) : fail_errno(err, path, "cannot be locked");
    close(*fd);
    *fd = -1;
    return s;
}

void file_unlock(int fd)
{
    if (fd >= 0) close(fd);
}

/* ---- folders ---- */

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool folder_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

dreamo_status file_nbytes(const char *path, uint64_t *nbytes, dreamo_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) return cannot_read(path, "cannot be examined", err);
    dreamo_status s = must_be_regular(&st, path, err);
    *nbytes = s ? 0 : (uint64_t)st.st_size;
    return s;
}

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
    if (!dir) return cannot_read(path, "folder cannot be read", err);
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
    if (!s) sync_folder_of(to);
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
    sync_folder_of(to);
    return there ? remove_tree(from, err) : DREAMO_OK;
}

/* ---- what killed writers left ---- */

/* Bytes of `name` before its last ".12"; 0: it does not end so. */
static size_t before_number(const char *name, size_t n)
{
    size_t digits = n;
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') digits--;
    return digits < n && digits > 1 && name[digits - 1] == '.' ? digits - 1 : 0;
}

static size_t before_word(const char *name, size_t n, const char *word)
{
    size_t length = strlen(word);
    return n > length && memcmp(name + n - length, word, length) == 0 ? n - length : 0;
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
