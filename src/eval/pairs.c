/* pairs.c - of each sample's pictures the two that teach most, when all are seen. */
#include "eval/pairs.h"
#include "base/mem.h"

dreamo_status pairs_open(pairs *p, const char *folder, bool real, dreamo_error *err)
{
    *p = (pairs){ .real = real };
    return own_write_open(&p->to, folder, err);
}

double pairs_said(int counted, int right) { return counted ? (double)right / counted : 0; }

double pairs_worth(const answer *a, int counted, int right)
{
    double sum = 0;
    for (int i = 0; i < a->n; i++) sum += a->margin[i];
    return a->n ? sum / a->n : pairs_said(counted, right);
}

dreamo_status pairs_see(pairs *p, const bitmap *picture, double worth, double said, dreamo_error *err)
{
    if (!p->to.folder) return DREAMO_OK;
    seen_picture *more = mem_realloc(p->seen, (size_t)(p->nseen + 1) * sizeof *more);
    if (!more) return fail(err, DREAMO_MEMORY, "no memory for %d pictures of a sample", p->nseen + 1);
    p->seen = more;
    seen_picture *new = &p->seen[p->nseen];
    *new = (seen_picture){ .worth = worth, .said = said };
    dreamo_status s = bitmap_copy(picture, &new->picture, err);
    if (!s) p->nseen++;
    return s;
}

int pairs_worst(const seen_picture *seen, int n)
{
    int worst = 0;
    for (int i = 1; i < n; i++)
        if (seen[i].worth < seen[worst].worth) worst = i;
    return worst;
}

bool pairs_choose(const seen_picture *seen, int n, int *liked, int *disliked)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (seen[i].said >= seen[j].said && seen[i].worth - seen[j].worth > most) most = seen[i].worth - seen[j].worth, *liked = i, *disliked = j;
    return most > 0;
}

static void forget(pairs *p)
{
    while (p->nseen) bitmap_free(&p->seen[--p->nseen].picture);
}

dreamo_status pairs_keep(pairs *p, const data_sample *s, const char *words, const char *name, dreamo_error *err)
{
    int liked = 0, disliked = 0;
    own_written as = { .name = name, .words = words };
    if (p->real && p->nseen && !s->bare)
        as.target = &s->target, as.rejected = &p->seen[pairs_worst(p->seen, p->nseen)].picture;
    else if (!p->real && pairs_choose(p->seen, p->nseen, &liked, &disliked))
        as.target = &p->seen[liked].picture, as.rejected = &p->seen[disliked].picture;
    dreamo_status status = as.target ? own_write_sample(&p->to, s, &as, err) : DREAMO_OK;
    forget(p);
    return status;
}

dreamo_status pairs_finish(pairs *p, dreamo_error *err)
{
    if (!p->to.folder) return DREAMO_OK;
    if (!p->to.written && p->real) return fail(err, DREAMO_CONTENT, "%s: no sample has a target of its own", p->to.folder);
    if (!p->to.written) return fail(err, DREAMO_CONTENT, "%s: no two pictures of a sample differ in the judge's eyes", p->to.folder);
    return own_write_finish(&p->to, err);
}

void pairs_close(pairs *p)
{
    forget(p);
    mem_free(p->seen);
    own_write_close(&p->to);
    *p = (pairs){ 0 };
}
