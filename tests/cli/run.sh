#!/bin/sh
# run.sh DREAMO DATA - what the program answers: exit code, the one line on stderr, nothing half-written.
# A case is one line below: expected exit code, a part of the message (- = none), then the arguments.
dreamo=$1
data=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
model=$work/model
cp -rL "$data/models/tiny" model
cp "$data/toy.png" toy.png
cp "$data/lora/tiny/dreamo.safetensors" lora.safetensors
head -c 2000 toy.png >cut.png
printf 'hello' >text.png
printf '\211\120\116\107\015\012\032\012\000\000\000\015\111\110\104\122\000\000\352\140\000\000\352\140\010\002\000\000\000\017\260\342\025\000\000\000\000\111\104\101\124\065\257\006\036' >bomb.png # 60,000 x 60,000 pixels in 57 bytes
failed=0
count=0

check() { # code, message part, arguments...
    want=$1 part=$2
    shift 2
    count=$((count + 1))
    before=$(ls -A "$work" | sort)
    "$dreamo" "$@" >"$work.out" 2>"$work.err"
    code=$?
    after=$(ls -A "$work" | sort)
    if [ "$code" != "$want" ] || { [ "$part" != - ] && ! grep -qF -- "$part" "$work.err"; }; then
        echo "not ok: dreamo $*"
        echo "  exit $code, expected $want; expected to read: $part"
        sed 's/^/  /' "$work.err" | head -5
        failed=$((failed + 1))
    elif [ "$want" != 0 ] && [ "$before" != "$after" ]; then
        echo "not ok: dreamo $* left files behind"
        failed=$((failed + 1))
    elif [ "$want" != 0 ] && [ "$(wc -l <"$work.err")" != 1 ] && ! grep -q '^warning' "$work.err"; then
        echo "not ok: dreamo $* says more than one line"
        sed 's/^/  /' "$work.err" | head -5
        failed=$((failed + 1))
    fi
    rm -f "$work.out" "$work.err"
}
expect() { # what did not hold
    echo "not ok: $1"
    failed=$((failed + 1))
}
small() { part=$1 code=$2; shift 2; check "$code" "$part" generate -q -m model --lora lora.safetensors -s 32x32 --steps 1 "$@"; }

# the command line
check 0 - --version
check 0 - help
check 0 - help generate
check 2 "no such command; did you mean dreamo generate" generat
check 2 "did you mean --seed" generate x --sed 1
check 2 "did you mean --steps" generate x --step 1
check 2 'device "cuda" is none of auto, cpu, ref, ggml:NAME' generate x -m model --device cuda
check 2 "here it is --device" generate x --backend cpu
check 2 '--memory: "8x" is no size; for example 8G, 6500M' generate x -m model --memory 8x
check 2 "info: FILE is missing" info
check 2 "did you forget quotes" generate a red toy
check 2 "the prompt is missing" generate
check 2 "given twice" generate x --steps 1 --steps 2
check 2 "the value (N) is missing" generate x --steps
for bad in abc 1e309 nan inf 0x10 1_000 "" " 1" 1.5; do check 2 "--steps" generate x --steps "$bad"; done
for bad in abc 1e309 nan inf 0x10 1_000 "" "1,5"; do check 2 "--guidance" generate x --guidance "$bad"; done
for bad in abc -1 1e3 18446744073709551616 3..1 1,,2 ""; do check 2 "--seed" generate x --seed "$bad"; done
check 2 "is not WIDTHxHEIGHT" generate x -s 64
check 2 "is not WIDTHxHEIGHT" generate x -s 64x-8
check 2 "must begin with ip=, id=, style= or auto=" generate x -r toy.png
check 2 "slot=12 is outside 1 to 9" generate x -r ip=toy.png,slot=12
check 2 "no such setting" generate x -r ip=toy.png,foo=1
check 2 "\"x\" is not a number" generate x --lora a.safetensors@x

# models
check 4 "nosuch" generate -m nosuch x -o o.png
small "nosuch.safetensors" 4 x --lora nosuch.safetensors -o o.png
cp -r model broken && rm broken/vae/diffusion_pytorch_model.safetensors
check 4 "vae" generate -q -m broken x -s 32x32 -o o.png
cp model/vae/diffusion_pytorch_model.safetensors broken/vae/ && head -c 3000 model/text_encoder/model.safetensors >broken/text_encoder/model.safetensors
check 3 "text_encoder" generate -q -m broken x -s 32x32 -o o.png
cp model/vae/diffusion_pytorch_model.safetensors broken/text_encoder/model.safetensors
check 3 "is an autoencoder, diffusers' names, not a CLIP text encoder; take CLIP-L" generate -q -m broken x -s 32x32 -o o.png
cp model/text_encoder/model.safetensors broken/text_encoder/ && printf '{"num_layers": "two"}' >broken/transformer/config.json
check 3 "num_layers" generate -q -m broken x -s 32x32 -o o.png
printf '{"num_layers": 2,' >broken/transformer/config.json
check 3 "not valid JSON" generate -q -m broken x -s 32x32 -o o.png
rm -r broken

# pictures
small "nosuch.png" 4 x -r ip=nosuch.png -o o.png
small "cut.png" 3 x -r ip=cut.png -o o.png
small "text.png" 3 x -r ip=text.png -o o.png
small "bomb.png" 6 x -r ip=bomb.png -o o.png
small "a folder" 3 x -r ip=model -o o.png

# requests
check 2 "nearest are 16 and 32" generate -q -m model x -s 30x32 --steps 1 -o o.png
check 6 "allowed is 1 to 60" generate -q -m model x -s 32x32 --steps 1000 -o o.png
small "UTF-8" 2 "$(printf 'a \377 b')" -o o.png

# outputs
small "does not exist" 4 x -o missing/o.png
small "is a folder" 2 x -o model
small "no such field" 2 x -o "{foo}.png"
mkdir full && mount -t tmpfs -o size=4k tmpfs full 2>/dev/null && {
    cp toy.png full/fill 2>/dev/null
    small "full/o.png" 7 x -o full/o.png
    umount full
}
rmdir full

# output names: what is asked is written, or refused before any work
small ".webp files are not written" 2 x -o a.webp
small ".gif files are not written" 2 x -o a.gif
small ".safetensors files are not written" 2 x -o lora.safetensors
small "is the run's own input lora.safetensors" 2 x -o lora.safetensors --format png
small "is the run's own input toy.png" 2 x -r ip=toy.png -o ./toy.png
small "takes one picture" 2 x --seed 1,2 -o -
small "events of --json" 2 x --json -o -
small "seed 7 is there twice" 2 x --seed 7,7 -o "{seed}.png"
small "is neither png nor jpeg" 2 x -o o.png --format webp
small - 0 x --seed 7,7 -o "{n}.png" && rm -f 1.png 2.png
small - 0 "一只红色的玩具!" --seed 1 -o "{prompt}.png"
[ -s "一只红色的玩具-.png" ] || [ -s "一只红色的玩具.png" ] || { echo "not ok: no Chinese name: $(ls)"; failed=$((failed + 1)); }
small - 0 "?!" --seed 12345678901234567890 -o "{prompt}.png"
[ -s 12345678901234567890.png ] || { echo "not ok: a prompt without letters takes the seed"; failed=$((failed + 1)); }
"$dreamo" generate -q -m model x -s 32x32 --steps 1 --seed 18446744073709551615 -o - >piped.png 2>/dev/null
"$dreamo" info piped.png | grep -q 'seed: 18446744073709551615' || { echo "not ok: a picture on standard output"; failed=$((failed + 1)); }
[ -e - ] && { echo "not ok: a file called -"; failed=$((failed + 1)); }
rm -f *.png && cp "$data/toy.png" toy.png && head -c 2000 toy.png >cut.png && printf 'hello' >text.png

# references, prepared: what is asked is done, or refused before any work
check 2 "no reference is given" prep
check 2 "box=1,2,3 is not LEFT,TOP,WIDTH,HEIGHT" prep -r ip=toy.png,box=1,2,3
check 2 "reaches out of the picture" prep -r ip=toy.png,box=1,2,3000,4
check 2 "cut=maybe is none of on, off, alpha, net" prep -r ip=toy.png,cut=maybe
check 2 "part=hat: garment is known" prep -r ip=toy.png,part=hat
check 2 "face=0 is no number of a face" prep -r id=toy.png,face=0
check 2 "none of auto, ben2, isnet, own, plain" prep -r ip=toy.png --cutter knife
check 4 "no such folder of networks" prep -r ip=toy.png --networks nosuch
check 4 "nosuch.png" prep -r ip=nosuch.png --save-refs seen
check 3 "text.png" prep -r ip=text.png --save-refs seen
check 2 "2 references, and one file" prep -r ip=toy.png -r id=toy.png
check 2 "two references with slot 2" prep -r ip=toy.png,slot=2 -r ip=toy.png --save-refs seen
check 2 "is the run's own input" prep -r ip=toy.png -o ./toy.png
check 0 - prep -q -r ip=toy.png,box=0,0,32,48,res=keep,cut=off -o boxed.png
"$dreamo" info boxed.png | grep -q 'height: 48' || { echo "not ok: a box of 32 x 48: $("$dreamo" info boxed.png)"; failed=$((failed + 1)); }
small - 0 x -r ip=toy.png,slot=3 --save-refs seen -o o.png
[ -s seen/ref-3.png ] || { echo "not ok: what the model sees is not saved: $(ls seen)"; failed=$((failed + 1)); }
rm -rf seen boxed.png o.png

# names of inputs that look like settings
cp toy.png a,slot=2.png && cp lora.safetensors my@home.safetensors
small - 0 x -r ip=a,slot=2.png -o o.png
check 0 - generate -q -m model --lora my@home.safetensors x -r ip=toy.png -s 32x32 --steps 1 -o o.png
check 0 - generate -q -m model --lora my@home.safetensors@0.5 x -s 32x32 --steps 1 -o o.png
check 4 "your@home.safetensors: cannot be opened" generate -q -m model --lora your@home.safetensors x -s 32x32 -o p.png
rm a,slot=2.png my@home.safetensors o.png
check 2 "here it is -s WIDTHxHEIGHT" generate x --width 64
check 2 "here it is --guidance, or --true-cfg" generate x --cfg 7

# what is in a file or a request, and not used, is told
small "lacks 7 characters of the prompt, which it does not read: \"一只红色 的玩具\"" 0 "a red 一只红色 toy 的玩具" -o o.png
small "the window of true CFG has no effect" 0 x --cfg-steps 0..1 -o o.png
small - 0 x --device auto --lora lora.safetensors -o o.png
small - 0 x --true-cfg 4 -o o.png
"$dreamo" info o.png | grep -q 'true_cfg: 4' || { echo "not ok: true CFG alone"; failed=$((failed + 1)); }
rm o.png

# adapters of other kinds, weights that are none
check 0 - generate -q -m model --lora "$data/lora/kinds/lycoris.safetensors@0.8" x -s 32x32 --steps 1 -o o.png
check 0 - generate -q -m model --lora "$data/lora/kinds/text.safetensors" x -s 32x32 --steps 1 -o o.png
check 11 "belongs to this model" convert -q model -o c.gguf --fuse "$data/lora/kinds/text.safetensors"
rm -f o.png c.gguf
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 4\n' >lfs.safetensors
printf 'Entry not found' >entry.safetensors
printf '\n\n <html><body>Sign in</body></html>\n' >html.safetensors
printf '\200\002}q\000.' >pickle.ckpt
head -c 4096 /dev/zero >zeros.safetensors
: >empty.safetensors
head -c 9000 lora.safetensors >short.safetensors
for file in "lfs.safetensors:a Git LFS pointer" "entry.safetensors:a hub's answer" "html.safetensors:a web page" "pickle.ckpt:a Python pickle" "zeros.safetensors:zeros only" \
    "empty.safetensors:empty"; do
    name=${file%%:*} what=${file#*:}
    check 3 "$name: is $what" info "$name"
    check 3 "$name: is $what" generate -q -m model --lora "$name" x -s 32x32 -o p.png
    check 3 "$name: is $what" generate -q -m model --dit "$name" x -s 32x32 -o p.png
    check 3 "$name: is $what" convert -q "$name" -o c.gguf
done
check 3 "bytes are missing: fetch it again" info short.safetensors
check 3 "is a CLIP text encoder, not a FLUX.1 transformer" generate -q -m model --dit model/text_encoder/model.safetensors x -s 32x32 -o p.png
check 3 "is an autoencoder, diffusers' names, not a LoRA" generate -q -m model --lora model/vae/diffusion_pytorch_model.safetensors x -s 32x32 -o p.png
rm lfs.safetensors entry.safetensors html.safetensors pickle.ckpt zeros.safetensors empty.safetensors short.safetensors
head -c -1000 "$data/layouts/flux1-dev-Q4_0.gguf" >short.gguf
check 3 "1000 of the file's $(wc -c <"$data/layouts/flux1-dev-Q4_0.gguf") bytes are missing: fetch it again" info short.gguf
check 3 "kohya.safetensors: is LoRA in kohya's naming, not a model; give it as a LoRA: --lora FILE" generate -q -m "$data/lora/tiny/kohya.safetensors" x -s 32x32 -o p.png
rm short.gguf

# folders of files, one file, the hub's cache
mkdir -p parts hub/refs hub/snapshots && cp "$data/layouts/flux1-dev-comfy.safetensors" "$data/layouts/ae.safetensors" "$data/lora/tiny/kohya.safetensors" parts/
check 4 "parts: holds no T5 encoder, no CLIP text encoder; add it, or name it: --t5 FILE" generate -q -m parts x -s 32x32 -o p.png
check 4 "flux1-dev-comfy.safetensors: holds no T5 encoder" generate -q -m parts/flux1-dev-comfy.safetensors x -s 32x32 -o p.png
"$dreamo" info parts | grep -q 'missing: T5 encoder, no CLIP text encoder' || { echo "not ok: info parts"; failed=$((failed + 1)); }
mkdir none && check 4 "none: holds no model" generate -q -m none x -s 32x32 -o p.png
cp -r model hub/snapshots/abc && printf abc >hub/refs/main
check 0 - generate -q -m hub x -s 32x32 --steps 1 -o o.png
"$dreamo" info hub | grep -q 'snapshot: hub/snapshots/abc' || { echo "not ok: info hub"; failed=$((failed + 1)); }
printf gone >hub/refs/main # fetched by its number: no name leads there, it is the only one
check 0 - generate -q -m hub x -s 32x32 --steps 1 -o o.png
rm -r parts hub none o.png

# converting
check 2 "--output FILE is missing" convert model
check 2 "is not a number" convert model -o c.gguf --fuse lora.safetensors@x
check 2 "none of f32" convert model -o c.gguf --to q3
check 2 "safetensors has no Q8_0" convert model -o c.safetensors --to q8
check 4 "nosuch" convert -q model -o c.gguf --fuse nosuch.safetensors
check 2 "belong to a --variant" convert model -o c.gguf --no-turbo
check 2 "neither v1 nor v1.1" convert -q model -o c.gguf --variant v2
check 4 "dreamo/dreamo.safetensors" convert -q model -o c.gguf --variant v1
check 3 "toy.png" convert -q toy.png -o c.gguf
mkdir full && mount -t tmpfs -o size=176k tmpfs full 2>/dev/null && { # as many pages as the tensors need, none for the header
    check 7 "cannot be written" convert -q model -o full/c.gguf
    cp toy.png full/fill
    check 7 "bytes, its disk has" convert -q model -o full/c.gguf
    [ "$(ls full)" = fill ] || { echo "not ok: a full disk was left with $(ls full)"; failed=$((failed + 1)); }
    umount full
}
rmdir full
lora="$data/lora/tiny"
check 2 "none of dreamo, diffusers, kohya, embedding" convert "$lora/dreamo.safetensors" -m model --to-naming peft -o l.safetensors
check 2 "nothing else is done to it" convert "$lora/dreamo.safetensors" -m model --to-naming kohya -o l.safetensors --to bf16
check 2 "must end in .safetensors" convert "$lora/dreamo.safetensors" -m model --to-naming kohya -o l.gguf
check 11 "dreamo naming has no name for" convert "$lora/kohya.safetensors" -m model --to-naming dreamo -o l.safetensors
[ -e l.safetensors ] && { echo "not ok: a refused LoRA left a file"; failed=$((failed + 1)); }
check 0 - convert "$lora/dreamo.safetensors" -m model --to-naming kohya -o l.safetensors
check 7 "exists already" convert "$lora/dreamo.safetensors" -m model --to-naming kohya -o l.safetensors
check 0 - convert -q model -o c.gguf --plan
[ -e c.gguf ] && { echo "not ok: --plan wrote a file"; failed=$((failed + 1)); }
check 0 - convert -q model -o c.gguf --to bf16 --verify
check 7 "exists already" convert -q model -o c.gguf
check 0 - convert -q model -o c.gguf --to bf16 --force --json
check 2 "c.gguf: is the file that is converted" convert -q c.gguf --model model -o ./c.gguf --force
check 2 "is a LoRA that is fused" convert -q model -o lora.safetensors --fuse lora.safetensors --force
small - 0 x --seed 3 -o c1.jpg
small - 0 x --seed 3 -o c2.jpg --dit c.gguf # bf16 in, bf16 out: the same picture (JPEG: no metadata)
cmp -s c1.jpg c2.jpg || { echo "not ok: another picture from the converted transformer"; failed=$((failed + 1)); }
cp -r model blocks && rm blocks/transformer/diffusion_pytorch_model* && cp c.gguf blocks/transformer/diffusion_pytorch_model.gguf
check 0 - generate -q -m blocks --lora lora.safetensors -s 32x32 --steps 1 x --seed 3 -o c3.jpg
cmp -s c1.jpg c3.jpg || { echo "not ok: another picture from a folder with GGUF"; failed=$((failed + 1)); }
rm -r blocks
check 0 - convert -q model -o c.safetensors --to f32 --fuse lora.safetensors
"$dreamo" info c.safetensors | grep -q "FLUX.1 transformer with 2 + 2 blocks, BFL's names" || { echo "not ok: info c.safetensors"; failed=$((failed + 1)); }
check 0 - generate -q -m model --dit c.safetensors x -r ip=toy.png -s 32x32 --steps 1 -o c3.png

# fetch: nothing here goes over a network
unset HF_TOKEN
check 2 "--output DIR is missing" fetch
check 2 "--output DIR is missing" fetch --check
check 2 "--output DIR is missing" fetch --list --verify
check 2 "the folder's name is empty" fetch -o ""
check 2 "preset \"v2\" is none of v1.1, v1" fetch v2 --list
check 2 "t5 \"q4\" is none of bf16, fp16, fp8" fetch --list --t5 q4
check 2 "exclude each other" fetch --list --turbo --no-turbo
check 2 "only https:// is allowed" fetch -o new --endpoint http://example.org
check 2 "is not https://HOST" fetch -o new --endpoint https://user:word@example.org
check 4 "nosuch.txt" fetch -o new --token-file nosuch.txt
printf 'not one word' >token.txt
check 2 "token.txt: is not a token" fetch -o new --token-file token.txt
export HF_TOKEN='not one word'
check 2 "the token: is not a token" fetch -o new
unset HF_TOKEN
check 3 "toy.png: is a file, not a folder" fetch -o toy.png
check 1 "of 28 files 28 are missing, 0 begun, 0 not as they should be" fetch --check -o new
check 0 - fetch --list
check 0 - fetch v1 --list --no-turbo --t5 fp8 -o new --json
mkdir -p flux/vae && printf '{' >flux/vae/config.json.part && cp model/model_index.json flux/
check 1 "of 28 files 26 are missing, 1 begun, 0 not as they should be" fetch --check -o flux
"$dreamo" fetch --list | grep -q '^  .*3.87 GB  transformer/diffusion_pytorch_model-00003-of-00003.safetensors$' || { echo "not ok: fetch --list"; failed=$((failed + 1)); }
"$dreamo" fetch --list --json | grep -q '"path":"tokenizer_2/spiece.model".*"gated":true,"listed_bytes":791656,"sha256":"d60acb128cf7b7f2' || { echo "not ok: fetch --list --json"; failed=$((failed + 1)); }
rm -r flux token.txt

# prompts in files, grids
printf 'a\0b' >zero.txt
head -c 65536 /dev/zero | tr '\0' a >long.txt
check 2 "exclude each other" generate -m model x --prompt-file zero.txt
check 4 "nosuch.txt: No such file" generate -m model --prompt-file nosuch.txt
check 3 "zero byte" generate -m model --prompt-file zero.txt
check 6 "longer than 65535 bytes" generate -m model --prompt-file long.txt
check 3 "is a folder" generate -m model --prompt-file model
small "one picture makes no grid" 2 x --grid -o o.png
check 6 "wider or higher than 16384" generate -q -m model x --grid -n 1000 -s 1024x1024 -o o.png
rm zero.txt long.txt

# names, descriptors, limits of the system
cp toy.png "$(printf 'b\377.png')"
check 0 - info "$(printf 'b\377.png')"
check 4 "cannot be opened" info "$(printf 'c\377.png')"
for name in b c; do
    "$dreamo" info "$(printf '%s\377.png' $name)" --json 2>/dev/null >name.json
    iconv -f UTF-8 -t UTF-8 name.json >/dev/null 2>&1 && grep -q "ufffd\|$(printf '\357\277\275')" name.json || expect "JSON with a name that is not UTF-8"
done
lost() { # code, redirection, arguments...: what could not be written is told, once, and an earlier error stays the one
    want=$1 how=$2
    shift 2
    count=$((count + 1))
    case $how in full) "$dreamo" "$@" >/dev/full 2>lost.err ;; closed) "$dreamo" "$@" >&- 2>lost.err ;; esac
    code=$?
    [ "$code" = "$want" ] && [ "$(wc -l <lost.err)" = 1 ] || expect "dreamo $* with standard output $how: exit $code, $(cat lost.err)"
}
lost 7 full --version
lost 7 full --help
lost 7 full help generate
lost 7 full info toy.png
lost 7 closed --version
lost 7 closed --help
lost 4 full info nosuch --json
mkfifo pipe
check 3 "pipe: is a pipe, not a file" generate -m model --prompt-file pipe
check 3 "is a pipe, not a file" info pipe
(ulimit -f 1; "$dreamo" generate -q -m model x -s 256x256 --steps 1 --seed 1 -o big.png 2>big.err; [ $? = 7 ] && grep -q 'big.png: cannot be written: File too large' big.err) || expect "ulimit -f"
[ -z "$(ls big.png* 2>/dev/null)" ] || expect "ulimit -f leaves $(ls big.png*)"
printf 'stage = vae\npicture = 16\nbatch = 2\nmicro = 2\nwarmup = 1\nsteps = 3\nsave_every = 1\nvalidate_every = 0\ninit = plain\nexport_bf16 = no\n' >small.conf
train() { "$dreamo" train small.conf -m model --data "$data/assets" --threads 1 "$@"; }
cp -rL model other && mv other/vae/diffusion_pytorch_model.safetensors other/vae/ae.gguf
check 10 "other/vae: holds ae.gguf, and not diffusion_pytorch_model.safetensors; give it with --vae" train small.conf -m other --data "$data/assets" -o other.run
rm -r other
check 0 - train "$data/../../recipes/mini/cfg.conf" -m "$data/../../models/dreamo-mini" --data "$data/assets" -o plan.run --plan
train -o open.run >/dev/null 2>&1 || expect "a small training"
for how in 1 2 3 4; do # a closed descriptor is not given to the next file that is opened
    case $how in 1) train -o closed.run 2>&- >/dev/null ;; 2) train -o closed.run --json >&- 2>/dev/null ;; 3) train -o closed.run <&- >&- 2>&- ;; 4) train -o closed.run --json <&- >&- 2>&- ;; esac
    [ -s closed.run/lock ] && expect "closed descriptors ($how): the lock says $(head -1 closed.run/lock)"
    cmp -s open.run/model/vae/diffusion_pytorch_model.safetensors closed.run/model/vae/diffusion_pytorch_model.safetensors || expect "closed descriptors ($how): another model"
    rm -r closed.run
done
rm -r open.run
mkdir full && mount -t tmpfs -o size=12000k tmpfs full 2>/dev/null && { # room for checkpoints, none for a model beside them
    train -o full/run >/dev/null 2>full.err
    [ $? = 7 ] && grep -q 'could not be saved' full.err || expect "training on a full disk: $(tail -1 full.err)"
    [ -d full/run/ckpt-000003 ] && [ ! -e full/run/model.tmp ] || expect "training on a full disk leaves $(ls full/run | tr '\n' ' ')"
    umount full
}
rmdir full
"$dreamo" generate -m model x -s 512x512 --steps 60 --seed 1 -o hup.png >/dev/null 2>hup.err &
pid=$!
for i in $(seq 400); do grep -q '^step' hup.err && break; sleep 0.05; done
kill -HUP $pid
wait $pid
[ $? = 129 ] && [ -z "$(ls hup.png* 2>/dev/null)" ] || expect "SIGHUP"
head -c 8 /dev/zero | tr '\0' '\001' >h62.safetensors # a header of 0x0101010101010101 bytes
printf '\001\341\365\005\000\000\000\000' >huge.safetensors && truncate -s 1G huge.safetensors
printf '\200\004}\224.' >pickle.pt
check 3 "h62.safetensors: is not a safetensors file: by its first bytes it has a header of" info h62.safetensors
check 3 "a header of 100000001 bytes" info huge.safetensors
check 3 "pickle" info pickle.pt
before=$(date +%s)
"$dreamo" generate -m model x -s 32x32 --steps 60 --seed 1 -o steps.png >/dev/null 2>steps.err
[ "$(grep -c '^step' steps.err)" -le $(($(date +%s) - before + 13)) ] && grep -q '^step   60/60' steps.err || expect "$(grep -c '^step' steps.err) lines of progress"
rm -f pipe h62.safetensors huge.safetensors pickle.pt lost.err big.err full.err hup.err steps.err small.conf name.json b?.png

# what works
small - 0 x --seed 5 -o o.png
[ -s o.png ] || { echo "not ok: no o.png"; failed=$((failed + 1)); }
"$dreamo" info o.png | grep -q 'seed: 5' || { echo "not ok: info o.png does not tell the seed"; failed=$((failed + 1)); }
small "exists already" 7 x -o o.png --no-clobber
small - 0 x --seed 1,2 -o "two-{seed}.png"
[ -s two-1.png ] && [ -s two-2.png ] || { echo "not ok: two seeds, two files"; failed=$((failed + 1)); }
cp o.png first.png
small - 0 x --seed 5 -o o.png
cmp -s o.png first.png || { echo "not ok: the same seed gave other bytes"; failed=$((failed + 1)); }
printf 'x\n\n' >prompt.txt
from_file() { "$dreamo" generate -q -m model --lora lora.safetensors -s 32x32 --steps 1 --seed 5 -o file.png --prompt-file "$1" >/dev/null && cmp -s file.png first.png; }
from_file prompt.txt && from_file - <prompt.txt || { echo "not ok: a prompt from a file gave other bytes"; failed=$((failed + 1)); }
small - 0 x --seed 1..3 -o "side-{seed}.png" --grid
"$dreamo" info side-grid.png | grep -q '^width: 64' || { echo "not ok: a grid of 2 x 2 pictures of 32x32"; failed=$((failed + 1)); }
small "exists already" 7 x --seed 4..6 -o "side-{seed}.png" --grid --no-clobber
small "does not see" 0 "$(printf 'word %.0s' $(seq 600))" -o o.png
check 0 - generate -m model x -s 32x32 --plan
check 2 "TEXT is missing" tokenize -m model
check 0 - tokenize -m model "a toy"

# weights that are cut short while they are read
cp -r model cut
"$dreamo" generate -m cut x -s 512x512 --steps 60 --seed 1 -o short.png --json >cut.log 2>cut.err &
pid=$!
for i in $(seq 400); do grep -q '"done":3,' cut.log && break; sleep 0.05; done
truncate -s 4096 cut/transformer/*.safetensors
wait $pid
code=$?
if [ $code != 7 ] || ! grep -q 'cut/transformer/.*: changed while in use' cut.err || [ -e short.png ]; then
    echo "not ok: weights cut short while in use: exit $code, $(head -3 cut.err)"
    failed=$((failed + 1))
fi
count=$((count + 1))

echo "$((count - failed)) passed, $failed failed"
[ "$failed" = 0 ]
