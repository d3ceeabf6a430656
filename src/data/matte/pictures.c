/* pictures.c - folders of photographs and of cut-outs, kept small. */
#include "data/matte/matte.h"

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "image/resize.h"

enum { SHORTER = 448, HELD_OUT = 8 };

/* Photographs lie on white where they have holes; cut-outs are as small as they are, and a picture without alpha is none. */
static dreamo_status read_small(const char *path, bool cutout, bitmap *out, dreamo_error *err)
{
    bitmap raw = { 0 }, rgb = { 0 };
    dreamo_status s = image_read(path, &raw, NULL, 0, err);
    if (!s && cutout) {
        if (raw.channels == 4 && raw.width <= 2 * SHORTER && raw.height <= 2 * SHORTER) {
            *out = raw;
            return DREAMO_OK;
        }
        s = fail(err, DREAMO_FORMAT, "%s: a cut-out has alpha and at most %d pixels a side, this is %d x %d with %d channels", path, 2 * SHORTER, raw.width, raw.height, raw.channels);
    }
    if (!s) s = composite_white(&raw, &rgb, err);
    bitmap_free(&raw);
    if (s) return s;
    int shorter = rgb.width < rgb.height ? rgb.width : rgb.height;
    if (shorter <= SHORTER) {
        *out = rgb;
        return DREAMO_OK;
    }
    s = resize_area(&rgb, (int)((int64_t)rgb.width * SHORTER / shorter), (int)((int64_t)rgb.height * SHORTER / shorter), out, err);
    bitmap_free(&rgb);
    return s;
}

static dreamo_status open_folder(const char *data, const char *name, bool cutouts, matte_folder *out, dreamo_error *err)
{
    char **names = NULL, *folder = path_join(data, name);
    int n = 0;
    dreamo_status s = folder ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", data);
    if (s || !folder_exists(folder)) {
        mem_free(folder);
        return s;
    }
    s = folder_list(folder, &names, &n, err);
    for (int split = 0; split < 2 && !s; split++)
        if (!(out->picture[split] = mem_calloc((size_t)n + 1, sizeof *out->picture[split]))) s = fail(err, DREAMO_MEMORY, "%s: no memory for %d pictures", folder, n);
    for (int i = 0; i < n && !s; i++) {
        int split = i % HELD_OUT == HELD_OUT - 1;
        char *path = path_join(folder, names[i]);
        s = path ? read_small(path, cutouts, &out->picture[split][out->n[split]], err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        if (!s) out->n[split]++;
        mem_free(path);
    }
    folder_list_free(names, n);
    mem_free(folder);
    return s;
}

dreamo_status matte_pictures_open(const char *data, matte_pictures *out, dreamo_error *err)
{
    *out = (matte_pictures){ 0 };
    dreamo_status s = open_folder(data, "photos", false, &out->photos, err);
    if (!s) s = open_folder(data, "cutouts", true, &out->cutouts, err);
    if (s) matte_pictures_free(out);
    return s;
}

static void free_folder(matte_folder *f)
{
    for (int split = 0; split < 2; split++) {
        for (int i = 0; i < f->n[split]; i++) bitmap_free(&f->picture[split][i]);
        mem_free(f->picture[split]);
    }
}

void matte_pictures_free(matte_pictures *p)
{
    free_folder(&p->photos);
    free_folder(&p->cutouts);
    *p = (matte_pictures){ 0 };
}
