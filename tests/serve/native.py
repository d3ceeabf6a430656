"""native.py DREAMO MODEL [TEST...] - /api/v1 against a running server: what works, and what is refused with which words."""
import hashlib
import random
import subprocess

from harness import *


def works():
    with Server() as s:
        a = s.submit(seed=3, steps=3, size=None, references=[{"task": "ip", "image": b64(PICTURE), "name": "cupcake.png"}])
        equal(a.status, 202, "a job is accepted")
        equal(a.headers.get("location"), "/api/v1/jobs/" + a.json()["id"], "Location")
        plan = a.json()["plan"]
        check(plan["steps"] == 3 and plan["peak_bytes"] > 0, "the plan is in the answer", plan)
        end = s.finish(a.json()["id"])
        equal(end["state"], "done", "the job is done")
        equal(end["images"], ["/api/v1/jobs/%s/images/0" % a.json()["id"]], "its pictures are numbered from 0")
        got = s.ask("GET", end["images"][0])
        ref = os.path.join(s.folder.name, "cupcake.png")
        out = os.path.join(s.folder.name, "cli.png")
        open(ref, "wb").write(PICTURE)
        subprocess.run([DREAMO, "generate", "-q", "a cupcake on a beach", "-m", MODEL, "--seed", "3", "--steps", "3", "-r", "ip=" + ref, "-o", out], check=True, stdout=subprocess.DEVNULL)
        equal(hashlib.sha256(got.body).hexdigest(), hashlib.sha256(open(out, "rb").read()).hexdigest(), "the bytes that `generate` writes")
        equal(got.headers.get("etag"), '"%s"' % hashlib.sha256(got.body).hexdigest(), "ETag is the sha256")
        equal(s.ask("GET", end["images"][0], headers={"If-None-Match": got.headers["etag"]}).status, 304, "If-None-Match")
        for format, magic in (("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF"), ("png", b"\x89PNG")):
            check(s.ask("GET", end["images"][0] + "?format=" + format).body.startswith(magic), "?format=" + format)
        equal(s.ask("GET", end["images"][0] + "?format=gif").error().get("field"), "format", "?format=gif")
        equal(s.ask("GET", end["images"][0] + "?format=jpeg&quality=101").status, 400, "?quality=101")
        head = s.ask("HEAD", end["images"][0])
        check(head.status == 200 and head.body == b"", "HEAD", head.status)
        seen = s.ask("GET", "/api/v1/jobs/%s/refs/0" % a.json()["id"])
        check(seen.status == 200 and seen.body.startswith(b"\x89PNG"), "what the model saw", seen.status)
        equal(s.ask("GET", "/api/v1/jobs/%s/refs/1" % a.json()["id"]).status, 404, "a reference that is not there")
        equal(s.ask("GET", "/api/v1/jobs/%s/images/1" % a.json()["id"]).status, 404, "a picture that is not there")
        two = s.finish(s.submit(seed=3, count=2).json()["id"])
        one = s.finish(s.submit(seed=4).json()["id"])
        check(len(two["images"]) == 2 and s.ask("GET", two["images"][1]).body == s.ask("GET", one["images"][0]).body, "the second of two is the next seed's")
        equal(s.submit(seed=9223372036854775807, count=2).status, 202, "the largest seed, and the one after it")
        check(0 <= s.submit().json()["seed"] < 2 ** 53, "a seed is drawn, and told")
        wait_idle(s)


def counts(s):
    return {line.split('"')[1]: int(line.split()[-1]) for line in s.ask("GET", "/metrics").body.decode().split("\n") if line.startswith("dreamo_jobs{")}


def wait_idle(s):
    while True:
        jobs = counts(s)
        if jobs["queued"] + jobs["running"] == 0:
            return jobs
        time.sleep(0.05)


def forms():
    with Server() as s:
        body, headers = form([("prompt", None, "a cupcake on a beach".encode()), ("seed", None, b"3"), ("steps", None, b"2"), ("guidance", None, b"1"), ("size", None, b"64x64"), ("true_cfg", None, b"1"), ("ip", "c.png", PICTURE)])
        a = s.ask("POST", "/api/v1/jobs", body, headers)
        equal(a.status, 202, "a form is accepted")
        b = s.submit(seed=3, guidance=1.0, references=[{"task": "ip", "image": b64(PICTURE)}])
        s.finish(a.json()["id"]), s.finish(b.json()["id"])
        check(s.picture(a.json()["id"]) == s.picture(b.json()["id"]), "a form and JSON make the same picture")
        refused = [
            (form([("prompt", None, b"x"), ("steps", None, b"1e1")]), 400, "steps"),
            (form([("prompt", None, b"x"), ("steps", None, b"")]), 400, "steps"),
            (form([("prompt", None, b"x"), ("seed", None, b"9223372036854775808")]), 400, "seed"),
            (form([("prompt", None, b"x"), ("prompt", None, b"y")]), 400, "prompt"),
            (form([("prompt", None, b"\xff")]), 400, "prompt"),
            (form([("prompt", None, b"a\0b")]), 400, "prompt"),
            (form([("prompt", None, b"x"), ("face", "f.png", PICTURE)]), 400, "face"),
            (form([("prompt", None, b"x"), ("ip", "../../x\".png", b"hello")]), 422, "references[0]"),
            (form([("prompt", None, b"x")] + [("ip", "f.png", PICTURE)] * 10), 413, "references"),
            (form([("a%d" % i, None, b"") for i in range(100)]), 413, None),
            ((b"--xXx\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx", {"Content-Type": "multipart/form-data; boundary=xXx"}), 400, "prompt"),
            ((b"--xXx\r\nContent-Disposition: form-data; name=\"prompt\"", {"Content-Type": "multipart/form-data; boundary=xXx"}), 400, None),
            ((b"--xXx\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xXx--\r\n", {"Content-Type": "multipart/form-data; boundary=xXx"}), 400, None),
            ((b"--xXx\r\nContent-Disposition: form-data; name=\"p\"\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\nx\r\n--xXx--\r\n", {"Content-Type": "multipart/form-data; boundary=xXx"}), 400, None),
            ((b"--xXx\r\nX: " + b"y" * 5000 + b"\r\n\r\nx\r\n--xXx--\r\n", {"Content-Type": "multipart/form-data; boundary=xXx"}), 400, None),
            ((b"--xXx--\r\ntrailing", {"Content-Type": "multipart/form-data; boundary=xXx"}), 400, None),
            ((b"--xXx--\r\n", {"Content-Type": "multipart/form-data"}), 400, None),
            ((b"--xXx--\r\n", {"Content-Type": "multipart/form-data; boundary="}), 400, None),
            ((b"--xXx--\r\n", {"Content-Type": "multipart/form-data; boundary=" + "b" * 71}), 400, None),
            ((b"--xXx--\r\n", {"Content-Type": "multipart/form-data; boundary=xXx"}), 400, "prompt"),
            ((b"prompt=x", {"Content-Type": "application/x-www-form-urlencoded"}), 415, None),
            ((b"prompt=x", {"Content-Type": "text/plain"}), 415, None),
            ((b"", {}), 400, None),
        ]
        for i, ((body, headers), status, field) in enumerate(refused):
            a = s.ask("POST", "/api/v1/jobs", body, headers)
            equal((a.status, a.error().get("field")), (status, field), "form %d is refused" % i)
            check(a.error().get("message") and a.error().get("request", "").startswith("r_"), "form %d: the shape of an error" % i, a.body)


def json_refused():
    with Server("--max-pixels", "16384", "--max-steps", "40", "--max-refs", "2") as s:
        ref = {"task": "ip", "image": b64(PICTURE)}
        refused = [
            ("{}", 400, "prompt"), ("[]", 400, None), ("", 400, None), ("{", 400, None), ('{"prompt":"x"}x', 400, None), ('{"prompt":"x",}', 400, None),
            ('{"prompt":"x","prompt":"y"}', 400, None), ('{"prompt":"\\ud800"}', 400, None), ('{"prompt":"\\u0000"}', 400, None), ('{"prompt":"x","steps":NaN}', 400, None),
            ('{"prompt":"x","guidance":1e400}', 400, None), ('{"prompt":"x","seed":1e309}', 400, None), ("[" * 10000, 400, None), ('{"a":' * 64 + "1" + "}" * 64, 400, None),
            ('{"prompt":7}', 400, "prompt"), ('{"prompt":"x","step":3}', 400, "step"), ('{"prompt":"x","steps":"3"}', 400, "steps"), ('{"prompt":"x","steps":2.0}', 400, "steps"),
            ('{"prompt":"x","steps":0}', 400, "steps"), ('{"prompt":"x","steps":-1}', 400, "steps"), ('{"prompt":"x","steps":41}', 413, "steps"), ('{"prompt":"x","steps":2147483648}', 413, "steps"),
            ('{"prompt":"x","seed":-1}', 400, "seed"), ('{"prompt":"x","seed":9223372036854775808}', 400, None), ('{"prompt":"x","seed":"random"}', 400, "seed"),
            ('{"prompt":"x","size":"64"}', 400, "size"), ('{"prompt":"x","size":"64x0"}', 400, "size"), ('{"prompt":"x","size":"64x-8"}', 400, "size"), ('{"prompt":"x","size":"60x64"}', 400, "size"),
            ('{"prompt":"x","size":"99999999999x64"}', 400, "size"), ('{"prompt":"x","size":"1000000x1000000"}', 400, "size"), ('{"prompt":"x","size":"256x256"}', 413, "size"), ('{"prompt":"x","size":"64x64x64"}', 400, "size"),
            ('{"prompt":"x","guidance":-1}', 400, "guidance"), ('{"prompt":"x","guidance":101}', 400, "guidance"), ('{"prompt":"x","count":0}', 400, "count"), ('{"prompt":"x","count":9}', 413, "count"),
            ('{"prompt":"x","true_cfg":0.5}', 400, "true_cfg"), (json.dumps({"prompt": "x" * 65537}), 413, "prompt"), ('{"prompt":"x","cfg_start":9,"cfg_end":3}', 400, None),
            (json.dumps({"prompt": "x", "references": {}}), 400, "references"), (json.dumps({"prompt": "x", "references": [1]}), 400, "references[0]"),
            (json.dumps({"prompt": "x", "references": [ref] * 3}), 413, "references"), (json.dumps({"prompt": "x", "references": [{"image": b64(PICTURE)}]}), 400, "references[0].task"),
            (json.dumps({"prompt": "x", "references": [{"task": "ip"}]}), 400, "references[0]"), (json.dumps({"prompt": "x", "references": [dict(ref, task="cat")]}), 400, "references[0].task"),
            (json.dumps({"prompt": "x", "references": [dict(ref, weight=1)]}), 400, "references[0].weight"), (json.dumps({"prompt": "x", "references": [dict(ref, slot=0)]}), 400, "references[0].slot"),
            (json.dumps({"prompt": "x", "references": [dict(ref, res=5)]}), 400, "references[0].res"), (json.dumps({"prompt": "x", "references": [dict(ref, slot=1), dict(ref, slot=1)]}), 400, None),
            (json.dumps({"prompt": "x", "references": [{"task": "ip", "upload": "../../etc/passwd"}]}), 400, "references[0].upload"),
            (json.dumps({"prompt": "x", "references": [{"task": "ip", "upload": "0" * 64}]}), 404, "references[0].upload"),
            (json.dumps({"prompt": "x", "references": [{"task": "ip", "upload": "0" * 64, "image": b64(PICTURE)}]}), 400, "references[0]"),
        ]
        wrapped = base64.encodebytes(PICTURE).decode()
        for image, status in ((wrapped, 400), (b64(PICTURE) + " ", 400), (b64(PICTURE)[:-1], 400), ("", 400), ("====", 400), ("AA=A", 400), ("A===", 400), ("http://127.0.0.1:1/x.png", 400),
                              ("file:///etc/passwd", 400), ("data:text/html;base64,aGk=", 400), ("data:image/png,xx", 400), (b64(b"hello"), 422), (b64(PICTURE[:500]), 422),
                              (b64(png(60000, 60000)), 413), (b64(png(5000, 5000)), 413), (b64(png(0, 9)), 422), (b64(b"GIF89a" + bytes(40)), 422), (b64(png(9, 9)), 422)):
            refused.append((json.dumps({"prompt": "x", "references": [{"task": "ip", "image": image}]}), status, "references[0].image" if status == 400 else "references[0]"))
        for body, status, field in refused:
            a = s.ask("POST", "/api/v1/jobs", body, {"Content-Type": "application/json"})
            equal((a.status, a.error().get("field")), (status, field), "refused: " + body[:90])
            check(a.error().get("message") and a.error().get("request", "").startswith("r_"), "the shape of an error", a.body)
        equal(wait_idle(s)["done"], 0, "nothing of it was made")
        equal(s.ask("POST", "/api/v1/jobs", '{"prompt":"","steps":1}', {"Content-Type": "application/json"}).status, 202, "an empty prompt is allowed")
        equal(s.submit(references=[dict(ref, image="data:image/png;base64," + b64(PICTURE))]).status, 202, "a data address is a picture, too")
        many = json.dumps(dict({"prompt": "x"}, **{"k%d" % i: 1 for i in range(100000)}))
        equal(s.ask("POST", "/api/v1/jobs", many, {"Content-Type": "application/json"}).status, 400, "100,000 keys")


def raw_http():
    job = b'{"prompt":"x","steps":1}'
    line = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with Server("--max-body", "65536") as s:
        cases = [
            ("no Host", b"GET /health HTTP/1.1\r\n\r\n", (400,)),
            ("two Hosts", b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", (400,)),
            ("HTTP/1.0 without Host", b"GET /health HTTP/1.0\r\n\r\n", (400,)),
            ("HTTP/1.0", b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n", (200,)),
            ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 404, 405, 505)),
            ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n", (400, 404, 505, None)),
            ("TRACE", b"TRACE /health HTTP/1.1\r\nHost: localhost\r\n\r\n", (405,)),
            ("CONNECT", b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404, 405)),
            ("OPTIONS", b"OPTIONS /health HTTP/1.1\r\nHost: localhost\r\n\r\n", (405,)),
            ("FOO", b"FOO /health HTTP/1.1\r\nHost: localhost\r\n\r\n", (405,)),
            ("absolute form", b"GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
            ("10 KB target", b"GET /" + b"a" * 10240 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (414,)),
            ("%00", b"GET /health%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
            ("..%2f", b"GET /..%2f..%2fetc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
            ("..", b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
            ("//", b"GET //health HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
            ("backslash", b"GET /\\health HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
            ("101 headers", b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 100 + b"\r\n", (431,)),
            ("100,000 headers", b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 100000 + b"\r\n", (431, 413, None)),
            ("60 KB of headers", b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: " + b"b" * 60000 + b"\r\n\r\n", (431, 413, None)),
            ("length -1", line + b"Content-Length: -1\r\n\r\n" + job, (400, None)),
            ("length 2^63", line + b"Content-Length: 9223372036854775808\r\n\r\n" + job, (400, 413, None)),
            ("length 2^70", line + b"Content-Length: 1180591620717411303424\r\n\r\n" + job, (400, 413, None)),
            ("length twice", line + b"Content-Length: 24\r\nContent-Length: 24\r\n\r\n" + job, (400,)),
            ("length and chunked", line + b"Content-Length: 24\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n" + job + b"\r\n0\r\n\r\n", (400,)),
            ("length abc", line + b"Content-Length: abc\r\n\r\n" + job, (400, None)),
            ("chunked", line + b"Transfer-Encoding: chunked\r\n\r\n18\r\n" + job + b"\r\n0\r\n\r\n", (202,)),
            ("gzip, chunked", line + b"Transfer-Encoding: gzip, chunked\r\n\r\n18\r\n" + job + b"\r\n0\r\n\r\n", (400, 501)),
            ("chunk of 2^64", line + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + job, (400, 413, None)),
            ("chunk xyz", line + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + job + b"\r\n0\r\n\r\n", (400, None)),
            ("1 GB announced", line + b"Content-Length: 1073741824\r\n\r\n", (413,)),
            ("70 KB announced", line + b"Content-Length: 70000\r\n\r\n" + b" " * 70000, (413,)),
            ("more than the limit in chunks", line + b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b" " * 32768 + b"\r\n") * 3 + b"0\r\n\r\n", (413, None)),
            ("packed", line + b"Content-Encoding: gzip\r\nContent-Length: 24\r\n\r\n" + job, (415,)),
            ("no type", b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 24\r\n\r\n" + job, (415,)),
            ("half-closed", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", (200, None)),
        ]
        for name, data, allowed in cases:
            got = s.raw(data, wait=4, shut=name == "half-closed")
            status = int(got.split()[1]) if got.startswith(b"HTTP/") else None
            check(status in allowed, "raw: " + name, got[:200])
            equal(s.ask("GET", "/health").status, 200, "alive after: " + name)
        got = s.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3 + b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        c = socket.create_connection(s.address, timeout=5)
        c.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3 + b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        got = b""
        while piece := c.recv(65536):
            got += piece
        equal(got.count(b"HTTP/1.1 200"), 4, "pipelined requests are answered in order")
        for n in range(1, 40, 3):  # reset in the middle of a body
            c = socket.create_connection(s.address)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            c.sendall((line + b"Content-Length: 24\r\n\r\n" + job)[: -n])
            c.close()
        equal(s.ask("GET", "/health").status, 200, "alive after resets")
        for path in ("/nothing", "/api/v1/jobs/" + "0" * 32, "/api/v1/jobs/" + "a" * 4096, "/api/v1/jobs/%2e%2e", "/api/v1/jobs/" + "0" * 32 + "/images/0", "/api/v1/jobs/" + "0" * 32 + "/events",
                     "/api/v1/uploads/x"):
            a = s.ask("GET", path)
            check(a.status == 404 and a.error().get("code") == "not_found", "404: " + path[:60], a.status, a.body)
        equal(s.ask("DELETE", "/api/v1/jobs/" + "0" * 32).status, 404, "cancelling an unknown job")


def noise():
    """Good requests with some bytes changed, cut or doubled: whatever comes back, the next client is served."""
    r = random.Random(11)
    body, headers = form([("prompt", None, b"x"), ("steps", None, b"1"), ("ip", "c.png", PICTURE[:400])])
    seeds = [b"GET /api/v1/capabilities HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
             b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"prompt\":\"x\",\"steps\":1}",
             b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n{\"prompt\":\"x\",\"steps\":1}\r\n0\r\n\r\n",
             b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xXx\r\nContent-Length: %d\r\n\r\n" % len(body) + body]
    with Server() as s:
        for n in range(600):
            data = bytearray(r.choice(seeds))
            for _ in range(r.randint(1, 4)):
                at, how = r.randrange(len(data)), r.random()
                if how < 0.5:
                    data[at] = r.choice([0, 10, 13, 32, 34, 58, 127, 255, r.randrange(256)])
                elif how < 0.7:
                    del data[at:at + r.randint(1, 30)]
                elif how < 0.9:
                    data[at:at] = data[at:at + r.randint(1, 60)]
                else:
                    del data[at:]
                data = data or bytearray(b"\n")
            c = socket.create_connection(s.address)
            for piece in range(0, len(data), 300):  # in slices
                with contextlib.suppress(OSError):
                    c.sendall(data[piece:piece + 300])
            if n % 3:
                c.settimeout(0.02)
                with contextlib.suppress(OSError):
                    c.recv(4096)
            c.close()
            if n % 60 == 0:
                equal(s.ask("GET", "/health").status, 200, "alive after noise %d" % n)
        wait_idle(s)
        equal(s.finish(s.submit().json()["id"])["state"], "done", "and a job is made")


def guarded():
    with Server("--allow-origin", "https://friend.example", "--hosts", "studio.example") as s:
        job = {"prompt": "x", "steps": 1}
        for headers, status in (({"Host": "evil.example"}, 403), ({"Host": "evil.example:7860"}, 403), ({"Host": "localhost.evil.example"}, 403), ({"Host": "localhost:99"}, 200), ({"Host": "[::1]:7"}, 200),
                                ({"Host": "127.8.9.10"}, 200), ({"Host": "studio.example"}, 200), ({"Host": "localhost@evil.example"}, 403), ({"Host": ""}, 400)):
            equal(s.ask("GET", "/api/v1/capabilities", headers=headers).status, status, "Host " + headers["Host"])
        for origin, status in (("https://evil.example", 403), ("null", 403), ("http://localhost", 403), ("https://friend.example", 202), ("https://friend.example.evil", 403)):
            a = s.ask("POST", "/api/v1/jobs", job, {"Origin": origin, "Content-Type": "application/json"})
            equal((a.status, a.headers.get("access-control-allow-origin")), (status, origin if status == 202 else None), "Origin " + origin)
        own = "127.0.0.1:%d" % s.port
        equal(s.ask("POST", "/api/v1/jobs", job, {"Origin": "http://" + own}).status, 202, "our own page")
        equal(s.ask("POST", "/api/v1/jobs", json.dumps(job), {"Content-Type": "text/plain"}).status, 415, "a form without preflight")
        equal(s.ask("POST", "/api/v1/jobs", job, {"Sec-Fetch-Site": "cross-site"}).status, 403, "Sec-Fetch-Site")
        a = s.ask("OPTIONS", "/api/v1/jobs", headers={"Origin": "https://friend.example", "Access-Control-Request-Method": "POST"})
        check(a.status == 204 and "POST" in a.headers.get("access-control-allow-methods", ""), "a friend's preflight", a.status)
        equal(s.ask("OPTIONS", "/api/v1/jobs", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}).status, 405, "another's preflight")
        page = s.ask("GET", "/")
        check(page.status == 200 and "default-src 'none'" in page.headers.get("content-security-policy", "") and page.headers.get("x-content-type-options") == "nosniff", "the page and its policy")
        check(all(s.ask("GET", p).status == 200 for p in ("/page.js", "/page.css")), "the page's files")
        wait_idle(s)


def kept():
    """How long an answer may be kept: what does not say so, nowhere.  A browser would keep a 410 for ever, and never ask again."""
    with Server() as s:
        waits = [s.submit(steps=60, size="128x128"), s.submit()][1].json()["id"]
        for path, headers, status, how in (("/api/v1/jobs/%s/events" % waits, {"Last-Event-ID": "65600"}, 410, "no-store"), ("/api/v1/jobs/" + waits, {}, 200, "no-store"),
                                           ("/api/v1/jobs/" + "0" * 32, {}, 404, "no-store"), ("/nowhere", {}, 404, "no-store"), ("/api/v1/capabilities", {}, 200, "no-store"),
                                           ("/health", {}, 200, "no-store"), ("/page.js", {}, 200, "no-cache")):
            a = s.ask("GET", path, headers=headers)
            equal((a.status, a.headers.get("cache-control")), (status, how), "how long is kept " + path)
        events = Events(s, "/api/v1/jobs/%s/events" % waits)
        equal(events.r.getheader("Cache-Control"), "no-store", "events")
        events.close()
        s.finish(waits)
        a = s.ask("GET", "/api/v1/jobs/%s/images/0" % waits)
        equal((a.status, a.headers.get("cache-control")), (200, "private, max-age=86400, immutable"), "a picture never changes")


def keys():
    with tempfile.NamedTemporaryFile("w", suffix=".keys") as f:
        f.write("# who\nalice 0123456789abcdef0123456789abcdef\nbob fedcba9876543210fedcba9876543210 5\n")
        f.flush()
        with Server("--key-file", f.name) as s:
            alice, bob = ({"Authorization": "Bearer " + k} for k in ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"))
            a = s.submit()
            check(a.status == 401 and a.headers.get("www-authenticate") == "Bearer" and a.error().get("code") == "unauthorized", "no key", a.status)
            for wrong in ("Bearer 0123456789abcdef0123456789abcdeg", "Bearer ", "Basic 0123456789abcdef0123456789abcdef", "Bearer " + "x" * 30000, "Bearer 0123456789abcdef"):
                equal(s.submit(headers={"Authorization": wrong}).status, 401, "wrong key " + wrong[:40])
            a = s.submit(headers=alice)
            equal(a.status, 202, "a right key")
            equal(s.ask("GET", "/api/v1/jobs/" + a.json()["id"], headers=bob).status, 404, "another's job is not there")
            equal(s.finish(a.json()["id"], headers=alice)["state"], "done", "one's own is")
            equal(s.ask("GET", "/sdapi/v1/options", headers={"Authorization": "Basic " + b64(b"any:0123456789abcdef0123456789abcdef")}).status, 200, "a key as password")
            equal(s.ask("GET", "/sdapi/v1/options", headers={"Authorization": "Basic " + b64(b"0123456789abcdef0123456789abcdef:")}).status, 401, "a key as name")
            for path in ("/", "/health", "/ready", "/version", "/api/v1/openapi.json"):
                equal(s.ask("GET", path).status, 200, "without key: " + path)
            for path in ("/metrics", "/api/v1/capabilities"):
                equal(s.ask("GET", path).status, 401, "not without key: " + path)
            codes = [s.ask("GET", "/api/v1/capabilities", headers=bob).status for _ in range(8)]
            check(codes.count(200) <= 5 and codes[-1] == 429, "bob's rate is 5 a minute", codes)
            check(int(s.ask("GET", "/api/v1/capabilities", headers=bob).headers.get("retry-after", 0)) > 0, "Retry-After")
            equal(s.ask("GET", "/api/v1/capabilities", headers=alice).status, 200, "alice is not concerned")
    for text, part in (("alice short\n", "less than 16 characters"), ("alice\n", "is not NAME KEY"), ("", "holds no key"), ("a 0123456789abcdef x\n", "not a number of requests"), ("a 0123456789abcdef\na 0123456789abcdef\n", "twice")):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as f:
            f.write(text)
            f.flush()
            refused(["--key-file", f.name], None, part)


def refused(options, code, part, listen=None):
    with tempfile.TemporaryDirectory() as d:
        store = [] if "--store" in options else ["--store", os.path.join(d, "s.db")]
        r = subprocess.run([DREAMO, "serve", "-m", MODEL, "--listen", listen or "127.0.0.1:%d" % free_port(), *store, *options], capture_output=True, text=True, timeout=60)
        check((code is None and r.returncode > 0 or r.returncode == code) and part in r.stderr and r.stderr.rstrip().split("\n")[-1].startswith("dreamo: "),
              "refused to start: %s %s" % (options, listen or ""), r.returncode, r.stderr)


def addresses():
    with Server() as s:
        refused([], 14, "Address already in use", "127.0.0.1:%d" % s.port)
        refused(["--store", s.store], 12, "in use by another server")
    refused([], 2, "without a key", "0.0.0.0:%d" % free_port())
    refused([], 2, "without a key", "[::]:%d" % free_port())
    for bad in ("7860", "localhost", "a:b:c:1", "127.0.0.1:99999", "127.0.0.1:", "unix:", "unix:" + "x" * 200):
        refused([], 2, "--listen", bad)
    refused([], 14, "--listen", "nosuch.invalid:1")
    refused(["--keep-results", "soon"], 2, "is not a time")
    refused(["--store", "/nosuch/folder/s.db"], 7, "cannot be written")
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(d, "text.db"), "w") as f:
            f.write("not a database, and long enough to be looked at " * 40)
        refused(["--store", os.path.join(d, "text.db")], 3, "is not a job store")
        path = os.path.join(d, "socket")
        with Server(listen="unix:" + path, wait=False) as s:
            equal(ask_unix(path), 200, "a Unix socket")
            equal(os.stat(path).st_mode & 0o777, 0o700, "for its owner alone")
            s.stop(signal.SIGKILL)
        check(os.path.exists(path), "a killed server leaves its socket")
        with Server(listen="unix:" + path, wait=False) as s:
            equal(ask_unix(path), 200, "and the next one takes its place")
            equal(s.stop(), 0, "SIGTERM")
            check(not os.path.exists(path), "which is removed at the end")
    with Server("--insecure", listen="[::1]:%d" % (port := free_port()), wait=False) as s:
        s.address = ("::1", port)
        s.wait()
        equal(s.ask("GET", "/health").status, 200, "IPv6")


def ask_unix(path):
    for _ in range(200):
        with contextlib.suppress(OSError):
            c = socket.socket(socket.AF_UNIX)
            c.connect(path)
            c.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return int(c.recv(4096).split()[1])
        time.sleep(0.05)
    return None


def passed_socket():
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with tempfile.TemporaryDirectory() as d:
        notified.bind(os.path.join(d, "notify"))
        notified.settimeout(30)
        store = os.path.join(d, "s.db")
        script = 'import os,sys\nos.dup2(%d,3,inheritable=True)\nos.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS="1",NOTIFY_SOCKET=%r)\nos.execv(sys.argv[1],sys.argv[1:])' % (listening.fileno(), os.path.join(d, "notify"))
        with open(os.path.join(d, "log"), "w+") as log:
            p = subprocess.Popen([sys.executable, "-c", script, DREAMO, "serve", "-m", MODEL, "--store", store, "--listen", "127.0.0.1:1"], pass_fds=[listening.fileno()], stdout=log, stderr=log)
            said = notified.recv(200)
            equal(said, b"READY=1", "READY=1")
            c = http.client.HTTPConnection(*listening.getsockname(), timeout=10)
            c.request("GET", "/health")
            equal(c.getresponse().status, 200, "the socket that was passed is served")
            c.close()
            p.terminate()
            heard = b""
            while b"STOPPING=1" not in heard:
                heard = notified.recv(200)
            check(b"STOPPING=1" in heard, "STOPPING=1")
            equal(p.wait(30), 0, "and ends with 0")


def uploads():
    with Server() as s:
        up = s.ask("POST", "/api/v1/uploads?task=ip", PICTURE, {"Content-Type": "image/png"})
        u = up.json()
        equal((up.status, u.get("id")), (201, hashlib.sha256(PICTURE).hexdigest()), "an upload's id is its sha256")
        check(u["prepared"]["image"].startswith("data:image/png;base64,") and u["prepared"]["width"] > 0, "what the model will see", u.get("prepared"))
        equal(s.ask("GET", "/api/v1/uploads/" + u["id"]).body, PICTURE, "it comes back as it went")
        body, headers = form([("file", "a.png", PICTURE)])
        equal(s.ask("POST", "/api/v1/uploads", body, headers).json().get("id"), u["id"], "again, as a form: the same")
        check(s.ask("GET", "/api/v1/uploads/%s/seen?task=style&res=32" % u["id"]).body.startswith(b"\x89PNG"), "seen as another task")
        for query, field in (("task=cat", "task"), ("task=ip&res=1", "res"), ("task=ip&cut=no", "cut")):
            equal(s.ask("POST", "/api/v1/uploads?" + query, PICTURE, {"Content-Type": "image/png"}).error().get("field"), field, "?" + query)
        a, b = s.submit(seed=1, references=[{"task": "ip", "upload": u["id"]}]), s.submit(seed=1, references=[{"task": "ip", "image": b64(PICTURE)}])
        s.finish(a.json()["id"]), s.finish(b.json()["id"])
        check(s.picture(a.json()["id"]) == s.picture(b.json()["id"]), "by id or with the request: the same picture")
        for data, status in ((b"hello", 422), (png(60000, 60000), 413), (PICTURE[:300], 422), (b"", 400)):
            equal(s.ask("POST", "/api/v1/uploads", data, {"Content-Type": "image/png"}).status, status, "a bad upload, %d bytes" % len(data))
        equal(s.ask("POST", "/api/v1/uploads", b"x", {"Content-Type": "text/html"}).status, 415, "not a picture at all")
        long = s.submit(steps=60, count=8, references=[{"task": "ip", "upload": u["id"]}]).json()["id"]
        s.running(long)
        equal(s.ask("DELETE", "/api/v1/uploads/" + u["id"]).status, 409, "a running job needs it")
        s.ask("DELETE", "/api/v1/jobs/" + long)
        equal(s.ask("DELETE", "/api/v1/uploads/" + u["id"]).status, 204, "forgotten")
        equal(s.ask("GET", "/api/v1/uploads/" + u["id"]).status, 404, "and gone")
        equal(s.ask("DELETE", "/api/v1/uploads/" + u["id"]).status, 404, "twice")
    with Server("--keep-results", "1s") as s:
        u = s.ask("POST", "/api/v1/uploads", PICTURE, {"Content-Type": "image/png"}).json()["id"]
        j = s.submit().json()["id"]
        s.finish(j)
        end = time.monotonic() + 20
        while time.monotonic() < end and s.ask("GET", "/api/v1/jobs/%s/images/0" % j).status == 200:
            time.sleep(0.2)
        equal(s.ask("GET", "/api/v1/jobs/%s/images/0" % j).status, 410, "a picture whose time is over")
        equal(s.ask("GET", "/api/v1/uploads/" + u).status, 404, "an upload whose time is over")
        state = s.ask("GET", "/api/v1/jobs/" + j).json()
        check(state.get("expired") and "request" not in state, "the job is remembered, its prompt is not", state)


def about():
    with Server("--max-steps", "33", "--max-refs", "4") as s:
        c = s.ask("GET", "/api/v1/capabilities").json()
        check(c["limits"]["steps"] == 33 and c["limits"]["references"] == 4 and c["defaults"]["width"] == 128 and len(c["model"]["sha256"]) == 64, "capabilities", c)
        equal(s.submit(steps=33).status, 202, "a limit that is announced is allowed")
        equal(s.submit(steps=34).status, 413, "and the next one is not")
        o = s.ask("GET", "/api/v1/openapi.json").json()
        equal(o["components"]["schemas"]["Request"]["properties"]["steps"]["maximum"], 33, "openapi.json has the same limits")
        names = {f["name"] for f in c["fields"]}
        equal(names, set(o["components"]["schemas"]["Request"]["properties"]), "and the same fields")
        for path, methods in o["paths"].items():
            for method in methods:
                known = s.ask(method.upper(), path.replace("{id}", "0" * 32).replace("{n}", "0"), b"{}" if method == "post" else None, {"Content-Type": "application/json"} if method == "post" else {})
                check(known.status != 405 and "there is nothing here" not in known.body.decode("utf8", "replace"), "openapi: %s %s" % (method, path), known.status)
        wait_idle(s)
        m = s.ask("GET", "/metrics").body.decode()
        for name in ("dreamo_jobs{", "dreamo_queue_depth", "dreamo_step_seconds_bucket{size=\"256\",le=", "dreamo_step_seconds_count{size=\"more\"} 0\n", "dreamo_tokens_total", "dreamo_arena_bytes{kind=\"peak\"}", "dreamo_device_bytes", "dreamo_image_seconds_count", "dreamo_http_requests_total{", "dreamo_refused_total{", "dreamo_model_info{", "dreamo_build_info{"):
            check("\n" + name in m, "metrics: " + name)
        number = lambda name: int(m[m.index("\n" + name + " ") + len(name) + 2:].split("\n", 1)[0])
        check(number("dreamo_tokens_total") > 0 and 0 < number('dreamo_arena_bytes{kind="peak"}') < number("dreamo_device_bytes"), "tokens and bytes are counted")
        equal((c["loras"], c["devices"][0]["name"]), ([], "cpu"), "what is loaded, and where")
        plan = s.ask("POST", "/api/v1/plan", {"prompt": "x", "size": "128x128", "references": [{"task": "ip", "image": b64(PICTURE)}]}).json()
        check(plan.get("width") == 128 and plan.get("tokens", 0) > 0, "a plan", plan)
        wait_idle(s)


if __name__ == "__main__":
    main([works, forms, json_refused, raw_http, noise, guarded, kept, keys, addresses, passed_socket, uploads, about])
