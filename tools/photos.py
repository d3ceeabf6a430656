#!/usr/bin/python3
"""Photographs for the matting network, from Debian's packages: DATA/photos (what stands behind, and surfaces) and DATA/cutouts (photographed things with
alpha).  Needs apt-get, dpkg-deb and python3-pil.

usage: tools/photos.py CACHE DATA"""
import hashlib
import os
import subprocess
import sys

from PIL import Image

BEHIND = ["lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "mate-backgrounds", "ukui-wallpapers", "gnome-backgrounds", "plasma-workspace-wallpapers", "mypaint-data-extras"]
THINGS = ["tuxpaint-stamps-default"]
SHORTER, LONGEST, LEAST = 448, 320, 96

if len(sys.argv) != 3:
    sys.exit(__doc__)
cache, data = sys.argv[1:]
Image.MAX_IMAGE_PIXELS = None


def unpack(package):
    to = os.path.join(cache, package)
    if not os.path.isdir(to):
        subprocess.run(["apt-get", "download", package], cwd=cache, check=True)
        deb = next(f for f in sorted(os.listdir(cache)) if f.startswith(package + "_") and f.endswith(".deb"))
        subprocess.run(["dpkg-deb", "-x", os.path.join(cache, deb), to], check=True)
    return to


def files(folder):
    for root, folders, names in os.walk(folder):
        folders.sort()
        pictures = sorted(n for n in names if n.lower().endswith((".jpg", ".jpeg", ".png", ".webp")) and "screenshot" not in n)
        if os.path.basename(root) == "images":  # one picture in many sizes
            pictures = sorted(pictures, key=lambda n: -os.path.getsize(os.path.join(root, n)))[:1]
        yield from (os.path.join(root, n) for n in pictures if not os.path.islink(os.path.join(root, n)))


def is_new(picture, seen):
    digest = hashlib.sha256(picture.resize((12, 12)).tobytes()).digest()
    new = digest not in seen
    seen.add(digest)
    return new


def behind(package, seen):
    for path in files(unpack(package)):
        try:
            picture = Image.open(path)
            picture.draft("RGB", (1024, 1024))
            picture = picture.convert("RGB")
        except OSError as why:
            print(path, why)
            continue
        k = SHORTER / min(picture.size)
        if k < 1:
            picture = picture.resize((round(picture.width * k), round(picture.height * k)), Image.BOX if k < 0.3 else Image.LANCZOS)
        if min(picture.size) >= 200 and is_new(picture, seen):
            picture.save(os.path.join(data, "photos", f"{package}-{len(seen):03d}.jpg"), quality=92)


def things(package, seen):
    for path in files(unpack(package)):
        name = path.split("stamps/")[-1]
        if name.startswith("symbols") or "mirror" in name or "flip" in name:
            continue
        picture = Image.open(path)
        if picture.mode not in ("RGBA", "LA", "P"):
            continue
        picture = picture.convert("RGBA")
        box = picture.getchannel("A").point(lambda v: 255 if v > 8 else 0).getbbox()
        if not box:
            continue
        picture = picture.crop(box)
        alpha, pixels = picture.getchannel("A").histogram(), picture.width * picture.height
        if max(picture.size) < LEAST or alpha[254] + alpha[255] > 0.985 * pixels or sum(alpha[200:]) < 0.12 * pixels:
            continue  # small, a rectangle, or hardly there
        k = min(1, LONGEST / max(picture.size))
        if k < 1:
            picture = picture.resize((max(1, round(picture.width * k)), max(1, round(picture.height * k))), Image.LANCZOS)
        if is_new(picture, seen):
            picture.save(os.path.join(data, "cutouts", name.replace("/", "-")[:-4] + ".png"))


for folder in (cache, os.path.join(data, "photos"), os.path.join(data, "cutouts")):
    os.makedirs(folder, exist_ok=True)
seen = set()
for package in BEHIND:
    behind(package, seen)
cut = set()
for package in THINGS:
    things(package, cut)
print(f"{len(seen)} photographs, {len(cut)} cut-outs")
