/* image_file.h - pictures in and out of files: PNG, JPEG and WebP by content, through libpng, libjpeg-turbo, libwebp; AVIF and HEIC where built with libavif and libheif.
 *
 * Header first, then limits (40 Mpx, side 16,384, file 64 MB), then memory, then decoding (robustness C4). */
#ifndef FORMAT_IMAGE_FILE_H
#define FORMAT_IMAGE_FILE_H
#include "base/error.h"

typedef struct bitmap { int width, height, channels; /* 3 = RGB, 4 = RGBA straight alpha */ unsigned char *data; } bitmap;

/* Does it begin as a PNG, JPEG or WebP file does? */
bool          image_is_known(const unsigned char *data, size_t nbytes);
dreamo_status bitmap_new(bitmap *b, int width, int height, int channels, dreamo_error *err);
void          bitmap_free(bitmap *b);
/* The width x height pixels of `from` that begin at (left, top), which lie in it, as a picture of their own; and all of it. */
dreamo_status bitmap_cut(const bitmap *from, int left, int top, int width, int height, bitmap *out, dreamo_error *err);
dreamo_status bitmap_copy(const bitmap *from, bitmap *out, dreamo_error *err);
/* Keeps alpha when the file has it.  `note` (may be NULL) gets a line about what was ignored, e.g. an ICC profile. */
dreamo_status image_read(const char *path, bitmap *out, char *note, size_t note_nbytes, dreamo_error *err);
dreamo_status image_decode(const unsigned char *data, size_t nbytes, const char *what, bitmap *out, char *note, size_t note_nbytes, dreamo_error *err);
/* The same for less than the 40 million pixels that are allowed otherwise. */
/* The same as its pixels lie in the file, whatever EXIF says about which way is up: what programs see that do not look at EXIF. */
dreamo_status image_decode_as_stored(const unsigned char *data, size_t nbytes, const char *what, bitmap *out, char *note, size_t note_nbytes, dreamo_error *err);
dreamo_status image_decode_within(const unsigned char *data, size_t nbytes, const char *what, int64_t max_pixels, bitmap *out, char *note, size_t note_nbytes,
                                  dreamo_error *err);
/* PNG with optional text chunks (key, UTF-8 value), atomically. */
dreamo_status image_write_png(const char *path, const bitmap *b, const char *const (*text)[2], int ntext, bool clobber, dreamo_error *err);
/* "png", "jpeg" or "webp" into memory: *data is mem_free's. */
dreamo_status image_encode(const bitmap *b, const char *format, int quality, const char *const (*text)[2], int ntext, unsigned char **data, size_t *nbytes,
                           dreamo_error *err);
dreamo_status image_write_jpeg(const char *path, const bitmap *b, int quality, bool clobber, dreamo_error *err);
/* PNG text chunk by key, decompression bounded at 1 MB; *value NULL when there is none.  mem_free. */
dreamo_status image_find_text(const unsigned char *data, size_t nbytes, const char *what, const char *key, char **value, dreamo_error *err);
dreamo_status image_read_text(const char *path, const char *key, char **value, dreamo_error *err);
#endif
