/* fuzz_catalogue.c - a furniture catalogue's properties, and its pieces with a mesh of the input's, drawn small: the archive around them is
 * made here. */
#include <zlib.h>
#include "data/source/furniture.h"
#include "data/source/raster.h"
#include "fuzz.h"

typedef struct archive { unsigned char *p; size_t n; } archive;

static void put(archive *a, const void *data, size_t n)
{
    memcpy(a->p + a->n, data, n);
    a->n += n;
}

static void put_number(archive *a, uint32_t v, int n)
{
    for (int i = 0; i < n; i++) put(a, &(unsigned char){ (unsigned char)(v >> 8 * i) }, 1);
}

/* A stored member: its local header with the data, or its line of the directory. */
static void put_member(archive *a, const char *name, const uint8_t *data, size_t n, bool directory, uint32_t at)
{
    uint32_t length = (uint32_t)strlen(name);
    put(a, directory ? "PK\1\2\0\0\0\0\0\0\0\0" : "PK\3\4\0\0\0\0\0\0", directory ? 12 : 10);
    put_number(a, 0, 4);
    put_number(a, (uint32_t)crc32(0, data, (uInt)n), 4);
    put_number(a, (uint32_t)n, 4);
    put_number(a, (uint32_t)n, 4);
    put_number(a, length, 4); /* and no extra field */
    if (directory) {
        put_number(a, 0, 4);
        put_number(a, 0, 4);
        put_number(a, 0, 2);
        put_number(a, at, 4);
    }
    put(a, name, length);
    if (!directory) put(a, data, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static const char *const names[] = { "PluginFurnitureCatalog.properties", "m/a.obj", "m/a.mtl" };
    fuzz_parts p = { data, data + nbytes, false };
    archive a = { malloc(nbytes + 1024), 0 };
    const uint8_t *part[3];
    size_t n[3], directory;
    uint32_t at[3];
    furniture_source s;
    dreamo_error err = { 0 };
    for (int i = 0; i < 3; i++) {
        fuzz_next(&p, &part[i], &n[i]);
        at[i] = (uint32_t)a.n;
        put_member(&a, names[i], part[i], n[i], false, 0);
    }
    directory = a.n;
    for (int i = 0; i < 3; i++) put_member(&a, names[i], part[i], n[i], true, at[i]);
    uint32_t length = (uint32_t)(a.n - directory);
    put(&a, "PK\5\6\0\0\0\0\3\0\3\0", 12);
    put_number(&a, length, 4);
    put_number(&a, (uint32_t)directory, 4);
    put_number(&a, 0, 2);
    fuzz_put("f/c.sh3f", a.p, a.n);
    free(a.p);
    dreamo_status status = furniture_open("f", &s, &err);
    fuzz_told(status, &err);
    for (int i = 0; !status && i < s.nitems && i < 2; i++) { /* the first tell all */
        obj_mesh mesh;
        unsigned char pixels[16 * 16 * 4];
        dreamo_error why = { 0 };
        dreamo_status drawn = furniture_mesh(&s, i, &mesh, &why);
        if (!drawn) {
            drawn = raster_views(&mesh, &(view){ 0.1, 0.05 }, 1, 16, pixels, &why);
            obj_free(&mesh);
        }
        fuzz_told(drawn, &why);
    }
    if (!status) furniture_close(&s);
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
