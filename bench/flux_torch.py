"""PyTorch beside ours: training steps of FLUX's blocks at their real width, in strict alternation.

    python3 bench/flux_torch.py [--rounds N] [--stored F32] [--side 512] [--reference 256] [--text 512] [--checkpoint] [MODE ...]

MODE: eager, compile, eager-bf16, compile-bf16 (autocast); all four by default.  diffusers' FluxTransformer2DModel with 1 + 2 blocks, peft's LoRA of
rank 128 on what DreamO trains, AdamW; build/bench/flux_step the same on our side.  Seconds of each step, elapsed and of the processor, and the
medians' ratios.  Needs torch, diffusers 0.33 and peft 0.15."""
import argparse
import statistics
import subprocess
import time

import torch
from diffusers import FluxTransformer2DModel
from peft import LoraConfig

p = argparse.ArgumentParser()
p.add_argument("--rounds", type=int, default=5)
p.add_argument("--stored", default="F32")
p.add_argument("--side", type=int, default=512)
p.add_argument("--reference", type=int, default=256)
p.add_argument("--text", type=int, default=512)
p.add_argument("--layers", type=int, default=1)
p.add_argument("--single-layers", type=int, default=2)
p.add_argument("--step", default="build/bench/flux_step")
p.add_argument("--products", nargs="*", default=["fp32"], help="of ours: fp32, bf16")
p.add_argument("modes", nargs="*", default=["eager", "compile", "eager-bf16", "compile-bf16"])
a = p.parse_args()

RANK = 128
torch.manual_seed(1)
noise, refs = (a.side // 16) ** 2, (a.reference // 16) ** 2


class Step:
    """What a trainer in PyTorch does: frozen base, trained LoRA and tables."""

    def __init__(self, mode):
        bf16 = mode.endswith("bf16")
        with torch.device("meta"):
            m = FluxTransformer2DModel(num_layers=a.layers, num_single_layers=a.single_layers, guidance_embeds=True)
        m = m.to_empty(device="cpu")
        self.bf16 = bf16
        with torch.no_grad():
            for q in m.parameters():
                q.normal_(0, q.shape[-1] ** -0.5 if q.dim() > 1 else 0.1)
        m.pos_embed = type(m.pos_embed)(theta=10000, axes_dim=(16, 56, 56))
        m.requires_grad_(False)
        if bf16:
            m.to(torch.bfloat16)
        m.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian",
                                 target_modules=r".*attn\.(to_q|to_k|to_v|to_out\.0|add_[qkv]_proj|to_add_out)|single_transformer_blocks\.\d+\.proj_out"))
        for q in m.parameters():
            if q.requires_grad:
                q.data = q.data.float()
        self.tables = torch.nn.Parameter(torch.randn(12, 3072) * 0.02)
        trained = [q for q in m.parameters() if q.requires_grad] + [self.tables]
        self.adamw = torch.optim.AdamW(trained, lr=1e-4)
        self.m = m
        kind = torch.bfloat16 if bf16 else torch.float32
        self.tokens, self.text, self.pooled = torch.randn(1, noise + refs, 64, dtype=kind), torch.randn(1, a.text, 4096, dtype=kind) * 0.3, torch.randn(1, 768, dtype=kind)
        self.target = torch.randn(1, noise, 64)
        self.ids = torch.zeros(noise + refs, 3)
        self.ids[:noise, 1:] = torch.cartesian_prod(torch.arange(a.side // 16), torch.arange(a.side // 16))
        self.ids[noise:, 1:] = a.side // 16 + torch.cartesian_prod(torch.arange(a.reference // 16), torch.arange(a.reference // 16))
        self.loss = torch.compile(self.compute) if mode.startswith("compile") else self.compute

    def forward(self, tokens, embeddings):
        """DreamO's forward: embeddings join after x_embedder."""
        m = self.m
        hidden = m.x_embedder(tokens) + embeddings
        temb = m.time_text_embed(torch.tensor([600.0], dtype=tokens.dtype), torch.tensor([1000.0], dtype=tokens.dtype), self.pooled)
        text = m.context_embedder(self.text)
        rotary = m.pos_embed(torch.cat([torch.zeros(a.text, 3), self.ids]))
        for block in m.transformer_blocks:
            text, hidden = block(hidden_states=hidden, encoder_hidden_states=text, temb=temb, image_rotary_emb=rotary)
        hidden = torch.cat([text, hidden], 1)
        for block in m.single_transformer_blocks:
            hidden = block(hidden_states=hidden, temb=temb, image_rotary_emb=rotary)
        return m.proj_out(m.norm_out(hidden[:, a.text:], temb))

    def compute(self):
        embeddings = torch.cat([self.tables[1].expand(noise, -1), (self.tables[0] + self.tables[3]).expand(refs, -1)])
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            v = self.forward(self.tokens, embeddings)
        return ((v[:, :noise].float() - self.target) ** 2).mean()

    def __call__(self):
        start, spent = time.perf_counter(), time.process_time()
        loss = self.loss()
        loss.backward()
        self.adamw.step()
        self.adamw.zero_grad()
        return time.perf_counter() - start, time.process_time() - spent


class Ours:
    def __init__(self, products):
        self.p = subprocess.Popen([a.step, a.stored, str(a.layers), str(a.single_layers), str(a.side), str(a.reference), str(a.text), str(RANK)] +
                                  ([products] if products != "fp32" else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print("ours", products + ":", self.p.stdout.readline().strip(), flush=True)

    def __call__(self):
        self.p.stdin.write("\n")
        self.p.stdin.flush()
        return tuple(map(float, self.p.stdout.readline().split()[:2]))


for mode in a.modes:
    runners = {mode: Step(mode)}
    runners.update({"ours " + x: Ours(x) for x in a.products})
    times = {name: [] for name in runners}
    for run in runners.values():
        run()  # first one: memory, compiling
    for i in range(a.rounds):
        for name, run in runners.items():
            times[name].append(run())
    median = {name: [statistics.median(t[k] for t in ts) for k in (0, 1)] for name, ts in times.items()}
    for name, ts in times.items():
        print("%-14s elapsed %6.2f s, processor %6.2f s   " % (name, *median[name]), " ".join("%.2f/%.2f" % t for t in ts), flush=True)
    for name in runners:
        if name != mode:
            print("%s / %s: %.2f elapsed, %.2f processor" % (mode, name, median[mode][0] / median[name][0], median[mode][1] / median[name][1]), flush=True)
            runners[name].p.stdin.close()
            runners[name].p.wait()
    del runners
