/* self_test.h - whether a device computes what it should, and how fast: about a second. */
#ifndef BACKEND_GGML_SELF_TEST_H
#define BACKEND_GGML_SELF_TEST_H
#include "backend/ggml/ggml.h"

typedef struct self_test {
    double error;        /* of a small block's ops against ref: rms, relative; the limit is SELF_TEST_LIMIT */
    double rate;         /* flops a second of a product of the sizes that FLUX has, bf16 weights; 0: not measured */
    double seconds;
} self_test;
#define SELF_TEST_LIMIT 2e-2

/* False: it failed, and err says how. */
bool ggml_self_test(const char *name, self_test *out, dreamo_error *err);
#endif
