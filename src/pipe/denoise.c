/* denoise.c - the sampling loop.
 *
 * A pass is one run of the transformer on one sequence: the positive one sees noise and references with their condition
 * embedding; the negative one, for true CFG, sees the noise alone and no embedding at all (spec 2.6). */
#include "pipe/denoise.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "pipe/phase.h"

/* Everything of one pass that stays the same during the loop, and its input and output. */
typedef struct pass {
    const dreamo_model *m;
    const prompt *text;
    int noise_rows, image_rows;
    float *tokens;                 /* [image rows, channels]: the noise rows change */
    float *cond;                   /* [image rows, width] or NULL */
    float *cos, *sin;              /* [text + image rows, head_dim/2] */
    int32_t (*pos)[3];             /* [text + image rows] */
    float *velocity;               /* [noise rows, channels] */
    int steps;
    float *time, *guidance, *pooled; /* [steps, 256], [steps, 256], [steps, pooled_dim]: what the modulations of each step are made of */
    float *mods;                   /* [steps, dit_mod_cols]: made of them before the loop (DESIGN: a quarter of the weights, read once) */
    int step;                      /* whose turn it is */
    size_t nbytes;                 /* of all these lists */
    dump *probe;                   /* blocks' outputs go there */
    const reporter *to;            /* is asked after each block whether to go on; NULL: nobody */
} pass;

static void pass_free(pass *p)
{
    mem_free(p->tokens);
    mem_free(p->cond);
    mem_free(p->cos);
    mem_free(p->sin);
    mem_free(p->pos);
    mem_free(p->velocity);
    mem_free(p->time);
    mem_free(p->guidance);
    mem_free(p->pooled);
    mem_free(p->mods);
    *p = (pass){ 0 };
}

static void *list(pass *p, size_t count, size_t each)
{
    p->nbytes += count * each;
    return mem_calloc(count, each);
}

static dreamo_status pass_new(pass *p, const denoise_input *in, const condition_sample *sample, const prompt *text, bool embed,
                              dreamo_error *err)
{
    const dit_config *c = &in->m->dit->config;
    size_t width = (size_t)(c->heads * c->head_dim), half = (size_t)c->head_dim / 2;
    *p = (pass){ .m = in->m, .text = text, .noise_rows = condition_noise_rows(sample), .image_rows = condition_image_rows(sample) };
    size_t image = (size_t)p->image_rows, rows = image + (size_t)text->nt5, channels = (size_t)c->in_channels;
    size_t steps = (size_t)(p->steps = in->how->steps);
    p->tokens = list(p, image * channels, sizeof(float));
    p->cond = embed ? list(p, image * width, sizeof(float)) : NULL;
    p->cos = list(p, rows * half, sizeof(float));
    p->sin = list(p, rows * half, sizeof(float));
    p->pos = list(p, rows, sizeof *p->pos);
    p->velocity = list(p, (size_t)p->noise_rows * (size_t)c->out_channels, sizeof(float));
    p->time = list(p, steps * 256, sizeof(float));
    p->guidance = list(p, steps * 256, sizeof(float));
    p->pooled = list(p, steps * (size_t)c->pooled_dim, sizeof(float));
    p->mods = list(p, steps * (size_t)dit_mod_cols(c), sizeof(float));
    if (!p->tokens || (embed && !p->cond) || !p->cos || !p->sin || !p->pos || !p->velocity || !p->time || !p->guidance || !p->pooled || !p->mods) {
        pass_free(p);
        return fail(err, DREAMO_MEMORY, "no memory for a sequence of %zu tokens", rows);
    }
    size_t noise = (size_t)p->noise_rows;
    if (in->references && image > noise) memcpy(p->tokens + noise * channels, in->references, (image - noise) * channels * sizeof(float));
    if (embed) condition_rows(sample, &in->m->tables, in->how->official, p->cond);
    condition_positions(sample, p->pos + text->nt5); /* text stays at 0, 0, 0 */
    dit_rope(c, (const int32_t (*)[3])p->pos, (int)rows, p->cos, p->sin);
    return DREAMO_OK;
}

static void probe_block(void *user, nn *cx, const char *name, tensor x)
{
    float *values = mem_alloc((size_t)x.rows * (size_t)x.cols * sizeof *values);
    if (!values) {
        nn_fail(cx, DREAMO_MEMORY, "no memory to dump %s", name);
        return;
    }
    tensor_read(cx, x, values);
    dump_tensor(user, DT_F32, x.rows == 1 ? SHAPE(x.cols) : SHAPE(x.rows, x.cols), values, "step.0.%s", name);
    mem_free(values);
}

/* A step of a large model takes minutes: between its blocks the caller may stop it. */
static void after_block(void *user, nn *cx, const char *name, tensor x)
{
    const pass *p = user;
    if (p->probe) probe_block(p->probe, cx, name, x);
    if (p->to && p->to->call && !p->to->call(p->to->user, &(dreamo_event){ .kind = DREAMO_EVENT_TICK, .seconds_left = -1 }))
        nn_fail(cx, DREAMO_CANCELLED, "stopped on request");
}

static void run_pass(nn *cx, void *job)
{
    pass *p = job;
    const dit_config *c = &p->m->dit->config;
    int text = p->text->nt5, image = p->image_rows;
    span txt = { 0, text, 0 }, img = { 0, image, 0 }, joint[2] = { { 0, text, 0 }, { text, image, 0 } };
    dit_batch b = {
        .tokens = tensor_from(cx, image, c->in_channels, p->tokens),
        .text = tensor_from(cx, text, c->text_dim, p->text->embeds),
        .pooled = tensor_from(cx, 1, c->pooled_dim, p->text->pooled),
        .time = tensor_from(cx, 1, 256, p->time + 256 * p->step),
        .mods = tensor_from(cx, 1, dit_mod_cols(c), p->mods + (size_t)p->step * (size_t)dit_mod_cols(c)),
        .img = { 1, 1, &img }, .txt = { 1, 1, &txt }, .joint = { 1, 2, joint },
        .pe = { p->cos, p->sin, c->head_dim / 2 },
        .probe = p->probe || p->to ? after_block : NULL, .user = p,
    };
    if (c->guidance) b.guidance = tensor_from(cx, 1, 256, p->guidance + 256 * p->step);
    if (p->cond) b.cond = tensor_from(cx, image, c->heads * c->head_dim, p->cond);
    tensor v = dit_forward(cx, p->m->dit, &b);
    if (nn_ok(cx)) tensor_read(cx, tensor_rows(v, 0, p->noise_rows), p->velocity);
}

/* What the network is told about step i (spec 1.5). */
static void set_step(pass *p, int i, float timestep, float guidance, bool official)
{
    float *time = p->time + 256 * i, *strength = p->guidance + 256 * i;
    dit_sinusoid(schedule_embedded_time(timestep, official), time);
    dit_sinusoid(schedule_embedded_guidance(guidance, official), strength);
    for (int k = 0; official && k < 256; k++) {
        time[k] = round_bf16(time[k]);
        strength[k] = round_bf16(strength[k]);
    }
    if (p->text->pooled) memcpy(p->pooled + i * p->m->dit->config.pooled_dim, p->text->pooled, (size_t)p->m->dit->config.pooled_dim * sizeof(float));
}

/* The modulations of all steps. */
static void run_modulations(nn *cx, void *job)
{
    pass *p = job;
    const dit_config *c = &p->m->dit->config;
    dit_batch b = { .pooled = tensor_from(cx, p->steps, c->pooled_dim, p->pooled), .time = tensor_from(cx, p->steps, 256, p->time) };
    if (c->guidance) b.guidance = tensor_from(cx, p->steps, 256, p->guidance);
    dit_modulations(cx, p->m->dit, &b, p->mods);
}

static dreamo_status run_step(nn *cx, pass *p, const float *x, int i, dreamo_error *err)
{
    memcpy(p->tokens, x, (size_t)p->noise_rows * (size_t)p->m->dit->config.in_channels * sizeof *x);
    p->step = i;
    nn_reset(cx);
    run_pass(cx, p);
    return nn_status(cx, err);
}

/* v = neg + s (pos - neg), into pos (spec 2.6). */
static void combine(float *pos, const float *neg, size_t n, float s, bool official)
{
    for (size_t i = 0; i < n; i++) {
        if (official) pos[i] = round_bf16(round_bf16(neg[i]) + round_bf16(s * round_bf16(round_bf16(pos[i]) - round_bf16(neg[i]))));
        else pos[i] = neg[i] + s * (pos[i] - neg[i]);
    }
}

static bool cfg_active(const denoise_input *in, int step)
{
    return in->negative && in->how->true_cfg > 1 && step >= in->how->cfg_start && step < in->how->cfg_end;
}

typedef struct loop { const denoise_input *in; nn *cx; pass pos, neg; const float *sigmas; float *x; size_t n; dump *d; } loop;

static dreamo_status check_finite(const loop *l, int step, dreamo_error *err)
{
    for (size_t i = 0; i < l->n; i++)
        if (!isfinite(l->x[i])) {
            fail(err, DREAMO_NUMERIC, "step %d of %d: the latent holds NaN or infinity", step + 1, l->in->how->steps);
            hint(err, "a weight or a LoRA may be damaged, or a LoRA scale too large");
            return DREAMO_NUMERIC;
        }
    return DREAMO_OK;
}

static dreamo_status one_step(loop *l, int i, dreamo_error *err)
{
    const sampling *how = l->in->how;
    int rows = l->pos.noise_rows, channels = l->in->m->dit->config.out_channels;
    l->pos.probe = i == 0 ? l->d : NULL;
    dreamo_status s = run_step(l->cx, &l->pos, l->x, i, err);
    if (s == DREAMO_OK && cfg_active(l->in, i)) {
        s = run_step(l->cx, &l->neg, l->x, i, err);
        if (s != DREAMO_OK) return s;
        dump_tensor(l->d, DT_F32, SHAPE(rows, channels), l->pos.velocity, "step.%d.v_pos", i);
        dump_tensor(l->d, DT_F32, SHAPE(rows, channels), l->neg.velocity, "step.%d.v_neg", i);
        combine(l->pos.velocity, l->neg.velocity, l->n, how->true_cfg, how->official);
    }
    if (s != DREAMO_OK) return s;
    dump_tensor(l->d, DT_F32, SHAPE(rows, channels), l->pos.velocity, "step.%d.v", i);
    schedule_step(l->x, l->pos.velocity, l->n, l->sigmas[i], l->sigmas[i + 1], how->official);
    dump_tensor(l->d, DT_F32, SHAPE(rows, channels), l->x, "step.%d.x", i);
    return check_finite(l, i, err);
}

static dreamo_status open_passes(const denoise_input *in, pass *pos, pass *neg, dreamo_error *err)
{
    condition_sample alone = *in->sample;
    alone.nrefs = 0;
    dreamo_status s = pass_new(pos, in, in->sample, in->positive, in->m->tables.task != NULL, err);
    if (s == DREAMO_OK && in->negative) s = pass_new(neg, in, &alone, in->negative, false, err);
    return s;
}

static void dump_inputs(const loop *l, int steps)
{
    const dit_config *c = &l->in->m->dit->config;
    int rows = l->pos.image_rows, text = l->pos.text->nt5;
    dump_tensor(l->d, DT_F32, SHAPE(l->pos.noise_rows, c->in_channels), l->x, "noise");
    memcpy(l->pos.tokens, l->x, l->n * sizeof *l->x);
    dump_tensor(l->d, DT_F32, SHAPE(rows, c->in_channels), l->pos.tokens, "tokens");
    if (l->pos.cond) dump_tensor(l->d, DT_F32, SHAPE(rows, c->heads * c->head_dim), l->pos.cond, "cond");
    float *ids = mem_alloc((size_t)rows * 3 * sizeof *ids), times[DENOISE_STEPS_MAX];
    for (int i = 0; ids && i < 3 * rows; i++) ids[i] = (float)l->pos.pos[text + i / 3][i % 3];
    if (ids) dump_tensor(l->d, DT_F32, SHAPE(rows, 3), ids, "img_ids");
    mem_free(ids);
    for (int i = 0; i < steps; i++) times[i] = l->sigmas[i] * (float)l->in->m->schedule.train_steps;
    dump_tensor(l->d, DT_F32, SHAPE(steps + 1), l->sigmas, "sigmas");
    dump_tensor(l->d, DT_F32, SHAPE(steps), times, "timesteps");
}

/* Both passes' tables; after this nobody reads the modulation layers, so their pages may go. */
static dreamo_status make_modulations(loop *l, dreamo_error *err)
{
    const sampling *how = l->in->how;
    const dreamo_model *m = l->in->m;
    for (int i = 0; i < how->steps; i++) {
        float timestep = l->sigmas[i] * (float)m->schedule.train_steps;
        set_step(&l->pos, i, timestep, i == 0 ? how->first_guidance : how->guidance, how->official);
        if (l->in->negative) set_step(&l->neg, i, timestep, how->negative_guidance, how->official);
    }
    dreamo_status s = phase_run(m->dev, run_modulations, &l->pos, err);
    if (s == DREAMO_OK && l->in->negative) s = phase_run(m->dev, run_modulations, &l->neg, err);
    bind_forget(&m->files[MODEL_DIT]);
    return s;
}

static dreamo_status run_loop(loop *l, const reporter *to, dreamo_error *err)
{
    int steps = l->in->how->steps;
    nn_counts need = { 0 };
    dreamo_status s = phase_measure(run_pass, &l->pos, 1, &need, err);
    if (s == DREAMO_OK && l->in->negative) s = phase_measure(run_pass, &l->neg, 1, &need, err);
    if (s == DREAMO_OK) s = make_modulations(l, err);
    if (s != DREAMO_OK) return s;
    l->cx = phase_open(l->in->m->dev, &need, err);
    if (!l->cx) return DREAMO_MEMORY;
    device *dev = l->in->m->dev;
    l->pos.to = l->neg.to = to;
    progress p;
    progress_start(&p, steps);
    for (int i = 0; s == DREAMO_OK && i < steps; i++) {
        dev->fast = l->in->m->fast; /* the steps only: text, modulations and decoding are made once and decide all of them */
        s = one_step(l, i, err);
        dev->fast = false;
        progress_step(&p, i + 1);
        if (s == DREAMO_OK) s = report_step(to, &p, err);
        if (s == DREAMO_OK && l->in->preview) s = l->in->preview(l->in->user, l->x, l->pos.velocity, l->sigmas[i + 1], i + 1, err);
    }
    nn_free(l->cx);
    return s;
}

dreamo_status denoise(const denoise_input *in, float *x, dump *d, const reporter *to, dreamo_error *err)
{
    int tokens = condition_noise_rows(in->sample), steps = in->how->steps;
    float sigmas[DENOISE_STEPS_MAX + 1];
    loop l = { .in = in, .sigmas = sigmas, .x = x, .d = d, .n = (size_t)tokens * (size_t)in->m->dit->config.in_channels };
    schedule_sigmas(&in->m->schedule, tokens, steps, sigmas);
    dreamo_status s = open_passes(in, &l.pos, &l.neg, err);
    if (s == DREAMO_OK && d) dump_inputs(&l, steps);
    if (s == DREAMO_OK) s = run_loop(&l, to, err);
    pass_free(&l.pos);
    pass_free(&l.neg);
    return s;
}

dreamo_status denoise_measure(const denoise_input *in, nn_counts *before, nn_counts *steps, uint64_t *lists, dreamo_error *err)
{
    pass pos = { 0 }, neg = { 0 };
    int64_t with_cfg = 0;
    for (int i = 0; i < in->how->steps; i++) with_cfg += cfg_active(in, i);
    dreamo_status s = open_passes(in, &pos, &neg, err);
    *lists = pos.nbytes + neg.nbytes;
    if (s == DREAMO_OK) s = phase_measure(run_modulations, &pos, 1, before, err);
    if (s == DREAMO_OK && in->negative) s = phase_measure(run_modulations, &neg, 1, before, err);
    if (s == DREAMO_OK) s = phase_measure(run_pass, &pos, in->how->steps, steps, err);
    if (s == DREAMO_OK && in->negative) s = phase_measure(run_pass, &neg, with_cfg, steps, err);
    pass_free(&pos);
    pass_free(&neg);
    return s;
}
