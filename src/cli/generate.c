/* generate.c - dreamo generate PROMPT -r TASK=FILE ... -o out.png */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/output.h"
#include "cli/refs.h"
#include "cli/screen.h"

const option generate_options[] = {
    { "prompt-file", 0, VALUE_TEXT, false, 0, 0, "FILE", "the prompt from a file, - for standard input" },
    { "ref", 'r', VALUE_TEXT, true, 0, 0, "TASK=FILE", REFS_HELP },
    REFS_OPTIONS,
    { "ref-cache", 0, VALUE_TEXT, false, 0, 0, "DIR", "keep prepared references here, and take them from here" },
    { "negative", 0, VALUE_TEXT, false, 0, 0, "TEXT", "what not to show (with --true-cfg)" },
    { "size", 's', VALUE_TEXT, false, 0, 0, "WxH", "picture size; the model's own by default" },
    { "count", 'n', VALUE_INTEGER, false, 1, 1000, "N", "pictures, one seed after the other" },
    { "seed", 0, VALUE_TEXT, false, 0, 0, "SEED", "a number, random (default), a list 1,2,5 or a range 1..8" },
    { "steps", 0, VALUE_INTEGER, false, 1, 1e9, "N", "denoising steps" },
    { "guidance", 0, VALUE_NUMBER, false, 0, 100, "G", "distilled guidance" },
    { "first-guidance", 0, VALUE_NUMBER, false, 0, 100, "G", "guidance of the first step; 0 = the same" },
    { "true-cfg", 0, VALUE_NUMBER, false, 1, 100, "S", "classifier-free guidance scale; 1 = off; the model's own by default" },
    { "cfg-steps", 0, VALUE_TEXT, false, 0, 0, "A..B", "steps with true CFG, end excluded" },
    { "negative-guidance", 0, VALUE_NUMBER, false, 0, 100, "G", "guidance of the negative pass (3.5)" },
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "model folder; $DREAMO_MODEL or the shipped model by default" },
    { "dit", 0, VALUE_TEXT, false, 0, 0, "FILE", "transformer from another file" },
    { "t5", 0, VALUE_TEXT, false, 0, 0, "FILE", "T5 encoder from another file" },
    { "clip", 0, VALUE_TEXT, false, 0, 0, "FILE", "CLIP encoder from another file" },
    { "vae", 0, VALUE_TEXT, false, 0, 0, "FILE", "autoencoder from another file" },
    { "variant", 0, VALUE_TEXT, false, 0, 0, "v1|v1.1", "DreamO's published LoRA set" },
    { "dreamo", 0, VALUE_TEXT, false, 0, 0, "DIR", "where the set's files lie; MODEL/dreamo by default" },
    { "turbo", 0, VALUE_NONE, false, 0, 0, NULL, "the set with its turbo LoRA, 12 steps (default)" },
    { "no-turbo", 0, VALUE_NONE, false, 0, 0, NULL, "the set without it, 25 steps" },
    { "lora", 0, VALUE_TEXT, true, 0, 0, "FILE[@SCALE]", "apply a LoRA; repeat for a stack" },
    { "no-adapter", 0, VALUE_NONE, false, 0, 0, NULL, "without the model folder's own DreamO adapter" },
    { "numerics", 0, VALUE_TEXT, false, 0, 0, "KIND", "official (the reference's bf16 roundings) or exact (fp32)" },
    { "fast", 0, VALUE_NONE, false, 0, 0, NULL, "steps with 8-bit products of quantised weights (Q8_0 ... Q3_K), 0.5 % off in each; default for FLUX with AVX-512 VNNI" },
    { "exact", 0, VALUE_NONE, false, 0, 0, NULL, "never round what is multiplied" },
    { "cache", 0, VALUE_TEXT, false, 0, 0, "DIR", "keep what the text encoders make of prompts here, and take it from here" },
    { "ref-noise", 0, VALUE_TEXT, false, 0, 0, "SEED|mean", "sample the references' latents, or take their mean (default)" },
    { "noise", 0, VALUE_TEXT, false, 0, 0, "KERNEL", "bf16, fp32 or fp32-rounded" },
    { "maps", 0, VALUE_TEXT, false, 0, 0, "DIR", "write where in the picture each reference is looked at: map-SLOT-SEED.png" },
    { "dump", 0, VALUE_TEXT, false, 0, 0, "DIR", "write every stage as safetensors" },
    { "device", 0, VALUE_TEXT, false, 0, 0, "NAME", "cpu (default), auto, ggml:NAME (info --devices lists them) or ref (slow, the specification)" },
    { "memory", 0, VALUE_TEXT, false, 0, 0, "8G", "what a device of its own may take; weights beyond it pass through block by block" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "one a core by default" },
    { "timings", 0, VALUE_NONE, false, 0, 0, NULL, "tell the seconds of each stage and the most memory" },
    { "plan", 0, VALUE_NONE, false, 0, 0, NULL, "print what it would cost and stop" },
    { "output", 'o', VALUE_TEXT, false, 0, 0, "PATTERN", "file name with {seed} {n} {date} {prompt}, or - for standard output; dreamo-{seed}.png by default" },
    { "format", 0, VALUE_TEXT, false, 0, 0, "png|jpeg", "by the output's name by default" },
    { "grid", 0, VALUE_NONE, false, 0, 0, NULL, "all pictures in one, too: {seed} and {n} of its name are \"grid\"" },
    { "no-clobber", 0, VALUE_NONE, false, 0, 0, NULL, "refuse to replace a file" },
    { "no-metadata", 0, VALUE_NONE, false, 0, 0, NULL, "write no prompt, seed and hashes into the picture" },
    { 0 }
};

#define MAX_SEEDS 1000

typedef struct job {
    dreamo_model_options model;
    dreamo_request request;
    model_names names;
    ref_list refs;
    uint64_t seeds[MAX_SEEDS];
    int nseeds;
    char prompt[1 << 16];     /* of --prompt-file */
    const char *inputs[REFS_MAX + MODEL_LORAS + 8]; /* files that no picture may replace */
    int ninputs;
    output out;
} job;

/* ---- --seed, --size, --cfg-steps ---- */

static dreamo_status bad_seed(const char *s, dreamo_error *err)
{
    return complain(err, DREAMO_ARG, "a whole number from 0 to 18446744073709551615, random, a list 1,2,5 or a range 1..8", "--seed: \"%s\" is not a seed", s);
}

/* s[0..n) as a seed. */
static bool seed_of(const char *s, size_t n, uint64_t *out)
{
    char piece[32];
    if (n >= sizeof piece) return false;
    memcpy(piece, s, n);
    piece[n] = '\0';
    return text_seed(piece, out);
}

static dreamo_status parse_range(job *j, const char *s, const char *dots, dreamo_error *err)
{
    uint64_t a = 0, b = 0;
    if (!seed_of(s, (size_t)(dots - s), &a) || !text_seed(dots + 2, &b) || b < a) return bad_seed(s, err);
    if (b - a >= MAX_SEEDS) return complain(err, DREAMO_LIMIT, NULL, "--seed: %s is more than %d seeds", s, MAX_SEEDS);
    for (uint64_t i = 0; i <= b - a; i++) j->seeds[j->nseeds++] = a + i;
    return DREAMO_OK;
}

static dreamo_status parse_list(job *j, const char *s, dreamo_error *err)
{
    for (const char *at = s;; at++) {
        size_t length = strcspn(at, ",");
        if (j->nseeds == MAX_SEEDS) return complain(err, DREAMO_LIMIT, NULL, "--seed: more than %d seeds", MAX_SEEDS);
        if (!seed_of(at, length, &j->seeds[j->nseeds])) return bad_seed(s, err);
        j->nseeds++;
        at += length;
        if (!*at) return DREAMO_OK;
    }
}

static dreamo_status parse_seeds(job *j, const char *s, int count, dreamo_error *err)
{
    const char *dots = strstr(s, "..");
    if (strcmp(s, "random") == 0) {
        for (int i = 0; i < count; i++) {
            if (getrandom(&j->seeds[i], 8, 0) != 8) return complain(err, DREAMO_IO, NULL, "--seed: the system gave no random number");
            j->seeds[i] >>= 1;
        }
        j->nseeds = count;
        return DREAMO_OK;
    }
    dreamo_status status = dots ? parse_range(j, s, dots, err) : parse_list(j, s, err);
    if (status) return status;
    if (count > 1 && j->nseeds > 1 && count != j->nseeds)
        return complain(err, DREAMO_ARG, "leave out --count", "--count %d: %d seeds are given", count, j->nseeds);
    if (j->nseeds < count && j->seeds[0] > UINT64_MAX - (uint64_t)count)
        return complain(err, DREAMO_ARG, "begin lower", "--seed: the %d seeds from %s on pass the largest, %llu", count, s, (unsigned long long)UINT64_MAX);
    while (j->nseeds < count) {
        j->seeds[j->nseeds] = j->seeds[0] + (uint64_t)j->nseeds;
        j->nseeds++;
    }
    return DREAMO_OK;
}

/* "AxB" or "A..B": two whole numbers of at most nine digits. */
static bool parse_pair(const char *s, const char *between, int *a, int *b)
{
    const char *at = strstr(s, between);
    char first[12];
    int64_t x, y;
    if (!at || at - s > 9 || strlen(at + strlen(between)) > 9) return false;
    snprintf(first, sizeof first, "%.*s", (int)(at - s), s);
    if (!text_integer(first, &x) || !text_integer(at + strlen(between), &y)) return false;
    *a = (int)x;
    *b = (int)y;
    return true;
}

static dreamo_status parse_exactness(const parsed *p, job *j, dreamo_error *err)
{
    const char *s = option_text(p, "numerics", NULL);
    if (s && strcmp(s, "official") == 0) j->model.numerics = DREAMO_NUMERICS_OFFICIAL;
    else if (s && strcmp(s, "exact") == 0) j->model.numerics = DREAMO_NUMERICS_EXACT;
    else if (s) return complain(err, DREAMO_ARG, NULL, "--numerics: \"%s\" is neither official nor exact", s);
    s = option_text(p, "ref-noise", "mean");
    if (strcmp(s, "mean") != 0) {
        if (!text_seed(s, &j->request.ref_seed)) return complain(err, DREAMO_ARG, NULL, "--ref-noise: \"%s\" is neither mean nor a seed", s);
        j->request.ref_noise = true;
    }
    return DREAMO_OK;
}

static dreamo_status parse_job(const parsed *p, job *j, dreamo_error *err)
{
    dreamo_model_options *m = &j->model;
    dreamo_request *r = &j->request;
    dreamo_status s = DREAMO_OK;
    const char *text;
    dreamo_model_options_init(m);
    dreamo_request_init(r);
    text = option_text(p, "prompt-file", NULL);
    if (text && p->nargs) return complain(err, DREAMO_ARG, NULL, "generate: a prompt and --prompt-file exclude each other");
    if (!text && !p->nargs) return complain(err, DREAMO_ARG, "dreamo generate \"a red toy on a beach\" -r ip=toy.png", "generate: the prompt is missing");
    if (text) s = text_file("prompt-file", text, j->prompt, sizeof j->prompt, err);
    if (s) return s;
    r->prompt = text ? j->prompt : p->args[0];
    if ((s = option_model(p, m, &j->names, err))) return s;
    m->exact = option_flag(p, "exact");
    if (m->fast && m->exact) return complain(err, DREAMO_ARG, NULL, "--fast and --exact contradict each other");
    m->no_default_lora = option_flag(p, "no-adapter");
    m->cache = option_text(p, "cache", NULL);
    r->progress = refs_event;
    r->refs = j->refs.ref;
    s = refs_read(p, &j->refs, err);
    r->nrefs = j->refs.n;
    if (!s && (text = option_text(p, "size", NULL)) && (!parse_pair(text, "x", &r->width, &r->height) || r->width < 1 || r->height < 1))
        s = complain(err, DREAMO_ARG, "for example 1024x768", "--size: \"%s\" is not WIDTHxHEIGHT", text);
    if (!s && (text = option_text(p, "cfg-steps", NULL)) && (!parse_pair(text, "..", &r->cfg_start, &r->cfg_end) || r->cfg_start < 0 || r->cfg_end < r->cfg_start))
        s = complain(err, DREAMO_ARG, "for example 0..4", "--cfg-steps: \"%s\" is not FIRST..END", text);
    if (!s) s = parse_exactness(p, j, err);
    if (!s) s = parse_seeds(j, option_text(p, "seed", "random"), (int)option_integer(p, "count", 1), err);
    r->negative = option_text(p, "negative", NULL);
    r->steps = (int)option_integer(p, "steps", 0);
    r->guidance = option_number(p, "guidance", r->guidance);
    r->first_guidance = option_number(p, "first-guidance", r->first_guidance);
    r->true_cfg = option_number(p, "true-cfg", r->true_cfg);
    r->negative_guidance = option_number(p, "negative-guidance", r->negative_guidance);
    r->noise = option_text(p, "noise", NULL);
    r->dump = option_text(p, "dump", NULL);
    r->maps = option_text(p, "maps", NULL);
    r->timings = option_flag(p, "timings");
    if (!s && r->dump && j->nseeds > 1) s = complain(err, DREAMO_ARG, "use one seed", "--dump: %d pictures would overwrite each other", j->nseeds);
    return s;
}

static void list_inputs(const parsed *p, job *j)
{
    const char *const files[] = { j->model.dir, j->model.dit, j->model.t5, j->model.clip, j->model.vae, option_text(p, "prompt-file", NULL) };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i]) j->inputs[j->ninputs++] = files[i];
    for (int i = 0; i < j->request.nrefs; i++) j->inputs[j->ninputs++] = j->refs.ref[i].path;
    for (int i = 0; i < j->model.nloras; i++) j->inputs[j->ninputs++] = j->names.loras[i].path;
}

/* ---- run ---- */

static void print_plan(const dreamo_plan *plan)
{
    double mb = 1.0 / (1 << 20);
    if (screen_json()) {
        printf("{\"event\":\"plan\",\"width\":%d,\"height\":%d,\"steps\":%d,\"tokens\":%d,\"ops\":%lld,\"flops\":%.6g,\"weight_bytes\":%llu,\"work_bytes\":%llu,\"peak_bytes\":%llu,\"seconds\":%.4g,\"fast\":%s}\n",
               plan->width, plan->height, plan->steps, plan->tokens, (long long)plan->ops, plan->flops,
               (unsigned long long)plan->weight_bytes, (unsigned long long)plan->work_bytes, (unsigned long long)plan->peak_bytes, plan->seconds, plan->fast ? "true" : "false");
        return;
    }
    char about[40] = "";
    if (plan->seconds >= 0) snprintf(about, sizeof about, "about %.2g s, ", plan->seconds);
    screen_line("plan", "%dx%d, %d steps%s, %d tokens: %s%.3g GFLOP in %lld ops, weights %.1f MB, work %.1f MB, at most %.1f MB at a time", plan->width, plan->height, plan->steps,
                plan->fast ? " (fast)" : "", plan->tokens, about, plan->flops * 1e-9, (long long)plan->ops, (double)plan->weight_bytes * mb, (double)plan->work_bytes * mb,
                (double)plan->peak_bytes * mb);
}

static bool print_device_plan(void *user, const dreamo_device_plan *d)
{
    double mb = 1.0 / (1 << 20);
    char memory[160], about[64] = "";
    (void)user;
    if (screen_json()) {
        printf("{\"event\":\"device\",\"name\":\"%s\",\"seconds\":%.4g,\"step_seconds\":%.4g,\"held_bytes\":%llu,\"limit_bytes\":%llu,\"resident_bytes\":%llu,"
               "\"streamed_bytes\":%llu,\"doubles\":%d,\"singles\":%d,\"fits\":%s}\n", d->name, d->seconds, d->step_seconds, (unsigned long long)d->held_bytes,
               (unsigned long long)d->limit_bytes, (unsigned long long)d->resident_bytes, (unsigned long long)d->streamed_bytes, d->doubles, d->singles, d->why ? "false" : "true");
        return true;
    }
    if (d->why) {
        screen_line("device", "%s: no: %s", d->name, d->why);
        return true;
    }
    if (!d->limit_bytes) snprintf(memory, sizeof memory, "at most %.1f MB of memory", (double)d->held_bytes * mb);
    else if (!d->streamed_bytes) snprintf(memory, sizeof memory, "at most %.1f of %.1f MB there, all weights stay", (double)d->held_bytes * mb, (double)d->limit_bytes * mb);
    else
        snprintf(memory, sizeof memory, "%.1f MB there; weights of the first %d + %d blocks stay, %.1f MB pass through in each step", (double)d->limit_bytes * mb, d->doubles,
                 d->singles, (double)d->streamed_bytes * mb);
    if (d->seconds >= 0) snprintf(about, sizeof about, "about %.3g s (%.3g s a step), ", d->seconds, d->step_seconds);
    screen_line("device", "%s: %s%s", d->name, about, memory);
    return true;
}

static dreamo_status make_one(job *j, dreamo_model *model, int i, dreamo_error *err)
{
    dreamo_image image = { 0 };
    j->request.seed = j->seeds[i];
    dreamo_status s = dreamo_generate(model, &j->request, &image, err);
    if (!s) s = output_put(&j->out, i, &image, err);
    dreamo_image_free(&image);
    return s;
}

static dreamo_status make_all(job *j, dreamo_model *model, dreamo_error *err)
{
    dreamo_plan plan;
    dreamo_status s = DREAMO_OK;
    if (j->out.grid && (s = dreamo_plan_request(model, &j->request, &plan, err)) == DREAMO_OK)
        s = output_grid(&j->out, plan.width, plan.height, err);
    for (int i = 0; !s && i < j->nseeds; i++) s = make_one(j, model, i, err);
    if (!s && j->out.grid) s = output_put_grid(&j->out, err);
    return s;
}

int run_generate(const parsed *p)
{
    static job j; /* large, used once */
    dreamo_error err = { 0 };
    dreamo_model *model = NULL;
    dreamo_plan plan;
    bool only_plan = option_flag(p, "plan");
    dreamo_status s = parse_job(p, &j, &err);
    if (!s) list_inputs(p, &j);
    if (!s && !only_plan) s = output_open(&j.out, p, j.request.prompt, j.seeds, j.nseeds, j.inputs, j.ninputs, &err);
    screen_catch_signals();
    if (!s) s = dreamo_open(&j.model, &model, &err);
    if (!s && only_plan && (s = dreamo_plan_request(model, &j.request, &plan, &err)) == DREAMO_OK) print_plan(&plan); /* else generate tells it */
    if (!s && only_plan && dreamo_ggml_version()) s = dreamo_plan_devices(model, &j.request, print_device_plan, NULL, &err);
    if (!s && !only_plan) s = make_all(&j, model, &err);
    dreamo_close(model);
    output_close(&j.out);
    return s && refs_error(s, &err) ? report(p, &err) : 0;
}
