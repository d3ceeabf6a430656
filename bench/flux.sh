#!/bin/sh
# A FLUX-size generation on this machine: seconds of each stage, most memory, and (with SD_CLI) stable-diffusion.cpp on the same files, in turn.
#
#     bench/flux.sh FOLDER [STEPS [SIZE ...]]
#
# FOLDER comes from build/bench/random_flux FOLDER models/flux-dev Q4_0.  With LAYERS and SINGLE_LAYERS the files have fewer blocks and
# CONFIG names a copy of models/flux-dev whose transformer/config.json says so.  FLAGS: more options for ours, one run for each word and one
# without ("--fast").  SD_CLI: path of the peer's sd-cli.
set -eu
folder=$1
steps=${2:-1}
[ $# -lt 2 ] || shift
shift
[ $# -gt 0 ] || set -- 256x256 512x512
dreamo=${DREAMO:-build/dreamo}
config=${CONFIG:-models/flux-dev}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$dreamo" generate "a cat" -q -s 512x512 --steps 1 --seed 1 -o "$out/ref.png" >/dev/null # any picture of that size
for dit in "$folder"/flux1-dev-*.gguf; do
    for size in "$@"; do
        echo "$(basename "$dit") $size, one 512x512 reference, $steps step(s):"
        for flag in "" ${FLAGS:-}; do
            "$dreamo" generate "a cat in a hat" -m "$config" --dit "$dit" --t5 "$folder/t5xxl-Q8_0.gguf" --clip "$folder/clip_l.safetensors" --vae "$folder/ae.safetensors" $flag \
                      --lora "$folder/embedding.safetensors" -r ip="$out/ref.png",res=keep,cut=off -s "$size" --steps "$steps" --seed 1 --timings -o "$out/ours.png" 2>"$out/ours" >/dev/null
            sed -n "s/^note  */    ours$flag  /p" "$out/ours"
        done
        [ -n "${SD_CLI:-}" ] || continue
        "$SD_CLI" --diffusion-model "$dit" --vae "$folder/ae.safetensors" --clip_l "$folder/clip_l.safetensors" --t5xxl "$folder/t5xxl-Q8_0.gguf" -p "a cat in a hat" \
                  -r "$out/ref.png" --disable-auto-resize-ref-image --cfg-scale 1 --sampling-method euler --steps "$steps" -W "${size%x*}" -H "${size#*x}" --diffusion-fa -o "$out/peer.png" >"$out/peer" 2>&1
        grep -E "encode_first_stage completed|loading tensors completed|get_learned_condition completed|sampling completed|decode_first_stage completed" "$out/peer" | sed 's/^.* - /    peer  /'
    done
done
