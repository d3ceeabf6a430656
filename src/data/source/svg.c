/* svg.c - a child process reads the SVG from a socket and writes PNG to a pipe. */
#include "data/source/svg.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

#define MAX_PNG (32u << 20)
enum { CPU_SECONDS = 10, MEMORY = 1 << 30 }; /* for one drawing */

extern char **environ;

double svg_patience = 60;

/* The child is on its own with the drawing's text, which may ask for anything: a small picture takes milliseconds and megabytes.  The
 * limits are set before it has something to read, and outlive us. */
static void restrain(pid_t child)
{
    const struct rlimit seconds = { CPU_SECONDS, CPU_SECONDS }, room = { MEMORY, MEMORY }, none = { 0, 0 };
    prlimit(child, RLIMIT_CPU, &seconds, NULL);
    prlimit(child, RLIMIT_AS, &room, NULL);
    prlimit(child, RLIMIT_CORE, &none, NULL);
}

/* What the child says; its text in, its picture out, whichever it is ready for, until `end`. */
typedef struct talk { const char *text, *what; size_t left; char *out; size_t nbytes, cap; double end; bool deaf; } talk;

static dreamo_status take_some(talk *t, int from, bool *over, dreamo_error *err)
{
    if (t->nbytes == t->cap) {
        if (t->cap >= MAX_PNG) return fail(err, DREAMO_LIMIT, "%s: rsvg-convert wrote more than %u bytes", t->what, MAX_PNG);
        char *more = mem_realloc(t->out, t->cap ? 2 * t->cap : 1 << 16);
        if (!more) return fail(err, DREAMO_MEMORY, "%s: no memory for the rendered picture", t->what);
        t->out = more;
        t->cap = t->cap ? 2 * t->cap : 1 << 16;
    }
    ssize_t n = read(from, t->out + t->nbytes, t->cap - t->nbytes);
    if (n < 0 && errno != EINTR) return fail_errno(err, t->what, "reading from rsvg-convert");
    *over = n == 0;
    t->nbytes += n > 0 ? (size_t)n : 0;
    return DREAMO_OK;
}

static dreamo_status talk_to_child(talk *t, int in, int from, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    for (bool over = false; !s && !over;) {
        struct pollfd p[2] = { { .fd = from, .events = POLLIN }, { .fd = t->left && !t->deaf ? in : -1, .events = POLLOUT } };
        double left = t->end - seconds_now();
        int n = left > 0 ? poll(p, 2, (int)(left * 1000) + 1) : 0;
        if (n < 0 && errno != EINTR) s = fail_errno(err, t->what, "waiting for rsvg-convert");
        if (n == 0 && seconds_now() >= t->end) s = fail(err, DREAMO_LIMIT, "%s: rsvg-convert took more than %.0f seconds", t->what, svg_patience);
        if (n > 0 && p[1].revents) {
            ssize_t sent = send(in, t->text, t->left, MSG_NOSIGNAL | MSG_DONTWAIT); /* a socket: a dead reader is an error and no signal */
            if (sent > 0) t->text += sent, t->left -= (size_t)sent;
            if (sent < 0 && errno != EINTR && errno != EAGAIN) t->deaf = true;
            if (!t->left) shutdown(in, SHUT_WR);
        }
        if (n > 0 && p[0].revents) s = take_some(t, from, &over, err);
    }
    return s;
}

static dreamo_status start(int side, const char *what, int in, int out, pid_t *child, dreamo_error *err)
{
    char number[16];
    snprintf(number, sizeof number, "%d", side);
    char *const argv[] = { "rsvg-convert", "-f", "png", "--keep-aspect-ratio", "-w", number, "-h", number, NULL };
    posix_spawn_file_actions_t acts;
    if (posix_spawn_file_actions_init(&acts)) return fail(err, DREAMO_MEMORY, "%s: no memory to start rsvg-convert", what);
    posix_spawn_file_actions_adddup2(&acts, in, 0);
    posix_spawn_file_actions_adddup2(&acts, out, 1);
    posix_spawn_file_actions_addopen(&acts, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_t attr;
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE); /* what the program ignores, the child need not */
    sigaddset(&usual, SIGXFSZ);
    int e = posix_spawnattr_init(&attr);
    if (!e) {
        posix_spawnattr_setsigdefault(&attr, &usual);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
        e = posix_spawnp(child, argv[0], &acts, &attr, argv, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&acts);
    if (!e) {
        restrain(*child);
        return DREAMO_OK;
    }
    fail(err, e == ENOENT ? DREAMO_NOT_FOUND : DREAMO_IO, "%s: cannot start rsvg-convert: %s", what, strerror(e));
    return hint(err, "Debian has it in the package librsvg2-bin.");
}

dreamo_status svg_render(const char *text, size_t nbytes, int side, const char *what, bitmap *out, dreamo_error *err)
{
    int in[2], from[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in)) return fail_errno(err, what, "starting rsvg-convert");
    if (pipe2(from, O_CLOEXEC)) {
        close(in[0]), close(in[1]);
        return fail_errno(err, what, "starting rsvg-convert");
    }
    pid_t child;
    dreamo_status status = start(side, what, in[1], from[1], &child, err);
    close(in[1]), close(from[1]);
    talk t = { .text = text, .left = nbytes, .what = what, .end = seconds_now() + svg_patience };
    if (!status) {
        if (!nbytes) shutdown(in[0], SHUT_WR);
        status = talk_to_child(&t, in[0], from[0], err);
        if (status) kill(child, SIGKILL);
        int code;
        while (waitpid(child, &code, 0) < 0 && errno == EINTR) {}
        if (!status && WIFSIGNALED(code))
            status = fail(err, DREAMO_LIMIT, "%s: rsvg-convert was ended (%s); it may use %d seconds of processor time and %d MB", what,
                          strsignal(WTERMSIG(code)), CPU_SECONDS, MEMORY >> 20);
        else if (!status && (t.left || !WIFEXITED(code) || WEXITSTATUS(code)))
            status = fail(err, DREAMO_FORMAT, "%s: rsvg-convert refused the drawing", what);
    }
    close(in[0]), close(from[0]);
    if (!status) status = image_decode((unsigned char *)t.out, t.nbytes, what, out, NULL, 0, err);
    mem_free(t.out);
    return status;
}
