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

/* The tensor that `field` names, U8 of this rank, its sides within limits; four channels where the rank is 4. */
static dreamo_status take(data_set *d, const json_t *item, const char *what, const char *field, int rank, st_tensor **out, dreamo_error *err)
{
    const char *name;
    dreamo_status status = json_get_string(item, what, field, NULL, &name, err);
    if (status) return status;
    st_tensor *t = st_find(&d->file, name);
    if (!t) return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" is not in assets.safetensors", what, name);
    if (t->used) return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" is named twice", what, name);
    t->used = true;
    *out = t;
    if (t->type == DT_U8 && t->rank == rank && t->shape[1] >= 1 && t->shape[1] <= ASSETS_MAX_SIDE && t->shape[2] >= 1 && t->shape[2] <= ASSETS_MAX_SIDE &&
        (rank == 3 || t->shape[3] == 4))
        return DREAMO_OK;
    return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" is not U8 [n, 1..%d, 1..%d%s]", what, name, ASSETS_MAX_SIDE, ASSETS_MAX_SIDE, rank == 3 ? "" : ", 4");
}

/* A phrase for captions: at most `most` bytes, empty only where `empty`. */
static dreamo_status phrase(const json_t *item, const char *what, const char *field, size_t most, bool empty, const char **out, dreamo_error *err)
{
    dreamo_status status = json_get_string(item, what, field, empty ? "" : NULL, out, err);
    if (!status && (strlen(*out) > most || (!empty && !**out))) status = fail(err, DREAMO_FORMAT, "%s: %s is empty or longer than %zu bytes", what, field, most);
    return status;
}

/* Is nothing trained in this style? */
static bool odd_style(const data_set *d, const char *style)
{
    const json_t *list = json_object_get(d->manifest, "held_out_styles");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *odd = json_string_value(json_array_get(list, i));
        if (odd && !strcmp(odd, style)) return true;
    }
    return false;
}

/* One entry of the manifest and its tensor. */
static dreamo_status read_subject(data_set *d, const json_t *item, const char *path, size_t at, subject *s, dreamo_error *err)
{
    char what[512];
    st_tensor *t;
    int64_t yaws, pitches;
    snprintf(what, sizeof what, "%.400s: subjects[%zu]", path, at);
    if (!json_is_object(item)) return fail(err, DREAMO_FORMAT, "%s: not an object", what);
    dreamo_status status = phrase(item, what, "concept", sizeof((data_sample *)0)->subject - 1, false, &s->concept, err);
    if (!status) status = phrase(item, what, "phrase", 95, false, &s->phrase, err);
    if (!status) status = json_get_string(item, what, "set", NULL, &s->set, err);
    if (!status) status = json_get_string(item, what, "group", "", &s->group, err);
    if (!status) status = json_get_string(item, what, "sha256", "", &s->sha256, err);
    if (!status) status = json_get_int(item, what, "yaws", 1, ASSETS_MAX_VIEWS, 1, &yaws, err);
    if (!status) status = json_get_int(item, what, "pitches", 1, ASSETS_MAX_VIEWS, 1, &pitches, err);
    if (!status) status = json_get_bool(item, what, "held_out", false, &s->held_out, err);
    if (!status) status = read_mean(item, what, s->mean, err);
    if (!status) status = take(d, item, what, "tensor", 4, &t, err);
    if (status) return status;
    if (t->shape[0] != yaws * pitches) return fail(err, DREAMO_FORMAT, "%s: %d views in the tensor, %d x %d in the list", what, (int)t->shape[0], (int)pitches, (int)yaws);
    s->height = (int)t->shape[1], s->width = (int)t->shape[2], s->yaws = (int)yaws, s->pitches = (int)pitches, s->rgba = t->data;
    s->odd_style = odd_style(d, s->set);
    return DREAMO_OK;
}

/* `v` has room for ASSETS_MAX_VIEWS. */
static dreamo_status read_person(data_set *d, const json_t *item, const char *path, size_t at, person *p, variant *v, dreamo_error *err)
{
    char what[512];
    st_tensor *t, *m;
    snprintf(what, sizeof what, "%.400s: people[%zu]", path, at);
    if (!json_is_object(item)) return fail(err, DREAMO_FORMAT, "%s: not an object", what);
    dreamo_status status = phrase(item, what, "system", 40, false, &p->system, err);
    if (!status) status = phrase(item, what, "twin", 40, true, &p->twin, err);
    if (!status) status = phrase(item, what, "noun", 31, false, &p->noun, err);
    if (!status) status = phrase(item, what, "words", 111, true, &p->words, err);
    if (!status) status = json_get_string(item, what, "sha256", "", &p->sha256, err);
    if (!status) status = json_get_bool(item, what, "held_out", false, &p->held_out, err);
    if (!status) status = take(d, item, what, "tensor", 4, &t, err);
    if (!status) status = take(d, item, what, "matte", 3, &m, err);
    if (status) return status;
    const json_t *list = json_object_get(item, "variants");
    size_t n = json_array_size(list);
    if (!n || n > ASSETS_MAX_VIEWS || t->shape[0] != (int64_t)n)
        return fail(err, DREAMO_FORMAT, "%s: %zu variants in the list, %d in the tensor; 1 to %d are allowed", what, n, (int)t->shape[0], ASSETS_MAX_VIEWS);
    if (m->shape[0] != t->shape[0] || m->shape[1] != t->shape[1] || m->shape[2] != t->shape[2])
        return fail(err, DREAMO_FORMAT, "%s: matte \"%s\" has another size than \"%s\"", what, m->name, t->name);
    for (size_t i = 0; i < n && !status; i++) {
        status = phrase(json_array_get(list, i), what, "expression", 47, true, &v[i].expression, err);
        if (!status) status = phrase(json_array_get(list, i), what, "clothes", 63, true, &v[i].clothes, err);
    }
    p->height = (int)t->shape[1], p->width = (int)t->shape[2], p->nvariants = (int)n, p->rgba = t->data, p->matte = m->data;
    p->odd_style = odd_style(d, p->system);
    return status;
}

static dreamo_status read_garment(data_set *d, const json_t *item, const char *path, size_t at, garment *g, dreamo_error *err)
{
    static const char *const parts[] = { [GARMENT_TOP] = "top", [GARMENT_BOTTOM] = "bottom", [GARMENT_WHOLE] = "whole" };
    char what[512];
    const char *part;
    st_tensor *t;
    snprintf(what, sizeof what, "%.400s: garments[%zu]", path, at);
    if (!json_is_object(item)) return fail(err, DREAMO_FORMAT, "%s: not an object", what);
    dreamo_status status = phrase(item, what, "name", 40, false, &g->name, err);
    if (!status) status = json_get_string(item, what, "part", NULL, &part, err);
    if (!status) status = json_get_string(item, what, "sha256", "", &g->sha256, err);
    if (!status) status = json_get_bool(item, what, "held_out", false, &g->held_out, err);
    if (!status) status = take(d, item, what, "tensor", 3, &t, err);
    if (status) return status;
    int k = 0;
    while (k < 3 && strcmp(parts[k], part)) k++;
    if (k == 3) return fail(err, DREAMO_FORMAT, "%s: part \"%.20s\" is none of top, bottom, whole", what, part);
    if (t->shape[0] < 1 || t->shape[0] > 1000000 || t->shape[1] != GARMENT_SIDE || t->shape[2] != GARMENT_SIDE)
        return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" is not U8 [1..1000000, %d, %d]", what, t->name, GARMENT_SIDE, GARMENT_SIDE);
    g->part = k, g->grey = t->data, g->count = (int)t->shape[0];
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

static int by_system(const void *a, const void *b)
{
    const person *x = a, *y = b;
    int c = strcmp(x->system, y->system);
    if (!c) c = strcmp(x->twin, y->twin);
    return c ? c : (x->rgba > y->rgba) - (x->rgba < y->rgba);
}

static int by_twin(const void *a, const void *b)
{
    const person *const *x = a, *const *y = b;
    return strcmp((*x)->twin, (*y)->twin);
}

/* Twins are of one split: who is never trained on is not learnt in another way of drawing. */
static dreamo_status check_twins(const data_set *d, const char *path, dreamo_error *err)
{
    const person **order = mem_calloc((size_t)d->npeople + 1, sizeof *order);
    if (!order) return fail(err, DREAMO_MEMORY, "%s: no memory for %d people", path, d->npeople);
    dreamo_status status = DREAMO_OK;
    for (int i = 0; i < d->npeople; i++) order[i] = &d->people[i];
    qsort(order, (size_t)d->npeople, sizeof *order, by_twin);
    for (int i = 1; i < d->npeople && !status; i++)
        if (*order[i]->twin && !strcmp(order[i]->twin, order[i - 1]->twin) && order[i]->held_out != order[i - 1]->held_out)
            status = fail(err, DREAMO_FORMAT, "%s: twin \"%s\" is held out in one system and not in another", path, order[i]->twin);
    mem_free(order);
    return status;
}

/* The lists of people and garments, for each split. */
static dreamo_status index_people(data_set *d, const char *path, dreamo_error *err)
{
    for (int split = 0; split < 2; split++) {
        d->faces[split] = mem_calloc((size_t)d->npeople + 1, sizeof(int));
        d->worn[split] = mem_calloc((size_t)d->ngarments + 1, sizeof(int));
        if (!d->faces[split] || !d->worn[split]) return fail(err, DREAMO_MEMORY, "%s: no memory for %d people", path, d->npeople);
    }
    if (!(d->odd_faces = mem_calloc((size_t)d->npeople + 1, sizeof(int)))) return fail(err, DREAMO_MEMORY, "%s: no memory for %d people", path, d->npeople);
    for (int i = 0; i < d->npeople; i++) {
        int split = d->people[i].held_out ? DATA_VAL : DATA_TRAIN;
        if (d->people[i].odd_style) d->odd_faces[d->nodd_faces++] = i;
        else d->faces[split][d->nfaces[split]++] = i;
    }
    for (int i = 0; i < d->ngarments; i++) {
        int split = d->garments[i].held_out ? DATA_VAL : DATA_TRAIN;
        d->worn[split][d->nworn[split]++] = i;
    }
    return check_twins(d, path, err);
}

/* How many things a list of the manifest holds; `missing` is allowed. */
static dreamo_status list_count(const data_set *d, const char *path, const char *name, bool missing, size_t *n, dreamo_error *err)
{
    const json_t *list = json_object_get(d->manifest, name);
    *n = json_array_size(list);
    if ((list || !missing) && (!json_is_array(list) || (!missing && !*n))) return fail(err, DREAMO_FORMAT, "%s: %s: not a list, or empty", path, name);
    return *n <= 1000000 ? DREAMO_OK : fail(err, DREAMO_LIMIT, "%s: %zu %s; at most 1000000", path, *n, name);
}

static dreamo_status read_people(data_set *d, const char *path, size_t n, dreamo_error *err)
{
    const json_t *list = json_object_get(d->manifest, "people");
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++) total += json_array_size(json_object_get(json_array_get(list, i), "variants"));
    d->people = mem_calloc(n + 1, sizeof(person));
    d->variants = mem_calloc(total + 1, sizeof(variant));
    if (!d->people || !d->variants) return fail(err, DREAMO_MEMORY, "%s: no memory for %zu people", path, n);
    for (size_t i = 0; i < n; i++) {
        person *p = &d->people[d->npeople++];
        p->variants = d->variants + at;
        dreamo_status status = read_person(d, json_array_get(list, i), path, i, p, d->variants + at, err);
        if (status) return status;
        at += (size_t)p->nvariants;
    }
    if (n) qsort(d->people, n, sizeof(person), by_system);
    return DREAMO_OK;
}

static dreamo_status read_manifest(data_set *d, const char *path, dreamo_error *err)
{
    const char *format;
    int64_t version;
    size_t n = 0, npeople = 0, ngarments = 0;
    dreamo_status status = json_read(path, 64 << 20, &d->manifest, err);
    if (!status) status = json_get_string(d->manifest, path, "format", NULL, &format, err);
    if (!status) status = json_get_int(d->manifest, path, "version", 1, 2, 0, &version, err);
    if (status) return status;
    if (strcmp(format, "dreamo-assets")) return fail(err, DREAMO_FORMAT, "%s: format is \"%.40s\", not \"dreamo-assets\"", path, format);
    status = list_count(d, path, "subjects", false, &n, err);
    if (!status) status = list_count(d, path, "people", true, &npeople, err);
    if (!status) status = list_count(d, path, "garments", true, &ngarments, err);
    if (status) return status;
    d->subjects = mem_calloc(n, sizeof(subject));
    d->garments = mem_calloc(ngarments + 1, sizeof(garment));
    if (!d->subjects || !d->garments) return fail(err, DREAMO_MEMORY, "%s: no memory for %zu subjects", path, n);
    for (size_t i = 0; i < n && !status; i++) status = read_subject(d, json_array_get(json_object_get(d->manifest, "subjects"), i), path, i, &d->subjects[i], err);
    if (!status) status = read_people(d, path, npeople, err);
    for (size_t i = 0; i < ngarments && !status; i++)
        status = read_garment(d, json_array_get(json_object_get(d->manifest, "garments"), i), path, i, &d->garments[i], err);
    if (status) return status;
    for (int i = 0; i < d->file.ntensors; i++)
        if (!d->file.tensors[i].used) return fail(err, DREAMO_FORMAT, "%s: tensor \"%s\" of assets.safetensors is not listed", path, d->file.tensors[i].name);
    d->nsubjects = (int)n, d->ngarments = (int)ngarments;
    qsort(d->subjects, n, sizeof(subject), by_concept);
    status = index_subjects(d, path, err);
    return status ? status : index_people(d, path, err);
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
        mem_free(d->faces[split]);
        mem_free(d->worn[split]);
    }
    mem_free(d->odd);
    mem_free(d->odd_faces);
    mem_free(d->subjects);
    mem_free(d->people);
    mem_free(d->variants);
    mem_free(d->garments);
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
