/* image_sink.c - bytes of a picture on their way out. */
#include "format/image_sink.h"
#include <string.h>
#include "base/mem.h"

dreamo_status image_sink_put(image_sink *to, const void *data, size_t nbytes, dreamo_error *err)
{
    if (to->file) return file_write(to->file, data, nbytes, err);
    if (nbytes > to->room - to->nbytes) {
        size_t room = 2 * to->room + nbytes + 4096;
        unsigned char *more = mem_realloc(to->data, room);
        if (!more) return fail(err, DREAMO_MEMORY, "no memory for a picture of %zu bytes", room);
        to->data = more;
        to->room = room;
    }
    memcpy(to->data + to->nbytes, data, nbytes);
    to->nbytes += nbytes;
    return DREAMO_OK;
}
