/* noise.h - normal noise with the bits of torch's CPU generator (spec 7).
 *
 * The same seed must give the same picture as the official pipeline, so this is mt19937 and torch's three ways of
 * making normals from it, not a generator of our own taste (that is base/rng.h). */
#ifndef PIPE_NOISE_H
#define PIPE_NOISE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum noise_kernel {
    NOISE_BF16,         /* what torch 2.6 draws for a bf16 tensor: 8 random bits a uniform (spec 7.3) */
    NOISE_FP32,         /* what it draws for an fp32 tensor (spec 7.5) */
    NOISE_FP32_ROUNDED  /* NOISE_FP32 rounded to bf16: newer torch's bf16 */
} noise_kernel;

/* The generator; `spare` is the second normal of a pair, kept between calls that want fewer than 16 values. */
typedef struct noise_generator { uint32_t state[624]; int next; bool has_spare; double spare; } noise_generator;

void     noise_seed(noise_generator *g, uint64_t seed); /* only the low 32 bits matter (spec 7.1) */
uint32_t noise_u32(noise_generator *g);
/* n normals in memory order, as one torch call with n contiguous values would draw them. */
void     noise_normal(noise_generator *g, noise_kernel kernel, float *out, size_t n);

int         noise_kernel_from_name(const char *name);  /* "bf16", "fp32", "fp32-rounded"; -1: unknown */
const char *noise_kernel_name(noise_kernel kernel);
#endif
