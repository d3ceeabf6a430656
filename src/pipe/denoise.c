/* denoise.c - the sampling loop.
 *
 * A pass is one run of the transformer on one sequence a picture: the positive one sees noise and references with their condition
 * embedding; the negative one, for true CFG, sees the noise alone and no embedding at all (spec 2.6). */
#include "pipe/denoise.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "pipe/maps.h"
#include "pipe/phase.h"

/* Everything of one pass that stays the same during the loop, and its input and output.  Rows of all pictures follow each other; what is made once a step
 * and picture is kept a picture at a time. */
typedef struct pass {
    const dreamo_model *m;
    denoise_input *in;
    int n;                         /* pictures */
    const prompt *text[DENOISE_BATCH];
    int noise_rows;                /* of each picture */
    span img[DENOISE_BATCH], txt[DENOISE_BATCH], joint[2 * DENOISE_BATCH];
    int image_rows, text_rows;     /* of all */
    float *tokens;                 /* [image rows, channels]: the noise rows change */
    float *words;                  /* [text rows, text_dim]: all prompts' when there are several; NULL: the only one's own */
    float *cond;                   /* [image rows, width] or NULL */
    float *cos, *sin;              /* [text + image rows, head_dim/2] */
    int32_t (*pos)[3];             /* [text + image rows] */
    int32_t *axis;                 /* the same, an axis after the other */
    float *velocity;               /* [pictures, noise rows, channels] */
    int steps;
    float *time, *guidance, *pooled; /* [pictures, steps, 256 | 256 | pooled_dim]: what the modulations of each step are made of */
    float *mods;                   /* [pictures, steps, dit_mod_cols]: made of them before the loop (DESIGN: a quarter of the weights, read once) */
    float *step_rows;              /* the same four of one step, all pictures' together, when there are several */
    int step;                      /* whose turn it is */
    int picture;                   /* whose modulations are made */
    route *routes;                 /* of the references whose maps are asked for, picture by picture; NULL: none */
    int nroutes;
    tensor *maps;                  /* [layers]: of [routes, noise rows] */
    float *map;                    /* one of them */
    size_t nbytes;                 /* of all these lists */
    dump *probe;                   /* blocks' outputs go there */
    bool asks;                     /* pictures' owners are asked after each block whether to go on */
} pass;

static void pass_free(pass *p)
{
    mem_free(p->tokens);
    mem_free(p->words);
    mem_free(p->cond);
    mem_free(p->cos);
    mem_free(p->sin);
    mem_free(p->pos);
    mem_free(p->axis);
    mem_free(p->velocity);
    mem_free(p->time);
    mem_free(p->guidance);
    mem_free(p->pooled);
    mem_free(p->mods);
    mem_free(p->step_rows);
    mem_free(p->routes);
    mem_free(p->maps);
    mem_free(p->map);
    *p = (pass){ 0 };
}

static void *list(pass *p, size_t count, size_t each)
{
    p->nbytes += count * each;
    return mem_calloc(count, each);
}

static condition_sample without_references(const condition_sample *s)
{
    condition_sample alone = *s;
    alone.nrefs = 0;
    return alone;
}

static condition_sample seen_by(const pass *p, int i, bool negative) { return negative ? without_references(p->in[i].sample) : *p->in[i].sample; }

/* Where each picture's rows are. */
static void place(pass *p, bool negative)
{
    for (int i = 0; i < p->n; i++) {
        condition_sample seen = seen_by(p, i, negative);
        p->text[i] = negative ? p->in[i].negative : p->in[i].positive;
        p->txt[i] = (span){ p->text_rows, p->text[i]->nt5, i };
        p->img[i] = (span){ p->image_rows, condition_image_rows(&seen), i };
        p->text_rows += p->txt[i].rows;
        p->image_rows += p->img[i].rows;
    }
    for (int i = 0; i < p->n; i++) {
        p->joint[2 * i] = p->txt[i];
        p->joint[2 * i + 1] = (span){ p->text_rows + p->img[i].start, p->img[i].rows, i };
    }
}

/* What stays: references, condition, positions, words. */
static void fill(pass *p, bool negative, bool embed)
{
    const dit_config *c = &p->m->dit->config;
    size_t width = (size_t)(c->heads * c->head_dim), channels = (size_t)c->in_channels, noise = (size_t)p->noise_rows;
    for (int i = 0; i < p->n; i++) {
        const denoise_input *in = &p->in[i];
        condition_sample seen = seen_by(p, i, negative);
        size_t start = (size_t)p->img[i].start, more = (size_t)p->img[i].rows - noise;
        if (more && in->references) memcpy(p->tokens + (start + noise) * channels, in->references, more * channels * sizeof(float));
        if (embed) condition_rows(&seen, &p->m->tables, in->how->official, p->cond + start * width);
        condition_positions(&seen, p->pos + p->joint[2 * i + 1].start); /* text stays at 0, 0, 0 */
    }
    int rows = p->text_rows + p->image_rows;
    dit_rope(c, (const int32_t (*)[3])p->pos, rows, p->cos, p->sin);
    for (int i = 0; i < 3 * rows; i++) p->axis[i] = p->pos[i % rows][i / rows];
}

static int layers_of(const pass *p) { return p->m->dit->config.layers + p->m->dit->config.single_layers; }

/* Who is asked for: each reference's rows, and the picture's. */
static dreamo_status set_routes(pass *p, dreamo_error *err)
{
    size_t most = 0;
    for (int i = 0; i < p->n; i++) most += p->in[i].maps ? (size_t)p->in[i].sample->nrefs : 0;
    if (!most) return DREAMO_OK;
    p->routes = list(p, most, sizeof *p->routes);
    p->maps = list(p, (size_t)layers_of(p), sizeof *p->maps);
    p->map = list(p, most * (size_t)p->noise_rows, sizeof *p->map);
    if (!p->routes || !p->maps || !p->map) return fail(err, DREAMO_MEMORY, "no memory for the maps of %zu references", most);
    for (int i = 0; i < p->n; i++) {
        const condition_sample *s = p->in[i].sample;
        int picture = p->text_rows + p->img[i].start, row = picture + p->noise_rows;
        for (int k = 0; p->in[i].maps && k < s->nrefs; k++) {
            int rows = s->ref[k].h * s->ref[k].w;
            p->routes[p->nroutes++] = (route){ .ref0 = row, .nref = rows, .img0 = picture, .nimg = p->noise_rows };
            row += rows;
        }
    }
    return DREAMO_OK;
}

static dreamo_status pass_new(pass *p, denoise_input *in, int n, bool negative, dreamo_error *err)
{
    const dit_config *c = &in->m->dit->config;
    bool embed = !negative && in->m->tables.task;
    size_t width = (size_t)(c->heads * c->head_dim), half = (size_t)c->head_dim / 2, pooled = (size_t)c->pooled_dim, many = (size_t)n;
    *p = (pass){ .m = in->m, .in = in, .n = n, .noise_rows = condition_noise_rows(in->sample), .steps = in->how->steps };
    place(p, negative);
    size_t image = (size_t)p->image_rows, rows = image + (size_t)p->text_rows, steps = (size_t)p->steps, mods = (size_t)dit_mod_cols(c);
    p->tokens = list(p, image * (size_t)c->in_channels, sizeof(float));
    p->words = n > 1 ? list(p, (size_t)p->text_rows * (size_t)c->text_dim, sizeof(float)) : NULL;
    p->cond = embed ? list(p, image * width, sizeof(float)) : NULL;
    p->cos = list(p, rows * half, sizeof(float));
    p->sin = list(p, rows * half, sizeof(float));
    p->pos = list(p, rows, sizeof *p->pos);
    p->axis = list(p, rows, 3 * sizeof *p->axis);
    p->velocity = list(p, many * (size_t)p->noise_rows * (size_t)c->out_channels, sizeof(float));
    p->time = list(p, many * steps * 256, sizeof(float));
    p->guidance = list(p, many * steps * 256, sizeof(float));
    p->pooled = list(p, many * steps * pooled, sizeof(float));
    p->mods = list(p, many * steps * mods, sizeof(float));
    p->step_rows = n > 1 ? list(p, many * (512 + pooled + mods), sizeof(float)) : NULL;
    if (!p->tokens || (n > 1 && (!p->words || !p->step_rows)) || (embed && !p->cond) || !p->cos || !p->sin || !p->pos || !p->axis || !p->velocity || !p->time ||
        !p->guidance || !p->pooled || !p->mods) {
        pass_free(p);
        return fail(err, DREAMO_MEMORY, "no memory for a sequence of %zu tokens", rows);
    }
    fill(p, negative, embed);
    dreamo_status s = negative ? DREAMO_OK : set_routes(p, err);
    if (s) pass_free(p);
    return s;
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

/* How many pictures are still wanted and well. */
static int alive(const denoise_input *in, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++) count += in[i].status == DREAMO_OK;
    return count;
}

/* A step of a large model takes minutes: between its blocks the callers may stop it. */
static void after_block(void *user, nn *cx, const char *name, tensor x)
{
    const pass *p = user;
    if (p->probe) probe_block(p->probe, cx, name, x);
    for (int i = 0; p->asks && i < p->n; i++) {
        denoise_input *in = &p->in[i];
        const reporter *to = in->to;
        if (in->status || !to || !to->call) continue;
        if (!to->call(to->user, &(dreamo_event){ .kind = DREAMO_EVENT_TICK, .seconds_left = -1 }))
            in->status = fail(in->err, DREAMO_CANCELLED, "stopped on request");
    }
    if (!alive(p->in, p->n)) nn_fail(cx, DREAMO_CANCELLED, "stopped on request");
}

/* This step's rows of a list [pictures, steps, cols], together: the list itself with one picture, else copied to *to, which moves on. */
static float *rows_of_step(const pass *p, float *all, int cols, float **to)
{
    size_t each = (size_t)cols;
    if (p->n == 1) return all + (size_t)p->step * each;
    float *rows = *to;
    for (int i = 0; i < p->n; i++) memcpy(rows + (size_t)i * each, all + ((size_t)i * (size_t)p->steps + (size_t)p->step) * each, each * sizeof *rows);
    *to += (size_t)p->n * each;
    return rows;
}

/* All layers' maps join those of the steps before. */
static void keep_maps(pass *p, nn *cx)
{
    for (int l = 0; p->routes && l < layers_of(p) && nn_ok(cx); l++) {
        const float *map = p->map;
        tensor_read(cx, p->maps[l], p->map);
        for (int i = 0; i < p->n; i++)
            for (int k = 0; p->in[i].maps && k < p->in[i].sample->nrefs; k++, map += p->noise_rows)
                maps_add(p->in[i].maps + (size_t)(k * p->noise_rows), map, p->noise_rows);
    }
}

static void run_pass(nn *cx, void *job)
{
    pass *p = job;
    const dit_config *c = &p->m->dit->config;
    float *to = p->step_rows;
    dit_batch b = {
        .tokens = tensor_from(cx, p->image_rows, c->in_channels, p->tokens),
        .text = tensor_from(cx, p->text_rows, c->text_dim, p->words ? p->words : p->text[0]->embeds),
        .pooled = tensor_from(cx, p->n, c->pooled_dim, rows_of_step(p, p->pooled, c->pooled_dim, &to)),
        .time = tensor_from(cx, p->n, 256, rows_of_step(p, p->time, 256, &to)),
        .mods = tensor_from(cx, p->n, dit_mod_cols(c), rows_of_step(p, p->mods, dit_mod_cols(c), &to)),
        .img = { p->n, p->n, p->img }, .txt = { p->n, p->n, p->txt }, .joint = { p->n, 2 * p->n, p->joint },
        .pe = { p->cos, p->sin, c->head_dim / 2, p->axis, p->text_rows + p->image_rows, { c->rope_axes[0], c->rope_axes[1], c->rope_axes[2] } },
        .probe = p->probe || p->asks ? after_block : NULL, .user = p, .routes = p->routes, .nroutes = p->nroutes, .maps = p->maps,
    };
    if (c->guidance) b.guidance = tensor_from(cx, p->n, 256, rows_of_step(p, p->guidance, 256, &to));
    if (p->cond) b.cond = tensor_from(cx, p->image_rows, c->heads * c->head_dim, p->cond);
    tensor v = dit_forward(cx, p->m->dit, &b);
    keep_maps(p, cx);
    size_t each = (size_t)p->noise_rows * (size_t)c->out_channels;
    for (int i = 0; i < p->n && nn_ok(cx); i++) tensor_read(cx, tensor_rows(v, p->img[i].start, p->noise_rows), p->velocity + (size_t)i * each);
}

/* What the network is told of picture k at step i (spec 1.5). */
static void set_step(pass *p, int k, int i, float timestep, float guidance, bool official)
{
    size_t at = (size_t)(k * p->steps + i), pooled = (size_t)p->m->dit->config.pooled_dim;
    float *time = p->time + 256 * at, *strength = p->guidance + 256 * at;
    dit_sinusoid(schedule_embedded_time(timestep, official), time);
    dit_sinusoid(schedule_embedded_guidance(guidance, official), strength);
    for (int j = 0; official && j < 256; j++) {
        time[j] = round_bf16(time[j]);
        strength[j] = round_bf16(strength[j]);
    }
    if (p->text[k]->pooled) memcpy(p->pooled + at * pooled, p->text[k]->pooled, pooled * sizeof(float));
}

/* The modulations of all steps of one picture. */
static void run_modulations(nn *cx, void *job)
{
    pass *p = job;
    const dit_config *c = &p->m->dit->config;
    size_t first = (size_t)(p->picture * p->steps);
    dit_batch b = { .pooled = tensor_from(cx, p->steps, c->pooled_dim, p->pooled + first * (size_t)c->pooled_dim),
                    .time = tensor_from(cx, p->steps, 256, p->time + first * 256) };
    if (c->guidance) b.guidance = tensor_from(cx, p->steps, 256, p->guidance + first * 256);
    dit_modulations(cx, p->m->dit, &b, p->mods + first * (size_t)dit_mod_cols(c));
}

static dreamo_status run_step(nn *cx, pass *p, int step, dreamo_error *err)
{
    size_t channels = (size_t)p->m->dit->config.in_channels;
    for (int i = 0; i < p->n; i++)
        memcpy(p->tokens + (size_t)p->img[i].start * channels, p->in[i].x, (size_t)p->noise_rows * channels * sizeof(float));
    p->step = step;
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
    return in->negative && step >= in->how->cfg_start && step < in->how->cfg_end;
}

typedef struct loop { denoise_input *in; int n; nn *cx; pass pos, neg; const float *sigmas; size_t each; dump *d; } loop;

static dreamo_status check_finite(const loop *l, const denoise_input *in, int step)
{
    for (size_t i = 0; i < l->each; i++)
        if (!isfinite(in->x[i])) {
            fail(in->err, DREAMO_NUMERIC, "step %d of %d: the latent holds NaN or infinity", step + 1, in->how->steps);
            hint(in->err, "a weight or a LoRA may be damaged, or a LoRA scale too large");
            return DREAMO_NUMERIC;
        }
    return DREAMO_OK;
}

/* Picture k moves on. */
static void move(loop *l, int k, int i)
{
    denoise_input *in = &l->in[k];
    const sampling *how = in->how;
    float *v = l->pos.velocity + (size_t)k * l->each;
    int rows = l->pos.noise_rows, channels = in->m->dit->config.out_channels;
    if (cfg_active(in, i)) {
        const float *neg = l->neg.velocity + (size_t)k * l->each;
        dump_tensor(l->d, DT_F32, SHAPE(rows, channels), v, "step.%d.v_pos", i);
        dump_tensor(l->d, DT_F32, SHAPE(rows, channels), neg, "step.%d.v_neg", i);
        combine(v, neg, l->each, how->cfg_share, how->official);
    }
    dump_tensor(l->d, DT_F32, SHAPE(rows, channels), v, "step.%d.v", i);
    schedule_step(in->x, v, l->each, l->sigmas[i], l->sigmas[i + 1], how->official);
    dump_tensor(l->d, DT_F32, SHAPE(rows, channels), in->x, "step.%d.x", i);
    in->status = check_finite(l, in, i);
}

/* A pass that came out with NaN or infinity on a device of its own is run again, every result looked at: whoever made the first has a name then. */
static dreamo_status run_named(nn *cx, pass *p, int i, dreamo_error *err)
{
    dreamo_status s = run_step(cx, p, i, err);
    size_t n = (size_t)p->n * (size_t)p->noise_rows * (size_t)p->m->dit->config.out_channels, at = 0;
    device *dev = nn_device(cx);
    while (s == DREAMO_OK && dev->be->reserve && at < n && isfinite(p->velocity[at])) at++;
    if (s != DREAMO_OK || !dev->be->reserve || at == n) return s;
    dev->watch = true;
    s = run_step(cx, p, i, err);
    dev->watch = false;
    return s;
}

static dreamo_status one_step(loop *l, int i, dreamo_error *err)
{
    l->pos.probe = i == 0 ? l->d : NULL;
    dreamo_status s = run_named(l->cx, &l->pos, i, err);
    if (s == DREAMO_OK && cfg_active(l->in, i)) s = run_named(l->cx, &l->neg, i, err);
    for (int k = 0; s == DREAMO_OK && k < l->n; k++)
        if (l->in[k].status == DREAMO_OK) move(l, k, i);
    return s;
}

static dreamo_status open_passes(denoise_input *in, int n, pass *pos, pass *neg, dreamo_error *err)
{
    dreamo_status s = pass_new(pos, in, n, false, err);
    if (s == DREAMO_OK && in->negative) s = pass_new(neg, in, n, true, err);
    return s;
}

static void dump_inputs(const loop *l, int steps)
{
    const dit_config *c = &l->in->m->dit->config;
    int rows = l->pos.image_rows, text = l->pos.text_rows;
    dump_tensor(l->d, DT_F32, SHAPE(l->pos.noise_rows, c->in_channels), l->in->x, "noise");
    memcpy(l->pos.tokens, l->in->x, l->each * sizeof(float));
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

/* Both passes' tables; after this nobody reads the modulation layers, so their pages may go.  A picture's are made as if it were alone. */
static dreamo_status make_modulations(loop *l, dreamo_error *err)
{
    const dreamo_model *m = l->in->m;
    dreamo_status s = DREAMO_OK;
    for (int k = 0; s == DREAMO_OK && k < l->n; k++) {
        const sampling *how = l->in[k].how;
        for (int i = 0; i < how->steps; i++) {
            float timestep = l->sigmas[i] * (float)m->schedule.train_steps;
            set_step(&l->pos, k, i, timestep, i == 0 ? how->first_guidance : how->guidance, how->official);
            if (l->in->negative) set_step(&l->neg, k, i, timestep, how->negative_guidance, how->official);
        }
        l->pos.picture = l->neg.picture = k;
        s = phase_run(m->dev, run_modulations, &l->pos, err);
        if (s == DREAMO_OK && l->in->negative) s = phase_run(m->dev, run_modulations, &l->neg, err);
    }
    bind_forget(&m->files[MODEL_DIT]);
    return s;
}

/* Several prompts' words, one after the other: they are made only now. */
static void gather_words(pass *p)
{
    for (int i = 0; p->words && i < p->n; i++) {
        size_t cols = (size_t)p->m->dit->config.text_dim;
        memcpy(p->words + (size_t)p->txt[i].start * cols, p->text[i]->embeds, (size_t)p->txt[i].rows * cols * sizeof(float));
    }
}

static void after_step(loop *l, denoise_input *in, int k, const progress *p, int i)
{
    in->status = report_step(in->to, p, in->err);
    if (in->status == DREAMO_OK && in->preview)
        in->status = in->preview(in->user, in->x, l->pos.velocity + (size_t)k * l->each, l->sigmas[i + 1], i + 1, in->err);
}

static dreamo_status run_loop(loop *l, dreamo_error *err)
{
    int steps = l->in->how->steps;
    nn_counts need = { 0 };
    dreamo_status s = phase_measure(run_pass, &l->pos, 1, &need, err);
    if (s == DREAMO_OK && l->in->negative) s = phase_measure(run_pass, &l->neg, 1, &need, err);
    if (s == DREAMO_OK) s = make_modulations(l, err);
    if (s != DREAMO_OK) return s;
    l->cx = phase_open(l->in->m->dev, &need, err);
    if (!l->cx) return err->status;
    gather_words(&l->pos);
    gather_words(&l->neg);
    device *dev = l->in->m->dev;
    l->pos.asks = l->neg.asks = true;
    progress p;
    progress_start(&p, steps);
    for (int i = 0; s == DREAMO_OK && i < steps && alive(l->in, l->n); i++) {
        dev->fast = l->in->m->fast; /* the steps only: text, modulations and decoding are made once and decide all of them */
        s = one_step(l, i, err);
        dev->fast = false;
        progress_step(&p, i + 1);
        for (int k = 0; s == DREAMO_OK && k < l->n; k++)
            if (l->in[k].status == DREAMO_OK) after_step(l, &l->in[k], k, &p, i);
    }
    nn_free(l->cx);
    return s;
}

void denoise(denoise_input *in, int n, dump *d)
{
    int tokens = condition_noise_rows(in->sample), steps = in->how->steps;
    float sigmas[DENOISE_STEPS_MAX + 1];
    dreamo_error err = { 0 };
    loop l = { .in = in, .n = n, .sigmas = sigmas, .d = d, .each = (size_t)tokens * (size_t)in->m->dit->config.in_channels };
    schedule_sigmas(&in->m->schedule, tokens, steps, sigmas);
    dreamo_status s = open_passes(in, n, &l.pos, &l.neg, &err);
    if (s == DREAMO_OK && d) dump_inputs(&l, steps);
    if (s == DREAMO_OK) s = run_loop(&l, &err);
    for (int i = 0; s != DREAMO_OK && i < n; i++) {
        if (in[i].status != DREAMO_OK) continue; /* it has its reason */
        in[i].status = s;
        if (in[i].err) *in[i].err = err;
    }
    pass_free(&l.pos);
    pass_free(&l.neg);
}

dreamo_status denoise_measure(denoise_input *in, nn_counts *before, nn_counts *steps, uint64_t *lists, dreamo_error *err)
{
    pass pos = { 0 }, neg = { 0 };
    int64_t with_cfg = 0;
    for (int i = 0; i < in->how->steps; i++) with_cfg += cfg_active(in, i);
    dreamo_status s = open_passes(in, 1, &pos, &neg, err);
    *lists = pos.nbytes + neg.nbytes;
    if (s == DREAMO_OK) s = phase_measure(run_modulations, &pos, 1, before, err);
    if (s == DREAMO_OK && in->negative) s = phase_measure(run_modulations, &neg, 1, before, err);
    if (s == DREAMO_OK) s = phase_measure(run_pass, &pos, in->how->steps, steps, err);
    if (s == DREAMO_OK && in->negative) s = phase_measure(run_pass, &neg, with_cfg, steps, err);
    pass_free(&pos);
    pass_free(&neg);
    return s;
}
