/* assets.c - opening an asset folder. */
#include "data/assets.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static dreamo_status read_mean(const json_t *item, const char *what, float mean[3], dreamo_error *err)
{
    const json_t *list = json_object_get(item, "mean");
    if (!json_is_array(list) || json_array_size(list) != 3) return fail(err, DREAMO_FORMAT, "%s: mean: not a list of three numbers", what);
    for (size_t k = 0; k < 3; k++) {
        double v = json_number_value(json_array_get(list, k));
        if (!(v >= 0 && v <= 255)) return fail(err, DREAMO_FORMAT, "%s: mean: %g is not in 0..255", what, v);
        mean[k] = (float)(v / 255);
    }
    return DREAMO_OK;
}

/* One entry of the manifest and its tensor. */
static dreamo_status read_subject(data_set *d, const json_t *item, const char *path, size_t at, subject *s, dreamo_error *err)
{
    char what[512];
    const char *name;
    int64_t yaws, pitches;
    snprintf(what, sizeof what, "%.400s: subjects[%zu]", path, at);
    if (!json_is_object(item)) return fail(err, DREAMO_FORMAT, "%s: not an object", what);
    if (json_get_string(item, what, "tensor", NULL, &name, err) || json_get_string(item, what, "concept", NULL, &s->concept, err) ||
        json_get_string(item, what, "phrase", NULL, &s->phrase, err) || json_get_string(item, what, "set", NULL, &s->set, err) ||
        json_get_string(item, what, "group", "", &s->group, err) || json_get_string(item, what, "sha256", "", &s->sha256, err) ||
        json_get_int(item, what, "yaws", 1, ASSETS_MAX_VIEWS, 1, &yaws, err) ||
        json_get_int(item, what, "pitches", 1, ASSETS_MAX_VIEWS, 1, &pitches, err) ||
        json_get_bool(item, what, "held_out", false, &s->held_out, err) || read_mean(item, what, s->mean, err))
        return err ? err->status : DREAMO_FORMAT;
    if (!*s->concept || strlen(s->concept) >= sizeof((data_sample *)0)->subject || strlen(s->phrase) >= 96)
        return fail(err, DREAMO_FORMAT, "%s: concept or phrase is empty or too long", what);
    st_tensor *t = st_find(&d->file, name);
    if (!t) return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" is not in assets.safetensors", what, name);
    if (t->used) return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" is named twice", what, name);
    t->used = true;
    if (t->type != DT_U8 || t->rank != 4 || t->shape[3] != 4 || t->shape[0] != yaws * pitches || t->shape[1] < 1 ||
        t->shape[1] > ASSETS_MAX_SIDE || t->shape[2] < 1 || t->shape[2] > ASSETS_MAX_SIDE)
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" is not U8 [%d, 1..%d, 1..%d, 4]", what, name, (int)(yaws * pitches),
                    ASSETS_MAX_SIDE, ASSETS_MAX_SIDE);
    s->height = (int)t->shape[1], s->width = (int)t->shape[2], s->yaws = (int)yaws, s->pitches = (int)pitches, s->rgba = t->data;
    return DREAMO_OK;
}

static int by_concept(const void *a, const void *b)
{
    const subject *x = a, *y = b;
    int c = strcmp(x->concept, y->concept);
    if (!c) c = strcmp(x->set, y->set);
    return c ? c : (x->rgba > y->rgba) - (x->rgba < y->rgba); /* tensors lie in the order of their names */
}

/* Runs of equal concepts, and the lists of flat and solid subjects, for each split. */
static dreamo_status index_subjects(data_set *d, const char *path, dreamo_error *err)
{
    size_t n = (size_t)d->nsubjects;
    for (int split = 0; split < 2; split++) {
        d->concepts[split] = mem_calloc(n, sizeof(concept));
        d->flat[split] = mem_calloc(n, sizeof(int));
        d->solid[split] = mem_calloc(n, sizeof(int));
        if (!d->concepts[split] || !d->flat[split] || !d->solid[split]) return fail(err, DREAMO_MEMORY, "%s: no memory for %zu subjects", path, n);
    }
    if (!(d->odd = mem_calloc(n, sizeof(int)))) return fail(err, DREAMO_MEMORY, "%s: no memory for %zu subjects", path, n);
    for (int i = 0; i < d->nsubjects; i++) {
        const subject *s = &d->subjects[i];
        int split = s->held_out ? DATA_VAL : DATA_TRAIN;
        if (i && !strcmp(s->concept, s[-1].concept)) {
            if (s->held_out != s[-1].held_out)
                return fail(err, DREAMO_FORMAT, "%s: concept \"%s\" is held out in one set and not in another", path, s->concept);
            d->concepts[split][d->nconcepts[split] - 1].count++;
        } else
            d->concepts[split][d->nconcepts[split]++] = (concept){ s->concept, i, 1 };
        if (s->odd_style) d->odd[d->nodd++] = i;
        else if (s->yaws * s->pitches > 1) d->solid[split][d->nsolid[split]++] = i;
        else d->flat[split][d->nflat[split]++] = i;
    }
    return DREAMO_OK;
}

static dreamo_status read_manifest(data_set *d, const char *path, dreamo_error *err)
{
    dreamo_status status = json_read(path, 64 << 20, &d->manifest, err);
    if (status) return status;
    const char *format;
    int64_t version;
    if ((status = json_get_string(d->manifest, path, "format", NULL, &format, err)) ||
        (status = json_get_int(d->manifest, path, "version", 1, 1, 0, &version, err)))
        return status;
    if (strcmp(format, "dreamo-assets")) return fail(err, DREAMO_FORMAT, "%s: format is \"%.40s\", not \"dreamo-assets\"", path, format);
    const json_t *list = json_object_get(d->manifest, "subjects");
    if (!json_is_array(list) || !json_array_size(list)) return fail(err, DREAMO_FORMAT, "%s: subjects: not a list, or empty", path);
    size_t n = json_array_size(list);
    if (n > 1000000) return fail(err, DREAMO_LIMIT, "%s: %zu subjects; at most 1000000", path, n);
    if (!(d->subjects = mem_calloc(n, sizeof(subject)))) return fail(err, DREAMO_MEMORY, "%s: no memory for %zu subjects", path, n);
    for (size_t i = 0; i < n; i++)
        if ((status = read_subject(d, json_array_get(list, i), path, i, &d->subjects[i], err))) return status;
    for (int i = 0; i < d->file.ntensors; i++)
        if (!d->file.tensors[i].used) return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" of assets.safetensors is not listed", path, d->file.tensors[i].name);
    d->nsubjects = (int)n;
    qsort(d->subjects, n, sizeof(subject), by_concept);
    return index_subjects(d, path, err);
}

dreamo_status data_open(const char *folder, data_set **out, dreamo_error *err)
{
    *out = NULL;
    dreamo_error local = { 0 };
    if (!err) err = &local;
    data_set *d = mem_calloc(1, sizeof *d);
    char *weights = path_join(folder, "assets.safetensors"), *manifest = path_join(folder, "assets.json");
    dreamo_status status = d && weights && manifest ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status) status = st_open(weights, &d->file, err);
    if (!status) status = read_manifest(d, manifest, err);
    mem_free(weights);
    mem_free(manifest);
    if (status) data_close(d);
    else *out = d;
    return status;
}

void data_close(data_set *d)
{
    if (!d) return;
    for (int split = 0; split < 2; split++) {
        mem_free(d->concepts[split]);
        mem_free(d->flat[split]);
        mem_free(d->solid[split]);
    }
    mem_free(d->odd);
    mem_free(d->subjects);
    json_decref(d->manifest);
    st_close(&d->file);
    mem_free(d);
}

int data_concepts(const data_set *d, data_split split) { return d->nconcepts[split]; }
int data_subjects(const data_set *d, data_split split) { return d->nflat[split] + d->nsolid[split]; }

const char *data_concept(const data_set *d, data_split split, int i)
{
    return i >= 0 && i < d->nconcepts[split] ? d->concepts[split][i].name : NULL;
}
