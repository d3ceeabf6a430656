#!/usr/bin/env python3
"""The mean of two weight files that one run went through (model soups, Wortsman et al. 2022): number by number, SHARE of the second.

    tools/average.py FIRST SECOND OUT [SHARE]     SHARE 0.5 by default; all of the same tensors, F32 or BF16
"""
import json
import os
import sys

import numpy as np


def read(path):
    """{name: (dtype, shape, fp32 numbers)} and the file's own metadata."""
    with open(path, "rb") as f:
        data = f.read()
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        meta, tensors = header.pop("__metadata__", None), {}
        for name, t in header.items():
            begin, end = t["data_offsets"]
            raw = data[8 + size + begin:8 + size + end]
            if t["dtype"] not in ("F32", "BF16"):
                sys.exit(f"{path}: {name} is {t['dtype']}, only F32 and BF16 are averaged")
            x = np.frombuffer(raw, "<f4") if t["dtype"] == "F32" else (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
            if x.size != int(np.prod(t["shape"])):
                raise ValueError
            tensors[name] = (t["dtype"], t["shape"], x)
    except (ValueError, KeyError, TypeError, AttributeError):
        sys.exit(f"{path}: is no whole safetensors file")
    return tensors, meta


def stored(dtype, x):
    """To nearest, ties to even, as every writer of BF16 does."""
    if dtype == "F32":
        return x.astype("<f4").tobytes()
    bits = x.astype("<f4").view("<u4").astype("<u8")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    first, meta = read(sys.argv[1])
    second, _ = read(sys.argv[2])
    out, share = sys.argv[3], float(sys.argv[4]) if len(sys.argv) == 5 else 0.5
    if {k: v[:2] for k, v in first.items()} != {k: v[:2] for k, v in second.items()}:
        sys.exit(f"{sys.argv[2]}: has other tensors than {sys.argv[1]}: the mean of two different networks is neither")
    header, parts, at = {"__metadata__": meta} if meta else {}, [], 0
    for name, (dtype, shape, x) in first.items():
        parts.append(stored(dtype, (1 - share) * x + share * second[name][2]))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(parts[-1])]}
        at += len(parts[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(out + ".tmp", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(parts))
    os.replace(out + ".tmp", out)


if __name__ == "__main__":
    main()
