/* rate.c - a short measurement on the device that will do the work. */
#include "pipe/rate.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "pipe/phase.h"

/* A first size for any device, and one at which products in integers are what they are in FLUX, for devices that are quick enough. */
static const struct { int rows, width; } sizes[] = { { 128, 256 }, { 512, 1024 } };
#define QUICK 5e9

typedef struct product { int rows; weight w; } product;

static void multiply(nn *cx, void *job)
{
    product *p = job;
    float one; /* a device that computes when it is read is asked for something */
    tensor y = op_linear(cx, tensor_from(cx, p->rows, p->w.in, NULL), &p->w);
    if (nn_ok(cx)) tensor_read(cx, tensor_cols(tensor_rows(y, 0, 1), 0, 1), &one);
}

static double repeat(device *dev, product *p)
{
    nn_counts c = { 0 };
    if (phase_measure(multiply, p, 1, &c, NULL) != DREAMO_OK) return -1;
    nn *cx = phase_open(dev, &c, NULL);
    if (!cx) return -1;
    double start = seconds_now(), spent = 0, best = 1e30;
    for (int n = 0; (n < 5 || spent < 0.01) && nn_ok(cx); n++) { /* the quickest: other programs may take the processor meanwhile */
        double before = start + spent;
        nn_reset(cx);
        multiply(cx, p);
        spent = seconds_now() - start;
        best = fmin(best, start + spent - before);
    }
    nn_free(cx);
    if (dev->be->forget) dev->be->forget(dev);
    return c.flops / best;
}

static double measure(device *dev, int rows, int width, dtype stored)
{
    void *data = mem_calloc(1, dtype_nbytes_of(stored, (size_t)width * (size_t)width));
    if (!data) return -1;
    product p = { rows, { .name = "rate", .in = width, .out = width, .kh = 1, .kw = 1, .nparts = 1 } };
    p.w.part[0] = (weight_part){ .rows = width, .type = stored, .data = data };
    double rate = repeat(dev, &p);
    mem_free(data);
    return rate;
}

double rate_measure(device *dev, dtype stored, bool fast)
{
    double rate = 0;
    dev->fast = fast;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && (i == 0 || rate > QUICK); i++) rate = measure(dev, sizes[i].rows, sizes[i].width, stored);
    dev->fast = false;
    return rate;
}

double rate_sent(device *dev)
{
    if (!dev->be->reserve) return -1;
    double best = 1e30, there = dev->be->memory(dev) / 8;
    size_t rows = there > 16e6 ? 4096 : 1 + (size_t)(there / 4096), nbytes = rows * 4096;
    float *host = mem_alloc(nbytes), one;
    nn *cx = host ? nn_new(&(nn_options){ .dev = dev, .work_nbytes = nbytes }, NULL) : NULL;
    for (size_t i = 0; host && i < nbytes / sizeof *host; i++) host[i] = 1; /* its pages are there */
    for (int n = 0; cx && n < 3 && nn_ok(cx); n++) {
        nn_reset(cx);
        double start = seconds_now();
        tensor x = tensor_from(cx, (int)rows, 1024, host);
        if (nn_ok(cx)) tensor_read(cx, tensor_cols(tensor_rows(x, 0, 1), 0, 1), &one);
        best = fmin(best, seconds_now() - start);
    }
    bool well = cx && nn_ok(cx);
    if (cx) nn_free(cx);
    mem_free(host);
    return well ? (double)nbytes / best : -1;
}
