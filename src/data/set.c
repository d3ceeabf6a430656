/* set.c - a data set whatever it is made of: opening it by what lies there, and asking its maker. */
#include "data/set.h"
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "data/assets.h"
#include "data/own/own.h"

static const char *const kind_names[DATA_KINDS] = { "t2i", "subject", "subjects", "id", "ids", "style", "id-style", "tryon", "id-tryon",
                                                    "id-subject", "subject-style" };
static const char *const task_names[DATA_TASKS] = { "ip", "id", "style" };

const char *data_kind_name(data_kind kind) { return kind == DATA_ANY ? "any" : kind_names[kind]; }
const char *data_task_name(data_task task) { return task_names[task]; }

bool data_kind_find(const char *name, data_kind *kind)
{
    for (int k = 0; k <= DATA_ANY; k++)
        if (!strcmp(name, data_kind_name((data_kind)k))) {
            *kind = (data_kind)k;
            return true;
        }
    return false;
}

dreamo_status data_kind_list(const char *names, data_kind list[DATA_KINDS], int *n, dreamo_error *err)
{
    char name[32];
    *n = 0;
    for (const char *at = names + strspn(names, " ,\t\n"); *at; at += strspn(at, " ,\t\n")) {
        size_t length = strcspn(at, " ,\t\n");
        data_kind kind;
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), at);
        if (length >= sizeof name || !data_kind_find(name, &kind) || kind == DATA_ANY) return fail(err, DREAMO_ARG, "kinds: \"%s\" is none of " DATA_KIND_NAMES, name);
        for (int i = 0; i < *n; i++)
            if (list[i] == kind) return fail(err, DREAMO_ARG, "kinds: \"%s\" stands there twice", name);
        list[(*n)++] = kind;
        at += length;
    }
    return *n ? DREAMO_OK : fail(err, DREAMO_ARG, "kinds: \"%s\" names none", names);
}

bool data_task_find(const char *name, data_task *task)
{
    for (int k = 0; k < DATA_TASKS; k++)
        if (!strcmp(name, task_names[k])) {
            *task = (data_task)k;
            return true;
        }
    return false;
}

/* Names and sizes of the folder's files: reading them all would take long, and check does it. */
static dreamo_status hash_folder(const char *folder, char hex[65], dreamo_error *err)
{
    char **names = NULL;
    int n = 0;
    sha256 h;
    sha256_init(&h);
    dreamo_status status = folder_list(folder, &names, &n, err);
    for (int i = 0; !status && i < n; i++) {
        uint64_t nbytes = 0;
        char *path = path_join(folder, names[i]), *line = NULL;
        if (path && !folder_exists(path)) status = file_nbytes(path, &nbytes, err);
        if (!status && (!path || !(line = mem_printf("%s %llu\n", names[i], (unsigned long long)nbytes)))) status = fail(err, DREAMO_MEMORY, "%s: no memory", folder);
        if (line) sha256_add(&h, line, strlen(line));
        mem_free(line);
        mem_free(path);
    }
    sha256_text(&h, hex);
    folder_list_free(names, n);
    return status;
}

static dreamo_status open_set(const char *path, bool asks, data_set **out, dreamo_error *err)
{
    *out = NULL;
    if (own_is(path)) return own_open(path, asks, out, err);
    dreamo_status status = assets_open(path, out, err);
    if (!status) status = hash_folder(path, (*out)->hash, err);
    if (status) {
        data_close(*out);
        *out = NULL;
    }
    return status;
}

dreamo_status data_open(const char *path, data_set **out, dreamo_error *err) { return open_set(path, false, out, err); }

dreamo_status data_open_asks(const char *path, data_set **out, dreamo_error *err) { return open_set(path, true, out, err); }

void data_close(data_set *d)
{
    if (d) d->maker->close(d);
}

bool        data_given(const data_set *d) { return d->maker->given; }
void data_preferences(const data_set *d, int *samples, int *with)
{
    *samples = *with = 0;
    if (d->maker->preferences) d->maker->preferences(d, samples, with);
}

int data_count(const data_set *d, data_kind kind, data_split split) { return d->maker->count ? d->maker->count(d, kind, split) : 0; }

const char *data_hash(const data_set *d) { return d->hash; }
int         data_most_refs(const data_set *d, data_kind kind) { return d->maker->most_refs(d, kind); }

bool data_can(const data_set *d, data_kind kind, data_split split) { return d->maker->can(d, kind, split); }

static dreamo_status must_be_able(const data_set *d, const data_request *q, dreamo_error *err)
{
    if (data_can(d, q->kind, q->split)) return DREAMO_OK;
    return fail(err, DREAMO_CONTENT, "the dataset has nothing to make \"%s\" samples of%s", data_kind_name(q->kind), q->split == DATA_VAL ? " that is held out" : "");
}

dreamo_status data_sample_make(const data_set *d, const data_params *params, const data_request *q, data_sample *out, dreamo_error *err)
{
    *out = (data_sample){ .kind = q->kind };
    dreamo_status status = must_be_able(d, q, err);
    if (!status) status = d->maker->make(d, params, q, out, err);
    if (status) data_sample_free(out);
    return status;
}

dreamo_status data_sample_words(const data_set *d, const data_request *q, char *out, size_t nbytes, dreamo_error *err)
{
    dreamo_status status = must_be_able(d, q, err);
    return status ? status : d->maker->words(d, q, out, nbytes, err);
}

void data_sample_free(data_sample *s)
{
    bitmap_free(&s->target);
    bitmap_free(&s->rejected);
    mem_free(s->subject_mask);
    for (int i = 0; i < DATA_MAX_REFS; i++) {
        bitmap_free(&s->ref[i].picture);
        mem_free(s->ref[i].mask);
    }
    *s = (data_sample){ 0 };
}
