/* plan_draw.c - a plan as a picture. */
#include "data/plan.h"
#include "base/error.h"

/* A contact shadow under the part of the tile that touches the ground (its lowest eighth), and its outline away from the light. */
static void throw_shadow(canvas *c, const plan *p, const actor *a, double dark)
{
    const tile *t = &a->t;
    int left = t->width, right = -1;
    for (int y = t->height - 1 - t->height / 8; y < t->height; y++)
        for (int x = 0; x < t->width; x++)
            if (t->rgba[4 * ((size_t)y * (size_t)t->row + (size_t)x) + 3] > 127) left = x < left ? x : left, right = x > right ? x : right;
    if (right < 0) return;
    double longest = t->width > t->height ? t->width : t->height, unit = a->at.scale / longest, hx, hy;
    look_extent(t, a->at.turn, a->at.scale, &hx, &hy);
    double middle = ((left + right + 1) / 2.0 - t->width / 2.0) * unit, half = (right - left + 1) / 2.0 * unit;
    double ry = 0.02 + 0.22 * half, lean = -0.7 * p->s.lit.side;
    if (ry > 0.07) ry = 0.07;
    canvas_shadow(c, a->at.x + (a->at.mirror ? -middle : middle), a->at.y + hy - ry / 3, half * 1.15 + 0.03, ry, dark);
    if (lean > 0.2 || lean < -0.2) canvas_cast(c, t, &a->at, lean, 0.22, 0.6 * dark);
}

dreamo_status plan_draw(const plan *p, const data_params *o, int width, int height, bitmap *out, dreamo_error *err, canvas *keep)
{
    canvas c;
    dreamo_status status = canvas_new(&c, width, height, err);
    if (status) return status;
    light lit = { .side = p->s.lit.side * o->light };
    for (int k = 0; k < 3; k++) lit.tint[k] = (float)(1 + o->light * (p->s.lit.tint[k] - 1));
    if (!p->white) scene_draw(&p->s, &c);
    for (int i = 0; i < p->nactors && !status; i++) {
        const actor *a = &p->actor[i];
        if (a->standing && !p->white && p->s.horizon < 1) throw_shadow(&c, p, a, o->shadow);
        status = canvas_paste(&c, &(paste){ &a->t, a->at, a->part, a->layer, a->matte_layer, p->white || o->light <= 0 ? NULL : &lit }, err);
    }
    if (!status && !p->white && o->light > 0) scene_veil(&p->s, &c);
    if (!status) status = canvas_finish(&c, out, err);
    if (!status && (status = filter_apply(&p->style, out, err))) bitmap_free(out);
    if (status || !keep) canvas_free(&c);
    else *keep = c;
    return status;
}
