/* listen.c - opening the socket. */
#include "serve/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_UNIX) return true;
    if (a->sa_family == AF_INET) return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

/* What the socket is bound to, in words. */
static void describe(listening *l)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    char port[16];
    if (getsockname(l->fd, (struct sockaddr *)&at, &n)) return;
    l->loopback = is_loopback((struct sockaddr *)&at);
    if ((l->local = at.ss_family == AF_UNIX)) {
        snprintf(l->words, sizeof l->words, "unix:%.100s", ((struct sockaddr_un *)&at)->sun_path);
        return;
    }
    if (getnameinfo((struct sockaddr *)&at, n, l->host, sizeof l->host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV)) return;
    bool v6 = at.ss_family == AF_INET6;
    snprintf(l->words, sizeof l->words, "http://%s%.240s%s:%s/", v6 ? "[" : "", l->host, v6 ? "]" : "", port);
}

static dreamo_status cannot_bind(const char *address, problem *p)
{
    refuse(p, DREAMO_NET, NULL, "--listen %s: %s", address, strerror(errno));
    if (errno == EADDRINUSE) return advise(p, "another program listens there; choose another port");
    if (errno == EACCES) return advise(p, "ports below 1024 are the system's; choose a higher one");
    return p->e.status;
}

/* ---- Unix sockets ---- */

/* A socket left behind by a server that is gone. */
static bool stale(const struct sockaddr_un *at)
{
    struct stat st;
    if (lstat(at->sun_path, &st) || !S_ISSOCK(st.st_mode)) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool refused = connect(fd, (const struct sockaddr *)at, sizeof *at) && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static dreamo_status open_unix(const char *path, listening *l, problem *p)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    if (!*path) return refuse(p, DREAMO_ARG, NULL, "--listen unix:: the path is missing");
    if (strlen(path) >= sizeof at.sun_path) return refuse(p, DREAMO_ARG, NULL, "--listen unix:%.60s...: a socket's path has at most %zu bytes",
                                                          path, sizeof at.sun_path - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    if (stale(&at)) unlink(path);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0077); /* who may write to it may use it */
    bool bound = l->fd >= 0 && bind(l->fd, (struct sockaddr *)&at, sizeof at) == 0;
    umask(before);
    if (!bound || listen(l->fd, BACKLOG)) return cannot_bind(path, p);
    snprintf(l->path, sizeof l->path, "%s", path);
    return DREAMO_OK;
}

/* ---- the network ---- */

static dreamo_status split(const char *address, char host[256], char port[8], problem *p)
{
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    bool brackets = n >= 2 && address[0] == '[' && address[n - 1] == ']';
    const char *digits = colon ? colon + 1 : "";
    if (!colon || !*digits || strlen(digits) > 5 || strspn(digits, "0123456789") != strlen(digits) || strtol(digits, NULL, 10) > 65535 || n >= 256 ||
        (!brackets && memchr(address, ':', n))) {
        refuse(p, DREAMO_ARG, NULL, "--listen \"%.80s\" is not HOST:PORT", address);
        return advise(p, "for example 127.0.0.1:7860, [::1]:7860, unix:/run/dreamo.sock");
    }
    snprintf(host, 256, "%.*s", (int)(brackets ? n - 2 : n), address + (brackets ? 1 : 0));
    if (n == 0) snprintf(host, 256, "127.0.0.1");
    snprintf(port, 8, "%s", digits);
    return DREAMO_OK;
}

static dreamo_status open_network(const char *address, listening *l, problem *p)
{
    char host[256], port[8];
    struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found;
    if (split(address, host, port, p)) return p->e.status;
    int why = getaddrinfo(host, port, &want, &found);
    if (why) return refuse(p, DREAMO_NET, NULL, "--listen %.80s: %s", address, gai_strerror(why));
    int one = 1;
    l->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool open = l->fd >= 0 && setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && bind(l->fd, found->ai_addr,
            found->ai_addrlen) == 0 &&
                listen(l->fd, BACKLOG) == 0;
    dreamo_status s = open ? DREAMO_OK : cannot_bind(address, p);
    freeaddrinfo(found);
    return s;
}

/* ---- systemd ---- */

/* A socket that was opened for us: descriptor 3 (sd_listen_fds(3)).  -1: none. */
static int passed_socket(problem *p)
{
    const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
    if (!pid || !n || strtol(pid, NULL, 10) != (long)getpid()) return -1;
    if (strcmp(n, "1")) {
        refuse(p, DREAMO_ARG, NULL, "%.10s sockets are passed by systemd, one is needed", n);
        return -1;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    fcntl(3, F_SETFD, FD_CLOEXEC);
    fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK);
    return 3;
}

void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof to.sun_path) return;
    memcpy(to.sun_path, path, strlen(path));
    if (*path == '@') to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

dreamo_status listen_open(const char *address, listening *l, problem *p)
{
    *l = (listening){ .fd = -1 };
    dreamo_status s = DREAMO_OK;
    l->fd = passed_socket(p);
    if (p->e.status) return p->e.status;
    if (l->fd < 0) s = strncmp(address, "unix:", 5) == 0 ? open_unix(address + 5, l, p) : open_network(address, l, p);
    if (s && l->fd >= 0) close(l->fd);
    if (s) l->fd = -1;
    else describe(l);
    return s;
}

void listen_close(listening *l)
{
    if (*l->path) unlink(l->path);
    l->path[0] = '\0';
}
