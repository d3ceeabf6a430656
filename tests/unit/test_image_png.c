/* test_image_png.c - PNG: every colour type, depth and interlacing to the pixel (catalogue P19), every fault its verdict (P01-P18, P23).
 *
 * The files come from a writer of our own (pictures.h and write_samples below), which knows the format and nothing of libpng; what they
 * must become is computed from the samples. */
#include <math.h>
#include <stdio.h>

#include "pictures.h"
#include "scratch.h"

/* ---- a picture of random samples, as a file and as what it means ---- */

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGBA = 6 };

typedef struct samples {
    int width, height, type, depth, interlace;
    bool transparent;          /* with a tRNS chunk */
    int channels, ncolors;
    uint16_t *value;           /* [height, width, channels] */
    unsigned char palette[256][4];
} samples;

static uint16_t *sample(const samples *s, int x, int y) { return s->value + ((size_t)y * (size_t)s->width + (size_t)x) * (size_t)s->channels; }

static samples make_samples(rng *r, int width, int height, int type, int depth, int interlace, bool transparent)
{
    static const int channels[] = { [GREY] = 1, [RGB] = 3, [PALETTE] = 1, [GREY_ALPHA] = 2, [RGBA] = 4 };
    samples s = { width, height, type, depth, interlace, transparent, channels[type], 1 << (depth < 8 ? depth : 8), NULL, { { 0 } } };
    size_t n = (size_t)width * (size_t)height * (size_t)s.channels;
    s.value = malloc(n * sizeof *s.value);
    for (size_t i = 0; i < n; i++) s.value[i] = (uint16_t)rng_below(r, 1u << depth);
    for (int i = 0; i < 256; i++)
        for (int c = 0; c < 4; c++) s.palette[i][c] = c == 3 && (!transparent || i > 100) ? 255 : (unsigned char)rng_below(r, 256);
    return s;
}

/* One row of a pass as packed bits, filtered against the row before. */
static void put_row(bytes *raw, rng *r, const samples *s, int y, int x0, int dx, unsigned char *row, unsigned char *above)
{
    int bits = 0, step = s->channels * s->depth < 8 ? 1 : s->channels * s->depth / 8, filter = (int)rng_below(r, 5);
    memset(row, 0, (size_t)(s->width * s->channels * s->depth + 7) / 8);
    for (int x = x0; x < s->width; x += dx)
        for (int c = 0; c < s->channels; c++, bits += s->depth) {
            unsigned v = sample(s, x, y)[c];
            if (s->depth == 16) row[bits / 8] = (unsigned char)(v >> 8), row[bits / 8 + 1] = (unsigned char)v;
            else row[bits / 8] |= (unsigned char)(v << (8 - s->depth - bits % 8));
        }
    int n = (bits + 7) / 8;
    put_u8(raw, (unsigned)filter);
    for (int i = 0; i < n; i++) {
        int a = i >= step ? row[i - step] : 0, b = above[i], c = i >= step ? above[i - step] : 0;
        int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c), paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
        put_u8(raw, (unsigned)(row[i] - (int[]){ 0, a, b, (a + b) / 2, paeth }[filter]) & 255);
    }
    memcpy(above, row, (size_t)n);
}

static bytes write_samples(rng *r, const samples *s)
{
    static const int passes[8][4] = { { 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 }, { 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 }, { 0, 0, 1, 1 } };
    bytes file = { 0 }, raw = { 0 };
    unsigned char row[8 * 64 + 8], above[8 * 64 + 8];
    begin_png(&file, (uint32_t)s->width, (uint32_t)s->height, (unsigned)s->depth, (unsigned)s->type, (unsigned)s->interlace);
    if (s->type == PALETTE) {
        bytes colors = { 0 }, alphas = { 0 };
        for (int i = 0; i < s->ncolors; i++) {
            put(&colors, s->palette[i], 3);
            if (i <= 100) put_u8(&alphas, s->palette[i][3]);
        }
        put_chunk(&file, "PLTE", colors.data, colors.n);
        if (s->transparent) put_chunk(&file, "tRNS", alphas.data, alphas.n);
        drop(&colors);
        drop(&alphas);
    } else if (s->transparent) {
        bytes key = { 0 };
        for (int c = 0; c < s->channels; c++) put_u16(&key, s->value[c], false); /* the first pixel's colour */
        put_chunk(&file, "tRNS", key.data, key.n);
        drop(&key);
    }
    for (int p = s->interlace ? 0 : 7; p < (s->interlace ? 7 : 8); p++) {
        memset(above, 0, sizeof above);
        for (int y = passes[p][1]; y < s->height && passes[p][0] < s->width; y += passes[p][3]) put_row(&raw, r, s, y, passes[p][0], passes[p][2], row, above);
    }
    put_pixels(&file, raw.data, raw.n);
    put_chunk(&file, "IEND", "", 0);
    drop(&raw);
    return file;
}

/* round(v * 255 / most) */
static unsigned char scaled(unsigned v, int depth)
{
    double most = (1 << depth) - 1;
    return (unsigned char)floor(v * 255 / most + 0.5);
}

static void meaning(const samples *s, int x, int y, unsigned char rgba[4])
{
    const uint16_t *v = sample(s, x, y);
    if (s->type == PALETTE) {
        memcpy(rgba, s->palette[v[0]], 4);
        return;
    }
    bool color = s->type == RGB || s->type == RGBA;
    for (int c = 0; c < 3; c++) rgba[c] = scaled(v[color ? c : 0], s->depth);
    rgba[3] = s->channels % 2 == 0 ? scaled(v[s->channels - 1], s->depth) : 255;
    if (s->transparent && memcmp(v, s->value, (size_t)s->channels * sizeof *v) == 0) rgba[3] = 0;
}

static void every_kind_is_pixel_exact(void **state)
{
    (void)state;
    static const struct { int type, depths; bool key; } kinds[] = { { GREY, 1 | 2 | 4 | 8 | 16, true }, { RGB, 8 | 16, true }, { PALETTE, 1 | 2 | 4 | 8, true },
                                                                    { GREY_ALPHA, 8 | 16, false }, { RGBA, 8 | 16, false } };
    static const int sizes[][2] = { { 1, 1 }, { 2, 3 }, { 5, 7 }, { 8, 8 }, { 33, 17 }, { 1, 40 }, { 40, 1 } };
    rng r = rng_new(7, 1);
    int files = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int depth = 1; depth <= 16; depth *= 2)
            for (int variant = 0; variant < 4; variant++)
                for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
                    bool transparent = variant & 2;
                    if (!(kinds[k].depths & depth) || (transparent && !kinds[k].key)) continue;
                    samples s = make_samples(&r, sizes[z][0], sizes[z][1], kinds[k].type, depth, variant & 1, transparent);
                    bytes file = write_samples(&r, &s);
                    bitmap b;
                    expect_picture(&file, DREAMO_OK, "", &b, NULL);
                    bool alpha = transparent || s.type >= GREY_ALPHA;
                    assert_true(b.width == s.width && b.height == s.height && b.channels == (alpha ? 4 : 3));
                    for (int y = 0; y < s.height; y++)
                        for (int x = 0; x < s.width; x++) {
                            unsigned char rgba[4];
                            meaning(&s, x, y, rgba);
                            if (memcmp(b.data + (y * s.width + x) * b.channels, rgba, (size_t)b.channels))
                                fail_msg("type %d depth %d variant %d %dx%d: pixel %d,%d", s.type, depth, variant, s.width, s.height, x, y);
                        }
                    bitmap_free(&b);
                    drop(&file);
                    free(s.value);
                    files++;
                }
    assert_int_equal(files, 7 * (2 * (2 * (5 + 2 + 4) + 2 + 2)));
}

/* ---- faults ---- */

static const unsigned char pixels[3][13]; /* 4 x 3 black pixels, no filter */

/* A file of these parts: IHDR with the given values, an extra chunk before the pixels, the pixels, IEND. */
static bytes simple(uint32_t width, uint32_t height, unsigned depth, unsigned type, const char *extra, const void *data, size_t n)
{
    bytes b = { 0 };
    begin_png(&b, width, height, depth, type, 0);
    if (extra) put_chunk(&b, extra, data, n);
    put_pixels(&b, pixels, sizeof pixels);
    put_chunk(&b, "IEND", "", 0);
    return b;
}

static void expect_and_drop(bytes b, dreamo_status status, const char *words)
{
    expect_picture(&b, status, words, NULL, NULL);
    drop(&b);
}

static void sizes_have_limits(void **state)
{
    (void)state;
    static const struct { uint32_t width, height; dreamo_status status; const char *words; } rows[] = {
        { 0, 3, DREAMO_FORMAT, "broken PNG" }, { 4, 0, DREAMO_FORMAT, "broken PNG" }, { 0x80000000, 3, DREAMO_FORMAT, "broken PNG" },
        { 0xFFFFFFFF, 0xFFFFFFFF, DREAMO_FORMAT, "broken PNG" }, { 4, 0x80000003, DREAMO_FORMAT, "broken PNG" },
        { 0x7FFFFFFF, 0x7FFFFFFF, DREAMO_LIMIT, "2147483647 x 2147483647 pixels, a side may have at most 16384" },
        { 65536, 65536, DREAMO_LIMIT, "65536 x 65536 pixels, a side may have at most 16384" }, { 16385, 1, DREAMO_LIMIT, "a side may have at most" },
        { 1, 16385, DREAMO_LIMIT, "a side may have at most" }, { 16384, 16384, DREAMO_LIMIT, "16384 x 16384 pixels, at most 40 million" },
        { 8000, 5001, DREAMO_LIMIT, "at most 40 million" }, { 8000, 5000, DREAMO_FORMAT, "broken PNG" }, /* allowed, but cut short */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_and_drop(simple(rows[i].width, rows[i].height, 8, RGB, NULL, NULL, 0), rows[i].status, rows[i].words);
    static const int sides[][2] = { { 1, 16384 }, { 16384, 1 } };
    for (int i = 0; i < 2; i++) {
        bytes b = { 0 };
        unsigned char *raw = calloc(2 * 16384, 1);
        begin_png(&b, (uint32_t)sides[i][0], (uint32_t)sides[i][1], 8, GREY, 0);
        put_pixels(&b, raw, (size_t)(sides[i][0] + 1) * (size_t)sides[i][1]);
        put_chunk(&b, "IEND", "", 0);
        free(raw);
        expect_and_drop(b, DREAMO_OK, "");
    }
}

static void headers_are_checked(void **state)
{
    (void)state;
    static const int bad[][2] = { { 3, GREY }, { 0, GREY }, { 32, GREY }, { 4, RGB }, { 16, PALETTE }, { 4, GREY_ALPHA }, { 8, 1 }, { 8, 5 }, { 8, 7 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) expect_and_drop(simple(4, 3, (unsigned)bad[i][0], (unsigned)bad[i][1], NULL, NULL, 0), DREAMO_FORMAT, "broken PNG");
    for (int field = 26; field <= 28; field++) { /* compression, filter, interlace */
        bytes b = simple(4, 3, 8, RGB, NULL, NULL, 0);
        b.data[field] = 3;
        uint32_t crc = (uint32_t)crc32(0, b.data + 12, 17);
        for (int i = 0; i < 4; i++) b.data[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
        expect_and_drop(b, DREAMO_FORMAT, "broken PNG");
    }
}

static void damaged_data_is_refused(void **state)
{
    (void)state;
    static const struct { const char *why; size_t rows; int filter; } rows[] = { { "short", 2, 0 }, { "filter", 3, 5 }, { "filter", 3, 255 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char raw[39] = { 0 };
        bytes b = { 0 };
        raw[13] = (unsigned char)rows[i].filter;
        begin_png(&b, 4, 3, 8, RGB, 0);
        put_pixels(&b, raw, 13 * rows[i].rows);
        put_chunk(&b, "IEND", "", 0);
        expect_and_drop(b, DREAMO_FORMAT, "broken PNG");
    }
    static const char *const streams[] = { "", "garbage that is no zlib stream" };
    for (int i = 0; i < 2; i++) {
        bytes b = { 0 };
        begin_png(&b, 4, 3, 8, RGB, 0);
        put_chunk(&b, "IDAT", streams[i], strlen(streams[i]));
        put_chunk(&b, "IEND", "", 0);
        expect_and_drop(b, DREAMO_FORMAT, "broken PNG");
    }
    bytes none = { 0 };
    begin_png(&none, 4, 3, 8, RGB, 0);
    put_chunk(&none, "IEND", "", 0);
    expect_and_drop(none, DREAMO_FORMAT, "broken PNG");
    for (int chunk = 0; chunk < 3; chunk++) { /* a wrong check sum in IHDR, IDAT, IEND */
        bytes b = simple(4, 3, 8, RGB, NULL, NULL, 0);
        b.data[chunk == 0 ? 32 : chunk == 1 ? b.n - 13 : b.n - 1] ^= 1;
        expect_and_drop(b, DREAMO_FORMAT, "CRC");
    }
    bytes b = simple(4, 3, 8, RGB, NULL, NULL, 0);
    b.n -= 12; /* no IEND */
    expect_and_drop(b, DREAMO_FORMAT, "the file is cut short");
}

static void palettes_are_checked(void **state)
{
    (void)state;
    static const unsigned char colors[771];
    expect_and_drop(simple(4, 3, 8, PALETTE, NULL, NULL, 0), DREAMO_FORMAT, "broken PNG");
    static const size_t lengths[] = { 0, 4, 771 };
    for (int i = 0; i < 3; i++) expect_and_drop(simple(4, 3, 8, PALETTE, "PLTE", colors, lengths[i]), DREAMO_FORMAT, "broken PNG");
    unsigned char raw[3][5] = { { 0 } };
    for (int index = 1; index <= 2; index++) { /* two colours; 2 is beyond them */
        bytes b = { 0 };
        raw[1][2] = (unsigned char)index;
        begin_png(&b, 4, 3, 8, PALETTE, 0);
        put_chunk(&b, "PLTE", colors, 6);
        put_pixels(&b, raw, sizeof raw);
        put_chunk(&b, "IEND", "", 0);
        expect_and_drop(b, index == 1 ? DREAMO_OK : DREAMO_FORMAT, "beyond its palette");
    }
}

static void chunks_are_in_order(void **state)
{
    (void)state;
    expect_and_drop(simple(4, 3, 8, RGB, "QQQQ", "x", 1), DREAMO_FORMAT, "broken PNG"); /* critical and unknown */
    expect_and_drop(simple(4, 3, 8, RGB, "qqQq", "x", 1), DREAMO_OK, "");
    bytes twice = { 0 };
    begin_png(&twice, 4, 3, 8, RGB, 0);
    put(&twice, twice.data + 8, 25);
    put_pixels(&twice, pixels, sizeof pixels);
    put_chunk(&twice, "IEND", "", 0);
    expect_and_drop(twice, DREAMO_FORMAT, "broken PNG");
    bytes late = { 0 };
    put(&late, "\x89PNG\r\n\x1A\n", 8);
    put_pixels(&late, pixels, sizeof pixels);
    expect_and_drop(late, DREAMO_FORMAT, "broken PNG");
    static const uint32_t lengths[] = { 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF };
    for (int i = 0; i < 3; i++) {
        bytes b = simple(4, 3, 8, RGB, "qqQq", "x", 1);
        for (int k = 0; k < 4; k++) b.data[33 + k] = (unsigned char)(lengths[i] >> (24 - 8 * k));
        expect_and_drop(b, DREAMO_FORMAT, "broken PNG");
    }
}

/* P18, P23: text and profiles that would unpack to 100 MB, 2 MB of plain text, and EXIF of 70,000 bytes are passed over unread. */
static void what_is_not_pixels_is_not_read(void **state)
{
    (void)state;
    enum { HUGE = 100 << 20 };
    char *zeros = calloc(HUGE, 1);
    bytes bomb = { 0 };
    put(&bomb, "key\0\0", 5);
    put_compressed(&bomb, zeros, HUGE);
    expect_and_drop(simple(4, 3, 8, RGB, "zTXt", bomb.data, bomb.n), DREAMO_OK, "");
    expect_and_drop(simple(4, 3, 8, RGB, "tEXt", zeros, 2 << 20), DREAMO_OK, "");
    bytes profile = simple(4, 3, 8, RGB, "iCCP", bomb.data, bomb.n), large = simple(4, 3, 8, RGB, "eXIf", zeros, 70000), empty = simple(4, 3, 8, RGB, "eXIf", "", 0);
    expect_picture(&profile, DREAMO_OK, "", NULL, "its colour profile is ignored");
    expect_picture(&large, DREAMO_OK, "", NULL, "its EXIF data is broken or too large and is ignored");
    expect_picture(&empty, DREAMO_OK, "", NULL, "its EXIF data is broken or too large and is ignored");
    bytes text = simple(4, 3, 8, RGB, "zTXt", bomb.data, bomb.n);
    scratch_write("bomb.png", text.data, text.n);
    char *value;
    size_t before = mem_live();
    dreamo_status s = image_read_text("bomb.png", "key", &value, NULL); /* bounded at 1 MB: refused or not there */
    assert_true(s == DREAMO_OK || s == DREAMO_FORMAT);
    assert_null(value);
    assert_int_equal(mem_live(), before);
    drop(&text);
    drop(&profile);
    drop(&large);
    drop(&empty);
    drop(&bomb);
    free(zeros);
}

static void damage_and_want_are_survived(void **state)
{
    (void)state;
    rng r = rng_new(8, 1);
    for (int i = 0; i < 2; i++) {
        samples s = make_samples(&r, 9, 5, i ? PALETTE : RGB, i ? 4 : 16, i, true);
        bytes b = write_samples(&r, &s);
        damage_everywhere(&b);
        starve(&b, 8);
        drop(&b);
        free(s.value);
    }
}

static void exif_turns_the_picture(void **state)
{
    (void)state;
    rng r = rng_new(9, 1);
    samples s = make_samples(&r, 5, 3, RGB, 8, 0, false);
    bytes file = write_samples(&r, &s);
    for (int o = 0; o <= 9; o++) {
        bytes exif = make_exif(o, o % 2), turned = { 0 };
        put(&turned, file.data, 33);
        put_chunk(&turned, "eXIf", exif.data, exif.n);
        put(&turned, file.data + 33, file.n - 33);
        bitmap b;
        bool valid = o >= 1 && o <= 8;
        expect_picture(&turned, DREAMO_OK, "", &b, valid ? NULL : "its EXIF data is broken or too large and is ignored");
        assert_true(o >= 5 && valid ? b.width == 3 && b.height == 5 : b.width == 5 && b.height == 3);
        for (int y = 0; y < 3; y++)
            for (int x = 0; x < 5; x++) {
                int to_x, to_y;
                unsigned char rgba[4];
                upright(valid ? o : 1, 5, 3, x, y, &to_x, &to_y);
                meaning(&s, x, y, rgba);
                assert_memory_equal(b.data + (to_y * b.width + to_x) * 3, rgba, 3);
            }
        bitmap_free(&b);
        drop(&turned);
        drop(&exif);
    }
    drop(&file);
    free(s.value);
}

/* ---- writing ---- */

static void what_is_written_is_read(void **state)
{
    (void)state;
    static const char *const text[][2] = { { "dreamo", "{\"prompt\":\"caf\xC3\xA9 \xE7\x8C\xAB\"}" }, { "Title", "x" } };
    rng r = rng_new(10, 1);
    char *value;
    size_t before = mem_live();
    for (int channels = 3; channels <= 4; channels++) {
        bitmap b, back;
        assert_int_equal(bitmap_new(&b, 31, 17, channels, NULL), DREAMO_OK);
        for (int i = 0; i < 31 * 17 * channels; i++) b.data[i] = (unsigned char)rng_below(&r, 256);
        assert_int_equal(image_write_png("out.png", &b, text, 2, true, NULL), DREAMO_OK);
        assert_int_equal(image_read("out.png", &back, NULL, 0, NULL), DREAMO_OK);
        assert_int_equal(back.channels, channels);
        assert_memory_equal(back.data, b.data, 31 * 17 * channels);
        assert_int_equal(image_write_png("out.png", &b, NULL, 0, false, NULL), DREAMO_IO);
        assert_int_equal(image_write_png("/dev/full", &b, NULL, 0, true, NULL), DREAMO_IO);
        bitmap_free(&b);
        bitmap_free(&back);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(image_read_text("out.png", text[i][0], &value, NULL), DREAMO_OK);
        assert_string_equal(value, text[i][1]);
        mem_free(value);
    }
    assert_int_equal(image_read_text("out.png", "absent", &value, NULL), DREAMO_OK);
    assert_null(value);
    scratch_write("text", "text", 4);
    assert_int_equal(image_read_text("text", "absent", &value, NULL), DREAMO_FORMAT);
    assert_int_equal(mem_live(), before);
}

static void failed_allocations_lose_no_text(void **state)
{
    (void)state;
    static const char *const text[][2] = { { "dreamo", "a prompt" } };
    bitmap b;
    size_t before = mem_live();
    int failures = 0;
    assert_int_equal(bitmap_new(&b, 4, 4, 3, NULL), DREAMO_OK);
    memset(b.data, 7, 48);
    for (int n = 1, successes = 0; successes < 3; n++) {
        char *value = NULL;
        mem_fail_at(n);
        dreamo_status s = image_write_png("starved.png", &b, text, 1, true, NULL);
        if (!s) s = image_read_text("starved.png", "dreamo", &value, NULL);
        mem_fail_at(0);
        if (s) assert_int_equal(s, DREAMO_MEMORY);
        else assert_true(value && strcmp(value, "a prompt") == 0);
        mem_free(value);
        assert_int_equal(mem_live(), before + 1);
        failures += s == DREAMO_MEMORY;
        successes = s ? 0 : successes + 1;
    }
    assert_true(failures > 10);
    bitmap_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_pixel_exact), cmocka_unit_test(sizes_have_limits), cmocka_unit_test(headers_are_checked), cmocka_unit_test(damaged_data_is_refused),
        cmocka_unit_test(palettes_are_checked), cmocka_unit_test(chunks_are_in_order), cmocka_unit_test(what_is_not_pixels_is_not_read),
        cmocka_unit_test(damage_and_want_are_survived), cmocka_unit_test(exif_turns_the_picture), cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(failed_allocations_lose_no_text),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
