/* serve_load.c - clients of `dreamo serve`, to measure what it bears.
 *
 *     serve_load PORT submit RATE SECONDS [FOLDER]   jobs at an even rate over 64 kept connections; a late answer counts from when it was due.
 *                                            FOLDER: meanwhile write 4 KB there and fsync, 20 times a second, to know what the disk alone takes
 *     serve_load PORT slow N SECONDS         N clients that send a byte a second, and a normal request every 100 ms beside them */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 64 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int dial(int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) {
        fprintf(stderr, "serve_load: port %d: %s\n", port, strerror(errno));
        exit(14);
    }
    return fd;
}

/* A whole answer has come: its headers, and as many bytes as they tell. */
static bool whole(const char *buffer, size_t n)
{
    const char *end = memmem(buffer, n, "\r\n\r\n", 4), *length = memmem(buffer, n, "Content-Length: ", 16);
    return end && length && n >= (size_t)(end + 4 - buffer) + strtoul(length + 16, NULL, 10);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(const char *what, double *ms, int n, double seconds)
{
    qsort(ms, (size_t)n, sizeof *ms, compare);
    printf("%s: %d answers, %.0f a second, median %.2f ms, p99 %.2f ms, slowest %.1f ms\n", what, n, n / seconds, ms[n / 2], ms[n * 99 / 100], ms[n - 1]);
}

/* ---- what the disk alone takes ---- */

enum { PROBES = 20 };

typedef struct probe { char path[4096]; int seconds, n; double *ms; volatile bool stop; pthread_t thread; } probe;

static void *probe_disk(void *user)
{
    probe *p = user;
    static const char page[4096];
    int fd = open(p->path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    while (!p->stop && p->n < p->seconds * PROBES) {
        double t = now();
        if (write(fd, page, sizeof page) != sizeof page || fdatasync(fd)) exit(7);
        p->ms[p->n++] = 1000 * (now() - t);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000000 / PROBES }, NULL);
    }
    close(fd);
    unlink(p->path);
    return NULL;
}

static void probe_begin(probe *p, const char *folder, int seconds)
{
    snprintf(p->path, sizeof p->path, "%s/probe", folder);
    p->seconds = seconds;
    p->ms = calloc((size_t)seconds * PROBES, sizeof *p->ms);
    if (pthread_create(&p->thread, NULL, probe_disk, p)) exit(5);
}

static void probe_end(probe *p)
{
    p->stop = true;
    pthread_join(p->thread, NULL);
    tell("the disk alone, 4 KB and fsync", p->ms, p->n, p->seconds);
}

/* ---- submissions ---- */

typedef struct client { int fd; double due; bool busy; size_t n; char buffer[4096]; } client;

static void submit(int port, int rate, int seconds, const char *folder)
{
    static client c[CONNECTIONS];
    struct pollfd p[CONNECTIONS];
    static const char body[] = "{\"prompt\":\"a cupcake on a beach by the sea\",\"steps\":20,\"seed\":1}";
    char request[512];
    int length = snprintf(request, sizeof request, "POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", sizeof body - 1, body);
    int total = rate * seconds, sent = 0, done = 0, refused = 0;
    probe disk = { .n = 0 };
    if (folder) probe_begin(&disk, folder, seconds);
    double *ms = calloc((size_t)total, sizeof *ms), begin = now();
    for (int i = 0; i < CONNECTIONS; i++) c[i].fd = dial(port);
    while (done < total) {
        for (int i = 0; i < CONNECTIONS && sent < total && begin + (double)sent / rate <= now(); i++) {
            if (c[i].busy) continue;
            c[i].busy = true;
            c[i].n = 0;
            c[i].due = begin + (double)sent++ / rate;
            if (write(c[i].fd, request, (size_t)length) != length) exit(14);
        }
        for (int i = 0; i < CONNECTIONS; i++) p[i] = (struct pollfd){ .fd = c[i].busy ? c[i].fd : -1, .events = POLLIN };
        poll(p, CONNECTIONS, 1);
        for (int i = 0; i < CONNECTIONS; i++) {
            if (!(p[i].revents & (POLLIN | POLLHUP))) continue;
            ssize_t n = read(c[i].fd, c[i].buffer + c[i].n, sizeof c[i].buffer - c[i].n);
            if (n <= 0) exit(14);
            c[i].n += (size_t)n;
            if (!whole(c[i].buffer, c[i].n)) continue;
            refused += strncmp(c[i].buffer, "HTTP/1.1 202", 12) != 0;
            c[i].busy = false;
            ms[done++] = 1000 * (now() - c[i].due);
        }
    }
    tell("submissions", ms, total, now() - begin);
    if (folder) probe_end(&disk);
    if (refused) printf("%d of them were refused\n", refused);
    exit(refused ? 1 : 0);
}

static void slow(int port, int count, int seconds)
{
    static const char line[] = "GET /health HTTP/1.1\r\nX-Slow: ";
    int *fd = calloc((size_t)count, sizeof *fd), cut = 0, n = 0;
    size_t *at = calloc((size_t)count, sizeof *at);
    double *ms = calloc((size_t)seconds * 20 + 1, sizeof *ms), begin = now(), byte = 0;
    char answer[4096];
    for (int i = 0; i < count; i++) fd[i] = dial(port);
    while (now() - begin < seconds) {
        for (int i = 0; i < count && now() - byte > 1; i++) { /* a byte for each; who was cut begins again */
            if (send(fd[i], at[i] < sizeof line - 1 ? &line[at[i]] : "x", 1, MSG_NOSIGNAL) == 1 && recv(fd[i], answer, 1, MSG_DONTWAIT) < 0) {
                at[i]++;
            } else {
                close(fd[i]);
                fd[i] = dial(port);
                at[i] = 0;
                cut++;
            }
            if (i == count - 1) byte = now();
        }
        double t = now();
        int c = dial(port);
        size_t got = 0;
        if (write(c, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 41) != 41) exit(14);
        for (ssize_t k; !whole(answer, got) && (k = read(c, answer + got, sizeof answer - got)) > 0;) got += (size_t)k;
        if (!whole(answer, got)) exit(14);
        ms[n++] = 1000 * (now() - t);
        close(c);
        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    }
    printf("%d slow clients held, cut %d times; beside them ", count, cut);
    tell("normal requests", ms, n, now() - begin);
    exit(0);
}

int main(int argc, char **argv)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    if ((argc == 5 || argc == 6) && strcmp(argv[2], "submit") == 0) submit(atoi(argv[1]), atoi(argv[3]), atoi(argv[4]), argv[5]);
    if (argc == 5 && strcmp(argv[2], "slow") == 0) slow(atoi(argv[1]), atoi(argv[3]), atoi(argv[4]));
    fprintf(stderr, "serve_load PORT submit RATE SECONDS [FOLDER] | slow N SECONDS\n");
    return 2;
}
