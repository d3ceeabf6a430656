/* image_sink.h - where an encoder's bytes go: into a file that is being written, or into memory that grows. */
#ifndef FORMAT_IMAGE_SINK_H
#define FORMAT_IMAGE_SINK_H
#include "base/file.h"

typedef struct image_sink {
    filewriter *file;          /* NULL: memory */
    unsigned char *data;       /* mem_free */
    size_t nbytes, room;
} image_sink;

dreamo_status image_sink_put(image_sink *to, const void *data, size_t nbytes, dreamo_error *err);
#endif
