/* rate.c - a short measurement on the device that will do the work. */
#include "pipe/rate.h"

#include "base/file.h"
#include "base/mem.h"
#include "pipe/phase.h"

enum { ROWS = 128, WIDTH = 256 };

static void multiply(nn *cx, void *job) { op_linear(cx, tensor_from(cx, ROWS, WIDTH, NULL), job); }

static double repeat(device *dev, weight *w)
{
    nn_counts c = { 0 };
    if (phase_measure(multiply, w, 1, &c, NULL) != DREAMO_OK) return -1;
    nn *cx = phase_open(dev, &c, NULL);
    if (!cx) return -1;
    double start = seconds_now(), spent = 0;
    int n = 0;
    for (; spent < 0.01 && nn_ok(cx); n++, spent = seconds_now() - start) {
        nn_reset(cx);
        multiply(cx, w);
    }
    nn_free(cx);
    return n * c.flops / spent;
}

double rate_measure(device *dev, dtype stored)
{
    float *data = mem_calloc(WIDTH * WIDTH, sizeof *data);
    if (!data) return -1;
    weight w = { .name = "rate", .in = WIDTH, .out = WIDTH, .kh = 1, .kw = 1, .nparts = 1 };
    w.part[0] = (weight_part){ .rows = WIDTH, .type = stored, .data = data };
    dev->fast = stored != DT_F32;
    double rate = repeat(dev, &w);
    dev->fast = false;
    mem_free(data);
    return rate;
}
