/* blobs.c - files named by their content. */
#include "serve/redis/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "serve/text.h"

enum { PATH_BYTES = 4096, ABANDONED_SECONDS = 3600 /* a file half written by somebody who died */ };

static dreamo_status failed(const char *dir, const char *what, int why, problem *p)
{
    if (why == ENOSPC || why == EDQUOT) {
        refuse_http(p, DREAMO_IO, 507, "--blobs %s: the disk is full", dir);
        return advise(p, "make room, or shorten --keep-results");
    }
    return refuse(p, DREAMO_IO, NULL, "--blobs %s: %s: %s", dir, what, strerror(why));
}

static bool write_all(int fd, const char *data, size_t nbytes)
{
    while (nbytes > 0) {
        ssize_t n = write(fd, data, nbytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        data += n;
        nbytes -= (size_t)n;
    }
    return true;
}

/* Under a name of its own, to the disk, then under its right name. */
static dreamo_status write_file(const char *dir, int at, const char *name, const void *data, size_t nbytes, problem *p)
{
    char own[40] = "part-";
    random_hex(own + 5, 24);
    int fd = openat(at, own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return failed(dir, "no file can be made there", errno, p);
    bool fine = write_all(fd, data, nbytes) && fsync(fd) == 0;
    int why = errno;
    close(fd);
    if (fine && renameat(at, own, at, name) == 0 && fsync(at) == 0) return DREAMO_OK;
    if (fine) why = errno;
    unlinkat(at, own, 0);
    return failed(dir, name, why, p);
}

static int open_folder(const char *dir) { return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

dreamo_status blobs_check(const char *dir, problem *p)
{
    char name[40] = "part-";
    int at = open_folder(dir);
    if (at < 0) return failed(dir, "cannot be opened", errno, p);
    random_hex(name + 5, 24);
    dreamo_status s = write_file(dir, at, name, "", 0, p);
    unlinkat(at, name, 0);
    close(at);
    return s;
}

dreamo_status blobs_put(const char *dir, const blob *b, problem *p)
{
    int at = open_folder(dir);
    if (at < 0) return failed(dir, "cannot be opened", errno, p);
    struct stat st;
    bool there = fstatat(at, b->sha256, &st, 0) == 0 && (size_t)st.st_size == b->nbytes && utimensat(at, b->sha256, NULL, 0) == 0;
    dreamo_status s = there ? DREAMO_OK : write_file(dir, at, b->sha256, b->data, b->nbytes, p);
    close(at);
    return s;
}

dreamo_status blobs_get(const char *dir, const char *sha256, blob *out, problem *p)
{
    char path[PATH_BYTES], seen[65];
    struct stat st;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, sha256) >= sizeof path) return failed(dir, sha256, ENAMETOOLONG, p);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return DREAMO_NOT_FOUND;
    if (fd < 0) return failed(dir, sha256, errno, p);
    bool fine = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    size_t n = fine ? (size_t)st.st_size : 0, got = 0;
    out->data = malloc(n + 1);
    for (ssize_t r; out->data && got < n; got += (size_t)r)
        if ((r = read(fd, (char *)out->data + got, n - got)) <= 0) break;
    close(fd);
    if (!out->data) return refuse(p, DREAMO_MEMORY, NULL, "no memory for a picture of %zu bytes", n);
    out->nbytes = n;
    dreamo_sha256(out->data, got, seen);
    if (fine && got == n && strcmp(seen, sha256) == 0) return DREAMO_OK;
    blob_free(out);
    return refuse(p, DREAMO_IO, NULL, "--blobs %s: %s is damaged: its content is another", dir, sha256);
}

void blobs_drop(const char *dir, const char *sha256)
{
    int at = open_folder(dir);
    if (at < 0) return;
    unlinkat(at, sha256, 0);
    close(at);
}

/* Taken away under another name first: whoever puts it anew meanwhile either makes it young, which is seen here, or writes it again. */
static void drop(int at, const char *name, time_t before)
{
    char own[80];
    struct stat st;
    snprintf(own, sizeof own, "part-%.64s", name);
    if (renameat(at, name, at, own)) return;
    if (fstatat(at, own, &st, 0) == 0 && st.st_mtime >= before) renameat(at, own, at, name);
    else unlinkat(at, own, 0);
}

void blobs_sweep(const char *dir, int64_t seconds, bool (*needed)(void *user, const char *sha256), void *user)
{
    DIR *d = opendir(dir);
    time_t now = time(NULL), before = now - (time_t)seconds;
    struct stat st;
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *name = e->d_name;
        bool part = strncmp(name, "part-", 5) == 0, ours = strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
        if ((!part && !ours) || fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        if (part && st.st_mtime < now - ABANDONED_SECONDS) unlinkat(dirfd(d), name, 0);
        if (ours && st.st_mtime < before && !needed(user, name)) drop(dirfd(d), name, before);
    }
    if (d) closedir(d);
}
