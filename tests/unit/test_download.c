/* test_download.c - one file over a bad line: a server of our own cuts connections, lies about lengths, refuses, redirects, and
 * the file still arrives whole, or not at all.  The content is T5's vocabulary, whose checksum is not of our making. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/mem.h"
#include "fetch/download.h"
#include "fetch/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "http_server.h"
#include "scratch.h"

#define SHA256 "d60acb128cf7b7f2536e8f38a5b18a05535c9e14c7a355904270e15b0945ea86"
#define OTHER_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define TOKEN "secret-of-the-test"
enum { NBYTES = 791656, CUT = 300000 };

static char *content;     /* NBYTES */
static server hub, store; /* store: where the hub redirects to */
static download_patience hasty = { .tries = 3, .progress = 1 << 20, .first_wait = 0.01, .longest_wait = 2, .stall = 60 };

/* What the caller's callback heard. */
static struct { int warnings, notes, stop_after; int64_t done; char text[1024]; } heard;

static bool hear(void *user, const dreamo_event *e)
{
    (void)user;
    if (e->kind == DREAMO_EVENT_WARNING) heard.warnings++;
    if (e->kind == DREAMO_EVENT_NOTE) heard.notes++;
    if (e->kind != DREAMO_EVENT_STEP) snprintf(heard.text, sizeof heard.text, "%s", e->text);
    else heard.done = e->done;
    return !heard.stop_after || e->kind != DREAMO_EVENT_STEP || e->done < heard.stop_after;
}

static dreamo_error err;
static teller ears;

static dreamo_status get_with(const char *sha256, const char *token)
{
    char url[100], sum[65];
    uint64_t nbytes = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/owner/name/resolve/main/file", hub.port);
    ears = (teller){ .call = hear };
    err = (dreamo_error){ 0 };
    memset(&heard, 0, sizeof heard.warnings + sizeof heard.notes);
    const download_request r = { .url = url, .path = "file", .name = "owner/name: file", .shown = "file", .token = token, .sha256 = sha256, .about = "the hub", .patience = &hasty,
                                 .tell = &ears };
    dreamo_status s = download(&r, &nbytes, sum, &err);
    if (!s) assert_int_equal(nbytes, NBYTES);
    if (!s) assert_string_equal(sum, SHA256);
    return s;
}

static dreamo_status get(void) { return get_with(SHA256, NULL); }

static void assert_whole(void)
{
    char *data;
    size_t n;
    assert_int_equal(file_read("file", NBYTES, &data, &n, NULL), DREAMO_OK);
    assert_int_equal(n, NBYTES);
    assert_memory_equal(data, content, NBYTES);
    mem_free(data);
    assert_false(file_exists("file.part"));
    assert_false(file_exists("file.part.json"));
}

static void assert_part(uint64_t nbytes)
{
    uint64_t n = 0;
    assert_false(file_exists("file"));
    assert_int_equal(file_nbytes("file.part", &n, NULL), DREAMO_OK);
    assert_int_equal(n, nbytes);
}

static int begin(void **state)
{
    (void)state;
    remove("file");
    remove("file.part");
    remove("file.part.json");
    memset(&heard, 0, sizeof heard);
    return 0;
}

static void serve(server_answer answer)
{
    begin(NULL);
    hub.answer = answer;
    hub.count = 0;
}

/* ---- answers ---- */

/* As a server should: 206 from the asked byte when If-Range is ours or absent, else 200; `cut` bytes of body at most. */
static void well_behaved(server *s, int to, int n, const char *etag, size_t cut)
{
    long long from = server_range(s->asked[n]);
    const char *guard = server_header(s->asked[n], "If-Range");
    if (*guard && strcmp(guard, etag) != 0) from = -1;
    size_t start = from > 0 ? (size_t)from : 0, left = NBYTES - start;
    if (from >= NBYTES) {
        server_say(to, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */%d\r\nContent-Length: 0\r\n\r\n", NBYTES);
        return;
    }
    server_say(to, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n", from > 0 ? "206 Partial Content" : "200 OK", left);
    if (*etag) server_say(to, "ETag: %s\r\n", etag);
    if (from > 0) server_say(to, "Content-Range: bytes %zu-%d/%d\r\n", start, NBYTES - 1, NBYTES);
    server_say(to, "\r\n");
    server_send(to, content + start, left < cut ? left : cut);
}

static void plain(server *s, int to, int n) { well_behaved(s, to, n, "\"one\"", NBYTES); }
static void cut_once(server *s, int to, int n) { well_behaved(s, to, n, "\"one\"", n ? NBYTES : CUT); }
static void cut_always(server *s, int to, int n) { well_behaved(s, to, n, "\"one\"", 1000); }
static void changed(server *s, int to, int n) { well_behaved(s, to, n, n ? "\"two\"" : "\"one\"", n ? NBYTES : CUT); }
static void no_etag(server *s, int to, int n) { well_behaved(s, to, n, "", n ? NBYTES : CUT); }
static void weak_etag(server *s, int to, int n) { well_behaved(s, to, n, "W/\"one\"", n ? NBYTES : CUT); }

static void no_ranges(server *s, int to, int n)
{
    (void)s;
    server_say(to, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"one\"\r\n\r\n", NBYTES);
    server_send(to, content, n ? NBYTES : CUT);
}

/* ---- cases: it arrives ---- */

static void a_file_arrives(void **state)
{
    (void)state;
    serve(plain);
    assert_int_equal(get_with(SHA256, TOKEN), DREAMO_OK);
    assert_whole();
    assert_int_equal(hub.count, 1);
    assert_string_equal(server_header(hub.asked[0], "Authorization"), "Bearer " TOKEN);
    assert_string_equal(server_header(hub.asked[0], "Range"), "");
    assert_int_equal(heard.done, NBYTES);
}

static void a_cut_connection_is_gone_on_with(void **state)
{
    (void)state;
    serve(cut_once);
    assert_int_equal(get_with(NULL, NULL), DREAMO_OK);
    assert_whole();
    assert_int_equal(hub.count, 2);
    assert_string_equal(server_header(hub.asked[1], "Range"), "bytes=300000-");
    assert_string_equal(server_header(hub.asked[1], "If-Range"), "\"one\"");
    assert_int_equal(heard.warnings, 1);
    assert_non_null(strstr(heard.text, "trying again in"));
}

static void a_server_without_ranges_starts_again(void **state)
{
    (void)state;
    serve(no_ranges);
    assert_int_equal(get(), DREAMO_OK);
    assert_whole();
    assert_int_equal(hub.count, 2);
    assert_int_equal(heard.notes, 1);
    serve(changed);
    assert_int_equal(get(), DREAMO_OK);
    assert_whole();
}

/* Without ETag and without checksum nobody can say that the rest belongs to the beginning. */
static void an_unknown_part_is_not_gone_on_with(void **state)
{
    static const server_answer answers[] = { no_etag, weak_etag };
    (void)state;
    for (int i = 0; i < 2; i++) {
        serve(answers[i]);
        assert_int_equal(get_with(NULL, NULL), DREAMO_OK);
        assert_whole();
        assert_string_equal(server_header(hub.asked[1], "Range"), "");
        serve(answers[i]);
        assert_int_equal(get(), DREAMO_OK); /* a known checksum will tell */
        assert_whole();
        assert_string_equal(server_header(hub.asked[1], "Range"), "bytes=300000-");
        assert_string_equal(server_header(hub.asked[1], "If-Range"), "");
    }
    serve(plain);
    scratch_write("file.part", content, CUT);
    scratch_write("file.part.json", "{\"etag\":", 8);
    assert_int_equal(get_with(NULL, NULL), DREAMO_OK);
    assert_whole();
    assert_string_equal(server_header(hub.asked[0], "Range"), "");
}

static void what_is_whole_needs_nothing_more(void **state)
{
    (void)state;
    serve(plain);
    scratch_write("file.part", content, NBYTES); /* 416: that is all there is */
    assert_int_equal(get(), DREAMO_OK);
    assert_whole();
    assert_int_equal(hub.count, 1);
    assert_string_equal(server_header(hub.asked[0], "Range"), "bytes=791656-");
    serve(plain);
    char *longer = mem_calloc(1, NBYTES + 5); /* 416: and this is more */
    memcpy(longer, content, NBYTES);
    scratch_write("file.part", longer, NBYTES + 5);
    mem_free(longer);
    assert_int_equal(get(), DREAMO_OK);
    assert_whole();
    assert_int_equal(hub.count, 2);
}

static void ask_later(server *s, int to, int n)
{
    if (n == 0) server_say(to, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nwait");
    else if (n == 1) server_say(to, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    else plain(s, to, n);
}

static void ask_tomorrow(server *s, int to, int n)
{
    (void)s, (void)n;
    server_say(to, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n");
}

static void a_busy_server_is_asked_later(void **state)
{
    (void)state;
    serve(ask_later);
    double start = seconds_now();
    assert_int_equal(get(), DREAMO_OK);
    assert_whole();
    assert_true(seconds_now() - start >= 1);
    serve(ask_tomorrow);
    scratch_write("file.part", content, CUT);
    assert_int_equal(get(), DREAMO_NET);
    assert_int_equal(hub.count, 1);
    assert_non_null(strstr(err.message, "(429)"));
    assert_non_null(strstr(err.hint, "1440 minutes"));
    assert_part(CUT);
}

/* ---- cases: it does not ---- */

static int status_to_send;
static void refuse(server *s, int to, int n)
{
    (void)s, (void)n;
    server_say(to, "HTTP/1.1 %d No\r\nContent-Length: 100000000\r\n\r\n", status_to_send);
    server_send(to, content, NBYTES); /* a page that nobody reads to its end */
}

static void refusals_are_told(void **state)
{
    static const struct { int status; const char *token, *part; dreamo_status expected; int requests; } cases[] = {
        { 401, NULL, "accept the licence at the hub", DREAMO_AUTH, 1 }, { 403, NULL, "accept the licence at the hub", DREAMO_AUTH, 1 },
        { 401, TOKEN, "the token is not valid", DREAMO_AUTH, 1 },       { 403, TOKEN, "must accept the licence", DREAMO_AUTH, 1 },
        { 404, NULL, "", DREAMO_NOT_FOUND, 1 },                         { 410, NULL, "", DREAMO_NOT_FOUND, 1 },
        { 400, NULL, "", DREAMO_NET, 1 },                               { 500, NULL, "gave up after 3 tries", DREAMO_NET, 3 },
        { 503, NULL, "gave up after 3 tries", DREAMO_NET, 3 },          { 416, NULL, "gave up after 3 tries", DREAMO_NET, 3 },
        { 304, NULL, "", DREAMO_NET, 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        status_to_send = cases[i].status;
        serve(refuse);
        assert_int_equal(get_with(SHA256, cases[i].token), cases[i].expected);
        assert_int_equal(hub.count, cases[i].requests);
        assert_non_null(strstr(err.hint, cases[i].part));
        assert_null(strstr(err.message, TOKEN));
        assert_null(strstr(err.hint, TOKEN));
        assert_false(file_exists("file"));
        assert_false(file_exists("file.part"));
        assert_false(file_exists("file.part.json"));
    }
}

static void too_many_cuts_keep_the_part(void **state)
{
    (void)state;
    serve(cut_always);
    assert_int_equal(get(), DREAMO_NET);
    assert_int_equal(hub.count, 3);
    assert_part(3000);
    hub.answer = plain;
    assert_int_equal(get_with(NULL, NULL), DREAMO_OK); /* the next run knows the ETag */
    assert_whole();
    assert_string_equal(server_header(hub.asked[3], "Range"), "bytes=3000-");
}

/* One lie each, told with every answer. */
static int lie;
static void liar(server *s, int to, int n)
{
    static const char *const second[] = {
        "Content-Length: 491656\r\nContent-Range: bytes 299999-791654/791656",  /* another place */
        "Content-Length: 491656\r\nContent-Range: bytes 300000-791655/791657",  /* the file has grown */
        "Content-Length: 400000\r\nContent-Range: bytes 300000-791655/791656",  /* two lengths */
        "Content-Length: 491656",                                               /* which part? */
        "Content-Length: 491656\r\nContent-Range: bytes 300000-/x",
        "Content-Length: 491656\r\nContent-Range: bytes 300000-791655/791656\r\nETag: \"two\"", /* another content */
        "Content-Length: 491656\r\nContent-Range: bytes 300000-791655/791656\r\nX-Linked-Size: 5",
    };
    if (server_range(s->asked[n]) < 0) {
        well_behaved(s, to, n, "\"one\"", n ? NBYTES : CUT);
        return;
    }
    server_say(to, "HTTP/1.1 206 Partial Content\r\n%s\r\n\r\n", second[lie]);
    server_send(to, content, NBYTES - CUT); /* wrong bytes: they must not be taken */
}

static void lies_about_the_rest_cost_the_part(void **state)
{
    (void)state;
    for (lie = 0; lie < 7; lie++) {
        serve(liar);
        assert_int_equal(get_with(NULL, NULL), DREAMO_OK);
        assert_whole();
        assert_int_equal(hub.count, 3);
        assert_string_equal(server_header(hub.asked[1], "Range"), "bytes=300000-");
        assert_string_equal(server_header(hub.asked[2], "Range"), "");
    }
}

static const char *head_to_send;
static size_t bytes_to_send;
static void bad_head(server *s, int to, int n)
{
    (void)s, (void)n;
    server_say(to, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", head_to_send);
    server_send(to, content, bytes_to_send);
}

static void lengths_that_lie_are_found(void **state)
{
    static const struct { const char *head; size_t nbytes; const char *part; dreamo_status expected; } cases[] = {
        { "Content-Length: 791657", NBYTES, "", DREAMO_NET },                                             /* one byte too few */
        { "Content-Length: 791656\r\nX-Linked-Size: 791657", NBYTES, "announces 791656 bytes and a file of 791657", DREAMO_NET },
        { "X-Linked-Size: 791657", NBYTES, "ended at 791656 of 791657", DREAMO_NET },                     /* ends without a length */
        { "X-Linked-Size: 791655", NBYTES, "more than the 791655 bytes", DREAMO_NET },
        { "Content-Length: 9000000000000000000", 10, "the disk has", DREAMO_IO },
        { "Content-Length: 99999999999999999999999", 0, "", DREAMO_NET },
        { "Content-Length: -5", 0, "", DREAMO_NET },
        { "Content-Length: 791656\r\nContent-Encoding: gzip", NBYTES, "encoding \"gzip\"", DREAMO_NET },
        { "Content-Length: 1000", 1000, "expected is " SHA256, DREAMO_FORMAT },                           /* a shorter file altogether */
        { "Content-Length: 0", 0, "expected is " SHA256, DREAMO_FORMAT },
        { "Content-Length: 791656\r\nX-Linked-Etag: \"" OTHER_SHA256 "\"", NBYTES, "the hub has a file with sha256 " OTHER_SHA256, DREAMO_FORMAT },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head_to_send = cases[i].head;
        bytes_to_send = cases[i].nbytes;
        serve(bad_head);
        assert_int_equal(get(), cases[i].expected);
        assert_non_null(strstr(err.message, cases[i].part));
        assert_false(file_exists("file"));
    }
}

static void a_wrong_checksum_leaves_nothing(void **state)
{
    (void)state;
    serve(plain);
    scratch_write("file", "older", 5);
    scratch_write("file.part", content + 1, CUT); /* somebody else's beginning */
    assert_int_equal(get(), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "expected is " SHA256));
    assert_false(file_exists("file.part"));
    assert_false(file_exists("file.part.json"));
    uint64_t n = 0;
    assert_int_equal(file_nbytes("file", &n, NULL), DREAMO_OK);
    assert_int_equal(n, 5); /* what was there stays */
    assert_int_equal(get(), DREAMO_OK);
    assert_whole();
}

/* ---- redirects ---- */

static const char *linked = SHA256, *path_in_store = "http://127.0.0.1:%d/bytes?signature=1";
static void to_the_store(server *s, int to, int n)
{
    char where[200];
    (void)s, (void)n;
    snprintf(where, sizeof where, path_in_store, store.port);
    server_say(to, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 2\r\nX-Linked-Etag: \"%s\"\r\nX-Linked-Size: %d\r\n\r\nno", where, linked, NBYTES);
}

/* The store gives each answer another ETag, as stores with signed addresses may. */
static void in_the_store(server *s, int to, int n)
{
    char etag[20];
    snprintf(etag, sizeof etag, "\"try-%d\"", n);
    well_behaved(s, to, n, etag, n ? NBYTES : CUT);
}

static void a_redirect_never_sees_the_token(void **state)
{
    (void)state;
    serve(to_the_store);
    store.answer = in_the_store;
    store.count = 0;
    linked = SHA256;
    assert_int_equal(get_with(NULL, TOKEN), DREAMO_OK);
    assert_whole();
    assert_int_equal(hub.count, 2);
    assert_int_equal(store.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(server_header(hub.asked[i], "Authorization"), "Bearer " TOKEN);
        assert_string_equal(server_header(store.asked[i], "Authorization"), "");
        assert_null(strstr(store.asked[i], TOKEN));
    }
    /* The hub's checksum is the same: the rest belongs to the beginning, whatever the store's ETag. */
    assert_string_equal(server_header(store.asked[1], "Range"), "bytes=300000-");
    assert_string_equal(server_header(store.asked[1], "If-Range"), "");
}

static void the_hubs_checksum_is_compared(void **state)
{
    (void)state;
    linked = OTHER_SHA256;
    serve(to_the_store);
    store.answer = plain;
    assert_int_equal(get_with(NULL, NULL), DREAMO_FORMAT);
    assert_non_null(strstr(err.message, "expected is " OTHER_SHA256));
    assert_false(file_exists("file"));
    assert_false(file_exists("file.part"));
    linked = "0123456789abcdef0123456789abcdef01234567"; /* no sha256: not used */
    assert_int_equal(get_with(NULL, NULL), DREAMO_OK);
    assert_whole();
    linked = SHA256;
}

static void redirects_stay_where_they_may(void **state)
{
    static const struct { const char *where, *part; int requests; } cases[] = {
        { "http://192.0.2.1/x%.0d", "redirects away from https", 1 },
        { "ftp://127.0.0.1:%d/x", "redirects away from https", 1 },
        { "file:///etc/passwd%.0d", "redirects away from https", 1 },
        { "http://127.0.0.1@192.0.2.1:%d/", "redirects away from https", 1 },
        { "/again%.0d", "more than 8 redirects", 9 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        path_in_store = cases[i].where;
        serve(to_the_store);
        assert_int_equal(get_with(NULL, TOKEN), DREAMO_NET);
        assert_non_null(strstr(err.message, cases[i].part));
        assert_int_equal(hub.count, cases[i].requests);
    }
    path_in_store = "http://127.0.0.1:%d/bytes?signature=1";
}

/* ---- stops and faults ---- */

static void stall(server *s, int to, int n)
{
    char byte;
    well_behaved(s, to, n, "\"one\"", n ? NBYTES : CUT);
    if (n == 0) recv(to, &byte, 1, 0); /* until the client is gone */
}

static void a_killed_run_is_gone_on_with(void **state)
{
    uint64_t n = 0;
    int status;
    (void)state;
    serve(stall);
    pid_t child = fork();
    if (child == 0) _exit(get_with(NULL, NULL) != DREAMO_OK);
    assert_true(child > 0);
    for (int i = 0; i < 1000 && n < CUT; i++) {
        if (file_exists("file.part")) assert_int_equal(file_nbytes("file.part", &n, NULL), DREAMO_OK);
        usleep(10000);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_part(CUT);
    assert_int_equal(get_with(NULL, NULL), DREAMO_OK);
    assert_whole();
    assert_string_equal(server_header(hub.asked[hub.count - 1], "Range"), "bytes=300000-");
}

static void a_silent_server_is_left(void **state)
{
    (void)state;
    serve(stall);
    hasty.stall = 0.5;
    dreamo_status s = get_with(NULL, NULL);
    hasty.stall = 60;
    assert_int_equal(s, DREAMO_OK);
    assert_whole();
    assert_true(heard.warnings >= 1);
    assert_non_null(strstr(heard.text, "nothing came for"));
}

static void a_caller_may_stop(void **state)
{
    (void)state;
    serve(stall);
    heard.stop_after = 1;
    assert_int_equal(get(), DREAMO_CANCELLED);
    assert_part(CUT);
    heard.stop_after = 0;
    assert_int_equal(get(), DREAMO_OK);
    assert_whole();
}

static void a_full_disk_keeps_the_part(void **state)
{
    struct rlimit old, limit;
    (void)state;
    serve(plain);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){ 200000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    dreamo_status s = get();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(s, DREAMO_IO);
    assert_int_equal(hub.count, 1);
    assert_non_null(strstr(err.message, "file.part") ? err.message : strstr(err.message, "file: cannot be written"));
    assert_part(200000);
    assert_int_equal(get(), DREAMO_OK);
    assert_whole();
}

static void what_cannot_be_a_part_is_refused(void **state)
{
    (void)state;
    serve(plain);
    assert_int_equal(mkdir("file", 0777), 0);
    assert_int_equal(get(), DREAMO_IO);
    assert_int_equal(rmdir("file"), 0);
    assert_int_equal(symlink("elsewhere", "file.part"), 0);
    assert_int_not_equal(get(), DREAMO_OK);
    assert_false(file_exists("elsewhere"));
    assert_int_equal(unlink("file.part"), 0);
    assert_int_equal(hub.count, 0);
    int port = hub.port;
    hub.port = 1; /* nobody listens there */
    assert_int_equal(get(), DREAMO_NET);
    hub.port = port;
    assert_non_null(strstr(err.hint, "gave up after 3 tries"));
    assert_false(file_exists("file.part"));
}

static void failing_allocations_leak_nothing(void **state)
{
    (void)state;
    serve(plain);
    dreamo_status s = DREAMO_MEMORY;
    for (long nth = 1; s && nth < 200; nth++) {
        begin(NULL);
        hub.count = 0;
        size_t live = mem_live();
        mem_fail_at(nth);
        s = get();
        mem_fail_at(0);
        assert_int_equal(mem_live(), live);
        if (s) assert_int_equal(s, DREAMO_MEMORY);
        assert_int_equal(file_exists("file"), s == DREAMO_OK);
    }
    assert_int_equal(s, DREAMO_OK);
}

static int open_both(void **state)
{
    size_t n;
    if (file_read(REPO_ROOT "/models/flux-dev/tokenizer_2/spiece.model", NBYTES, &content, &n, NULL) || n != NBYTES || scratch_enter(state)) return -1;
    server_start(&hub, plain);
    server_start(&store, plain);
    return 0;
}

static int close_both(void **state)
{
    server_stop(&hub);
    server_stop(&store);
    mem_free(content);
    return scratch_leave(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_arrives), cmocka_unit_test(a_cut_connection_is_gone_on_with), cmocka_unit_test(a_server_without_ranges_starts_again),
        cmocka_unit_test(an_unknown_part_is_not_gone_on_with), cmocka_unit_test(what_is_whole_needs_nothing_more), cmocka_unit_test(a_busy_server_is_asked_later),
        cmocka_unit_test(refusals_are_told), cmocka_unit_test(too_many_cuts_keep_the_part), cmocka_unit_test(lies_about_the_rest_cost_the_part),
        cmocka_unit_test(lengths_that_lie_are_found), cmocka_unit_test(a_wrong_checksum_leaves_nothing), cmocka_unit_test(a_redirect_never_sees_the_token),
        cmocka_unit_test(the_hubs_checksum_is_compared), cmocka_unit_test(redirects_stay_where_they_may), cmocka_unit_test(a_killed_run_is_gone_on_with),
        cmocka_unit_test(a_silent_server_is_left), cmocka_unit_test(a_caller_may_stop), cmocka_unit_test(a_full_disk_keeps_the_part),
        cmocka_unit_test(what_cannot_be_a_part_is_refused), cmocka_unit_test(failing_allocations_leak_nothing),
    };
    if (!http_available()) return 0; /* built without libcurl: nothing to download with */
    return cmocka_run_group_tests(tests, open_both, close_both);
}
