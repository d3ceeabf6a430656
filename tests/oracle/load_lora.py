#!/usr/bin/env python3
"""load_lora.py DREAMO DATA - what `dreamo convert --to-naming` writes, loaded and fused by diffusers and peft, against W + B A.

Needs diffusers 0.33 and peft 0.15 (tried: 0.33.1 and 0.15.2).
"""
import inspect
import os
import subprocess
import sys
import tempfile
import torch
from diffusers import FluxTransformer2DModel
from diffusers.loaders import FluxLoraLoaderMixin, lora_conversion_utils
from safetensors.torch import load_file

# The library's reader of kohya's names knows the widths of FLUX alone: it is told those of the small model.
widths, source = "[3072, 3072, 3072, 12288]", inspect.getsource(lora_conversion_utils._convert_kohya_flux_lora_to_diffusers)
assert widths in source
exec(source.replace(widths, "[32, 32, 32, 128]"), lora_conversion_utils.__dict__)
import diffusers.loaders.lora_pipeline
diffusers.loaders.lora_pipeline._convert_kohya_flux_lora_to_diffusers = lora_conversion_utils._convert_kohya_flux_lora_to_diffusers

dreamo, data = map(os.path.abspath, sys.argv[1:3])
model, adapter = data + "/models/tiny", data + "/lora/tiny/dreamo.safetensors"
base = FluxTransformer2DModel.from_pretrained(model + "/transformer", torch_dtype=torch.float32)
want = {name: w.double() for name, w in base.state_dict().items()}
ours = load_file(adapter)
layers = {  # DreamO's stem: where its rows belong
    "double_blocks_%d_processor_qkv_lora1": ["transformer_blocks.%d.attn.to_" + x for x in "qkv"],
    "double_blocks_%d_processor_qkv_lora2": ["transformer_blocks.%d.attn.add_" + x + "_proj" for x in "qkv"],
    "double_blocks_%d_processor_proj_lora1": ["transformer_blocks.%d.attn.to_out.0"],
    "double_blocks_%d_processor_proj_lora2": ["transformer_blocks.%d.attn.to_add_out"],
    "single_blocks_%d_processor_qkv_lora": ["single_transformer_blocks.%d.attn.to_" + x for x in "qkv"],
    "single_blocks_%d_processor_proj_lora": ["single_transformer_blocks.%d.proj_out"],
}
changed = set()
for stem, names in layers.items():
    for block in range(2):
        down, up = (ours[f"{stem % block}.{end}.weight"].double() for end in ("down", "up"))
        for name, rows in zip(names, up.chunk(len(names))):
            want[name % block + ".weight"] += rows @ down
            changed.add(name % block + ".weight")

with tempfile.TemporaryDirectory() as work:
    for naming in ("diffusers", "kohya"):
        path = f"{work}/{naming}.safetensors"
        subprocess.run([dreamo, "convert", adapter, "-m", model, "--to-naming", naming, "-o", path], check=True, stdout=subprocess.DEVNULL)
        m = FluxTransformer2DModel.from_pretrained(model + "/transformer", torch_dtype=torch.float32)
        state, alphas = FluxLoraLoaderMixin.lora_state_dict(path, return_alphas=True)
        FluxLoraLoaderMixin.load_lora_into_transformer(state, network_alphas=alphas, transformer=m)
        m.fuse_lora()
        m.unload_lora()
        worst = 0
        for name, w in m.state_dict().items():
            off = (w.double() - want[name]).abs().max().item()
            worst = max(worst, off)
            assert off <= 2e-6 * want[name].abs().max().item(), (naming, name, off)
        print(f"{naming}: {len(changed)} matrices of {len(want)} tensors, off by {worst:.2g} at most")
