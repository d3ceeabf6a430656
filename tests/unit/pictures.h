/* pictures.h - picture files made byte by byte, for test_image_png.c and test_image_file.c. */
#ifndef TESTS_PICTURES_H
#define TESTS_PICTURES_H
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "format/image_file.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* ---- bytes that grow ---- */

typedef struct bytes { unsigned char *data; size_t n, room; } bytes;

static inline void put(bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->data = realloc(b->data, b->room);
        if (!b->data) abort();
    }
    if (n) memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline void put_u8(bytes *b, unsigned v) { put(b, &(unsigned char){ (unsigned char)v }, 1); }

static inline void put_u16(bytes *b, unsigned v, bool little)
{
    put_u8(b, little ? v : v >> 8);
    put_u8(b, little ? v >> 8 : v);
}

static inline void put_u32(bytes *b, uint32_t v, bool little)
{
    put_u16(b, little ? v & 0xFFFF : v >> 16, little);
    put_u16(b, little ? v >> 16 : v & 0xFFFF, little);
}

static inline void drop(bytes *b)
{
    free(b->data);
    *b = (bytes){ 0 };
}

/* ---- EXIF with one tag ---- */

static inline bytes make_exif(int orientation, bool little)
{
    bytes b = { 0 };
    put(&b, little ? "II*\0" : "MM\0*", 4);
    put_u32(&b, 8, little);
    put_u16(&b, 2, little);
    put_u16(&b, 0x010F, little); /* maker, to be passed over */
    put_u16(&b, 2, little);
    put_u32(&b, 4, little);
    put(&b, "abc", 4);
    put_u16(&b, 0x0112, little);
    put_u16(&b, 3, little);
    put_u32(&b, 1, little);
    put_u16(&b, (unsigned)orientation, little);
    put_u16(&b, 0, little);
    put_u32(&b, 0, little);
    return b;
}

/* The pixel of the upright picture at which EXIF's standard puts the stored pixel (x, y), given which side of the scene row 0 and column 0
 * of the file are: 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom. */
static inline void upright(int orientation, int width, int height, int x, int y, int *to_x, int *to_y)
{
    static const char *const sides[9] = { "tl", "tl", "tr", "br", "bl", "lt", "rt", "rb", "lb" };
    *to_x = *to_y = 0;
    for (int i = 0; i < 2; i++) {
        int along = i == 0 ? y : x, length = i == 0 ? height : width;
        switch (sides[orientation][i]) {
        case 't': *to_y = along; break;
        case 'b': *to_y = length - 1 - along; break;
        case 'l': *to_x = along; break;
        case 'r': *to_x = length - 1 - along; break;
        }
    }
}

/* ---- PNG ---- */

static inline void put_chunk(bytes *b, const char *type, const void *data, size_t n)
{
    put_u32(b, (uint32_t)n, false);
    size_t at = b->n;
    put(b, type, 4);
    put(b, data, n);
    put_u32(b, (uint32_t)crc32(0, b->data + at, (uInt)(n + 4)), false);
}

static inline void put_compressed(bytes *b, const void *data, size_t n)
{
    uLongf room = compressBound((uLong)n);
    unsigned char *out = malloc(room);
    if (!out || compress2(out, &room, data, (uLong)n, 9) != Z_OK) abort();
    put(b, out, room);
    free(out);
}

static inline void begin_png(bytes *b, uint32_t width, uint32_t height, unsigned depth, unsigned type, unsigned interlace)
{
    bytes header = { 0 };
    put(b, "\x89PNG\r\n\x1A\n", 8);
    put_u32(&header, width, false);
    put_u32(&header, height, false);
    put_u8(&header, depth);
    put_u8(&header, type);
    put_u16(&header, 0, false);
    put_u8(&header, interlace);
    put_chunk(b, "IHDR", header.data, header.n);
    drop(&header);
}

static inline void put_pixels(bytes *b, const void *raw, size_t n)
{
    bytes stream = { 0 };
    put_compressed(&stream, raw, n);
    put_chunk(b, "IDAT", stream.data, stream.n);
    drop(&stream);
}

/* ---- what becomes of them ---- */

static inline void expect_picture(const bytes *b, dreamo_status status, const char *words, bitmap *out, const char *note)
{
    char got[200];
    dreamo_error err = { 0 };
    size_t before = mem_live();
    bitmap own;
    dreamo_status s = image_decode(b->data, b->n, "x.png", &own, got, sizeof got, &err);
    if (s != status || (s && (!strstr(err.message, words) || strncmp(err.message, "x.png: ", 7))))
        fail_msg("expected %d \"%s\", got %d \"%s\"", status, words, s, err.message);
    if (!s && strcmp(got, note ? note : "")) fail_msg("note \"%s\"", got);
    if (s) assert_null(own.data);
    if (!s && out) *out = own;
    else bitmap_free(&own);
    if (!out) assert_int_equal(mem_live(), before);
    if (s) assert_int_equal(image_decode(b->data, b->n, "x.png", &own, NULL, 0, NULL), status);
}

/* Every byte changed in some ways, and every prefix: a picture or a refusal, no leak, and no word on stderr. */
static inline void damage_everywhere(const bytes *b)
{
    size_t before = mem_live();
    bitmap out;
    int wrong = 0, saved = dup(2), log = open("stderr", O_RDWR | O_CREAT | O_TRUNC, 0666);
    assert_true(saved >= 0 && log >= 0 && dup2(log, 2) == 2);
    for (size_t at = 0; at < b->n; at++)
        for (int i = 0; i < 10; i++) {
            unsigned char was = b->data[at];
            b->data[at] = i < 8 ? was ^ (unsigned char)(1 << i) : i == 8 ? 0 : 255;
            dreamo_status s = image_decode(b->data, b->n, "x", &out, NULL, 0, NULL);
            b->data[at] = was;
            wrong += s != DREAMO_OK && s != DREAMO_FORMAT && s != DREAMO_LIMIT;
            bitmap_free(&out);
        }
    for (size_t n = 0; n < b->n; n++) wrong += image_decode(b->data, n, "x", &out, NULL, 0, NULL) != DREAMO_FORMAT;
    dup2(saved, 2);
    close(saved);
    assert_int_equal(lseek(log, 0, SEEK_END), 0);
    close(log);
    assert_int_equal(wrong, 0);
    assert_int_equal(mem_live(), before);
}

/* Any allocation fails: DREAMO_MEMORY each time, and nothing is left. */
static inline void starve(const bytes *b, int least)
{
    size_t before = mem_live();
    int failures = 0;
    for (int n = 1, successes = 0; successes < 3; n++) {
        bitmap out;
        dreamo_error err = { 0 };
        mem_fail_at(n);
        dreamo_status s = image_decode(b->data, b->n, "x", &out, NULL, 0, &err);
        mem_fail_at(0);
        bitmap_free(&out);
        if (s != DREAMO_OK && s != DREAMO_MEMORY) fail_msg("allocation %d: %s", n, err.message);
        assert_int_equal(mem_live(), before);
        failures += s == DREAMO_MEMORY;
        successes = s ? 0 : successes + 1;
    }
    if (failures < least) fail_msg("only %d failures", failures);
}
#endif
