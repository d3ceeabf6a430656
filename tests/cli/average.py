"""tools/average.py: numbers worked out by hand, what it refuses, and that nothing is left of a refusal."""
import json
import os
import struct
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "average.py")


def write(path, tensors):
    header, data = {"__metadata__": {"made": "by hand"}}, b""
    for name, (dtype, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": [len(raw) // (4 if dtype == "F32" else 2)], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def read(path, name):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    assert header["__metadata__"] == {"made": "by hand"}
    begin, end = header[name]["data_offsets"]
    return data[8 + size + begin:8 + size + end]


def run(*words):
    return subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True)


with tempfile.TemporaryDirectory() as d:
    a, b, c, out = (os.path.join(d, x) for x in ("a", "b", "c", "out"))
    f32 = lambda *x: struct.pack("<%df" % len(x), *x)
    bf16 = lambda *x: struct.pack("<%dH" % len(x), *x)
    write(a, {"x": ("F32", f32(1, 2, -4)), "y": ("BF16", bf16(0x3F80, 0x3F80))})  # 1, 1
    write(b, {"x": ("F32", f32(3, 2, 4)), "y": ("BF16", bf16(0x4000, 0x3F81))})  # 2, 1 + 2^-7
    assert run(a, b, out).returncode == 0
    assert read(out, "x") == f32(2, 2, 0)
    assert read(out, "y") == bf16(0x3FC0, 0x3F80)  # 1.5; 1 + 2^-8 lies between two: the even one
    assert run(a, b, out, "0.25").returncode == 0
    assert read(out, "x") == f32(1.5, 2, -2)
    os.remove(out)

    write(c, {"x": ("F32", f32(3, 2, 4))})
    other = run(a, c, out)
    assert other.returncode and "has other tensors" in other.stderr
    write(c, {"x": ("F16", bf16(1, 2, 3)), "y": ("BF16", bf16(1, 2))})
    half = run(a, c, out)
    assert half.returncode and "x is F16" in half.stderr
    open(c, "wb").write(open(a, "rb").read()[:-3])
    cut = run(c, b, out)
    assert cut.returncode and "no whole safetensors file" in cut.stderr
    assert sorted(os.listdir(d)) == ["a", "b", "c"]
