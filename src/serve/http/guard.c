/* guard.c - a web page elsewhere must not drive this server, and off this machine only who has a key. */
#include "serve/http/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "serve/text.h"

/* ---- keys ---- */

/* "NAME KEY [PER-MINUTE]", the line's number for messages. */
static dreamo_status read_key(guard *g, char *words, int number, problem *p)
{
    char *rest, *name = strtok_r(words, " \t\r", &rest), *key = name ? strtok_r(NULL, " \t\r", &rest) : NULL;
    char *rate = key ? strtok_r(NULL, " \t\r", &rest) : NULL, *end = NULL;
    if (!name || *name == '#') return DREAMO_OK;
    if (!key || (rate && strtok_r(NULL, " \t\r", &rest)))
        return refuse(p, DREAMO_FORMAT, NULL, "key file, line %d: is not NAME KEY [PER-MINUTE]", number);
    if (strlen(name) >= sizeof g->keys[0].name) return refuse(p, DREAMO_FORMAT, NULL, "key file, line %d: the name is longer than 63 bytes", number);
    if (strlen(key) < 16) {
        refuse(p, DREAMO_FORMAT, NULL, "key file, line %d: the key has less than 16 characters", number);
        return advise(p, "openssl rand -hex 24 makes a good one");
    }
    long a_minute = rate ? strtol(rate, &end, 10) : 0;
    if (rate && (*end || a_minute < 1 || a_minute > 1000000))
        return refuse(p, DREAMO_FORMAT, NULL, "key file, line %d: \"%s\" is not a number of requests a minute", number, rate);
    for (int i = 0; i < g->nkeys; i++)
        if (strcmp(g->keys[i].name, name) == 0) return refuse(p, DREAMO_FORMAT, NULL, "key file, line %d: the name %s is there twice", number, name);
    if (g->nkeys == GUARD_KEYS) return refuse(p, DREAMO_LIMIT, NULL, "key file: more than %d keys", GUARD_KEYS);
    guard_key *k = &g->keys[g->nkeys++];
    *k = (guard_key){ .a_minute = (double)a_minute, .tokens = (double)a_minute };
    snprintf(k->name, sizeof k->name, "%s", name);
    dreamo_sha256(key, strlen(key), k->digest);
    return DREAMO_OK;
}

static dreamo_status read_keys(guard *g, const char *keys, problem *p)
{
    char *copy = strdup(keys);
    dreamo_status s = copy ? DREAMO_OK : refuse(p, DREAMO_MEMORY, NULL, "no memory for keys");
    int number = 1;
    for (char *at = copy, *next; !s && at; at = next, number++) {
        next = strchr(at, '\n');
        if (next) *next++ = '\0';
        s = read_key(g, at, number, p);
    }
    free(copy);
    if (!s && g->nkeys == 0) s = refuse(p, DREAMO_FORMAT, NULL, "key file: holds no key");
    return s;
}

dreamo_status guard_init(guard *g, const serve_options *o, const char *bound, bool local, problem *p)
{
    *g = (guard){ .o = o, .local = local };
    snprintf(g->bound, sizeof g->bound, "%s", bound);
    pthread_mutex_init(&g->lock, NULL);
    return o->keys ? read_keys(g, o->keys, p) : DREAMO_OK;
}

void guard_free(guard *g) { pthread_mutex_destroy(&g->lock); }

/* The same time for every key and every number of right characters: digests are compared, all of them, to the end. */
static guard_key *find_key(guard *g, const char *key)
{
    char digest[65];
    guard_key *found = NULL;
    dreamo_sha256(key, strlen(key), digest);
    for (int i = 0; i < g->nkeys; i++) {
        unsigned char differs = 0;
        for (int k = 0; k < 64; k++) differs |= (unsigned char)(digest[k] ^ g->keys[i].digest[k]);
        found = differs ? found : &g->keys[i];
    }
    return found;
}

/* What A1111's clients send: any name, and the key as password. */
static bool basic_password(const char *base64, char out[400])
{
    problem p = { 0 };
    void *data;
    size_t n;
    if (strlen(base64) > 500 || base64_read(base64, strlen(base64), NULL, &data, &n, &p)) return false;
    const char *colon = memchr(data, ':', n);
    size_t skip = colon ? (size_t)(colon + 1 - (const char *)data) : n;
    bool fits = colon && n - skip < 400;
    if (fits) snprintf(out, 400, "%.*s", (int)(n - skip), (const char *)data + skip);
    free(data);
    return fits;
}

static dreamo_status take_token(guard *g, guard_key *k, problem *p)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (k->a_minute <= 0) return DREAMO_OK;
    pthread_mutex_lock(&g->lock);
    k->tokens += k->filled > 0 ? (now - k->filled) * k->a_minute / 60 : 0;
    if (k->tokens > k->a_minute) k->tokens = k->a_minute;
    k->filled = now;
    bool enough = k->tokens >= 1;
    if (enough) k->tokens -= 1;
    double missing = 1 - k->tokens;
    pthread_mutex_unlock(&g->lock);
    if (enough) return DREAMO_OK;
    p->retry_after = 1 + (int)(missing * 60 / k->a_minute);
    return refuse(p, DREAMO_BUSY, NULL, "the key %s may ask %g times a minute", k->name, k->a_minute);
}

dreamo_status guard_key_check(guard *g, const char *authorization, char who[64], problem *p)
{
    who[0] = '\0';
    if (g->nkeys == 0) return DREAMO_OK;
    if (!authorization) {
        refuse(p, DREAMO_AUTH, NULL, "a key is needed");
        return advise(p, "Authorization: Bearer KEY");
    }
    char password[400] = "";
    bool bearer = strncasecmp(authorization, "Bearer ", 7) == 0;
    bool basic = strncasecmp(authorization, "Basic ", 6) == 0 && basic_password(authorization + 6, password);
    guard_key *k = bearer || basic ? find_key(g, bearer ? authorization + 7 : password) : NULL;
    if (!k) return refuse(p, DREAMO_AUTH, NULL, bearer || basic ? "this key is not known" : "the key must come as Authorization: Bearer KEY");
    snprintf(who, 64, "%s", k->name);
    return take_token(g, k, p);
}

/* ---- Host and Origin ---- */

/* "example.org:80" and "[::1]:80" without their port. */
static bool host_part(const char *host, char out[256])
{
    size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (n == 0 || n >= 256 || n > strlen(host)) return false;
    const char *port = host + n;
    if (*port && (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1))) return false;
    bool brackets = *host == '[';
    snprintf(out, 256, "%.*s", (int)(brackets ? n - 2 : n), host + (brackets ? 1 : 0));
    return true;
}

static bool loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcasecmp(host, "localhost") == 0) return true;
    if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* The address that the client has called, written as a number. */
static bool is_called_address(const char *host, int fd)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    char name[INET6_ADDRSTRLEN] = "";
    if (getsockname(fd, (struct sockaddr *)&at, &n)) return false;
    if (at.ss_family == AF_INET) inet_ntop(AF_INET, &((struct sockaddr_in *)&at)->sin_addr, name, sizeof name);
    if (at.ss_family == AF_INET6) {
        const struct in6_addr *a = &((struct sockaddr_in6 *)&at)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(a)) inet_ntop(AF_INET, &a->s6_addr[12], name, sizeof name);
        else inet_ntop(AF_INET6, a, name, sizeof name);
    }
    return *name && strcasecmp(host, name) == 0;
}

dreamo_status guard_host(const guard *g, const char *host, int fd, problem *p)
{
    char name[256];
    if (!host) return refuse_http(p, DREAMO_ARG, 400, "the Host header is missing");
    if (g->local) return DREAMO_OK;
    if (!host_part(host, name)) return refuse_http(p, DREAMO_ARG, 400, "Host: \"%.80s\" is not a host", host);
    if (loopback(name) || (*g->bound && strcasecmp(name, g->bound) == 0) || is_called_address(name, fd)) return DREAMO_OK;
    for (int i = 0; i < g->o->nhosts; i++)
        if (strcasecmp(name, g->o->hosts[i]) == 0) return DREAMO_OK;
    refuse_http(p, DREAMO_AUTH, 403, "Host: \"%.80s\" is not a name of this server", host);
    return advise(p, "--hosts NAME adds one");
}

dreamo_status guard_origin(const guard *g, const char *origin, const char *host, bool *allowed, problem *p)
{
    *allowed = false;
    if (!origin) return DREAMO_OK;
    const char *after = strncmp(origin, "http://", 7) == 0 ? origin + 7 : strncmp(origin, "https://", 8) == 0 ? origin + 8 : NULL;
    if (after && host && strcasecmp(after, host) == 0) return DREAMO_OK;
    for (int i = 0; i < g->o->norigins; i++)
        if (strcasecmp(origin, g->o->origins[i]) == 0) {
            *allowed = true;
            return DREAMO_OK;
        }
    refuse_http(p, DREAMO_AUTH, 403, "Origin: \"%.80s\" may not use this server", origin);
    return advise(p, "--allow-origin URL allows it");
}
