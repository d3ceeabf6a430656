/* fuzz_http.c - what comes over a connection, against a whole server: routes, headers, queries, bodies, event streams.
 *
 * An input is sent as it is; one with the byte 0x1E in it is a head without its last line and a body, and goes out with the right Content-Length, so that
 * bodies get past the HTTP library.  "@JOB" stands for the id of a job that is done, "@UPLOAD" for an upload's.  Nothing takes jobs: they are ended
 * after the input. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "fuzz.h"
#include "serve/server.h"

enum { MOST = 1 << 16, ANSWER = 1 << 22 };

static server s;
static serve_options o;
static char done_job[JOB_ID + 1], upload[65];
static struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "http.socket" };

/* ---- the server ---- */

static void must(dreamo_status status, const problem *p)
{
    if (status) fprintf(stderr, "%s\n", p->e.message);
    fuzz_must(status == DREAMO_OK, "the server starts");
}

static void keep_one_job(void)
{
    static unsigned char pixels[16 * 16 * 3];
    dreamo_image im = { .width = 16, .height = 16, .rgb = pixels };
    problem p = { 0 };
    blob b = { .width = 16, .height = 16 };
    job_ticket t;
    job j;
    must(dreamo_image_encode(&im, "png", 0, &b.data, &b.nbytes, &p.e), &p);
    dreamo_sha256(b.data, b.nbytes, b.sha256);
    memcpy(upload, b.sha256, sizeof upload);
    job_new what = { .who = "", .request = "{\"prompt\":\"a\",\"seed\":1,\"count\":1}", .count = 1 };
    must(s.jobs->ops->upload_put(s.jobs, &b, &p), &p);
    must(s.jobs->ops->submit(s.jobs, &what, &t, &p), &p);
    must(s.jobs->work->take(s.jobs, 0, NULL, NULL, &j, &p), &p);
    must(s.jobs->work->image_put(s.jobs, &j, 0, &b, &p), &p);
    must(s.jobs->work->finish(s.jobs, &j, JOB_DONE, NULL, &p), &p);
    memcpy(done_job, t.id, sizeof done_job);
    job_free(&j);
    dreamo_bytes_free(b.data);
}

static void quiet(const char *label, const char *text) { (void)label, (void)text; }

static void start(void)
{
    problem p = { 0 };
    serve_options_init(&o);
    o.model.dir = REPO_ROOT "/tests/data/models/tiny";
    o.model.threads = 1;
    o.say = quiet;
    o.max_steps = 4;
    s.o = &o;
    s.limits = (limits){ .body = 1 << 20, .pixels = 1 << 16, .upload_pixels = 1 << 16, .refs = 3, .steps = 4, .count = 2, .queue = 16, .prompt = 4096, .side = 256,
                         .cell = 16 };
    metrics_init(&s.metrics);
    pthread_mutex_init(&s.flights.lock, NULL);
    sem_init(&s.looks, 0, 2);
    fuzz_put("here", "", 0); /* in the folder of files: the socket and the store lie there */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    fuzz_must(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0, "a socket");
    must(guard_init(&s.http.guard, &o, "localhost", true, &p), &p);
    fuzz_must((s.hub = hub_new(100)) != NULL, "a hub");
    must(jobs_open_sqlite("http.db", 16, s.hub, &s.jobs, &p), &p);
    must(engine_open(&o.model, &s.engine, &p.e), &p);
    must(http_start(&s, fd, &p), &p);
    keep_one_job();
}

/* ---- one connection ---- */

/* The input with its names filled in; how many bytes. */
static size_t fill_in(const uint8_t *data, size_t nbytes, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < nbytes && n + 70 < room;) {
        const char *put = nbytes - i >= 7 && !memcmp(data + i, "@UPLOAD", 7) ? upload : nbytes - i >= 4 && !memcmp(data + i, "@JOB", 4) ? done_job : NULL;
        if (put) {
            memcpy(out + n, put, strlen(put));
            n += strlen(put);
            i += put == upload ? 7 : 4;
        } else {
            out[n++] = (char)data[i++];
        }
    }
    return n;
}

/* Sends; reads whatever comes while the server's own clock goes on.  An answer is one of HTTP's.  A request that stops half way is waited for by the server
 * until its deadline; we leave sooner. */
static void talk(const char *text, size_t nbytes)
{
    static char answer[ANSWER + 1];
    size_t sent = 0, got = 0;
    bool open = true, shut = false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    fuzz_must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "a connection");
    for (int idle = 0; open && idle < 5;) {
        struct pollfd p = { .fd = fd, .events = (short)(POLLIN | (sent < nbytes ? POLLOUT : 0)) };
        int ready = poll(&p, 1, 5);
        http_sweep(&s);
        idle = ready > 0 ? 0 : idle + 1;
        if (sent < nbytes && p.revents & POLLOUT) {
            ssize_t n = send(fd, text + sent, nbytes - sent, MSG_NOSIGNAL);
            if (n > 0) sent += (size_t)n;
            else if (errno != EAGAIN) sent = nbytes;
        }
        if (sent == nbytes && !shut) shut = shutdown(fd, SHUT_WR) == 0 || errno;
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(fd, answer + got, ANSWER - got, 0);
            if (n > 0) got += (size_t)n;
            else if (n == 0 || errno != EAGAIN) open = false;
            if (got == ANSWER) got = ANSWER / 2; /* many answers on one connection */
        }
    }
    answer[got] = '\0';
    int code = got > 12 && !strncmp(answer, "HTTP/1.", 7) ? atoi(answer + 9) : 0;
    fuzz_must(got == 0 || (code >= 100 && code < 600 && code != 500), "an answer is one, and no fault of ours");
    close(fd);
}

static void end_jobs(void)
{
    job j;
    problem p = { 0 };
    static const dreamo_error why = { .status = DREAMO_CANCELLED, .message = "enough" };
    while (s.jobs->work->take(s.jobs, 0, NULL, NULL, &j, &p) == DREAMO_OK) {
        s.jobs->work->finish(s.jobs, &j, JOB_CANCELLED, &why, &p);
        job_free(&j);
    }
    s.jobs->ops->tidy(s.jobs, 3600);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static char text[MOST], whole[MOST + 64];
    if (!s.http.daemon) start();
    size_t n = fill_in(data, nbytes, text, sizeof text), all = n;
    const char *cut = memchr(text, 0x1E, n);
    if (cut) {
        size_t head = (size_t)(cut - text), body = n - head - 1;
        memcpy(whole, text, head);
        int line = snprintf(whole + head, 64, "Content-Length: %zu\r\n\r\n", body);
        memcpy(whole + head + line, cut + 1, body);
        all = head + (size_t)line + body;
    } else {
        memcpy(whole, text, n);
    }
    talk(whole, all);
    end_jobs();
    return 0;
}
