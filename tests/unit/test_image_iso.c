/* test_image_iso.c - AVIF and HEIC (catalogue P26): read where built with their libraries, refused by name where not.
 *
 * The files come from the libraries' own encoders and are then damaged; the judge of a decoded picture is the picture that was encoded. */
#include <stdio.h>
#include <stdlib.h>

#include "pictures.h"

/* x265, which encodes the files that are read here, never gives one block of its own back. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:x265_malloc\n"; }

enum { W = 50, H = 37 };

static void paint(int x, int y, unsigned char rgb[3])
{
    rgb[0] = (unsigned char)(x * 5), rgb[1] = (unsigned char)(y * 6), rgb[2] = (unsigned char)(255 - 2 * (x + y));
}

/* Every prefix and many single changes: a picture or a refusal, and all memory given back. */
static inline void damage(const bytes *b)
{
    rng r = rng_new(11, 0);
    bitmap out;
    for (size_t n = 0; n < b->n; n += 1 + b->n / 97)
        if (image_decode(b->data, n, "x", &out, NULL, 0, NULL) == DREAMO_OK) bitmap_free(&out);
    for (int i = 0; i < 300; i++) {
        size_t at = rng_below(&r, (uint32_t)(i < 200 && b->n > 400 ? 400 : b->n));
        unsigned char was = b->data[at];
        dreamo_error err = { 0 };
        b->data[at] = (unsigned char)rng_u32(&r);
        if (image_decode(b->data, b->n, "x", &out, NULL, 0, &err) == DREAMO_OK) bitmap_free(&out);
        else assert_true(err.message[0] == 'x');
        b->data[at] = was;
    }
    assert_int_equal(mem_live(), 0);
}

#ifdef DREAMO_AVIF
#include <avif/avif.h>

/* turn, mirror: irot's angle and imir's mode, -1: none. */
static bytes encode_avif(int channels, int turn, int mirror)
{
    avifImage *im = avifImageCreate(W, H, 8, AVIF_PIXEL_FORMAT_YUV444);
    avifEncoder *e = avifEncoderCreate();
    avifRWData data = AVIF_DATA_EMPTY;
    avifRGBImage rgb;
    unsigned char pixels[W * H * 4];
    bytes b = { 0 };
    for (int i = 0; i < W * H; i++) {
        paint(i % W, i / W, pixels + channels * i);
        if (channels == 4) pixels[4 * i + 3] = (unsigned char)(i % 256);
    }
    im->matrixCoefficients = AVIF_MATRIX_COEFFICIENTS_IDENTITY; /* with quantizer 0: lossless */
    if (turn >= 0) im->transformFlags |= AVIF_TRANSFORM_IROT, im->irot.angle = (uint8_t)turn;
    if (mirror >= 0) im->transformFlags |= AVIF_TRANSFORM_IMIR, im->imir.mode = (uint8_t)mirror;
    avifRGBImageSetDefaults(&rgb, im);
    rgb.format = channels == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.depth = 8;
    rgb.pixels = pixels;
    rgb.rowBytes = (uint32_t)(W * channels);
    assert_int_equal(avifImageRGBToYUV(im, &rgb), AVIF_RESULT_OK);
    e->minQuantizer = e->maxQuantizer = e->minQuantizerAlpha = e->maxQuantizerAlpha = 0;
    e->speed = 10;
    assert_int_equal(avifEncoderWrite(e, im, &data), AVIF_RESULT_OK);
    put(&b, data.data, data.size);
    avifRWDataFree(&data);
    avifEncoderDestroy(e);
    avifImageDestroy(im);
    return b;
}

static void avif_is_exact(void **state)
{
    (void)state;
    for (int channels = 3; channels <= 4; channels++) {
        bytes b = encode_avif(channels, -1, -1);
        bitmap out;
        dreamo_error err = { 0 };
        unsigned char want[3];
        if (image_decode(b.data, b.n, "x", &out, NULL, 0, &err)) fail_msg("%s", err.message);
        assert_true(out.width == W && out.height == H && out.channels == channels && image_is_known(b.data, b.n));
        for (int i = 0; i < W * H; i++) {
            paint(i % W, i / W, want);
            assert_memory_equal(out.data + channels * i, want, 3);
            if (channels == 4) assert_int_equal(out.data[4 * i + 3], i % 256);
        }
        bitmap_free(&out);
        drop(&b);
    }
}

/* ISO/IEC 23008-12: the picture is turned anticlockwise by 90 degrees irot.angle times, then mirrored, top to bottom (mode 0) or left to right (1). */
static void avif_comes_upright(void **state)
{
    (void)state;
    for (int turn = 0; turn < 4; turn++)
        for (int mirror = -1; mirror < 2; mirror++) {
            bytes b = encode_avif(3, turn, mirror);
            bitmap out;
            unsigned char want[3];
            assert_int_equal(image_decode(b.data, b.n, "x", &out, NULL, 0, NULL), DREAMO_OK);
            assert_true(turn % 2 ? out.width == H && out.height == W : out.width == W && out.height == H);
            for (int y = 0; y < H; y++)
                for (int x = 0; x < W; x++) {
                    int u = x, v = y, w = W, h = H;
                    for (int k = 0; k < turn; k++) { /* the right column becomes the top row */
                        int next = w - 1 - u, side = w;
                        u = v, v = next, w = h, h = side;
                    }
                    if (mirror == 0) v = h - 1 - v;
                    if (mirror == 1) u = w - 1 - u;
                    paint(x, y, want);
                    assert_memory_equal(out.data + 3 * (v * out.width + u), want, 3);
                }
            bitmap_free(&out);
            drop(&b);
        }
}

static void avif_has_limits_and_survives_damage(void **state)
{
    (void)state;
    bytes b = encode_avif(3, -1, -1);
    bitmap out;
    assert_int_equal(image_decode_within(b.data, b.n, "x", 1000, &out, NULL, 0, NULL), DREAMO_LIMIT);
    damage(&b);
    drop(&b);
}
#endif

#ifdef DREAMO_HEIF
#include <libheif/heif.h>

static struct heif_error collect(struct heif_context *c, const void *data, size_t n, void *user)
{
    (void)c;
    put(user, data, n);
    return (struct heif_error){ heif_error_Ok, heif_suberror_Unspecified, "" };
}

/* Empty where this libheif has no encoder. */
static bytes encode_heic(void)
{
    struct heif_context *c = heif_context_alloc();
    struct heif_encoder *e = NULL;
    struct heif_image *im = NULL;
    struct heif_writer writer = { 1, collect };
    bytes b = { 0 };
    int stride;
    if (heif_context_get_encoder_for_format(c, heif_compression_HEVC, &e).code == heif_error_Ok) {
        assert_int_equal(heif_image_create(W, H, heif_colorspace_RGB, heif_chroma_interleaved_RGB, &im).code, heif_error_Ok);
        assert_int_equal(heif_image_add_plane(im, heif_channel_interleaved, W, H, 8).code, heif_error_Ok);
        uint8_t *to = heif_image_get_plane(im, heif_channel_interleaved, &stride);
        for (int i = 0; i < W * H; i++) paint(i % W, i / W, to + (size_t)(i / W) * (size_t)stride + 3 * (size_t)(i % W));
        heif_encoder_set_lossy_quality(e, 95);
        assert_int_equal(heif_context_encode_image(c, im, e, NULL, NULL).code, heif_error_Ok);
        assert_int_equal(heif_context_write(c, &writer, &b).code, heif_error_Ok);
        heif_image_release(im);
        heif_encoder_release(e);
    }
    heif_context_free(c);
    return b;
}

static void heic_is_read(void **state)
{
    (void)state;
    bytes b = encode_heic();
    bitmap out;
    dreamo_error err = { 0 };
    unsigned char want[3];
    double sum = 0;
    if (!b.n) skip();
    if (image_decode(b.data, b.n, "x", &out, NULL, 0, &err)) fail_msg("%s", err.message);
    assert_true(out.width == W && out.height == H && out.channels == 3);
    for (int i = 0; i < W * H; i++) {
        paint(i % W, i / W, want);
        for (int c = 0; c < 3; c++) sum += abs(out.data[3 * i + c] - want[c]) / (3.0 * W * H);
    }
    assert_true(sum < 3); /* lossy, with halved colours */
    bitmap_free(&out);
    assert_int_equal(image_decode_within(b.data, b.n, "x", 1000, &out, NULL, 0, NULL), DREAMO_LIMIT);
    damage(&b);
    drop(&b);
}
#endif

/* A header is enough to be told by name. */
static void others_are_named(void **state)
{
    static const struct { const char *data, *says; } files[] = {
        { "\0\0\0\x18" "ftypavif\0\0\0\0avifmif1", "AVIF" }, { "\0\0\0\x18" "ftypmif1\0\0\0\0mif1avif", "AVIF" }, { "\0\0\0\x18" "ftypheic\0\0\0\0mif1heic", "HEIC" },
        { "\0\0\0\x18" "ftypmif1\0\0\0\0mif1heic", "HEIC" }, { "\0\0\0\x18" "ftypmp42\0\0\0\0mp42isom", "MP4" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        bitmap out;
        dreamo_error err = { 0 };
        assert_int_equal(image_decode((const unsigned char *)files[i].data, 24, "x", &out, NULL, 0, &err), DREAMO_FORMAT);
        if (!strstr(err.message, files[i].says)) fail_msg("%s", err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef DREAMO_AVIF
        cmocka_unit_test(avif_is_exact), cmocka_unit_test(avif_comes_upright), cmocka_unit_test(avif_has_limits_and_survives_damage),
#endif
#ifdef DREAMO_HEIF
        cmocka_unit_test(heic_is_read),
#endif
        cmocka_unit_test(others_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
