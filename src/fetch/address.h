/* address.h - which addresses may be connected to, and which of them may see the token. */
#ifndef FETCH_ADDRESS_H
#define FETCH_ADDRESS_H
#include <stddef.h>
#include "base/error.h"

/* Refuses (DREAMO_ARG) what is not https://HOST[:PORT][/PATH], or http:// with a loopback host; user names, spaces, and in an
 * endpoint queries and fragments too. */
dreamo_status address_check_endpoint(const char *url, dreamo_error *err);
/* May a redirect be followed there?  https always; http only from a loopback host to a loopback host. */
bool address_may_follow(const char *from, const char *to);
/* Same scheme, host and port, as written: only then does a token travel on. */
bool address_same_origin(const char *a, const char *b);
bool address_is_loopback(const char *url);
/* "host[:port]" of a URL, for messages: what follows may be a signature that is nobody's business. */
void address_host(const char *url, char *out, size_t nbytes);
/* 1 to 512 printable ASCII characters without a space: what may stand in a header. */
bool address_token_is_plain(const char *token);
#endif
