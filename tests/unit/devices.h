/* devices.h - for tests of kernels: matrices of chance, and one device for each instruction set of this machine and one or two threads. */
#ifndef TESTS_DEVICES_H
#define TESTS_DEVICES_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/rng.h"
#include "nn/backend.h"
#include <cmocka.h> /* last: its macro fail() would hide base/error.h */

static tensor matrix(int rows, int cols)
{
    tensor t = { .rows = rows, .cols = cols, .ld = cols };
    t.p = calloc((size_t)rows * (size_t)cols + 1, sizeof(float));
    return t;
}

static rng chance;

static float *normals(int n, double size)
{
    float *p = malloc((size_t)n * sizeof *p);
    for (int i = 0; i < n; i++) p[i] = (float)(size * rng_normal(&chance));
    return p;
}

enum { DEVICES = 12 };
static struct { device *dev; char name[24]; } cpus[DEVICES];
static int ncpus;

static int open_devices(void **state)
{
    static const char *const sets[DEVICES / 2] = { "generic", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx" };
    (void)state;
    for (int s = 0; s < DEVICES / 2; s++)
        for (int threads = 1; threads <= 2; threads++) {
            setenv("DREAMO_CPU", sets[s], 1);
            device *dev = backend_cpu.open(threads);
            unsetenv("DREAMO_CPU");
            if (!dev) continue; /* the machine lacks it */
            cpus[ncpus].dev = dev;
            snprintf(cpus[ncpus++].name, sizeof cpus->name, "%s, %d threads", sets[s], threads);
        }
    return ncpus < 2;
}

static inline bool has_amx(int i) { return strncmp(cpus[i].name, "amx", 3) == 0; }

static int close_devices(void **state)
{
    (void)state;
    for (int i = 0; i < ncpus; i++) backend_cpu.close(cpus[i].dev);
    return 0;
}
#endif
