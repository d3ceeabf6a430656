/* svg.c - a child process reads the SVG from a socket and writes PNG to a pipe. */
#include "data/source/svg.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/mem.h"

#define MAX_PNG (32u << 20)

extern char **environ;

/* All of it; false when the child stopped reading. */
static bool send_all(int fd, const char *text, size_t nbytes)
{
    while (nbytes) {
        ssize_t n = send(fd, text, nbytes, MSG_NOSIGNAL); /* a socket, so that a dead reader is an error and not a signal */
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text += n, nbytes -= (size_t)n;
    }
    return true;
}

static dreamo_status read_all(int fd, const char *what, char **out, size_t *nbytes, dreamo_error *err)
{
    size_t cap = 1 << 16;
    *nbytes = 0;
    *out = mem_alloc(cap);
    while (*out) {
        if (*nbytes == cap) {
            if (cap >= MAX_PNG) return fail(err, DREAMO_LIMIT, "%s: rsvg-convert wrote more than %u bytes", what, MAX_PNG);
            char *more = mem_realloc(*out, cap *= 2);
            if (!more) break;
            *out = more;
        }
        ssize_t n = read(fd, *out + *nbytes, cap - *nbytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(err, what, "reading from rsvg-convert");
        if (!n) return DREAMO_OK;
        *nbytes += (size_t)n;
    }
    return fail(err, DREAMO_MEMORY, "%s: no memory for the rendered picture", what);
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
    int e = posix_spawnp(child, argv[0], &acts, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&acts);
    if (!e) return DREAMO_OK;
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
    char *png = NULL;
    size_t got = 0;
    if (!status) {
        bool sent = send_all(in[0], text, nbytes); /* it reads all before it writes anything */
        shutdown(in[0], SHUT_WR);
        status = read_all(from[0], what, &png, &got, err);
        if (status) kill(child, SIGKILL);
        int code;
        while (waitpid(child, &code, 0) < 0 && errno == EINTR) {}
        if (!status && (!sent || !WIFEXITED(code) || WEXITSTATUS(code))) status = fail(err, DREAMO_FORMAT, "%s: rsvg-convert refused the drawing", what);
    }
    close(in[0]), close(from[0]);
    if (!status) status = image_decode((unsigned char *)png, got, what, out, NULL, 0, err);
    mem_free(png);
    return status;
}
