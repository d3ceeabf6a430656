/* schedule.c - sigmas, timesteps, the Euler step, with numpy's and torch's precision at each place (spec 3, 1.5). */
#include "pipe/schedule.h"

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "format/json.h"

schedule_config schedule_flux(void)
{
    return (schedule_config){ .dynamic = true, .shift = 3.0, .base_shift = 0.5, .max_shift = 1.15,
                              .base_tokens = 256, .max_tokens = 4096, .train_steps = 1000 };
}

/* Options of the library's scheduler that change the sigmas and that no FLUX model uses. */
static dreamo_status refuse_other_schedules(const json_t *o, const char *path, dreamo_error *err)
{
    static const char *const flags[] = { "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas",
                                         "stochastic_sampling" };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool on;
        dreamo_status s = json_get_bool(o, path, flags[i], false, &on, err);
        if (s != DREAMO_OK) return s;
        if (on) return fail(err, DREAMO_MISMATCH, "%s: %s is not supported; it must be false or absent", path, flags[i]);
    }
    const json_t *terminal = json_object_get(o, "shift_terminal");
    if (terminal && !json_is_null(terminal))
        return fail(err, DREAMO_MISMATCH, "%s: shift_terminal is not supported; it must be null or absent", path);
    const char *kind, *shift_kind;
    dreamo_status s = json_get_string(o, path, "_class_name", "FlowMatchEulerDiscreteScheduler", &kind, err);
    if (s == DREAMO_OK) s = json_get_string(o, path, "time_shift_type", "exponential", &shift_kind, err);
    if (s != DREAMO_OK) return s;
    if (strcmp(kind, "FlowMatchEulerDiscreteScheduler") != 0)
        return fail(err, DREAMO_MISMATCH, "%s: _class_name \"%s\", this program knows FlowMatchEulerDiscreteScheduler", path, kind);
    if (strcmp(shift_kind, "exponential") != 0)
        return fail(err, DREAMO_MISMATCH, "%s: time_shift_type \"%s\", this program knows exponential", path, shift_kind);
    return DREAMO_OK;
}

dreamo_status schedule_read(const char *path, schedule_config *c, dreamo_error *err)
{
    *c = schedule_flux();
    json_t *o = NULL;
    dreamo_status s = json_read(path, 1 << 20, &o, err);
    if (s != DREAMO_OK) return s;
    int64_t base = c->base_tokens, max = c->max_tokens, train = c->train_steps;
    s = refuse_other_schedules(o, path, err);
    /* The defaults of absent fields are the library's, not FLUX's. */
    if (s == DREAMO_OK) s = json_get_bool(o, path, "use_dynamic_shifting", false, &c->dynamic, err);
    if (s == DREAMO_OK) s = json_get_number(o, path, "shift", 1e-3, 1e3, 1.0, &c->shift, err);
    if (s == DREAMO_OK) s = json_get_number(o, path, "base_shift", -20, 20, c->base_shift, &c->base_shift, err);
    if (s == DREAMO_OK) s = json_get_number(o, path, "max_shift", -20, 20, c->max_shift, &c->max_shift, err);
    if (s == DREAMO_OK) s = json_get_int(o, path, "base_image_seq_len", 0, 1 << 24, base, &base, err);
    if (s == DREAMO_OK) s = json_get_int(o, path, "max_image_seq_len", 1, 1 << 24, max, &max, err);
    if (s == DREAMO_OK) s = json_get_int(o, path, "num_train_timesteps", 1, 1 << 20, train, &train, err);
    if (s == DREAMO_OK && c->dynamic && max <= base)
        s = fail(err, DREAMO_FORMAT, "%s: max_image_seq_len %d must be greater than base_image_seq_len %d", path, (int)max,
                 (int)base);
    c->base_tokens = (int)base;
    c->max_tokens = (int)max;
    c->train_steps = (int)train;
    json_decref(o);
    return s;
}

double schedule_mu(const schedule_config *c, int tokens)
{
    double m = (c->max_shift - c->base_shift) / (c->max_tokens - c->base_tokens);
    double b = c->base_shift - m * c->base_tokens;
    return tokens * m + b; /* not clamped (spec 3.1) */
}

float schedule_shift(const schedule_config *c, int tokens, float sigma)
{
    if (!c->dynamic) {
        float shift = (float)c->shift, less = (float)(c->shift - 1.0);
        return shift * sigma / (1.0f + less * sigma);
    }
    float e = (float)exp(schedule_mu(c, tokens));
    return e / (e + (1.0f / sigma - 1.0f));
}

void schedule_sigmas(const schedule_config *c, int tokens, int steps, float *sigmas)
{
    double end = 1.0 / steps, gap = steps > 1 ? (end - 1.0) / (steps - 1) : 0.0;
    for (int i = 0; i < steps; i++) {
        double s = i == steps - 1 && steps > 1 ? end : 1.0 + i * gap; /* steps points from 1 to 1/steps */
        sigmas[i] = schedule_shift(c, tokens, (float)s);
    }
    sigmas[steps] = 0.0f;
}

float schedule_embedded_time(float timestep, bool official)
{
    if (!official) return timestep;
    return round_bf16(round_bf16(round_bf16(timestep) / 1000.0f) * 1000.0f);
}

float schedule_embedded_guidance(float guidance, bool official)
{
    return official ? round_bf16(round_bf16(guidance) * 1000.0f) : guidance * 1000.0f;
}

void schedule_step(float *x, const float *v, size_t n, float sigma, float sigma_next, bool official)
{
    float dt = sigma_next - sigma;
    if (!official) {
        for (size_t i = 0; i < n; i++) x[i] += dt * v[i];
        return;
    }
    float rounded = round_bf16(dt);
    for (size_t i = 0; i < n; i++) x[i] = round_bf16(x[i] + round_bf16(rounded * round_bf16(v[i])));
}
