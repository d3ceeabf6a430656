#!/bin/sh
# ranks.sh DREAMO DATA MPIRUN - one run in several processes on this machine: the losses of one process, checkpoints for any
# number of them, and an end with a line from each when one is killed.
set -eu
dreamo=$(realpath "$1") data=$(realpath "$2") mpirun=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_odls_base_sigkill_timeout=3 # how long mpirun leaves the others to speak
# MPI keeps memory until exit and unloads its modules before LeakSanitizer looks, so suppressions by name do not find them: its report
# alone does not fail a run, a line of it that names a file of ours does
export LSAN_OPTIONS=exitcode=0

cat >small.conf <<'END'
picture = 32
batch = 12
micro = 2
warmup = 2
schedule = constant
log_every = 1
save_every = 5
keep = 9
validate_every = 10
validation = 4
init = plain
rank = 4
END
bad=0
complain() { echo "FAIL: $*"; bad=1; }
# N OUT SETTING...: a run in N processes; N = 1 without mpirun
run() {
    n=$1 out=$2
    shift 2
    launch=
    [ "$n" = 1 ] || launch="$mpirun --oversubscribe -n $n"
    $launch "$dreamo" train small.conf "$@" -m "$data/models/tiny" --data "$data/assets" --threads 1 --out "$out" >"$out.out" 2>"$out.err" ||
        { cat "$out.err"; complain "$out"; }
    if grep -E '#[12] .*/src/[a-z]+/' "$out.err" >leak.txt; then complain "$out: $(sort -u leak.txt)"; fi
}
losses() { sed -n 's/^{"step":\([0-9]*\),"loss":\([^,]*\),.*/\1 \2/p' "$1/log.ndjson"; }
# A B LIMIT: the losses of two runs
same() {
    losses "$1" >a.txt
    losses "$2" >b.txt
    [ "$(wc -l <a.txt)" = "$(wc -l <b.txt)" ] || complain "$2: $(wc -l <b.txt) steps, $1: $(wc -l <a.txt)"
    paste a.txt b.txt | awk -v limit="$3" '{ d = $2 - $4; if (d < 0) d = -d; if ($1 != $3 || !(d <= limit)) { print "step", $0; bad = 1 } }
        END { exit bad }' || complain "$2: its losses are not those of $1"
}

# N processes with batch / N each are one with batch, whatever is trained and however
for stage in vae base adapter; do
    run 1 $stage-1 stage=$stage steps=20
    for n in 2 3; do
        run $n $stage-$n stage=$stage steps=20
        same $stage-1 $stage-$n 1e-6
        grep -q "$n processes: .* of them begin while the way back runs" $stage-$n.err || complain "$stage-$n: no line about sums"
        [ "$(cat $stage-$n.out)" = "$stage-$n" ] || complain "$stage-$n: more than one process speaks"
    done
done
grep -q ' 0 of them begin' adapter-3.err && complain "no sum begins early"

# Orthogonal steps and rounded moments make rounding larger
for optimizer in muon:1e-3 adamw8:1e-4; do
    run 1 ${optimizer%:*}-1 stage=adapter steps=10 optimizer=${optimizer%:*}
    run 3 ${optimizer%:*}-3 stage=adapter steps=10 optimizer=${optimizer%:*}
    same ${optimizer%:*}-1 ${optimizer%:*}-3 ${optimizer#*:}
done

# A checkpoint of 3 processes goes on in 1, one of 1 in 2; the files are the same but for rounding
for numbers in 3:1 1:2; do
    out=resume-${numbers%:*}-${numbers#*:}
    run ${numbers%:*} $out stage=adapter steps=10
    run ${numbers#*:} $out stage=adapter steps=20 --resume
    same adapter-1 $out 1e-6
done
for file in weights optim average; do
    [ "$(wc -c <adapter-1/ckpt-000020/$file.safetensors)" = "$(wc -c <adapter-3/ckpt-000020/$file.safetensors)" ] ||
        complain "adapter-3: $file.safetensors has another size than that of one process"
done

# What does not divide
$mpirun --oversubscribe -n 3 "$dreamo" train small.conf batch=8 stage=vae -m "$data/models/tiny" --data "$data/assets" --out odd >odd.out 2>&1 &&
    complain "batch 8 in 3 processes"
grep -q 'batch = 8 cannot be divided among 3 processes in micro-batches of 2; batch must be a multiple of 6' odd.out || complain "odd: $(cat odd.out)"

# One is killed: within 10 seconds all have ended, each of the others with one line, and the run goes on from its last checkpoint
$mpirun --oversubscribe -n 3 "$dreamo" train small.conf stage=adapter steps=100000 -m "$data/models/tiny" --data "$data/assets" --threads 1 \
    --out killed >killed.out 2>&1 &
job=$!
for i in $(seq 600); do [ -e killed/latest ] && break; sleep 0.1; done
victim=$(ps -o pid=,ppid=,args= | awk -v p=$job '$2 == p && /dreamo train/ { print $1 }' | tail -1)
kill -9 "$victim"
began=$(date +%s)
wait $job && complain "a run without one of its processes ends well"
[ $(($(date +%s) - began)) -le 10 ] || complain "it took $(($(date +%s) - began)) seconds to end"
[ "$(grep -c "dreamo: rank [0-9] of 3: rank [0-9] (process $victim on .*) is gone; --resume goes on" killed.out)" = 2 ] ||
    complain "the other two: $(cat killed.out)"
rm -rf killed/ckpt-*.tmp
step=$(sed 's/ckpt-0*//' killed/latest)
run 2 killed stage=adapter steps=$((step + 2)) --resume
losses killed | tail -1 | grep -q "^$((step + 2)) " || complain "killed: does not go on from step $step"
exit $bad
