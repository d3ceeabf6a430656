/* own_files.h - small pictures of one's own, made here, for test_own.c and test_own_faults.c. */
#ifndef TESTS_OWN_FILES_H
#define TESTS_OWN_FILES_H
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/own/own.h"
#include "scratch.h"

/* cmocka comes last: it has a macro called fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static inline void put_text(const char *name, const char *text) { scratch_write(name, text, strlen(text)); }

/* Blocks of colours that `number` decides; as a mask, the left part white. */
static inline void put_picture(const char *name, int width, int height, unsigned number, bool mask)
{
    bitmap b;
    assert_int_equal(bitmap_new(&b, width, height, 3, NULL), DREAMO_OK);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int k = 0; k < 3; k++) {
                unsigned block = (unsigned)(x * 4 / width) * 7 + (unsigned)(y * 4 / height) * 13 + (unsigned)k * 29 + number * 101;
                b.data[3 * (y * width + x) + k] = (unsigned char)(mask ? (x * 2 < width ? 255 : 0) : block * 2654435761u >> 24);
            }
    remove(name);
    assert_int_equal(image_write_png(name, &b, NULL, 0, true, NULL), DREAMO_OK);
    bitmap_free(&b);
}

/* Five samples of five kinds in a folder of that name. */
static inline void put_folder(const char *folder)
{
    char name[300];
    static const struct { const char *file; int w, h; unsigned number; bool mask; } pictures[] = {
        { "a.png", 60, 40, 1, false }, { "b.png", 40, 60, 2, false }, { "b.ref1.png", 30, 30, 3, false }, { "b.ref1.mask.png", 40, 60, 0, true },
        { "c.d.png", 48, 48, 4, false }, { "c.d.ref3.id.png", 20, 40, 5, false },
        { "e.png", 64, 32, 6, false }, { "e.ref1.style.png", 40, 20, 7, false },
        { "f.png", 50, 50, 8, false }, { "f.ref2.style.png", 32, 32, 9, false }, { "f.ref1.id.png", 32, 48, 10, false }, { "f.ref1.id.mask.png", 50, 50, 0, true },
        { "f.rejected.png", 44, 60, 11, false },
    };
    static const char *const texts[][2] = { { "a.txt", "a thing" }, { "b.txt", "  another \n thing\n" }, { "c.d.txt", "someone with [ref#3]" },
                                           { "e.txt", "a thing in a style" }, { "f.txt", "someone in a style, \303\251t\303\251" },
                                           { "f.json", "{\"licence\": \"CC0-1.0\", \"source\": \"a camera\", \"other\": 1}" }, { "LICENSE", "x" }, { ".hidden.png", "x" } };
    assert_int_equal(folder_make(folder, NULL), DREAMO_OK);
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, pictures[i].file);
        put_picture(name, pictures[i].w, pictures[i].h, pictures[i].number, pictures[i].mask);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, texts[i][0]);
        put_text(name, texts[i][1]);
    }
}

static inline data_set *must_open(const char *path)
{
    data_set *d;
    dreamo_error err = { 0 };
    if (data_open(path, &d, &err)) fail_msg("%s: %s", path, err.message);
    return d;
}

static inline uint64_t sample_bytes(const data_sample *s)
{
    uint64_t h = hash_fnv1a(s->target.data, 3 * (uint64_t)s->width * (uint64_t)s->height) * 31 + hash_fnv1a(s->caption, strlen(s->caption)) + s->kind;
    for (int i = 0; i < s->nrefs; i++) {
        const data_ref *r = &s->ref[i];
        h = h * 31 + hash_fnv1a(r->picture.data, 3 * (uint64_t)r->picture.width * (uint64_t)r->picture.height) + (uint64_t)r->slot * 7 + r->task + r->identity;
        if (r->mask) h = h * 31 + hash_fnv1a(r->mask, (uint64_t)s->width * (uint64_t)s->height);
    }
    if (s->rejected.data) h = h * 31 + hash_fnv1a(s->rejected.data, 3 * (uint64_t)s->width * (uint64_t)s->height) + (s->rejected.width == s->width && s->rejected.height == s->height);
    return h;
}

static inline data_sample must_make(const data_set *d, data_request q)
{
    data_sample s;
    dreamo_error err = { 0 };
    if (data_sample_make(d, NULL, &q, &s, &err)) fail_msg("%s", err.message);
    return s;
}
#endif
