/* image_exif.c - which way is up: EXIF's orientation and what it asks for.  Nothing else of EXIF is read. */
#include <string.h>
#include "base/mem.h"
#include "format/image_codec.h"

#define MAX_EXIF 65536
#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3

typedef struct tiff { const unsigned char *data; size_t nbytes; bool little; } tiff;

/* The caller has checked that they lie inside. */
static uint32_t u16(const tiff *t, size_t at)
{
    const unsigned char *p = t->data + at;
    return t->little ? (uint32_t)p[0] | (uint32_t)p[1] << 8 : (uint32_t)p[1] | (uint32_t)p[0] << 8;
}

static uint32_t u32(const tiff *t, size_t at)
{
    return t->little ? u16(t, at) | u16(t, at + 2) << 16 : u16(t, at + 2) | u16(t, at) << 16;
}

/* 1 to 8; 1 when there is no such tag; 0 when the data is broken. */
static int find_orientation(const tiff *t)
{
    if (t->nbytes < 14 || t->nbytes > MAX_EXIF || (memcmp(t->data, "II*\0", 4) && memcmp(t->data, "MM\0*", 4))) return 0;
    size_t at = u32(t, 4);
    if (at > t->nbytes - 2) return 0;
    for (size_t left = u16(t, at), entry = at + 2; left; left--, entry += 12) {
        if (entry + 12 > t->nbytes) return 0;
        if (u16(t, entry) != TAG_ORIENTATION) continue;
        uint32_t value = u16(t, entry + 8);
        return u16(t, entry + 2) == TYPE_SHORT && value >= 1 && value <= 8 ? (int)value : 0;
    }
    return 1;
}

void image_read_exif(image_source *src, const unsigned char *data, size_t nbytes)
{
    tiff t = { data, nbytes, nbytes && data[0] == 'I' };
    int found = find_orientation(&t);
    if (found) src->orientation = found;
    else image_note(src, "its EXIF data is broken or too large and is ignored");
}

/* What each orientation does to rows and columns, in this order: swap them, mirror left and right, mirror top and bottom. */
static const struct { bool swap, mirror, flip; } turns[9] = {
    [2] = { false, true, false }, [3] = { false, true, true }, [4] = { false, false, true }, [5] = { true, false, false },
    [6] = { true, true, false }, [7] = { true, true, true }, [8] = { true, false, true },
};

dreamo_status image_orient(bitmap *b, int orientation, dreamo_error *err)
{
    bitmap turned;
    size_t n = (size_t)b->channels;
    if (orientation <= 1 || orientation > 8) return DREAMO_OK;
    bool swap = turns[orientation].swap;
    dreamo_status s = bitmap_new(&turned, swap ? b->height : b->width, swap ? b->width : b->height, b->channels, err);
    if (s) return s;
    for (int y = 0; y < b->height; y++)
        for (int x = 0; x < b->width; x++) {
            int to_x = swap ? y : x, to_y = swap ? x : y;
            if (turns[orientation].mirror) to_x = turned.width - 1 - to_x;
            if (turns[orientation].flip) to_y = turned.height - 1 - to_y;
            memcpy(turned.data + ((size_t)to_y * (size_t)turned.width + (size_t)to_x) * n, b->data + ((size_t)y * (size_t)b->width + (size_t)x) * n, n);
        }
    bitmap_free(b);
    *b = turned;
    return DREAMO_OK;
}
