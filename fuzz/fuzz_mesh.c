/* fuzz_mesh.c - an OBJ file and its MTL file, drawn small. */
#include "data/source/raster.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    static const double plain[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
    unsigned char pixels[16 * 16 * 4];
    fuzz_parts p = { data, data + nbytes, false };
    const uint8_t *part;
    size_t n;
    obj_mesh m;
    dreamo_error err = { 0 };
    fuzz_next(&p, &part, &n);
    char *obj = malloc(n + 1);
    memcpy(obj, part, n);
    obj[n] = '\0';
    dreamo_status s = obj_parse(obj, n, "m.obj", &m, &err);
    free(obj);
    fuzz_told(s, &err);
    if (!s && fuzz_next(&p, &part, &n)) {
        char *mtl = malloc(n + 1);
        memcpy(mtl, part, n);
        mtl[n] = '\0';
        fuzz_told(mtl_parse(mtl, n, "m.mtl", &m, &err), &err);
        free(mtl);
    }
    err = (dreamo_error){ 0 };
    if (!s) {
        dreamo_status drawn = mesh_normalise(&m, plain, (double[3]){ 30, 0, 20 }, "m", &err);
        if (!drawn) drawn = raster_views(&m, &(view){ 0.1, 0.05 }, 1, 16, pixels, &err);
        fuzz_told(drawn, &err);
        obj_free(&m);
    }
    fuzz_must(mem_live() == 0, "all memory is given back");
    return 0;
}
