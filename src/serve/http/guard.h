/* guard.h - who may ask: Host, Origin, keys. */
#ifndef SERVE_GUARD_H
#define SERVE_GUARD_H
#include <pthread.h>
#include <stdbool.h>
#include "serve/problem.h"
#include "serve/serve.h"

enum { GUARD_KEYS = 64 };
typedef struct guard_key { char name[64], digest[65]; double a_minute, tokens, filled; } guard_key;

typedef struct guard {
    const serve_options *o;
    char bound[256];           /* the host part of --listen; "" for a Unix socket */
    bool local;                /* a Unix socket: no browser can be made to send to it */
    int nkeys;
    guard_key keys[GUARD_KEYS];
    pthread_mutex_t lock;      /* of the tokens */
} guard;

dreamo_status guard_init(guard *g, const serve_options *o, const char *bound, bool local, problem *p);
void          guard_free(guard *g);
/* host: the Host header; fd: to see which of our addresses was called. */
dreamo_status guard_host(const guard *g, const char *host, int fd, problem *p);
/* origin NULL: none sent.  *allowed: it is another's, and on the list. */
dreamo_status guard_origin(const guard *g, const char *origin, const char *host, bool *allowed, problem *p);
/* authorization NULL: none sent.  who gets the key's name. */
dreamo_status guard_key_check(guard *g, const char *authorization, char who[64], problem *p);
#endif
