#!/bin/sh
# demo.sh DREAMO - pictures of shipped references in new places, with the shipped model.  Says where they are and how long it took.
set -e
dreamo=$1
here=$(dirname "$0")
out=demo
mkdir -p "$out"
begin=$(date +%s.%N)
make_one() { # reference, prompt, name
    "$dreamo" generate "$2" -r "ip=$here/$1.png" -n 2 --seed 1 -o "$out/$1-{seed}.png" >/dev/null 2>"$out/log.txt" || { cat "$out/log.txt" >&2; exit 1; }
    echo "  $2: $out/$1-1.png $out/$1-2.png (reference $here/$1.png)"
}
make_one cupcake "a cupcake on a beach by the sea"
make_one camera "a camera on green grass under a blue sky"
make_one doughnut "a doughnut on a plain blue background"
echo "6 pictures in $(echo "$(date +%s.%N) $begin" | awk '{ printf "%.1f", $1 - $2 }') seconds"
