/* listen.h - the one socket that is listened to, and what systemd wants to hear. */
#ifndef SERVE_LISTEN_H
#define SERVE_LISTEN_H
#include <stdbool.h>
#include "serve/problem.h"

typedef struct listening {
    int fd;
    bool local;               /* a Unix socket */
    bool loopback;            /* only this machine can reach it */
    char host[256];           /* of the bound address; "" for a Unix socket */
    char words[300];          /* "http://127.0.0.1:7860/" */
    char path[110];           /* of a Unix socket that is ours to remove; "" = none */
} listening;

/* "HOST:PORT", "[IPV6]:PORT", ":PORT" (this machine), "unix:PATH"; a socket that systemd has opened goes before it.  DREAMO_NET: taken, not allowed. */
dreamo_status listen_open(const char *address, listening *out, problem *p);
void          listen_close(listening *l); /* the descriptor belongs to the HTTP library once that runs: only the path is removed */

void notify(const char *state); /* "READY=1": sd_notify's protocol, one datagram to $NOTIFY_SOCKET; nothing without it */
#endif
