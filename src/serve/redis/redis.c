/* redis.c - connections to Redis, and its answers as problems. */
#include "serve/redis/redis.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IDLE = 32, CONNECT_SECONDS = 2, ANSWER_SECONDS = 10, SCRIPTS = 32 };

struct redis {
    char host[256], user[128], password[256], name[320];
    int port, db;
    pthread_mutex_t lock;       /* what follows */
    redisContext *idle[IDLE];
    int nidle;
    struct { const char *script; char sha[41]; } scripts[SCRIPTS];
    int nscripts;
    atomic_llong up_since;      /* ms; 0: it does not answer */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- words ---- */

void redis_bytes(redis_words *w, const void *data, size_t nbytes)
{
    if (w->n == REDIS_WORDS) return;
    w->word[w->n] = data ? data : "";
    w->nbytes[w->n++] = data ? nbytes : 0;
}

void redis_text(redis_words *w, const char *text) { redis_bytes(w, text, text ? strlen(text) : 0); }

void redis_number(redis_words *w, int64_t n)
{
    if (w->n == REDIS_WORDS) return;
    char *to = w->numbers[w->n];
    snprintf(to, sizeof *w->numbers, "%lld", (long long)n);
    redis_text(w, to);
}

/* ---- replies ---- */

const redisReply *redis_at(const redisReply *a, size_t i) { return a && a->type == REDIS_REPLY_ARRAY && i < a->elements ? a->element[i] : NULL; }
const char *redis_string(const redisReply *s) { return s && s->type == REDIS_REPLY_STRING ? s->str : ""; }

int64_t redis_integer(const redisReply *s)
{
    if (s && s->type == REDIS_REPLY_INTEGER) return s->integer;
    return strtoll(redis_string(s), NULL, 10);
}

/* ---- connections ---- */

static dreamo_status gone(redis *r, const char *why, problem *p)
{
    atomic_store(&r->up_since, 0);
    p->retry_after = 5;
    refuse_http(p, DREAMO_BUSY, 503, "%s: does not answer (%s)", r->name, why);
    return advise(p, "see that redis-server runs there");
}

static dreamo_status said_no(redis *r, const char *words, problem *p)
{
    if (strncmp(words, "LOADING", 7) == 0 || strncmp(words, "BUSY ", 5) == 0 || strncmp(words, "MASTERDOWN", 10) == 0) return gone(r, words, p);
    if (strncmp(words, "OOM", 3) == 0) {
        refuse_http(p, DREAMO_IO, 507, "%s: has no memory left", r->name);
        return advise(p, "raise its maxmemory, or shorten --keep-results");
    }
    if (strncmp(words, "MISCONF", 7) == 0) return refuse_http(p, DREAMO_IO, 507, "%s: cannot write its file", r->name);
    if (strncmp(words, "NOAUTH", 6) == 0 || strncmp(words, "WRONGPASS", 9) == 0 || strncmp(words, "NOPERM", 6) == 0) {
        refuse_http(p, DREAMO_AUTH, 503, "%s: refuses us (%s)", r->name, words);
        return advise(p, "--queue redis://USER:PASSWORD@HOST");
    }
    return refuse(p, DREAMO_BUG, NULL, "%s: %s", r->name, words);
}

static dreamo_status greet(redis *r, redisContext *c, const char *const words[], int n, problem *p)
{
    redisReply *a = redisCommandArgv(c, n, (const char **)(uintptr_t)words, NULL);
    dreamo_status s = !a ? gone(r, c->errstr, p) : a->type == REDIS_REPLY_ERROR ? said_no(r, a->str, p) : DREAMO_OK;
    freeReplyObject(a);
    return s;
}

static dreamo_status connect_to(redis *r, redisContext **out, problem *p)
{
    redisContext *c = redisConnectWithTimeout(r->host, r->port, (struct timeval){ .tv_sec = CONNECT_SECONDS });
    dreamo_status s = !c ? refuse(p, DREAMO_MEMORY, NULL, "%s: no memory to connect", r->name) : c->err ? gone(r, c->errstr, p) : DREAMO_OK;
    char db[16];
    snprintf(db, sizeof db, "%d", r->db);
    if (!s) {
        redisSetTimeout(c, (struct timeval){ .tv_sec = ANSWER_SECONDS });
        redisEnableKeepAlive(c);
    }
    if (!s && *r->password)
        s = *r->user ? greet(r, c, (const char *const[]){ "AUTH", r->user, r->password }, 3, p)
                     : greet(r, c, (const char *const[]){ "AUTH", r->password }, 2, p);
    if (!s) s = greet(r, c, (const char *const[]){ "SELECT", db }, 2, p);
    if (s && c) redisFree(c);
    *out = s ? NULL : c;
    return s;
}

static redisContext *take_idle(redis *r)
{
    pthread_mutex_lock(&r->lock);
    redisContext *c = r->nidle ? r->idle[--r->nidle] : NULL;
    pthread_mutex_unlock(&r->lock);
    return c;
}

static void put_idle(redis *r, redisContext *c)
{
    long long down = 0;
    atomic_compare_exchange_strong(&r->up_since, &down, now_ms());
    pthread_mutex_lock(&r->lock);
    bool room = r->nidle < IDLE;
    if (room) r->idle[r->nidle++] = c;
    pthread_mutex_unlock(&r->lock);
    if (!room) redisFree(c);
}

/* One that broke was not the only one: all that lie idle went with it. */
static void drop_idle(redis *r)
{
    for (redisContext *c; (c = take_idle(r));) redisFree(c);
}

int64_t redis_up_ms(redis *r)
{
    int64_t since = atomic_load(&r->up_since);
    return since ? now_ms() - since + 1 : 0;
}

/* ---- calls ---- */

/* What it answers, which may be that it will not. */
static dreamo_status say(redis *r, const redis_words *w, int seconds, redisReply **out, problem *p)
{
    redisReply *a = NULL;
    char why[160] = "";
    *out = NULL;
    for (int i = 0; i < 2 && !a; i++) {
        redisContext *c = i == 0 ? take_idle(r) : NULL;
        dreamo_status s = c ? DREAMO_OK : connect_to(r, &c, p);
        if (s) return s;
        redisSetTimeout(c, (struct timeval){ .tv_sec = ANSWER_SECONDS + seconds });
        a = redisCommandArgv(c, w->n, (const char **)(uintptr_t)w->word, w->nbytes);
        snprintf(why, sizeof why, "%s", c->errstr);
        if (a) {
            put_idle(r, c);
        } else {
            redisFree(c);
            drop_idle(r);
        }
    }
    *out = a;
    return a ? DREAMO_OK : gone(r, why, p);
}

/* Its refusals become problems. */
static dreamo_status check(redis *r, redisReply **a, problem *p)
{
    if ((*a)->type != REDIS_REPLY_ERROR) return DREAMO_OK;
    dreamo_status s = said_no(r, (*a)->str, p);
    freeReplyObject(*a);
    *a = NULL;
    return s;
}

dreamo_status redis_call(redis *r, const redis_words *w, int seconds, redisReply **out, problem *p)
{
    dreamo_status s = say(r, w, seconds, out, p);
    return s ? s : check(r, out, p);
}

/* What Redis calls the script; "": not known yet. */
static void find_sha(redis *r, const char *script, char sha[41])
{
    *sha = '\0';
    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < r->nscripts; i++)
        if (r->scripts[i].script == script) memcpy(sha, r->scripts[i].sha, 41);
    pthread_mutex_unlock(&r->lock);
}

static dreamo_status load(redis *r, const char *script, char sha[41], problem *p)
{
    redis_words w = { 0 };
    redisReply *a;
    redis_text(&w, "SCRIPT");
    redis_text(&w, "LOAD");
    redis_text(&w, script);
    dreamo_status s = redis_call(r, &w, 0, &a, p);
    if (s) return s;
    snprintf(sha, 41, "%s", redis_string(a));
    freeReplyObject(a);
    pthread_mutex_lock(&r->lock);
    if (r->nscripts < SCRIPTS) { /* twice, when two threads meet here: no harm */
        r->scripts[r->nscripts].script = script;
        memcpy(r->scripts[r->nscripts++].sha, sha, 41);
    }
    pthread_mutex_unlock(&r->lock);
    return DREAMO_OK;
}

/* By its hash, so that its text goes over once; a server that was started anew does not know it, and is told again. */
dreamo_status redis_script(redis *r, const char *script, const redis_words *w, redisReply **out, problem *p)
{
    char sha[41];
    *out = NULL;
    find_sha(r, script, sha);
    dreamo_status s = *sha ? DREAMO_OK : load(r, script, sha, p);
    for (int whole = 0; !s && whole < 2; whole++) {
        redis_words all = { 0 };
        redis_text(&all, whole ? "EVAL" : "EVALSHA");
        redis_text(&all, whole ? script : sha);
        redis_text(&all, "0");
        for (int i = 0; i < w->n; i++) redis_bytes(&all, w->word[i], w->nbytes[i]);
        s = say(r, &all, 0, out, p);
        if (s || (*out)->type != REDIS_REPLY_ERROR || strncmp((*out)->str, "NOSCRIPT", 8) || whole) break;
        freeReplyObject(*out);
        *out = NULL;
    }
    return s ? s : check(r, out, p);
}

/* ---- opening ---- */

static dreamo_status bad_url(const char *why, problem *p)
{
    refuse(p, DREAMO_ARG, NULL, "--queue: %s", why);
    return advise(p, "for example redis://localhost, redis://:PASSWORD@10.0.0.5:6379/0");
}

static bool copy(char *to, size_t room, const char *from, size_t n)
{
    if (n >= room) return false;
    memcpy(to, from, n);
    to[n] = '\0';
    return true;
}

static bool number(const char *s, size_t n, int lo, int hi, int *out)
{
    char digits[8];
    if (n == 0 || strspn(s, "0123456789") < n || !copy(digits, sizeof digits, s, n)) return false;
    *out = (int)strtol(digits, NULL, 10);
    return *out >= lo && *out <= hi;
}

/* The password is never part of a message. */
static dreamo_status read_url(redis *r, const char *url, problem *p)
{
    if (strncmp(url, "redis://", 8)) return bad_url("the address does not begin with redis:// (for TLS put stunnel or a VPN between)", p);
    const char *at = url + 8, *slash = at + strcspn(at, "/"), *sign = memrchr(at, '@', (size_t)(slash - at));
    r->port = 6379;
    if (sign) {
        const char *colon = memchr(at, ':', (size_t)(sign - at));
        if (!colon) return bad_url("before @ stands no :PASSWORD", p);
        if (!copy(r->user, sizeof r->user, at, (size_t)(colon - at)) || !copy(r->password, sizeof r->password, colon + 1, (size_t)(sign - colon - 1)))
            return bad_url("the password is too long", p);
        at = sign + 1;
    }
    const char *end = *at == '[' ? memchr(at, ']', (size_t)(slash - at)) : NULL, *host = end ? at + 1 : at;
    const char *colon = memchr(end ? end : at, ':', (size_t)(slash - (end ? end : at)));
    size_t n = (size_t)((end ? end : colon ? colon : slash) - host);
    if (n == 0 || !copy(r->host, sizeof r->host, host, n)) return bad_url("the address has no host", p);
    if (colon && !number(colon + 1, (size_t)(slash - colon - 1), 1, 65535, &r->port)) return bad_url("the port is not 1 to 65535", p);
    if (slash[0] && slash[1] && !number(slash + 1, strlen(slash + 1), 0, 9999, &r->db)) return bad_url("what follows / is not the number of a database", p);
    snprintf(r->name, sizeof r->name, "redis://%s:%d/%d", r->host, r->port, r->db);
    return DREAMO_OK;
}

dreamo_status redis_open(const char *url, redis **out, problem *p)
{
    redis *r = calloc(1, sizeof *r);
    redisContext *c;
    *out = NULL;
    if (!r) return refuse(p, DREAMO_MEMORY, NULL, "no memory for a connection");
    pthread_mutex_init(&r->lock, NULL);
    dreamo_status s = read_url(r, url, p);
    if (!s && !(s = connect_to(r, &c, p))) put_idle(r, c);
    if (s) redis_close(r);
    else *out = r;
    return s;
}

void redis_close(redis *r)
{
    if (!r) return;
    drop_idle(r);
    pthread_mutex_destroy(&r->lock);
    explicit_bzero(r->password, sizeof r->password);
    free(r);
}

const char *redis_name(const redis *r) { return r->name; }
