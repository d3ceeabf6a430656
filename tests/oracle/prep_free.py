#!/usr/bin/env python3
"""prep_free.py OUT - what PyTorch makes of the free networks that prepare references, with weights from names (tests/unit/named_weights.h): ISNet on
96 x 128 pixels, face-api's detector and landmarks at their own sizes.  Written from the networks' descriptions, without a line of ours.
--time FILE.onnx: seconds that ISNet takes at 1024 x 1024, beside ours."""
import sys, time
import numpy as np, torch, torch.nn.functional as F
from safetensors.numpy import save_file
from named import uniform

def matrix(name, *shape):
    n = int(np.prod(shape))
    return torch.from_numpy((uniform(name, n) * np.sqrt(3 * shape[0] / n)).astype(np.float32).reshape(shape))
def bias(name, n): return torch.from_numpy((uniform(name, n) * 0.1).astype(np.float32))
def picture(name, h, w): return torch.from_numpy((uniform(name, h * w * 3) * 0.5).astype(np.float32).reshape(1, h, w, 3)).permute(0, 3, 1, 2).contiguous()

class ISNet:
    def __init__(self): self.at = 0
    def weight(self, o, i):
        n = 1896 + 3 * self.at; self.at += 1
        return matrix(f'onnx::Conv_{n}', o, i, 3, 3), bias(f'onnx::Conv_{n + 1}', o)
    def c(self, x, o, d=1):
        w, b = self.weight(o, x.shape[1])
        return F.relu(F.conv2d(x, w, b, padding=d, dilation=d))
    def rsu(self, n, x, mid, o):
        pool = lambda t: F.max_pool2d(t, 2, 2, ceil_mode=True)
        up = lambda t, like: F.interpolate(t, size=like.shape[2:], mode='bilinear', align_corners=False)
        x0 = self.c(x, o); h = [self.c(x0, mid)]
        for _ in range(2, n): h.append(self.c(pool(h[-1]), mid))
        d = self.c(h[-1], mid, 2); d = self.c(torch.cat([d, h[-1]], 1), mid)
        for k in range(n - 3, -1, -1): d = self.c(torch.cat([up(d, h[k]), h[k]], 1), mid if k else o)
        return d + x0
    def rsu4f(self, x, mid, o):
        x0 = self.c(x, o); a = self.c(x0, mid); b = self.c(a, mid, 2); q = self.c(b, mid, 4); r = self.c(q, mid, 8)
        e = self.c(torch.cat([r, q], 1), mid, 4); f = self.c(torch.cat([e, b], 1), mid, 2)
        return self.c(torch.cat([f, a], 1), o) + x0
    def first(self): return matrix('conv_in.weight', 64, 3, 3, 3), bias('conv_in.bias', 64)
    def side(self): return matrix('side1.weight', 1, 64, 3, 3), bias('side1.bias', 1)
    def __call__(self, x):
        self.at = 0
        pool = lambda t: F.max_pool2d(t, 2, 2, ceil_mode=True)
        up = lambda t, like: torch.cat([F.interpolate(t, size=like.shape[2:], mode='bilinear', align_corners=False), like], 1)
        y = F.conv2d(x, *self.first(), stride=2, padding=1)
        h1 = self.rsu(7, y, 32, 64); h2 = self.rsu(6, pool(h1), 32, 128); h3 = self.rsu(5, pool(h2), 64, 256); h4 = self.rsu(4, pool(h3), 128, 512)
        h5 = self.rsu4f(pool(h4), 256, 512); h6 = self.rsu4f(pool(h5), 256, 512)
        d = self.rsu4f(up(h6, h5), 256, 512); d = self.rsu(4, up(d, h4), 128, 256); d = self.rsu(5, up(d, h3), 64, 128); d = self.rsu(6, up(d, h2), 32, 64); d = self.rsu(7, up(d, h1), 16, 64)
        return torch.sigmoid(F.interpolate(F.conv2d(d, *self.side(), padding=1), size=x.shape[2:], mode='bilinear', align_corners=False))

def separable(x, at, o, stride, same=False):
    i = x.shape[1]; w = matrix(f'{at}/depthwise_filter', i, 1, 3, 3)
    x = F.conv2d(F.pad(x, (0, 1, 0, 1)), w, stride=2, groups=i) if stride == 2 else F.conv2d(x, w, padding=1, groups=i)
    return F.conv2d(x, matrix(f'{at}/pointwise_filter', o, i, 1, 1), bias(f'{at}/bias', o))

def detector(x):
    low = -torch.inf
    leaky = lambda t: F.leaky_relu(t, 0.1)
    x = leaky(F.conv2d(x, matrix('conv0/filters', 16, 3, 3, 3), bias('conv0/bias', 16)))
    same = lambda t, s: F.max_pool2d(F.pad(t, (0, (t.shape[3] % 2) if s == 2 else 1, 0, (t.shape[2] % 2) if s == 2 else 1), value=low), 2, s)
    x = same(x, 2)
    for i in range(5): x = same(leaky(separable(x, f'conv{i + 1}', 32 << i, 1)), 2 if i < 4 else 1)
    return F.conv2d(x, matrix('conv8/filters', 25, 512, 1, 1), bias('conv8/bias', 25))

def landmarks(x):
    for i in range(4):
        o = 32 << i
        if i == 0: s = F.relu(F.conv2d(F.pad(x, (0, 1, 0, 1)), matrix('dense0/conv0/filters', 32, 3, 3, 3), bias('dense0/conv0/bias', 32), stride=2))
        else: s = F.relu(separable(x, f'dense{i}/conv0', o, 2))
        x = s
        for k in range(1, 4): s = s + separable(x, f'dense{i}/conv{k}', o, 1); x = F.relu(s)
    x = F.avg_pool2d(x, 7).reshape(1, 256)
    return x @ matrix('fc/weights', 136, 256).T + bias('fc/bias', 136)

with torch.no_grad():
    if sys.argv[1] == '--time':
        torch.set_num_threads(2); m = ISNet(); kept = {}
        plain = m.weight
        m.weight = lambda o, i: kept.setdefault(m.at, plain(o, i)) if m.at not in kept else (kept[m.at], setattr(m, 'at', m.at + 1))[0]
        x = picture('isnet.x', 1024, 1024); m(x)
        for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 2):
            t, c = time.time(), time.process_time(); m(x); print(f'torch ISNet {time.time() - t:.2f} s, {time.process_time() - c:.2f} s of processor', flush=True)
        sys.exit()
    save_file({'isnet.mask': ISNet()(picture('isnet.x', 96, 128)).numpy().reshape(96, 128),
               'tinyface.cells': detector(picture('tinyface.x', 416, 416)).permute(0, 2, 3, 1).numpy().reshape(169, 25).copy(),
               'landmarks.points': landmarks(picture('landmarks.x', 112, 112)).numpy().reshape(136)}, sys.argv[1])
