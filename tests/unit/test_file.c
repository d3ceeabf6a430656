/* test_file.c - what is not a file is refused without hanging (robustness F47, F48); what is written stays written or leaves
 * nothing (C6, R04). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "scratch.h"

static int count_names(void)
{
    char **names;
    int n;
    assert_int_equal(folder_list(".", &names, &n, NULL), DREAMO_OK);
    folder_list_free(names, n);
    return n;
}

static void assert_holds(const char *path, const char *text)
{
    char *data;
    size_t n;
    assert_int_equal(file_read(path, 1000, &data, &n, NULL), DREAMO_OK);
    assert_int_equal(n, strlen(text));
    assert_string_equal(data, text);
    mem_free(data);
}

/* ---- reading ---- */

static void expect_refusal(const char *path, dreamo_status status, const char *words)
{
    filemap m;
    char *data;
    size_t n;
    dreamo_error by_map = { 0 }, by_read = { 0 };
    assert_int_equal(file_map(path, &m, &by_map), status);
    assert_int_equal(file_read(path, 1000, &data, &n, &by_read), status);
    assert_string_equal(by_map.message, by_read.message);
    assert_non_null(strstr(by_map.message, words));
    assert_memory_equal(by_map.message, path, strlen(path));
    assert_null(data);
    file_unmap(&m);
}

static void what_is_not_a_file_is_refused(void **state)
{
    (void)state;
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    char *long_name = mem_alloc(301);
    memset(long_name, 'n', 300);
    long_name[300] = '\0';
    assert_int_equal(mkdir("folder", 0777), 0);
    assert_int_equal(mkfifo("pipe", 0666), 0);
    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    scratch_write("plain", "x", 1);
    expect_refusal("folder", DREAMO_FORMAT, "is a folder, not a file");
    expect_refusal("pipe", DREAMO_FORMAT, "is a pipe, not a file");
    expect_refusal("socket", DREAMO_FORMAT, "is a socket, not a file");
    expect_refusal("/dev/zero", DREAMO_FORMAT, "is a device, not a file");
    expect_refusal("loop", DREAMO_NOT_FOUND, "cannot be opened");
    expect_refusal("absent", DREAMO_NOT_FOUND, "cannot be opened");
    expect_refusal("plain/inside", DREAMO_NOT_FOUND, "cannot be opened");
    expect_refusal("", DREAMO_NOT_FOUND, "cannot be opened");
    expect_refusal(long_name, DREAMO_NOT_FOUND, "cannot be opened");
    scratch_write("secret", "x", 1);
    assert_int_equal(chmod("secret", 0), 0);
    assert_int_equal(mkdir("shut", 0700), 0);
    scratch_write("shut/inside", "x", 1);
    assert_int_equal(chmod("shut", 0), 0);
    bool root = geteuid() == 0; /* whom permissions do not stop */
    if (root) assert_int_equal(seteuid(65534), 0);
    expect_refusal("secret", DREAMO_NOT_FOUND, "may not be read");
    expect_refusal("shut/inside", DREAMO_NOT_FOUND, "may not be read");
    char **names;
    int count;
    assert_int_equal(folder_list("shut", &names, &count, NULL), DREAMO_NOT_FOUND);
    if (root) assert_int_equal(seteuid(0), 0);
    close(s);
    mem_free(long_name);
}

static void files_are_read_whole(void **state)
{
    (void)state;
    char *data;
    size_t n;
    filemap m;
    dreamo_error err = { 0 };
    scratch_write("hello", "hello", 5);
    scratch_write("empty", "", 0);
    assert_holds("hello", "hello");
    assert_holds("empty", "");
    assert_int_equal(file_read("hello", 5, &data, &n, NULL), DREAMO_OK);
    mem_free(data);
    assert_int_equal(file_read("hello", 4, &data, &n, &err), DREAMO_LIMIT);
    assert_string_equal(err.message, "hello: 5 bytes, at most 4 are allowed");
    assert_int_equal(file_map("hello", &m, NULL), DREAMO_OK);
    assert_memory_equal(m.data, "hello", 5);
    file_unmap(&m);
    file_unmap(&m);
    assert_int_equal(file_map("empty", &m, NULL), DREAMO_OK);
    assert_int_equal(m.nbytes, 0);
    file_unmap(&m);
    filemap zeroed = { 0 };
    file_unmap(&zeroed);
    assert_int_not_equal(fcntl(0, F_GETFD), -1); /* and standard input is still open */
}

static void a_map_notices_that_its_file_changed(void **state)
{
    (void)state;
    filemap m;
    dreamo_error err = { 0 };
    scratch_write("shrinks", "0123456789", 10);
    assert_int_equal(file_map("shrinks", &m, NULL), DREAMO_OK);
    assert_int_equal(file_map_check(&m, "shrinks", &err), DREAMO_OK);
    assert_int_equal(truncate("shrinks", 3), 0);
    assert_int_equal(file_map_check(&m, "shrinks", &err), DREAMO_IO);
    assert_string_equal(err.message, "shrinks: changed while in use (3 bytes, was 10)");
    file_unmap(&m);
}

/* ---- writing ---- */

static void nothing_has_the_final_name_before_commit(void **state)
{
    (void)state;
    filewriter w, other;
    int names = count_names();
    assert_int_equal(file_replace("out", "old", 3, NULL), DREAMO_OK);
    assert_int_equal(file_create(&w, "out", true, NULL), DREAMO_OK);
    assert_int_equal(file_write(&w, "new", 3, NULL), DREAMO_OK);
    assert_holds("out", "old");
    assert_int_equal(file_create(&other, "out", true, NULL), DREAMO_OK); /* two writers of one name do not mix */
    assert_int_equal(file_write(&other, "another", 7, NULL), DREAMO_OK);
    assert_int_equal(file_write(&w, "er", 2, NULL), DREAMO_OK);
    assert_int_equal(w.nbytes, 5);
    assert_int_equal(file_commit(&w, NULL), DREAMO_OK);
    assert_holds("out", "newer");
    file_abort(&w);
    assert_int_equal(file_commit(&other, NULL), DREAMO_OK);
    assert_holds("out", "another");
    assert_int_equal(file_create(&w, "out", true, NULL), DREAMO_OK);
    file_abort(&w);
    assert_holds("out", "another");
    assert_int_equal(count_names(), names + 1);
}

static void an_existing_file_is_kept_without_clobber(void **state)
{
    (void)state;
    filewriter w;
    dreamo_error early = { 0 }, late = { 0 };
    assert_int_equal(file_replace("kept", "old", 3, NULL), DREAMO_OK);
    int names = count_names();
    assert_int_equal(file_create(&w, "kept", false, &early), DREAMO_IO);
    assert_string_equal(early.message, "kept: exists already");
    file_abort(&w);
    assert_int_equal(file_create(&w, "taken", false, NULL), DREAMO_OK);
    assert_int_equal(file_write(&w, "x", 1, NULL), DREAMO_OK);
    scratch_write("taken", "first", 5); /* somebody was faster */
    assert_int_equal(file_commit(&w, &late), DREAMO_IO);
    assert_string_equal(late.message, "taken: exists already");
    assert_holds("taken", "first");
    assert_int_equal(file_create(&w, "fresh", false, NULL), DREAMO_OK);
    assert_int_equal(file_commit(&w, NULL), DREAMO_OK);
    assert_holds("fresh", "");
    assert_int_equal(count_names(), names + 2);
}

static void a_killed_writers_remains_are_no_obstacle(void **state)
{
    (void)state;
    filewriter w;
    char temp[64];
    assert_int_equal(file_create(&w, "again", true, NULL), DREAMO_OK);
    unsigned number;
    long pid;
    assert_int_equal(sscanf(w.temp, "again.tmp.%ld.%u", &pid, &number), 2);
    assert_int_equal(pid, getpid());
    file_abort(&w);
    snprintf(temp, sizeof temp, "again.tmp.%ld.%u", pid, number + 1);
    scratch_write(temp, "left over, and longer", 21);
    assert_int_equal(file_replace("again", "short", 5, NULL), DREAMO_OK);
    assert_holds("again", "short");
    assert_false(file_exists(temp));
}

static void a_writer_may_take_several_runs(void **state)
{
    filewriter w;
    uint64_t n;
    (void)state;
    scratch_write("long", "older", 5);
    assert_int_equal(file_continue(&w, "long", NULL), DREAMO_OK);
    assert_int_equal(file_write(&w, "first ", 6, NULL), DREAMO_OK);
    file_pause(&w);
    assert_holds("long", "older");
    assert_int_equal(file_continue(&w, "long", NULL), DREAMO_OK);
    assert_int_equal(w.nbytes, 6);
    assert_int_equal(file_write(&w, "second", 6, NULL), DREAMO_OK);
    assert_int_equal(file_commit(&w, NULL), DREAMO_OK);
    assert_holds("long", "first second");
    assert_false(file_exists("long.part"));

    scratch_write("long.part", "wrong", 5);
    assert_int_equal(file_continue(&w, "long", NULL), DREAMO_OK);
    assert_int_equal(file_restart(&w, NULL), DREAMO_OK);
    assert_int_equal(w.nbytes, 0);
    file_pause(&w); /* an empty part is none */
    assert_false(file_exists("long.part"));

    assert_int_equal(mkdir("long.part", 0777), 0);
    assert_int_not_equal(file_continue(&w, "long", NULL), DREAMO_OK);
    assert_int_equal(rmdir("long.part"), 0);
    assert_int_equal(mkfifo("long.part", 0666), 0);
    assert_int_not_equal(file_continue(&w, "long", NULL), DREAMO_OK); /* and does not hang */
    assert_int_equal(unlink("long.part"), 0);
    assert_int_equal(file_nbytes("long", &n, NULL), DREAMO_OK);
    assert_int_equal(n, 12);
    assert_int_equal(file_nbytes("nosuch", &n, NULL), DREAMO_NOT_FOUND);
    assert_int_equal(file_nbytes(".", &n, NULL), DREAMO_FORMAT);
    assert_int_equal(unlink("long"), 0);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    filewriter w;
    dreamo_error err = { 0 };
    struct stat st;
    int names = count_names();
    assert_int_equal(file_create(&w, "/dev/full", true, NULL), DREAMO_OK);
    assert_int_equal(file_write(&w, "x", 1, &err), DREAMO_IO);
    assert_string_equal(err.message, "/dev/full: cannot be written: No space left on device");
    assert_int_equal(file_write(&w, "y", 1, NULL), DREAMO_IO); /* sticky */
    assert_int_equal(file_commit(&w, NULL), DREAMO_IO);
    assert_int_equal(stat("/dev/full", &st), 0);
    assert_true(S_ISCHR(st.st_mode)); /* still the device, not replaced by a file */
    assert_int_equal(file_replace("/dev/null", "x", 1, NULL), DREAMO_OK);
    assert_int_equal(count_names(), names);
}

static void what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    filewriter w;
    dreamo_error err = { 0 };
    if (!folder_exists("folder")) assert_int_equal(mkdir("folder", 0777), 0);
    assert_int_equal(file_create(&w, "no/such/out", true, &err), DREAMO_NOT_FOUND);
    assert_int_equal(file_create(&w, "folder", true, NULL), DREAMO_IO);
    assert_int_equal(mkfifo("nobody-reads", 0666), 0);
    assert_int_equal(file_create(&w, "nobody-reads", true, NULL), DREAMO_IO); /* at once */
    file_abort(&w);
    assert_int_equal(file_replace("/proc/version", "x", 1, NULL), DREAMO_NOT_FOUND); /* nothing can be made there */
}

/* ---- folders ---- */

static void folders_are_listed_in_order_and_removed_whole(void **state)
{
    (void)state;
    char **names;
    int n;
    dreamo_error err = { 0 };
    assert_int_equal(folder_make("tree", NULL), DREAMO_OK);
    assert_int_equal(folder_make("tree", NULL), DREAMO_OK);
    assert_int_equal(folder_make("tree/b", NULL), DREAMO_OK);
    assert_int_equal(folder_make("no/parent", &err), DREAMO_NOT_FOUND);
    scratch_write("tree/c", "", 0);
    scratch_write("tree/B", "", 0);
    scratch_write("tree/b/x", "", 0);
    scratch_write("outside", "safe", 4);
    assert_int_equal(symlink("../../outside", "tree/b/link"), 0);
    assert_int_equal(folder_list("tree", &names, &n, NULL), DREAMO_OK);
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "B");
    assert_string_equal(names[1], "b");
    assert_string_equal(names[2], "c");
    folder_list_free(names, n);
    assert_int_equal(folder_replace("tree", "moved", NULL), DREAMO_OK);
    assert_int_equal(folder_make("moved.trash", NULL), DREAMO_OK); /* left by an interrupted removal */
    scratch_write("moved.trash/old", "", 0);
    assert_int_equal(folder_remove("moved", NULL), DREAMO_OK);
    assert_false(file_exists("moved") || file_exists("moved.trash") || file_exists("tree"));
    assert_holds("outside", "safe");
    char *joined = path_join("a/", "b"), *plain = path_join("a", "b");
    assert_string_equal(joined, "a/b");
    assert_string_equal(plain, "a/b");
    mem_free(joined);
    mem_free(plain);
}

static void locks_and_logs(void **state)
{
    (void)state;
    int a, b;
    dreamo_error err = { 0 };
    assert_int_equal(file_lock("lock", &a, NULL), DREAMO_OK);
    assert_int_equal(file_lock("lock", &b, &err), DREAMO_BUSY);
    file_unlock(a);
    assert_int_equal(file_lock("lock", &b, NULL), DREAMO_OK);
    file_unlock(b);
    assert_int_equal(file_append("log", "one\n", 4, NULL), DREAMO_OK);
    assert_int_equal(file_append("log", "two\n", 4, NULL), DREAMO_OK);
    assert_holds("log", "one\ntwo\n");
}

static dreamo_status replace_outside(void) { return file_replace("outside", "safe", 4, NULL); }

static dreamo_status read_outside(void)
{
    char *data;
    size_t nbytes;
    dreamo_status s = file_read("outside", 10, &data, &nbytes, NULL);
    mem_free(data);
    return s;
}

static dreamo_status list_here(void)
{
    char **names;
    int count;
    dreamo_status s = folder_list(".", &names, &count, NULL);
    folder_list_free(names, count);
    return s;
}

/* Any allocation fails: a status, no leak, no temporary. */
static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    dreamo_status (*const calls[])(void) = { replace_outside, read_outside, list_here };
    size_t before = mem_live();
    int names = count_names(), failures[3] = { 0 };
    for (int call = 0; call < 3; call++)
        for (int n = 1; n <= names + 5; n++) {
            mem_fail_at(n);
            dreamo_status s = calls[call]();
            mem_fail_at(0);
            assert_true(s == DREAMO_OK || s == DREAMO_MEMORY);
            failures[call] += s == DREAMO_MEMORY;
            assert_int_equal(mem_live(), before);
            assert_int_equal(count_names(), names);
        }
    assert_int_equal(failures[0], 2); /* the folder is synced where there is memory for its name */
    assert_int_equal(failures[1], 1);
    assert_int_equal(failures[2], names + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_a_file_is_refused), cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(a_map_notices_that_its_file_changed), cmocka_unit_test(nothing_has_the_final_name_before_commit),
        cmocka_unit_test(an_existing_file_is_kept_without_clobber), cmocka_unit_test(a_killed_writers_remains_are_no_obstacle),
        cmocka_unit_test(a_writer_may_take_several_runs), cmocka_unit_test(a_full_disk_is_told), cmocka_unit_test(what_cannot_be_written_is_refused),
        cmocka_unit_test(folders_are_listed_in_order_and_removed_whole), cmocka_unit_test(locks_and_logs), cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
