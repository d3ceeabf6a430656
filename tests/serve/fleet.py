"""fleet.py DREAMO MODEL [TEST...] - several servers and workers on one queue, with a redis-server of our own: workers that are killed, a Redis that is killed."""
import hashlib
import subprocess

from harness import *

REFERENCE = [{"task": "ip", "image": b64(PICTURE)}]


class Redis:
    """With its append-only file, written before it answers."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.url = "redis://127.0.0.1:%d" % self.port
        self.start()

    def start(self):
        command = [os.environ.get("REDIS_SERVER", "redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder.name, "--save", "",
                   "--appendonly", "yes", "--appendfsync", "always"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if self.say("PING").startswith(b"+PONG"):
                    return
            time.sleep(0.02)
        raise SystemExit("redis-server does not answer")

    def say(self, line):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            s.sendall(line.encode() + b"\r\n")
            return s.recv(65536)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.folder.cleanup()


class Worker:
    def __init__(self, redis, *options, model=MODEL, lease="2s"):
        self.log = tempfile.TemporaryFile("w+")
        command = [DREAMO, "worker", "-m", model, "--queue", redis.url, "--threads", "1", "--lease", lease, *options]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            equal(self.stop(), 0, "a worker ends with 0")
        said = self.said()
        check("Sanitizer" not in said and "runtime error" not in said, "the sanitizer speaks", said[-3000:])
        self.log.close()


def front(redis, *options):
    return Server("--queue", redis.url, "--threads", "1", *options)


def until(what, fine, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if fine():
            return True
        time.sleep(0.02)
    return check(False, what)


def counts(s):
    lines = s.ask("GET", "/metrics").body.decode().splitlines()
    return {line.split('"')[1]: int(line.split()[1]) for line in lines if line.startswith("dreamo_jobs{")}


def alone(seeds, steps=8):
    """What a single machine makes of them."""
    with Server("--threads", "1", "--queue", "64") as s:
        ids = {n: s.submit(steps=steps, seed=n, references=REFERENCE).json()["id"] for n in seeds}
        for j in ids.values():
            s.finish(j)
        return {n: s.picture(j) for n, j in ids.items()}


def two_fronts():
    want = alone([1], 6)
    with Redis() as r, front(r) as a, front(r) as b:
        early = a.submit(steps=6, seed=1, references=REFERENCE)
        equal((early.status, early.json()["position"]), (202, 0), "a job is accepted before there is a worker")
        ready = a.ask("GET", "/ready")
        check(ready.status == 503 and "no worker has the model" in ready.error()["message"], "but none is ready for it", ready.body)
        with Worker(r):
            until("ready", lambda: b.ask("GET", "/ready").status == 200)
            workers = b.ask("GET", "/api/v1/capabilities").json()["workers"]
            check(len(workers) == 1 and workers[0]["sha256"] == a.ask("GET", "/api/v1/capabilities").json()["model"]["sha256"] and workers[0]["threads"] == 1,
                  "the worker says what it has", workers)
            j = early.json()["id"]
            end = b.finish(j)
            equal(end["state"], "done", "made, and the other front knows")
            check(a.picture(j) == b.picture(j) == want[1], "the picture is a single machine's, from either front")
            j = a.submit(steps=6, seed=1, preview_every=2, references=REFERENCE).json()["id"]
            streams = [list(Events(s, "/api/v1/jobs/%s/events" % j)) for s in (b, a)]
            for seen in streams:
                equal([e["event"] for e in seen if e["event"] != "preview"], ["queued", "start"] + ["step"] * 6 + ["image", "done"], "events in their order")
            check(any(e["event"] == "preview" for e in streams[0]), "with a preview", [e["event"] for e in streams[0]])
            equal(streams[0][-1]["id"], streams[1][-1]["id"], "with the same numbers")
            equal(a.ask("GET", "/api/v1/jobs/%s/events" % j, headers={"Last-Event-ID": streams[1][-1]["id"]}).status, 204, "to the last")
            check(b.ask("GET", "/api/v1/capabilities").json()["workers"][0]["seconds_a_step"] > 0, "and how fast the worker is")
            key = {"Idempotency-Key": "abc"}
            one, two = a.submit(seed=1, headers=key).json(), b.submit(seed=1, headers=key).json()
            equal((two["id"], two.get("again")), (one["id"], True), "one key is one job at both fronts")
            equal(b.submit(seed=2, headers=key).status, 409, "with another request it is refused")
            b.finish(one["id"])
            long, waiting = a.submit(steps=60, count=8).json()["id"], a.submit(seed=5, references=REFERENCE).json()["id"]
            check(b.running(long), "the other front sees the steps")
            sha = b.ask("GET", "/api/v1/jobs/" + waiting).json()["request"]["references"][0]["upload"]
            equal(b.ask("DELETE", "/api/v1/uploads/" + sha).status, 409, "a picture that is needed stays")
            equal(b.ask("DELETE", "/api/v1/jobs/" + waiting).json()["state"], "cancelled", "a waiting job is cancelled")
            begin = time.monotonic()
            equal(b.ask("DELETE", "/api/v1/jobs/" + long).json()["state"], "cancelled", "a running job is cancelled from the other front")
            check(time.monotonic() - begin < 3, "soon", time.monotonic() - begin)
            equal([a.ask("DELETE", "/api/v1/uploads/" + sha).status for _ in range(2)], [204, 404], "and its picture may go")
            equal(a.finish(a.submit().json()["id"])["state"], "done", "the next one is made")
            equal(a.ask("GET", "/api/v1/jobs/" + "0" * 32).status, 404, "no such job")
        check(a.ask("GET", "/ready").status == 503, "a worker that leaves says so")


def full():
    with Redis() as r, front(r, "--queue", "3") as a, front(r, "--queue", "3") as b:
        codes = [s.submit(seed=n).status for n, s in enumerate([a, b] * 4)]
        equal(codes, [202] * 3 + [429] * 5, "three wait, at whichever front")
        equal(counts(b)["queued"], 3, "counted")
        with Worker(r):
            until("all are made", lambda: counts(a)["done"] == 3)
            equal(b.submit().status, 202, "and there is room again")


def killed():
    """Workers and Redis killed by SIGKILL in the midst: every accepted job ends once, with the bytes that a single machine makes."""
    seeds = range(14)
    want = alone(seeds)
    with Redis() as r, front(r, "--queue", "64") as a, front(r, "--queue", "64") as b:
        workers = [Worker(r), Worker(r)]
        until("both are there", lambda: len(a.ask("GET", "/api/v1/capabilities").json()["workers"]) == 2)
        ids = {n: (a, b)[n % 2].submit(steps=8, seed=n, references=REFERENCE).json()["id"] for n in seeds}
        until("some are made", lambda: counts(a)["done"] >= 2)
        busy = {w["job"]: w["name"] for w in a.ask("GET", "/api/v1/capabilities").json()["workers"] if w["job"]}
        workers[0].kill()
        until("more are made", lambda: counts(a)["done"] >= 4)
        r.kill()
        gone = a.submit(seed=99)
        check(gone.status == 503 and gone.headers.get("retry-after"), "without Redis jobs are refused", gone.status, gone.body)
        equal(a.ask("GET", "/health").status, 200, "alive all the same")
        time.sleep(1)
        r.start()
        workers.append(Worker(r))
        for n, j in ids.items():
            end = (b, a)[n % 2].finish(j)
            equal(end["state"], "done", "job %d is done" % n)
            check(a.picture(j) == want[n], "with a single machine's bytes, seed %d" % n)
        c = counts(a)
        equal((c["queued"], c["running"], c["done"], c["failed"]), (0, 0, len(seeds), 0), "each of them once")
        check(busy, "the one that was killed had a job", busy)
        for j in ids.values():
            last = list(Events(a, "/api/v1/jobs/%s/events" % j))
            equal(sum(e["event"] in ("done", "error") for e in last), 1, "and told once")
        for w in workers[1:]:
            equal(w.stop(), 0, "ends with 0")


def three_tries():
    with Redis() as r, front(r) as a:
        poison, next_ = a.submit(steps=60, count=8).json()["id"], a.submit(seed=3).json()["id"]
        for n in range(3):
            w = Worker(r)
            check(a.running(poison) and until("begun", lambda: json.loads(next(e for e in Events(a, "/api/v1/jobs/%s/events" % poison)
                  if e["event"] == "start" and json.loads(e["data"])["try"] > n)["data"])["try"] == n + 1), "try %d" % (n + 1))
            w.kill()
        with Worker(r):
            end = a.finish(poison)
            check(end["state"] == "failed" and "3 times" in end["error"]["message"], "three tries, then it has failed", end)
            equal(a.finish(next_)["state"], "done", "and the next one is made")


def put_back():
    with Redis() as r, front(r) as a:
        first = Worker(r, "--drain", "0s")
        j = a.submit(steps=60, count=8).json()["id"]
        check(a.running(j), "runs")
        begin = time.monotonic()
        equal(first.stop(), 0, "a worker that is stopped ends with 0")
        equal(a.ask("GET", "/api/v1/jobs/" + j).json()["state"], "queued", "and its job waits again")
        with Worker(r, "--drain", "0s"):
            until("another has it", lambda: a.ask("GET", "/api/v1/jobs/" + j).json()["state"] == "running", 10)
            check(time.monotonic() - begin < 6, "soon", time.monotonic() - begin)
            a.ask("DELETE", "/api/v1/jobs/" + j)
        second = Worker(r)
        j = a.submit(steps=20).json()["id"]
        check(a.running(j), "runs")
        equal(second.stop(), 0, "with time to drain")
        equal(a.ask("GET", "/api/v1/jobs/" + j).json()["state"], "done", "the job is made before the end")


def stopped():
    """A worker that does not answer for longer than its lease: its job is made by another, and what it makes itself later changes nothing."""
    with Redis() as r, front(r) as a, Worker(r) as slow:
        j = a.submit(steps=40, seed=2).json()["id"]
        check(a.running(j), "runs")
        slow.process.send_signal(signal.SIGSTOP)
        with Worker(r):
            equal(a.finish(j)["state"], "done", "another makes it")
            picture = a.picture(j)
            slow.process.send_signal(signal.SIGCONT)
            time.sleep(1.5)
            equal((counts(a)["done"], counts(a)["running"]), (1, 0), "once")
            check(a.picture(j) == picture, "and its picture stays")
            equal(a.finish(a.submit().json()["id"])["state"], "done", "and the next is made")


def two_models():
    """A job goes to a worker that has its model, and to no other."""
    tiny = os.path.join(ROOT, "tests/data/models/tiny")
    with Redis() as r, front(r) as a, Server("--queue", r.url, "--threads", "1", model=tiny) as b, Worker(r, model=tiny):
        until("one has its worker", lambda: b.ask("GET", "/ready").status == 200)
        j, k = a.submit(seed=1).json()["id"], b.submit(seed=1, size="64x64").json()["id"]
        equal(b.finish(k)["state"], "done", "the small model's job is made")
        time.sleep(3)
        equal((b.ask("GET", "/api/v1/jobs/" + j).json()["state"], a.ask("GET", "/ready").status, counts(b)["queued"]), ("queued", 503, 0), "the other waits")
        with Worker(r):
            equal(b.finish(j)["state"], "done", "until its worker comes")
            check(a.picture(k) == b.picture(k) != a.picture(j), "and any front has any picture")


def batches():
    """A worker that makes several at a time puts back what does not fit, for another."""
    seeds = range(6)
    want = alone(seeds, 4)
    with Redis() as r, front(r) as a:
        ids = {n: a.submit(steps=4, seed=n, references=REFERENCE).json()["id"] for n in seeds}
        other = a.submit(steps=2).json()["id"]
        with Worker(r, "--batch", "4") as w:
            for n, j in ids.items():
                equal(a.finish(j)["state"], "done", "made")
                check(a.picture(j) == want[n], "with the bytes of each alone, seed %d" % n)
            equal(a.finish(other)["state"], "done", "and the one that is not like them")
            check(w.said().count(", 4 at a time") == 4 and w.said().count(", 2 at a time") == 2, "four and two", w.said())
            j = a.ask("GET", "/api/v1/jobs/" + other).json()
            equal((counts(a)["done"], j["state"]), (7, "done"), "each once")


def shared_folder():
    """--blobs DIR: pictures and uploads as files that front and workers see; they go when their time is over."""
    want = alone(range(4), 3)
    with Redis() as r, tempfile.TemporaryDirectory() as folder:
        names = lambda: sorted(os.listdir(folder))
        keys = lambda pattern: r.say("KEYS dreamo:" + pattern).split(b"\r\n")[2::2]
        shared = ("--blobs", folder)
        with front(r, *shared) as a, front(r, *shared) as b, front(r, *shared, "--keep-results", "4s") as c, Worker(r, *shared), Worker(r, *shared):
            ids = {n: a.submit(steps=3, seed=n, references=REFERENCE).json()["id"] for n in want}
            for n, j in ids.items():
                equal(b.finish(j)["state"], "done", "made")
                check(b.picture(j) == a.picture(j) == want[n], "with a single machine's bytes, from either front")
            hashes = {hashlib.sha256(open(os.path.join(folder, n), "rb").read()).hexdigest() for n in names()}
            check(sorted(hashes) == names() and len(hashes) == 5, "four pictures and one upload, named by what is in them", names())
            upload = hashlib.sha256(PICTURE).hexdigest()
            check(all(b"PNG" not in r.say("HGET %s data" % k.decode()) for k in keys("image:*")), "and none of them in Redis")
            again = b.submit(steps=3, seed=0, references=REFERENCE).json()["id"]
            equal(b.finish(again)["state"], "done", "the same picture once more")
            equal(len(names()), 5, "is the same file")
            open(os.path.join(folder, "part-of-somebody"), "w").close()
            open(os.path.join(folder, "README"), "w").close()
            kept = names()
            short = c.submit(steps=3, seed=50).json()["id"]
            until("a sixth picture comes", lambda: len(names()) == len(kept) + 1, 60)
            until("and goes when its time is over; what is needed stays, and strangers' files", lambda: names() == kept, 60)
            check(c.ask("GET", "/api/v1/jobs/%s/images/0" % short).status in (404, 410), "it is not there any more")
            equal([a.picture(ids[0]) == want[0], a.ask("DELETE", "/api/v1/uploads/" + upload).status, upload in names()], [True, 204, False], "an upload goes when it is deleted")
            sent = a.ask("POST", "/api/v1/uploads", PICTURE, {"Content-Type": "image/png"}).json()
            check(upload in names(), "an upload is a file", sent)
            equal((b.ask("DELETE", "/api/v1/uploads/" + upload).status, upload in names()), (204, False), "and goes when it is deleted")
            a.ask("POST", "/api/v1/uploads", PICTURE, {"Content-Type": "image/png"})
            with open(os.path.join(folder, upload), "r+b") as f:
                f.write(b"x")
            broken = a.submit(steps=2, references=[{"task": "ip", "upload": upload}])
            check(broken.status >= 400 and "damaged" in broken.error()["message"], "a damaged file is not taken for what it was", broken.status, broken.body)
        with front(r, *shared) as a, front(r) as without, Worker(r, *shared):
            j = a.submit(steps=2).json()["id"]
            a.finish(j)
            seen = without.ask("GET", "/api/v1/jobs/%s/images/0" % j)
            check(seen.status == 404 and "--blobs" in seen.error()["hint"], "a front that does not see the folder says so", seen.body)
        for words, says in ((("worker", "--queue", r.url, "--blobs", "/nowhere"), "cannot be opened"), (("serve", "--blobs", folder), "for a fleet")):
            p = subprocess.run([DREAMO, *words, "-m", MODEL], capture_output=True, text=True, timeout=60)
            check(p.returncode != 0 and says in p.stderr, " ".join(words), p.stderr)


def away():
    """Redis gone for long: fronts say so and live, the worker waits with what it has, and every accepted job ends once.  AWAY: seconds."""
    seconds = int(os.environ.get("AWAY", "8"))
    want = alone(range(3), 30)
    with Redis() as r, front(r) as a, Worker(r) as w:
        ids = {n: a.submit(steps=30, seed=n, references=REFERENCE).json()["id"] for n in want}
        check(a.running(ids[0]), "runs")
        events, stream = [], Events(a, "/api/v1/jobs/%s/events" % ids[2])
        watching = threading.Thread(target=lambda: events.extend(stream))
        watching.start()
        r.kill()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            equal((a.ask("GET", "/health").status, a.ask("GET", "/").status), (200, 200), "alive")
            seen = a.submit(seed=9)
            check(seen.status == 503 and seen.headers.get("retry-after") and seen.error()["code"] == "busy", "jobs are refused", seen.status, seen.body)
            equal(a.ask("GET", "/api/v1/jobs/" + ids[0]).status, 503, "and nothing is told of a job")
            equal(a.ask("GET", "/ready").status, 503, "not ready")
            check(time.monotonic() - begin < 5, "at once", time.monotonic() - begin)
            time.sleep(0.5)
        equal((w.process.poll(), a.process.poll()), (None, None), "both live")
        r.start()
        for n, j in ids.items():
            until("known again", lambda: a.ask("GET", "/api/v1/jobs/" + j).status == 200)
            equal(a.finish(j)["state"], "done", "made")
            check(a.picture(j) == want[n], "with a single machine's bytes, seed %d" % n)
        equal((counts(a)["done"], counts(a)["running"], counts(a)["queued"]), (3, 0, 0), "each once")
        watching.join(60)
        check(not watching.is_alive() and events and events[-1]["event"] == "done", "who listened all the time hears the end", events[-1:])
        r.say("CONFIG SET maxmemory 1")
        full_ = a.submit(seed=10)
        check(full_.status == 507 and "memory" in full_.error()["message"], "a Redis that is full", full_.status, full_.body)
        r.say("CONFIG SET maxmemory 0")
        equal(a.finish(a.submit(seed=10).json()["id"])["state"], "done", "and the next is made")


def addresses():
    def run(*words):
        p = subprocess.run([DREAMO, *words, "-m", MODEL], capture_output=True, text=True, timeout=60)
        return p.returncode, p.stderr
    for url, says in (("redis://127.0.0.1:%d" % free_port(), "does not answer"), ("redis://", "has no host"), ("redis://h:99999", "the port is not"),
                      ("redis://h/x", "database"), ("redis://secret@h", "before @"), ("http://h", "redis://")):
        code, said = run("worker", "--queue", url)
        check(code != 0 and says in said and "secret" not in said, "worker --queue " + url, code, said)
    code, said = run("worker")
    check(code != 0 and "--queue" in said, "a worker needs a queue", said)
    for bad in ("0", "x", "1000001", "http://h"):
        code, said = run("serve", "--queue", bad)
        check(code != 0 and "--queue" in said, "serve --queue " + bad, said)
    with Redis() as r:
        r.say("CONFIG SET requirepass hidden")
        code, said = run("worker", "--queue", r.url)
        check(code != 0 and "refuses us" in said, "without the password", said)
        code, said = run("worker", "--queue", r.url.replace("//", "//:wrongone@"))
        check(code != 0 and "refuses us" in said and "wrongone" not in said, "with a wrong one", said)
        safe = r.url.replace("//", "//:hidden@")
        with Server("--queue", safe) as s:
            equal(s.submit().status, 202, "with the right one")


if __name__ == "__main__":
    main([two_fronts, full, killed, three_tries, put_back, stopped, two_models, batches, shared_folder, away, addresses])
