/* download.c - tries until a file is whole, each going on where the last one ended.
 *
 * Bytes are only added to a part when they continue the same content: the server confirms the ETag that the part has (If-Range), or
 * the hub's checksum is the one of the part, or a checksum is known that will tell at the end.  Everything a server says of
 * lengths is compared with everything else it said; what does not agree ends the try, and what cannot be trusted the part. */
#include "fetch/download.h"
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/progress.h"
#include "fetch/http.h"
#include "fetch/part.h"

const download_patience download_patient = { .tries = 6, .progress = 1 << 20, .first_wait = 1, .longest_wait = 300, .stall = 60 };

/* A download under way. */
typedef struct download_state {
    const download_request *r;
    filewriter out;
    part_facts facts;     /* of what lies in the part */
    http_answer answer;
    bool again;           /* after a failure: another try may help */
    bool distrust;        /* after a failure: the part is not to be gone on with */
} download_state;

static uint64_t have(const download_state *d) { return d->out.nbytes; }

/* A failure that another try may mend. */
#define TRY_AGAIN(d, err, ...) ((d)->again = true, fail(err, DREAMO_NET, __VA_ARGS__))

static dreamo_status start_over(download_state *d, dreamo_error *err)
{
    part_forget_facts(&d->facts);
    d->distrust = false;
    return file_restart(&d->out, err);
}

/* ---- the answer's head ---- */

static bool differ(const char *a, const char *b) { return a[0] && b[0] && strcmp(a, b) != 0; }

/* A 206 must be the rest of what we have, of the same content. */
static dreamo_status check_rest(download_state *d, const http_answer *a, dreamo_error *err)
{
    const char *name = d->r->name;
    const part_facts *f = &d->facts;
    d->distrust = true;
    long long first = a->first, last = a->last, length = a->length;
    if (first < 0) return TRY_AGAIN(d, err, "%s: the server sends a part and does not say which", name);
    if ((uint64_t)first != have(d))
        return TRY_AGAIN(d, err, "%s: the server sends bytes from %lld on, asked for were those from %llu on", name, first,
                         (unsigned long long)have(d));
    if (length >= 0 && length != last - first + 1)
        return TRY_AGAIN(d, err, "%s: the server announces %lld bytes and bytes %lld to %lld", name, length, first, last);
    if (a->total >= 0 && f->total >= 0 && a->total != f->total)
        return TRY_AGAIN(d, err, "%s: changed at the server: %lld bytes, was %lld", name, (long long)a->total, (long long)f->total);
    if (differ(a->sha256, f->sha256)) return TRY_AGAIN(d, err, "%s: changed at the server: it has another checksum", name);
    if (!(a->sha256[0] && f->sha256[0]) && differ(a->etag, f->etag))
        return TRY_AGAIN(d, err, "%s: changed at the server: it has another ETag", name);
    d->distrust = false;
    return DREAMO_OK;
}

/* The whole file's bytes by all that was said; they must agree. */
static dreamo_status agree_on_total(download_state *d, const http_answer *a, int64_t *total, dreamo_error *err)
{
    *total = a->status == 206 ? a->total : a->length;
    if (*total < 0) *total = a->linked_nbytes;
    if (*total < 0 && a->status == 206) *total = d->facts.total;
    if (a->linked_nbytes < 0 || a->linked_nbytes == *total) return DREAMO_OK;
    d->distrust = true;
    return TRY_AGAIN(d, err, "%s: the server announces %lld bytes and a file of %lld", d->r->name, (long long)*total,
                     (long long)a->linked_nbytes);
}

static dreamo_status check_room(const download_state *d, int64_t total, dreamo_error *err)
{
    uint64_t space = 0, rest = total >= 0 && (uint64_t)total > have(d) ? (uint64_t)total - have(d) : 0;
    dreamo_status s = rest ? file_space(d->r->path, &space, err) : DREAMO_OK;
    if (s || rest <= space) return s;
    char want[24], have[24];
    progress_bytes((double)rest, want, sizeof want);
    progress_bytes((double)space, have, sizeof have);
    return fail(err, DREAMO_IO, "%s: %s are to come, the disk has %s: %llu bytes too few", d->r->path, want, have,
                (unsigned long long)(rest - space));
}

static dreamo_status on_head(void *user, const http_answer *a, dreamo_error *err)
{
    download_state *d = user;
    int64_t total = -1;
    dreamo_status s = DREAMO_OK;
    if (d->r->sha256 && differ(a->sha256, d->r->sha256))
        return fail(err, DREAMO_FORMAT, "%s: the hub has a file with sha256 %s, expected is %s", d->r->name, a->sha256, d->r->sha256);
    if (a->status == 206) {
        s = check_rest(d, a, err);
    } else if (have(d) > 0) {
        bool go_on = tell_line(d->r->tell, DREAMO_EVENT_NOTE, "%s: the server sends it from the beginning again", d->r->name);
        s = go_on ? start_over(d, err) : fail(err, DREAMO_CANCELLED, "stopped on request");
    }
    if (!s) s = agree_on_total(d, a, &total, err);
    if (!s) s = check_room(d, total, err);
    if (s) return s;
    part_facts now = d->facts;
    now.total = total;
    memcpy(now.etag, a->etag, sizeof now.etag);
    if (a->sha256[0]) memcpy(now.sha256, a->sha256, sizeof now.sha256);
    d->facts = now;
    tell_begin(d->r->tell, d->r->shown, (int64_t)have(d), total > 0 ? total : 0);
    return part_write(d->r->path, &d->facts, err); /* before the first byte: a part never has another's facts */
}

static dreamo_status on_body(void *user, const void *data, size_t nbytes, dreamo_error *err)
{
    download_state *d = user;
    if (d->facts.total >= 0 && (uint64_t)d->facts.total - have(d) < nbytes) {
        d->distrust = true;
        return TRY_AGAIN(d, err, "%s: the server sends more than the %lld bytes it announced", d->r->name, (long long)d->facts.total);
    }
    return file_write(&d->out, data, nbytes, err);
}

static bool on_tick(void *user)
{
    download_state *d = user;
    return tell_bytes(d->r->tell, (int64_t)have(d));
}

/* ---- one try ---- */

static dreamo_status refused(const download_state *d, dreamo_error *err)
{
    const download_request *r = d->r;
    fail(err, DREAMO_AUTH, "%s: the hub refuses access (%d)", r->name, d->answer.status);
    if (!r->token)
        return hint(err, "accept the licence at %s, make a read token there, and pass it by HF_TOKEN or --token-file", r->about);
    if (d->answer.status == 401) return hint(err, "the token is not valid there; make a new read token");
    return hint(err, "the token's owner must accept the licence at %s, and the token must be allowed to read it", r->about);
}

/* 416: there is nothing after what we have; so it is all, or it is something else. */
static dreamo_status past_the_end(download_state *d, dreamo_error *err)
{
    int64_t total = d->answer.total >= 0 ? d->answer.total : d->facts.total;
    if (have(d) > 0 && total >= 0 && (uint64_t)total == have(d)) return DREAMO_OK;
    d->distrust = true;
    return TRY_AGAIN(d, err, "%s: the server has no bytes from %llu on (416)", d->r->name, (unsigned long long)have(d));
}

static dreamo_status judge(download_state *d, dreamo_error *err)
{
    const char *name = d->r->name;
    int status = d->answer.status;
    switch (status) {
    case 200:
    case 206:
        if (d->facts.total < 0 || (uint64_t)d->facts.total == have(d)) return DREAMO_OK;
        return TRY_AGAIN(d, err, "%s: ended at %llu of %lld bytes", name, (unsigned long long)have(d), (long long)d->facts.total);
    case 401:
    case 403: return refused(d, err);
    case 404:
    case 410: return fail(err, DREAMO_NOT_FOUND, "%s: the hub has no such file (%d)", name, status);
    case 416: return past_the_end(d, err);
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504: return TRY_AGAIN(d, err, "%s: the server is busy or in trouble (%d)", name, status);
    default: return fail(err, DREAMO_NET, "%s: the server answers %d", name, status);
    }
}

static dreamo_status try_once(download_state *d, dreamo_error *err)
{
    const download_request *r = d->r;
    bool known = d->facts.etag[0] || d->facts.sha256[0] || r->sha256, begun = have(d) > 0;
    uint64_t total = d->facts.total >= 0 ? (uint64_t)d->facts.total : UINT64_MAX;
    dreamo_status s = DREAMO_OK;
    d->again = false;
    d->answer = (http_answer){ 0 };
    if (begun && have(d) == total) return DREAMO_OK; /* stopped just before the end */
    if (begun && (d->distrust || !known || have(d) > total)) s = start_over(d, err);
    if (s) return s;
    http_request get = { .url = r->url, .token = r->token, .from = (int64_t)have(d), .etag = d->facts.etag, .sha256 = d->facts.sha256,
                         .stall = r->patience->stall, .user = d, .tick = on_tick, .head = on_head, .body = on_body };
    s = http_get(&get, &d->answer, err);
    if (s == DREAMO_NET && d->answer.again) d->again = true;
    return s ? s : judge(d, err);
}

/* ---- all tries ---- */

static bool sleep_for(teller *t, double seconds)
{
    const struct timespec nap = { .tv_nsec = 50000000 };
    for (double end = seconds_now() + seconds; seconds_now() < end;) {
        if (!tell_alive(t)) return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

/* Wait before try number `next`, telling why; false: the caller stops. */
static bool wait_again(const download_state *d, const char *why, double seconds)
{
    char words[40];
    progress_words(seconds, words, sizeof words);
    return tell_line(d->r->tell, DREAMO_EVENT_WARNING, "%s; trying again in %s", why, words) && sleep_for(d->r->tell, seconds);
}

static dreamo_status try_until_whole(download_state *d, dreamo_error *err)
{
    const download_patience *p = d->r->patience;
    uint64_t best = have(d);
    double wait = p->first_wait;
    for (int tries = 1;; tries++) {
        dreamo_error why = { 0 };
        dreamo_status s = try_once(d, &why);
        if (s && d->again && have(d) >= best + p->progress) {
            tries = 1;
            wait = p->first_wait;
        }
        if (have(d) > best) best = have(d);
        bool patient = d->again && tries < p->tries && d->answer.wait <= p->longest_wait;
        if (s && patient) {
            double longer = d->answer.wait > wait ? d->answer.wait : wait;
            if (!wait_again(d, why.message, longer)) return fail(err, DREAMO_CANCELLED, "stopped on request");
            wait = 2 * wait < p->longest_wait ? 2 * wait : p->longest_wait;
            continue;
        }
        if (!s) return s;
        fail(err, s, "%s", why.message);
        if (d->answer.wait > p->longest_wait)
            return hint(err, "it asks to be left alone for %.0f minutes; the same command goes on where this one ended",
                        d->answer.wait / 60);
        if (d->again) return hint(err, "gave up after %d tries; the same command goes on where this one ended", tries);
        return hint(err, "%s", why.hint);
    }
}

/* What was downloaded is what was meant. */
static dreamo_status check_sum(download_state *d, char sha256[65], dreamo_error *err)
{
    const download_request *r = d->r;
    const char *expected = r->sha256 ? r->sha256 : d->facts.sha256;
    dreamo_status s = tell_sha256(r->tell, d->out.temp, r->shown, sha256, err);
    if (s || !*expected || strcmp(sha256, expected) == 0) return s;
    file_restart(&d->out, NULL);
    fail(err, DREAMO_FORMAT, "%s: sha256 is %s, expected is %s; the download was removed", r->name, sha256, expected);
    return hint(err, "the same command downloads it again");
}

dreamo_status download(const download_request *r, uint64_t *nbytes, char sha256[65], dreamo_error *err)
{
    download_state d = { .r = r };
    dreamo_status s = file_continue(&d.out, r->path, err);
    if (s) return s;
    if (have(&d) > 0) part_read(r->path, &d.facts);
    else part_forget_facts(&d.facts);
    tell_begin(r->tell, r->shown, (int64_t)have(&d), d.facts.total > 0 ? d.facts.total : 0);
    s = try_until_whole(&d, err);
    if (!s) s = check_sum(&d, sha256, err);
    *nbytes = have(&d);
    bool nothing = have(&d) == 0;
    if (!s && r->enter) s = r->enter(r->user, *nbytes, sha256, err);
    if (!s) s = file_commit(&d.out, err);
    else file_pause(&d.out);
    if (!s || nothing) part_remove(r->path);
    return s;
}
