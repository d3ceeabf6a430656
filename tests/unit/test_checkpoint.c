/* test_checkpoint.c - a checkpoint is whole or not there: killed, failing and damaged at every step of writing it.
 *
 * The system calls that change a disk are wrapped here: the nth can end the process (kill -9) or fail (disk full). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/checkpoint.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* ---- faults ---- */

static long calls_left; /* 0: no fault */
static int fault_errno; /* 0: the process ends */

static bool faulty(void)
{
    if (calls_left == 0 || --calls_left > 0) return false;
    if (fault_errno == 0) _exit(137);
    calls_left = 1; /* a full disk stays full */
    errno = fault_errno;
    return true;
}

/* These stand before libc's in the program, so the library's calls come here. */
ssize_t write(int fd, const void *data, size_t n) { return fd > 2 && faulty() ? -1 : syscall(SYS_write, fd, data, n); }
int     fsync(int fd) { return faulty() || fcntl(fd, F_GETFD) < 0 ? -1 : 0; } /* what a process' death leaves needs no disk */
int     rename(const char *from, const char *to)
{
    return fault_errno != ENOSPC && faulty() ? -1 : (int)syscall(SYS_renameat, -100, from, -100, to);
}
int     mkdir(const char *path, mode_t mode) { return faulty() ? -1 : (int)syscall(SYS_mkdirat, -100, path, mode); }
int     unlink(const char *path) { return fault_errno != ENOSPC && faulty() ? -1 : (int)syscall(SYS_unlinkat, -100, path, 0); }
int     rmdir(const char *path) { return fault_errno != ENOSPC && faulty() ? -1 : (int)syscall(SYS_unlinkat, -100, path, 0x200); }

/* ---- a small run ---- */

static void make(params *p, int64_t cols)
{
    *p = (params){ 0 };
    assert_int_equal(params_add(p, "a.weight", 2, (const int64_t[]){ 40, cols }, NULL), DREAMO_OK);
    assert_int_equal(params_add(p, "a.bias", 1, (const int64_t[]){ 40 }, NULL), DREAMO_OK);
    assert_int_equal(params_allocate(p, true, NULL), DREAMO_OK);
    for (int i = 0; i < p->n; i++) { /* states of two types, with the parameter's shape and another */
        assert_non_null(params_remember(p, "m.", i, DT_F32, p->slot[i].count));
        assert_non_null(params_remember(p, "v8.", i, DT_U8, p->slot[i].count));
        assert_non_null(params_remember(p, "v8.scale.", i, DT_F32, 3));
    }
}

/* The state after `step` steps: every number tells which. */
static void set(params *p, run_state *s, int step)
{
    *s = (run_state){ .stage = "base", .step = step, .samples = 8 * step, .seed = 7, .smoothed = 0.1 * step, .seconds = 1.0 / 3,
                      .threads = 2, .backend = "cpu",
                      .model = "m", .data = "d" };
    for (int i = 0; i < p->n; i++)
        for (size_t k = p->slot[i].at; k < p->slot[i].at + p->slot[i].count; k++) {
            p->value[k] = (float)(step * 1000 + (int)k);
            p->ema[k] = p->value[k] + 0.75f;
        }
    for (int i = 0; i < p->nstates; i++)
        for (size_t k = 0; k < p->state[i].count; k++) {
            if (p->state[i].type == DT_U8) ((unsigned char *)p->state[i].data)[k] = (unsigned char)(step + i + (int)k);
            else ((float *)p->state[i].data)[k] = (float)(step * 1000 + i * 100 + (int)k) + 0.25f;
        }
}

static void assert_is(const params *p, const run_state *s, int step)
{
    params want;
    run_state state;
    make(&want, 30);
    set(&want, &state, step);
    size_t n = p->count * sizeof(float);
    assert_memory_equal(p->value, want.value, n);
    for (int i = 0; i < p->nstates; i++)
        assert_memory_equal(p->state[i].data, want.state[i].data, p->state[i].count * dtype_nbytes(p->state[i].type));
    assert_memory_equal(p->ema, want.ema, n);
    assert_memory_equal(s, &state, sizeof state);
    params_free(&want);
}

static dreamo_status save(const char *out, int step, int keep, dreamo_error *err)
{
    params p;
    run_state s;
    make(&p, 30);
    set(&p, &s, step);
    dreamo_status status = checkpoint_save(out, &p, &s, "steps = 3\n", keep, err);
    params_free(&p);
    return status;
}

static int notes;
static void count_note(void *user, const char *line)
{
    (void)user;
    assert_true(strlen(line) > 10);
    notes++;
}

/* Which step loads. */
static int load(const char *out)
{
    params p;
    run_state s;
    dreamo_error err = { 0 };
    make(&p, 30);
    if (checkpoint_load(out, &p, &s, count_note, NULL, &err)) fail_msg("%s", err.message);
    assert_is(&p, &s, (int)s.step);
    params_free(&p);
    return (int)s.step;
}

/* ---- tests ---- */

static void test_keeps_the_newest(void **state)
{
    (void)state;
    char **names;
    int n;
    assert_int_equal(folder_make("keep", NULL), DREAMO_OK);
    assert_false(checkpoint_any("keep"));
    for (int step = 1; step <= 4; step++) assert_int_equal(save("keep", step, 2, NULL), DREAMO_OK);
    assert_true(checkpoint_any("keep"));
    assert_int_equal(load("keep"), 4);
    assert_int_equal(folder_list("keep", &names, &n, NULL), DREAMO_OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "ckpt-000003");
    assert_string_equal(names[1], "ckpt-000004");
    assert_string_equal(names[2], "latest");
    folder_list_free(names, n);
    char *latest;
    size_t nbytes;
    assert_int_equal(file_read("keep/latest", 100, &latest, &nbytes, NULL), DREAMO_OK);
    assert_string_equal(latest, "ckpt-000004");
    mem_free(latest);
}

/* The process ends at the nth change of the disk, for every n: the old or the new checkpoint loads, and the next save works. */
static void test_killed_anywhere(void **state)
{
    (void)state;
    int n, newer = 0;
    assert_int_equal(folder_make("kill", NULL), DREAMO_OK);
    for (n = 1; n < 1000; n++) {
        char out[32];
        snprintf(out, sizeof out, "kill/%d", n);
        assert_int_equal(folder_make(out, NULL), DREAMO_OK);
        assert_int_equal(save(out, 1, 1, NULL), DREAMO_OK);
        pid_t child = fork();
        if (child == 0) {
            calls_left = n;
            _exit(save(out, 2, 1, NULL) ? 1 : 0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        int step = load(out);
        assert_true(step == 1 || step == 2);
        assert_true(step >= newer); /* once it counts as written it stays so */
        newer = step;
        assert_int_equal(save(out, 3, 1, NULL), DREAMO_OK);
        assert_int_equal(load(out), 3);
        if (WEXITSTATUS(status) == 0) break;
        assert_int_equal(WEXITSTATUS(status), 137);
    }
    assert_true(n > 25 && n < 1000);
    assert_int_equal(newer, 2);
}

/* The disk is full from the nth write on: the failure is told, the old checkpoint stays, nothing half-written has a final
 * name. */
static void test_disk_full(void **state)
{
    (void)state;
    int n;
    assert_int_equal(folder_make("full", NULL), DREAMO_OK);
    assert_int_equal(save("full", 1, 2, NULL), DREAMO_OK);
    for (n = 1; n < 1000; n++) {
        dreamo_error err = { 0 };
        fault_errno = ENOSPC;
        calls_left = n;
        dreamo_status s = save("full", 2, 2, &err);
        calls_left = fault_errno = 0;
        if (!s) break;
        assert_int_equal(s, DREAMO_IO);
        assert_true(strlen(err.message) > 10);
        int step = load("full");
        assert_true(step == 1 || step == 2); /* 2: all of it was written, only `latest` was not */
        if (step == 2) assert_int_equal(folder_remove("full/ckpt-000002", NULL), DREAMO_OK);
    }
    assert_true(n > 10 && n < 1000);
    assert_int_equal(load("full"), 2);
}

static void damage(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(f);
    fseek(f, -1, SEEK_CUR);
    fputc(c ^ 1, f);
    fclose(f);
}

static void test_damage_falls_back(void **state)
{
    (void)state;
    static const char *const files[] = { "weights.safetensors", "optim.safetensors", "average.safetensors", "state.json",
                                         "recipe.conf", "MANIFEST" };
    assert_int_equal(folder_make("bad", NULL), DREAMO_OK);
    for (int kind = 0; kind < 3; kind++) /* a flipped bit, a file cut short, a file gone */
        for (int i = 0; i < 6; i++) {
            char path[64];
            assert_int_equal(save("bad", 1, 2, NULL), DREAMO_OK);
            assert_int_equal(save("bad", 2, 2, NULL), DREAMO_OK);
            snprintf(path, sizeof path, "bad/ckpt-000002/%s", files[i]);
            if (kind == 0) damage(path, -5);
            else if (kind == 1) assert_int_equal(truncate(path, 3), 0);
            else assert_int_equal(remove(path), 0);
            notes = 0;
            assert_int_equal(load("bad"), 1);
            assert_int_equal(notes, 1);
            assert_int_equal(folder_remove("bad/ckpt-000002", NULL), DREAMO_OK);
        }
    params p;
    run_state s;
    make(&p, 30);
    damage("bad/ckpt-000001/weights.safetensors", -5);
    assert_int_equal(checkpoint_load("bad", &p, &s, count_note, NULL, NULL), DREAMO_NOT_FOUND);
    params_free(&p);
}

/* Not broken, but of something else: told, not passed over. */
static void test_mismatch(void **state)
{
    (void)state;
    params other;
    run_state s;
    dreamo_error err = { 0 };
    assert_int_equal(folder_make("other", NULL), DREAMO_OK);
    assert_int_equal(save("other", 1, 2, NULL), DREAMO_OK);
    make(&other, 31);
    assert_int_equal(checkpoint_load("other", &other, &s, count_note, NULL, &err), DREAMO_MISMATCH);
    assert_non_null(strstr(err.message, "a.weight"));
    params_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_the_newest), cmocka_unit_test(test_killed_anywhere), cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_damage_falls_back), cmocka_unit_test(test_mismatch),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
