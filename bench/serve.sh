#!/bin/sh
# What `dreamo serve` bears on this machine: slow clients, submissions, the memory of a long queue, and growth over many jobs.
#
#     bench/serve.sh [MINUTES]
#
# MINUTES (default 2; 20 for the figure) is how long small jobs are made one after the other.  DREAMO, LOAD: other builds of the two programs.
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

start
"$load" "$port" slow 300 30
stop

start --no-worker --queue 100000
"$load" "$port" submit 1000 10
echo "memory with 10,000 jobs queued: $(memory)"
stop

start --queue 1000 --keep-results 30s
jobs=0
end=$(($(date +%s) + 60 * minutes))
first=
while [ "$(date +%s)" -lt "$end" ]; do
    for i in 1 2 3 4; do
        curl -s -o "$work/answer" -X POST "http://127.0.0.1:$port/v1/images/generations" -H 'Content-Type: application/json' \
             -d '{"prompt":"a cupcake on a beach by the sea","dreamo":{"steps":2}}' || true
        jobs=$((jobs + 1))
    done
    curl -s -o "$work/answer" -X POST "http://127.0.0.1:$port/api/v1/jobs" -H 'Content-Type: application/json' -d '{"prompt":"x","steps":0}' || true # one of five is bad
    if [ -z "$first" ] && [ "$(date +%s)" -ge $((end - 60 * minutes + 60)) ]; then
        first=1
        echo "after the first minute, $jobs jobs: $(memory) $(descriptors) descriptors"
    fi
done
echo "after $minutes minutes, $jobs jobs: $(memory) $(descriptors) descriptors"
stop
