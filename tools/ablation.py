#!/usr/bin/env python3
"""What each part of the method is worth: adapters trained without it, from one base with as many steps, measured alike.

    tools/ablation.py --dreamo build/dreamo -m BASE --data DATA --out OUT [--recipe recipes/mini/dreamo.conf] [--judge DIR] [--scale 0.1]
                      [--only full no-routing ...] [-n 100] [--kinds "subjects ids"] [--threads N] [NAME=VALUE ...]

OUT/VARIANT.conf is each variant's recipe, OUT/VARIANT its run, OUT/VARIANT.jsonl its scores, OUT/ablation.md the table.  What is there already is not made
again, and a run that was stopped goes on.  NAME=VALUE overrides all recipes alike.  --scale multiplies the steps of every stage.
"""
import argparse
import os
import subprocess
import sys

from eval_table import compare

PAPER = ["full", "no-embeddings", "no-routing", "no-stages"]  # from the best, as the paper has them


def read_recipe(path):
    """[(stage or None, [(name, value)])] in order; comments go."""
    parts = [(None, [])]
    with open(path) as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line.startswith("[stage "):
                parts.append((line[7:-1].strip(), []))
            elif "=" in line:
                name, value = line.split("=", 1)
                parts[-1][1].append((name.strip(), value.strip()))
    if len(parts) < 3:
        sys.exit(f"{path}: is no plan of several stages")
    return parts


def get(parts, stage, name):
    for which in (stage, None):
        for heading, lines in parts:
            for key, value in lines:
                if heading == which and key == name:
                    return value
    sys.exit(f"[stage {stage}]: {name} is not set")


def put(parts, stage, name, value):
    for heading, lines in parts:
        if heading == stage:
            lines[:] = [(k, v) for k, v in lines if k != name] + [(name, str(value))]


def put_everywhere(parts, name, value):
    for heading, _ in parts:
        if heading is None or any(k == name for k, _ in dict(parts)[heading]):
            put(parts, heading, name, value)


def variants(parts):
    """Name and recipe of each.  Steps that a variant's stages do not make go to its longest one."""
    def copy():
        return [(heading, list(lines)) for heading, lines in parts]

    names = [heading for heading, _ in parts if heading]
    steps = {n: int(get(parts, n, "steps")) for n in names}
    most = max(names, key=lambda n: steps[n])
    last = next((n for n in names if any(k == "distil" for k, _ in dict(parts)[n])), None)
    yield "full", copy()
    for name, setting, value in (("no-embeddings", "train_tables", "no"), ("no-routing", "routing_loss", 0), ("no-placeholder", "placeholder_loss", 0)):
        one = copy()
        put_everywhere(one, setting, value)
        yield name, one
    one = [p for p in copy() if p[0] in (None, most, last)]
    put(one, most, "steps", sum(n for s, n in steps.items() if s != last))
    yield "no-stages", one
    if last:
        one = [p for p in copy() if p[0] != last]
        put(one, most, "steps", steps[most] + steps[last])
        yield "no-quality", one


def scaled(parts, scale):
    for heading, _ in parts:
        if not heading:
            continue
        steps = max(1, round(int(get(parts, heading, "steps")) * scale))
        put(parts, heading, "steps", steps)
        put(parts, heading, "warmup", min(int(get(parts, heading, "warmup")), steps))
        if any(k == "distil" for k, _ in dict(parts)[heading]):
            put(parts, heading, "distil", max(1, round(int(get(parts, heading, "distil")) * scale)))


def write(parts, path):
    with open(path, "w") as f:
        for heading, lines in parts:
            f.write((f"\n[stage {heading}]\n" if heading else "") + "".join(f"{k} = {v}\n" for k, v in lines))


def run(command, stdout=None):
    print("+", " ".join(command), file=sys.stderr, flush=True)
    code = subprocess.run(command, stdout=stdout).returncode
    if code:
        sys.exit(code if code > 0 else 1)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dreamo", default="build/dreamo")
    p.add_argument("-m", "--model", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--recipe", default="recipes/mini/dreamo.conf")
    p.add_argument("--judge")
    p.add_argument("--scale", type=float, default=1)
    p.add_argument("--only", nargs="+")
    p.add_argument("-n", type=int, default=100)
    p.add_argument("--kinds", default="subjects ids")
    p.add_argument("--threads", type=int)
    p.add_argument("--eval", nargs="+", default=[], metavar="OPTION", help="more options of dreamo eval, without their dashes: steps=4")
    p.add_argument("setting", nargs="*", help="NAME=VALUE for every recipe")
    o = p.parse_args()
    os.makedirs(o.out, exist_ok=True)
    threads = ["--threads", str(o.threads)] if o.threads else []
    done = []
    for name, parts in variants(read_recipe(o.recipe)):
        if o.only and name not in o.only:
            continue
        scaled(parts, o.scale)
        recipe, folder, scores = (os.path.join(o.out, name + end) for end in (".conf", "", ".jsonl"))
        last = [heading for heading, _ in parts][-1]
        write(parts, recipe)
        if not os.path.exists(scores):
            run([o.dreamo, "train", recipe, "-m", o.model, "--data", o.data, "--out", folder, "--resume", *threads, *o.setting])
            with open(scores + ".part", "w") as f:
                run([o.dreamo, "eval", "-m", os.path.join(folder, last, "model"), "--data", o.data, "--json", "--kinds", o.kinds, "-n", str(o.n), "--keep", folder + "-pictures",
                     *(["--judge", o.judge] if o.judge else []), *("--" + e for e in o.eval), *threads], stdout=f)
            os.rename(scores + ".part", scores)
        done.append((name, scores))
    table = compare(done) + "\nThe paper's order: " + " > ".join(PAPER) + "\n"
    with open(os.path.join(o.out, "ablation.md"), "w") as f:
        f.write(table)
    print(table)


if __name__ == "__main__":
    main()
