/* http_server.h - an HTTP server for tests, on 127.0.0.1: one thread, one connection at a time, each answered by a function of the test's
 * own and then closed.  It keeps what was asked. */
#ifndef TESTS_HTTP_SERVER_H
#define TESTS_HTTP_SERVER_H
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER_MOST = 128, SERVER_HEAD = 4096 };

struct server;
typedef void (*server_answer)(struct server *s, int to, int n); /* n: the request's number, from 0; its text is s->asked[n] */
typedef struct server {
    int listener, port, count;
    volatile bool stop;
    pthread_t thread;
    server_answer answer;
    char asked[SERVER_MOST][SERVER_HEAD];
} server;

static void server_send(int to, const void *data, size_t nbytes)
{
    for (const char *p = data; nbytes;) {
        ssize_t n = send(to, p, nbytes, MSG_NOSIGNAL);
        if (n <= 0) return; /* the client has left */
        p += n;
        nbytes -= (size_t)n;
    }
}

static void server_say(int to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void server_say(int to, const char *format, ...)
{
    char text[2048];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    server_send(to, text, (size_t)n);
}

/* The value of a header of a request, "" when it has none; valid until the next call in this thread. */
static inline const char *server_header(const char *request, const char *name)
{
    static _Thread_local char value[1024];
    size_t n = strlen(name);
    for (const char *line = request; (line = strstr(line, "\r\n")) != NULL;) {
        line += 2;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':') continue;
        const char *from = line + n + 1 + strspn(line + n + 1, " ");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(from, "\r"), from);
        return value;
    }
    return "";
}

/* The first byte of "Range: bytes=N-", or -1. */
static inline long long server_range(const char *request)
{
    const char *range = server_header(request, "Range");
    return strncmp(range, "bytes=", 6) == 0 ? strtoll(range + 6, NULL, 10) : -1;
}

static void *server_run(void *user)
{
    server *s = user;
    while (!s->stop) {
        struct pollfd wait = { .fd = s->listener, .events = POLLIN };
        if (poll(&wait, 1, 20) <= 0) continue;
        int c = accept(s->listener, NULL, NULL);
        size_t have = 0;
        char *head = s->asked[s->count < SERVER_MOST ? s->count : SERVER_MOST - 1];
        memset(head, 0, SERVER_HEAD);
        while (c >= 0 && have < SERVER_HEAD - 1 && !strstr(head, "\r\n\r\n")) {
            ssize_t n = recv(c, head + have, SERVER_HEAD - 1 - have, 0);
            if (n <= 0) break;
            have += (size_t)n;
        }
        if (c >= 0 && have > 0) {
            int n = s->count++;
            s->answer(s, c, n);
        }
        shutdown(c, SHUT_WR);
        close(c);
    }
    return NULL;
}

static void server_start(server *s, server_answer answer)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    memset(s, 0, sizeof *s);
    s->answer = answer;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&a, sizeof a) || listen(s->listener, 16)
        || getsockname(s->listener, (struct sockaddr *)&a, &n) || pthread_create(&s->thread, NULL, server_run, s)) abort();
    s->port = ntohs(a.sin_port);
}

static void server_stop(server *s)
{
    s->stop = true;
    pthread_join(s->thread, NULL);
    close(s->listener);
}
#endif
