/* emoji.c - which emoji become subjects, and their SVG text. */
#include "data/source/emoji.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/names.h"
#include "data/source/svg.h"

/* The packages of the publishable core, all MIT, Apache-2.0 or CC-BY. */
static const char *const known_sets[] = { "noto", "noto-v1", "fluent-emoji", "fluent-emoji-flat", "fxemoji", "twemoji", "emojione", "streamline-emojis" };
enum { NKNOWN = sizeof known_sets / sizeof *known_sets };

/* ---- selection ---- */

static const char *const wanted_groups[] = { "smileys-emotion", "animals-nature", "food-drink", "travel-places", "activities", "objects" };

/* Subgroups that are signs, text or clock faces. */
static const char *const unwanted_subgroups[] = { "emotion", "time" };

/* Single names: bank notes, text, or hard to call a thing. */
static const char *const unwanted_names[] = {
    "dollar banknote", "yen banknote", "euro banknote", "pound banknote", "pile of poo", "mahjong red dragon", "joker", "foggy",
    "map of japan", "love letter", "input latin letters", "atm sign", "no bell", "speaker low volume", "speaker medium volume",
    "muted speaker", "chart increasing with yen", "busts in silhouette", "face without mouth", "dotted line face", "flower playing cards",
    "hole", "white flower", "see-no-evil monkey", "hear-no-evil monkey", "speak-no-evil monkey", "night with stars", "stop sign",
    "level slider", "control knobs", "japanese post office", "name badge", "tear-off calendar", "currency exchange", "placard",
    "bookmark tabs", "calendar", "input numbers", "railway car", "bus stop", "locked",
    "unlocked", "locked with key", "locked with pen" };

/* Time things worth keeping. */
static const char *const wanted_clocks[] = { "hourglass done", "watch", "alarm clock", "stopwatch", "timer clock", "mantelpiece clock", "crescent moon",
    "full moon", "first quarter moon face", "new moon face", "full moon face", "sun with face", "sun", "thermometer" };

static bool among(const char *const *list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(list[i], word)) return true;
    return false;
}
#define AMONG(list, word) among(list, sizeof(list) / sizeof *(list), word)

static bool wanted(const char *group, const char *subgroup, const char *name)
{
    if (!AMONG(wanted_groups, group) || AMONG(unwanted_names, name) || strstr(name, "button") || strstr(name, "hundred")) return false;
    return !AMONG(unwanted_subgroups, subgroup) || AMONG(wanted_clocks, name);
}

/* ---- lookup ---- */

/* The key under which a set keeps an emoji: its slug, a plain alias, or the slug without hyphens. */
static const char *find_icon(json_t *icons, const char *slug)
{
    json_t *drawn = json_object_get(icons, "icons"), *aliases = json_object_get(icons, "aliases");
    const json_t *alias = json_object_get(aliases, slug);
    const char *key = slug;
    if (alias && json_object_size(alias) == 1) key = json_string_value(json_object_get(alias, "parent"));
    char tight[128];
    size_t n = 0;
    if (!key || !json_object_get(drawn, key)) {
        for (const char *p = slug; *p && n + 1 < sizeof tight; p++)
            if (*p != '-') tight[n++] = *p;
        tight[n] = 0;
        key = tight;
    }
    void *at = json_object_iter_at(drawn, key); /* the stored key outlives `tight` */
    return at ? json_object_iter_key(at) : NULL;
}

static const char *named(const json_t *groups, const char *table, json_int_t number)
{
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)number);
    return json_string_value(json_object_get(json_object_get(groups, table), key));
}

static dreamo_status list_items(emoji_source *s, dreamo_error *err)
{
    size_t n = json_array_size(s->labels);
    if (!n || n > 100000 || !(s->items = mem_calloc(n * (size_t)s->nsets, sizeof *s->items)))
        return fail(err, DREAMO_FORMAT, "emojibase-data: %zu labels cannot be used", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(s->labels, i), *group = json_object_get(e, "group"), *sub = json_object_get(e, "subgroup");
        const char *label = json_string_value(json_object_get(e, "label"));
        if (!label || !json_is_integer(group) || !json_is_integer(sub)) continue;
        const char *g = named(s->groups, "groups", json_integer_value(group)), *sg = named(s->groups, "subgroups", json_integer_value(sub));
        char concept[64], slug[64];
        if (!g || !sg || strchr(label, ':') || !name_clean(label, concept, sizeof concept) || !wanted(g, sg, concept)) continue;
        name_slug(concept, slug, sizeof slug);
        for (int k = 0; k < s->nsets; k++) {
            const char *key = find_icon(s->sets[k].icons, slug);
            if (!key) continue;
            emoji_item *item = &s->items[s->nitems++];
            *item = (emoji_item){ .group = g, .name = key, .set = k };
            memcpy(item->concept, concept, sizeof concept);
        }
    }
    return s->nitems ? DREAMO_OK : fail(err, DREAMO_CONTENT, "no emoji of the known sets fits the labels of emojibase-data");
}

/* ---- opening ---- */

static dreamo_status read_in(const char *folder, const char *name, json_t **out, dreamo_error *err)
{
    char *path = path_join(folder, name);
    dreamo_status status = path ? json_read(path, 256u << 20, out, err) : fail(err, DREAMO_MEMORY, "%s: no memory", name);
    mem_free(path);
    return status;
}

static void copy_field(const json_t *o, const char *field, char *out, size_t nbytes)
{
    const char *v = json_string_value(json_object_get(o, field));
    snprintf(out, nbytes, "%s", v ? v : "unknown");
}

static dreamo_status open_set(const char *modules, const char *name, emoji_set *set, dreamo_error *err)
{
    char at[128];
    json_t *package = NULL, *info = NULL;
    snprintf(at, sizeof at, "@iconify-json/%s/package.json", name);
    dreamo_status status = read_in(modules, at, &package, err);
    snprintf(at, sizeof at, "@iconify-json/%s/info.json", name);
    if (!status) status = read_in(modules, at, &info, err);
    snprintf(at, sizeof at, "@iconify-json/%s/icons.json", name);
    if (!status) status = read_in(modules, at, &set->icons, err);
    if (!status) {
        set->set = name;
        copy_field(package, "name", set->package, sizeof set->package);
        copy_field(package, "version", set->version, sizeof set->version);
        copy_field(json_object_get(info, "license"), "spdx", set->licence, sizeof set->licence);
        copy_field(json_object_get(info, "author"), "name", set->author, sizeof set->author);
    }
    json_decref(package);
    json_decref(info);
    return status;
}

dreamo_status emoji_open(const char *npm_folder, emoji_source *out, dreamo_error *err)
{
    *out = (emoji_source){ 0 };
    json_t *package = NULL;
    char *modules = path_join(npm_folder, "node_modules");
    if (!modules || !(out->sets = mem_calloc(NKNOWN, sizeof *out->sets))) {
        mem_free(modules);
        return fail(err, DREAMO_MEMORY, "%s: no memory", npm_folder);
    }
    dreamo_status status = read_in(modules, "emojibase-data/package.json", &package, err);
    if (!status) copy_field(package, "version", out->labels_version, sizeof out->labels_version);
    json_decref(package);
    if (!status) status = read_in(modules, "emojibase-data/en/data.json", &out->labels, err);
    if (!status) status = read_in(modules, "emojibase-data/meta/groups.json", &out->groups, err);
    for (int i = 0; i < NKNOWN && !status; i++) {
        char *folder = mem_printf("%s/@iconify-json/%s", modules, known_sets[i]);
        if (!folder) status = fail(err, DREAMO_MEMORY, "%s: no memory", npm_folder);
        else if (folder_exists(folder)) status = open_set(modules, known_sets[i], &out->sets[out->nsets++], err);
        mem_free(folder);
    }
    mem_free(modules);
    if (!status && !out->nsets) status = fail(err, DREAMO_NOT_FOUND, "%s: none of the known @iconify-json packages is installed", npm_folder);
    if (!status) status = list_items(out, err);
    if (status) emoji_close(out);
    return status;
}

void emoji_close(emoji_source *s)
{
    for (int i = 0; i < s->nsets; i++) json_decref(s->sets[i].icons);
    json_decref(s->labels);
    json_decref(s->groups);
    mem_free(s->sets);
    mem_free(s->items);
    *s = (emoji_source){ 0 };
}

/* ---- drawing ---- */

/* An Iconify body holds only the inner markup; its own or the set's box goes around it. */
static double box_field(const json_t *icon, const json_t *set, const char *field, double otherwise)
{
    const json_t *v = json_object_get(icon, field);
    if (!v) v = json_object_get(set, field);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

dreamo_status emoji_draw(const emoji_source *s, int i, asset *out, dreamo_error *err)
{
    const emoji_item *item = &s->items[i];
    const emoji_set *set = &s->sets[item->set];
    const json_t *icon = json_object_get(json_object_get(set->icons, "icons"), item->name);
    const char *body = json_string_value(json_object_get(icon, "body"));
    *out = (asset){ .yaws = 1, .pitches = 1 };
    memcpy(out->concept, item->concept, sizeof out->concept);
    name_phrase(item->concept, out->phrase, sizeof out->phrase);
    snprintf(out->set, sizeof out->set, "%s", set->set);
    snprintf(out->group, sizeof out->group, "%s", item->group);
    snprintf(out->file, sizeof out->file, "%s", item->name);
    snprintf(out->author, sizeof out->author, "%s", set->author);
    snprintf(out->licence, sizeof out->licence, "%s", set->licence);
    if (!body) return fail(err, DREAMO_FORMAT, "%s: %s: no body", set->set, item->name);
    char *svg = mem_printf("<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" viewBox=\"%g %g %g %g\">%s</svg>",
                           box_field(icon, NULL, "left", 0), box_field(icon, NULL, "top", 0), box_field(icon, set->icons, "width", 16),
                           box_field(icon, set->icons, "height", 16), body);
    if (!svg) return fail(err, DREAMO_MEMORY, "%s: %s: no memory", set->set, item->name);
    bitmap b = { 0 };
    dreamo_status status = svg_render(svg, strlen(svg), ASSET_RENDER, item->name, &b, err);
    mem_free(svg);
    if (!status && (b.width != ASSET_RENDER || b.height != ASSET_RENDER)) out->refused = "not square";
    else if (!status && b.channels != 4) out->refused = "fills its rectangle";
    else if (!status) status = asset_trim(out, b.data, ASSET_RENDER, err);
    bitmap_free(&b);
    return status;
}
