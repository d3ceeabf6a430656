"""compat.py DREAMO MODEL [TEST...] - OpenAI's images API and A1111's routes against a running server, by what their clients send and read."""
from harness import *
from native import counts, wait_idle


def openai():
    with Server() as s:
        def make(path="/v1/images/generations", **fields):
            return s.ask("POST", path, fields)
        native = s.finish(s.submit(seed=5, steps=2).json()["id"])
        want = s.ask("GET", native["images"][0]).body
        a = make(model="dreamo", prompt="a cupcake on a beach", n=1, size="64x64", dreamo={"seed": 5, "steps": 2, "true_cfg": 1})
        equal(a.status, 200, "a picture")
        check(set(a.json()) >= {"created", "data"} and base64.b64decode(a.json()["data"][0]["b64_json"])[:8] == want[:8], "in OpenAI's shape", a.body[:200])
        from_png = lambda data: [data[i:] for i in [data.index(b"IDAT")]]
        check(from_png(base64.b64decode(a.json()["data"][0]["b64_json"])) == from_png(want), "the same pixels as the native job's")
        a = make(prompt="x", n=2, response_format="url", dreamo={"steps": 1})
        check(len(a.json()["data"]) == 2 and s.ask("GET", a.json()["data"][1]["url"].split("%d" % s.port)[1]).body.startswith(b"\x89PNG"), "two addresses", a.body[:300])
        for format, magic in (("jpeg", b"\xff\xd8"), ("webp", b"RIFF")):
            a = make(prompt="x", output_format=format, output_compression=60, size="auto", quality="auto", background="opaque", user="u1", dreamo={"steps": 1})
            check(a.status == 200 and base64.b64decode(a.json()["data"][0]["b64_json"]).startswith(magic) and a.json()["output_format"] == format, "output_format " + format, a.body[:200])
        for fields, field in (({"style": "vivid"}, "style"), ({"background": "transparent"}, "background"), ({"mask": "x"}, "mask"), ({"n": 0}, "n"), ({"n": 99}, "n"), ({"n": "1"}, "n"), ({"size": "big"}, "size"),
                              ({"size": "65x64"}, "size"), ({"quality": "hd"}, "quality"), ({"output_format": "gif"}, "output_format"), ({"output_compression": 50}, "output_compression"), ({"stream": 1}, "stream"),
                              ({"partial_images": 2}, "partial_images"), ({"partial_images": 9, "stream": True}, "partial_images"), ({"response_format": "url", "stream": True}, "response_format"), ({"what": 1}, "what"),
                              ({"model": "dall-e-3"}, "model"), ({"dreamo": 7}, "dreamo"), ({"dreamo": {"steps": 0}}, "steps"), ({"dreamo": {"nothing": 0}}, "nothing"), ({"prompt": 7}, "prompt"), ({"prompt": None}, "prompt")):
            a = make(**dict({"prompt": "x"}, **fields))
            e = a.error()
            check(a.status in (400, 404) and e.get("param") == field and set(e) >= {"message", "type", "param", "code"} and e["type"] == "invalid_request_error", "refused: %s" % fields, a.status, a.body)
        ids = [m["id"] for m in s.ask("GET", "/v1/models").json()["data"]]
        check("dreamo" in ids and s.ask("GET", "/v1/models/dreamo").json()["object"] == "model" and s.ask("GET", "/v1/models/x").status == 404, "models", ids)
        e = Events(s, "/v1/images/generations", {"Content-Type": "application/json"}, "POST", json.dumps({"prompt": "x", "stream": True, "partial_images": 2, "output_format": "jpeg", "dreamo": {"steps": 9, "seed": 5}}))
        seen = [(x["event"], json.loads(x["data"])) for x in e]
        check(len(seen) >= 2 and seen[-1][0] == "image_generation.completed" and {n for n, _ in seen[:-1]} == {"image_generation.partial_image"}, "partial images, then the picture", [n for n, _ in seen])
        check(all(d["type"] == n and base64.b64decode(d["b64_json"]).startswith(b"\xff\xd8") for n, d in seen) and [d["partial_image_index"] for _, d in seen[:-1]] == list(range(len(seen) - 1)), "in the format that was asked for")
        for _ in range(20):  # clients that leave in the middle
            e = Events(s, "/v1/images/generations", {"Content-Type": "application/json"}, "POST", json.dumps({"prompt": "x", "stream": True, "partial_images": 3, "dreamo": {"steps": 4}}))
            next(iter(e), None)
            e.close()
        wait_idle(s)
        e = Events(s, "/v1/images/generations", {"Content-Type": "application/json"}, "POST", json.dumps({"prompt": "x", "n": 8, "stream": True, "partial_images": 3, "dreamo": {"steps": 60}}))
        next(iter(e))
        before = counts(s)["cancelled"]
        e.close()
        begin = time.monotonic()
        check(wait_idle(s)["cancelled"] == before + 1 and time.monotonic() - begin < 3, "who leaves a stream takes the job along")
        body, headers = form([("image[]", "a.png", PICTURE), ("image[]", "b.png", PICTURE), ("prompt", None, b"a cupcake on a beach"), ("n", None, b"1"), ("dreamo", None, b'{"steps":2,"seed":1,"tasks":["ip","style"]}')])
        a = s.ask("POST", "/v1/images/edits", body, headers)
        check(a.status == 200 and base64.b64decode(a.json()["data"][0]["b64_json"]).startswith(b"\x89PNG"), "an edit with two references", a.status, a.body[:200])
        for parts, field in (([("prompt", None, b"x")], "image"), ([("image", "a.png", PICTURE)], "prompt"), ([("image", "a.png", PICTURE), ("mask", "m.png", PICTURE), ("prompt", None, b"x")], "mask"),
                             ([("image", "a.png", PICTURE), ("prompt", None, b"x"), ("n", None, b"two")], "n"), ([("image", "a.png", b"hello"), ("prompt", None, b"x")], "references[0]"),
                             ([("image", "a.png", PICTURE), ("prompt", None, b"x"), ("dreamo", None, b'{"tasks":["cat"]}')], "cat")):
            body, headers = form(parts)
            a = s.ask("POST", "/v1/images/edits", body, headers)
            check(a.status in (400, 422) and a.error().get("param") == field, "an edit is refused: %s" % field, a.status, a.body)
        gone = socket.create_connection(s.address)  # waits for the answer, and leaves
        body = json.dumps({"prompt": "x", "n": 8, "dreamo": {"steps": 60}}).encode()
        gone.sendall(b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.7)
        gone.close()
        begin = time.monotonic()
        jobs = wait_idle(s)
        check(time.monotonic() - begin < 3 and jobs["cancelled"] > before + 1, "a client that leaves takes its job along", time.monotonic() - begin, jobs)
        long = s.submit(steps=60, count=8).json()["id"]
        s.running(long)
        answers = []
        t = threading.Thread(target=lambda: answers.append(make(prompt="x", dreamo={"steps": 1})))
        t.start()
        time.sleep(0.3)
        s.ask("DELETE", "/api/v1/jobs/" + long)
        t.join()
        equal(answers[0].status, 200, "who waits behind another is answered in turn")


def a1111():
    with Server() as s:
        api = lambda path, **fields: s.ask("POST", "/sdapi/v1/" + path, fields)
        get = lambda path: s.ask("GET", "/sdapi/v1/" + path)
        full = {"prompt": "a cupcake on a beach", "negative_prompt": "", "seed": 5, "steps": 2, "cfg_scale": 4, "width": 64, "height": 64, "sampler_name": "Euler", "scheduler": "Automatic", "batch_size": 1, "n_iter": 1,
                "styles": [], "restore_faces": False, "tiling": False, "save_images": False, "send_images": True, "override_settings": {}, "subseed": -1, "enable_hr": False, "alwayson_scripts": {}}
        a = api("txt2img", **full)
        equal(a.status, 200, "txt2img")
        info = json.loads(a.json()["info"])
        check(base64.b64decode(a.json()["images"][0]).startswith(b"\x89PNG") and info["seed"] == 5 and a.json()["parameters"]["steps"] == 2, "its answer", a.body[-400:])
        same = s.finish(s.submit(seed=5, steps=2, true_cfg=4.0, negative="", cfg_end=2, size="64x64").json()["id"])
        check(s.ask("GET", same["images"][0]).body == base64.b64decode(a.json()["images"][0]), "the same bytes as the native job")
        i = api("png-info", image=a.json()["images"][0]).json()
        check(i["items"].get("seed") == 5 and "cupcake" in i["info"], "png-info", i)
        equal(api("png-info", image=b64(PICTURE)).json().get("info"), "", "png-info of another's picture")
        equal(api("png-info", image="%%%%").status, 400, "png-info of nothing")
        b = api("img2img", **dict(full, init_images=[b64(PICTURE)], denoising_strength=0.7))
        check(b.status == 200 and b.json()["images"] != a.json()["images"], "img2img", b.status, b.body[:300])
        c = api("img2img", **dict(full, init_images=["data:image/png;base64," + b64(PICTURE)], alwayson_scripts={"dreamo": {"args": [{"tasks": ["ip"]}]}}))
        equal(c.json().get("images"), b.json()["images"], "with a task, as a data address: the same")
        for fields, field in (({"sampler_name": "DPM++ 2M"}, "sampler_name"), ({"enable_hr": True}, "enable_hr"), ({"restore_faces": True}, "restore_faces"), ({"styles": ["x"]}, "styles"), ({"seed": -2}, "seed"),
                              ({"width": 63}, "size"), ({"width": 0}, "width"), ({"steps": 0}, "steps"), ({"nonsense": 1}, "nonsense"), ({"alwayson_scripts": {"controlnet": {"args": [1]}}}, "alwayson_scripts"),
                              ({"override_settings": {"CLIP_stop_at_last_layers": 2}}, "override_settings"), ({"prompt": 3}, "prompt")):
            a = api("txt2img", **dict(full, **fields))
            check(a.status == 400 and a.error().get("field") == field, "refused: %s" % fields, a.status, a.body)
        a = api("img2img", **dict(full, init_images=["http://127.0.0.1:1/x.png"]))
        check(a.status == 400 and "nothing is fetched" in a.error()["message"], "an address in place of a picture", a.body)
        equal(api("img2img", **full).status, 400, "img2img without a picture")
        for path, sort in (("samplers", list), ("schedulers", list), ("sd-models", list), ("loras", list), ("upscalers", list), ("memory", dict), ("cmd-flags", dict), ("options", dict)):
            check(get(path).status == 200 and isinstance(get(path).json(), sort), path)
        equal(s.ask("POST", "/sdapi/v1/options", {"sd_model_checkpoint": "x"}).status, 405, "options cannot be changed")
        answers = []
        t = threading.Thread(target=lambda: answers.append(api("txt2img", **dict(full, steps=60, n_iter=8))))
        t.start()
        seen = []
        while not seen or not seen[-1].get("current_image"):
            seen.append(get("progress").json())
            time.sleep(0.02)
        check(0 < seen[-1]["progress"] < 1 and seen[-1]["state"]["sampling_steps"] == 60 and base64.b64decode(seen[-1]["current_image"]).startswith(b"\x89PNG"), "progress", {k: v for k, v in seen[-1].items() if k != "current_image"})
        equal(api("interrupt").status, 200, "interrupt")
        t.join()
        equal((answers[0].status, answers[0].error().get("code")), (409, "cancelled"), "ends the request")
        equal(get("progress").json()["progress"], 0, "and nothing is in progress")


if __name__ == "__main__":
    main([openai, a1111])
