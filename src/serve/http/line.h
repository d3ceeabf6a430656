/* line.h - connections and their deadlines: slow clients cost nothing.
 *
 * The deadline is one for a whole phase, not one a read: a byte a second keeps nobody alive.  Who is late is shut down; the HTTP library
 * notices and cleans up. */
#ifndef SERVE_LINE_H
#define SERVE_LINE_H
#include <pthread.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdint.h>

typedef enum line_phase {
    LINE_HEADER,  /* request line and headers of a new connection: 10 s */
    LINE_IDLE,    /* between requests, the next one's headers included: 30 s */
    LINE_BODY,    /* 16 KiB/s after the first 10 s */
    LINE_WORK,    /* ours */
    LINE_WAIT,    /* ours, for long: is the client still there? */
    LINE_REPLY    /* 30 s without progress: the HTTP library's timeout */
} line_phase;

typedef struct line {
    int fd;
    line_phase phase;
    double since;               /* seconds, monotonic */
    atomic_ullong body;         /* bytes of it that have come */
    void (*tick)(void *user, bool gone, double now); /* while waiting, several times a second, under the lock; NULL: none */
    void *user;
    struct line *prev, *next;
} line;

typedef struct lines {
    pthread_mutex_t lock;
    line head;                  /* of a ring, oldest first */
    int n, max;
    int64_t cut;                /* how many were late */
} lines;

void lines_init(lines *l, int max);
line *line_open(lines *l, int fd);           /* NULL: no memory.  Over the maximum the oldest that has said nothing useful makes room. */
void line_close(lines *l, line *c);          /* before its descriptor is closed */
void line_enter(lines *l, line *c, line_phase phase);
void line_wait(lines *l, line *c, void (*tick)(void *user, bool gone, double now), void *user);
void line_unwait(lines *l, line *c);         /* after it nobody ticks any more */
int  lines_sweep(lines *l);                  /* several times a second; how many were cut */
void lines_cut_all(lines *l);               /* at the end */
double line_now(void);
#endif
