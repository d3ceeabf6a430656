"""Our image kernels against Debian's OpenCV and Pillow on random pictures: no byte may differ.

usage: kernels.py PROBE      (tests/kernel_probe: KERNEL and its numbers on a line, then the picture's bytes; answers with the result's)
Exits with 77 (skipped) where python3-opencv or python3-pil is missing."""
import subprocess
import sys

try:
    import cv2
    import numpy as np
    from PIL import Image
except ImportError as missing:
    print(missing)
    sys.exit(77)

probe = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
rng = np.random.default_rng(1)


def ask(line, picture, shape):
    probe.stdin.write(line.encode() + b"\n" + picture.tobytes())
    probe.stdin.flush()
    return np.frombuffer(probe.stdout.read(int(np.prod(shape))), np.uint8).reshape(shape)


def picture(w, h, channels=3):
    """Noise, or soft blots, or a few flat colours."""
    kind = rng.integers(3)
    p = rng.integers(0, 256, (h, w, channels), dtype=np.uint8)
    if kind == 1:
        p = cv2.GaussianBlur(p, (7, 7), 3).reshape(h, w, channels)
    if kind == 2:
        p = (p // 64 * 85).astype(np.uint8)
    return np.ascontiguousarray(p)


def check(name, got, want, what):
    worst = int(np.abs(got.astype(int) - want.astype(int)).max())
    if worst:
        print(f"{name} {what}: differs by up to {worst}")
        sys.exit(1)


counts = {}
for i in range(400):
    w, h = (int(v) for v in rng.integers(1, 220, 2))
    ow, oh = (int(v) for v in rng.integers(1, 220, 2))
    if i % 5 == 0:  # whole factors
        w, h = ow * int(rng.integers(1, 6)), oh * int(rng.integers(1, 6))
    p = picture(w, h)
    check("area", ask(f"area {w} {h} {ow} {oh}", p, (oh, ow, 3)), cv2.resize(p, (ow, oh), interpolation=cv2.INTER_AREA), f"{w}x{h} to {ow}x{oh}")
    counts["area"] = counts.get("area", 0) + 1
for i in range(200):
    w, h, ow, oh = (int(v) for v in rng.integers(1, 160, 4))
    p = picture(w, h)
    check("lanczos", ask(f"lanczos {w} {h} {ow} {oh}", p, (oh, ow, 3)), np.asarray(Image.fromarray(p).resize((ow, oh), Image.LANCZOS)), f"{w}x{h} to {ow}x{oh}")
    counts["lanczos"] = counts.get("lanczos", 0) + 1
for i in range(200):
    w, h = (int(v) for v in rng.integers(2, 200, 2))
    turn, zoom = rng.uniform(-3.2, 3.2), float(np.exp(rng.uniform(-1.5, 1.5)))
    m = np.array([[zoom * np.cos(turn), -zoom * np.sin(turn), rng.uniform(-60, 120)], [zoom * np.sin(turn), zoom * np.cos(turn), rng.uniform(-60, 120)]])
    if i % 3 == 0:
        m[:, :2] += rng.uniform(-0.4, 0.4, (2, 2))
    p = picture(w, h)
    want = cv2.warpAffine(p, m, (96, 80), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(132, 133, 135))
    check("warp", ask(f"warp {w} {h} 96 80 " + " ".join(float(v).hex() for v in m.ravel()), p, (80, 96, 3)), want, f"{w}x{h}")
    counts["warp"] = counts.get("warp", 0) + 1
target = np.array([[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935], [201.26117, 371.41043], [313.08905, 371.15118]])
for i in range(400):
    points = target * rng.uniform(0.1, 3) + rng.uniform(-200, 400, 2) + rng.normal(0, rng.choice([0.5, 5, 40]), (5, 2))
    want, _ = cv2.estimateAffinePartial2D(points, target, method=cv2.LMEDS)
    probe.stdin.write(("lmeds " + " ".join(float(v).hex() for v in points.ravel()) + "\n").encode())
    probe.stdin.flush()
    got = np.frombuffer(probe.stdout.read(48), np.float64).reshape(2, 3)
    corners = np.array([[0, 0, 1], [512, 512, 1]]).T
    if np.abs((got - want) @ corners).max() > 1e-4 * max(1, np.abs(want).max()):
        print("lmeds", points, got, want)
        sys.exit(1)
    counts["lmeds"] = counts.get("lmeds", 0) + 1
for i in range(60):
    w, h = (int(v) for v in rng.integers(1, 80, 2))
    p = picture(w, h, 4)
    white = Image.new("RGB", (w, h), (255, 255, 255))
    white.paste(Image.fromarray(np.ascontiguousarray(p[:, :, :3])), mask=Image.fromarray(np.ascontiguousarray(p[:, :, 3])))
    check("white", ask(f"white {w} {h} {w} {h}", p, (h, w, 3)), np.asarray(white), f"{w}x{h}")
    counts["white"] = counts.get("white", 0) + 1
print(" ".join(f"{k}: {v}" for k, v in counts.items()), f"pictures without a difference, OpenCV {cv2.__version__}")
