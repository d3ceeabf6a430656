#!/bin/sh
# What `dreamo serve` bears on this machine: slow clients, submissions, the memory of a long queue, and growth over many jobs.
#
#     bench/serve.sh [MINUTES [slow|submit|soak...]]
#
# MINUTES (default 2; 20 for the figure) is how long small jobs are made one after the other (soak).  DREAMO, LOAD: other builds of the two programs.
set -eu
dreamo=${DREAMO:-build/dreamo}
load=${LOAD:-build/bench/serve_load}
minutes=${1:-2}
port=${PORT:-7869}
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null || true; rm -rf "$work"' EXIT

start() { # options: a server on an empty store
    rm -f "$work"/s.db*
    "$dreamo" serve -q -m models/dreamo-mini --listen "127.0.0.1:$port" --store "$work/s.db" "$@" 2>"$work/log" &
    pid=$!
    for i in $(seq 100); do curl -s -o "$work/ready" "http://127.0.0.1:$port/ready" && return; sleep 0.1; done
    cat "$work/log"
    exit 1
}
stop() { kill "$pid"; wait "$pid" || true; pid=; }
memory() { awk '/^(RssAnon|VmRSS)/ { printf "%s %.1f MB  ", $1, $2 / 1024 } END { print "" }' "/proc/$pid/status"; }
descriptors() { ls "/proc/$pid/fd" | wc -l; }

slow() {
    start
    "$load" "$port" slow 300 30
    stop
}

submit() {
    start --no-worker --queue 100000
    "$load" "$port" submit 1000 10 "$work"
    echo "memory with 10,000 jobs queued: $(memory)"
    stop
}

json() { curl -s -m 60 -o "$work/answer" -H 'Content-Type: application/json' "http://127.0.0.1:$port$1" -d "$2" || true; }

# What a day brings, small: pictures over each API, a reference, a bad request, a stream that nobody reads to its end, a job that is cancelled.
round() {
    for i in 1 2 3; do json /v1/images/generations '{"prompt":"a cupcake on a beach by the sea","size":"64x64","dreamo":{"steps":2}}'; done
    json /sdapi/v1/txt2img '{"prompt":"a boat","width":64,"height":64,"steps":1}'
    json /api/v1/jobs '{"prompt":"x","steps":0}'
    curl -s -m 60 -o "$work/answer" "http://127.0.0.1:$port/api/v1/jobs" -F prompt=toy -F size=64x64 -F steps=1 -F ip=@examples/cupcake.png || true
    json /api/v1/jobs '{"prompt":"x","size":"64x64","steps":8,"preview_every":2}'
    id=$(sed -n 's/.*"id":"\([0-9a-f]*\)".*/\1/p' "$work/answer")
    curl -s -m 0.2 -o "$work/answer" "http://127.0.0.1:$port/api/v1/jobs/$id/events" || true
    curl -s -m 60 -o "$work/answer" -X DELETE "http://127.0.0.1:$port/api/v1/jobs/$id" || true
    jobs=$((jobs + 6))
}

soak() {
    start --queue 1000 --keep-results 30s
    jobs=0
    begin=$(date +%s)
    tell=60
    while [ "$(date +%s)" -lt $((begin + 60 * minutes)) ]; do
        round
        [ "$(date +%s)" -ge $((begin + tell)) ] || continue
        echo "after $((tell / 60)) minutes, $jobs jobs: $(memory) $(descriptors) descriptors"
        tell=$((tell < 120 ? 120 : tell + 300))
    done
    echo "after $minutes minutes, $jobs jobs: $(memory) $(descriptors) descriptors"
    stop
}

[ $# -gt 0 ] && shift
for part in ${*:-slow submit soak}; do $part; done
