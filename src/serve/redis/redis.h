/* redis.h - a Redis (or Valkey) server, many threads: a few connections, calls, and what goes wrong as problems.
 *
 * A call that loses its connection is sent once more over a new one: everything that is called must do no harm when it is done twice. */
#ifndef SERVE_REDIS_REDIS_H
#define SERVE_REDIS_REDIS_H
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include "serve/problem.h"

enum { REDIS_WORDS = 48 };

/* One command, word by word; words are the caller's until the call returns. */
typedef struct redis_words { int n; const char *word[REDIS_WORDS]; size_t nbytes[REDIS_WORDS]; char numbers[REDIS_WORDS][24]; } redis_words;
void redis_text(redis_words *w, const char *text);  /* NULL is "" */
void redis_bytes(redis_words *w, const void *data, size_t nbytes);
void redis_number(redis_words *w, int64_t n);

typedef struct redis redis;
/* "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]"; connects, so that a wrong address is told at once. */
dreamo_status redis_open(const char *url, redis **out, problem *p);
void          redis_close(redis *r);
const char   *redis_name(const redis *r);            /* "redis://HOST:PORT/DB", without a password */

/* *out is freeReplyObject's.  DREAMO_BUSY: the server does not answer now, and may later; the thread may wait that many seconds for it. */
dreamo_status redis_call(redis *r, const redis_words *w, int seconds, redisReply **out, problem *p);
/* A script of scripts.c, which gets the words as ARGV. */
dreamo_status redis_script(redis *r, const char *script, const redis_words *w, redisReply **out, problem *p);
int64_t       redis_up_ms(redis *r);                 /* how long it has answered without a break */

/* Replies are strangers': anything may be missing. */
const redisReply *redis_at(const redisReply *a, size_t i);
const char       *redis_string(const redisReply *s); /* not a string: "" */
int64_t           redis_integer(const redisReply *s); /* a number, or a string that is one; else 0 */
#endif
