/* train.c - dreamo train RECIPE -m MODEL --data DIR --out DIR [NAME=VALUE ...], its --plan, and --probe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option train_options[] = {
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "model folder; parts that have a config and no weights are begun anew" },
    { "dit", 0, VALUE_TEXT, false, 0, 0, "FILE", "transformer from another file: trained on as it is stored" },
    { "t5", 0, VALUE_TEXT, false, 0, 0, "FILE", "T5 encoder from another file" },
    { "clip", 0, VALUE_TEXT, false, 0, 0, "FILE", "CLIP encoder from another file" },
    { "vae", 0, VALUE_TEXT, false, 0, 0, "FILE", "autoencoder from another file" },
    { "data", 0, VALUE_TEXT, false, 0, 0, "DIR", "dataset folder; or pictures of your own: a folder, x.jsonl, x.tar, 'x-*.tar'" },
    { "out", 'o', VALUE_TEXT, false, 0, 0, "DIR", "run folder: checkpoints, log.ndjson, samples, model" },
    { "resume", 0, VALUE_NONE, false, 0, 0, NULL, "go on from the newest whole checkpoint" },
    { "plan", 0, VALUE_NONE, false, 0, 0, NULL, "print what a step would cost and stop" },
    { "cache", 0, VALUE_TEXT, false, 0, 0, "DIR", "keep here what frozen encoders make of given pictures and captions" },
    { "backend", 0, VALUE_TEXT, false, 0, 0, "NAME", "cpu (default), cuda (NVIDIA's, where it was built in) or ref (slow, the specification)" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "one a core by default" },
    { "probe", 0, VALUE_TEXT, false, 0, 0, "CASE", "losses and gradients of one stored sample; needs -m, --lora, --dump" },
    { "lora", 0, VALUE_TEXT, false, 0, 0, "FILE[@SCALE]", "for --probe" },
    { "dump", 0, VALUE_TEXT, false, 0, 0, "DIR", "for --probe: where train.safetensors goes" },
    { 0 }
};

static bool told; /* of the processes of one run, only the first hears of it and speaks */

/* Notes and table lines as they are; a live line between them on a terminal. */
static bool event(void *user, const dreamo_event *e)
{
    const parsed *p = user;
    told = true;
    bool line = e->kind == DREAMO_EVENT_NOTE || (e->kind == DREAMO_EVENT_STEP && e->text);
    if (!line || screen_json()) {
        if (e->kind != DREAMO_EVENT_STEP || screen_json()) screen_event(NULL, e);
    } else if (!option_flag(p, "quiet")) {
        fprintf(stderr, "%s\n", e->text);
    }
    return !screen_stop;
}

static dreamo_status run_probe(const parsed *p, const char *probe, dreamo_error *err)
{
    dreamo_model_options model;
    dreamo_lora lora;
    const char *whole = option_text(p, "lora", NULL), *dump = option_text(p, "dump", NULL);
    char path[4096];
    dreamo_model_options_init(&model);
    model.dir = option_text(p, "model", NULL);
    model.backend = option_text(p, "backend", NULL);
    model.threads = (int)option_integer(p, "threads", 0);
    if (!model.dir || !whole || !dump) return complain(err, DREAMO_ARG, NULL, "train --probe: -m, --lora and --dump are needed");
    dreamo_status status = text_lora("lora", whole, path, sizeof path, &lora, err);
    if (status) return status;
    model.loras = &lora;
    model.nloras = 1;
    return dreamo_train_probe(probe, &model, dump, err);
}

static dreamo_status run_plan(const dreamo_train_options *o, dreamo_error *err)
{
    dreamo_train_costs c;
    dreamo_status s = dreamo_train_plan(o, &c, err);
    if (s) return s;
    if (screen_json()) {
        printf("{\"event\":\"plan\",\"parameters\":%lld,\"frozen\":%lld,\"steps\":%lld,\"batch\":%lld,\"tokens\":%lld,\"ops\":%lld,\"flops\":%.6g,"
               "\"param_bytes\":%llu,\"work_bytes\":%llu,\"weight_bytes\":%llu,\"peak_bytes\":%llu,\"seconds\":%.6g}\n",
               (long long)c.parameters, (long long)c.frozen, (long long)c.steps, (long long)c.batch, (long long)c.tokens, (long long)c.ops, c.flops,
               (unsigned long long)c.param_bytes, (unsigned long long)c.work_bytes, (unsigned long long)c.weight_bytes, (unsigned long long)c.peak_bytes, c.seconds);
        return DREAMO_OK;
    }
    printf("trained    %.3f M numbers, %.3f M frozen\n", (double)c.parameters / 1e6, (double)c.frozen / 1e6);
    printf("run        %lld steps of %lld samples, %lld rows\n", (long long)c.steps, (long long)c.batch, (long long)c.tokens);
    printf("a step     %.2f GFLOP in %lld ops", c.flops / 1e9, (long long)c.ops);
    if (c.seconds >= 0) printf(", about %.*f s on this machine", c.seconds < 10 ? 2 : 0, c.seconds);
    printf("\nmemory     %.1f MB of parameters and optimizer, %.1f MB of work\n", (double)c.param_bytes / 1e6, (double)c.work_bytes / 1e6);
    if (c.weight_bytes) printf("           %.1f MB of weights, mapped; %.1f MB at most\n", (double)c.weight_bytes / 1e6, (double)c.peak_bytes / 1e6);
    return DREAMO_OK;
}

int run_train(const parsed *p)
{
    dreamo_error err = { 0 };
    dreamo_train_options o;
    const char *probe = option_text(p, "probe", NULL);
    dreamo_status s;
    if (probe) return (s = run_probe(p, probe, &err)) ? report(p, &err) : 0;
    dreamo_train_options_init(&o);
    if (!p->nargs) {
        complain(&err, DREAMO_ARG, "dreamo train recipes/mini-base.conf -m MODEL --data DATA --out RUN", "train: the recipe is missing");
        return report(p, &err);
    }
    o.recipe = p->args[0];
    o.overrides = p->args + 1;
    o.noverrides = p->nargs - 1;
    o.model = option_text(p, "model", NULL);
    o.dit = option_text(p, "dit", NULL);
    o.t5 = option_text(p, "t5", NULL);
    o.clip = option_text(p, "clip", NULL);
    o.vae = option_text(p, "vae", NULL);
    o.data = option_text(p, "data", NULL);
    o.out = option_text(p, "out", NULL);
    o.resume = option_flag(p, "resume");
    o.backend = option_text(p, "backend", NULL);
    o.threads = (int)option_integer(p, "threads", 0);
    o.cache = option_text(p, "cache", NULL);
    o.progress = event;
    o.user = (void *)p;
    o.stop = &screen_stop;
    screen_catch_signals();
    s = option_flag(p, "plan") ? run_plan(&o, &err) : dreamo_train(&o, &err);
    if (s) return report(p, &err);
    if (!option_flag(p, "plan") && told) screen_result(o.out);
    return 0;
}
