"""named.py - weights from their names, as tests/unit/named_weights.h makes them."""
import numpy as np


def uniform(name, count):
    """-1 to 1: FNV-1a of the name + i, through splitmix64."""
    h = 0xCBF29CE484222325
    for c in name.encode():
        h = (h ^ c) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + np.uint64((h + 0x9E3779B97F4A7C15) % 2**64)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * (2.0 * 2.0**-53) - 1
