#!/bin/sh
# gpu.sh MODEL [DEVICE] - all that is worth knowing of a card, within ten minutes: seconds a step at two sizes with no, one and two references, with weights that
# stay and weights that pass through, and with every transformer file that DITS names (bf16, q8, q4: "a.gguf b.gguf").  Beside it what docs/gpu.md predicted.
# BIN: the program, build/dreamo.  LIMIT: bytes for the run with a limit, 8G.
set -eu
model=${1:?say which model: bench/gpu.sh MODEL [DEVICE]}
device=${2:-auto}
bin=${BIN:-build/dreamo}
here=$(dirname "$0")
one="-r $here/../examples/cupcake.png"
two="$one -r $here/../examples/camera.png"
"$bin" info --devices
run() { # what, options
    what=$1
    shift
    printf '%s: ' "$what"
    timeout 180 "$bin" --json bench device -m "$model" --device "$device" "$@" || echo "failed or more than three minutes"
}
for dit in "" ${DITS:-}; do
    for side in ${SIDES:-512 1024}; do
        run "${dit:-as it is}, $side, no reference" --side "$side" ${dit:+--dit "$dit"}
        run "${dit:-as it is}, $side, one reference" --side "$side" ${dit:+--dit "$dit"} $one
    done
    run "${dit:-as it is}, 512, two references, at most ${LIMIT:-8G}" --side 512 --memory "${LIMIT:-8G}" ${dit:+--dit "$dit"} $two
done
echo "predicted, a step at 1024 with one reference, bf16: RTX 4090 1.1 to 1.4 s, RTX 3060 7 to 8 s, M3 38 to 43 s (docs/gpu.md)"
