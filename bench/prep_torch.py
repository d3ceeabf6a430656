#!/usr/bin/env python3
"""prep_torch.py BENCH_PREP [NETWORK ...] - PyTorch beside bench_prep in strict alternation, on two threads: the networks that prepare references at
their full size, written with torch's own convolutions, norms and scaled_dot_product_attention, random weights.  Seconds and seconds of processor."""
import json, subprocess, sys, time
import torch, torch.nn.functional as F

torch.set_num_threads(2)
kept = {}
def w(name, *shape):
    if name not in kept: kept[name] = torch.randn(*shape) * (2 / max(1, torch.tensor(shape[1:]).prod().item())) ** .5 * .7
    return kept[name]
def conv(x, name, o, k=3, s=1, d=1, p=None, bias=True): return F.conv2d(x, w(name, o, x.shape[1], k, k), w(name + 'b', o) if bias else None, s, d * (k // 2) if p is None else p, d)
def lin(x, name, o, bias=True): return F.linear(x, w(name, o, x.shape[-1]), w(name + 'b', o) if bias else None)
def ln(x, name): return F.layer_norm(x, x.shape[-1:], w(name, x.shape[-1]), w(name + 'b', x.shape[-1]))
def relu(x): return F.relu_(x)

# ---- BEN2
def swin_block(x, n, i, d, heads):
    B, C, win, at = x.shape[0], x.shape[-1], 12, f's{i}.{d}.'
    y = ln(x, at + 'n1').view(B, n, n, C); pad = -n % win
    y = F.pad(y, (0, 0, 0, pad, 0, pad)); N = n + pad
    if d % 2: y = torch.roll(y, (-6, -6), (1, 2))
    y = y.view(B, N // win, win, N // win, win, C).transpose(2, 3).reshape(-1, win * win, C)
    q, k, v = lin(y, at + 'qkv', 3 * C).view(-1, win * win, 3, heads, 32).permute(2, 0, 3, 1, 4)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=w(at + 'bias', 1, heads, win * win, win * win)).transpose(1, 2).reshape(-1, win * win, C)
    y = lin(y, at + 'proj', C).view(B, N // win, N // win, win, win, C).transpose(2, 3).reshape(B, N, N, C)
    if d % 2: y = torch.roll(y, (6, 6), (1, 2))
    x = x + y[:, :n, :n].reshape(B, n * n, C)
    return x + lin(F.gelu(lin(ln(x, at + 'n2'), at + 'f1', 4 * C)), at + 'f2', C)
def swin(x):
    x = conv(x, 'patch', 128, 4, 4, p=0); B = x.shape[0]; n = x.shape[-1]
    x = ln(x.flatten(2).transpose(1, 2), 'pn'); out = [x.transpose(1, 2).view(B, 128, n, n)]
    for i, (depth, heads) in enumerate(zip((2, 2, 18, 2), (4, 8, 16, 32))):
        for d in range(depth): x = swin_block(x, n, i, d, heads)
        out.append(ln(x, f'o{i}').transpose(1, 2).view(B, -1, n, n))
        if i < 3:
            C = x.shape[-1]; y = x.view(B, n, n, C)
            x = lin(ln(torch.cat([y[:, 0::2, 0::2], y[:, 1::2, 0::2], y[:, 0::2, 1::2], y[:, 1::2, 1::2]], -1).view(B, -1, 4 * C), f'm{i}'), f'r{i}', 2 * C, False); n //= 2
    return out
def cbr(x, name, o=128): return F.gelu(F.instance_norm(conv(x, name, o)))
def mha(q, k, v, at):
    y = F.scaled_dot_product_attention(lin(q, at + 'q', 128), lin(k, at + 'k', 128), lin(v, at + 'v', 128))
    return lin(y, at + 'o', 128)
tok = lambda x: x.flatten(2).transpose(1, 2)
def settle(x, y, at): x = ln(x + y, at + 'n1'); return ln(x + lin(F.gelu(lin(x, at + 'l1', 256)), at + 'l2', 128), at + 'n2')
def stitch(x): return torch.cat([torch.cat([x[0:1], x[1:2]], 3), torch.cat([x[2:3], x[3:4]], 3)], 2)
def quarters(x): h = x.shape[2] // 2; return torch.cat([x[:, :, :h, :h], x[:, :, :h, h:], x[:, :, h:, :h], x[:, :, h:, h:]])
def mclm(x):
    kv = torch.cat([tok(F.adaptive_avg_pool2d(stitch(x[:4]), n)) for n in (16, 4, 2)], 1); g = tok(x[4:])
    g = settle(g, mha(g, kv, kv, 'c0'), 'c.'); own = quarters(g.transpose(1, 2).reshape(1, 128, 16, 16)); l = tok(x[:4])
    l = settle(l, torch.cat([mha(l[i:i + 1], tok(own[i:i + 1]), tok(own[i:i + 1]), f'c{i + 1}') for i in range(4)]), 'd.')
    return torch.cat([l, g]).transpose(1, 2).reshape(5, 128, 16, 16)
def mcrm(x, at):
    h = x.shape[2]; gate = torch.sigmoid(conv(x[4:], at + 'sal', 1, 1)); own = quarters(x[4:])
    l = tok(x[:4] * quarters(F.interpolate(gate, scale_factor=2)))
    kv = torch.cat([tok(F.adaptive_avg_pool2d(own, h // r)) for r in (2, 4, 8)], 1)
    l = settle(l, torch.cat([mha(l[i:i + 1], kv[i:i + 1], kv[i:i + 1], f'{at}{i}') for i in range(4)]), at).transpose(1, 2).reshape(4, 128, h, h)
    return torch.cat([l, x[4:] + F.interpolate(stitch(l), size=(h, h))])
def bil(x, n): return F.interpolate(x, size=(n, n), mode='bilinear', align_corners=False)
def ben2():
    x = torch.randn(1, 3, 1024, 1024); sh = conv(x, 'shallow', 128)
    f = swin(torch.cat([quarters(x), bil(x, 512)])); e = [cbr(t, f'out{i}') for i, t in enumerate(f)]
    y = mclm(e[4])
    for i in (3, 2, 1, 0): y = cbr(mcrm(e[i] + bil(y, e[i].shape[2]), f'b{i}.'), f'conv{i}')
    o = stitch(y[:4]) + bil(y[4:], 256)
    o = conv(cbr(cbr(o, 'h0', 384), 'h1', 384), 'h2', 128) + bil(sh, 256)
    o = cbr(F.interpolate(o, scale_factor=2), 'u1') + bil(sh, 512)
    return torch.sigmoid(conv(cbr(F.interpolate(o, scale_factor=2), 'u2'), 'last', 1))

# ---- the others
def isnet():
    c = lambda x, at, o, d=1: relu(conv(x, at, o, 3, 1, d)); pool = lambda t: F.max_pool2d(t, 2, 2, ceil_mode=True)
    up = lambda t, like: torch.cat([F.interpolate(t, size=like.shape[2:], mode='bilinear'), like], 1)
    def rsu(n, x, mid, o, at):
        x0 = c(x, at + 'x', o); h = [c(x0, at + '1', mid)]
        for k in range(2, n): h.append(c(pool(h[-1]), f'{at}{k}', mid))
        d = c(h[-1], at + 'd', mid, 2); d = c(torch.cat([d, h[-1]], 1), at + 'e', mid)
        for k in range(n - 3, -1, -1): d = c(up(d, h[k]), f'{at}u{k}', mid if k else o)
        return d + x0
    def f4(x, mid, o, at):
        x0 = c(x, at + 'x', o); a = c(x0, at + 'a', mid); b = c(a, at + 'b', mid, 2); q = c(b, at + 'q', mid, 4); r = c(q, at + 'r', mid, 8)
        e = c(torch.cat([r, q], 1), at + 'e', mid, 4); f = c(torch.cat([e, b], 1), at + 'f', mid, 2); return c(torch.cat([f, a], 1), at + 'o', o) + x0
    y = conv(torch.randn(1, 3, 1024, 1024), 'i0', 64, 3, 2, p=1)
    h1 = rsu(7, y, 32, 64, 'A'); h2 = rsu(6, pool(h1), 32, 128, 'B'); h3 = rsu(5, pool(h2), 64, 256, 'C'); h4 = rsu(4, pool(h3), 128, 512, 'D'); h5 = f4(pool(h4), 256, 512, 'E'); h6 = f4(pool(h5), 256, 512, 'F')
    d = f4(up(h6, h5), 256, 512, 'G'); d = rsu(4, up(d, h4), 128, 256, 'H'); d = rsu(5, up(d, h3), 64, 128, 'I'); d = rsu(6, up(d, h2), 32, 64, 'J'); d = rsu(7, up(d, h1), 16, 64, 'K')
    return torch.sigmoid(F.interpolate(conv(d, 'side', 1), size=(1024, 1024), mode='bilinear'))
def retinaface():
    x = F.max_pool2d(relu(conv(torch.randn(1, 3, 1024, 1024), 'r0', 64, 7, 2)), 3, 2, 1); out = []
    for i, depth in enumerate((3, 4, 6, 3)):
        for k in range(depth):
            s, at, o = 2 if i and not k else 1, f'r{i}.{k}.', 64 << i
            y = conv(relu(conv(relu(conv(x, at + '1', o, 1)), at + '2', o, 3, s)), at + '3', 4 * o, 1)
            x = relu(y + (conv(x, at + 'd', 4 * o, 1, s, p=0) if not k else x))
        if i: out.append(x)
    p = [relu(conv(t, f'lat{i}', 256, 1)) for i, t in enumerate(out)]
    p[1] = relu(conv(p[1] + F.interpolate(p[2], size=p[1].shape[2:]), 'mg1', 256)); p[0] = relu(conv(p[0] + F.interpolate(p[1], size=p[0].shape[2:]), 'mg0', 256))
    for i, t in enumerate(p):
        u = relu(conv(t, f'h{i}b', 64)); t = relu(torch.cat([conv(t, f'h{i}a', 128), conv(u, f'h{i}c', 64), conv(relu(conv(u, f'h{i}d', 64)), f'h{i}e', 64)], 1))
        for name, o in (('c', 4), ('b', 8), ('l', 20)): y = conv(t, f'hd{i}{name}', o, 1)
    return y
def bisenet():
    x = F.max_pool2d(relu(conv(torch.randn(1, 3, 512, 512), 'p0', 64, 7, 2)), 3, 2, 1); f = []
    for i in range(4):
        for k in range(2):
            s, at, o = 2 if i and not k else 1, f'p{i}.{k}.', 64 << i
            y = conv(relu(conv(x, at + '1', o, 3, s)), at + '2', o)
            x = relu(y + (conv(x, at + 'd', o, 1, s, p=0) if i and not k else x))
        f.append(x)
    mean = lambda t: t.mean((2, 3), keepdim=True)
    def arm(t, at): t = relu(conv(t, at + 'c', 128)); return t * torch.sigmoid(conv(mean(t), at + 'g', 128, 1))
    up = lambda t, at: relu(conv(F.interpolate(t, scale_factor=2), at, 128))
    t = up(arm(f[3], 'a32') + relu(conv(mean(f[3]), 'avg', 128, 1)), 'h32'); t = up(arm(f[2], 'a16') + t, 'h16')
    z = relu(conv(torch.cat([f[1], t], 1), 'ffm', 256, 1)); z = z + z * torch.sigmoid(conv(relu(conv(mean(z), 'f1', 64, 1)), 'f2', 256, 1))
    return conv(relu(conv(z, 'out', 256)), 'cls', 19, 1)

networks = {'bisenet': bisenet, 'retinaface': retinaface, 'isnet': isnet, 'ben2': ben2}
with torch.no_grad():
    for name in sys.argv[2:] or networks:
        kept.clear()
        if name != 'ben2': networks[name]()          # weights are made, memory is had; of the largest the first run is timed, too
        for _ in range(1 if name == "ben2" else 2):
            t, c = time.time(), time.process_time(); networks[name](); t, c = time.time() - t, time.process_time() - c
            ours = json.loads(subprocess.run([sys.argv[1], name, '2', '1'], capture_output=True, text=True, check=True).stdout)
            print(json.dumps({'network': name, 'torch_seconds': round(t, 2), 'torch_cpu': round(c, 2), 'our_seconds': ours['seconds'], 'our_cpu': ours['cpu_seconds'], 'peak_share': ours['peak_share'],
                              'cpu_share': ours['cpu_share'], 'time_ratio': round(ours['seconds'] / t, 3), 'cpu_ratio': round(ours['cpu_seconds'] / c, 3)}), flush=True)
