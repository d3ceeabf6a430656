#!/bin/sh
# gpu.sh MODEL [DEVICE] - all that is worth knowing of a card, within ten minutes: seconds a step at two sizes with no, one and two references, with weights that
# stay and weights that pass through, text and autoencoder beside them, and all of it with every transformer file that DITS names (bf16, q8, q4: "a.gguf
# b.gguf").  Below it what docs/gpu.md predicted.
# BIN: the program, build/dreamo.  SIDES: "512 1024".  LIMIT: bytes for the run with a limit, 8G.  OPTIONS: more for every run; random weights (random_flux.c) have
# no adapter of DreamO's names, and references need one: OPTIONS="--lora FOLDER/embedding.safetensors".
set -eu
model=${1:?say which model: bench/gpu.sh MODEL [DEVICE]}
device=${2:-auto}
bin=${BIN:-build/dreamo}
here=$(dirname "$0")
one="--ref $here/../examples/cupcake.png"
two="$one --ref $here/../examples/camera.png"
sides=${SIDES:-512 1024}
failed=0
"$bin" info --devices
number() { echo "$row" | sed -n "s/.*\"$1\":\([-+.0-9e]*\).*/\1/p"; }
run() { # what, options
    what=$1
    shift
    if row=$(timeout 180 "$bin" bench device --json -m "$model" --device "$device" ${OPTIONS:-} "$@"); then
        awk -v what="$what" -v step="$(number seconds_a_step)" -v beside="$(number seconds_beside)" -v peak="$(number peak)" -v stay="$(number resident)" -v nodes="$(number nodes)" \
            'BEGIN { printf "%-44s %9.3f %9.2f %8.2f %8.2f %6d\n", what, step, beside, peak / 1e9, stay / 1e9, nodes }'
    else
        printf '%-44s failed, or took more than three minutes\n' "$what"
        failed=1
    fi
}
printf '%-44s %9s %9s %8s %8s %6s\n' "" "s a step" "s beside" "GB most" "GB stay" nodes
for dit in "" ${DITS:-}; do
    name=${dit##*/}
    for side in $sides; do
        run "${name:-as it is}, $side, no reference" --side "$side" ${dit:+--dit "$dit"}
        run "${name:-as it is}, $side, one reference" --side "$side" ${dit:+--dit "$dit"} $one
        run "${name:-as it is}, $side, two references" --side "$side" ${dit:+--dit "$dit"} $two
    done
    side=${sides%% *}
    run "${name:-as it is}, $side, two, at most ${LIMIT:-8G}" --side "$side" --memory "${LIMIT:-8G}" ${dit:+--dit "$dit"} $two
done
echo "predicted, s a step of FLUX.1-dev in bf16 at 1024 with one reference: RTX 4090 1.1 to 1.4, RTX 3060 7 to 8, M3 38 to 43 (docs/gpu.md)"
exit $failed
