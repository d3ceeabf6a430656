/* furniture.c - catalogues (Java .properties inside a ZIP), which pieces become subjects, and their views. */
#include "data/source/furniture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/names.h"
#include "data/source/raster.h"
#include "data/source/zip.h"

#define MAX_PIECES 10000
#define MAX_OBJ (64u << 20)
#define MAX_TEXTURE (16u << 20)
#define MAX_TEXELS 128000000 /* decoded for one piece */
#define TEXTURE_SIDE 512

/* ---- selection ---- */

static const char *const unwanted_categories[] = { "Doors and windows", "Staircases" };

/* Fittings and flat things, trademarks, bank notes, and pieces whose name says nothing. */
static const char *const unwanted_words[] = {
    "plug", "switch", "socket", "dimmer", "rj45", "radiator", "parking", "arrow", "bill ", "apple ", "chevrolet", "ford focus", "peugeot",
    "renault", "seat leon", "smart car", "vw ", "yamaha", "playstation", "joystick", "rubik", "smoke detector", "heater", "boiler",
    "sidewalk", "crossing", "rails", "tatami", "carpet", "rug", "fluorescent", "rack", "bathmat", "doormat", "blind", "frame ",
    "iphone", "mp3", "cctv", "air conditioning", "entry ", "intercom", "porch column", "railing", "cutlery", "island", "toilets unit",
    "hood", "shower door", "shower stall", "sign", "induction", "cooktop", "tool", "contemporary living", "barnum", "towel", "extension",
    "curtain", "technical", "swimming pool", "sandpit", "pallet", "track lights", "wall hanger", "coathanger", "clothes hanger",
    "shelves", "cupboard", "upper ", "lower ", "high cabinet", "number lock", "wood toy", "screen", "rigged", "chimney", "sink cabinet",
    "range", "wood bank", "little bank", "locker", "surveillance", "captain", "ruler", "card game", "puzzle", "flacon", "newspaper", "calendar" };

/* What the catalogue calls it, and what a caption should. */
static const char *const renamed[][2] = {
    { "short", "shorts" }, { "teck chair", "teak chair" }, { "trunck", "trunk" }, { "bended coconut tree", "bent coconut tree" },
    { "letters box", "letter box" }, { "flipper", "pinball machine" }, { "puff", "pouf" }, { "lip stick", "lipstick" },
    { "cup cake", "cupcake" }, { "mocassin", "moccasin" }, { "cone", "traffic cone" }, { "hashtray", "ashtray" },
    { "children game", "playground slide" }, { "dart game", "dartboard" }, { "fork lift", "forklift" }, { "tv 16", "tv" },
    { "concept sedan 01", "car" }, { "concept sedan 02", "car" }, { "concept sedan 02 sport", "sports car" }, { "bootie", "baby bootie" },
    { "children chair", "child chair" }, { "children table", "child table" }, { "wall flat tv", "flat tv" }, { "sofa 2 seats", "sofa" },
    { "sofa 3 seats", "sofa" }, { "baby bed", "crib" }, { "convertible sofa bz", "folding sofa" }, { "opened convertible sofa bz", "open folding sofa" },
    { "mower", "lawn mower" }, { "grinder", "angle grinder" }, { "tape", "roll of tape" }, { "extinguisher", "fire extinguisher" },
    { "woman shoes", "woman's shoes" }, { "holding female", "woman" }, { "holding male", "man" }, { "lying down boy", "lying boy" },
    { "mixer", "kitchen mixer" }, { "table tennis", "table tennis table" }, { "bike", "bicycle" }, { "frame", "picture frame" },
    { "phone", "telephone" }, { "clothes horse", "drying rack" }, { "class seat", "school desk" }, { "drawers cabinet", "drawer cabinet" } };

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* "sitting female" becomes "sitting woman"; mannequins stay what they are. */
static void say_woman_and_man(char *name, size_t nbytes)
{
    const char *at = strstr(name, "female"), *with = at ? "woman" : "man";
    if (!at && !(at = strstr(name, "male"))) return;
    const char *posture = strstr(name, "sitting") ? "sitting " : strstr(name, "lying") ? "lying " : "";
    if (strstr(name, "mannequin")) snprintf(name, nbytes, "mannequin");
    else snprintf(name, nbytes, "%s%s", posture, with);
}

/* The caption's name for a piece; false: it stays out. */
static bool piece_name(const char *raw, const char *category, char *out, size_t nbytes)
{
    for (size_t i = 0; i < COUNT(unwanted_categories); i++)
        if (!strcmp(unwanted_categories[i], category)) return false;
    if (!name_clean(raw, out, nbytes)) return false;
    for (size_t i = 0; i < COUNT(unwanted_words); i++)
        if (strstr(out, unwanted_words[i])) return false;
    for (size_t i = 0; i < COUNT(renamed); i++)
        if (!strcmp(renamed[i][0], out)) {
            snprintf(out, nbytes, "%s", renamed[i][1]);
            return true;
        }
    say_woman_and_man(out, nbytes);
    return true;
}

/* ---- catalogues ---- */

/* The value of KEY#n (or of KEY for n = 0) in a NUL-terminated properties text whose lines have been cut at '\n'. */
typedef struct properties { char *text; size_t nbytes; int count; char **lines; } properties;

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static dreamo_status split_lines(properties *p, const char *what, dreamo_error *err)
{
    size_t n = 1;
    for (size_t i = 0; i < p->nbytes; i++) n += p->text[i] == '\n';
    if (!(p->lines = mem_calloc(n, sizeof *p->lines))) return fail(err, DREAMO_MEMORY, "%s: no memory for the catalogue", what);
    for (char *at = p->text; at; ) {
        char *stop = strchr(at, '\n');
        if (stop) *stop = 0;
        size_t length = strlen(at);
        if (length && at[length - 1] == '\r') at[length - 1] = 0;
        p->lines[p->count++] = at;
        at = stop ? stop + 1 : NULL;
    }
    qsort(p->lines, (size_t)p->count, sizeof *p->lines, by_text);
    return DREAMO_OK;
}

static const char *property(const properties *p, const char *key, int n)
{
    char wanted[48];
    int length = n ? snprintf(wanted, sizeof wanted, "%s#%d=", key, n) : snprintf(wanted, sizeof wanted, "%s=", key);
    int lo = 0, hi = p->count;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (strncmp(p->lines[mid], wanted, (size_t)length) < 0) lo = mid + 1;
        else hi = mid;
    }
    return lo < p->count && !strncmp(p->lines[lo], wanted, (size_t)length) ? p->lines[lo] + length : NULL;
}

/* Up to `max` numbers with blanks between, in the plain notation that catalogues use. */
static int numbers(const char *s, double *out, int max)
{
    int n = 0;
    for (; s && *s && n < max; n++) {
        double sign = 1, v = 0, place = 1;
        while (*s == ' ') s++;
        if (*s == '-') sign = -1, s++;
        if ((*s < '0' || *s > '9') && *s != '.') break;
        for (; *s >= '0' && *s <= '9'; s++) v = v * 10 + (*s - '0');
        if (*s == '.')
            for (s++; *s >= '0' && *s <= '9'; s++) v += (*s - '0') * (place /= 10);
        out[n] = sign * v;
    }
    return n;
}

static dreamo_status add_pieces(furniture_source *s, int catalogue, const properties *p, const char *what, dreamo_error *err)
{
    for (int n = 1; n <= MAX_PIECES; n++) {
        const char *name = property(p, "name", n), *model = property(p, "model", n), *category = property(p, "category", n);
        if (!name) return DREAMO_OK;
        char concept[64];
        if (!model || *model != '/' || !category || !piece_name(name, category, concept, sizeof concept)) continue;
        furniture_item *more = mem_realloc(s->items, (size_t)(s->nitems + 1) * sizeof *more);
        if (!more) break;
        s->items = more;
        furniture_item *item = &s->items[s->nitems];
        const char *creator = property(p, "creator", n);
        *item = (furniture_item){ .catalogue = catalogue, .model = mem_strdup(model + 1), .rotation = { 1, 0, 0, 0, 1, 0, 0, 0, 1 } };
        if (!item->model) break;
        s->nitems++;
        memcpy(item->concept, concept, sizeof concept);
        snprintf(item->name, sizeof item->name, "%s", name);
        snprintf(item->group, sizeof item->group, "%s", category);
        snprintf(item->creator, sizeof item->creator, "%s", creator ? creator : "unknown");
        double turn[9];
        if (numbers(property(p, "modelRotation", n), turn, 9) == 9) memcpy(item->rotation, turn, sizeof turn);
        numbers(property(p, "width", n), &item->width, 1);
        numbers(property(p, "depth", n), &item->depth, 1);
        numbers(property(p, "height", n), &item->height, 1);
    }
    return fail(err, DREAMO_MEMORY, "%s: no memory, or more than %d pieces", what, MAX_PIECES);
}

/* The licence in SPDX's spelling, from the catalogue's own sentence. */
static const char *licence_of(const char *sentence)
{
    if (strstr(sentence, "Public domain")) return "CC0-1.0";
    if (strstr(sentence, "Attribution 3.0 United States")) return "CC-BY-3.0-US";
    return strstr(sentence, "Attribution 3.0") ? "CC-BY-3.0" : NULL;
}

static dreamo_status add_catalogue(furniture_source *s, const char *folder, const char *file, dreamo_error *err)
{
    properties p = { 0 };
    furniture_catalogue *c = &s->catalogues[s->ncatalogues++];
    char *path = path_join(folder, file);
    if (!path || !(c->zip = mem_calloc(1, sizeof *c->zip))) {
        mem_free(path);
        return fail(err, DREAMO_MEMORY, "%s: no memory", file);
    }
    dreamo_status status = zip_open(path, c->zip, err);
    const zip_entry *e = status ? NULL : zip_find(c->zip, "PluginFurnitureCatalog.properties");
    if (!status && !e) status = fail(err, DREAMO_FORMAT, "%s: no PluginFurnitureCatalog.properties in it", path);
    if (!status) status = zip_read(c->zip, e, 16u << 20, &p.text, &p.nbytes, err);
    if (!status) status = split_lines(&p, path, err);
    if (!status) {
        const char *version = property(&p, "version", 0), *sentence = property(&p, "license", 0), *author = property(&p, "name", 0);
        const char *licence = sentence ? licence_of(sentence) : NULL;
        snprintf(c->name, sizeof c->name, "%.*s", (int)strcspn(file, "."), file);
        snprintf(c->version, sizeof c->version, "%s", version ? version : "unknown");
        snprintf(c->author, sizeof c->author, "%s", author ? author : "unknown");
        if (!licence) status = fail(err, DREAMO_CONTENT, "%s: licence \"%.80s\" is not CC0 or CC-BY 3.0", path, sentence ? sentence : "");
        else snprintf(c->licence, sizeof c->licence, "%s", licence);
    }
    if (!status) status = add_pieces(s, s->ncatalogues - 1, &p, path, err);
    mem_free(p.lines);
    mem_free(p.text);
    mem_free(path);
    return status;
}

dreamo_status furniture_open(const char *folder, furniture_source *out, dreamo_error *err)
{
    char **names;
    int count;
    *out = (furniture_source){ 0 };
    dreamo_status status = folder_list(folder, &names, &count, err);
    if (status) return status;
    if (!(out->catalogues = mem_calloc((size_t)count + 1, sizeof *out->catalogues))) status = fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    for (int i = 0; i < count && !status; i++) {
        size_t n = strlen(names[i]);
        if (n > 5 && !strcmp(names[i] + n - 5, ".sh3f")) status = add_catalogue(out, folder, names[i], err);
    }
    folder_list_free(names, count);
    if (!status && !out->nitems) status = fail(err, DREAMO_NOT_FOUND, "%s: no .sh3f catalogue with usable pieces", folder);
    if (status) furniture_close(out);
    return status;
}

void furniture_close(furniture_source *s)
{
    for (int i = 0; i < s->nitems; i++) mem_free(s->items[i].model);
    for (int i = 0; i < s->ncatalogues; i++) {
        if (s->catalogues[i].zip) zip_close(s->catalogues[i].zip);
        mem_free(s->catalogues[i].zip);
    }
    mem_free(s->items);
    mem_free(s->catalogues);
    *s = (furniture_source){ 0 };
}

/* ---- drawing ---- */

/* The member `file` in the folder of the member `beside`; NULL: not there. */
static const zip_entry *find_beside(const zip *z, const char *beside, const char *file)
{
    const char *slash = strrchr(beside, '/');
    char name[512];
    int n = snprintf(name, sizeof name, "%.*s%s", slash ? (int)(slash - beside + 1) : 0, beside, file);
    return n < (int)sizeof name ? zip_find(z, name) : NULL;
}

static dreamo_status read_beside(const zip *z, const char *beside, const char *file, size_t max, char **data, size_t *nbytes, dreamo_error *err)
{
    const zip_entry *e = find_beside(z, beside, file);
    return e ? zip_read(z, e, max, data, nbytes, err) : fail(err, DREAMO_FORMAT, "%s: \"%s\" is not beside \"%s\"", z->path, file, beside);
}

/* Halve until no side is longer than TEXTURE_SIDE: a view has few pixels, and averaging here avoids sparkle there. */
static void shrink_texture(bitmap *t)
{
    while (t->width > TEXTURE_SIDE || t->height > TEXTURE_SIDE) {
        int w = t->width > 1 ? t->width / 2 : 1, h = t->height > 1 ? t->height / 2 : 1, n = t->channels;
        int dx = t->width > 1, dy = t->height > 1;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                for (int k = 0; k < n; k++) {
                    const unsigned char *p = t->data + k;
                    size_t x0 = (size_t)(x << dx), x1 = x0 + (size_t)dx, y0 = (size_t)(y << dy), y1 = y0 + (size_t)dy, row = (size_t)t->width;
                    int sum = p[(y0 * row + x0) * (size_t)n] + p[(y0 * row + x1) * (size_t)n] + p[(y1 * row + x0) * (size_t)n] + p[(y1 * row + x1) * (size_t)n];
                    t->data[((size_t)y * (size_t)w + (size_t)x) * (size_t)n + (size_t)k] = (unsigned char)((sum + 2) / 4);
                }
        t->width = w, t->height = h;
    }
}

static dreamo_status load_mesh(const zip *z, const char *model, obj_mesh *mesh, dreamo_error *err)
{
    char *text = NULL;
    size_t nbytes;
    const char *slash = strrchr(model, '/');
    dreamo_status status = read_beside(z, model, slash ? slash + 1 : model, MAX_OBJ, &text, &nbytes, err);
    if (!status) status = obj_parse(text, nbytes, model, mesh, err);
    mem_free(text);
    text = NULL;
    if (status || !*mesh->library) return status;
    status = read_beside(z, model, mesh->library, MAX_OBJ, &text, &nbytes, err);
    if (!status) status = mtl_parse(text, nbytes, mesh->library, mesh, err);
    mem_free(text);
    int64_t texels = 0;
    for (int i = 0; i < mesh->nmaterials && !status; i++) {
        obj_material *m = &mesh->materials[i];
        char *data = NULL;
        if (!*m->map || !find_beside(z, model, m->map)) continue; /* some maps stayed on their author's disk: plain Kd then */
        status = read_beside(z, model, m->map, MAX_TEXTURE, &data, &nbytes, err);
        if (!status) status = image_decode((unsigned char *)data, nbytes, m->map, &m->texture, NULL, 0, err);
        texels += (int64_t)m->texture.width * m->texture.height;
        if (!status && texels > MAX_TEXELS) status = fail(err, DREAMO_LIMIT, "%s: textures of more than %d pixels", model, MAX_TEXELS);
        if (!status) shrink_texture(&m->texture);
        mem_free(data);
    }
    if (status) obj_free(mesh);
    return status;
}

/* Pitch by pitch, from the left to the right. */
static void list_views(view *out)
{
    static const double pitches[FURNITURE_PITCHES] = { 12, 28 };
    for (int p = 0; p < FURNITURE_PITCHES; p++)
        for (int y = 0; y < FURNITURE_YAWS; y++)
            *out++ = (view){ (-70 + 140.0 * y / (FURNITURE_YAWS - 1)) / 360, pitches[p] / 360 };
}

dreamo_status furniture_mesh(const furniture_source *s, int i, obj_mesh *out, dreamo_error *err)
{
    const furniture_item *item = &s->items[i];
    *out = (obj_mesh){ 0 };
    dreamo_status status = load_mesh(s->catalogues[item->catalogue].zip, item->model, out, err);
    if (!status) status = mesh_normalise(out, item->rotation, (double[3]){ item->width, item->height, item->depth }, item->model, err);
    if (status) obj_free(out);
    return status;
}

dreamo_status furniture_draw(const furniture_source *s, int i, asset *out, dreamo_error *err)
{
    enum { NVIEWS = FURNITURE_YAWS * FURNITURE_PITCHES };
    const furniture_item *item = &s->items[i];
    const furniture_catalogue *c = &s->catalogues[item->catalogue];
    *out = (asset){ .yaws = FURNITURE_YAWS, .pitches = FURNITURE_PITCHES };
    memcpy(out->concept, item->concept, sizeof out->concept);
    name_phrase(item->concept, out->phrase, sizeof out->phrase);
    memcpy(out->set, c->name, sizeof out->set);
    memcpy(out->group, item->group, sizeof out->group);
    snprintf(out->file, sizeof out->file, "%s", item->model);
    memcpy(out->author, item->creator, sizeof out->author);
    memcpy(out->licence, c->licence, sizeof out->licence);
    obj_mesh mesh = { 0 };
    view views[NVIEWS];
    list_views(views);
    size_t nbytes = (size_t)NVIEWS * ASSET_RENDER * ASSET_RENDER * 4;
    unsigned char *pixels = mem_alloc(nbytes);
    dreamo_status status = pixels ? furniture_mesh(s, i, &mesh, err) : fail(err, DREAMO_MEMORY, "%s: no memory for its views", item->model);
    dreamo_error why = { 0 };
    if (!status && (status = raster_views(&mesh, views, NVIEWS, ASSET_RENDER, pixels, &why)) != DREAMO_OK)
        fail(err, status, "%s: %s", item->model, why.message);
    if (!status) status = asset_trim(out, pixels, ASSET_RENDER, err);
    obj_free(&mesh);
    mem_free(pixels);
    return status;
}
