/* test_image_file.c - JPEG and WebP in every kind (catalogue P20, P21), EXIF's orientations (P22), what is no picture (P26), limits.
 *
 * The files come from libjpeg's and libwebp's encoders and are then damaged by hand; the judge of a decoded picture is the picture that was
 * encoded.  PNG has its own test. */
#include <stdio.h>

#include <jpeglib.h>
#include <webp/encode.h>

#include "pictures.h"
#include "scratch.h"

enum { W = 50, H = 37 };

/* A smooth picture: what JPEG keeps. */
static void paint(int x, int y, unsigned char rgb[3])
{
    rgb[0] = (unsigned char)(x * 5);
    rgb[1] = (unsigned char)(y * 6);
    rgb[2] = (unsigned char)(255 - 2 * (x + y));
}

/* ---- JPEG files ---- */

typedef struct kind {
    int in, stored;            /* colour spaces */
    int across, down;          /* of the first component's sampling */
    bool progressive, arithmetic, split, no_adobe; /* split: every component in a scan of its own, twice */
    int restart;
} kind;

static const kind plain = { JCS_RGB, JCS_YCbCr, 1, 1, .restart = 0 };

static bytes encode(kind k)
{
    static const jpeg_scan_info scans[] = { { 3, { 0, 1, 2 }, 0, 0, 0, 0 }, { 1, { 0 }, 1, 63, 0, 0 }, { 1, { 1 }, 1, 63, 0, 0 }, { 1, { 2 }, 1, 63, 0, 0 } };
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr manager;
    unsigned char row[4 * W], *data = NULL;
    unsigned long n = 0;
    int channels = k.in == JCS_GRAYSCALE ? 1 : k.in == JCS_CMYK ? 4 : 3;
    c.err = jpeg_std_error(&manager);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &n);
    c.image_width = W;
    c.image_height = H;
    c.input_components = channels;
    c.in_color_space = (J_COLOR_SPACE)k.in;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, (J_COLOR_SPACE)k.stored);
    jpeg_set_quality(&c, 97, TRUE);
    if (k.no_adobe) c.write_Adobe_marker = FALSE;
    c.comp_info[0].h_samp_factor = k.across;
    c.comp_info[0].v_samp_factor = k.down;
    c.arith_code = k.arithmetic;
    c.restart_interval = (unsigned)k.restart;
    if (k.progressive) jpeg_simple_progression(&c);
    if (k.split) {
        c.scan_info = scans;
        c.num_scans = 4;
    }
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            unsigned char rgb[3];
            paint(x, y, rgb);
            for (int i = 0; i < channels; i++) row[x * channels + i] = i < 3 ? rgb[i] : (unsigned char)(255 - x);
        }
        JSAMPROW line = row;
        jpeg_write_scanlines(&c, &line, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    bytes b = { 0 };
    put(&b, data, n);
    free(data);
    return b;
}

static size_t find_marker(const bytes *b, unsigned code, bool last)
{
    size_t found = 0;
    for (size_t i = 0; i + 1 < b->n; i++)
        if (b->data[i] == 0xFF && b->data[i + 1] == code && (!found || last)) found = i;
    assert_true(found > 0);
    return found;
}

/* Put `n` bytes in before position `at`. */
static void insert(bytes *b, size_t at, const void *data, size_t n)
{
    bytes tail = { 0 };
    put(&tail, b->data + at, b->n - at);
    b->n = at;
    put(b, data, n);
    put(b, tail.data, tail.n);
    drop(&tail);
}

static void expect_and_drop(bytes b, dreamo_status status, const char *words)
{
    expect_picture(&b, status, words, NULL, NULL);
    drop(&b);
}

static void every_kind_of_jpeg_is_right(void **state)
{
    (void)state;
    static const kind kinds[] = {
        { JCS_RGB, JCS_YCbCr, 1, 1, .restart = 0 }, { JCS_RGB, JCS_YCbCr, 2, 1, .restart = 0 }, { JCS_RGB, JCS_YCbCr, 2, 2, .restart = 0 },
        { JCS_RGB, JCS_YCbCr, 4, 1, .restart = 0 }, { JCS_RGB, JCS_YCbCr, 1, 2, .restart = 0 }, { JCS_RGB, JCS_YCbCr, 2, 2, .restart = 2 },
        { JCS_RGB, JCS_YCbCr, 2, 2, .progressive = true }, { JCS_RGB, JCS_YCbCr, 1, 1, .split = true }, { JCS_RGB, JCS_YCbCr, 2, 2, .arithmetic = true },
        { JCS_RGB, JCS_RGB, 1, 1, .restart = 0 }, { JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1, .restart = 0 }, { JCS_CMYK, JCS_CMYK, 1, 1, .restart = 0 },
        { JCS_CMYK, JCS_YCCK, 1, 1, .restart = 0 },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bytes b = encode(kinds[i]);
        bitmap out;
        double total = 0;
        expect_picture(&b, DREAMO_OK, "", &out, NULL);
        assert_true(out.width == W && out.height == H && out.channels == 3);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < 3; c++) {
                    unsigned char rgb[3];
                    paint(x, y, rgb);
                    int want = rgb[kinds[i].in == JCS_GRAYSCALE ? 0 : c], got = out.data[(y * W + x) * 3 + c];
                    if (kinds[i].in == JCS_CMYK) want = (want * (255 - x) + 127) / 255;
                    total += abs(got - want);
                }
        double limit = kinds[i].across * kinds[i].down > 1 ? 3 : 1.5; /* colours in lower resolution */
        if (total / (W * H * 3) > limit) fail_msg("kind %zu: mean error %.2f", i, total / (W * H * 3));
        bitmap_free(&out);
        drop(&b);
    }
    expect_and_drop(encode((kind){ JCS_CMYK, JCS_CMYK, 1, 1, .no_adobe = true }), DREAMO_FORMAT, "CMYK without Adobe's marker");
}

static void broken_jpegs_are_refused(void **state)
{
    (void)state;
    bytes b = encode(plain);
    b.data[find_marker(&b, 0xC0, false) + 4] = 12;
    expect_and_drop(b, DREAMO_FORMAT, "precision 12");
    for (int axis = 0; axis < 2; axis++) { /* height 0: its number would come later (DNL) */
        b = encode(plain);
        memset(b.data + find_marker(&b, 0xC0, false) + 5 + 2 * axis, 0, 2);
        expect_and_drop(b, DREAMO_FORMAT, "broken JPEG");
        b = encode(plain);
        memset(b.data + find_marker(&b, 0xC0, false) + 5 + 2 * axis, 0x7F, 2);
        expect_and_drop(b, DREAMO_LIMIT, "a side may have at most 16384");
    }
    b = encode(plain);
    size_t at = find_marker(&b, 0xC0, false);
    bytes frame = { 0 };
    put(&frame, b.data + at, 2 + (size_t)b.data[at + 3]);
    insert(&b, at, frame.data, frame.n);
    drop(&frame);
    expect_and_drop(b, DREAMO_FORMAT, "SOF");
    b = encode(plain);
    memset(b.data + find_marker(&b, 0xC4, false) + 5, 0xFF, 16);
    expect_and_drop(b, DREAMO_FORMAT, "broken JPEG");
    b = encode(plain);
    memset(b.data + find_marker(&b, 0xDB, false) + 5, 0, 64);
    expect_and_drop(b, DREAMO_FORMAT, "quantisation table 0 holds a zero");
    b = encode(plain);
    b.n -= 2; /* the end marker */
    expect_and_drop(b, DREAMO_FORMAT, "broken JPEG: Premature end");
    b = encode(plain);
    insert(&b, b.n - 2, (unsigned char[100]){ 1, 2, 3 }, 100);
    expect_picture(&b, DREAMO_OK, "", NULL, "bytes before its end are ignored");
    drop(&b);
}

/* Each scan of a progressive file is a pass over the whole picture. */
static void scans_are_counted(void **state)
{
    (void)state;
    static const int copies[] = { 60, 61, 5000 };
    for (int i = 0; i < 3; i++) {
        bytes b = encode((kind){ JCS_RGB, JCS_YCbCr, 1, 1, .split = true }), scan = { 0 };
        size_t at = find_marker(&b, 0xDA, true);
        put(&scan, b.data + at, b.n - 2 - at);
        b.n -= 2;
        for (int k = 0; k < copies[i]; k++) put(&b, scan.data, scan.n); /* after the 4 that are there */
        put(&b, "\xFF\xD9", 2);
        expect_and_drop(b, i ? DREAMO_LIMIT : DREAMO_OK, "more than 64 scans");
        drop(&scan);
    }
}

/* ---- EXIF in JPEG ---- */

static bytes with_exif(const bytes *exif)
{
    bytes b = encode(plain), marker = { 0 };
    put(&marker, "\xFF\xE1", 2);
    put_u16(&marker, (unsigned)exif->n + 8, false);
    put(&marker, "Exif\0\0", 6);
    put(&marker, exif->data, exif->n);
    insert(&b, 2, marker.data, marker.n);
    drop(&marker);
    return b;
}

static void assert_turned(const bitmap *got, const bitmap *stored, int orientation)
{
    assert_true(orientation >= 5 ? got->width == stored->height && got->height == stored->width : got->width == stored->width);
    for (int y = 0; y < stored->height; y++)
        for (int x = 0; x < stored->width; x++) {
            int to_x, to_y;
            upright(orientation, stored->width, stored->height, x, y, &to_x, &to_y);
            assert_memory_equal(got->data + (to_y * got->width + to_x) * 3, stored->data + (y * stored->width + x) * 3, 3);
        }
}

static void all_eight_orientations_come_upright(void **state)
{
    (void)state;
    bytes unturned = encode(plain);
    bitmap stored, got;
    expect_picture(&unturned, DREAMO_OK, "", &stored, NULL);
    for (int o = 1; o <= 8; o++)
        for (int little = 0; little < 2; little++) {
            bytes exif = make_exif(o, little), b = with_exif(&exif);
            expect_picture(&b, DREAMO_OK, "", &got, NULL);
            assert_turned(&got, &stored, o);
            bitmap_free(&got);
            assert_int_equal(image_decode_as_stored(b.data, b.n, "x", &got, NULL, 0, NULL), DREAMO_OK); /* exif=off */
            assert_true(got.width == stored.width && got.height == stored.height);
            assert_memory_equal(got.data, stored.data, W * H * 3);
            bitmap_free(&got);
            drop(&exif);
            drop(&b);
        }
    bitmap_free(&stored);
    drop(&unturned);
}

static void broken_exif_is_ignored_with_a_note(void **state)
{
    (void)state;
    static const struct { size_t at; unsigned char value; } changes[] = {
        { 0, 'X' }, { 2, 0 }, { 4, 0xFF }, { 7, 0xFF }, { 8, 200 } /* more entries than there are */, { 22, 9 } /* not the tag */, { 24, 7 } /* type */, { 30, 77 } /* value */,
    };
    static const char note[] = "its EXIF data is broken or too large and is ignored";
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        bytes exif = make_exif(6, true);
        exif.data[changes[i].at] = changes[i].value;
        bytes b = with_exif(&exif);
        bitmap out;
        /* Entry counts and other tags are no fault as long as the tag is found before the end, or the directory ends in time. */
        bool harmless = changes[i].at == 8 || changes[i].at == 22;
        expect_picture(&b, DREAMO_OK, "", &out, harmless ? NULL : note);
        assert_int_equal(out.width, changes[i].at == 8 ? H : W);
        bitmap_free(&out);
        drop(&exif);
        drop(&b);
    }
    for (size_t n = 0; n < 38; n++) { /* cut anywhere */
        bytes exif = make_exif(6, false);
        exif.n = n;
        bytes b = with_exif(&exif);
        bitmap out;
        assert_int_equal(image_decode(b.data, b.n, "x", &out, NULL, 0, NULL), DREAMO_OK);
        bitmap_free(&out);
        drop(&exif);
        drop(&b);
    }
}

/* ---- WebP ---- */

static bytes encode_webp(const unsigned char *data, int channels)
{
    uint8_t *out = NULL;
    size_t n = channels == 4 ? WebPEncodeLosslessRGBA(data, W, H, W * 4, &out) : WebPEncodeLosslessRGB(data, W, H, W * 3, &out);
    bytes b = { 0 };
    assert_true(n > 0);
    put(&b, out, n);
    WebPFree(out);
    return b;
}

/* The same pixels in an extended file with these flags, a profile and EXIF. */
static bytes extend_webp(const bytes *simple, unsigned flags, const bytes *exif, bool prefix)
{
    bytes b = { 0 };
    put(&b, "RIFF\0\0\0\0WEBPVP8X", 16);
    put_u32(&b, 10, true);
    put_u32(&b, flags, true);
    for (int i = 0; i < 6; i++) put_u8(&b, (unsigned)((i < 3 ? W - 1 : H - 1) >> (8 * (i % 3))));
    put(&b, "ICCP\3\0\0\0abc\0", 12);
    put(&b, simple->data + 12, simple->n - 12);
    put(&b, "EXIF", 4);
    put_u32(&b, (uint32_t)exif->n + (prefix ? 6 : 0), true);
    if (prefix) put(&b, "Exif\0\0", 6);
    put(&b, exif->data, exif->n);
    for (int i = 0; i < 4; i++) b.data[4 + i] = (unsigned char)((b.n - 8) >> (8 * i));
    return b;
}

static void webp_is_exact_and_upright(void **state)
{
    (void)state;
    rng r = rng_new(3, 3);
    unsigned char data[W * H * 4];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(1 + rng_below(&r, 255)); /* alpha 0 would let the encoder change colours */
    for (int channels = 3; channels <= 4; channels++) {
        bytes b = encode_webp(data, channels);
        bitmap out;
        expect_picture(&b, DREAMO_OK, "", &out, NULL);
        assert_true(out.width == W && out.height == H && out.channels == channels);
        assert_memory_equal(out.data, data, (size_t)(W * H * channels));
        for (size_t n = 12; n < b.n; n += 1 + n / 20) {
            bytes cut = { b.data, n, 0 };
            expect_picture(&cut, DREAMO_FORMAT, "broken WebP: the file is cut short", NULL, NULL);
        }
        if (channels == 3)
            for (int o = 1; o <= 8; o++) {
                bytes exif = make_exif(o, o > 4), turned = extend_webp(&b, 0x28, &exif, o % 2);
                bitmap got;
                expect_picture(&turned, DREAMO_OK, "", &got, "its colour profile is ignored");
                assert_turned(&got, &out, o);
                bitmap_free(&got);
                drop(&exif);
                drop(&turned);
            }
        bytes nothing = { 0 }, animation = extend_webp(&b, 0x02, &nothing, false);
        expect_and_drop(animation, DREAMO_FORMAT, "");
        bitmap_free(&out);
        drop(&b);
    }
}

static void damage_and_want_are_survived(void **state)
{
    (void)state;
    bytes exif = make_exif(6, true), files[3] = { encode((kind){ JCS_CMYK, JCS_YCCK, 2, 2, .progressive = true }), with_exif(&exif), { 0 } };
    unsigned char data[W * H * 4];
    for (int i = 0; i < W * H * 4; i++) data[i] = (unsigned char)(i / W);
    files[2] = encode_webp(data, 4);
    for (int i = 0; i < 3; i++) {
        starve(&files[i], 1);
        if (files[i].n > 1500) files[i].n = 1500; /* enough of it: headers and tables */
        damage_everywhere(&files[i]);
        drop(&files[i]);
    }
    drop(&exif);
}

/* ---- what is no picture; limits; writing ---- */

static void other_files_are_named(void **state)
{
    (void)state;
    static const struct { const char *data; size_t n; const char *words; } rows[] = {
        { "", 0, "is empty" }, { "GIF89a......", 12, "a GIF" }, { "BM..........", 12, "a BMP" }, { "II*\0........", 12, "a TIFF" }, { "MM\0*........", 12, "a TIFF" },
        { "%PDF-1.7....", 12, "a PDF" }, { "\0\0\0\x18""ftypheic....", 16, "HEIC" }, { "\0\0\0\x18""ftypmif1....", 16, "a HEIF picture" },
        { "\0\0\0\x18""ftypavif....", 16, "AVIF" }, { "\0\0\0\x18""ftypisom....", 16, "a video" }, { "<svg xmlns=\"x\">", 15, "an SVG drawing" },
        { "<?xml version=\"1.0\"?>\n<!-- a --> <svg>", 39, "an SVG drawing" }, { "<!DOCTYPE html>", 15, "a web page" }, { "hello, world", 12, "is text" },
        { "caf\xC3\xA9\n", 6, "is text" }, { "PK\3\4........", 12, "a zip archive" }, { "\xFF\x0A..........", 12, "a JPEG XL picture" },
        { "\0\0\0\x0CJXL \r\n\x87\n", 12, "a JPEG XL picture" }, { "\0\0\0\x0CjP  \r\n\x87\n", 12, "a JPEG 2000 picture" }, { "\1\2\3\4\5\6\7\x08", 8, "not a picture of a known kind" },
        { "\x89PNG\r\n\x1A", 7, "not a picture" }, { "\x89PNG\r\r\n\x1A", 8, "not a picture" }, { "RIFF\1\0\0\0WAVE", 12, "not a picture" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes b = { 0 };
        put(&b, "", 0);
        put(&b, rows[i].data, rows[i].n);
        expect_and_drop(b, DREAMO_FORMAT, rows[i].words);
    }
    bitmap out;
    dreamo_error err = { 0 };
    assert_int_equal(image_decode((const unsigned char *)"text", 4, "x", &out, NULL, 0, &err), DREAMO_FORMAT);
    assert_string_equal(err.hint, "name another file, or fetch it again");
}

static void files_are_read_by_content(void **state)
{
    (void)state;
    bitmap out;
    dreamo_error err = { 0 };
    bytes b = encode(plain);
    scratch_write("really-a.png", b.data, b.n);
    assert_int_equal(image_read("really-a.png", &out, NULL, 0, NULL), DREAMO_OK);
    bitmap_free(&out);
    scratch_write("large.png", "\x89PNG\r\n\x1A\n", 8);
    assert_int_equal(truncate("large.png", (64 << 20) + 1), 0);
    assert_int_equal(image_read("large.png", &out, NULL, 0, &err), DREAMO_LIMIT);
    assert_string_equal(err.message, "large.png: 67108865 bytes, at most 67108864 are allowed");
    assert_int_equal(mkfifo("pipe.png", 0666), 0);
    assert_int_equal(image_read("pipe.png", &out, NULL, 0, NULL), DREAMO_FORMAT);
    assert_int_equal(image_read("/dev/zero", &out, NULL, 0, NULL), DREAMO_FORMAT);
    assert_int_equal(image_read("absent.png", &out, NULL, 0, NULL), DREAMO_NOT_FOUND);
    assert_null(out.data);
    bitmap_free(&out);
    assert_int_equal(bitmap_new(&out, 0, 1, 3, NULL), DREAMO_FORMAT);
    assert_int_equal(bitmap_new(&out, 16385, 1, 3, NULL), DREAMO_LIMIT);
    drop(&b);
}

static void jpegs_are_written(void **state)
{
    (void)state;
    bitmap b, back;
    size_t before = mem_live();
    double total = 0;
    assert_int_equal(bitmap_new(&b, 640, 480, 3, NULL), DREAMO_OK); /* more than one buffer of output */
    rng r = rng_new(5, 5);
    for (int i = 0; i < 640 * 480 * 3; i++) b.data[i] = (unsigned char)(i / 3 % 640 / 4 + (int)rng_below(&r, 64));
    assert_int_equal(image_write_jpeg("out.jpg", &b, 95, true, NULL), DREAMO_OK);
    assert_int_equal(image_read("out.jpg", &back, NULL, 0, NULL), DREAMO_OK);
    assert_true(back.width == 640 && back.height == 480);
    for (int i = 0; i < 640 * 480 * 3; i++) total += abs(back.data[i] - b.data[i]);
    assert_true(total / (640 * 480 * 3) < 16); /* the noise's colours are halved in resolution */
    assert_int_equal(image_write_jpeg("out.jpg", &b, 95, false, NULL), DREAMO_IO);
    assert_int_equal(image_write_jpeg("/dev/full", &b, 95, true, NULL), DREAMO_IO);
    int starved = 0;
    for (dreamo_status s = DREAMO_MEMORY; s != DREAMO_OK;) {
        mem_fail_at(++starved);
        s = image_write_jpeg("starved.jpg", &b, 95, true, NULL);
        mem_fail_at(0);
        assert_true(s == DREAMO_OK || (s == DREAMO_MEMORY && access("starved.jpg", F_OK) != 0));
    }
    assert_true(starved > 2);
    remove("starved.jpg");
    b.channels = 4;
    assert_int_equal(image_write_jpeg("out4.jpg", &b, 95, true, NULL), DREAMO_ARG);
    bitmap_free(&b);
    bitmap_free(&back);
    assert_int_equal(mem_live(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_jpeg_is_right), cmocka_unit_test(broken_jpegs_are_refused), cmocka_unit_test(scans_are_counted),
        cmocka_unit_test(all_eight_orientations_come_upright), cmocka_unit_test(broken_exif_is_ignored_with_a_note), cmocka_unit_test(webp_is_exact_and_upright),
        cmocka_unit_test(damage_and_want_are_survived), cmocka_unit_test(other_files_are_named), cmocka_unit_test(files_are_read_by_content),
        cmocka_unit_test(jpegs_are_written),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
