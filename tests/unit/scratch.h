/* scratch.h - an empty folder of a test's own: cmocka's group setup and teardown, and files made of bytes.
 * The test runs inside the folder, so that its names are short. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_folder[] = "/tmp/dreamo-test-XXXXXX";

static int scratch_enter(void **state)
{
    (void)state;
    return mkdtemp(scratch_folder) && chmod(scratch_folder, 0777) == 0 && chdir(scratch_folder) == 0 ? 0 : -1;
}

static int scratch_remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st, (void)flag, (void)where;
    return remove(path);
}

static int scratch_leave(void **state)
{
    (void)state;
    return chdir("/") == 0 && nftw(scratch_folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : -1;
}

static inline void scratch_write(const char *name, const void *data, size_t nbytes)
{
    remove(name); /* a new file: some systems wait for the disk when one is overwritten */
    FILE *f = fopen(name, "wb");
    if (!f || fwrite(data, 1, nbytes, f) != nbytes || fclose(f)) abort();
}
#endif
