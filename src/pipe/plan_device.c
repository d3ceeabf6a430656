/* plan_device.c - a request's cost on each of this machine's devices, and the choice of one.
 *
 * A device with memory of its own keeps the weights of a phase as far as they fit; the rest pass through in every run, while it computes.  A step takes as
 * long as the longer of the two. */
#include <math.h>
#include <string.h>
#include "pipe/plan.h"
#include "pipe/rate.h"

enum { DEVICES_MOST = 32 };

device_rates plan_rates(const dreamo_model *m, device *dev)
{
    return (device_rates){ rate_measure(dev, DT_F32, false), rate_measure(dev, model_weights_type(m), m->fast && dev->gains_by_fast), rate_sent(dev) };
}

/* ---- what stays ---- */

static double stream_nbytes(const dit_stream *s)
{
    return nn_sent_nbytes(&s->qkv) + nn_sent_nbytes(&s->proj) + nn_sent_nbytes(&s->mlp_in) + nn_sent_nbytes(&s->mlp_out);
}

/* The first come stays: blocks from the first on, in the order of a step. */
static void count_blocks(const dit *m, double resident, dreamo_device_plan *out)
{
    double sum = nn_sent_nbytes(&m->x_in) + nn_sent_nbytes(&m->text_in);
    for (int i = 0; i < m->config.layers; i++)
        if ((sum += stream_nbytes(&m->doubles[i].img) + stream_nbytes(&m->doubles[i].txt)) <= resident) out->doubles++;
    for (int i = 0; i < m->config.single_layers; i++)
        if ((sum += nn_sent_nbytes(&m->singles[i].in) + nn_sent_nbytes(&m->singles[i].out)) <= resident) out->singles++;
}

/* ---- seconds and bytes ---- */

/* Runs of the transformer in all steps: two in those with true CFG. */
static double passes_of(const generation *g)
{
    int end = g->how.cfg_end < g->how.steps ? g->how.cfg_end : g->how.steps;
    return g->how.steps + (g->cfg ? end - g->how.cfg_start : 0);
}

dreamo_device_plan plan_on(const generation *g, const phases *p, const device *dev, const device_rates *r)
{
    dreamo_device_plan out = { .size = sizeof out, .name = device_name(dev), .fits = true };
    double stay = 0, beside = 0; /* weights of all phases stay where there is room for them; they leave when a later phase needs it */
    if (dev->be->memory) out.limit_bytes = (uint64_t)dev->be->memory(dev);
    for (int i = 0; i < p->n; i++) {
        const nn_counts *c = &p->list[i];
        double times = i == p->steps ? passes_of(g) : 1;
        device_need n = { .resident = c->weights, .fits = true };
        if (dev->be->foresee) n = dev->be->foresee(dev, nn_load(c));
        double computing = c->flops / (i == p->steps ? r->steps : r->plain) / times;
        double each = dev->be->foresee ? fmax(computing, n.streamed / r->sent) : computing;
        out.seconds += times * each + (dev->be->foresee ? n.resident / r->sent : 0);
        out.fits = out.fits && n.fits;
        stay += n.weights;
        beside = fmax(beside, n.beside);
        if (i != p->steps) continue;
        out.step_seconds = each * times / g->how.steps;
        out.resident_bytes = (uint64_t)n.resident;
        out.streamed_bytes = (uint64_t)(n.streamed * times / g->how.steps);
        count_blocks(g->m->dit, n.resident, &out);
        if (!n.streamed) out.doubles = g->m->dit->config.layers, out.singles = g->m->dit->config.single_layers;
    }
    if (r->plain <= 0 || r->steps <= 0 || (dev->be->foresee && r->sent <= 0)) out.seconds = out.step_seconds = -1;
    out.held_bytes = dev->be->foresee ? (uint64_t)fmin(stay + beside, (double)out.limit_bytes) : p->peak;
    return out;
}

typedef struct telling { dreamo_device_plan_row row; void *user; generation *g; const phases *p; int threads; } telling;

/* One row; true: go on. */
static bool tell_one(const telling *t, const char *name)
{
    dreamo_model *m = t->g->m;
    dreamo_error why = { 0 };
    dreamo_device_plan d = { .size = sizeof d, .name = name };
    bool own = strcmp(name, device_name(m->dev)) == 0;
    device *dev = own ? m->dev : device_test(name, &why) ? NULL : device_open(name, t->threads, m->memory, &why);
    device_rates r = { 0 };
    if (dev) r = plan_rates(m, dev);
    if (dev) d = plan_on(t->g, t->p, dev, &r);
    if (!dev) d.why = why.message;
    else if (!d.fits) d.why = "too little memory: a smaller picture needs less";
    bool more = t->row(t->user, &d);
    if (dev && !own) dev->be->close(dev);
    return more;
}

dreamo_status dreamo_plan_devices(dreamo_model *model, const dreamo_request *given, dreamo_device_plan_row row, void *user, dreamo_error *err)
{
    char names[DEVICES_MOST][64];
    dreamo_request own;
    generation g;
    phases p = { 0 };
    if (!row) return fail(err, DREAMO_ARG, "the function for the rows is missing");
    dreamo_status s = request_take(model, given, model, &own, err);
    if (s != DREAMO_OK) return s;
    if (pthread_mutex_lock(&model->busy) != 0) return fail(err, DREAMO_BUSY, "the model is making a picture, and this is its callback");
    s = generation_prepare(&g, model, model_own_device(model), &own, err);
    if (s == DREAMO_OK) s = phases_measure(&g, &p, err);
    const telling t = { row, user, &g, &p, pool_threads(model->dev->threads) };
    int n = devices_here(names, DEVICES_MOST);
    for (int i = 0; s == DREAMO_OK && i < n && tell_one(&t, names[i]); i++) continue;
    generation_free(&g);
    pthread_mutex_unlock(&model->busy);
    return s;
}

/* ---- the choice ---- */

typedef struct choice { dreamo_model *m; const generation *g; const phases *p; device *best; double seconds; const reporter *to; } choice;

static dreamo_status consider(choice *c, const char *name, int threads, dreamo_error *err)
{
    dreamo_error why = { 0 };
    device *dev = device_test(name, &why) ? NULL : device_open(name, threads, c->m->memory, &why);
    if (!dev) return report_line(c->to, DREAMO_EVENT_NOTE, err, "%s is not taken: %s", name, why.message);
    device_rates r = plan_rates(c->m, dev);
    dreamo_device_plan d = plan_on(c->g, c->p, dev, &r);
    if (!d.fits || d.seconds < 0) {
        dev->be->close(dev);
        return report_line(c->to, DREAMO_EVENT_NOTE, err, "%s is not taken: a picture needs more than the %.3g GB that it may have", name, (double)d.limit_bytes / 1e9);
    }
    bool better = !c->best || d.seconds < c->seconds;
    device *other = better ? c->best : dev;
    double slow = better ? c->seconds : d.seconds, fast = better ? d.seconds : c->seconds;
    if (better) c->best = dev, c->seconds = d.seconds;
    if (!other) return DREAMO_OK;
    dreamo_status s = report_line(c->to, DREAMO_EVENT_NOTE, err, "%s is not taken: a picture would take about %.3g s there, %.3g s on %s", device_name(other), slow, fast, device_name(c->best));
    other->be->close(other);
    return s;
}

dreamo_status plan_choose(dreamo_model *m, char (*names)[64], int n, int threads, const reporter *to, dreamo_error *err)
{
    dreamo_request r;
    generation g = { 0 };
    phases p = { 0 };
    dreamo_request_init(&r);
    r.prompt = "a picture";
    dreamo_status s = generation_prepare(&g, m, NULL, &r, err);
    if (s == DREAMO_OK) s = phases_measure(&g, &p, err);
    choice c = { .m = m, .g = &g, .p = &p, .to = to };
    for (int i = 0; s == DREAMO_OK && i < n; i++) s = consider(&c, names[i], threads, err);
    generation_free(&g);
    if (s != DREAMO_OK && c.best) c.best->be->close(c.best);
    if (s != DREAMO_OK) return s;
    if (!c.best) return fail(err, DREAMO_DEVICE, "none of this machine's devices can make a picture of this model");
    m->dev = c.best;
    return DREAMO_OK;
}
