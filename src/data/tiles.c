/* tiles.c - what is seen of an asset's frame. */
#include "data/assets.h"

/* Is a pixel seen?  `head`: outside of clothes. */
static bool seen(const tile *t, int x, int y, bool head)
{
    size_t at = (size_t)y * (size_t)t->row + (size_t)x;
    return t->rgba[4 * at + 3] > 12 && !(head && t->matte[at] > 200);
}

static bool clear_row(const tile *t, int y, bool head)
{
    for (int x = 0; x < t->width; x++)
        if (seen(t, x, y, head)) return false;
    return true;
}

static bool clear_column(const tile *t, int x, bool head)
{
    for (int y = 0; y < t->height; y++)
        if (seen(t, x, y, head)) return false;
    return true;
}

static tile cropped(tile t, bool head)
{
    int top = 0, left = 0;
    while (t.height > 1 && clear_row(&t, t.height - 1, head)) t.height--;
    while (top < t.height - 1 && clear_row(&t, top, head)) top++;
    t.height -= top;
    t.rgba += 4 * (size_t)top * (size_t)t.row;
    if (t.matte) t.matte += (size_t)top * (size_t)t.row;
    while (t.width > 1 && clear_column(&t, t.width - 1, head)) t.width--;
    while (left < t.width - 1 && clear_column(&t, left, head)) left++;
    t.width -= left;
    t.rgba += 4 * (size_t)left;
    if (t.matte) t.matte += left;
    return t;
}

tile subject_tile(const subject *s, int yaw, int pitch)
{
    size_t nbytes = (size_t)s->width * (size_t)s->height * 4;
    tile t = { s->width, s->height, s->width, s->rgba + nbytes * (size_t)(pitch * s->yaws + yaw), NULL };
    return s->yaws * s->pitches == 1 ? t : cropped(t, false); /* a drawing was cropped when it was made */
}

tile person_tile(const person *p, int variant, bool head)
{
    size_t pixels = (size_t)p->width * (size_t)p->height * (size_t)variant;
    return cropped((tile){ p->width, p->height, p->width, p->rgba + 4 * pixels, p->matte + pixels }, head);
}
