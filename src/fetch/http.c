/* http.c - a GET with redirects followed by hand, so that the token stays with its origin and the hub's checksum is seen.
 *
 * Assumes libcurl 7.85 or newer.  Refuses: redirects away from https, more than MAX_HOPS of them, transfer in an encoding
 * (byte ranges would count other bytes). */
#include "fetch/http.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "fetch/address.h"
#include "fetch/header.h"

#ifdef DREAMO_CURL
#include <curl/curl.h>
#include <pthread.h>

enum { MAX_HOPS = 8, MAX_UNREAD = 1 << 18 };

bool http_available(void) { return true; }

/* One transfer: what its callbacks share. */
typedef struct transfer {
    const http_request *r;
    http_answer *a;
    CURL *curl;
    char host[256];            /* that is asked, for messages */
    char why[CURL_ERROR_SIZE]; /* libcurl's own words */
    bool headed;            /* the answer's head was read */
    size_t unread;          /* bytes of a redirect's page passed over */
    curl_off_t received;    /* of the body, and when the last of them came: */
    double moved;
    dreamo_status status;   /* of tick, head, body, or a refusal of ours; libcurl's result then does not matter */
    dreamo_error *err;
} transfer;

static const char *header(transfer *t, const char *name)
{
    struct curl_header *h;
    return curl_easy_header(t->curl, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

/* Into the answer; what a redirect said of the linked file stays. */
static void read_head(transfer *t)
{
    http_answer *a = t->a;
    const char *text;
    long status = 0;
    curl_off_t length = -1, wait = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &wait);
    a->status = (int)status;
    a->length = length;
    a->wait = wait > 0 ? (double)wait : 0;
    a->first = a->last = a->total = -1;
    a->etag[0] = '\0';
    if ((text = header(t, "Content-Range")) != NULL) header_content_range(text, &a->first, &a->last, &a->total);
    if ((text = header(t, "ETag")) != NULL) header_etag(text, a->etag);
    if ((text = header(t, "X-Linked-Etag")) != NULL) header_sha256(text, a->sha256);
    if ((text = header(t, "X-Linked-Size")) != NULL) header_number(text, &a->linked_nbytes);
    t->headed = true;
}

static bool has_content(const http_answer *a) { return a->status == 200 || a->status == 206; }

static dreamo_status begin_body(transfer *t)
{
    const char *coding;
    read_head(t);
    if (!has_content(t->a)) return DREAMO_OK;
    if ((coding = header(t, "Content-Encoding")) != NULL && strcmp(coding, "identity") != 0)
        return fail(t->err, DREAMO_NET, "%s: answers in the encoding \"%.40s\", which was not asked for", t->host, coding);
    if (t->a->length < 0 && header(t, "Content-Length")) /* libcurl passes over one that does not fit 63 bits */
        return fail(t->err, DREAMO_NET, "%s: announces a length that cannot be", t->host);
    return t->r->head(t->r->user, t->a, t->err);
}

static bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

static size_t on_body(char *data, size_t one, size_t n, void *user)
{
    transfer *t = user;
    (void)one; /* is 1 */
    if (!t->headed) t->status = begin_body(t);
    /* Nobody reads a refusal's page.  A redirect's must end before libcurl tells where it leads. */
    if (!t->status && is_redirect(t->a->status) && (t->unread += n) <= MAX_UNREAD) return n;
    if (t->status || !has_content(t->a)) return CURL_WRITEFUNC_ERROR;
    t->status = t->r->body(t->r->user, data, n, t->err);
    return t->status ? CURL_WRITEFUNC_ERROR : n;
}

static int on_tick(void *user, curl_off_t total, curl_off_t received, curl_off_t to_send, curl_off_t sent)
{
    transfer *t = user;
    double now = seconds_now();
    (void)total, (void)to_send, (void)sent;
    if (received != t->received) {
        t->received = received;
        t->moved = now;
    }
    if (!t->r->tick(t->r->user)) {
        t->status = fail(t->err, DREAMO_CANCELLED, "stopped on request");
    } else if (now - t->moved > t->r->stall) {
        t->a->again = true;
        t->status = fail(t->err, DREAMO_NET, "%s: nothing came for %.0f seconds", t->host, now - t->moved);
    }
    return t->status != DREAMO_OK;
}

/* What another try cannot mend: names, certificates, options. */
static bool is_final(CURLcode c)
{
    switch (c) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_BAD_FUNCTION_ARGUMENT: return true;
    default: return false;
    }
}

static bool append(struct curl_slist **list, char *line)
{
    struct curl_slist *longer = line ? curl_slist_append(*list, line) : NULL;
    mem_free(line);
    if (longer) *list = longer;
    return longer != NULL;
}

/* NULL with *ok false: no memory. */
static struct curl_slist *headers_for(const transfer *t, const char *url, bool *ok)
{
    const http_request *r = t->r;
    struct curl_slist *list = NULL;
    bool same = r->sha256 && r->sha256[0] && strcmp(r->sha256, t->a->sha256) == 0;
    *ok = true;
    if (r->token && address_same_origin(r->url, url)) *ok = append(&list, mem_printf("Authorization: Bearer %s", r->token));
    if (*ok && r->from > 0) *ok = append(&list, mem_printf("Range: bytes=%lld-", (long long)r->from));
    if (*ok && r->from > 0 && !same && r->etag && r->etag[0]) *ok = append(&list, mem_printf("If-Range: %s", r->etag));
    if (!*ok) curl_slist_free_all(list);
    return *ok ? list : NULL;
}

static void set_options(transfer *t, const char *url, struct curl_slist *headers)
{
    CURL *c = t->curl;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https"); /* which of them: address.c */
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "dreamo/" DREAMO_VERSION_TEXT);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_tick);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    if (address_is_loopback(url)) curl_easy_setopt(c, CURLOPT_PROXY, "");
}

/* One answer, without following it. */
static dreamo_status get_one(transfer *t, const char *url)
{
    bool ok;
    struct curl_slist *headers = headers_for(t, url, &ok);
    if (!ok) return fail(t->err, DREAMO_MEMORY, "no memory for a request");
    t->headed = false;
    t->unread = 0;
    t->received = 0;
    t->moved = seconds_now();
    address_host(url, t->host, sizeof t->host);
    t->why[0] = '\0';
    set_options(t, url, headers);
    CURLcode code = curl_easy_perform(t->curl);
    if (!t->status && code == CURLE_OK && !t->headed) t->status = begin_body(t); /* an answer without a body */
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (t->status) return t->status;
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && t->headed && !has_content(t->a))) return DREAMO_OK;
    t->a->again = !is_final(code);
    dreamo_status s = code == CURLE_OUT_OF_MEMORY ? DREAMO_MEMORY : DREAMO_NET;
    return fail(t->err, s, "%s: %s", t->host, t->why[0] ? t->why : curl_easy_strerror(code));
}

static dreamo_status follow(transfer *t)
{
    char *url = mem_strdup(t->r->url);
    dreamo_status s = url ? DREAMO_OK : fail(t->err, DREAMO_MEMORY, "no memory for a request");
    for (int hops = 0; !s; hops++) {
        char *where = NULL, *next;
        if ((s = get_one(t, url)) != DREAMO_OK || !is_redirect(t->a->status)) break;
        curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_URL, &where);
        if (!where) s = fail(t->err, DREAMO_NET, "%s: redirects to nowhere", t->host);
        else if (hops == MAX_HOPS) s = fail(t->err, DREAMO_NET, "%s: more than %d redirects", t->host, MAX_HOPS);
        else if (!address_may_follow(url, where)) s = fail(t->err, DREAMO_NET, "%s: redirects away from https", t->host);
        else if (!(next = mem_strdup(where))) s = fail(t->err, DREAMO_MEMORY, "no memory for a request");
        else {
            mem_free(url);
            url = next;
        }
    }
    mem_free(url);
    return s;
}

static void start_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

dreamo_status http_get(const http_request *r, http_answer *a, dreamo_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
    *a = (http_answer){ .length = -1, .first = -1, .last = -1, .total = -1, .linked_nbytes = -1 };
    transfer t = { .r = r, .a = a, .curl = curl_easy_init(), .err = err };
    if (!t.curl) return fail(err, DREAMO_MEMORY, "no memory for a connection");
    dreamo_status s = follow(&t);
    curl_easy_cleanup(t.curl);
    return s;
}

#else

bool http_available(void) { return false; }

dreamo_status http_get(const http_request *r, http_answer *a, dreamo_error *err)
{
    (void)r;
    *a = (http_answer){ .length = -1, .first = -1, .last = -1, .total = -1, .linked_nbytes = -1 };
    return fail(err, DREAMO_NET, "this dreamo was built without libcurl: fetch lists and checks, and cannot download");
}
#endif
