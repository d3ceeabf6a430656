/* phrases.c - reading the groups, and matching by words. */
#include "eval/phrases.h"
#include <ctype.h>
#include <string.h>
#include "base/mem.h"
#include "format/json.h"

enum { MAX_CONFIG = 1 << 20, MAX_WORDS = 512, MAX_BYTES = 4096, MAX_LABELS = 4096, MAX_SAYS = 256 };

/* ---- reading ---- */

static dreamo_status copy_name(const json_t *o, const char *path, char **out, dreamo_error *err)
{
    const char *name;
    dreamo_status s = json_get_string(o, path, "name", NULL, &name, err);
    if (s) return s;
    return (*out = mem_strdup(name)) ? DREAMO_OK : fail(err, DREAMO_MEMORY, "%s: no memory", path);
}

static dreamo_status read_label(const json_t *o, const char *path, phrase_label *to, dreamo_error *err)
{
    const json_t *says = json_object_get(o, "says");
    size_t n = json_array_size(says);
    dreamo_status s = copy_name(o, path, &to->name, err);
    if (s) return s;
    if (!n || n > MAX_SAYS) return fail(err, DREAMO_FORMAT, "%s: label \"%.60s\": field \"says\" is no list of 1 to %d phrases", path, to->name, MAX_SAYS);
    if (!(to->says = mem_calloc(n, sizeof *to->says))) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    for (; to->nsays < (int)n; to->nsays++) {
        const char *phrase = json_string_value(json_array_get(says, (size_t)to->nsays));
        if (!phrase || !phrase[strcspn(phrase, "abcdefghijklmnopqrstuvwxyz")] || strlen(phrase) > 200)
            return fail(err, DREAMO_FORMAT, "%s: label \"%.60s\": \"says\" holds something other than a phrase of words in small letters", path, to->name);
        if (!(to->says[to->nsays] = mem_strdup(phrase))) return fail(err, DREAMO_MEMORY, "%s: no memory", path);
    }
    return DREAMO_OK;
}

static dreamo_status read_group(const json_t *o, const char *path, phrases *l, dreamo_error *err)
{
    const json_t *labels = json_object_get(o, "labels");
    phrase_group *g = &l->group[l->ngroups++];
    g->first = l->nlabels;
    dreamo_status s = copy_name(o, path, &g->name, err);
    if (!s && json_array_size(labels) < 2) s = fail(err, DREAMO_FORMAT, "%s: group \"%.60s\": field \"labels\" is no list of at least 2", path, g->name);
    for (size_t i = 0; i < json_array_size(labels) && !s; i++, g->n++) s = read_label(json_array_get(labels, i), path, &l->label[l->nlabels++], err);
    return s;
}

dreamo_status phrases_read(const char *path, phrases *out, dreamo_error *err)
{
    json_t *o = NULL;
    size_t labels = 0;
    *out = (phrases){ 0 };
    dreamo_status s = json_read(path, MAX_CONFIG, &o, err);
    if (s) return s;
    const json_t *groups = json_object_get(o, "groups");
    size_t n = json_array_size(groups);
    for (size_t i = 0; i < n; i++) labels += json_array_size(json_object_get(json_array_get(groups, i), "labels"));
    if (!json_is_array(groups) || !labels || labels > MAX_LABELS) s = fail(err, DREAMO_FORMAT, "%s: field \"groups\" is no list of groups with 1 to %d labels in all", path, MAX_LABELS);
    if (!s) {
        out->group = mem_calloc(n, sizeof *out->group);
        out->label = mem_calloc(labels, sizeof *out->label);
        if (!out->group || !out->label) s = fail(err, DREAMO_MEMORY, "%s: no memory", path);
    }
    for (size_t i = 0; i < n && !s; i++) s = read_group(json_array_get(groups, i), path, out, err);
    json_decref(o);
    if (s) phrases_free(out);
    return s;
}

void phrases_free(phrases *l)
{
    for (int i = 0; i < l->ngroups; i++) mem_free(l->group[i].name);
    for (int i = 0; i < l->nlabels; i++) {
        for (int k = 0; k < l->label[i].nsays; k++) mem_free(l->label[i].says[k]);
        mem_free(l->label[i].says);
        mem_free(l->label[i].name);
    }
    mem_free(l->group);
    mem_free(l->label);
    *l = (phrases){ 0 };
}

/* ---- matching ---- */

typedef struct words { int n; const char *word[MAX_WORDS]; char bytes[MAX_BYTES]; } words;

static bool in_word(char c) { return isalnum((unsigned char)c) || c == '-' || c == '*' || (unsigned char)c >= 0x80; }

/* Words in small letters; [ref#1] is none. */
static void split(const char *text, words *out)
{
    size_t at = 0;
    out->n = 0;
    while (*text && out->n < MAX_WORDS && at + 2 < sizeof out->bytes) {
        if (*text == '[') {
            text += strcspn(text, "]");
            text += *text == ']';
        } else if (!in_word(*text)) {
            text++;
        } else {
            out->word[out->n++] = out->bytes + at;
            while (in_word(*text) && at + 1 < sizeof out->bytes) out->bytes[at++] = (char)tolower((unsigned char)*text++);
            out->bytes[at++] = '\0';
        }
    }
}

/* Words of `text` from `at` on that the phrase takes; 0: it does not stand there. */
static int takes(const words *phrase, int from, const words *text, int at)
{
    if (from == phrase->n) return 0;
    if (at >= text->n) return -1;
    bool any = strcmp(phrase->word[from], "*") == 0;
    if (!any && strcmp(phrase->word[from], text->word[at]) != 0) return -1;
    for (int n = 1; n <= (any ? 2 : 1); n++) {
        int rest = at + n <= text->n ? takes(phrase, from + 1, text, at + n) : -1;
        if (rest >= 0) return n + rest;
    }
    return -1;
}

typedef struct place { int at, n, label; } place;
enum { MAX_PLACES = 128 };

static int find_all(const phrases *l, const phrase_group *g, const words *text, place *out)
{
    words phrase;
    int n = 0;
    for (int i = g->first; i < g->first + g->n; i++)
        for (int k = 0; k < l->label[i].nsays; k++) {
            split(l->label[i].says[k], &phrase);
            for (int at = 0; at < text->n && n < MAX_PLACES; at++) {
                int taken = takes(&phrase, 0, text, at);
                if (taken > 0) out[n++] = (place){ at, taken, i };
            }
        }
    return n;
}

static bool inside(const place *a, const place *b) { return b->n > a->n && a->at >= b->at && a->at + a->n <= b->at + b->n; }

void phrases_said(const phrases *l, const char *caption, int *said)
{
    words text;
    place found[MAX_PLACES];
    split(caption, &text);
    for (int g = 0; g < l->ngroups; g++) {
        int n = find_all(l, &l->group[g], &text, found), label = -1;
        bool several = false;
        for (int i = 0; i < n; i++) {
            bool part = false;
            for (int k = 0; k < n; k++) part = part || inside(&found[i], &found[k]);
            if (part) continue;
            several = several || (label >= 0 && label != found[i].label);
            label = found[i].label;
        }
        said[g] = several ? -1 : label;
    }
}
