#!/bin/sh
# own.sh DREAMO DATA PICTURES - pictures of one's own on the command line: looked after, trained on in every form, and bad input.
dreamo=$1
data=$2
pictures=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
cp -rL "$data/models/tiny" model
cp -r "$pictures" own
failed=0
count=0

check() { # code, a part of what it prints (- = none), arguments...
    want=$1 part=$2
    shift 2
    count=$((count + 1))
    "$dreamo" "$@" >said 2>&1
    code=$?
    if [ "$code" != "$want" ] || { [ "$part" != - ] && ! grep -qF -- "$part" said; }; then
        echo "not ok: dreamo $*"
        echo "  exit $code, expected $want; expected to read: $part"
        sed 's/^/  /' said | head -5
        failed=$((failed + 1))
    fi
}
same() { # two files
    count=$((count + 1))
    cmp -s "$1" "$2" || { echo "not ok: $1 and $2 differ"; failed=$((failed + 1)); }
}

# looking after them
check 0 - dataset check --data own
check 0 "kind     subject 10" dataset stats --data own --side 64
check 0 '{"group":"bucket","name":"80x48","count":4}' dataset stats --data own --side 64 --json
check 0 sheet.png dataset show --data own -o sheet.png --side 64 -n 8
check 0 - dataset show --data own -o held.png --held-out -n 2
check 0 - dataset captions --data own -o words.txt
[ "$(wc -l <words.txt)" = 10 ] || { echo "not ok: ten captions"; failed=$((failed + 1)); }
check 0 packed dataset pack --data own -o packed
check 7 "packed: exists already" dataset pack --data own -o packed
check 0 - dataset check --data packed
check 0 sheet2.png dataset show --data 'packed/*.tar' -o sheet2.png --side 64 -n 8
same sheet.png sheet2.png
check 0 own dataset split --data own --share 0.3
check 7 "train.jsonl: exists already" dataset split --data own
[ "$(cat own/train.jsonl own/val.jsonl | wc -l)" = 10 ] || { echo "not ok: ten lines in two manifests"; failed=$((failed + 1)); }
check 0 - dataset check --data own/train.jsonl
check 2 "a folder for them is missing" dataset split --data packed
check 0 halves dataset split --data packed --share 0.5 -o halves
check 0 - dataset check --data 'halves/train-*.tar'

# training: every form, and going on only with the same data
cat >own.conf <<X
stage = adapter
steps = 2
batch = 2
micro = 2
warmup = 1
pictures = 0x0
ref_sides = 32
rank = 2
log_every = 1
save_every = 1
validate_every = 2
validation = 2
routing_loss = 1
X
rm own/train.jsonl own/val.jsonl
for form in own packed 'packed/shard-*.tar'; do
    check 0 "2 held out" train own.conf -m model --data "$form" --out run
    cp run/model/dreamo/dreamo.safetensors "$(echo "$form" | tr -c 'a-z\n' _).safetensors"
    rm -r run
done
same own.safetensors packed.safetensors
same own.safetensors packed_shard___tar.safetensors
check 0 - train own.conf -m model --data own --out run steps=1
printf 'other words' >own/octopus-01.txt
check 11 "trained on other data" train own.conf -m model --data own --out run --resume
cp "$pictures/octopus-01.txt" own/
check 0 - train own.conf -m model --data own --out run --resume
same run/model/dreamo/dreamo.safetensors own.safetensors
check 0 - generate -q "an octopus" -m run/model -r ip=own/octopus-01.ref1.png -s 32x32 --steps 1 -o made.png
rm -r run
check 0 - train own.conf -m model --data own --out run stage=base steps=1 pictures=32
rm -r run
check 0 - train own.conf -m model --data own --out run stage=vae steps=1 pictures=32 init=plain
rm -r run

# a cache changes nothing: written, read, with a damaged entry; captions with the adapter's own words are encoded anew and learnt from
cp -r own named
for i in 01 02 03; do printf '[ref#1] in a sea' >named/octopus-$i.txt; done
plain() { check 0 - train own.conf -m model --data named --out run steps=4 train_t5_rows=yes lr=1e-2 "$@"; cp run/model/dreamo/dreamo.safetensors made.safetensors; rm -r run; }
plain
mv made.safetensors without.safetensors
plain --cache kept
same made.safetensors without.safetensors
entries=$(ls kept | wc -l)
[ "$entries" -gt 20 ] || { echo "not ok: $entries entries are kept"; failed=$((failed + 1)); }
plain --cache kept
same made.safetensors without.safetensors
[ "$(ls kept | wc -l)" = "$entries" ] || { echo "not ok: a second run makes entries"; failed=$((failed + 1)); }
for entry in kept/*; do printf x | dd of="$entry" bs=1 seek=$(($(stat -c %s "$entry") - 2)) conv=notrunc status=none; done
plain --cache kept
same made.safetensors without.safetensors
check 0 - train own.conf -m model --data named --out begun
for cache in "" "--cache kept"; do
    check 0 - train own.conf -m begun/model --data named --out run stage=cfg $cache
    cp run/model/dreamo/cfg.safetensors "cfg$cache.safetensors"
    rm -r run
done
same cfg.safetensors "cfg--cache kept.safetensors"
# on every linear layer of the blocks, which more readers than ours know by these names
check 0 - train own.conf -m begun/model --data named --out run stage=cfg lora_layers=all
check 0 "lora_unet_double_blocks_0_txt_mod_lin.lora_up.weight" info --tensors run/model/dreamo/cfg.safetensors
for name in double_blocks_0_img_mlp_0 double_blocks_1_img_mlp_2 single_blocks_0_modulation_lin single_blocks_1_linear1; do
    grep -q "lora_unet_$name.lora_down.weight" said || { echo "not ok: $name has no LoRA"; failed=$((failed + 1)); }
done
check 0 "LoRA" generate "an octopus" -m begun/model -s 32x32 --steps 2 --lora run/model/dreamo/cfg.safetensors -o with.png
rm -r run
# preferences: a rejected picture for each target, in every form
cp -r own liked
before=octopus-10
for name in $(cd own && ls octopus-??.jpg | sed 's/[.]jpg//'); do
    cp own/$before.jpg liked/$name.rejected.jpg
    before=$name
done
check 0 - dataset check --data liked
check 0 liked-packed dataset pack --data liked -o liked-packed
for form in liked liked-packed; do
    check 0 "held out: loss" train own.conf -m begun/model --data $form --out run stage=dpo steps=3
    cp run/model/dreamo/dpo.safetensors $form.safetensors
    rm -r run
done
same liked.safetensors liked-packed.safetensors
check 0 - train own.conf -m begun/model --data own --out run stage=dpo steps=3
cmp -s run/model/dreamo/dpo.safetensors liked.safetensors && { echo "not ok: rejected pictures make no difference"; failed=$((failed + 1)); }
rm -r run
rm liked/octopus-05.rejected.jpg
check 2 "9 of 10 samples have a rejected picture" train own.conf -m begun/model --data liked --out run stage=dpo
rm -r run begun
check 2 "composed anew each time" train own.conf -m model --data "$data/assets" --out run --cache kept kinds=subject
rm -rf run
check 2 "nothing of the autoencoder's training stays the same" train own.conf -m model --data own --out run --cache kept stage=vae
rm -rf run

# taking one out
source=$(sha256sum own/octopus-03.jpg | cut -d' ' -f1)
check 2 "--source HASH is missing" dataset remove --data own
check 2 "is not a sha256" dataset remove --data own --source octopus-03.jpg
check 0 "removed own/octopus-03.ref1.mask.png" dataset remove --data own --source "$source"
check 4 "no sample has the source" dataset remove --data own --source "$source"
[ -z "$(ls own | grep octopus-03)" ] || { echo "not ok: octopus-03 is still there"; failed=$((failed + 1)); }
check 0 "gone   1 sample" dataset remove --data packed --source "$source"
check 0 "kind     subject 9" dataset stats --data packed
check 0 - dataset check --data own

# faults
rm own/octopus-05.txt && head -c 100 own/octopus-06.jpg >cut.jpg && mv cut.jpg own/octopus-06.jpg
check 3 "octopus-05.jpg: there is no caption octopus-05.txt" dataset check --data own
check 3 "2 faults" dataset check --data own
check 3 "octopus-05.jpg: there is no caption" train own.conf -m model --data own --out run
rm -r run
printf '{"prompt":"x","target":"octopus-01.jpg","references":[{"image":"octopus-01.ref1.png","index":10}]}\n{"prompt":' >own/m.jsonl
check 3 "own/m.jsonl:2: not valid JSON" dataset check --data own/m.jsonl
check 3 '"index" is 10, allowed are 1 to 9; 2 faults in all' dataset stats --data own/m.jsonl
mkdir nothing
check 3 "nothing: the dataset is empty" dataset check --data nothing
check 4 "no file has such a name" dataset check --data 'nothing/*.tar'
check 4 nowhere dataset stats --data nowhere
check 3 "is no dataset" dataset show --data sheet.png
check 2 "is a folder of assets" dataset pack --data "$data/assets" -o out
check 2 "is a folder of assets" dataset split --data "$data/assets"
gzip -k packed/shard-000000.tar && mv packed/shard-000000.tar.gz z.tar
check 3 "is compressed" dataset check --data z.tar
mkdir full && mount -t tmpfs -o size=40k tmpfs full 2>/dev/null && {
    check 7 "cannot be written" dataset pack --data packed -o full/out
    [ -z "$(ls full)" ] || { echo "not ok: a full disk was left with $(ls full)"; failed=$((failed + 1)); }
    umount full
}
rmdir full

echo "$((count - failed)) passed, $failed failed"
[ "$failed" = 0 ]
