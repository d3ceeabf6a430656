/* pairs.c - of each sample's pictures the best and the worst, until all are seen. */
#include "eval/pairs.h"

dreamo_status pairs_open(pairs *p, const char *folder, dreamo_error *err)
{
    *p = (pairs){ 0 };
    return own_write_open(&p->to, folder, err);
}

double pairs_worth(const answer *a, int counted, int right)
{
    double sum = 0;
    for (int i = 0; i < a->n; i++) sum += a->margin[i];
    return a->n ? sum / a->n : counted ? (double)right / counted : 0;
}

static dreamo_status take(bitmap *to, const bitmap *from, dreamo_error *err)
{
    bitmap_free(to);
    return bitmap_copy(from, to, err);
}

dreamo_status pairs_see(pairs *p, const bitmap *picture, double worth, dreamo_error *err)
{
    dreamo_status s = DREAMO_OK;
    if (!p->to.folder) return s;
    if (!p->seen || worth > p->best) p->best = worth, s = take(&p->liked, picture, err);
    if (!s && (!p->seen || worth < p->worst)) p->worst = worth, s = take(&p->disliked, picture, err);
    p->seen++;
    return s;
}

dreamo_status pairs_keep(pairs *p, const data_sample *s, const char *words, const char *name, dreamo_error *err)
{
    bool differ = p->to.folder && p->seen && p->best > p->worst;
    p->seen = 0;
    if (!differ) return DREAMO_OK;
    return own_write_sample(&p->to, s, &(own_written){ .name = name, .words = words, .target = &p->liked, .rejected = &p->disliked }, err);
}

dreamo_status pairs_finish(pairs *p, dreamo_error *err)
{
    if (!p->to.folder) return DREAMO_OK;
    if (!p->to.written) return fail(err, DREAMO_CONTENT, "%s: no two pictures of a sample differ in the judge's eyes", p->to.folder);
    return own_write_finish(&p->to, err);
}

void pairs_close(pairs *p)
{
    bitmap_free(&p->liked);
    bitmap_free(&p->disliked);
    own_write_close(&p->to);
    *p = (pairs){ 0 };
}
