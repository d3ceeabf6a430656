/* plan.c - what a request will cost: every phase on the dry backend, none of the weights read.
 *
 * A request is phases one after the other: text, each reference, modulations, steps, decoding.  At the end of a phase the pages of its
 * weights leave the process (generate.c), so the most memory is what the process holds before (program, vocabularies, vectors,
 * adapters, pictures) and the most that one phase adds: pages of the weights that it reads, its arenas, what generate.c holds beside them.
 * Not counted: a kernel's scratch, a few megabytes. */
#include "pipe/plan.h"
#include "base/file.h"
#include "pipe/phase.h"
#include "pipe/rate.h"

/* host: bytes beside the arenas. */
static void add_phase(phases *p, const nn_counts *c, uint64_t host)
{
    uint64_t needs = (uint64_t)c->weights + c->work_peak + c->keep_peak + host;
    phase_add(&p->all, c);
    p->list[p->n++] = *c;
    if (needs > p->peak) p->peak = needs;
}

/* ---- text ---- */

static uint64_t prompt_nbytes(const dreamo_model *m, const prompt *p)
{
    return ((uint64_t)p->nt5 * (uint64_t)m->t5->config.width + (uint64_t)m->clip->config.width) * sizeof(float);
}

/* ---- pictures ---- */

typedef struct picture_job { const vae *m; grid g; } picture_job;

static void encode(nn *cx, void *job)
{
    picture_job *j = job;
    vae_encode(cx, j->m, tensor_from(cx, j->g.h * j->g.w, j->m->config.image_channels, NULL), j->g);
}

static void decode(nn *cx, void *job)
{
    picture_job *j = job;
    vae_decode(cx, j->m, tensor_from(cx, j->g.h * j->g.w, j->m->config.latent_channels, NULL), j->g);
}

static uint64_t latent_nbytes(const vae *m, int width, int height)
{
    int factor = vae_factor(&m->config);
    return (uint64_t)(width / factor) * (uint64_t)(height / factor) * (uint64_t)m->config.latent_channels * sizeof(float);
}

/* Its pixels as floats, and the latent as moments, mean, log variance, noise and sample (reference.c). */
static dreamo_status measure_reference(const generation *g, const reference *r, phases *p, uint64_t held, dreamo_error *err)
{
    picture_job job = { g->m->vae, { 1, r->rgb.height, r->rgb.width } };
    nn_counts c = { 0 };
    dreamo_status s = phase_measure(encode, &job, 1, &c, err);
    uint64_t pixels = (uint64_t)r->rgb.width * (uint64_t)r->rgb.height * 3 * sizeof(float);
    add_phase(p, &c, held + pixels + 6 * latent_nbytes(g->m->vae, r->rgb.width, r->rgb.height));
    return s;
}

/* Pixels as floats and as bytes, the latent in two orders. */
static dreamo_status measure_decoding(const generation *g, phases *p, uint64_t held, dreamo_error *err)
{
    int factor = vae_factor(&g->m->vae->config);
    picture_job job = { g->m->vae, { 1, g->height / factor, g->width / factor } };
    nn_counts c = { 0 };
    dreamo_status s = phase_measure(decode, &job, 1, &c, err);
    uint64_t pixels = (uint64_t)g->width * (uint64_t)g->height * 3 * (sizeof(float) + 1);
    add_phase(p, &c, held + pixels + 2 * latent_nbytes(g->m->vae, g->width, g->height));
    return s;
}

/* ---- all ---- */

dreamo_status phases_measure(generation *g, phases *p, dreamo_error *err)
{
    denoise_input in = generation_inputs(g);
    uint64_t channels = (uint64_t)g->m->dit->config.in_channels * sizeof(float), lists = 0;
    uint64_t held = prompt_nbytes(g->m, &g->positive) + (g->cfg ? prompt_nbytes(g->m, &g->negative) : 0);
    nn_counts text = { 0 }, before = { 0 }, steps = { 0 };
    int prompts = !g->positive.ready + (g->cfg && !g->negative.ready); /* that are not in the cache */
    dreamo_status s = prompts ? prompt_measure(g->m, &g->positive, prompts, &text, err) : DREAMO_OK;
    add_phase(p, &text, held);
    held += (uint64_t)condition_image_rows(&g->sample) * channels; /* noise, and references */
    for (int i = 0; s == DREAMO_OK && i < g->sample.nrefs; i++) s = measure_reference(g, &g->refs[i], p, held, err);
    if (s == DREAMO_OK) s = denoise_measure(&in, &before, &steps, &lists, err);
    add_phase(p, &before, held + lists);
    p->steps = p->n;
    add_phase(p, &steps, held + lists);
    p->step_flops = steps.flops;
    return s == DREAMO_OK ? measure_decoding(g, p, held, err) : s;
}

void generation_rate(dreamo_model *m)
{
    if (m->rate <= 0) m->rate = rate_measure(m->dev, DT_F32, false);
    if (m->step_rate <= 0) m->step_rate = rate_measure(m->dev, model_weights_type(m), m->fast);
}

/* Steps at the rate of the transformer's weights, the rest at that of plain ones; `pace` is what the last request took, compared with this. */
static double seconds_of(const dreamo_model *m, const phases *p)
{
    if (m->rate <= 0 || m->step_rate <= 0) return -1;
    return (m->pace > 0 ? m->pace : 1) * ((p->all.flops - p->step_flops) / m->rate + p->step_flops / m->step_rate);
}

dreamo_status generation_plan(generation *g, dreamo_plan *plan, dreamo_error *err)
{
    uint64_t held = memory_now();
    phases p = { 0 };
    dreamo_status s = phases_measure(g, &p, err);
    if (s != DREAMO_OK) return s;
    *plan = (dreamo_plan){ .width = g->width, .height = g->height, .steps = g->how.steps, .ops = p.all.ops, .flops = p.all.flops,
                           .tokens = g->positive.nt5 + condition_image_rows(&g->sample), .weight_bytes = model_weight_bytes(g->m),
                           .work_bytes = p.all.work_peak + p.all.keep_peak, .peak_bytes = held + p.peak,
                           .seconds = seconds_of(g->m, &p), .fast = g->m->fast };
    return DREAMO_OK;
}
