"""What the server's tests share: a server of their own, HTTP by hand, and checks that say what they wanted.  Python's standard library only."""
import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

DREAMO, MODEL, ROOT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
PICTURE = open(os.path.join(ROOT, "examples/cupcake.png"), "rb").read()
FAILED = []
COUNT = [0]


def check(fine, what, *seen):
    COUNT[0] += 1
    if not fine:
        FAILED.append(what)
        print("not ok:", what, *[str(s)[:400] for s in seen], flush=True)
    return fine


def equal(seen, wanted, what):
    return check(seen == wanted, what, "| wanted", wanted, "| seen", seen)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def error(self):
        e = self.json().get("error")
        return e if isinstance(e, dict) else {}


class Server:
    """A running `dreamo serve`; `with` ends it."""

    def __init__(self, *options, store=None, wait=True, env=None, listen=None, pass_fds=(), model=MODEL):
        self.folder = tempfile.TemporaryDirectory()
        self.store = store or os.path.join(self.folder.name, "serve.db")
        self.port = free_port()
        listen = listen or "127.0.0.1:%d" % self.port
        self.log = open(os.path.join(self.folder.name, "log"), "w+")
        command = [DREAMO, "serve", "-m", model, "--listen", listen, "--store", self.store, *options]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=dict(os.environ, **(env or {})), pass_fds=pass_fds)
        self.address = ("127.0.0.1", self.port)
        if wait:
            self.wait()

    def wait(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit("the server ended: " + self.said())
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/health").status == 200:
                    return
            time.sleep(0.05)
        raise SystemExit("the server does not answer: " + self.said())

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def ask(self, method, path, body=None, headers=None, timeout=60):
        c = http.client.HTTPConnection(*self.address, timeout=timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        c.request(method, path, body, headers)
        r = c.getresponse()
        answer = Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        c.close()
        return answer

    def raw(self, data, wait=5, shut=False):
        """Bytes as they are; what comes back until the server closes or nothing more comes."""
        s = socket.create_connection(self.address, timeout=wait)
        with contextlib.suppress(OSError):
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(OSError):
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                got += piece
                head, _, rest = got.partition(b"\r\n\r\n")
                length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if rest or b"\r\n\r\n" in got:
                    if length and len(rest) >= length[0]:
                        break
        s.close()
        return got

    def submit(self, **fields):
        fields.setdefault("prompt", "a cupcake on a beach")
        fields.setdefault("steps", 2)
        if "size" in fields and not fields["size"]: del fields["size"]  # None: the model's own settings
        else: fields = {"size": "64x64", "true_cfg": 1.0, **fields}  # small: sanitizers take ten times as long
        headers = fields.pop("headers", None)
        return self.ask("POST", "/api/v1/jobs", fields, headers)

    def finish(self, job, seconds=240, headers=None):  # of a machine under sanitizers with others beside it
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.ask("GET", "/api/v1/jobs/" + job, headers=headers).json()
            if state.get("state") in ("done", "failed", "cancelled"):
                return state
            time.sleep(0.02)
        return {"state": "too slow"}

    def running(self, job, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.ask("GET", "/api/v1/jobs/" + job).json()
            if state.get("state") == "running" and state.get("step"):
                return True
            if state.get("state") in ("done", "failed", "cancelled"):
                return False
            time.sleep(0.01)
        return False

    def picture(self, job, n=0):
        return self.ask("GET", "/api/v1/jobs/%s/images/%d" % (job, n)).body

    def status_of(self):
        """Descriptors and resident bytes without mapped files."""
        fds = len(os.listdir("/proc/%d/fd" % self.process.pid))
        if "libasan" in open("/proc/%d/maps" % self.process.pid).read():  # it keeps what is freed
            return fds, 0
        anon = [int(line.split()[1]) * 1024 for line in open("/proc/%d/status" % self.process.pid) if line.startswith("RssAnon")]
        return fds, anon[0]

    def stop(self, number=signal.SIGTERM, seconds=30):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "did not end"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                equal(self.process.wait(10), 0, "the server ends with 0")
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        said = self.said()
        if "Sanitizer" in said or "runtime error" in said:
            check(False, "the sanitizer speaks", said[-3000:])
        self.log.close()
        self.folder.cleanup()


class Events:
    """One event stream, read line by line."""

    def __init__(self, server, path, headers=None, method="GET", body=None):
        self.c = http.client.HTTPConnection(*server.address, timeout=60)
        self.c.request(method, path, body, headers or {})
        self.r = self.c.getresponse()
        self.status = self.r.status

    def __iter__(self):
        event = {}
        for line in self.r:
            line = line.decode().rstrip("\n")
            if not line:
                if event:
                    yield event
                event = {}
            elif not line.startswith(":"):
                key, _, value = line.partition(": ")
                event[key] = value

    def close(self):
        self.c.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def form(parts, boundary="xXx"):
    """[(name, file or None, bytes)] as multipart/form-data."""
    out = b""
    for name, file, data in parts:
        extra = '; filename="%s"' % file if file is not None else ""
        out += ('--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (boundary, name, extra)).encode() + data + b"\r\n"
    return out + ("--%s--\r\n" % boundary).encode(), {"Content-Type": "multipart/form-data; boundary=" + boundary}


def b64(data):
    return base64.b64encode(data).decode()


def png(width, height, data=b"\x35\xaf\x06\x1e"):
    """A header that promises width x height pixels, and next to nothing behind it."""
    import struct
    import zlib
    chunk = lambda kind, d: struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def main(tests):
    only = sys.argv[3:]
    for t in tests:
        if only and t.__name__ not in only:
            continue
        begin = time.monotonic()
        t()
        print("%-24s %5.1f s" % (t.__name__, time.monotonic() - begin), flush=True)
    print("%d checks, %d failed" % (COUNT[0], len(FAILED)))
    sys.exit(1 if FAILED else 0)
