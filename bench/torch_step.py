"""A training step of the small transformer in PyTorch beside ours, in strict alternation:

    python3 bench/torch_step.py build/bench/bench_kernels [ROUNDS] [eager] [compile] [autocast] [compile-autocast]

Forward and way back, no optimizer, of recipes/mini's transformer: 16 samples of 64 picture, 64 reference and 24 text tokens, width 256, 8
heads, 4 double and 8 single blocks, as one would write it in PyTorch (batched, scaled_dot_product_attention, fused RMSNorm left to the compiler).
Ours is `bench_kernels step` (in fp32 and with products in bf16), started anew for each round.  Medians of processor time and of elapsed time; on a busy
machine only the first can be compared.  Needs PyTorch; says so and stops when there is none."""
import json
import os
import subprocess
import sys
import time

try:
    import torch
except ImportError:
    sys.exit("torch_step.py needs PyTorch, which is not installed")
from torch import nn
import torch.nn.functional as F

SAMPLES, IMAGE, TEXT, D, HEADS, DOUBLES, SINGLES = 16, 128, 24, 256, 8, 4, 8
DIM = D // HEADS


def modulated(x, shift, scale):
    return F.layer_norm(x, (D,), eps=1e-6) * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


def rotate(x, cos, sin):
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)


class Heads(nn.Module):
    """q, k, v of a stream's columns, normalised and turned: [samples, heads, tokens, dim] each."""
    def __init__(self):
        super().__init__()
        self.q, self.k = nn.RMSNorm(DIM, eps=1e-6), nn.RMSNorm(DIM, eps=1e-6)

    def forward(self, qkv, pe):
        q, k, v = (t.unflatten(-1, (HEADS, DIM)).transpose(1, 2) for t in qkv.chunk(3, -1))
        return rotate(self.q(q), *pe), rotate(self.k(k), *pe), v


class Stream(nn.Module):
    def __init__(self):
        super().__init__()
        self.mod, self.qkv, self.proj = nn.Linear(D, 6 * D), nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.heads, self.up, self.down = Heads(), nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def after(self, x, a, m):
        x = x + m[2].unsqueeze(1) * self.proj(a)
        return x + m[5].unsqueeze(1) * self.down(F.gelu(self.up(modulated(x, m[3], m[4])), approximate="tanh"))


class Double(nn.Module):
    def __init__(self):
        super().__init__()
        self.txt, self.img = Stream(), Stream()

    def forward(self, txt, img, vec, pe):
        mt, mi = self.txt.mod(vec).chunk(6, -1), self.img.mod(vec).chunk(6, -1)
        n = txt.shape[1]
        t = self.txt.heads(self.txt.qkv(modulated(txt, mt[0], mt[1])), (pe[0][:n], pe[1][:n]))
        i = self.img.heads(self.img.qkv(modulated(img, mi[0], mi[1])), (pe[0][n:], pe[1][n:]))
        a = F.scaled_dot_product_attention(*(torch.cat(pair, 2) for pair in zip(t, i))).transpose(1, 2).flatten(2)
        return self.txt.after(txt, a[:, :n], mt), self.img.after(img, a[:, n:], mi)


class Single(nn.Module):
    def __init__(self):
        super().__init__()
        self.mod, self.into, self.out, self.heads = nn.Linear(D, 3 * D), nn.Linear(D, 7 * D), nn.Linear(5 * D, D), Heads()

    def forward(self, x, vec, pe):
        shift, scale, gate = self.mod(vec).chunk(3, -1)
        u = self.into(modulated(x, shift, scale))
        a = F.scaled_dot_product_attention(*self.heads(u[..., :3 * D], pe)).transpose(1, 2).flatten(2)
        return x + gate.unsqueeze(1) * self.out(torch.cat((a, F.gelu(u[..., 3 * D:], approximate="tanh")), -1))


class Dit(nn.Module):
    def __init__(self):
        super().__init__()
        self.x_in, self.text_in, self.time, self.pooled = nn.Linear(64, D), nn.Linear(192, D), self.embedder(256), self.embedder(128)
        self.doubles, self.singles = nn.ModuleList(Double() for _ in range(DOUBLES)), nn.ModuleList(Single() for _ in range(SINGLES))
        self.mod_out, self.proj_out = nn.Linear(D, 2 * D), nn.Linear(D, 64)

    @staticmethod
    def embedder(n):
        return nn.Sequential(nn.Linear(n, D), nn.SiLU(), nn.Linear(D, D))

    def forward(self, tokens, text, time, pooled, pe):
        vec = F.silu(self.time(time) + self.pooled(pooled))
        img, txt = self.x_in(tokens), self.text_in(text)
        for block in self.doubles:
            txt, img = block(txt, img, vec, pe)
        x = torch.cat((txt, img), 1)
        for block in self.singles:
            x = block(x, vec, pe)
        scale, shift = self.mod_out(vec).chunk(2, -1)
        return self.proj_out(modulated(x[:, TEXT:], shift, scale))


def stepper(kind):
    torch.manual_seed(0)
    net = Dit()
    angle = torch.rand(TEXT + IMAGE, DIM // 2)
    pe = angle.cos(), angle.sin()
    inputs = torch.randn(SAMPLES, IMAGE, 64), torch.randn(SAMPLES, TEXT, 192), torch.randn(SAMPLES, 256), torch.randn(SAMPLES, 128), pe
    wanted = torch.randn(SAMPLES, IMAGE, 64)
    forward = torch.compile(net) if "compile" in kind else net

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled="autocast" in kind):
            loss = F.mse_loss(forward(*inputs).float(), wanted)
        loss.backward()
        net.zero_grad(set_to_none=False)
    return step


def cpu_seconds():
    t = os.times()
    return t.user + t.system


def timed(step, count=2):
    """Processor and elapsed seconds of a step."""
    cpu, start = cpu_seconds(), time.perf_counter()
    for _ in range(count):
        step()
    return (cpu_seconds() - cpu) / count, (time.perf_counter() - start) / count


def ours(bench):
    """name -> share of the peak by processor time and by elapsed time, and GFLOP/s by elapsed time."""
    lines = subprocess.run([bench, "step", str(torch.get_num_threads())], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    return {"ours " + r["weights"]: r for r in rows if r["shape"].startswith("DiT")}


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    bench, rounds = sys.argv[1] if len(sys.argv) > 1 else "build/bench/bench_kernels", int(sys.argv[2]) if len(sys.argv) > 2 else 3
    steps = {kind: stepper(kind) for kind in sys.argv[3:] or ("eager", "compile", "autocast", "compile-autocast")}
    seen = {}

    def note(name, times):
        seen.setdefault(name, []).append(times)
        print(f"  {name:24} {times[0]:7.3f} s of processor time, {times[1]:7.3f} s elapsed", flush=True)

    for number in range(rounds):
        for name, row in ours(bench).items():
            note(name, (row["cpu_seconds"], row["seconds"]))
        for kind, step in steps.items():
            if number == 0:  # compile, caches
                timed(step, 2)
            note("torch " + kind, timed(step))
    base = median([cpu for cpu, _ in seen["ours F32"]])
    for name, times in seen.items():
        cpu, wall = median([t[0] for t in times]), median([t[1] for t in times])
        print(f"{name:24} {cpu:7.3f} s of processor time ({cpu / base:.2f} of ours in fp32), {wall:7.3f} s elapsed", flush=True)


if __name__ == "__main__":
    main()
