/* rng.c - PCG-XSH-RR 64/32 and what is drawn from it. */
#include "base/rng.h"
#include <math.h>

uint32_t rng_u32(rng *r)
{
    uint64_t old = r->state;
    r->state = old * 6364136223846793005u + r->stream;
    uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27), turn = (uint32_t)(old >> 59);
    return x >> turn | x << (-turn & 31);
}

rng rng_new(uint64_t seed, uint64_t stream)
{
    rng r = { 0, stream << 1 | 1 };
    rng_u32(&r);
    r.state += seed;
    rng_u32(&r);
    return r;
}

uint32_t rng_below(rng *r, uint32_t n)
{
    uint32_t least = -n % n, x; /* 2^32 mod n values would be too many: draw again */
    do x = rng_u32(r);
    while (x < least);
    return x % n;
}

double rng_double(rng *r)
{
    uint64_t high = rng_u32(r) >> 5, low = rng_u32(r) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

double rng_range(rng *r, double lo, double hi) { return lo + (hi - lo) * rng_double(r); }

double rng_normal(rng *r)
{
    double u = 1 - rng_double(r), v = rng_double(r); /* u in (0, 1] */
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

uint64_t hash_fnv1a(const void *data, uint64_t nbytes)
{
    const unsigned char *p = data;
    uint64_t h = 0xCBF29CE484222325u;
    for (uint64_t i = 0; i < nbytes; i++) h = (h ^ p[i]) * 0x100000001B3u;
    return h;
}
