/* obj.c - the two parsers: lines of words, no locale, no recursion. */
#include "data/source/obj.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/mem.h"

/* ---- lines and words ---- */

typedef struct reader { const char *at, *end, *what; int line; } reader;

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static void skip_blanks(reader *r)
{
    while (r->at < r->end && blank(*r->at)) r->at++;
}

static bool at_line_end(reader *r)
{
    skip_blanks(r);
    return r->at >= r->end || *r->at == '\n';
}

static void next_line(reader *r)
{
    while (r->at < r->end && *r->at != '\n') r->at++;
    if (r->at < r->end) r->at++;
    r->line++;
}

/* True, and past it, when the next word is `word`. */
static bool take_word(reader *r, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(r);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n)) return false;
    if (r->at + n < r->end && !blank(r->at[n]) && r->at[n] != '\n') return false;
    r->at += n;
    return true;
}

/* The rest of the line without blanks around it. */
static dreamo_status take_rest(reader *r, char out[OBJ_MAX_NAME], dreamo_error *err)
{
    skip_blanks(r);
    const char *start = r->at, *stop = start;
    while (stop < r->end && *stop != '\n') stop++;
    r->at = stop;
    while (stop > start && blank(stop[-1])) stop--;
    size_t nbytes = (size_t)(stop - start);
    if (nbytes >= OBJ_MAX_NAME)
        return fail(err, DREAMO_FORMAT, "%s: line %d: a name of more than %d bytes", r->what, r->line, OBJ_MAX_NAME - 1);
    memcpy(out, start, nbytes);
    out[nbytes] = 0;
    return DREAMO_OK;
}

static bool take_integer(reader *r, int64_t *out)
{
    bool negative = r->at < r->end && *r->at == '-';
    const char *p = r->at + negative;
    int64_t v = 0;
    const char *first = p;
    for (; p < r->end && *p >= '0' && *p <= '9' && p - first < 12; p++) v = v * 10 + (*p - '0');
    if (p == first) return false;
    r->at = p;
    *out = negative ? -v : v;
    return true;
}

/* A decimal number, to about 15 digits; "nan" and "inf" are no numbers.  Kept apart from strtod, which obeys the locale. */
static bool take_number(reader *r, double *out)
{
    skip_blanks(r);
    const char *p = r->at;
    bool negative = p < r->end && *p == '-';
    if (p < r->end && (*p == '-' || *p == '+')) p++;
    double v = 0;
    int digits = 0, shift = 0;
    for (; p < r->end && *p >= '0' && *p <= '9'; p++, digits++) v = v * 10 + (*p - '0');
    if (p < r->end && *p == '.')
        for (p++; p < r->end && *p >= '0' && *p <= '9'; p++, digits++, shift--) v = v * 10 + (*p - '0');
    if (!digits || digits > 300) return false;
    r->at = p;
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        int64_t e;
        r->at += 1 + (p + 1 < r->end && p[1] == '+');
        if (!take_integer(r, &e) || e > 300 || e < -300) return false;
        shift += (int)e;
    }
    for (; shift > 0; shift--) v *= 10;
    double scale = 1;
    for (; shift < 0; shift++) scale *= 10;
    v /= scale;
    *out = negative ? -v : v;
    return v <= 1e12; /* also false for infinity and NaN */
}

static dreamo_status take_floats(reader *r, int n, float *out, dreamo_error *err)
{
    for (int i = 0; i < n; i++) {
        double v;
        if (!take_number(r, &v)) return fail(err, DREAMO_FORMAT, "%s: line %d: number %d of %d is missing or out of range", r->what, r->line, i + 1, n);
        out[i] = (float)v;
    }
    return DREAMO_OK;
}

/* ---- growing arrays ---- */

static dreamo_status make_room(const reader *r, void *array, int count, int *cap, int max, size_t each, dreamo_error *err)
{
    if (count < *cap) return DREAMO_OK;
    if (count >= max) return fail(err, DREAMO_LIMIT, "%s: line %d: more than %d entries of one kind", r->what, r->line, max);
    int more = *cap ? *cap * 2 : 256;
    void *p;
    memcpy(&p, array, sizeof p);
    if (!(p = mem_realloc(p, (size_t)more * each))) return fail(err, DREAMO_MEMORY, "%s: no memory for the mesh", r->what);
    memcpy(array, &p, sizeof p);
    *cap = more;
    return DREAMO_OK;
}

typedef struct parse { reader r; obj_mesh *m; int vcap, tcap, fcap, mcap, material; } parse;

/* ---- OBJ ---- */

/* An index counts from 1, or backwards from the newest when negative. */
static bool resolve(int64_t index, int count, int32_t *out)
{
    int64_t i = index > 0 ? index - 1 : count + index;
    if (!index || i < 0 || i >= count) return false;
    *out = (int32_t)i;
    return true;
}

/* "v", "v/t", "v/t/n" or "v//n" */
static bool take_corner(parse *p, int32_t *v, int32_t *t)
{
    int64_t i;
    *t = -1;
    skip_blanks(&p->r);
    if (!take_integer(&p->r, &i) || !resolve(i, p->m->nv, v)) return false;
    for (int slash = 0; slash < 2 && p->r.at < p->r.end && *p->r.at == '/'; slash++) {
        p->r.at++;
        if (slash == 0 && p->r.at < p->r.end && *p->r.at == '/') continue;
        if (!take_integer(&p->r, &i) || (slash == 0 && !resolve(i, p->m->nt, t))) return false; /* normals are not used */
    }
    return p->r.at >= p->r.end || blank(*p->r.at) || *p->r.at == '\n';
}

static dreamo_status parse_face(parse *p, dreamo_error *err)
{
    obj_triangle tri = { .material = p->material };
    int n = 0;
    while (!at_line_end(&p->r)) {
        int32_t v, t;
        if (!take_corner(p, &v, &t)) return fail(err, DREAMO_FORMAT, "%s: line %d: corner %d of the face names no vertex", p->r.what, p->r.line, n + 1);
        int corner = n < 2 ? n : 2;
        if (n > 2) tri.v[1] = tri.v[2], tri.t[1] = tri.t[2];
        tri.v[corner] = v, tri.t[corner] = t;
        if (++n < 3) continue;
        dreamo_status status = make_room(&p->r, &p->m->triangles, p->m->ntriangles, &p->fcap, OBJ_MAX_TRIANGLES, sizeof tri, err);
        if (status) return status;
        p->m->triangles[p->m->ntriangles++] = tri;
    }
    return DREAMO_OK; /* faces of one or two corners have no area */
}

static dreamo_status use_material(parse *p, dreamo_error *err)
{
    char name[OBJ_MAX_NAME];
    dreamo_status status = take_rest(&p->r, name, err);
    if (status) return status;
    for (p->material = 0; p->material < p->m->nmaterials; p->material++)
        if (!strcmp(p->m->materials[p->material].name, name)) return DREAMO_OK;
    if ((status = make_room(&p->r, &p->m->materials, p->m->nmaterials, &p->mcap, OBJ_MAX_MATERIALS, sizeof(obj_material), err))) return status;
    obj_material *m = &p->m->materials[p->m->nmaterials++];
    *m = (obj_material){ .colour = { 0.7f, 0.7f, 0.7f }, .opacity = 1 };
    memcpy(m->name, name, sizeof name);
    return DREAMO_OK;
}

static dreamo_status parse_line(parse *p, dreamo_error *err)
{
    obj_mesh *m = p->m;
    dreamo_status status = DREAMO_OK;
    if (take_word(&p->r, "v")) {
        status = make_room(&p->r, &m->v, m->nv, &p->vcap, OBJ_MAX_VERTICES, sizeof *m->v, err);
        if (!status) status = take_floats(&p->r, 3, m->v[m->nv], err);
        if (!status) m->nv++;
    } else if (take_word(&p->r, "vt")) {
        status = make_room(&p->r, &m->t, m->nt, &p->tcap, OBJ_MAX_VERTICES, sizeof *m->t, err);
        if (!status) status = take_floats(&p->r, 2, m->t[m->nt], err);
        if (!status) m->nt++;
    } else if (take_word(&p->r, "f"))
        status = parse_face(p, err);
    else if (take_word(&p->r, "usemtl"))
        status = use_material(p, err);
    else if (take_word(&p->r, "mtllib") && !*m->library)
        status = take_rest(&p->r, m->library, err);
    return status;
}

dreamo_status obj_parse(const char *text, size_t nbytes, const char *what, obj_mesh *out, dreamo_error *err)
{
    *out = (obj_mesh){ 0 };
    parse p = { .r = { text, text + nbytes, what, 1 }, .m = out };
    reader none = { "", "", what, 0 };
    dreamo_status status = make_room(&none, &out->materials, 0, &p.mcap, OBJ_MAX_MATERIALS, sizeof(obj_material), err);
    if (status) return status;
    out->materials[out->nmaterials++] = (obj_material){ .colour = { 0.7f, 0.7f, 0.7f }, .opacity = 1 };
    for (; !status && p.r.at < p.r.end; next_line(&p.r)) status = parse_line(&p, err);
    if (!status && !out->ntriangles) status = fail(err, DREAMO_FORMAT, "%s: no faces", what);
    if (status) obj_free(out);
    return status;
}

void obj_free(obj_mesh *m)
{
    for (int i = 0; i < m->nmaterials; i++) bitmap_free(&m->materials[i].texture);
    mem_free(m->v);
    mem_free(m->t);
    mem_free(m->triangles);
    mem_free(m->materials);
    *m = (obj_mesh){ 0 };
}

/* ---- MTL ---- */

static obj_material *find_material(obj_mesh *mesh, const char *name)
{
    for (int i = 1; i < mesh->nmaterials; i++)
        if (!strcmp(mesh->materials[i].name, name)) return &mesh->materials[i];
    return NULL;
}

/* The file after options such as "-s 1 1 1": from the last word that begins one on, what follows its numbers. */
static void drop_map_options(char *map)
{
    char *at = map;
    while (*at == '-') {
        while (*at && *at != ' ') at++;
        while (*at == ' ') at++;
        while ((*at >= '0' && *at <= '9') || *at == '.' || (*at == '-' && at[1] >= '0' && at[1] <= '9')) {
            char *word = at;
            while (*at && *at != ' ') at++;
            if (!*at) {
                at = word; /* a file whose name begins with a digit */
                break;
            }
            while (*at == ' ') at++;
        }
        if (*at != '-') break;
    }
    memmove(map, at, strlen(at) + 1);
}

dreamo_status mtl_parse(const char *text, size_t nbytes, const char *what, obj_mesh *mesh, dreamo_error *err)
{
    reader r = { text, text + nbytes, what, 1 };
    obj_material *m = NULL;
    dreamo_status status = DREAMO_OK;
    for (; !status && r.at < r.end; next_line(&r)) {
        char name[OBJ_MAX_NAME];
        if (take_word(&r, "newmtl")) {
            status = take_rest(&r, name, err);
            if (!status) m = find_material(mesh, name);
        } else if (m && take_word(&r, "Kd"))
            status = take_floats(&r, 3, m->colour, err);
        else if (m && take_word(&r, "d"))
            status = take_floats(&r, 1, &m->opacity, err);
        else if (m && take_word(&r, "map_Kd")) {
            status = take_rest(&r, m->map, err);
            drop_map_options(m->map);
        }
    }
    return status;
}
