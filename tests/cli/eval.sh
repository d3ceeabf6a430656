#!/bin/sh
# eval.sh DREAMO DATA RECIPES PICTURES - a judge is trained for a few steps and measures a small model: rows, resuming, own pictures, bad input.
dreamo=$1
data=$2
recipes=$3
pictures=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
cp -rL "$data/models/tiny" model
mkdir model/dreamo
cp "$data/lora/tiny/dreamo.safetensors" model/dreamo/
failed=0
count=0

check() { # code, a part of what it prints (- = none), arguments...
    want=$1 part=$2
    shift 2
    count=$((count + 1))
    "$dreamo" "$@" >out 2>said
    code=$?
    if [ "$code" != "$want" ] || { [ "$part" != - ] && ! grep -qF -- "$part" out said; }; then
        echo "not ok: dreamo $*"
        echo "  exit $code, expected $want; expected to read: $part"
        sed 's/^/  /' out said | head -5
        failed=$((failed + 1))
    fi
}
expect() { # what, a command that must succeed
    what=$1
    shift
    count=$((count + 1))
    "$@" || { echo "not ok: $what"; failed=$((failed + 1)); }
}
one_line() { [ "$(wc -l <out)" = 1 ]; }

# a judge of 32 x 32 pixels, trained: its loss, its checkpoints, its weights
mkdir -p begin/judge
sed 's/"side": 128/"side": 32/; s/"channels": .*/"channels": [6, 8],/; s/"blocks": .*/"blocks": [0, 1],/; s/"hidden": .*/"hidden": 12,/; s/"embed": .*/"embed": 8,/' \
    "$recipes/mini/judge/config.json" >begin/judge/config.json
cat >judge.conf <<X
stage = judge
steps = 3
batch = 6
micro = 6
warmup = 1
schedule = constant
kinds = subject:2 subjects
log_every = 1
save_every = 1
validate_every = 3
validation = 5
X
check 0 "references come first" train judge.conf -m begin --data "$data/assets" --out run --threads 1
cp run/model/judge/model.safetensors whole.safetensors
rm -r run
check 0 - train judge.conf -m begin --data "$data/assets" --out run --threads 1 steps=2
check 0 - train judge.conf -m begin --data "$data/assets" --out run --threads 1 --resume
expect "a run that went on has the bytes of one that did not stop" cmp run/model/judge/model.safetensors whole.safetensors
check 0 "trained" train judge.conf -m begin --data "$data/assets" --plan
check 2 "sample_every = 5: the judge makes no pictures" train judge.conf -m begin --data "$data/assets" --out other sample_every=5
rm -rf other
check 2 "nothing of the judge's training stays the same" train judge.conf -m begin --data "$data/assets" --out other --cache c
J=run/model/judge
small="-n 2 --candidates 5 --threads 1 --data $data/assets --judge $J"

# the judge alone
check 0 '"kind":"subject","n":3,"seeds":0' eval --real --json --kinds subject -n 3 --candidates 4 --threads 1 --data "$data/assets" --judge $J
expect "one object a kind" one_line
expect "nothing is told of pictures that nobody made" grep -q '"top1":null,.*"swapped":null.*"copies":null' out
expect "a ceiling of three" grep -qE '"candidates":4.*"ceiling":(0.0000|0.3333|0.6667|1.0000),"ceiling_interval":\[0\.' out

# a model
check 0 '"kind":"subjects","n":2,"seeds":2' eval -m model $small --json --kinds "subject, subjects" --seeds 2 --scenes -s 32x32 --ref-side 32 --steps 1 --keep kept -o page.html
expect "two rows and the page's name" [ "$(wc -l <out)" = 3 ]
cp out first
expect "pictures are kept" [ "$(ls kept | wc -l)" -ge 9 ]
expect "the page is whole" grep -q '</html>' page.html
expect "the page has its pictures in it" [ "$(grep -o 'data:image/png;base64' page.html | wc -l)" -ge 10 ]
expect "and asks for nothing else" sh -c "! grep -qE '(src|href)=.?http' page.html"
cp kept/subject-00001-0.png before.png
rm kept/subject-00001-0.png kept/subjects-00000-1.png
check 0 - eval -m model $small --json --kinds "subject, subjects" --seeds 2 --scenes -s 32x32 --ref-side 32 --steps 1 --keep kept -o page.html
expect "what was lost is made again" cmp kept/subject-00001-0.png before.png
expect "and the rows are the same" cmp out first
check 11 "keeps pictures of another model" eval -m model $small --kinds subject -s 32x32 --ref-side 32 --steps 2 --keep kept
check 0 "ceiling" eval -m model $small --kinds t2i -s 32x32 --ref-side 32 --steps 1
expect "a table" grep -q '^t2i  *2' out

# preferences: the best and the worst of each sample's pictures, a dataset that dpo takes; and two models side by side
check 0 '"kind":"subjects","n":2,"seeds":3' eval -m model $small --json --kinds "subject subjects" --seeds 3 -s 32x32 --ref-side 32 --steps 1 --pairs liked
expect "a manifest of preferences" [ "$(grep -c '"rejected": *"subjects\{0,1\}-0000[01].rejected.png"' liked/manifest.jsonl)" = 4 ]
expect "of what training sees" grep -q '"split": *"train"' liked/manifest.jsonl
expect "the two differ" sh -c "! cmp -s liked/subject-00000.target.png liked/subject-00000.rejected.png"
check 0 - dataset check --data liked
cat >prefer.conf <<X
stage = dpo
steps = 2
warmup = 1
batch = 2
micro = 2
rank = 2
dpo_beta = 100
kinds = subject
pictures = 32x32
ref_sides = 32
validation = 2
validate_every = 2
sample_every = 2
samples = 1
X
check 0 - train prefer.conf -m model --data liked --out preferred --threads 1
expect "a LoRA comes of them" [ -s preferred/model/dreamo/dpo.safetensors ]
expect "and a sheet, though nothing is held out" [ -s preferred/samples/step-000002.png ]
check 12 "holds samples already" eval -m model $small --kinds subject --seeds 2 -s 32x32 --ref-side 32 --steps 1 --pairs liked
check 0 '"seeds":1' eval -m model $small --json --kinds subject -s 32x32 --ref-side 32 --steps 1 --pairs real --pairs-real
check 0 - dataset export --data "$data/assets" --kind subject -n 2 --side 32 -o shown
expect "the data's own target is preferred" cmp real/subject-00001.target.png shown/subject-000001.target.png
expect "to what the model makes" sh -c "! cmp -s real/subject-00001.rejected.png real/subject-00001.target.png"
check 2 "no folder is named" eval -m model $small --pairs-real
check 0 '"wins":null' eval -m model $small --json --kinds subject --seeds 2 -s 32x32 --ref-side 32 --steps 1 --against kept
check 0 '"wins":0.' eval -m model $small --json --kinds "subject subjects" --seeds 2 -s 32x32 --ref-side 32 --steps 3 --against kept
expect "with its interval" grep -q '"wins_interval":\[' out
check 0 "better than the other model's in" eval -m model $small --kinds "subject subjects" --seeds 2 -s 32x32 --ref-side 32 --steps 3 --against kept
check 11 "pictures of other samples" eval -m model $small --kinds subject -s 32x32 --ref-side 32 --steps 1 --seed 5 --against kept
check 4 "eval.json" eval -m model $small --kinds subject -s 32x32 --ref-side 32 --steps 1 --against nowhere
check 4 "kept/subject-00000-2.png" eval -m model $small --kinds subject --seeds 3 -s 32x32 --ref-side 32 --steps 1 --against kept
check 2 "at least two seeds" eval -m model $small --pairs other
check 2 "nothing stands against" eval --real $small --against kept

# pictures of one's own: with targets, and to ask with
check 0 '"kind":"subject","n":2,' eval --real --json --data "$pictures" --judge $J --threads 1
check 0 '"kind":"subject","n":10,' eval --real --json --trained --data "$pictures" --judge $J --threads 1
cp "$pictures"/octopus-01.ref1.png "$pictures"/octopus-02.ref1.png .
printf '{"prompt":"an octopus on a beach by the sea","references":[{"image":"octopus-01.ref1.png"}]}\n{"prompt":"an octopus in a forest","references":[{"image":"octopus-02.ref1.png"}]}\n' >ask.jsonl
check 0 '"kind":"subject","n":2,' eval -m model --json --data ask.jsonl --judge $J --threads 1 -s 32x32 --ref-side 32 --steps 1
expect "without targets there is no ceiling" grep -q '"ceiling":null' out
expect "two candidates" grep -q '"candidates":2' out
mv out asked
check 0 '"candidates":3' eval -m model --json --data ask.jsonl --among "$data/assets" --candidates 3 --judge $J --threads 1 -s 32x32 --ref-side 32 --steps 1
mkdir asks
cp octopus-01.ref1.png asks/one.ref1.png
cp octopus-02.ref1.png asks/two.ref1.png
printf 'an octopus on a beach by the sea' >asks/one.txt
printf 'an octopus in a forest' >asks/two.txt
check 0 '"n":2' eval -m model --json --data asks --judge $J --threads 1 -s 32x32 --ref-side 32 --steps 1
expect "a folder asks as a manifest does" cmp out asked
check 3 "there is no picture" dataset check --data asks
rm asks/two.ref1.png
check 3 "has neither a target nor references" eval --real --data asks --judge $J
check 3 'ask.jsonl:1' train judge.conf -m begin --data ask.jsonl --out other --threads 1
check 3 'ask.jsonl:1' dataset check --data ask.jsonl
printf '{"prompt":"an octopus"}\n' >bare.jsonl
check 3 'bare.jsonl:1: has neither a target nor references' eval --real --data bare.jsonl --judge $J

# bad input
check 2 "given twice" eval --real $small --judge nowhere
check 4 "nowhere: no such folder" eval --real --data "$data/assets" --judge nowhere
check 2 "--data is missing" eval --real --judge $J
check 4 "nothing-there" eval --real --data nothing-there --judge $J
check 2 "--count: 0 is outside" eval --real --data "$data/assets" --judge $J -n 0
check 2 '"dog" is none of t2i subject' eval --real $small --kinds "subject dog"
check 2 "stands there twice" eval --real $small --kinds "subject subject"
check 2 "names none" eval --real $small --kinds " "
check 10 'to make "ids" samples of' eval --real --data "$pictures" --judge $J --kinds ids
check 2 "--real makes no pictures" eval --real -m model $small
check 2 "--size" eval -m model $small -s 32
check 2 "no pictures to keep" eval --real $small --keep k2
cp -r $J cut
head -c 3000 $J/model.safetensors >cut/model.safetensors
check 3 "cut/model.safetensors" eval --real --data "$data/assets" --judge cut
cp model/vae/diffusion_pytorch_model.safetensors cut/model.safetensors
check 3 "not a judge" eval --real --data "$data/assets" --judge cut
cp -r $J narrow
sed -i 's/"embed": 8/"embed": 16/' narrow/config.json
check 3 "have another shape" eval --real --data "$data/assets" --judge narrow
check 3 "is no judge's" eval --real --data "$data/assets" --judge model/vae
[ "$(ls -d k2 2>/dev/null)" = "" ] || { echo "not ok: k2 was made"; failed=$((failed + 1)); }

echo "$((count - failed)) passed, $failed failed"
[ "$failed" = 0 ]
