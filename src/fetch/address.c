/* address.c - URLs, as far as trust depends on them. */
#include "fetch/address.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Scheme and authority of a URL; `rest` is what follows. */
typedef struct address { bool https; const char *host; size_t nhost; const char *rest; } address;

static bool is_plain(const char *s)
{
    for (; *s; s++)
        if (*s <= 0x20 || *s >= 0x7F || *s == '\\') return false; /* char may be signed: bytes over 0x7F are refused both ways */
    return true;
}

static bool take_apart(const char *url, address *out)
{
    if (!is_plain(url)) return false;
    if (strncasecmp(url, "https://", 8) == 0) *out = (address){ .https = true, .host = url + 8 };
    else if (strncasecmp(url, "http://", 7) == 0) *out = (address){ .host = url + 7 };
    else return false;
    out->nhost = strcspn(out->host, "/?#");
    out->rest = out->host + out->nhost;
    return out->nhost > 0 && !memchr(out->host, '@', out->nhost);
}

/* localhost, 127.x.y.z, [::1], with or without a port. */
static bool is_loopback(const address *a)
{
    char host[64];
    if (a->nhost >= sizeof host) return false;
    memcpy(host, a->host, a->nhost);
    host[a->nhost] = '\0';
    char *port = host[0] == '[' ? strchr(host, ']') : host;
    if (port && (port = strchr(port, ':')) != NULL) *port = '\0';
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host);
}

dreamo_status address_check_endpoint(const char *url, dreamo_error *err)
{
    address a;
    if (!take_apart(url, &a) || strpbrk(a.rest, "?#"))
        return fail(err, DREAMO_ARG, "endpoint \"%s\": is not https://HOST[:PORT][/PATH]", url);
    if (strlen(url) > 500) return fail(err, DREAMO_ARG, "endpoint: is longer than 500 characters");
    if (!a.https && !is_loopback(&a))
        return fail(err, DREAMO_ARG, "endpoint \"%s\": only https:// is allowed, http:// for a loopback host", url);
    return DREAMO_OK;
}

bool address_may_follow(const char *from, const char *to)
{
    address a, b;
    if (!take_apart(from, &a) || !take_apart(to, &b)) return false;
    return b.https || (!a.https && is_loopback(&a) && is_loopback(&b));
}

bool address_same_origin(const char *one, const char *other)
{
    address a, b;
    if (!take_apart(one, &a) || !take_apart(other, &b)) return false;
    return a.https == b.https && a.nhost == b.nhost && strncasecmp(a.host, b.host, a.nhost) == 0;
}

bool address_is_loopback(const char *url)
{
    address a;
    return take_apart(url, &a) && is_loopback(&a);
}

void address_host(const char *url, char *out, size_t nbytes)
{
    address a;
    if (take_apart(url, &a)) snprintf(out, nbytes, "%.*s", (int)(a.nhost < 200 ? a.nhost : 200), a.host);
    else snprintf(out, nbytes, "(not an address)");
}

bool address_token_is_plain(const char *token)
{
    size_t n = strlen(token);
    return n > 0 && n <= 512 && is_plain(token);
}
