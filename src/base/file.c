/* file.c - files in and out: refusing what is not a file, and writing so that it stays written. */
#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

uint64_t memory_free(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && !kib && fgets(line, sizeof line, f)) kib = strncmp(line, "MemAvailable:", 13) == 0 ? strtoull(line + 13, NULL, 10) : 0;
    if (f) fclose(f);
    return kib << 10;
}

/* ---- reading ---- */

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
    dreamo_status s = stat(path, &st) == 0 ? must_be_regular(&st, path, err) : fail_reading(err, path, "cannot be opened");
    if (s) return s;
    int f = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (f < 0) return fail_reading(err, path, "cannot be opened");
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

static char *folder_of(const char *path) /* mem_free; NULL: no memory */
{
    const char *slash = strrchr(path, '/');
    return !slash ? mem_strdup(".") : slash == path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - path), path);
}

/* Temporaries of this name whose process was killed: it is gone, and nobody holds the lock that a writer holds. */
static void sweep_temporaries(const char *path)
{
    char *folder = folder_of(path);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    DIR *dir = folder ? opendir(folder) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (strncmp(e->d_name, name, n) != 0 || strncmp(e->d_name + n, ".tmp.", 5) != 0) continue;
        const char *number = e->d_name + n + 5;
        long process = strtol(number, NULL, 10);
        if (strspn(number, "0123456789.") != strlen(number) || process < 1 || kill((pid_t)process, 0) == 0 || errno != ESRCH) continue;
        int fd = openat(dirfd(dir), e->d_name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(dirfd(dir), e->d_name, 0);
        if (fd >= 0) close(fd);
    }
    if (dir) closedir(dir);
    mem_free(folder);
}

/* A name that no other writer of this process uses; locked for as long as it is written. */
static int open_temporary(filewriter *w)
{
    static atomic_uint count;
    unsigned n = atomic_fetch_add(&count, 1);
    w->temp = n ? mem_printf("%s.tmp.%ld.%u", w->path, (long)getpid(), n) : mem_printf("%s.tmp.%ld", w->path, (long)getpid());
    if (!w->temp) {
        errno = ENOMEM;
        return -1;
    }
    sweep_temporaries(w->path);
    int fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST && unlink(w->temp) == 0) /* left by a process of the same number that was killed */
        fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) flock(fd, LOCK_EX | LOCK_NB);
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
void file_sync_name(const char *path)
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
    file_sync_name(w->path);
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

bool file_same(const char *one, const char *other)
{
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

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
    if (stat(path, &st) != 0) return fail_reading(err, path, "cannot be examined");
    dreamo_status s = must_be_regular(&st, path, err);
    *nbytes = s ? 0 : (uint64_t)st.st_size;
    return s;
}

dreamo_status file_remove(const char *path, dreamo_error *err)
{
    return unlink(path) == 0 ? DREAMO_OK : fail_errno(err, path, "cannot be removed");
}
