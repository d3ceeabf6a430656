/* engine.c - the model behind the server. */
#include "serve/engine.h"

#include <stdio.h>
#include <string.h>

dreamo_status engine_open(const dreamo_model_options *o, engine *e, dreamo_error *err)
{
    *e = (engine){ .about.size = sizeof e->about };
    pthread_mutex_init(&e->lock, NULL);
    dreamo_status s = dreamo_open(o, &e->model, err);
    if (!s) s = dreamo_about(e->model, &e->about, err);
    if (s) engine_close(e);
    return s;
}

void engine_close(engine *e)
{
    if (e->model) dreamo_close(e->model);
    pthread_mutex_destroy(&e->lock);
    *e = (engine){ 0 };
}

/* All that a plan depends on, when there are no references: the text is padded to one length. */
static void shape_of(const ask *a, char out[160])
{
    snprintf(out, 160, "%lldx%lld %lld %.17g %lld..%lld %d %.17g %.17g %.17g", (long long)a->width, (long long)a->height, (long long)a->steps,
             a->true_cfg, (long long)a->cfg_start, (long long)a->cfg_end, a->negative != NULL, a->guidance, a->first_guidance,
             a->negative_guidance);
}

static bool recall(engine *e, const char *shape, dreamo_plan *out)
{
    bool found = false;
    pthread_mutex_lock(&e->lock);
    for (int i = 0; i < e->nplans && !found; i++)
        if ((found = strcmp(e->plans[i].shape, shape) == 0)) *out = e->plans[i].plan;
    pthread_mutex_unlock(&e->lock);
    return found;
}

static void remember(engine *e, const char *shape, const dreamo_plan *plan)
{
    pthread_mutex_lock(&e->lock);
    int i = e->next_plan;
    snprintf(e->plans[i].shape, sizeof e->plans[i].shape, "%s", shape);
    e->plans[i].plan = *plan;
    e->next_plan = (i + 1) % ENGINE_PLANS;
    if (e->nplans < ENGINE_PLANS) e->nplans++;
    pthread_mutex_unlock(&e->lock);
}

dreamo_status engine_plan(engine *e, const ask *a, dreamo_plan *out, problem *p)
{
    dreamo_reference refs[ASK_REFS];
    dreamo_request r;
    char shape[160];
    shape_of(a, shape);
    if (a->nrefs == 0 && recall(e, shape, out)) return DREAMO_OK;
    ask_request(a, 0, refs, &r);
    dreamo_status s = dreamo_plan_request(e->model, &r, out, &p->e);
    if (!s && a->nrefs == 0) remember(e, shape, out);
    return s;
}

typedef struct listening { char *notes; size_t nbytes; } listening;

static bool on_line(void *user, const dreamo_event *ev)
{
    listening *l = user;
    size_t used = l->notes ? strlen(l->notes) : 0;
    if (l->notes && ev->text && (ev->kind == DREAMO_EVENT_WARNING || ev->kind == DREAMO_EVENT_NOTE) && used < l->nbytes)
        snprintf(l->notes + used, l->nbytes - used, "%s%s", used ? "; " : "", ev->text);
    return true;
}

dreamo_status engine_show(engine *e, const ask_ref *r, int i, void **png, size_t *nbytes, int *width, int *height, char *notes,
                          size_t notes_nbytes, problem *p)
{
    ask one = { .nrefs = 1, .refs[0] = *r };
    dreamo_reference refs[ASK_REFS];
    dreamo_request request;
    dreamo_image im;
    listening l = { notes, notes_nbytes };
    if (notes) notes[0] = '\0';
    ask_request(&one, 0, refs, &request);
    dreamo_status s = dreamo_reference_show(e->model, &refs[0], i, on_line, &l, &im, &p->e);
    if (s) return s;
    *width = im.width;
    *height = im.height;
    s = dreamo_image_encode(&im, "png", 0, png, nbytes, &p->e);
    dreamo_image_free(&im);
    return s;
}
