/* events.c - encoding events, and cutting a file of them. */
#include "train/report/events.h"

#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"

enum { HEAD = 12, TAIL = 4 };

/* ---- records ---- */

uint32_t crc32c(const void *data, size_t nbytes)
{
    const unsigned char *p = data;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < nbytes; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* So that a CRC of data that hold CRCs is no special case. */
static uint32_t masked(const void *data, size_t nbytes)
{
    uint32_t crc = crc32c(data, nbytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_little(unsigned char *p, uint64_t x, int nbytes)
{
    for (int i = 0; i < nbytes; i++) p[i] = (unsigned char)(x >> 8 * i);
}

static uint64_t little(const unsigned char *p, int nbytes)
{
    uint64_t x = 0;
    for (int i = 0; i < nbytes; i++) x |= (uint64_t)p[i] << 8 * i;
    return x;
}

/* ---- messages ---- */

typedef struct message { unsigned char *p; size_t n, room; bool failed; } message;

static void put_bytes(message *m, const void *data, size_t n)
{
    if (m->n + n > m->room) {
        size_t room = 2 * (m->n + n) + 64;
        unsigned char *more = m->failed ? NULL : mem_realloc(m->p, room);
        if (!more) {
            m->failed = true;
            return;
        }
        m->p = more;
        m->room = room;
    }
    if (n) memcpy(m->p + m->n, data, n);
    m->n += n;
}

enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };

static void put_varint(message *m, uint64_t x)
{
    unsigned char b[10];
    size_t n = 0;
    do {
        b[n++] = (unsigned char)((x & 0x7f) | (x > 0x7f ? 0x80 : 0));
        x >>= 7;
    } while (x);
    put_bytes(m, b, n);
}

static void put_key(message *m, int field, int type) { put_varint(m, (uint64_t)(field << 3 | type)); }

static void put_field(message *m, int field, const void *data, size_t n)
{
    put_key(m, field, BYTES);
    put_varint(m, n);
    put_bytes(m, data, n);
}

static void put_fixed(message *m, int field, const void *x, int nbytes)
{
    uint64_t bits = 0;
    unsigned char b[8];
    memcpy(&bits, x, (size_t)nbytes);
    put_little(b, bits, nbytes);
    put_key(m, field, nbytes == 8 ? FIXED64 : FIXED32);
    put_bytes(m, b, (size_t)nbytes);
}

/* Field `field` of an Event, in a record at the end of the file; the bytes are freed. */
static dreamo_status append(const char *path, int64_t step, int field, message *inner, dreamo_error *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double time = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    unsigned char head[HEAD], tail[TAIL];
    message event = { 0 }, record = { 0 };
    put_fixed(&event, 1, &time, 8);
    if (step) { /* zero is what a missing field means */
        put_key(&event, 2, VARINT);
        put_varint(&event, (uint64_t)step);
    }
    put_field(&event, field, inner->p, inner->n);
    put_little(head, event.n, 8);
    put_little(head + 8, masked(head, 8), 4);
    put_little(tail, event.failed ? 0 : masked(event.p, event.n), 4);
    put_bytes(&record, head, HEAD);
    put_bytes(&record, event.p, event.n);
    put_bytes(&record, tail, TAIL);
    dreamo_status s = inner->failed || event.failed || record.failed ? fail(err, DREAMO_MEMORY, "%s: no memory for an event", path)
                                                                     : file_append(path, record.p, record.n, err);
    mem_free(inner->p);
    mem_free(event.p);
    mem_free(record.p);
    return s;
}

dreamo_status events_numbers(const char *path, int64_t step, const char *prefix, const log_part *part, int n, dreamo_error *err)
{
    message summary = { 0 };
    for (int i = 0; i < n; i++) {
        message value = { 0 }, tag = { 0 };
        float x = (float)part[i].value;
        put_bytes(&tag, prefix, strlen(prefix));
        put_bytes(&tag, part[i].name, strlen(part[i].name));
        put_field(&value, 1, tag.p, tag.n);
        put_fixed(&value, 2, &x, 4);
        put_field(&summary, 1, value.p, value.n);
        summary.failed |= tag.failed || value.failed;
        mem_free(tag.p);
        mem_free(value.p);
    }
    return append(path, step, 5, &summary, err);
}

dreamo_status events_picture(const char *path, int64_t step, const char *tag, const void *png, size_t nbytes, dreamo_error *err)
{
    const unsigned char *p = png;
    message picture = { 0 }, value = { 0 }, summary = { 0 };
    if (nbytes < 24) return fail(err, DREAMO_BUG, "%s: no PNG", tag);
    for (int field = 1; field <= 2; field++) { /* height, width: big-endian in the PNG's first chunk, the other way round */
        const unsigned char *side = p + (field == 1 ? 20 : 16);
        put_key(&picture, field, VARINT);
        put_varint(&picture, (uint64_t)side[0] << 24 | (uint64_t)side[1] << 16 | (uint64_t)side[2] << 8 | side[3]);
    }
    put_key(&picture, 3, VARINT);
    put_varint(&picture, 3); /* RGB */
    put_field(&picture, 4, png, nbytes);
    put_field(&value, 1, tag, strlen(tag));
    put_field(&value, 4, picture.p, picture.n);
    put_field(&summary, 1, value.p, value.n);
    summary.failed |= picture.failed || value.failed;
    mem_free(picture.p);
    mem_free(value.p);
    return append(path, step, 5, &summary, err);
}

/* ---- opening ---- */

/* A field of that key and its number (what follows it in bytes, for BYTES). */
static bool take(const unsigned char *p, size_t n, size_t *at, int field, int type, uint64_t *x)
{
    *x = 0;
    if (*at >= n || p[*at] != (field << 3 | type)) return false;
    for (size_t i = *at + 1, shift = 0; i < n && shift < 63; i++, shift += 7) {
        *x |= (uint64_t)(p[i] & 0x7f) << shift;
        if (!(p[i] & 0x80)) return *at = i + 1, true;
    }
    return false;
}

/* The step of an Event that begins with its time, as all writers' do; -1: it does not.  *line: it is the step's line, whose first number
 * is the loss. */
static int64_t step_of(const unsigned char *p, size_t n, bool *line)
{
    size_t at = 9;
    uint64_t step = 0, length;
    *line = false;
    if (n < 11 || p[0] != (1 << 3 | FIXED64)) return -1;
    if (p[9] == (2 << 3 | VARINT) && !take(p, n, &at, 2, VARINT, &step)) return -1;
    *line = take(p, n, &at, 5, BYTES, &length) && take(p, n, &at, 1, BYTES, &length) && take(p, n, &at, 1, BYTES, &length) && length == 4 &&
            n - at >= 4 && memcmp(p + at, "loss", 4) == 0;
    return (int64_t)step;
}

/* Bytes of the record at p; 0: none that is whole. */
static size_t record_nbytes(const unsigned char *p, size_t n)
{
    if (n < HEAD + TAIL || little(p + 8, 4) != masked(p, 8)) return 0;
    uint64_t inner = little(p, 8);
    if (inner > n - HEAD - TAIL || little(p + HEAD + inner, 4) != masked(p + HEAD, (size_t)inner)) return 0;
    return (size_t)inner + HEAD + TAIL;
}

static dreamo_status cut_after(const char *path, int64_t done, bool whole, dreamo_error *err)
{
    filemap map;
    filewriter w;
    size_t n;
    dreamo_status s = file_map(path, &map, err);
    if (s) return s;
    if ((s = file_create(&w, path, true, err)) != DREAMO_OK) {
        file_unmap(&map);
        return s;
    }
    for (size_t at = 0; !s && (n = record_nbytes(map.data + at, map.nbytes - at)) > 0; at += n) {
        bool line;
        int64_t step = step_of(map.data + at + HEAD, n - HEAD - TAIL, &line);
        if (step >= 0 && (step < done || (step == done && (whole || line || step == 0)))) s = file_write(&w, map.data + at, n, err);
    }
    if (s || w.nbytes == map.nbytes) file_abort(&w); /* nothing to cut */
    else s = file_commit(&w, err);
    file_unmap(&map);
    return s;
}

dreamo_status events_open(const char *path, int64_t done, bool whole, dreamo_error *err)
{
    static const char version[] = "brain.Event:2";
    if (file_exists(path)) {
        dreamo_status s = cut_after(path, done, whole, err);
        uint64_t nbytes = 0;
        if (!s) s = file_nbytes(path, &nbytes, err);
        if (s || nbytes) return s;
    }
    message m = { 0 };
    put_bytes(&m, version, sizeof version - 1);
    return append(path, 0, 3, &m, err);
}
