"""fleet.py DREAMO MODEL [ROUNDS [JOBS [STEPS]]] - what a queue on Redis costs: two workers on it, against two servers that share nothing.

Both sides make the same jobs with one thread each, a round of one after a round of the other, so that whatever else the machine does hits both.
Processor time is that of all processes of a side (servers, workers, redis-server), from the first job to the last; Redis writes each change to the
disk before it answers (`appendfsync always`).  At the end: medians of the rounds and their ratio.  REDIS_SERVER: another redis-server."""
import os
import statistics
import sys
import threading
import time

sys.argv[1:] = [os.path.abspath(a) if n < 2 else a for n, a in enumerate(sys.argv[1:])]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/serve"))
sys.dont_write_bytecode = True
from fleet import Redis, Server, Worker, front, until  # noqa: E402

ROUNDS, JOBS, STEPS = (int(a) for a in (sys.argv[3:] + ["5", "12", "24"][len(sys.argv) - 3:]))


def processor(pids):
    """Seconds of each."""
    ns = [sum(int(open("/proc/%d/task/%s/schedstat" % (pid, t)).read().split()[0]) for t in os.listdir("/proc/%d/task" % pid)) for pid in pids]
    return [n * 1e-9 for n in ns]


def make(fronts, jobs, seed):
    """Submit all at once, wait for all: a connection of events a server, as a page has."""
    ids = [(fronts[n % len(fronts)], fronts[n % len(fronts)].submit(steps=STEPS, seed=seed + n).json()["id"]) for n in range(jobs)]
    for s, j in ids:
        s.ask("GET", "/api/v1/jobs/%s/events" % j, timeout=600)


def measure(fronts, pids, seed):
    before, begin = processor(pids), time.monotonic()
    make(fronts, JOBS, seed)
    elapsed = time.monotonic() - begin
    each = [now - then for now, then in zip(processor(pids), before)]
    return elapsed, sum(each), each


def main():
    with Server("--threads", "1", "--queue", "100") as a, Server("--threads", "1", "--queue", "100") as b, Redis() as r, \
         front(r, "--queue", "100") as f, Worker(r, lease="10s") as v, Worker(r, lease="10s") as w:
        until("both workers", lambda: len(f.ask("GET", "/api/v1/capabilities").json()["workers"]) == 2)
        sides = {"two servers": ([a, b], [a.process.pid, b.process.pid]),
                 "fleet of two": ([f], [f.process.pid, v.process.pid, w.process.pid, r.process.pid])}
        for fronts, _ in sides.values():
            make(fronts, 4, 0)
        seen = {name: [] for name in sides}
        for n in range(ROUNDS):
            for name, (fronts, pids) in sides.items():
                seen[name].append(measure(fronts, pids, 100 * n))
        for name, rows in seen.items():
            print("%-13s %s" % (name, "  ".join("%.2f s (%.2f s processor: %s)" % (*row[:2], " + ".join("%.2f" % one for one in row[2])) for row in rows)))
        names = list(sides)
        for i, what in enumerate(("elapsed", "processor time")):
            one, many = (statistics.median(row[i] for row in seen[name]) for name in names)
            print("%s a job, medians: %.3f s alone, %.3f s in the fleet: %+.1f %%" % (what, one / JOBS, many / JOBS, 100 * (many / one - 1)))


main()
