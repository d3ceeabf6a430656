#!/usr/bin/env python3
"""flux_train.py DREAMO OUT - the numbers that test_flux_train.c compares with: DreamO's adapter stage at FLUX.1-dev's real widths.

DREAMO is a checkout of the official code.  Its transformer's forward, its LoRA converter, diffusers' 1 + 2 blocks of width 3072, peft's LoRA
layers and transformers' T5 (one block of 4096) and CLIP (one layer of 768) run as they are; autograd differentiates.  Weights and inputs are made
from their names; the bases in bf16, Q8_0 and Q4_0 hold what gguf's own quantiser makes of them, decoded.  The losses beside the velocity's are
docs/training.md's formulas, on the queries and keys that the official blocks hand to attention.
Made with torch 2.6.0, diffusers 0.33.1, peft 0.15.2, transformers 4.45.2, gguf 0.19.0.
"""
import sys
import types
import gguf
import numpy as np
import torch
import torch.nn.functional as F

from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from named import uniform

sys.modules["cv2"] = types.ModuleType("cv2")  # the official utilities import them for pictures
sys.modules["torchvision"] = types.ModuleType("torchvision")
sys.modules["torchvision.utils"] = types.ModuleType("torchvision.utils")
sys.modules["torchvision.utils"].make_grid = None
sys.path.insert(0, sys.argv[1])
from dreamo.transformer import flux_transformer_forward
from dreamo.utils import convert_flux_lora_to_diffusers

FluxTransformer2DModel.forward = flux_transformer_forward
RANK, WIDTH, TEXT_WIDTH, FIRST_ADDED, ADDED = 128, 3072, 4096, 64, 10
OUT, REFS, SLOTS = (4, 4), [(2, 3), (3, 2)], [2, 1]
T5_IDS = [3, 17, FIRST_ADDED + 1, 5, 9, FIRST_ADDED, 77, 1]  # reference 0 is [ref#2], reference 1 is [ref#1]
NAMED = [2, 5]
CLIP_IDS = [3, 8, 21, 5, 39]
SIGMA, GUIDANCE = 0.625, 1.0
SAMPLE = 64


def made(name, shape, factor=None):
    count = int(np.prod(shape))
    u = uniform(name, count)
    if factor is not None:
        u = u * (factor * 3**0.5)
    elif len(shape) >= 2:
        u = u * (3 * shape[0] / count) ** 0.5
    elif name.endswith("bias"):
        u = u * 0.1
    else:
        u = 1 + 0.2 * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


def stored(x, kind):
    """What a file of this type gives back."""
    if kind == "f32":
        return x
    if kind == "bf16":
        return x.to(torch.bfloat16).float()
    t = gguf.GGMLQuantizationType[kind.upper()]
    return torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(x.numpy(), t), t)).reshape(x.shape)


def fill(module, kind, prefix=""):
    with torch.no_grad():
        for name, p in module.state_dict().items():
            x = made(prefix + name, tuple(p.shape))
            p.copy_(stored(x, kind) if x.dim() > 1 and "relative_attention_bias" not in name else x)
    return module.eval().requires_grad_(False)


def text_embeddings(kind, rows):
    c = T5Config(d_model=TEXT_WIDTH, d_kv=64, d_ff=10240, num_layers=1, num_heads=64, vocab_size=80, feed_forward_proj="gated-gelu", dropout_rate=0)
    t5 = fill(T5EncoderModel(c), kind)
    table = torch.cat([t5.shared.weight[:FIRST_ADDED], rows, t5.shared.weight[FIRST_ADDED + ADDED:]])
    return t5(inputs_embeds=table[torch.tensor([T5_IDS])])[0]


def pooled_embedding():
    c = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=1, num_attention_heads=12, vocab_size=40, max_position_embeddings=16,
                       eos_token_id=39, bos_token_id=0, hidden_act="quick_gelu", attention_dropout=0.0)
    return fill(CLIPTextModel(c), "f32")(input_ids=torch.tensor([CLIP_IDS])).pooler_output


def lora_shapes():
    out = {}
    for stream in (1, 2):
        out["double_blocks_0_processor_qkv_lora%d" % stream] = (WIDTH, 3 * WIDTH)
        out["double_blocks_0_processor_proj_lora%d" % stream] = (WIDTH, WIDTH)
    for i in range(2):
        out["single_blocks_%d_processor_qkv_lora" % i] = (WIDTH, 3 * WIDTH)
        out["single_blocks_%d_processor_proj_lora" % i] = (5 * WIDTH, WIDTH)
    return out


def module_names(stem):
    i = stem.split("_")[2]
    if stem.startswith("single"):
        at = "single_transformer_blocks.%s." % i
        return [at + "proj_out"] if "proj" in stem else [at + "attn.to_" + x for x in "qkv"]
    at, text = "transformer_blocks.%s.attn." % i, stem.endswith("2")
    if "proj" in stem:
        return [at + ("to_add_out" if text else "to_out.0")]
    return [at + ("add_%s_proj" % x if text else "to_%s" % x) for x in "qkv"]


def transformer(kind):
    m = FluxTransformer2DModel(patch_size=1, in_channels=64, num_layers=1, num_single_layers=2, attention_head_dim=128, num_attention_heads=24,
                               joint_attention_dim=TEXT_WIDTH, pooled_projection_dim=768, guidance_embeds=True, axes_dims_rope=(16, 56, 56))
    fill(m, kind)
    lora = {}
    for stem, (fan_in, fan_out) in lora_shapes().items():
        lora[stem + ".down.weight"] = made(stem + ".down.weight", (RANK, fan_in))
        lora[stem + ".up.weight"] = made(stem + ".up.weight", (fan_out, RANK))
    m.load_lora_adapter(convert_flux_lora_to_diffusers(lora), adapter_name="dreamo")
    for p in m.parameters():
        p.requires_grad_(False)
    for name, p in m.named_parameters():
        if ".lora_" in name:
            p.requires_grad_(True)
    return m


def looks(q, k):
    """Routing maps [references, noise] and the logits of each reference with each placeholder, of one layer; q, k [1, heads, rows, 128]."""
    text, noise, at = len(T5_IDS), OUT[0] * OUT[1], len(T5_IDS) + OUT[0] * OUT[1]
    scores = torch.einsum("hid,hjd->hij", q[0], k[0]).mean(0) / 128**0.5
    maps, logits = [], []
    for h, w in REFS:
        mean = scores[at:at + h * w].mean(0)
        maps.append(mean[text:text + noise])
        logits.append(mean[NAMED])
        at += h * w
    return torch.stack(maps), torch.stack(logits)


def run(kind, wishes):
    noise = OUT[0] * OUT[1]
    rows = noise + sum(h * w for h, w in REFS)
    m = transformer(kind)
    leaf = {name: made(name, shape).requires_grad_(True) for name, shape in
            {"dreamo_task_embedding.weight": (2, WIDTH), "dreamo_idx_embedding.weight": (10, WIDTH), "dreamo_t5_embedding.weight": (ADDED, TEXT_WIDTH)}.items()}
    task, idx, t5_rows = leaf.values()
    clean, eps = made("train.clean", (rows, 64), 1), made("train.noise", (noise, 64), 1)
    mask = torch.from_numpy(((uniform("train.mask", len(REFS) * noise) + 1) / 2).astype(np.float32)).reshape(len(REFS), noise)
    shown = clean.clone()
    shown[:noise] = (1 - SIGMA) * clean[:noise] + SIGMA * eps
    embeddings, ids = [task[1].expand(noise, -1)], [FluxPipeline._prepare_latent_image_ids(1, *OUT, "cpu", torch.float32)]
    down, right = OUT
    for (h, w), slot in zip(REFS, SLOTS):
        embeddings.append((task[0] + idx[slot]).expand(h * w, -1))
        grid = FluxPipeline._prepare_latent_image_ids(1, h, w, "cpu", torch.float32)
        grid[:, 1] += down
        grid[:, 2] += right
        ids.append(grid)
        down, right = down + h, right + w

    seen, official = [], F.scaled_dot_product_attention

    def watched(q, k, v, **options):
        seen.append((q, k))
        return official(q, k, v, **options)

    text, pooled = text_embeddings(kind, t5_rows), pooled_embedding()
    F.scaled_dot_product_attention = watched
    v = m(hidden_states=shown[None], encoder_hidden_states=text, pooled_projections=pooled, timestep=torch.tensor([SIGMA]), guidance=torch.tensor([GUIDANCE]),
          img_ids=torch.cat(ids), txt_ids=torch.zeros(len(T5_IDS), 3), embeddings=torch.cat(embeddings)[None], return_dict=False)[0][0, :noise]
    F.scaled_dot_product_attention = official
    assert len(seen) == 3
    seen = [looks(q, k) for q, k in seen]
    loss = {
        "diff": ((v - (eps - clean[:noise])) ** 2).mean(),
        "route": torch.stack([((a - mask) ** 2).mean() for a, _ in seen]).mean(),
        "holder": torch.stack([((b.softmax(1) - torch.eye(len(REFS))) ** 2).mean() for _, b in seen]).mean(),
    }
    loss["all"] = loss["diff"] + loss["route"] + 0.1 * loss["holder"]

    out = {kind + ".v": v.detach().flatten()[::7]}
    out.update({kind + ".text": text.detach().flatten()[::257], kind + ".pooled": pooled.detach().flatten()[::7]} if kind == "f32" else {})
    params = dict(m.named_parameters())
    parts = {}
    for stem in lora_shapes():
        for ours, theirs in (("down", "lora_A"), ("up", "lora_B")):
            parts["%s.%s.weight" % (stem, ours)] = [params["%s.%s.dreamo.weight" % (n, theirs)] for n in module_names(stem)]
    for name, p in leaf.items():
        parts[name] = [p]
    flat = [p for ps in parts.values() for p in ps]
    assert len(set(map(id, flat))) == len(flat) and sum(p.requires_grad for p in m.parameters()) == len(flat) - 3
    for which in wishes:
        out["%s.loss.%s" % (kind, which)] = loss[which].detach()[None]
        grads = iter(torch.autograd.grad(loss[which], flat, retain_graph=True, allow_unused=True))
        for name, ps in parts.items():
            got = [g if g is not None else torch.zeros_like(p) for p, g in ((p, next(grads)) for p in ps)]
            g = torch.stack(got).sum(0) if ".down." in name else torch.cat(got)  # the converter copies A and cuts B
            at = "%s.%s.%s" % (kind, which, name)
            out[at + ".norm"] = g.double().norm()[None].float()
            if "embedding" in name:
                for row in [0, 1] if "idx" not in name else SLOTS:
                    out["%s.%d" % (at, row)] = g[row][::g.shape[1] // SAMPLE].contiguous()
            else:
                step = g.numel() // SAMPLE | 1  # odd, so that columns vary
                out[at] = g.flatten()[::step].contiguous()
        print(kind, which, loss[which].item(), flush=True)
    return out


result = run("f32", ["diff", "route", "holder", "all"])
for stored_as in ("bf16", "q8_0", "q4_0"):
    result.update(run(stored_as, ["all"]))
save_file({k: v.clone() for k, v in result.items()}, sys.argv[2])
