/* fuzz_zip.c - ZIP archives: every member that is read has its size and CRC. */
#include "data/source/zip.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    zip z;
    dreamo_error err = { 0 };
    fuzz_put("z.zip", data, nbytes);
    dreamo_status s = zip_open("z.zip", &z, &err);
    fuzz_told(s, &err);
    for (int i = 0; !s && i < z.nentries; i++) {
        char *text;
        size_t n;
        dreamo_error why = { 0 };
        fuzz_must(zip_find(&z, z.entries[i].name) == &z.entries[i], "a member is found by its name");
        dreamo_status one = zip_read(&z, &z.entries[i], 1 << 20, &text, &n, &why);
        fuzz_told(one, &why);
        if (!one) fuzz_must(text[n] == '\0', "a NUL after it"), mem_free(text);
    }
    if (!s) zip_close(&z);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
