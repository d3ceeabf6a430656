/* table.h - one compilation of all kernels: defines cpu_isa_CPU_NAME and its table. */
#include "backend/cpu/kernels/attention.h"
#include "backend/cpu/kernels/choose.h"
#include "backend/cpu/kernels/conv.h"
#include "backend/cpu/kernels/elementwise.h"
#include "backend/cpu/kernels/groupnorm.h"
#include "backend/cpu/kernels/linear.h"
#include "backend/cpu/kernels/loss.h"
#include "backend/cpu/kernels/norm.h"
#include "backend/cpu/kernels/routemap.h"
#include "backend/cpu/kernels/sight.h"
#include "backend/cpu/kernels/windows.h"

#ifndef CPU_TABLE
#define CPU_TABLE table
static
#endif
const backend CPU_TABLE = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
#define KERNEL(op) .op = k_##op
#define BOTH(op) .op = k_##op, .op##_backward = k_##op##_backward
    KERNEL(write), KERNEL(read), KERNEL(zero), KERNEL(copy), KERNEL(add_to), KERNEL(add),
    BOTH(linear), KERNEL(symmetric), BOTH(embed), BOTH(adaln), BOTH(gateadd), BOTH(qknorm), BOTH(attention), BOTH(routemap),
    BOTH(softmax), BOTH(takerows),
    BOTH(gelu), BOTH(quickgelu), BOTH(silu), BOTH(mul), BOTH(scale), BOTH(layernorm), BOTH(rmsnorm),
    KERNEL(groupstats), BOTH(groupnorm),
    BOTH(conv2d), BOTH(upsample2x), BOTH(pack2x2), BOTH(unpack2x2), BOTH(gaussian), BOTH(kl), BOTH(mse),
    KERNEL(activate), KERNEL(rowscale), KERNEL(instancenorm), KERNEL(conv), KERNEL(depthwise), KERNEL(maxpool), KERNEL(boxmean), KERNEL(resample),
    KERNEL(windowattention), KERNEL(crossattention),
};

static double burn(long rounds)
{
    enum { CHAINS = 12 }; /* enough to hide the latency of every unit we know */
    vf sum[CHAINS], x = v_set(0.999f), y = v_set(1e-3f);
    for (int i = 0; i < CHAINS; i++) sum[i] = v_set((float)(i + 2)); /* never 1, the fixed point: compilers see that */
    for (long r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++) sum[i] = v_fma(sum[i], x, y);
    for (int i = 1; i < CHAINS; i++) sum[0] += sum[i];
    volatile float keep = v_sum(sum[0]);
    (void)keep;
    return 2.0 * CHAINS * VL * (double)rounds;
}

#define NAME_(name) cpu_isa_##name
#define NAME(name) NAME_(name)
#define TEXT_(name) #name
#define TEXT(name) TEXT_(name)
const cpu_isa NAME(CPU_NAME) = {.name = TEXT(CPU_NAME), .table = &CPU_TABLE, .int8 = &int8_tiles, .burn = burn};
