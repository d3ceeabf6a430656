#!/usr/bin/env python3
"""One picture of what a model makes: each sample's references, its prompt, and a picture a seed.

    dreamo dataset export --data DATA --kind "subject ids style" --held-out -n 6 -o SAMPLES        or a manifest of one's own (docs/data.md)
    dreamo eval -m MODEL --data SAMPLES --seeds 4 --keep PICTURES
    tools/sheet.py SAMPLES PICTURES OUT.png [--seeds 4] [--side 128] [--columns 2]

or, for prompts and photographs, which `generate` cuts out first:

    tools/sheet.py tests/data/photos.jsonl PICTURES OUT.png --dreamo build/dreamo [-m MODEL]

The samples stand in the manifest's order, kind by kind; none is left out.  Needs Pillow (Debian: python3-pil)."""
import argparse
import json
import os
import subprocess
import sys
import textwrap

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    sys.exit("sheet.py needs Pillow (Debian: python3-pil), which is not installed")

GAP, LINE = 6, 13
KINDS = "t2i subject subjects id ids style id-style tryon id-tryon id-subject subject-style".split()


def kind_of(item):
    """As `dreamo` infers it where the manifest does not tell: by the tasks of the references."""
    if "kind" in item:
        return item["kind"]
    tasks = sorted(r.get("task", "ip") for r in item.get("references", []))
    if not tasks:
        return "t2i"
    if len(set(tasks)) == 1:
        return {"ip": ("subject", "subjects"), "id": ("id", "ids"), "style": ("style", "style")}[tasks[0]][len(tasks) > 1]
    return {"id,style": "id-style", "id,ip": "id-subject", "ip,style": "subject-style"}[",".join(sorted(set(tasks)))]


def fitted(path, side):
    """The whole picture in the middle of a white square."""
    im = Image.open(path).convert("RGB")
    scale = side / max(im.size)
    im = im.resize((max(1, round(im.width * scale)), max(1, round(im.height * scale))), Image.LANCZOS if scale < 1 else Image.NEAREST)
    square = Image.new("RGB", (side, side), "white")
    square.paste(im, ((side - im.width) // 2, (side - im.height) // 2))
    return square


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("samples", help="a folder with a manifest.jsonl, or a manifest")
    a.add_argument("pictures")
    a.add_argument("out")
    a.add_argument("--seeds", type=int, default=4)
    a.add_argument("--side", type=int, default=128)
    a.add_argument("--columns", type=int, default=2)
    a.add_argument("--dreamo", help="the program: makes the pictures that are not there")
    a.add_argument("-m", "--model")
    o = a.parse_args()
    manifest = os.path.join(o.samples, "manifest.jsonl") if os.path.isdir(o.samples) else o.samples
    folder = os.path.dirname(manifest)
    with open(manifest) as f:
        items = [json.loads(line) for line in f if line.strip()]
    rows, seen = [], {}
    for item in sorted(items, key=lambda i: KINDS.index(kind_of(i))):  # a stable sort: the manifest's order within a kind
        kind = kind_of(item)
        number = seen.get(kind, 0)
        seen[kind] = number + 1
        given = sorted(item.get("references", []), key=lambda r: r.get("index", 0))
        refs = [os.path.join(folder, r["image"]) for r in given]
        made = [os.path.join(o.pictures, f"{kind}-{number:05d}-{k}.png") for k in range(o.seeds)]
        rows.append((kind, item["prompt"], refs, made))
        for k, path in enumerate(made):
            if o.dreamo and not os.path.exists(path):
                os.makedirs(o.pictures, exist_ok=True)
                told = [part for r, ref in zip(given, refs) for part in ("-r", f"{r.get('task', 'ip')}={ref}")]
                subprocess.run([o.dreamo, "generate", "-q", item["prompt"], *told, *(["-m", o.model] if o.model else []), "--seed", str(k), "-o", path],
                               check=True, stdout=subprocess.DEVNULL)
    for _, _, _, made in rows:
        for path in made:
            if not os.path.exists(path):
                sys.exit(f"{path}: is not there; were these samples asked for, with --seeds {o.seeds} --keep {o.pictures}?")
    most = max(len(refs) for _, _, refs, _ in rows)
    wide = (most + o.seeds) * (o.side + GAP) + 4 * GAP
    letters = ImageFont.load_default()
    per_line = wide // 6
    lines = max(len(textwrap.wrap(f"{kind}: {prompt}", per_line)) for kind, prompt, _, _ in rows)
    high = o.side + GAP + lines * LINE + 2 * GAP
    count = -(-len(rows) // o.columns)
    sheet = Image.new("RGB", (o.columns * wide + GAP, count * high + GAP), (236, 236, 236))
    draw = ImageDraw.Draw(sheet)
    for i, (kind, prompt, refs, made) in enumerate(rows):
        left, top = GAP + i // count * wide, GAP + i % count * high
        x = left + (most - len(refs)) * (o.side + GAP)
        for path in refs:
            sheet.paste(fitted(path, o.side), (x, top))
            x += o.side + GAP
        x += 2 * GAP
        for path in made:
            sheet.paste(fitted(path, o.side), (x, top))
            x += o.side + GAP
        draw.text((left, top + o.side + GAP // 2), "\n".join(textwrap.wrap(f"{kind}: {prompt}", per_line)), "black", letters)
    sheet.save(o.out, optimize=True)
    print(o.out)


if __name__ == "__main__":
    main()
