/* history.c - lines into series. */
#include "train/report/history.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

enum { LOG_MAX = 1 << 28 };

static series *find(const history *h, const char *group, const char *name)
{
    for (int i = 0; i < h->n; i++)
        if (strcmp(h->list[i].group, group) == 0 && strcmp(h->list[i].name, name) == 0) return &h->list[i];
    return NULL;
}

const series *history_find(const history *h, const char *group, const char *name) { return find(h, group, name); }

static series *make(history *h, const char *group, const char *name)
{
    series *s = find(h, group, name);
    if (s) return s;
    if (h->n == h->room) {
        int room = h->room ? 2 * h->room : 32;
        series *more = mem_realloc(h->list, (size_t)room * sizeof *more);
        if (!more) return NULL;
        h->list = more;
        h->room = room;
    }
    s = &h->list[h->n++];
    *s = (series){ 0 };
    snprintf(s->group, sizeof s->group, "%s", group);
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static bool add(history *h, const char *group, const char *name, double step, double value)
{
    series *s = make(h, group, name);
    if (!s) return false;
    if (s->n == s->room) {
        int room = s->room ? 2 * s->room : 256;
        double *steps = mem_realloc(s->step, (size_t)room * sizeof *steps);
        if (steps) s->step = steps;
        double *values = steps ? mem_realloc(s->value, (size_t)room * sizeof *values) : NULL;
        if (values) s->value = values;
        if (!steps || !values) return false;
        s->room = room;
    }
    s->step[s->n] = step;
    s->value[s->n++] = value;
    return true;
}

static bool add_object(history *h, const char *group, json_t *o, double step)
{
    const char *name;
    json_t *x;
    bool ok = true;
    json_object_foreach(o, name, x) {
        if (json_is_object(x) && !*group) ok = ok && add_object(h, name, x, step);
        else if (json_is_number(x) && strcmp(name, "step") != 0) ok = ok && add(h, group, name, step, json_number_value(x));
        else if (json_is_true(x) && strcmp(name, "skipped") == 0) h->skipped++;
    }
    return ok;
}

dreamo_status history_read(history *h, const char *path, dreamo_error *err)
{
    char *text = NULL;
    size_t nbytes = 0;
    *h = (history){ 0 };
    if (!file_exists(path)) return DREAMO_OK;
    dreamo_status s = file_read(path, LOG_MAX, &text, &nbytes, err);
    for (char *line = text, *end; !s && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        json_t *o = NULL;
        if (json_parse(line, (size_t)(end - line), path, &o, NULL)) continue; /* cut by a crash */
        if (!add_object(h, "", o, json_number_value(json_object_get(o, "step")))) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
        json_decref(o);
    }
    mem_free(text);
    return s;
}

void history_free(history *h)
{
    for (int i = 0; i < h->n; i++) {
        mem_free(h->list[i].step);
        mem_free(h->list[i].value);
    }
    mem_free(h->list);
    *h = (history){ 0 };
}
