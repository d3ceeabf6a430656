/* fuzz_picture.c - PNG, JPEG, WebP, AVIF and HEIC with their EXIF, and the text chunk that our own pictures carry. */
#include "format/image_file.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    bitmap b;
    dreamo_error err = { 0 }, other = { 0 };
    char note[120], *text = NULL;
    dreamo_status s = image_decode(data, nbytes, "a picture", &b, note, sizeof note, &err);
    fuzz_told(s, &err);
    if (!s) fuzz_must(b.width > 0 && b.height > 0 && (b.channels == 3 || b.channels == 4), "a picture has pixels");
    if (!s) bitmap_free(&b);
    fuzz_put("p.png", data, nbytes);
    s = image_read_text("p.png", "dreamo", &text, &other);
    fuzz_told(s, &other);
    mem_free(text);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
