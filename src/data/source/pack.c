/* pack.c - the writer of asset folders. */
#include "data/source/pack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/sha256.h"
#include "data/assets.h"
#include "data/names.h"
#include "format/json.h"
#include "format/safetensors.h"

static size_t asset_nbytes(const asset *a) { return (size_t)(a->yaws * a->pitches) * (size_t)a->width * (size_t)a->height * 4; }

static json_t *describe(const asset *a, const char *tensor)
{
    char hash[65];
    sha256_hex(a->rgba, asset_nbytes(a), hash);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:[i,i,i], s:b, s:s}", "tensor", tensor, "concept", a->concept,
                     "phrase", a->phrase, "set", a->set, "group", a->group, "file", a->file, "author", a->author, "licence", a->licence,
                     "yaws", a->yaws, "pitches", a->pitches, "mean", a->mean[0], a->mean[1], a->mean[2], "held_out",
                     (int)name_held_out(a->concept), "sha256", hash);
}

/* Whole styles that nothing is trained in. */
static const char *const odd_styles[] = { "croodles", "streamline-emojis" };

static json_t *describe_person(const figure *f, const char *pixels, const char *matte)
{
    char hash[65];
    sha256_hex(f->rgba, 5 * figure_pixels(f), hash);
    json_t *variants = json_array();
    for (int i = 0; i < f->nvariants; i++)
        json_array_append_new(variants, json_pack("{s:s, s:s}", "expression", f->variant[i].expression, "clothes", f->variant[i].clothes));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:o}", "tensor", pixels, "matte", matte, "system", f->by->system, "twin", f->twin,
                     "noun", f->noun, "words", f->words, "licence", f->by->licence, "held_out", (int)name_held_out(f->identity), "sha256", hash,
                     "variants", variants);
}

static size_t class_nbytes(const wardrobe_class *c) { return (size_t)c->count * GARMENT_SIDE * GARMENT_SIDE; }

static json_t *describe_garments(const wardrobe_class *c, const char *tensor)
{
    char hash[65];
    sha256_hex(c->grey, class_nbytes(c), hash);
    return json_pack("{s:s, s:s, s:s, s:b, s:s}", "tensor", tensor, "name", c->name, "part", c->part, "held_out", (int)c->held_out, "sha256", hash);
}

static json_t *manifest_new(const asset_source *sources, int nsources)
{
    json_t *list = json_array(), *odd = json_array();
    for (int i = 0; i < nsources; i++) {
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "set", sources[i].set, "package", sources[i].package, "version",
                                              sources[i].version, "licence", sources[i].licence, "author", sources[i].author));
        for (size_t k = 0; k < sizeof odd_styles / sizeof *odd_styles; k++)
            if (!strcmp(sources[i].set, odd_styles[k])) json_array_append_new(odd, json_string(odd_styles[k]));
    }
    return json_pack("{s:s, s:i, s:o, s:o, s:[], s:[], s:[]}", "format", "dreamo-assets", "version", 2, "sources", list, "held_out_styles", odd,
                     "subjects", "people", "garments");
}

static dreamo_status write_json(const char *folder, const json_t *manifest, dreamo_error *err)
{
    size_t nbytes = json_dumpb(manifest, NULL, 0, JSON_INDENT(1));
    char *path = path_join(folder, "assets.json"), *text = mem_alloc(nbytes);
    dreamo_status status = path && text && nbytes ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory for the manifest", folder);
    if (!status) {
        json_dumpb(manifest, text, nbytes, JSON_INDENT(1));
        status = file_replace(path, text, nbytes, err);
    }
    mem_free(text);
    mem_free(path);
    return status;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The held-out concepts, sorted, one a line. */
static dreamo_status write_held_out(const char *folder, const asset *assets, int nassets, dreamo_error *err)
{
    const char **names = mem_calloc((size_t)nassets, sizeof *names);
    char *path = path_join(folder, "held-out.txt"), *text = mem_alloc((size_t)nassets * sizeof assets->concept + 1);
    dreamo_status status = names && path && text ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    int n = 0;
    size_t at = 0, room = (size_t)nassets * sizeof assets->concept + 1;
    for (int i = 0; i < nassets && !status; i++)
        if (!assets[i].refused && name_held_out(assets[i].concept)) names[n++] = assets[i].concept;
    if (n) qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++)
        if (!i || strcmp(names[i], names[i - 1])) at += (size_t)snprintf(text + at, room - at, "%s\n", names[i]);
    if (!status) status = file_replace(path, text, at, err);
    mem_free(names);
    mem_free(path);
    mem_free(text);
    return status;
}

/* Whom to name: every source, and every model with its author (drawings share their set's). */
static dreamo_status write_attribution(const char *folder, const asset *assets, int nassets, const asset_source *sources, int nsources, dreamo_error *err)
{
    filewriter w;
    char *path = path_join(folder, "attribution.txt"), line[512];
    dreamo_status status = path ? file_create(&w, path, true, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    mem_free(path);
    if (status) return status;
    for (int i = 0; i < nsources && !status; i++) {
        const asset_source *s = &sources[i];
        int n = snprintf(line, sizeof line, "%s: %s, %s, from %s %s\n", s->set, s->author, s->licence, s->package, s->version);
        status = file_write(&w, line, (size_t)n, err);
        for (int k = 0; k < nassets && !status; k++) {
            const asset *a = &assets[k];
            if (a->refused || strcmp(a->set, s->set) || !strcmp(a->author, s->author)) continue;
            n = snprintf(line, sizeof line, "    %s: %s, by %s\n", a->file, a->concept, a->author);
            status = file_write(&w, line, (size_t)n, err);
        }
    }
    if (!status) status = file_commit(&w, err);
    else file_abort(&w);
    return status;
}

/* ---- the folder ---- */

/* Tensors and what the manifest says of them, in step. */
typedef struct packing { json_t *manifest; st_tensor *tensors; char (*names)[16]; int n; } packing;

/* The next tensor of letter-and-number name; its bytes. */
static const char *next(packing *p, char letter, int number, st_tensor t, size_t nbytes)
{
    snprintf(p->names[p->n], sizeof p->names[p->n], "%c%06d", letter, number);
    t.name = p->names[p->n], t.type = DT_U8, t.nbytes = t.count = nbytes;
    p->tensors[p->n] = t;
    return p->names[p->n++];
}

static bool add(packing *p, const char *list, json_t *item) { return !json_array_append_new(json_object_get(p->manifest, list), item); }

static bool list_all(packing *p, const pack_lists *l)
{
    bool ok = true;
    for (int i = 0, k = 0; i < l->nassets && ok; i++) {
        const asset *a = &l->assets[i];
        if (a->refused || !a->rgba) continue;
        const char *name = next(p, 's', k++, (st_tensor){ .rank = 4, .shape = { a->yaws * a->pitches, a->height, a->width, 4 }, .data = a->rgba }, asset_nbytes(a));
        ok = add(p, "subjects", describe(a, name));
    }
    for (int i = 0, k = 0; i < l->npeople && ok; i++) {
        const figure *f = &l->people[i];
        if (f->refused || !f->rgba) continue;
        size_t n = figure_pixels(f);
        const char *pixels = next(p, 'p', k, (st_tensor){ .rank = 4, .shape = { f->nvariants, f->height, f->width, 4 }, .data = f->rgba }, 4 * n);
        const char *matte = next(p, 'm', k++, (st_tensor){ .rank = 3, .shape = { f->nvariants, f->height, f->width }, .data = f->rgba + 4 * n }, n);
        ok = add(p, "people", describe_person(f, pixels, matte));
    }
    for (int i = 0, k = 0; i < l->ngarments && ok; i++) {
        const wardrobe_class *c = &l->garments[i];
        if (!c->count) continue;
        const char *name = next(p, 'g', k++, (st_tensor){ .rank = 3, .shape = { c->count, GARMENT_SIDE, GARMENT_SIDE }, .data = c->grey }, class_nbytes(c));
        ok = add(p, "garments", describe_garments(c, name));
    }
    return ok;
}

dreamo_status pack_write(const char *folder, const pack_lists *l, dreamo_error *err)
{
    size_t most = (size_t)l->nassets + 2 * (size_t)l->npeople + (size_t)l->ngarments + 1;
    packing p = { manifest_new(l->sources, l->nsources), mem_calloc(most, sizeof *p.tensors), mem_calloc(most, sizeof *p.names), 0 };
    char *path = path_join(folder, "assets.safetensors");
    dreamo_status status = p.manifest && p.tensors && p.names && path ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status && !list_all(&p, l)) status = fail(err, DREAMO_MEMORY, "%s: no memory for the manifest", folder);
    if (!status && !json_array_size(json_object_get(p.manifest, "subjects"))) status = fail(err, DREAMO_CONTENT, "%s: no usable subject", folder);
    if (!status) status = folder_make(folder, err);
    if (!status) status = st_write(path, p.tensors, p.n, NULL, 0, err);
    if (!status) status = write_json(folder, p.manifest, err);
    if (!status) status = write_held_out(folder, l->assets, l->nassets, err);
    if (!status) status = write_attribution(folder, l->assets, l->nassets, l->sources, l->nsources, err);
    json_decref(p.manifest);
    mem_free(p.tensors);
    mem_free(p.names);
    mem_free(path);
    return status;
}
