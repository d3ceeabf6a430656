/* table.h - one compilation of all kernels: defines the table named CPU_TABLE. */
#include "backend/cpu/kernels/attention.h"
#include "backend/cpu/kernels/conv.h"
#include "backend/cpu/kernels/elementwise.h"
#include "backend/cpu/kernels/groupnorm.h"
#include "backend/cpu/kernels/linear.h"
#include "backend/cpu/kernels/loss.h"
#include "backend/cpu/kernels/norm.h"

const backend CPU_TABLE = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
#define KERNEL(op) .op = k_##op
#define BOTH(op) .op = k_##op, .op##_backward = k_##op##_backward
    KERNEL(write), KERNEL(read), KERNEL(zero), KERNEL(copy), KERNEL(add_to), KERNEL(add),
    BOTH(linear), BOTH(embed), BOTH(adaln), BOTH(gateadd), BOTH(qknorm), BOTH(attention), BOTH(routemap),
    BOTH(gelu), BOTH(quickgelu), BOTH(silu), BOTH(mul), BOTH(scale), BOTH(layernorm), BOTH(rmsnorm), BOTH(groupnorm),
    BOTH(conv2d), BOTH(upsample2x), BOTH(pack2x2), BOTH(unpack2x2), BOTH(gaussian), BOTH(kl), BOTH(mse),
};
