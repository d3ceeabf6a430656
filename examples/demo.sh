#!/bin/sh
# demo.sh DREAMO - one picture of every task with the shipped model, and all of them on one sheet with their references.  Says where they are and how long it took.
set -e
dreamo=$1
here=$(cd "$(dirname "$0")" && pwd)
out=demo
mkdir -p "$out"
: >"$out/manifest.jsonl"
begin=$(date +%s.%N)
make_one() { # name, prompt, TASK=NAME...
    name=$1 prompt=$2 given= refs=
    shift 2
    for r; do
        given="$given${given:+, }{\"task\": \"${r%%=*}\", \"image\": \"${r#*=}.png\"}"
        refs="$refs -r ${r%%=*}=$here/${r#*=}.png"
        cp "$here/${r#*=}.png" "$out/"
    done
    "$dreamo" generate "$prompt" $refs --seed 1 -o "$out/made-$name.png" >/dev/null 2>"$out/log.txt" || { cat "$out/log.txt" >&2; exit 1; }
    echo "{\"prompt\": \"$prompt\", \"target\": \"made-$name.png\", \"references\": [$given], \"split\": \"train\"}" >>"$out/manifest.jsonl"
    echo "  $prompt: $out/made-$name.png ($*)"
}
make_one thing "a cupcake on a beach by the sea" ip=cupcake
make_one things "a cupcake to the left of a camera, on green grass under a blue sky" ip=cupcake ip=camera
make_one person "a woman smiling, in front of snowy mountains" id=woman
make_one persons "a man to the left of a woman, on a beach by the sea" id=man id=woman
make_one garment "a man wearing a t-shirt, in a library full of books" ip=shirt
make_one style "generate a same style image. a cupcake on a wooden table" style=blueprint
make_one person-style "generate a same style image. a woman, in a city at night" id=woman style=blueprint
echo "7 pictures in $(echo "$(date +%s.%N) $begin" | awk '{ printf "%.1f", $1 - $2 }') seconds"
"$dreamo" dataset show -q --data "$out" --kind any --side 128 -n 7 --columns 2 -o "$out/sheet.png" && echo "all of them with their references: $out/sheet.png"
