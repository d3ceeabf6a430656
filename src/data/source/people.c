/* people.c - from sheets of a person's variants to pixels and mattes. */
#include "data/source/people.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/source/svg.h"

enum { CELL = 224, MAX_SVG = 16 << 20, MAX_PEOPLE = 1000000 };

/* ---- people.json ---- */

/* A phrase that captions can hold: printable ASCII of at most `most` bytes; empty only where `empty`. */
static dreamo_status phrase(const json_t *o, const char *what, const char *field, size_t most, bool empty, const char **out, dreamo_error *err)
{
    dreamo_status status = json_get_string(o, what, field, NULL, out, err);
    if (status) return status;
    size_t n = strlen(*out);
    if (n > most || (!n && !empty)) return fail(err, DREAMO_FORMAT, "%s: %s: has %zu bytes; %d to %zu are allowed", what, field, n, !empty, most);
    for (const char *c = *out; *c; c++)
        if (*c < 32 || *c > 126) return fail(err, DREAMO_FORMAT, "%s: %s: has letters outside of ASCII", what, field);
    return DREAMO_OK;
}

static dreamo_status read_system(const json_t *o, const char *path, size_t at, people_system *s, dreamo_error *err)
{
    char what[400];
    snprintf(what, sizeof what, "%.300s: systems[%zu]", path, at);
    if (!json_is_object(o)) return fail(err, DREAMO_FORMAT, "%s: not an object", what);
    dreamo_status status = phrase(o, what, "system", 40, false, &s->system, err);
    if (!status) status = phrase(o, what, "package", 60, false, &s->package, err);
    if (!status) status = phrase(o, what, "version", 30, false, &s->version, err);
    if (!status) status = phrase(o, what, "licence", 30, false, &s->licence, err);
    if (!status) status = phrase(o, what, "author", 60, false, &s->author, err);
    return status;
}

static dreamo_status read_person(const people_source *s, const json_t *o, const char *path, size_t at, figure *f, dreamo_error *err)
{
    char what[400];
    const char *system;
    snprintf(what, sizeof what, "%.300s: people[%zu]", path, at);
    if (!json_is_object(o)) return fail(err, DREAMO_FORMAT, "%s: not an object", what);
    dreamo_status status = phrase(o, what, "file", 100, false, &f->file, err);
    if (!status) status = phrase(o, what, "system", 40, false, &system, err);
    if (!status) status = phrase(o, what, "twin", 40, true, &f->twin, err);
    if (!status) status = phrase(o, what, "identity", 60, false, &f->identity, err);
    if (!status) status = phrase(o, what, "noun", 31, false, &f->noun, err);
    if (!status) status = phrase(o, what, "words", 111, false, &f->words, err);
    if (!status) status = json_get_bool(o, what, "matte", false, &f->clothed, err);
    if (status) return status;
    if (strchr(f->file, '/')) return fail(err, DREAMO_FORMAT, "%s: file: \"%s\" is not a name in this folder", what, f->file);
    for (int i = 0; i < s->nsystems; i++)
        if (!strcmp(s->systems[i].system, system)) f->by = &s->systems[i];
    if (!f->by) return fail(err, DREAMO_FORMAT, "%s: system \"%s\" is not in the list of systems", what, system);
    const json_t *list = json_object_get(o, "variants");
    size_t n = json_array_size(list);
    if (!n || n > FIGURE_VARIANTS) return fail(err, DREAMO_FORMAT, "%s: %zu variants; 1 to %d are allowed", what, n, FIGURE_VARIANTS);
    f->nvariants = (int)n;
    for (size_t i = 0; i < n && !status; i++) {
        status = phrase(json_array_get(list, i), what, "expression", 47, true, &f->variant[i].expression, err);
        if (!status) status = phrase(json_array_get(list, i), what, "clothes", 63, true, &f->variant[i].clothes, err);
    }
    return status;
}

static dreamo_status read_list(people_source *s, const char *path, dreamo_error *err)
{
    const char *format;
    int64_t version;
    dreamo_status status = json_get_string(s->list, path, "format", NULL, &format, err);
    if (!status) status = json_get_int(s->list, path, "version", 1, 1, 0, &version, err);
    if (status) return status;
    if (strcmp(format, "dreamo-people")) return fail(err, DREAMO_FORMAT, "%s: format is \"%.40s\", not \"dreamo-people\"", path, format);
    const json_t *systems = json_object_get(s->list, "systems"), *people = json_object_get(s->list, "people");
    size_t nsystems = json_array_size(systems), npeople = json_array_size(people);
    if (!nsystems || !npeople || nsystems > 1000 || npeople > MAX_PEOPLE)
        return fail(err, DREAMO_FORMAT, "%s: %zu systems, %zu people: cannot be used", path, nsystems, npeople);
    s->systems = mem_calloc(nsystems, sizeof *s->systems);
    s->items = mem_calloc(npeople, sizeof *s->items);
    if (!s->systems || !s->items) return fail(err, DREAMO_MEMORY, "%s: no memory for %zu people", path, npeople);
    for (size_t i = 0; i < nsystems && !status; i++) {
        status = read_system(json_array_get(systems, i), path, i, &s->systems[i], err);
        s->nsystems++;
    }
    for (size_t i = 0; i < npeople && !status; i++) {
        status = read_person(s, json_array_get(people, i), path, i, &s->items[i], err);
        s->nitems++;
    }
    return status;
}

dreamo_status people_open(const char *folder, people_source *out, dreamo_error *err)
{
    *out = (people_source){ .folder = mem_strdup(folder) };
    char *path = path_join(folder, "people.json");
    dreamo_status status = out->folder && path ? json_read(path, 256u << 20, &out->list, err) : fail(err, DREAMO_MEMORY, "%s: no memory", folder);
    if (!status) status = read_list(out, path, err);
    mem_free(path);
    if (status) people_close(out);
    return status;
}

void people_close(people_source *s)
{
    for (int i = 0; i < s->nitems; i++) mem_free(s->items[i].rgba);
    mem_free(s->items);
    mem_free(s->systems);
    mem_free(s->folder);
    json_decref(s->list);
    *s = (people_source){ 0 };
}

/* ---- pixels ---- */

typedef struct frame { int x0, y0, x1, y1; } frame; /* x1, y1 past the end */

/* What is seen of any of n cells. */
static frame extent(const tile *cells, int n)
{
    frame b = { CELL, CELL, 0, 0 };
    for (int i = 0; i < n; i++)
        for (int y = 0; y < CELL; y++)
            for (int x = 0; x < CELL; x++)
                if (cells[i].rgba[4 * ((size_t)y * (size_t)cells[i].row + (size_t)x) + 3] > 12) {
                    if (x < b.x0) b.x0 = x;
                    if (x >= b.x1) b.x1 = x + 1;
                    if (y < b.y0) b.y0 = y;
                    if (y >= b.y1) b.y1 = y + 1;
                }
    return b;
}

/* Clothes cover what differs between black and white clothes.  Shading on top of them takes up to a fifth of the difference away:
 * that much and more is all clothes. */
static void difference(const unsigned char *black, const unsigned char *white, size_t n, unsigned char *matte)
{
    for (size_t i = 0; i < n; i++, black += 4, white += 4) {
        int d = 0;
        for (int k = 0; k < 3; k++) d += white[3] * white[k] - black[3] * black[k];
        d = d > 0 ? (d * 5 / 4 + 382) / 765 : 0;
        matte[i] = (unsigned char)(d < white[3] ? d : white[3]);
    }
}

/* Every variant tells of clothes that are seen. */
static bool dressed(const figure *f)
{
    size_t each = (size_t)f->width * (size_t)f->height;
    const unsigned char *matte = f->rgba + 4 * figure_pixels(f);
    for (int i = 0; i < f->nvariants; i++, matte += each) {
        size_t sum = 0;
        for (size_t k = 0; k < each; k++) sum += matte[k];
        if (*f->variant[i].clothes && sum < 2 * each) return false; /* under 1 % */
    }
    return true;
}

static dreamo_status cut(figure *f, const bitmap *sheet, dreamo_error *err)
{
    tile cells[3][FIGURE_VARIANTS];
    for (int row = 0; row < (f->clothed ? 3 : 1); row++)
        for (int i = 0; i < f->nvariants; i++)
            cells[row][i] = (tile){ CELL, CELL, sheet->width, sheet->data + 4 * ((size_t)(row * CELL) * (size_t)sheet->width + (size_t)(i * CELL)), NULL };
    frame b = extent(cells[0], f->nvariants);
    int w = b.x1 - b.x0, h = b.y1 - b.y0, longest = w > h ? w : h;
    if (w < CELL / 4 || h < CELL / 4) {
        f->refused = "nearly empty";
        return DREAMO_OK;
    }
    double step = (double)longest / FIGURE_SIDE;
    f->width = (int)(w / step + 0.5), f->height = (int)(h / step + 0.5);
    size_t each = (size_t)f->width * (size_t)f->height, all = figure_pixels(f);
    unsigned char *two = mem_alloc(8 * each);
    if (!two || !(f->rgba = mem_calloc(all, 5))) {
        mem_free(two);
        return fail(err, DREAMO_MEMORY, "%s: no memory for its variants", f->file);
    }
    for (int i = 0; i < f->nvariants; i++) {
        double left = (b.x0 + b.x1) / 2.0 - f->width * step / 2, top = b.y1 - f->height * step;
        tile_shrink(&cells[0][i], left, top, step, f->width, f->height, f->rgba + 4 * each * (size_t)i);
        for (int k = 0; k < 2 && f->clothed; k++) tile_shrink(&cells[1 + k][i], left, top, step, f->width, f->height, two + 4 * each * (size_t)k);
        if (f->clothed) difference(two, two + 4 * each, each, f->rgba + 4 * all + each * (size_t)i);
    }
    mem_free(two);
    if (!dressed(f)) f->refused = "its clothes are not seen";
    return DREAMO_OK;
}

dreamo_status people_draw(people_source *s, int i, dreamo_error *err)
{
    figure *f = &s->items[i];
    int rows = f->clothed ? 3 : 1, columns = f->nvariants;
    char *path = path_join(s->folder, f->file), *svg = NULL;
    size_t nbytes;
    bitmap b = { 0 };
    dreamo_status status = path ? file_read(path, MAX_SVG, &svg, &nbytes, err) : fail(err, DREAMO_MEMORY, "%s: no memory", f->file);
    if (!status) status = svg_render(svg, nbytes, CELL * (rows > columns ? rows : columns), f->file, &b, err);
    int wider = b.width - CELL * columns, higher = b.height - CELL * rows;
    if (!status && (wider < 0 || wider > 1 || higher < 0 || higher > 1)) /* the renderer rounds up */
        status = fail(err, DREAMO_FORMAT, "%s: %d x %d pixels are not %d columns of %d squares", path, b.width, b.height, columns, rows);
    if (!status && b.channels != 4) f->refused = "has no clear ground";
    else if (!status) status = cut(f, &b, err);
    bitmap_free(&b);
    mem_free(svg);
    mem_free(path);
    return status;
}

size_t figure_pixels(const figure *f) { return (size_t)f->nvariants * (size_t)f->width * (size_t)f->height; }
