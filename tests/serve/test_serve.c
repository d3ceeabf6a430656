/* test_serve.c - the parts of the server that need no socket: forms, base64, JSON, asks, events, the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "serve/api/ask.h"
#include "serve/http/form.h"
#include "serve/jobs/jobs.h"
#include "serve/text.h"

static const limits wide = { .body = 1 << 20, .pixels = 1 << 20, .upload_pixels = 1 << 20, .refs = 9, .steps = 60, .count = 8, .queue = 4, .prompt = 65536, .side = 4096, .cell = 8 };

/* ---- base64: RFC 4648, section 10 ---- */

static void base64_vectors(void **state)
{
    static const char *const pairs[][2] = { { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        text t = { 0 };
        void *data;
        size_t n;
        problem p = { 0 };
        encode_base64(&t, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(t.data, pairs[i][1]);
        assert_int_equal(base64_read(t.data, t.nbytes, "x", &data, &n, &p), DREAMO_OK);
        assert_int_equal(n, strlen(pairs[i][0]));
        assert_memory_equal(data, pairs[i][0], n);
        free(data);
        text_free(&t);
    }
    for (int n = 0; n < 200; n++) { /* all bytes, all lengths */
        unsigned char bytes[200];
        for (int i = 0; i < n; i++) bytes[i] = (unsigned char)(i * 37 + n);
        text t = { 0 };
        void *data = NULL;
        size_t got = 0;
        problem p = { 0 };
        encode_base64(&t, bytes, (size_t)n);
        if (n) assert_int_equal(base64_read(t.data, t.nbytes, "x", &data, &got, &p), DREAMO_OK);
        assert_int_equal(got, n);
        if (n) assert_memory_equal(data, bytes, got);
        free(data);
        text_free(&t);
    }
}

static void base64_refuses(void **state)
{
    static const char *const bad[] = { "", "Z", "Zg", "Zg=", "Zg= ", "Zm9v\n", "Zm 9", "Zm9\n", "====", "A===", "AA=A", "=AAA", "Zm9v=AAA", "Zm9-", "Zm9_", "\xff\xff\xff\xff" };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *data;
        size_t n;
        problem p = { 0 };
        assert_int_equal(base64_read(bad[i], strlen(bad[i]), "image", &data, &n, &p), DREAMO_ARG);
        assert_null(data);
        assert_string_equal(p.field, "image");
    }
}

/* ---- forms ---- */

static dreamo_status read_form(const char *body, form *f, problem *p)
{
    *p = (problem){ 0 };
    return form_read("multipart/form-data; boundary=\"a b\"; charset=x", body, strlen(body), f, p);
}

static void forms(void **state)
{
    form *f = malloc(sizeof *f);
    problem p;
    (void)state;
    assert_int_equal(read_form("--a b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na\r\n--a\r\nb\r\n--a b\r\ncontent-disposition: form-data; filename=\"C:\\\\x\\\\f.png\"; name=ip\r\n"
                               "Content-Type: image/png\r\n\r\n\r\n--a b--\r\n", f, &p), DREAMO_OK);
    assert_int_equal(f->n, 2);
    assert_string_equal(f->part[0].name, "prompt");
    assert_int_equal(f->part[0].nbytes, 9); /* a, and what only looks like a boundary */
    assert_memory_equal(f->part[0].data, "a\r\n--a\r\nb", 9);
    assert_string_equal(f->part[1].name, "ip");
    assert_string_equal(f->part[1].file, "f.png");
    assert_int_equal(f->part[1].nbytes, 0);
    assert_int_equal(read_form("--a b--", f, &p), DREAMO_OK);
    assert_int_equal(f->n, 0);
    assert_int_equal(read_form("--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n--a b--\r\n", f, &p), DREAMO_OK); /* empty, its boundary right behind the headers */
    assert_int_equal(f->part[0].nbytes, 0);
    free(f);
}

/* Every prefix of a good form is refused, and no byte behind it is read. */
static void cut_forms(void **state)
{
    static const char good[] = "--b\r\nContent-Disposition: form-data; name=\"p\"; filename=\"../f\"\r\n\r\nxyz\r\n--b--\r\n";
    form *f = malloc(sizeof *f);
    (void)state;
    for (size_t n = 0; n < sizeof good - 1; n++) {
        char *exact = malloc(n ? n : 1);
        problem p = { 0 };
        memcpy(exact, good, n);
        dreamo_status s = form_read("multipart/form-data; boundary=b", exact, n, f, &p);
        assert_int_equal(s, n == sizeof good - 3 ? DREAMO_OK : DREAMO_ARG); /* without the last line end it is whole */
        free(exact);
    }
    free(f);
}

/* Forms and requests with bytes changed, cut and doubled, from a small generator of our own: read or refused, never more (the sanitizers judge). */
static uint32_t next_random(uint32_t *state) { return *state = *state * 1664525u + 1013904223u; }

static size_t spoil(char *data, size_t n, size_t room, uint32_t *state)
{
    for (unsigned k = next_random(state) >> 29; k-- > 0 && n > 1;) {
        size_t at = next_random(state) % n, some = next_random(state) % 24;
        switch (next_random(state) >> 30) {
        case 0: data[at] = (char)(next_random(state) >> 24); break;
        case 1: data[at] = "\r\n\"-{}[]:,;=\\0"[next_random(state) % 14]; break;
        case 2:
            if (some > n - at) some = n - at;
            memmove(data + at, data + at + some, n - at - some);
            n -= some;
            break;
        default:
            if (some > n - at) some = n - at;
            if (n + some > room) break;
            memmove(data + at + some, data + at, n - at);
            n += some;
        }
    }
    return n;
}

static void spoiled(void **state)
{
    static const char good_form[] = "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"ip\"; filename=\"../f\"\r\nContent-Type: image/png\r\n\r\nxyz\r\n--b--\r\n";
    static const char good_json[] = "{\"prompt\":\"x\\u00e9\",\"seed\":7,\"size\":\"64x64\",\"guidance\":1.5,\"references\":[{\"task\":\"ip\",\"image\":\"data:image/png;base64,Zm9v\",\"slot\":1,\"res\":\"keep\",\"cut\":true}]}";
    uint32_t random = 1;
    int read = 0, refused = 0;
    form *f = malloc(sizeof *f);
    (void)state;
    for (int i = 0; i < 20000; i++) {
        bool json = i & 1;
        char data[1024];
        problem p = { 0 };
        size_t n = json ? sizeof good_json - 1 : sizeof good_form - 1;
        memcpy(data, json ? good_json : good_form, n);
        n = spoil(data, n, sizeof data, &random);
        char *exact = malloc(n); /* of its very size, so that a byte too far is found */
        memcpy(exact, data, n);
        json_t *o = NULL;
        ask a;
        dreamo_status s = json ? json_text_read(exact, n, "x", &o, &p) : form_read("multipart/form-data; boundary=b", exact, n, f, &p);
        if (!s && json && !(s = ask_read(o, &wide, false, &a, &p))) ask_free(&a);
        for (int k = 0; !s && !json && k < f->n; k++) assert_true(f->part[k].data >= exact && f->part[k].data + f->part[k].nbytes <= exact + n);
        read += s == DREAMO_OK;
        refused += s != DREAMO_OK;
        if (s) assert_true(s == p.e.status && *p.e.message);
        json_decref(o);
        free(exact);
    }
    assert_true(read > 1000 && refused > 1000);
    free(f);
}

/* ---- asks ---- */

static json_t *json_of(const char *s)
{
    json_t *o;
    problem p = { 0 };
    assert_int_equal(json_text_read(s, strlen(s), "x", &o, &p), DREAMO_OK);
    return o;
}

/* What is written says what was read. */
static void ask_round(void **state)
{
    static const char whole[] = "{\"prompt\":\"a \\u00e9\",\"seed\":9223372036854775807,\"count\":3,\"negative\":\"\",\"size\":\"64x128\",\"steps\":7,\"cfg_start\":1,\"cfg_end\":6,\"ref_seed\":0,\"preview_every\":2,"
                                "\"guidance\":0.1,\"first_guidance\":2.5,\"true_cfg\":4.25,\"negative_guidance\":0.0,\"references\":[{\"task\":\"style\",\"upload\":"
                                "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"name\":\"n\",\"slot\":3,\"res\":\"keep\",\"cut\":false},{\"task\":\"auto\",\"upload\":"
                                "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"cut\":\"net\",\"face\":2,\"box\":[0,1,20,30]},{\"task\":\"ip\",\"upload\":"
                                "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"part\":\"garment\",\"cut\":\"alpha\"}]}";
    ask a, b;
    problem p = { 0 };
    dreamo_request r;
    dreamo_reference refs[ASK_REFS];
    (void)state;
    json_t *o = json_of(whole), *written;
    assert_int_equal(ask_read(o, &wide, false, &a, &p), DREAMO_OK);
    written = ask_write(&a);
    assert_true(json_equal(o, written));
    assert_int_equal(ask_read(written, &wide, false, &b, &p), DREAMO_OK);
    ask_request(&b, 0, refs, &r);
    assert_int_equal(r.seed, INT64_MAX);
    assert_true(r.ref_noise && r.ref_seed == 0 && r.steps == 7 && r.width == 64 && r.height == 128 && r.cfg_start == 1 && r.cfg_end == 6 && r.preview_every == 2);
    assert_true(refs[0].task == DREAMO_STYLE && refs[0].slot == 3 && refs[0].res == -1 && refs[0].cut == DREAMO_CUT_OFF);
    assert_true(refs[1].task == DREAMO_AUTO && refs[1].cut == DREAMO_CUT_NET && refs[1].face == 2 && refs[1].box[1] == 1 && refs[1].box[2] == 20 && refs[1].box[3] == 30);
    assert_true(refs[2].garment && refs[2].cut == DREAMO_CUT_ALPHA && refs[2].task == DREAMO_IP);
    ask_request(&b, 1, refs, &r);
    assert_int_equal(r.seed, 0); /* seeds go round within what JSON and SQLite hold */
    ask_free(&a);
    ask_free(&b);
    json_decref(o);
    json_decref(written);
}

/* ---- events ---- */

static void count_wake(void *user) { ++*(int *)user; }

static void events(void **state)
{
    hub *h = hub_new(2);
    int woken = 0;
    listener l = { .wake = count_wake, .user = &woken }, m = l, n = l;
    problem p = { 0 };
    hub_event e;
    (void)state;
    assert_int_equal(hub_listen(h, "job", &l, &p), DREAMO_OK);
    assert_int_equal(hub_next(h, &l, 0, &e, NULL, NULL), 0);
    hub_tell(h, "job", 1, "start", "{}", false);
    assert_int_equal(woken, 1);
    int64_t base = 1 << 16;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hub_next(h, &l, base + i, &e, NULL, NULL), 1);
        assert_string_equal(e.name, i ? "start" : "queued");
        assert_int_equal(e.id, base + i + 1);
        free(e.data);
    }
    for (int i = 0; i < HUB_RING + 10; i++) hub_tell(h, "job", 1, i % 2 ? "step" : "preview", "{}", false);
    assert_int_equal(hub_has(h, &l, base + 2), -1);            /* some are gone */
    assert_int_equal(hub_has(h, &l, base + HUB_RING + 12), 0); /* the newest */
    assert_int_equal(hub_has(h, &l, base + HUB_RING + 13), 1); /* never was */
    int previews = 0;
    for (int64_t at = 0; hub_next(h, &l, at, &e, NULL, NULL) == 1; at = e.id) {
        previews += strcmp(e.name, "preview") == 0;
        free(e.data);
    }
    assert_int_equal(previews, 1); /* the newest only */
    assert_int_equal(hub_listen(h, "other", &m, &p), DREAMO_OK);
    assert_int_equal(hub_listen(h, "job", &n, &p), DREAMO_BUSY);
    hub_tell(h, "job", 1, "done", "{}", true);
    assert_int_equal(hub_next(h, &l, base + HUB_RING + 13, &e, NULL, NULL), -1);
    hub_leave(h, &l);
    hub_leave(h, &l);
    hub_leave(h, &m);
    assert_int_equal(hub_listeners(h), 0);
    hub_free(h);
}

/* ---- the keeper of jobs: what any keeper must do ---- */

static char path[64];

static jobs *open_jobs(hub *h, int64_t queue)
{
    jobs *q;
    problem p = { 0 };
    assert_int_equal(jobs_open_sqlite(path, queue, h, &q, &p), DREAMO_OK);
    return q;
}

static void one_job(void **state)
{
    static const char sha[65] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    hub *h = hub_new(8);
    jobs *q = open_jobs(h, 2);
    const jobs_ops *on = q->ops;
    problem p = { 0 };
    job_ticket t, u;
    job j;
    blob b = { .data = (void *)(uintptr_t)"picture", .nbytes = 7, .width = 8, .height = 9 }, got;
    job_state was;
    (void)state;
    memcpy(b.sha256, sha, 65);
    job_new what = { .who = "alice", .request = "{}", .count = 1, .uploads = &sha, .nuploads = 1 };
    assert_int_equal(on->submit(q, &what, &t, &p), DREAMO_NOT_FOUND); /* its upload is not there */
    p = (problem){ 0 };
    assert_int_equal(on->upload_put(q, &b, &p), DREAMO_OK);
    assert_int_equal(on->submit(q, &what, &t, &p), DREAMO_OK);
    assert_int_equal(on->submit(q, &what, &u, &p), DREAMO_OK);
    assert_int_equal(u.position, 1);
    assert_int_equal(on->submit(q, &what, &u, &p), DREAMO_BUSY);
    p = (problem){ 0 };
    assert_int_equal(on->get(q, t.id, "bob", &j, &p), DREAMO_NOT_FOUND);
    p = (problem){ 0 };
    assert_int_equal(on->upload_drop(q, sha, &p), DREAMO_BUSY);
    p = (problem){ 0 };
    assert_int_equal(q->work->take(q, 0, NULL, NULL, &j, &p), DREAMO_OK);
    assert_string_equal(j.id, t.id);
    assert_int_equal(j.tries, 1);
    assert_true(q->work->wanted(q, &j));
    assert_int_equal(q->work->image_put(q, &j, 0, &b, &p), DREAMO_OK);
    assert_int_equal(q->work->finish(q, &j, JOB_DONE, NULL, &p), DREAMO_OK);
    job_free(&j);
    assert_int_equal(on->get(q, t.id, "alice", &j, &p), DREAMO_OK);
    assert_int_equal(j.state, JOB_DONE);
    assert_int_equal(j.images, 1);
    job_free(&j);
    assert_int_equal(on->image(q, t.id, 0, &got, &p), DREAMO_OK);
    assert_int_equal(got.nbytes, 7);
    assert_string_equal(got.sha256, sha);
    blob_free(&got);
    assert_int_equal(q->work->take(q, 0, NULL, NULL, &j, &p), DREAMO_OK); /* the second: killed in its midst */
    job_free(&j);
    on->close(q);
    q = open_jobs(h, 2);
    on = q->ops;
    assert_int_equal(q->work->take(q, 0, NULL, NULL, &j, &p), DREAMO_OK);
    assert_int_equal(j.tries, 2);
    assert_int_equal(q->work->put_back(q, &j, &p), DREAMO_OK); /* this one does not count */
    job_free(&j);
    assert_int_equal(q->work->take(q, 0, NULL, NULL, &j, &p), DREAMO_OK);
    assert_int_equal(j.tries, 2);
    assert_int_equal(on->cancel(q, j.id, "alice", &was, &p), DREAMO_OK);
    assert_int_equal(was, JOB_RUNNING);
    assert_false(q->work->wanted(q, &j));
    assert_int_equal(q->work->finish(q, &j, JOB_CANCELLED, &(dreamo_error){ .status = DREAMO_CANCELLED, .message = "m" }, &p), DREAMO_OK);
    job_free(&j);
    assert_int_equal(q->work->take(q, 0, NULL, NULL, &j, &p), DREAMO_NOT_FOUND);
    p = (problem){ 0 };
    assert_int_equal(on->upload_drop(q, sha, &p), DREAMO_OK);
    assert_int_equal(on->submit(q, &what, &t, &p), DREAMO_NOT_FOUND);
    on->tidy(q, -1); /* everything is too old */
    p = (problem){ 0 };
    assert_int_equal(on->image(q, t.id, 0, &got, &p), DREAMO_NOT_FOUND);
    on->close(q);
    hub_free(h);
}

/* A store that a later program wrote is left as it is. */
static void later_store(void **state)
{
    sqlite3 *db;
    jobs *q;
    problem p = { 0 };
    (void)state;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    hub *h = hub_new(1);
    assert_int_equal(jobs_open_sqlite(path, 1, h, &q, &p), DREAMO_VERSION);
    assert_null(q);
    hub_free(h);
}

static int open_folder(void **state)
{
    char folder[] = "/tmp/test-serve-XXXXXX";
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/s.db", folder);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    char name[80];
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    path[strlen(path) - 5] = '\0';
    return rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_vectors), cmocka_unit_test(base64_refuses), cmocka_unit_test(forms), cmocka_unit_test(cut_forms), cmocka_unit_test(spoiled), cmocka_unit_test(ask_round), cmocka_unit_test(events),
        cmocka_unit_test_setup_teardown(one_job, open_folder, close_folder), cmocka_unit_test_setup_teardown(later_store, open_folder, close_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
