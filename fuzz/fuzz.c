/* fuzz.c - the folder, and what must hold. */
#include "fuzz.h"
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/dtype.h"
#include "weights/kind.h"

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st, (void)flag, (void)where;
    return remove(path);
}

static void leave(void)
{
    if (chdir("/") == 0) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In memory where the system has such a folder. */
static void enter(void)
{
    snprintf(folder, sizeof folder, "%s/dreamo-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    fuzz_must(mkdtemp(folder) && chdir(folder) == 0, "a folder for files");
    atexit(leave);
}

void fuzz_put(const char *name, const void *data, size_t nbytes)
{
    char part[256];
    if (!*folder) enter();
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - name), name);
        mkdir(part, 0777);
    }
    FILE *f = fopen(name, "wb");
    fuzz_must(f && fwrite(data, 1, nbytes, f) == nbytes && fclose(f) == 0, name);
}

bool fuzz_next(fuzz_parts *p, const uint8_t **data, size_t *nbytes)
{
    size_t left = (size_t)(p->end - p->at);
    const uint8_t *stop = left ? memchr(p->at, 0x1E, left) : NULL;
    bool any = !p->over;
    *data = any ? p->at : (const uint8_t *)"";
    *nbytes = !any ? 0 : stop ? (size_t)(stop - p->at) : left;
    p->over = !stop;
    if (stop) p->at = stop + 1;
    return any;
}

bool fuzz_put_next(fuzz_parts *p, const char *name)
{
    const uint8_t *data;
    size_t nbytes;
    bool any = fuzz_next(p, &data, &nbytes);
    fuzz_put(name, data, nbytes);
    return any;
}

void fuzz_walk(const st_file *f)
{
    float few[64];
    for (int i = 0; i < f->ntensors; i++) {
        const st_tensor *t = &f->tensors[i];
        unsigned char last = 0;
        if (t->nbytes) memcpy(&last, (const char *)t->data + t->nbytes - 1, 1);
        fuzz_must(st_find(f, t->name) != NULL, "a tensor is found by its name");
        if (t->count == 64) dtype_to_f32(t->type, t->data, 64, few);
    }
    kind_of_weights(f);
}

int fuzz_opened(dreamo_status s, const dreamo_error *err, st_file *f)
{
    fuzz_told(s, err);
    if (!s) {
        fuzz_walk(f);
        st_close(f);
    }
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}

int fuzz_weights(const char *name, const void *data, size_t nbytes)
{
    st_file f;
    dreamo_error err = { 0 };
    fuzz_put(name, data, nbytes);
    return fuzz_opened(st_open_any(name, &f, &err), &err, &f);
}

void fuzz_must(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

void fuzz_told(dreamo_status s, const dreamo_error *err)
{
    fuzz_must(s == DREAMO_OK || (err->status == s && strlen(err->message) > 3), "a failure has a message");
    fuzz_must(s != DREAMO_BUG, err->message);
}
