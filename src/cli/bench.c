/* bench.c - dreamo bench kernels: this machine's speed as a share of its own peak. */
#include <string.h>
#include "cli/commands.h"
#include "cli/screen.h"

const option bench_options[] = {
    { "only", 0, VALUE_TEXT, false, 0, 0, "NAME", "kernels whose name begins with NAME: linear, attention, conv, step" },
    { "threads", 0, VALUE_INTEGER, false, 1, 1024, "N", "one a core by default" },
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

int run_bench(const parsed *p)
{
    dreamo_error err = { 0 };
    if (strcmp(p->args[0], "kernels") != 0) {
        complain(&err, DREAMO_ARG, NULL, "bench: \"%s\" is not kernels", p->args[0]);
        return report(p, &err);
    }
    screen_catch_signals();
    dreamo_status s = dreamo_bench_kernels((int)option_integer(p, "threads", 0), option_text(p, "only", NULL), row, NULL, &err);
    return s ? report(p, &err) : 0;
}
