/* bench.c - dreamo bench kernels: this machine's speed as a share of its own peak; dreamo bench device: what a step costs a device. */
#include <string.h>
#include <time.h>
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/screen.h"

const option bench_options[] = {
    { "only", 0, VALUE_TEXT, false, 0, 0, "NAME", "kernels whose name begins with NAME: linear, attention, conv, step" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "one a core by default" },
    { "device", 0, VALUE_TEXT, false, 0, 0, "NAME", "device: which; auto by default" },
    { "memory", 0, VALUE_TEXT, false, 0, 0, "8G", "device: what it may take" },
    { "model", 'm', VALUE_TEXT, false, 0, 0, "DIR", "device: model folder; the shipped model by default" },
    { "dit", 0, VALUE_TEXT, false, 0, 0, "FILE", "device: transformer from another file" },
    { "lora", 0, VALUE_TEXT, true, 0, 0, "FILE[@SCALE]", "device: with a LoRA" },
    { "side", 0, VALUE_INTEGER, false, 16, 4096, "N", "device: pixels of the picture's sides; the model's own by default" },
    { "ref", 'r', VALUE_TEXT, true, 0, 0, "FILE", "device: with a reference" },
    { 0 }
};

static bool row(void *user, const dreamo_kernel_rate *r)
{
    (void)user;
    if (screen_json())
        printf("{\"kernel\":\"%s\",\"shape\":\"%s\",\"weights\":\"%s\",\"gflops\":%.2f,\"peak_share\":%.4f,\"best_share\":%.4f,\"cpu_share\":%.4f,\"runs\":%d}\n",
               r->kernel, r->shape, r->weights, r->gflops, r->peak_share, r->best_share, r->cpu_share, r->runs);
    else
        printf("%-20s %-28s %-9s %8.1f GFLOP/s   %5.1f %% of peak   best %5.1f %%\n", r->kernel, r->shape, r->weights, r->gflops, 100 * r->peak_share, 100 * r->best_share);
    fflush(stdout);
    return !screen_stop;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A picture of so many steps: seconds, and what the device counted. */
static dreamo_status measured(dreamo_model *m, dreamo_request *r, int steps, double *seconds, dreamo_device_counts *c, dreamo_error *err)
{
    dreamo_image im = { 0 };
    c->size = sizeof *c;
    r->steps = steps;
    dreamo_status s = dreamo_count_device(m, c, err);
    double start = now();
    if (!s) s = dreamo_generate(m, r, &im, err);
    *seconds = now() - start;
    dreamo_image_free(&im);
    return s ? s : dreamo_count_device(m, c, err);
}

enum { FEW = 2, MANY = 6, BENCH_REFS = 4 };

/* What four steps more cost, a step. */
static int bench_device(const parsed *p)
{
    static model_names names;
    dreamo_error err = { 0 };
    dreamo_model_options o;
    dreamo_request r;
    dreamo_model *m = NULL;
    dreamo_reference refs[BENCH_REFS] = { 0 };
    dreamo_device_counts few = { 0 }, many = { 0 };
    double short_time = 0, long_time = 0;
    dreamo_model_options_init(&o);
    dreamo_request_init(&r);
    dreamo_status s = option_model(p, &o, &names, &err);
    o.backend = option_text(p, "device", "auto");
    o.progress = NULL;
    r.prompt = "a red toy on a table";
    r.width = r.height = (int)option_integer(p, "side", 0);
    for (; r.nrefs < BENCH_REFS && option_nth(p, "ref", r.nrefs); r.nrefs++) refs[r.nrefs] = (dreamo_reference){ .path = option_nth(p, "ref", r.nrefs), .cut = DREAMO_CUT_OFF };
    r.refs = refs;
    if (!s) s = dreamo_open(&o, &m, &err);
    if (!s) s = measured(m, &r, FEW, &short_time, &few, &err); /* weights go over, programs are made */
    if (!s) s = measured(m, &r, FEW, &short_time, &few, &err);
    if (!s) s = measured(m, &r, MANY, &long_time, &many, &err);
    double each = MANY - FEW;
    if (!s && screen_json())
        printf("{\"seconds_a_step\":%.6g,\"nodes\":%.1f,\"fusable\":%.1f,\"graphs\":%.2f,\"recorded\":%.2f,\"bytes\":%.6g,\"uploaded\":%.6g,\"peak\":%llu,\"resident\":%llu,\"seconds_beside\":%.6g}\n",
               (long_time - short_time) / each, (double)(many.nodes - few.nodes) / each, (double)(many.fusable - few.fusable) / each, (double)(many.graphs - few.graphs) / each,
               (double)(many.recorded - few.recorded) / each, (many.bytes - few.bytes) / each, (many.uploaded - few.uploaded) / each, (unsigned long long)many.peak,
               (unsigned long long)many.resident, short_time - FEW * (long_time - short_time) / each);
    else if (!s)
        printf("a step: %.3g s, %.0f nodes (%.0f may be fused) in %.0f graph%s of which %.0f recorded anew, %.1f MB read and written, %.2f MB sent\n"
               "memory: at most %.1f of %.1f MB, %.1f MB of weights stay\nwithout the steps: %.3g s\n",
               (long_time - short_time) / each, (double)(many.nodes - few.nodes) / each, (double)(many.fusable - few.fusable) / each, (double)(many.graphs - few.graphs) / each,
               many.graphs - few.graphs == MANY - FEW ? "" : "s", (double)(many.recorded - few.recorded) / each, (many.bytes - few.bytes) / each / 1e6,
               (many.uploaded - few.uploaded) / each / 1e6, (double)many.peak / 1e6, (double)many.limit / 1e6, (double)many.resident / 1e6,
               short_time - FEW * (long_time - short_time) / each);
    dreamo_close(m);
    return s ? report(p, &err) : 0;
}

int run_bench(const parsed *p)
{
    dreamo_error err = { 0 };
    if (strcmp(p->args[0], "device") == 0) return bench_device(p);
    if (strcmp(p->args[0], "kernels") != 0) {
        complain(&err, DREAMO_ARG, NULL, "bench: \"%s\" is neither kernels nor device", p->args[0]);
        return report(p, &err);
    }
    screen_catch_signals();
    dreamo_status s = dreamo_bench_kernels((int)option_integer(p, "threads", 0), option_text(p, "only", NULL), row, NULL, &err);
    return s ? report(p, &err) : 0;
}
