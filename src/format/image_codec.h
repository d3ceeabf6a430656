/* image_codec.h - between image_file.c and the three codecs. */
#ifndef FORMAT_IMAGE_CODEC_H
#define FORMAT_IMAGE_CODEC_H
#include "format/image_file.h"

#define IMAGE_MAX_SIDE 16384
#define IMAGE_MAX_PIXELS 40000000

typedef struct image_source {
    const unsigned char *data;
    size_t nbytes;
    const char *what;          /* the file's name in messages */
    char *note;                /* a line about what was ignored */
    size_t note_nbytes;
    int orientation;           /* EXIF, set by the codec */
} image_source;

dreamo_status png_decode(image_source *src, bitmap *out, dreamo_error *err);
dreamo_status jpeg_decode(image_source *src, bitmap *out, dreamo_error *err);
dreamo_status webp_decode(image_source *src, bitmap *out, dreamo_error *err);

dreamo_status image_check_size(const char *what, int64_t width, int64_t height, dreamo_error *err);
int           image_exif_orientation(const unsigned char *tiff, size_t nbytes);
void          image_note(const image_source *src, const char *text);
#endif
