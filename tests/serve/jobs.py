"""jobs.py DREAMO MODEL [TEST...] - what becomes of jobs: events, cancelling, queues, slow clients, and a server that is killed."""
import random
import subprocess

from harness import *
from native import counts, wait_idle


def events():
    with Server() as s:
        j = s.submit(steps=6, seed=1, preview_every=2).json()["id"]
        e = Events(s, "/api/v1/jobs/%s/events" % j)
        equal((e.status, e.r.getheader("content-type")), (200, "text/event-stream"), "a stream")
        seen = list(e)
        names = [x["event"] for x in seen]
        equal([n for n in names if n != "preview"], ["queued", "start"] + ["step"] * 6 + ["image", "done"], "events in their order")
        check(2 >= names.count("preview") >= 1, "previews, but for those that a newer one has replaced", names)
        ids = [int(x["id"]) for x in seen]
        check(ids == sorted(set(ids)), "numbers grow", ids)
        preview = json.loads([x for x in seen if x["event"] == "preview"][-1]["data"])
        check(base64.b64decode(preview["base64"]).startswith(b"\x89PNG") and preview["step"] == 4, "a preview is a picture", preview["step"])
        plain = s.finish(s.submit(steps=6, seed=1).json()["id"])
        check(s.picture(j) == s.ask("GET", plain["images"][0]).body, "previews leave the picture as it is")
        resumed = list(Events(s, "/api/v1/jobs/%s/events" % j, {"Last-Event-ID": str(ids[4])}))
        equal([int(x["id"]) for x in resumed], [i for i, n in zip(ids, names) if i > ids[4] and (n != "preview" or i == [k for k, m in zip(ids, names) if m == "preview"][-1])], "goes on after Last-Event-ID")
        for last, status in ((str(ids[-1]), 204), (str(ids[-1] + 1), 410), ("999999999999999", 410), ("0", 200), ("abc", 400), ("-1", 400), ("", 400), ("1" * 40, 400)):
            equal(Events(s, "/api/v1/jobs/%s/events" % j, {"Last-Event-ID": last}).status, status, "Last-Event-ID " + last)
        late = s.submit(steps=30).json()["id"]
        waiting = s.submit(steps=2).json()["id"]
        first = next(iter(Events(s, "/api/v1/jobs/%s/events" % waiting)))
        equal((first["event"], json.loads(first["data"])["position"] >= 1), ("queued", True), "a queued job tells its place")
        for n in range(40):  # streams that nobody reads on
            Events(s, "/api/v1/jobs/%s/events" % late).close()
        equal(s.finish(late)["state"], "done", "abandoned streams hold nothing up")
        equal(s.finish(waiting)["state"], "done", "nor the next job")
        end = time.monotonic() + 10
        while time.monotonic() < end and "dreamo_listeners 0\n" not in s.ask("GET", "/metrics").body.decode():
            time.sleep(0.1)
        check("dreamo_listeners 0\n" in s.ask("GET", "/metrics").body.decode(), "nobody listens any more")
        s.stop()
        with Server(store=s.store) as again:
            old = list(Events(again, "/api/v1/jobs/%s/events" % j))
            equal([(x["event"], int(x["id"])) for x in old], [("done", ids[-1])], "after a restart the last event is still told")
            equal(Events(again, "/api/v1/jobs/%s/events" % j, {"Last-Event-ID": str(ids[-1])}).status, 204, "and known")


def many_listeners():
    with Server("--max-connections", "2000") as s:
        j = s.submit(steps=60, count=8).json()["id"]
        s.running(j)
        streams = []
        for _ in range(1000):
            c = socket.create_connection(s.address)
            c.sendall(b"GET /api/v1/jobs/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % j.encode())
            streams.append(c)
        end = time.monotonic() + 20
        while time.monotonic() < end and "dreamo_listeners 1000\n" not in s.ask("GET", "/metrics").body.decode():
            time.sleep(0.1)
        a = s.ask("GET", "/api/v1/jobs/%s/events" % j)
        check(a.status == 429 and a.headers.get("retry-after"), "1,000 listeners, and the next is refused", a.status)
        equal(s.ask("DELETE", "/api/v1/jobs/" + j).status, 429, "who would wait for the end is refused, too, and the job stops")
        check(all(b"event: error" in read_all(c) for c in streams), "all of them hear the end")
        equal(s.finish(j)["state"], "cancelled", "cancelled all the same")


def read_all(c):
    c.settimeout(20)
    got = b""
    with contextlib.suppress(OSError):
        while b"\r\n0\r\n" not in got[-16:] and (piece := c.recv(65536)):
            got += piece
    c.close()
    return got


def cancel():
    with Server() as s:
        long, waiting = s.submit(steps=60, count=8).json()["id"], s.submit(steps=2).json()["id"]
        check(s.running(long), "runs")
        a = s.ask("DELETE", "/api/v1/jobs/" + waiting)
        equal((a.status, a.json()["state"], a.json()["error"]["code"]), (200, "cancelled", "cancelled"), "a queued job is cancelled")
        begin = time.monotonic()
        a = s.ask("DELETE", "/api/v1/jobs/" + long)
        equal((a.status, a.json()["state"]), (200, "cancelled"), "a running job is cancelled when the answer comes")
        check(time.monotonic() - begin < 2, "at once", time.monotonic() - begin)
        equal(s.ask("DELETE", "/api/v1/jobs/" + long).status, 200, "twice")
        done = s.submit().json()["id"]
        equal(s.finish(done)["state"], "done", "the next one is made")
        equal(s.ask("DELETE", "/api/v1/jobs/" + done).status, 409, "a finished job cannot be cancelled")
        long = s.submit(steps=60, count=8).json()["id"]
        s.running(long)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(s.ask("DELETE", "/api/v1/jobs/" + long).status)) for _ in range(6)]
        [t.start() for t in threads], [t.join() for t in threads]
        equal(answers, [200] * 6, "six cancels at once")
        e = Events(s, "/api/v1/jobs/%s/events" % long)
        last = list(e)[-1]
        equal((last["event"], json.loads(last["data"])["error"]["code"]), ("error", "cancelled"), "told as the last event")


def queue():
    with Server("--queue", "16") as s:
        first = s.submit(steps=60, count=8).json()["id"]
        s.running(first)
        got = []
        lock = threading.Lock()

        def client(n):
            a = s.submit(steps=1, seed=n)
            with lock:
                got.append((a.status, a))
        threads = [threading.Thread(target=client, args=(n,)) for n in range(64)]
        [t.start() for t in threads], [t.join() for t in threads]
        codes = [g[0] for g in got]
        equal((codes.count(202), codes.count(429)), (16, 48), "16 wait, the rest is refused")
        check(all(int(a.headers.get("retry-after", 0)) > 0 and a.error()["code"] == "busy" for code, a in got if code == 429), "Retry-After")
        equal(s.ask("GET", "/ready").status, 503, "not ready")
        begin = time.monotonic()
        equal(s.ask("GET", "/health").status, 200, "alive")
        check(time.monotonic() - begin < 0.2, "and quick while the model works", time.monotonic() - begin)
        s.ask("DELETE", "/api/v1/jobs/" + first)
        ends = {a.json()["id"]: s.finish(a.json()["id"]) for code, a in got if code == 202}
        equal({e["state"] for e in ends.values()}, {"done"}, "every accepted job is made")
        order = sorted(ends.values(), key=lambda e: e["times"]["started"])
        equal([e["times"]["created"] for e in order], sorted(e["times"]["created"] for e in order), "in the order of their coming")
        equal(s.ask("GET", "/ready").status, 200, "ready again")
        a, b = s.submit(seed=7), s.submit(seed=7)
        s.finish(a.json()["id"]), s.finish(b.json()["id"])
        check(s.picture(a.json()["id"]) == s.picture(b.json()["id"]), "the same seed, the same bytes")


def once():
    with Server("--queue", "2") as s:
        key = {"Idempotency-Key": "abc"}
        a, b = s.submit(seed=1, headers=key), s.submit(seed=1, headers=key)
        equal((a.status, b.status, b.json()["id"], b.json().get("again")), (202, 202, a.json()["id"], True), "the same key is the same job")
        c = s.submit(seed=2, headers=key)
        equal((c.status, c.error()["code"]), (409, "mismatch"), "with another request it is refused")
        check(s.submit(seed=1, headers={"Idempotency-Key": "def"}).json().get("id") not in (None, a.json()["id"]), "another key is another job")
        equal(s.submit(seed=1, headers={"Idempotency-Key": ""}).status, 400, "an empty key")
        forms = [form([("prompt", None, b"x"), ("steps", None, b"1"), ("ip", "a.png", PICTURE)], boundary) for boundary in ("one", "two")]
        wait_idle(s)
        ids = [s.ask("POST", "/api/v1/jobs", body, dict(headers, **{"Idempotency-Key": "form"})).json().get("id") for body, headers in forms]
        check(ids[0] and ids[0] == ids[1], "a form that is sent again has another boundary, and is the same", ids)
        wait_idle(s)
        ids = []
        threads = [threading.Thread(target=lambda: ids.append(s.submit(seed=3, steps=20, headers={"Idempotency-Key": "g"}).json().get("id"))) for _ in range(12)]
        [t.start() for t in threads], [t.join() for t in threads]
        equal(len({i for i in ids if i}), 1, "twelve at once are one job")
        s.stop(signal.SIGKILL)
        with Server("--queue", "2", store=s.store) as again:
            equal(again.submit(seed=1, headers=key).json()["id"], a.json()["id"], "known after a kill")


def killed():
    """SIGKILL at random moments: every accepted job ends, once, with the bytes that a single run makes."""
    want = {}
    with Server() as s:
        for seed in range(6):
            j = s.submit(steps=8, seed=seed, references=[{"task": "ip", "image": b64(PICTURE)}]).json()["id"]
            s.finish(j)
            want[seed] = s.picture(j)
    with tempfile.TemporaryDirectory() as d:
        store, ids, random_ = os.path.join(d, "s.db"), {}, random.Random(5)
        for turn in range(5):
            with Server("--queue", "64", store=store) as s:
                for seed in range(6):
                    if (turn, seed) not in ids and len(ids) < 12:
                        a = s.submit(steps=8, seed=seed, references=[{"task": "ip", "image": b64(PICTURE)}])
                        if a.status == 202:
                            ids[turn, seed] = a.json()["id"]
                before = counts(s)["done"]
                while counts(s)["done"] == before and len(ids) > before:  # no job is hit three times
                    time.sleep(0.01)
                time.sleep(random_.random() * 0.3)
                s.stop(signal.SIGKILL)
        with Server("--queue", "64", store=store) as s:
            for (turn, seed), j in ids.items():
                end = s.finish(j)
                equal(end["state"], "done", "job %d.%d is done after five kills" % (turn, seed))
                if end["state"] == "done":
                    check(s.picture(j) == want[seed], "with the same bytes, seed %d" % seed)
            check(len(ids) == 12, "twelve jobs were accepted")
            equal(wait_idle(s)["done"], 12, "each of them once")
        poison = None
        for turn in range(4):  # a job in whose midst the server always ends
            with Server(store=store) as s:
                poison = poison or s.submit(steps=60, count=8).json()["id"]
                if s.ask("GET", "/api/v1/jobs/" + poison).json()["state"] == "failed":
                    break
                s.running(poison)
                s.stop(signal.SIGKILL)
        with Server(store=store) as s:
            state = s.ask("GET", "/api/v1/jobs/" + poison).json()
            check(state["state"] == "failed" and "3 times" in state["error"]["message"], "three tries, then it has failed", state)
            equal(s.finish(s.submit().json()["id"])["state"], "done", "and the next one is made")


def drain():
    with Server() as s:
        ids = [s.submit(steps=20, seed=n).json()["id"] for n in range(3)]
        s.running(ids[0])
        s.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        a = s.submit()
        check(a.status == 503 and a.headers.get("retry-after"), "new jobs are refused", a.status)
        equal((s.ask("GET", "/ready").status, s.ask("GET", "/health").status), (503, 200), "not ready, alive")
        equal(s.process.wait(60), 0, "ends with 0")
        with Server(store=s.store) as again:
            equal([again.ask("GET", "/api/v1/jobs/" + i).json()["state"] for i in ids], ["done"] * 3, "what waited was made first")
    with Server("--drain", "0s") as s:
        j = s.submit(steps=60, count=8).json()["id"]
        s.running(j)
        e = Events(s, "/api/v1/jobs/%s/events" % j)
        begin = time.monotonic()
        equal(s.stop(), 0, "without time to drain, too")
        check(time.monotonic() - begin < 5, "soon", time.monotonic() - begin)
        e.close()
        with Server(store=s.store) as again:
            check(again.running(j), "the job goes on after the next start")
            again.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            begin = time.monotonic()
            check(again.stop() in (143, -15) and time.monotonic() - begin < 5, "a second SIGTERM ends at once")


def slow():
    with Server("--queue", "100") as s:
        held = []
        for n in range(300):
            c = socket.create_connection(s.address)
            c.sendall(b"GET /health HTT")
            held.append(c)
        begin = time.monotonic()
        late = 0
        while time.monotonic() - begin < 13:
            for c in held:  # a byte a second
                with contextlib.suppress(OSError):
                    c.send(b"P")
            t = time.monotonic()
            equal(s.ask("GET", "/health").status, 200, "a normal request among 300 slow ones")
            late = max(late, time.monotonic() - t)
            time.sleep(1)
        check(late < 1, "is answered in under a second", late)
        open_ = 0
        for c in held:
            c.setblocking(False)
            try:
                open_ += c.recv(1) != b""
            except BlockingIOError:
                open_ += 1
            except OSError:
                pass
            c.close()
        equal(open_, 0, "after ten seconds the slow ones are cut")
        body = socket.create_connection(s.address)
        body.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n{")
        begin = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - begin < 20:
                body.send(b" ")
                time.sleep(0.2)
                body.setblocking(False)
                try:
                    if body.recv(10) == b"":
                        break
                except BlockingIOError:
                    pass
                body.setblocking(True)
        check(9 < time.monotonic() - begin < 16, "a slow body is cut after ten seconds", time.monotonic() - begin)


def flood():
    with Server("--max-connections", "64") as s:
        idle = [socket.create_connection(s.address) for _ in range(200)]
        begin = time.monotonic()
        equal(s.ask("GET", "/health").status, 200, "among more silent connections than there may be")
        check(time.monotonic() - begin < 1, "at once", time.monotonic() - begin)
        check(s.status_of()[0] < 64 + 40, "descriptors are bounded", s.status_of())
        [c.close() for c in idle]


def neighbours():
    with Server() as s:
        a = s.submit(seed=1).json()["id"]
        bad = s.submit(references=[{"task": "ip", "image": b64(png(9, 9))}])
        b = s.submit(seed=1).json()["id"]
        s.finish(a), s.finish(b)
        check(bad.status == 422 and s.picture(a) == s.picture(b), "a job that is refused leaves its neighbours as they are", bad.status)
        threads = []
        for n in range(60):  # gone before the answer
            c = socket.create_connection(s.address)
            body = json.dumps({"prompt": "x", "steps": 1}).encode()
            c.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            c.close()
        wait_idle(s)
        equal(s.finish(s.submit().json()["id"])["state"], "done", "clients that leave hold nothing up")
        fds, memory = s.status_of()
        for n in range(60):
            s.finish(s.submit(steps=1).json()["id"])
            s.ask("POST", "/api/v1/jobs", b"{", {"Content-Type": "application/json"})
        fds2, memory2 = s.status_of()
        check(fds2 <= fds + 2 and memory2 < memory + (4 << 20), "sixty more jobs take no more room", (fds, memory), (fds2, memory2))


def full_disk():
    with tempfile.TemporaryDirectory() as d:
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", d], stderr=subprocess.DEVNULL).returncode:
            print("(full_disk needs a mount of its own: left out)")
            return
        try:
            with Server("--queue", "100", store=os.path.join(d, "s.db")) as s:
                good = s.submit(seed=1).json()["id"]
                s.finish(good)
                codes = []
                for n in range(40):
                    im = subprocess.run([sys.executable, "-c", NOISE, str(n)], capture_output=True, check=True).stdout
                    codes.append(s.ask("POST", "/api/v1/uploads", im, {"Content-Type": "image/png"}).status)
                    if codes[-1] != 201:
                        break
                equal(codes[-1], 507, "the disk is full")
                a = s.ask("POST", "/api/v1/uploads", im, {"Content-Type": "image/png"})
                check(a.error().get("code") == "io" and "disk is full" in a.error().get("message", ""), "and is said to be", a.body)
                equal((s.ask("GET", "/health").status, len(s.picture(good)) > 100), (200, True), "what is there is served on")
                a = s.submit(seed=1)
                check(a.status in (202, 507), "a small job fits or is refused", a.status)
                subprocess.run(["mount", "-o", "remount,size=20m", d], check=True)
                b = s.submit(seed=1)
                equal((b.status, s.finish(b.json()["id"])["state"]), (202, "done"), "with room again it goes on")
                if a.status == 202:
                    check(s.finish(a.json()["id"])["state"] in ("done", "failed"), "and the job in between has ended")
                check(s.picture(good) == s.picture(b.json()["id"]), "with the same bytes")
        finally:
            subprocess.run(["umount", "-l", d])


NOISE = """
import random, struct, sys, zlib
r = random.Random(int(sys.argv[1]))
rows = b"".join(b"\\0" + r.randbytes(3 * 140) for _ in range(140))
chunk = lambda k, d: struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
sys.stdout.buffer.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 140, 140, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b""))
"""

def clock():
    """The clock set back and forth by hours: jobs end, times tell no nonsense, results go when their time is over and not before."""
    shim = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    long shift = 0;
    FILE *f;
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, t);
    if (id == CLOCK_REALTIME && (f = fopen(getenv("SHIFT"), "r"))) {
        if (fscanf(f, "%ld", &shift) == 1) t->tv_sec += shift;
        fclose(f);
    }
    return done;
}
"""
    with tempfile.TemporaryDirectory() as d:
        library, shift = os.path.join(d, "shift.so"), os.path.join(d, "shift")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"], input=shim, text=True, check=True)

        def set_clock(seconds):
            with open(shift + ".new", "w") as f:
                f.write(str(seconds))
            os.replace(shift + ".new", shift)

        set_clock(0)
        with Server("--keep-results", "5s", env={"LD_PRELOAD": library, "SHIFT": shift, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}) as s:
            before = s.submit(seed=1).json()["id"]
            s.finish(before)
            long = s.submit(steps=60, seed=2).json()["id"]
            check(s.running(long), "runs")
            set_clock(-3 * 3600)
            seen = s.ask("GET", "/api/v1/jobs/" + long).json()
            check(seen.get("seconds_left", 0) >= 0, "nothing takes less than no time", seen)
            end = s.finish(long)
            equal(end["state"], "done", "the job that ran is done")
            check(all(not isinstance(v, (int, float)) or v >= 0 for v in end.values()), "no number is negative", end)
            equal(len(list(Events(s, "/api/v1/jobs/%s/events" % s.submit(seed=3).json()["id"]))) > 3, True, "events come")
            stop = time.monotonic() + 25
            while s.ask("GET", "/api/v1/jobs/%s/images/0" % before).status == 200 and time.monotonic() < stop:
                time.sleep(0.2)
            equal(s.ask("GET", "/api/v1/jobs/%s/images/0" % before).status, 410, "what was made in the future goes, too")
            kept = s.submit(seed=4).json()["id"]
            s.finish(kept)
            equal(s.ask("GET", "/api/v1/jobs/%s/images/0" % kept).status, 200, "and not at once")
            set_clock(3 * 3600)
            equal(s.finish(s.submit(seed=5).json()["id"])["state"], "done", "and forth")


def batches():
    """--batch N: what waits one after the other and is alike is made at a time, with the bytes of each alone."""
    ref = [{"task": "ip", "image": b64(PICTURE)}]
    orders = [dict(seed=1), dict(seed=2, prompt="a boat", references=ref), dict(seed=3, count=2), dict(seed=4, steps=3), dict(seed=5), dict(seed=6, references=ref * 2),
              dict(seed=7, guidance=3), dict(seed=8), dict(seed=9, size="64x64")]
    with Server("--queue", "64") as s:
        alone = [(s.picture(j, n), s.finish(j)["state"]) for o in orders for j in [s.submit(**o).json()["id"]] if s.finish(j) for n in range(o.get("count", 1))]
    with Server("--queue", "64", "--no-worker") as s:
        ids = [s.submit(**o).json()["id"] for o in orders]
        s.stop()
        with Server("--queue", "64", "--batch", "4", store=s.store) as many:
            ends = [many.finish(j) for j in ids]
            together = [(many.picture(j, n), e["state"]) for o, j, e in zip(orders, ids, ends) for n in range(o.get("count", 1))]
            check(together == alone, "the bytes of each alone", [a == b for a, b in zip(together, alone)])
            said = [line.partition(" in ")[2] for line in many.said().splitlines() if "  done in" in line]
            equal([3 if ", 3 at" in x else 4 if ", 4 at" in x else 1 for x in said], [3] * 3 + [1] + [4] * 4 + [1], "three, one of other steps, four, one of another size")
            for _ in range(5):  # a machine may be done before the cancel comes
                long = [many.submit(steps=20, seed=n, count=2).json()["id"] for n in range(3)]
                wait_all = [many.running(j) for j in long[1:]]
                state = many.ask("DELETE", "/api/v1/jobs/" + long[1]).json().get("state")
                early = many.ask("GET", "/api/v1/jobs/%s/images/0" % long[2]).status != 200
                if state == "cancelled" and all(wait_all) and early:
                    break
            equal(state, "cancelled", "one of a batch is cancelled")
            check(early, "which is told before the others are made")
            equal([many.finish(j)["state"] for j in long], ["done", "cancelled", "done"], "and the others are made")
            check(all(wait_all), "they ran")
            bytes_ = many.picture(long[2], 1)
    with Server() as s:
        j = s.submit(steps=20, seed=2, count=2).json()["id"]
        s.finish(j)
        check(s.picture(j, 1) == bytes_, "with their bytes")
    for bad in ("0", "17", "x"):
        p = subprocess.run([DREAMO, "serve", "--batch", bad, "-m", MODEL], capture_output=True, text=True, timeout=30)
        check(p.returncode != 0 and "batch" in p.stderr, "--batch " + bad, p.stderr)


if __name__ == "__main__":
    main([events, many_listeners, cancel, queue, once, killed, drain, slow, flood, neighbours, full_disk, clock, batches])
