#!/usr/bin/env python3
"""optimizers.py OUT - the numbers that test_optimizer.c compares with: torch.optim.Muon and torchao's AdamW8bit, a few steps each.

Made with torch 2.9.1 and torchao 0.14.1.  Muon's own code runs in double (it rounds to bfloat16 by itself, which would hide
errors of a percent); a convolution is given to it as the matrix that it is.
"""
import sys
import torch
from safetensors.torch import save_file
from torchao.optim import AdamW8bit

STEPS, LR, DECAY = 3, 0.02, 0.1
torch.manual_seed(7)
out = {}


def gradients(shape):
    """Correlated, of uneven size: rows differ by decades, as real ones do."""
    scale = 10 ** (2 * torch.rand(shape[0], *[1] * (len(shape) - 1), dtype=torch.float64) - 2)
    return [(torch.randn(shape, dtype=torch.float64) * scale).float() for _ in range(STEPS)]


def store(name, x):
    out[name] = x.detach().float().contiguous().clone()


torch.Tensor.bfloat16 = lambda self: self
for name, shape in {"wide": (6, 20), "tall": (33, 8), "square": (16, 16), "conv": (8, 5, 3, 3),
                    "panels": (66, 64), "late": (64, 80)}.items():
    start, grads = torch.randn(shape), gradients(shape)
    p = torch.nn.Parameter(start.double().flatten(1))
    opt = torch.optim.Muon([p], lr=LR, weight_decay=DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    store(f"muon.{name}.0", start)
    for step, g in enumerate(grads, 1):
        p.grad = g.double().flatten(1)
        opt.step()
        store(f"muon.{name}.g{step}", g)
        store(f"muon.{name}.{step}", p.reshape(shape))

# no tiny gradients: torchao lets a second moment become zero, ours does not
start, grads = torch.randn(34, 128), [g.sign() * g.abs().clamp(min=3e-3 * g.abs().max()) for g in gradients((34, 128))]
p = torch.nn.Parameter(start.clone())
opt = AdamW8bit([p], lr=LR, betas=(0.9, 0.99), eps=1e-8, weight_decay=DECAY, block_size=256)
store("adamw8.0", start)
for step, g in enumerate(grads, 1):
    p.grad = g.clone()
    opt.step()
    store(f"adamw8.g{step}", g)
    store(f"adamw8.{step}", p)
state = opt.state[p]
store("adamw8.m", state["exp_avg"].dequantize())
store("adamw8.v", state["exp_avg_sq"].dequantize())
save_file(out, sys.argv[1])
