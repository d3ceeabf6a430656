/* sample.c - one picture with its matte: who stands where (a plan of the other samples'), what is behind, how it was photographed. */
#include "data/matte/matte.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "data/plan.h"

typedef struct drawing { const matte_pictures *pictures; data_split split; rng *r; plan *p; canvas *c; } drawing;

/* NULL: the folder is empty. */
static const bitmap *some_picture(const drawing *d, const matte_folder *f)
{
    int split = f->n[d->split] ? d->split : DATA_TRAIN;
    return f->n[split] ? &f->picture[split][rng_below(d->r, (uint32_t)f->n[split])] : NULL;
}

/* ---- a piece of a photograph ---- */

/* A window of a picture, mirrored or not; `side` pixels of it are seen across the shorter side of what it fills. */
typedef struct piece { const bitmap *from; double x, y, step; bool mirror; } piece;

static piece some_piece(const drawing *d, const bitmap *from, int width, int height, double least)
{
    double fit = fmin((double)from->width / width, (double)from->height / height), step = fit * rng_range(d->r, least, 1);
    piece p = { from, 0, 0, step, rng_below(d->r, 2) != 0 };
    p.x = rng_double(d->r) * (from->width - step * width);
    p.y = rng_double(d->r) * (from->height - step * height);
    return p;
}

/* Bilinear, 0 .. 1; (x, y) in pixels of what it fills, `width` wide. */
static void piece_at(const piece *p, double x, double y, int width, float out[3])
{
    const bitmap *b = p->from;
    double u = p->x + (p->mirror ? width - x : x) * p->step - 0.5, v = p->y + y * p->step - 0.5;
    u = u < 0 ? 0 : u > b->width - 1 ? b->width - 1 : u;
    v = v < 0 ? 0 : v > b->height - 1 ? b->height - 1 : v;
    int i = (int)u, j = (int)v, right = i + 1 < b->width ? 3 : 0;
    size_t below = j + 1 < b->height ? 3 * (size_t)b->width : 0;
    float fx = (float)(u - i), fy = (float)(v - j);
    const unsigned char *at = b->data + 3 * ((size_t)j * (size_t)b->width + (size_t)i);
    for (int k = 0; k < 3; k++) {
        float top = at[k] + fx * (at[k + right] - at[k]), low = at[below + (size_t)k] + fx * (at[below + (size_t)(k + right)] - at[below + (size_t)k]);
        out[k] = (top + fy * (low - top)) * (1.0f / 255);
    }
}

/* ---- behind ---- */

static void draw_photo(const drawing *d, const bitmap *photo)
{
    canvas *c = d->c;
    piece p = some_piece(d, photo, c->width, c->height, 0.35);
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) piece_at(&p, x + 0.5, y + 0.5, c->width, c->rgb + 3 * ((size_t)y * (size_t)c->width + (size_t)x));
}

/* A wall lit from somewhere: one colour, or one that becomes another. */
static void draw_wall(const drawing *d)
{
    canvas *c = d->c;
    float from[3], to[3], change = rng_below(d->r, 3) ? 0.15f : 1;
    double turn = rng_double(d->r), base = rng_below(d->r, 3) ? rng_range(d->r, 0.5, 1) : rng_double(d->r), colour = rng_range(d->r, 0, 0.4);
    for (int k = 0; k < 3; k++) {
        from[k] = (float)fmin(1, fmax(0, base + colour * (rng_double(d->r) - 0.5)));
        to[k] = from[k] + change * ((float)rng_double(d->r) - from[k]);
    }
    if (rng_below(d->r, 4) == 0) from[0] = from[1] = from[2] = to[0] = to[1] = to[2] = 1;
    double dx = sine(turn + 0.25), dy = sine(turn);
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            float s = (float)smoothstep(-0.7, 0.7, dx * ((double)x / c->width - 0.5) + dy * ((double)y / c->height - 0.5));
            for (int k = 0; k < 3; k++) c->rgb[3 * ((size_t)y * (size_t)c->width + (size_t)x) + (size_t)k] = from[k] + s * (to[k] - from[k]);
        }
}

/* Mean of (2n + 1)^2 pixels, three times: nearly a lens out of focus. */
static dreamo_status blur(canvas *c, int n, dreamo_error *err)
{
    int longest = c->width > c->height ? c->width : c->height;
    float *line = mem_alloc(((size_t)longest + 2 * (size_t)n + 1) * sizeof *line);
    if (!line) return fail(err, DREAMO_MEMORY, "no memory for a line of %d pixels", longest);
    for (int pass = 0; pass < 6; pass++) {
        bool down = pass & 1;
        int lines = down ? c->width : c->height, length = down ? c->height : c->width;
        size_t step = down ? 3 * (size_t)c->width : 3;
        for (int i = 0; i < lines; i++)
            for (size_t k = 0; k < 3; k++) {
                float *at = c->rgb + (down ? 3 * (size_t)i : 3 * (size_t)i * (size_t)c->width) + k, sum = 0;
                for (int j = -n; j < length + n; j++) line[j + n] = at[(size_t)(j < 0 ? 0 : j >= length ? length - 1 : j) * step];
                for (int j = 0; j < 2 * n; j++) sum += line[j];
                for (int j = 0; j < length; j++) {
                    sum += line[j + 2 * n];
                    at[(size_t)j * step] = sum / (float)(2 * n + 1);
                    sum -= line[j];
                }
            }
    }
    mem_free(line);
    return DREAMO_OK;
}

static dreamo_status draw_behind(const drawing *d, dreamo_error *err)
{
    const bitmap *photo = some_picture(d, &d->pictures->photos);
    double fate = rng_double(d->r);
    if (fate < 0.58 && photo) draw_photo(d, photo);
    else if (fate < 0.82) {
        scene_draw(&d->p->s, d->c);
        return DREAMO_OK;
    } else
        draw_wall(d);
    return fate < 0.58 && rng_below(d->r, 5) < 2 ? blur(d->c, 1 + (int)rng_below(d->r, (uint32_t)d->c->width / 32), err) : DREAMO_OK;
}

/* ---- before it ---- */

/* The same outline with the surface of a photograph, lit from one side, as much of it as `share` says. */
static dreamo_status resurface(const drawing *d, actor *a, dreamo_error *err)
{
    const bitmap *photo = some_picture(d, &d->pictures->photos);
    int w = a->t.width, h = a->t.height;
    if (a->part != PART_ALL) return DREAMO_OK; /* the matte says what is seen of it */
    unsigned char *to = photo && d->p->nowned < PLAN_OWNED ? plan_own(d->p, (size_t)w * (size_t)h * 4) : NULL;
    if (!to) return photo && d->p->nowned < PLAN_OWNED ? fail(err, DREAMO_MEMORY, "no memory for a surface of %d x %d pixels", w, h) : DREAMO_OK;
    piece p = some_piece(d, photo, w, h, 0.1);
    float share = rng_below(d->r, 2) ? 1 : (float)rng_range(d->r, 0.4, 1), gain = (float)rng_range(d->r, 0.6, 1.3), seen[3];
    float side = (float)rng_range(d->r, -0.5, 0.5), top = (float)rng_range(d->r, 0, 0.5), tint[3];
    for (int k = 0; k < 3; k++) tint[k] = gain * (float)rng_range(d->r, 0.7, 1.2);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const unsigned char *was = a->t.rgba + 4 * ((size_t)y * (size_t)a->t.row + (size_t)x);
            unsigned char *now = to + 4 * ((size_t)y * (size_t)w + (size_t)x);
            float lit = 1 + side * ((float)x / (float)w - 0.5f) * 2 + top * (0.5f - (float)y / (float)h);
            piece_at(&p, x + 0.5, y + 0.5, w, seen);
            for (int k = 0; k < 3; k++) {
                float v = was[k] + share * (255 * seen[k] * tint[k] * lit - was[k]);
                now[k] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5f);
            }
            now[3] = was[3];
        }
    a->t.rgba = to;
    a->t.row = w;
    a->t.matte = NULL; /* there is one mask for all of it */
    return DREAMO_OK;
}

/* Other places than a training picture's: nearer, turned, cut by the border. */
static void unsettle(const drawing *d, actor *a)
{
    double fate = rng_double(d->r);
    if (fate < 0.3) a->at.scale *= rng_range(d->r, 1, 1.6);
    else if (fate < 0.4) a->at.scale *= rng_range(d->r, 0.5, 1);
    if (rng_double(d->r) < 0.3) a->at.x += rng_range(d->r, -0.3, 0.3), a->at.y += rng_range(d->r, -0.1, 0.3);
    if (rng_double(d->r) < 0.2) a->at.turn += rng_range(d->r, -0.1, 0.1);
    if (rng_below(d->r, 2)) a->at.mirror = !a->at.mirror;
}

/* A photographed thing in the place of a drawn one. */
static void replace(const drawing *d, actor *a)
{
    const bitmap *b = some_picture(d, &d->pictures->cutouts);
    if (!b) return;
    a->t = (tile){ .width = b->width, .height = b->height, .row = b->width, .rgba = b->data };
    a->part = PART_ALL;
}

static dreamo_status draw_things(const drawing *d, dreamo_error *err)
{
    plan *p = d->p;
    light lit = { .side = rng_range(d->r, -1, 1) };
    for (int k = 0; k < 3; k++) lit.tint[k] = (float)rng_range(d->r, 0.8, 1.05);
    bool replaced = rng_double(d->r) < 0.45, surfaced = rng_double(d->r) < (replaced ? 0.15 : 0.45), shadow = rng_below(d->r, 2), moved = p->nactors == 1;
    dreamo_status s = DREAMO_OK;
    for (int i = 0; i < p->nactors && !s; i++) {
        actor *a = &p->actor[i];
        double hx, hy;
        a->layer = a->matte_layer = 0;
        if (moved) unsettle(d, a);
        if (replaced) replace(d, a);
        if (surfaced) s = resurface(d, a, err);
        look_extent(&a->t, a->at.turn, a->at.scale, &hx, &hy);
        if (shadow) canvas_shadow(d->c, a->at.x + rng_range(d->r, -0.1, 0.1), a->at.y + hy, hx * rng_range(d->r, 0.8, 1.3), rng_range(d->r, 0.02, 0.12), rng_range(d->r, 0.2, 0.7));
        if (!s) s = canvas_paste(d->c, &(paste){ &a->t, a->at, a->part, 0, 0, &lit }, err);
    }
    return s;
}

/* ---- how it was photographed ---- */

static float soft(float v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

static void develop(rng *r, bitmap *b)
{
    size_t n = (size_t)b->width * (size_t)b->height;
    float gain[3], lift = (float)rng_range(r, -0.08, 0.08), all = (float)rng_range(r, 0.75, 1.2), colour = rng_below(r, 12) ? (float)rng_range(r, 0.6, 1.3) : 0;
    float noise = rng_below(r, 2) ? (float)rng_range(r, 0, 0.035) : 0;
    for (int k = 0; k < 3; k++) gain[k] = all * (float)rng_range(r, 0.92, 1.08);
    for (size_t i = 0; i < n; i++) {
        unsigned char *p = b->data + 3 * i;
        float v[3], grey = 0;
        for (int k = 0; k < 3; k++) v[k] = p[k] / 255.0f * gain[k] + lift, grey += v[k] / 3;
        for (int k = 0; k < 3; k++) {
            float rough = noise > 0 ? noise * ((float)(rng_u32(r) >> 8) / (1 << 23) - 1) * 1.7f : 0;
            p[k] = (unsigned char)(255 * soft(grey + colour * (v[k] - grey) + rough) + 0.5f);
        }
    }
}

/* ---- a sample ---- */

static dreamo_status make_plan(const making *m, const asset_set *d, plan *p, dreamo_error *err)
{
    double fate = rng_double(m->r);
    bool people = d->nfaces[m->split] > 0, clothes = people && d->nworn[m->split] > 0;
    if (fate < 0.22 && people) return plan_people(m, 1, p, err);
    if (fate < 0.28 && d->nfaces[m->split] > 2) return plan_people(m, 2, p, err);
    if (fate < 0.34 && clothes) return plan_tryon(m, false, p, err);
    if (fate < 0.44 && d->nconcepts[m->split] > 2) return plan_subjects(m, p, err);
    return plan_subject(m, p, err);
}

dreamo_status matte_make(const data_set *set, const matte_pictures *pictures, data_split split, uint64_t seed, uint64_t index, int side, bitmap *picture,
                         unsigned char **alpha, dreamo_error *err)
{
    const asset_set *d = (const asset_set *)set;
    *alpha = NULL;
    *picture = (bitmap){ 0 };
    if (data_given(set) || !data_can(set, DATA_SUBJECT, split)) return fail(err, DREAMO_CONTENT, "the dataset has no things to cut out: an asset folder is needed");
    rng r = rng_new(seed ^ 0x6d61747465u, 2 * index + (uint64_t)split);
    data_params o;
    data_params_init(&o);
    o.scale_lo = 0.35, o.scale_hi = 0.94, o.same = 0, o.turn = 20, o.mirror = 0.5;
    making m = { .d = d, .o = &o, .split = split, .index = index, .r = &r, .ref_share = 1 };
    plan p = { .wide = 1, .high = 1 };
    canvas c = { 0 };
    drawing job = { pictures, split, &r, &p, &c };
    dreamo_status s = make_plan(&m, d, &p, err);
    if (!s) s = canvas_new(&c, side, side, err);
    if (!s) s = draw_behind(&job, err);
    if (!s) s = draw_things(&job, err);
    if (!s && rng_double(&r) < 0.1) s = blur(&c, 1, err);
    if (!s) s = canvas_finish(&c, picture, err);
    if (!s && rng_double(&r) < 0.08) {
        p.style = filter_pick(split, &r);
        s = filter_apply(&p.style, picture, err);
    }
    if (!s) develop(&r, picture);
    if (!s) s = canvas_mask(&c, 0, alpha, err);
    canvas_free(&c);
    plan_free(&p);
    if (s) bitmap_free(picture);
    return s;
}
