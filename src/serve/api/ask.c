/* ask.c - reading and writing what a job asks for.  Everything is used exactly or refused with its name, its value and what is allowed. */
#include "serve/api/ask.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "serve/text.h"

/* ---- the table ---- */

typedef struct field { ask_field shown; size_t at; bool limit; } field; /* limit: over hi is DREAMO_LIMIT, not DREAMO_ARG */

#define INTEGER_MAX 9223372036854775807.0

static int fields(const limits *l, field out[24])
{
    const field all[] = {
        { { "prompt", ASK_TEXT, 0, (double)l->prompt, "what to make, UTF-8; the one field that must be there" }, offsetof(ask, prompt), true },
        { { "negative", ASK_TEXT, 0, (double)l->prompt, "what not to make; works with true CFG" }, offsetof(ask, negative), true },
        { { "seed", ASK_INTEGER, 0, INTEGER_MAX, "of the first picture, the next ones count up; left out: random, and the job tells it" },
          offsetof(ask, seed), false },
        { { "size", ASK_SIZE, 1, (double)l->side, "\"WIDTHxHEIGHT\"; left out: the model's" }, offsetof(ask, width), false },
        { { "steps", ASK_INTEGER, 1, (double)l->steps, "left out: the model's" }, offsetof(ask, steps), true },
        { { "count", ASK_INTEGER, 1, (double)l->count, "pictures, 1 when left out" }, offsetof(ask, count), true },
        { { "references", ASK_LIST, 0, (double)l->refs,
            "{\"task\": ip | id | style | auto, \"image\": base64 or \"upload\": id, \"slot\": 1 to 9, \"res\": 16 to 4096 or \"keep\", \"cut\": true | false | "
            "\"alpha\" | \"net\", \"face\": from the left, 1 on, \"box\": [left, top, width, height], \"part\": \"garment\", \"name\": text}" }, 0, true },
        { { "guidance", ASK_NUMBER, 0, 100, "left out: the model's" }, offsetof(ask, guidance), false },
        { { "first_guidance", ASK_NUMBER, 0, 100, "of the first step; left out or 0: as guidance" }, offsetof(ask, first_guidance), false },
        { { "true_cfg", ASK_NUMBER, 1, 100, "1 = off; left out: the model's" }, offsetof(ask, true_cfg), false },
        { { "cfg_start", ASK_INTEGER, 0, (double)l->steps, "true CFG from this step on" }, offsetof(ask, cfg_start), false },
        { { "cfg_end", ASK_INTEGER, 0, (double)l->steps, "and before this one" }, offsetof(ask, cfg_end), false },
        { { "negative_guidance", ASK_NUMBER, 0, 100, "3.5 when left out" }, offsetof(ask, negative_guidance), false },
        { { "ref_seed", ASK_INTEGER, 0, INTEGER_MAX, "sample the references' latents with it; left out: their mean" }, offsetof(ask, ref_seed), false },
        { { "preview_every", ASK_INTEGER, 0, (double)l->steps, "a preview event after every so many steps; 0 = none, the default" },
          offsetof(ask, preview_every), false },
    };
    memcpy(out, all, sizeof all);
    return (int)(sizeof all / sizeof *all);
}

int ask_fields(const limits *l, ask_field out[24])
{
    field all[24];
    int n = fields(l, all);
    for (int i = 0; i < n; i++) out[i] = all[i].shown;
    return n;
}

/* ---- tasks ---- */

static const char *const tasks[] = { [DREAMO_IP] = "ip", [DREAMO_ID] = "id", [DREAMO_STYLE] = "style", [DREAMO_AUTO] = "auto" };

bool task_from_name(const char *name, dreamo_task *out)
{
    for (int i = 0; i <= DREAMO_AUTO; i++)
        if (strcmp(name, tasks[i]) == 0) {
            *out = (dreamo_task)i;
            return true;
        }
    return false;
}

const char *task_name(dreamo_task task) { return tasks[task]; }

/* ---- values ---- */

static dreamo_status out_of_range(const field *f, const char *value, bool above, problem *p)
{
    const ask_field *s = &f->shown;
    bool limit = above && f->limit;
    if (s->hi >= INTEGER_MAX) refuse(p, DREAMO_ARG, s->name, "%s is outside 0 to 9223372036854775807", value);
    else refuse(p, limit ? DREAMO_LIMIT : DREAMO_ARG, s->name, "%s is %s %.15g", value, above ? "above" : "below", above ? s->hi : s->lo);
    return advise(p, s->hi >= INTEGER_MAX ? "leave it out for a random one" : "%.15g to %.15g", s->lo, s->hi);
}

/* In a form, digits; in JSON, a JSON number. */
static dreamo_status read_integer(const json_t *v, const field *f, bool form, int64_t *out, problem *p)
{
    char value[32];
    if (form) {
        const char *s = json_string_value(v);
        size_t n = s ? strspn(s + (*s == '-'), "0123456789") : 0;
        if (!s || n == 0 || n > 19 || s[n + (*s == '-')]) return refuse(p, DREAMO_ARG, f->shown.name, "\"%.40s\" is not a whole number", s ? s : "");
        unsigned long long u = strtoull(s + (*s == '-'), NULL, 10);
        if (u > INT64_MAX) return out_of_range(f, s, *s != '-', p);
        *out = *s == '-' ? -(int64_t)u : (int64_t)u;
    } else {
        if (!json_is_integer(v)) return refuse(p, DREAMO_ARG, f->shown.name, "is not a whole number");
        *out = json_integer_value(v);
    }
    snprintf(value, sizeof value, "%lld", (long long)*out);
    if ((double)*out < f->shown.lo) return out_of_range(f, value, false, p);
    if ((double)*out > f->shown.hi) return out_of_range(f, value, true, p);
    return DREAMO_OK;
}

static dreamo_status read_number(const json_t *v, const field *f, bool form, double *out, problem *p)
{
    char value[32];
    if (form) {
        const char *s = json_string_value(v);
        char *end = NULL;
        if (!s || !*s || strspn(s, "0123456789.eE+-") != strlen(s) || (*out = strtod(s, &end), *end) || !isfinite(*out))
            return refuse(p, DREAMO_ARG, f->shown.name, "\"%.40s\" is not a number", s ? s : "");
    } else {
        if (!json_is_number(v)) return refuse(p, DREAMO_ARG, f->shown.name, "is not a number");
        *out = json_number_value(v);
    }
    snprintf(value, sizeof value, "%g", *out);
    if (!(*out >= f->shown.lo)) return out_of_range(f, value, false, p);
    if (*out > f->shown.hi) return out_of_range(f, value, true, p);
    return DREAMO_OK;
}

static dreamo_status read_text(const json_t *v, const field *f, char **out, problem *p)
{
    if (!json_is_string(v)) return refuse(p, DREAMO_ARG, f->shown.name, "is not text");
    size_t n = json_string_length(v);
    if ((double)n > f->shown.hi) {
        refuse(p, DREAMO_LIMIT, f->shown.name, "%zu bytes, at most %.15g are allowed", n, f->shown.hi);
        return p->e.status;
    }
    free(*out);
    *out = strdup(json_string_value(v)); /* the parser refuses NUL inside */
    return *out ? DREAMO_OK : refuse(p, DREAMO_MEMORY, f->shown.name, "no memory for it");
}

static dreamo_status read_size(const json_t *v, const limits *l, ask *a, problem *p)
{
    const char *s = json_string_value(v);
    size_t w = s ? strspn(s, "0123456789") : 0, h = w && s[w] == 'x' ? strspn(s + w + 1, "0123456789") : 0;
    if (!h || w > 9 || h > 9 || s[w + 1 + h]) {
        refuse(p, DREAMO_ARG, "size", "\"%.40s\" is not WIDTHxHEIGHT", s ? s : "");
        return advise(p, "for example \"%dx%d\"", 64 * l->cell, 64 * l->cell);
    }
    int64_t side[2] = { strtoll(s, NULL, 10), strtoll(s + w + 1, NULL, 10) };
    for (int i = 0; i < 2; i++) {
        const char *what = i ? "height" : "width";
        int64_t n = side[i], cell = l->cell, top = l->side - l->side % cell;
        if (n < cell) return refuse(p, DREAMO_ARG, "size", "%s %lld: the smallest is %lld", what, (long long)n, (long long)cell);
        if (n > top) return refuse(p, DREAMO_ARG, "size", "%s %lld: the largest is %lld", what, (long long)n, (long long)top);
        if (n % cell) {
            refuse(p, DREAMO_ARG, "size", "%s %lld is not a multiple of %lld", what, (long long)n, (long long)cell);
            return advise(p, "the nearest are %lld and %lld", (long long)(n - n % cell), (long long)(n - n % cell + cell));
        }
    }
    if (side[0] * side[1] > l->pixels) {
        refuse(p, DREAMO_LIMIT, "size", "%lldx%lld has %lld pixels", (long long)side[0], (long long)side[1], (long long)(side[0] * side[1]));
        return advise(p, "at most %lld", (long long)l->pixels);
    }
    a->width = side[0];
    a->height = side[1];
    return DREAMO_OK;
}

/* ---- references ---- */

/* "data:image/png;base64,..." or the base64 alone.  Nothing is fetched. */
static dreamo_status read_picture(const json_t *v, const char *field, ask_ref *r, problem *p)
{
    const char *s = json_string_value(v);
    size_t n = json_string_length(v);
    if (!s) return refuse(p, DREAMO_ARG, field, "is not text");
    if (strncmp(s, "http:", 5) == 0 || strncmp(s, "https:", 6) == 0 || strncmp(s, "file:", 5) == 0 || strncmp(s, "ftp:", 4) == 0) {
        refuse(p, DREAMO_ARG, field, "is an address, and nothing is fetched by address");
        return advise(p, "send the picture itself, as base64 or as an upload");
    }
    if (strncmp(s, "data:", 5) == 0) {
        static const char *const types[] = { "data:image/png;base64,", "data:image/jpeg;base64,", "data:image/webp;base64," };
        size_t skip = 0;
        for (int i = 0; i < 3; i++)
            if (strncmp(s, types[i], strlen(types[i])) == 0) skip = strlen(types[i]);
        if (!skip) {
            refuse(p, DREAMO_ARG, field, "a data address that is not a picture in base64");
            return advise(p, "data:image/png;base64,... (or jpeg, or webp)");
        }
        s += skip;
        n -= skip;
    }
    return base64_read(s, n, field, &r->data, &r->nbytes, p);
}

static bool is_sha256(const char *s) { return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64; }

static const char *const cuts[] = { [DREAMO_CUT_BEST] = "on", [DREAMO_CUT_OFF] = "off", [DREAMO_CUT_ALPHA] = "alpha", [DREAMO_CUT_NET] = "net" };

bool cut_from_name(const char *name, dreamo_cut *out)
{
    for (int i = 0; i <= DREAMO_CUT_NET; i++)
        if (strcmp(name, cuts[i]) == 0) {
            *out = (dreamo_cut)i;
            return true;
        }
    return false;
}

/* [left, top, width, height] */
static dreamo_status read_box(const json_t *v, const char *field, ask_ref *r, problem *p)
{
    for (size_t i = 0; i < 4; i++) {
        const json_t *n = json_array_get(v, i);
        if (json_array_size(v) != 4 || !json_is_integer(n) || json_integer_value(n) < (i > 1) || json_integer_value(n) > 1000000)
            return refuse(p, DREAMO_ARG, field, "is not [left, top, width, height] in pixels");
        r->box[i] = (int)json_integer_value(n);
    }
    return DREAMO_OK;
}

static dreamo_status ref_value(const char *key, const json_t *v, const char *field, ask_ref *r, problem *p)
{
    const char *s = json_string_value(v);
    if (strcmp(key, "task") == 0) {
        if (s && task_from_name(s, &r->task)) return DREAMO_OK;
        return refuse(p, DREAMO_ARG, field, "\"%.20s\" is none of ip, id, style, auto", s ? s : "");
    }
    if (strcmp(key, "image") == 0) return read_picture(v, field, r, p);
    if (strcmp(key, "upload") == 0) {
        if (!s || !is_sha256(s)) return refuse(p, DREAMO_ARG, field, "is not an upload's id (64 hex digits)");
        memcpy(r->upload, s, 65);
        return DREAMO_OK;
    }
    if (strcmp(key, "slot") == 0) {
        if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 9) return refuse(p, DREAMO_ARG, field, "is outside 1 to 9");
        r->slot = (int)json_integer_value(v);
        return DREAMO_OK;
    }
    if (strcmp(key, "res") == 0) {
        bool keep = s && strcmp(s, "keep") == 0;
        if (!keep && (!json_is_integer(v) || json_integer_value(v) < 16 || json_integer_value(v) > 4096))
            return refuse(p, DREAMO_ARG, field, "is neither \"keep\" nor 16 to 4096");
        r->res = keep ? -1 : (int)json_integer_value(v);
        return DREAMO_OK;
    }
    if (strcmp(key, "cut") == 0) {
        if (s && cut_from_name(s, &r->cut)) return DREAMO_OK;
        if (!json_is_boolean(v)) return refuse(p, DREAMO_ARG, field, "is none of true, false, \"alpha\", \"net\"");
        r->cut = json_is_false(v) ? DREAMO_CUT_OFF : DREAMO_CUT_BEST;
        return DREAMO_OK;
    }
    if (strcmp(key, "face") == 0) {
        if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 1000) return refuse(p, DREAMO_ARG, field, "is no number of a face, counted from the left from 1");
        r->face = (int)json_integer_value(v);
        return DREAMO_OK;
    }
    if (strcmp(key, "box") == 0) return read_box(v, field, r, p);
    if (strcmp(key, "part") == 0) {
        r->garment = s && strcmp(s, "garment") == 0;
        return r->garment ? DREAMO_OK : refuse(p, DREAMO_ARG, field, "is not \"garment\"");
    }
    if (strcmp(key, "name") == 0) {
        if (!s) return refuse(p, DREAMO_ARG, field, "is not text");
        snprintf(r->name, sizeof r->name, "%s", s);
        return DREAMO_OK;
    }
    refuse(p, DREAMO_ARG, field, "no such field");
    return advise(p, "task, image, upload, slot, res, cut, face, box, part and name are known");
}

static dreamo_status read_refs(const json_t *list, const limits *l, ask *a, problem *p)
{
    char field[80];
    const char *key;
    json_t *o, *v;
    size_t i;
    if (!json_is_array(list)) return refuse(p, DREAMO_ARG, "references", "is not a list");
    if ((int64_t)json_array_size(list) > l->refs || json_array_size(list) > ASK_REFS) {
        refuse(p, DREAMO_LIMIT, "references", "%zu are given", json_array_size(list));
        return advise(p, "at most %lld", (long long)l->refs);
    }
    json_array_foreach(list, i, o) {
        ask_ref *r = &a->refs[a->nrefs++];
        *r = (ask_ref){ 0 };
        snprintf(field, sizeof field, "references[%zu]", i);
        if (!json_is_object(o)) return refuse(p, DREAMO_ARG, field, "is not an object");
        json_object_foreach(o, key, v) {
            snprintf(field, sizeof field, "references[%zu].%.32s", i, key);
            dreamo_status s = ref_value(key, v, field, r, p);
            if (s) return s;
        }
        snprintf(field, sizeof field, "references[%zu].task", i);
        if (!json_object_get(o, "task")) return refuse(p, DREAMO_ARG, field, "is missing (ip, id or style)");
        snprintf(field, sizeof field, "references[%zu]", i);
        if (!r->data == !*r->upload) return refuse(p, DREAMO_ARG, field, "needs either image or upload");
    }
    return DREAMO_OK;
}

dreamo_status ask_add_file(ask *a, const limits *l, const char *task, const char *name, void *data, size_t nbytes, problem *p)
{
    ask_ref r = { .data = data, .nbytes = nbytes };
    dreamo_status s = DREAMO_OK;
    if (!task_from_name(task, &r.task)) s = refuse(p, DREAMO_ARG, task, "no such field for a file (ip, id, style and auto are known)");
    else if (a->nrefs >= l->refs || a->nrefs == ASK_REFS) {
        refuse(p, DREAMO_LIMIT, "references", "more are given than allowed");
        s = advise(p, "at most %lld", (long long)l->refs);
    }
    if (s) {
        free(data);
        return s;
    }
    snprintf(r.name, sizeof r.name, "%s", name);
    a->refs[a->nrefs++] = r;
    return DREAMO_OK;
}

/* ---- all ---- */

void ask_free(ask *a)
{
    free(a->prompt);
    free(a->negative);
    for (int i = 0; i < a->nrefs; i++) free(a->refs[i].data);
    *a = (ask){ 0 };
}

static dreamo_status unknown_field(const char *key, const field *all, int n, problem *p)
{
    char names[240] = "";
    for (int i = 0; i < n; i++) snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", all[i].shown.name);
    char name[64];
    snprintf(name, sizeof name, "%.48s", key);
    refuse(p, DREAMO_ARG, name, "no such field");
    return advise(p, "known are %s", names);
}

static dreamo_status read_field(const json_t *v, const field *f, const limits *l, bool form, ask *a, problem *p)
{
    void *at = (char *)a + f->at;
    switch (f->shown.kind) {
    case ASK_TEXT: return read_text(v, f, at, p);
    case ASK_INTEGER: return read_integer(v, f, form, at, p);
    case ASK_NUMBER: return read_number(v, f, form, at, p);
    case ASK_SIZE: return read_size(v, l, a, p);
    default: return read_refs(v, l, a, p);
    }
}

dreamo_status ask_read(const json_t *o, const limits *l, bool form, ask *a, problem *p)
{
    field all[24];
    const char *key;
    json_t *v;
    int n = fields(l, all);
    *a = (ask){ .seed = -1, .count = 1, .ref_seed = -1, .guidance = -1, .negative_guidance = -1 };
    if (!json_is_object(o)) return refuse(p, DREAMO_ARG, NULL, "the request is not a JSON object");
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        int i = 0;
        while (i < n && strcmp(all[i].shown.name, key)) i++;
        dreamo_status s = DREAMO_OK;
        if (i == n) s = unknown_field(key, all, n, p);
        else if (!json_is_null(v)) s = read_field(v, &all[i], l, form, a, p);
        if (s) {
            ask_free(a);
            return s;
        }
    }
    if (a->prompt) return DREAMO_OK;
    ask_free(a);
    return refuse(p, DREAMO_ARG, "prompt", "is missing (an empty one is allowed)");
}

void ask_draw_seed(ask *a)
{
    if (a->seed >= 0) return;
    uint64_t n;
    while (getrandom(&n, sizeof n, 0) != sizeof n) {}
    a->seed = (int64_t)(n >> 11); /* 53 bits: whole in every reader's JSON, and room for the next pictures' seeds */
}

static json_t *write_ref(const ask_ref *r)
{
    json_t *o = json_pack("{s:s, s:s}", "task", tasks[r->task], "upload", r->upload);
    if (o && *r->name) json_object_set_new(o, "name", json_string(r->name));
    if (o && r->slot) json_object_set_new(o, "slot", json_integer(r->slot));
    if (o && r->res) json_object_set_new(o, "res", r->res < 0 ? json_string("keep") : json_integer(r->res));
    if (o && r->cut == DREAMO_CUT_OFF) json_object_set_new(o, "cut", json_false());
    else if (o && r->cut) json_object_set_new(o, "cut", json_string(cuts[r->cut]));
    if (o && r->face) json_object_set_new(o, "face", json_integer(r->face));
    if (o && r->box[2]) json_object_set_new(o, "box", json_pack("[i, i, i, i]", r->box[0], r->box[1], r->box[2], r->box[3]));
    if (o && r->garment) json_object_set_new(o, "part", json_string("garment"));
    return o;
}

json_t *ask_write(const ask *a)
{
    static const ask plain = { .guidance = -1, .negative_guidance = -1, .ref_seed = -1 };
    json_t *o = json_pack("{s:s, s:I, s:I}", "prompt", a->prompt, "seed", (json_int_t)a->seed, "count", (json_int_t)a->count), *list;
    const struct { const char *name; int64_t value, without; } integers[] = {
        { "steps", a->steps, 0 }, { "cfg_start", a->cfg_start, 0 }, { "cfg_end", a->cfg_end, 0 }, { "ref_seed", a->ref_seed, -1 },
        { "preview_every", a->preview_every, 0 },
    };
    const struct { const char *name; double value, without; } numbers[] = {
        { "guidance", a->guidance, plain.guidance }, { "first_guidance", a->first_guidance, 0 }, { "true_cfg", a->true_cfg, 0 },
        { "negative_guidance", a->negative_guidance, plain.negative_guidance },
    };
    if (!o) return NULL;
    if (a->negative) json_object_set_new(o, "negative", json_string(a->negative));
    if (a->width) {
        char size[32];
        snprintf(size, sizeof size, "%lldx%lld", (long long)a->width, (long long)a->height);
        json_object_set_new(o, "size", json_string(size));
    }
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        if (integers[i].value != integers[i].without) json_object_set_new(o, integers[i].name, json_integer(integers[i].value));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value < numbers[i].without || numbers[i].value > numbers[i].without)
            json_object_set_new(o, numbers[i].name, json_real(numbers[i].value));
    if (a->nrefs == 0) return o;
    if (json_object_set_new(o, "references", list = json_array())) return o;
    for (int i = 0; i < a->nrefs; i++) json_array_append_new(list, write_ref(&a->refs[i]));
    return o;
}

void ask_request(const ask *a, int n, dreamo_reference refs[ASK_REFS], dreamo_request *out)
{
    dreamo_request_init(out);
    for (int i = 0; i < a->nrefs; i++) {
        const ask_ref *r = &a->refs[i];
        refs[i] = (dreamo_reference){ .task = r->task, .slot = r->slot, .res = r->res, .cut = r->cut, .face = r->face, .garment = r->garment,
                                        .box = { r->box[0], r->box[1], r->box[2], r->box[3] }, .name = *r->name ? r->name : NULL,
                                      .data = r->data, .nbytes = r->nbytes };
    }
    out->prompt = a->prompt;
    out->negative = a->negative;
    out->refs = refs;
    out->nrefs = a->nrefs;
    out->width = (int)a->width;
    out->height = (int)a->height;
    out->steps = (int)a->steps;
    out->guidance = a->guidance;
    out->first_guidance = a->first_guidance;
    out->true_cfg = a->true_cfg;
    out->cfg_start = (int)a->cfg_start;
    out->cfg_end = (int)a->cfg_end;
    out->negative_guidance = a->negative_guidance;
    out->seed = ((uint64_t)(a->seed < 0 ? 0 : a->seed) + (uint64_t)n) & INT64_MAX;
    out->ref_noise = a->ref_seed >= 0;
    out->ref_seed = out->ref_noise ? (uint64_t)a->ref_seed : 0;
    out->preview_every = (int)a->preview_every;
}
