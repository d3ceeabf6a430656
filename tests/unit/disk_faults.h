/* disk_faults.h - the system calls that change a disk, of which the nth fails or is the last of its process.
 *
 * They stand before libc's in the program that includes this, so the library's calls come here.  Included by one file a program. */
#ifndef TESTS_DISK_FAULTS_H
#define TESTS_DISK_FAULTS_H
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static long calls_left;    /* until the fault; 0: none, or it is over */
static long calls_made;
static int fault_errno;    /* 0: the process ends, as by kill -9 */
static struct call_list { int n; long at[1 << 14]; } *calls_of_names; /* NULL, or where those are noted that change names, not contents */

static bool faulty(bool name)
{
    calls_made++;
    if (name && calls_of_names && calls_of_names->n < 1 << 14) calls_of_names->at[calls_of_names->n++] = calls_made;
    if (calls_left == 0 || --calls_left > 0) return false;
    if (fault_errno == 0) _exit(137);
    if (fault_errno == ENOSPC) calls_left = 1; /* a full disk stays full */
    errno = fault_errno;
    return true;
}

/* What frees room works on a full disk, and where something fails once it is not the cleaning up. */
static bool frees(bool name) { return fault_errno == 0 && faulty(name); }

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
    va_end(ap);
    return (flags & O_CREAT) && faulty(true) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* Ended or failing in the middle: half of the bytes are there. */
ssize_t write(int fd, const void *data, size_t n)
{
    if (fd > 2 && calls_left == 1 && n > 1) syscall(SYS_write, fd, data, n / 2);
    return fd > 2 && faulty(false) ? -1 : syscall(SYS_write, fd, data, n);
}

int fsync(int fd) { return faulty(false) || fcntl(fd, F_GETFD) < 0 ? -1 : 0; } /* what a process' death leaves needs no disk */
int mkdir(const char *path, mode_t mode) { return faulty(true) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode); }
int link(const char *from, const char *to) { return faulty(true) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0); }

int rename(const char *from, const char *to)
{
    return fault_errno != ENOSPC && faulty(true) ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    return fault_errno != ENOSPC && faulty(true) ? -1 : (int)syscall(SYS_renameat2, a, from, b, to, flags);
}

int ftruncate(int fd, off_t n) { return frees(false) ? -1 : (int)syscall(SYS_ftruncate, fd, n); }
int unlink(const char *path) { return frees(true) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0); }
int rmdir(const char *path) { return frees(true) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR); }
#endif
