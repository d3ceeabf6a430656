/* image_codec.h - between image_file.c and the codecs. */
#ifndef FORMAT_IMAGE_CODEC_H
#define FORMAT_IMAGE_CODEC_H
#include "format/image_file.h"
#include "format/image_sink.h"

#define IMAGE_MAX_FILE ((size_t)64 << 20)
#define IMAGE_MAX_SIDE 16384
#define IMAGE_MAX_PIXELS 40000000

typedef struct image_source {
    const unsigned char *data;
    size_t nbytes;
    const char *what;          /* the file's name in messages */
    char *note;                /* what was ignored, "...; ..." */
    size_t note_nbytes;
    int orientation;           /* EXIF's, 1 to 8, set by image_read_exif */
    int64_t max_pixels;        /* at most IMAGE_MAX_PIXELS */
} image_source;

/* Each checks the size before it takes memory and leaves *out empty on failure. */
dreamo_status png_decode(image_source *src, bitmap *out, dreamo_error *err);
dreamo_status jpeg_decode(image_source *src, bitmap *out, dreamo_error *err);
dreamo_status webp_decode(image_source *src, bitmap *out, dreamo_error *err);

#ifdef DREAMO_AVIF
dreamo_status avif_decode(image_source *src, bitmap *out, dreamo_error *err);
#endif
#ifdef DREAMO_HEIF
dreamo_status heif_decode(image_source *src, bitmap *out, dreamo_error *err);
#endif

dreamo_status png_encode(const bitmap *b, const char *what, const char *const (*text)[2], int ntext, image_sink *to, dreamo_error *err);
dreamo_status jpeg_encode(const bitmap *b, const char *what, int quality, image_sink *to, dreamo_error *err);
dreamo_status webp_encode(const bitmap *b, const char *what, int quality, image_sink *to, dreamo_error *err);

dreamo_status image_check_size(const char *what, int64_t width, int64_t height, int64_t max_pixels, dreamo_error *err);
void          image_note(const image_source *src, const char *text);

/* The orientation in TIFF-style EXIF data, bounded by 64 KB and by its first directory; a note when it is broken. */
void          image_read_exif(image_source *src, const unsigned char *tiff, size_t nbytes);
dreamo_status image_orient(bitmap *b, int orientation, dreamo_error *err);
#endif
