"""PyTorch's CPU kernels beside ours: python3 bench/torch_compare.py build/bench/bench_kernels

Runs our bench for one kernel at a time and times PyTorch on the same shapes right after it, so that both meet about the same
phase of the host.  Needs PyTorch; says so and stops when there is none."""
import json
import re
import subprocess
import sys
import time

try:
    import torch
except ImportError:
    sys.exit("torch_compare.py needs PyTorch, which is not installed")

F = torch.nn.functional
TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def rate(run, flops, seconds=0.4):
    """Median rate in GFLOP/s."""
    run()
    rates, start = [], time.perf_counter()
    while len(rates) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        rates.append(flops / (time.perf_counter() - before) / 1e9)
    return sorted(rates)[len(rates) // 2]


def linear(shape, weights):
    m, k, n = map(int, re.match(r"(\d+)x(\d+)->(\d+)", shape).groups())
    x, w, b = torch.randn(m, k), torch.randn(n, k).to(TYPES[weights]), torch.randn(n)
    return rate(lambda: F.linear(x, w.float(), b), 2.0 * m * n * k)  # as a program with fp32 activations must do it


def attention(shape, _):
    samples, length, heads, dim = map(int, re.match(r"(\d+)x(\d+) rows, (\d+)x(\d+)", shape).groups())
    q, k, v = (torch.randn(samples, heads, length, dim) for _ in range(3))
    return rate(lambda: F.scaled_dot_product_attention(q, k, v), 4.0 * samples * length * length * heads * dim)


def conv(shape, _):
    n, h, w, cin, cout = map(int, re.match(r"(\d+)x(\d+)x(\d+), (\d+)->(\d+)", shape).groups())
    stride = 2 if "stride 2" in shape else 1
    x = torch.randn(n, cin, h, w).to(memory_format=torch.channels_last)
    weight = torch.randn(cout, cin, 3, 3).to(memory_format=torch.channels_last)
    return rate(lambda: F.conv2d(x, weight, padding=1, stride=stride), 2.0 * 9 * n * h * w * cin * cout / stride / stride)


def main():
    bench = sys.argv[1] if len(sys.argv) > 1 else "build/bench/bench_kernels"
    torch.set_grad_enabled(False)
    for kernel, theirs in (("linear", linear), ("attention", attention), ("conv", conv)):
        lines = subprocess.run([bench, kernel, str(torch.get_num_threads())], check=True, capture_output=True, text=True).stdout.splitlines()
        for row in map(json.loads, lines):
            if row["kernel"] != kernel or row["weights"] not in TYPES:
                continue
            other = theirs(row["shape"], row["weights"])
            print(f"{kernel:10} {row['shape']:32} {row['weights']:5} ours {row['gflops']:7.1f}  PyTorch {other:7.1f} GF/s  ratio {row['gflops'] / other:.2f}", flush=True)


if __name__ == "__main__":
    main()
