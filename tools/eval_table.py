#!/usr/bin/env python3
"""Tables from what `dreamo eval --json` printed.

    tools/eval_table.py goals FILE              each kind beside its goal
    tools/eval_table.py compare NAME=FILE ...   runs beside each other, kind by kind
"""
import json
import sys

# Shares of the ceiling that a kind should reach, and of pictures that may be swapped.
GOALS = {"subject": (0.90, None), "id": (0.90, None), "style": (0.90, None), "tryon": (0.90, None),
         "subjects": (0.75, 0.10), "ids": (0.75, 0.10), "id-style": (0.75, 0.10),
         "id-tryon": (0.50, None), "id-subject": (0.50, None), "subject-style": (0.50, None)}
TEXT = 0.85


def read(path):
    with open(path) as f:
        rows = [json.loads(line) for line in f if line.strip()]
    rows = {r["kind"]: r for r in rows if "kind" in r}
    if not rows:
        sys.exit(f"{path}: holds no line of dreamo eval --json")
    return rows


def share(x):
    return "-" if x is None else f"{x:.3f}"


def with_interval(row, name):
    x, interval = row.get(name), row.get(name + "_interval")
    return share(x) if x is None or not interval else f"{x:.3f} ({interval[0]:.2f} to {interval[1]:.2f})"


def reached(part, whole):
    """part / whole; None: one of them was not measured."""
    return None if part is None or not whole else part / whole


def goals(path):
    lines = ["| kind | n | top-1 | ceiling | of it | goal | swapped | words of the ceiling | met |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for kind, row in read(path).items():
        goal, swaps = GOALS.get(kind, (None, None))
        found, words = reached(row["top1"], row["ceiling"]), reached(row["text"], row["text_ceiling"])
        met = [found >= goal] if goal is not None and found is not None else []
        if swaps is not None and row["swapped"] is not None:
            met.append(row["swapped"] < swaps)
        if words is not None:
            met.append(words >= TEXT)
        lines.append(f"| {kind} | {row['n']} | {with_interval(row, 'top1')} | {with_interval(row, 'ceiling')} | {share(found)} | {share(goal)} | "
                     f"{share(row['swapped'])} | {share(words)} | {'-' if not met else 'yes' if all(met) else 'no'} |")
    return "\n".join(lines)


def compare(named):
    runs = {name: read(path) for name, path in named}
    kinds = [k for k in next(iter(runs.values())) if all(k in rows for rows in runs.values())]
    out = []
    for kind in kinds:
        out += [f"{kind}, n = {next(iter(runs.values()))[kind]['n']}:", "", "| run | top-1 | all of a picture | swapped | merged | words | copies |", "| --- | --- | --- | --- | --- | --- | --- |"]
        for name, rows in runs.items():
            r = rows[kind]
            out.append(f"| {name} | {with_interval(r, 'top1')} | {share(r['all'])} | {share(r['swapped'])} | {share(r['merged'])} | {with_interval(r, 'text')} | {share(r['copies'])} |")
        order = sorted((n for n in runs if runs[n][kind]["top1"] is not None), key=lambda n: -runs[n][kind]["top1"])
        if order:
            ranked = order[0]
            for before, name in zip(order, order[1:]):
                ranked += (" = " if runs[before][kind]["top1"] == runs[name][kind]["top1"] else " > ") + name
            out.append("\nFrom the best: " + ranked)
        out.append("")
    return "\n".join(out)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "goals":
        print(goals(sys.argv[2]))
    elif len(sys.argv) > 2 and sys.argv[1] == "compare" and all("=" in a for a in sys.argv[2:]):
        print(compare([a.split("=", 1) for a in sys.argv[2:]]))
    else:
        sys.exit(__doc__.strip())


if __name__ == "__main__":
    main()
