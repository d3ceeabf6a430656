/* rng.h - random numbers whose state can be saved to the byte.
 *
 * Data, dropout, timesteps and initial weights use `rng`; noise with torch's bits is pipe/noise.c. */
#ifndef BASE_RNG_H
#define BASE_RNG_H
#include <stdint.h>

typedef struct rng { uint64_t state, stream; } rng; /* PCG-XSH-RR 64/32 (O'Neill 2014) */

rng      rng_new(uint64_t seed, uint64_t stream); /* different streams are independent */
uint32_t rng_u32(rng *r);
uint32_t rng_below(rng *r, uint32_t n);           /* 0..n-1 without bias; n >= 1 */
double   rng_double(rng *r);                      /* [0, 1), 53 bits */
double   rng_range(rng *r, double lo, double hi);
double   rng_normal(rng *r);                      /* mean 0, variance 1 (Box-Muller, no cached value) */
uint64_t hash_fnv1a(const void *data, uint64_t nbytes); /* FNV-1a 64 */
#endif
