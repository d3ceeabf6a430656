/* stream.h - a job's events as text/event-stream. */
#ifndef SERVE_STREAM_H
#define SERVE_STREAM_H
#include "serve/http/http.h"

typedef struct stream stream;
void    stream_begin(stream *s, exchange *x);                             /* its headers are about to be sent */
ssize_t stream_read(void *user, uint64_t at, char *to, size_t room);      /* libmicrohttpd's content reader */
int     stream_has(const stream *s, int64_t after);                       /* hub_has */
void    stream_free(stream *s);                                           /* NULL is allowed */
#endif
