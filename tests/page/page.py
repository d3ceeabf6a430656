"""page.py DREAMO MODEL [TEST...] - the web page in a headless Chromium, as a person uses it, against the running server."""
import hashlib
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../serve")]
from chromium import Chromium
from harness import *

MORE_EXAMPLES = ["a man wearing a t-shirt, in a library full of books", "a woman smiling, in front of snowy mountains", "a cupcake to the left of a camera, on green grass under a blue sky",
                 "generate a same style image. a cupcake on a wooden table", "generate a same style image. a woman, in a city at night"]
EXAMPLES = [os.path.join(ROOT, "examples", name) for name in ("cupcake.png", "camera.png", "doughnut.png")]
IDLE = "document.querySelector('#stop').hidden"
READY = IDLE + " && !document.querySelector('#actions').hidden"
CARDS = "[...document.querySelectorAll('.card')].filter((c) => c.getAttribute('aria-busy') === 'false').length"

browser = None


@contextlib.contextmanager
def opened(server, trouble=(), **how):
    """The page; afterwards its console must be empty, but for what `trouble` (patterns) allows, and everything that it asked for must be ours."""
    page = browser.page("http://127.0.0.1:%d/" % server.port, **how)
    page.home = page.evaluate("location.origin")
    yield page
    page.evaluate("1")
    strange = [t for t in page.troubles if not any(re.search(p, t) for p in trouble)]
    check(not strange, "no word in the console", strange)
    equal([r for r in page.requests if not r.startswith(page.home + "/") and not r.startswith(("data:", "blob:"))], [], "no request to elsewhere")
    page.close()


def entries(page):
    return page.evaluate("JSON.parse(localStorage.getItem('dreamo.history') ?? '[]')")


def fill(page, selector, text):
    page.click(selector)
    page.evaluate("document.activeElement.select()")
    page.type(text)


def example(page, n=1):
    page.click("#examples li:nth-child(%d) button" % n)
    page.wait(CARDS + " === 1")


def detail(page, **fields):
    page.evaluate("document.querySelector('#details').open = true")
    for name, value in fields.items():
        fill(page, "#field-" + name, str(value))


# ---- a first picture ----

def two_clicks():
    """Example, Make: the picture grows, nothing moves, and it is the server's, byte for byte."""
    with Server() as s, opened(s) as page:
        page.wait("document.querySelectorAll('#examples img').length && [...document.querySelectorAll('#examples img')].every((i) => i.naturalWidth >= 96)")
        equal(page.evaluate("shifts.reduce((sum, s) => sum + s.value, 0)"), 0, "nothing moved while the page came")
        example(page)
        page.evaluate("""window.frames = []; new MutationObserver(() => frames.push(document.querySelector('#picture').src.slice(0, 5)))
                         .observe(document.querySelector('#picture'), { attributeFilter: ['src'] }); window.before = 0;
                         window.told = []; new MutationObserver(() => told.push([document.querySelector('#status').innerText, document.querySelector('#make').getAttribute('aria-disabled')]))
                         .observe(document.querySelector('#status'), { childList: true, characterData: true, subtree: true });""")
        page.click("#make")
        page.wait("told.length > 0")
        page.evaluate("window.before = shifts.length")
        page.wait("told.length > 5 && %s" % IDLE)
        told = page.evaluate("told")  # all that was told: a picture may be done before anybody asks
        steps = [disabled for text, disabled in told if "step" in text.lower()]
        check(len(steps) >= 3, "steps are told", told)
        equal(set(steps), {"true"}, "one picture at a time")
        check(all("left" in text or "almost there" in text for text, _ in told if "Step" in text), "and the time left", told) # a fast machine has no more than a second to tell of
        moved = page.evaluate("shifts.slice(before).filter((s) => !s.touched).reduce((sum, s) => sum + s.value, 0)")
        check(moved < 0.001, "nothing moved while it grew", moved)
        page.wait("document.querySelector('#picture').src.startsWith('blob:')")
        frames = page.evaluate("frames")
        check(len([f for f in frames if f == "data:"]) >= 3 and frames[-1] == "blob:", "it grew by previews, then the picture", frames)
        [entry] = entries(page)
        served = s.picture(entry["job"])
        equal(hashlib.sha256(served).hexdigest(), entry["sha"], "the history knows the picture by its hash")
        drawn = page.evaluate("""(async () => { const image = document.querySelector('#picture'); await image.decode(); return [image.naturalWidth, image.naturalHeight]; })()""")
        equal(drawn, [128, 128], "the whole picture")
        equal(page.evaluate("document.querySelector('#picture').alt"), "Made from: a cupcake on a beach by the sea", "its alternative text")
        job = s.ask("GET", "/api/v1/jobs/" + entry["job"]).json()["request"]
        equal([job["prompt"], [(r["task"], r["name"]) for r in job["references"]], str(job["seed"])],
              ["a cupcake on a beach by the sea", [("ip", "cupcake.png")], entry["ask"]["seed"]], "what was asked for")
        equal(page.text("#live").split(".")[0], "Ready", "the end is announced")
        headers = s.ask("GET", "/").headers
        check("default-src 'none'" in headers["content-security-policy"] and "unsafe" not in headers["content-security-policy"], "a strict policy", headers)
        equal(s.ask("GET", "/examples/nothing.png").status, 404, "no such example")


# ---- references ----

def references():
    """Dropped and chosen, looked at as the model sees them, refused with a reason, taken away."""
    with Server() as s, tempfile.TemporaryDirectory() as folder, opened(s, [r"status of 422.*uploads"]) as page:
        text = os.path.join(folder, "notes.png")
        with open(text, "w") as f:
            f.write("not a picture")
        page.drop("#drop label", EXAMPLES[:2])
        page.wait(CARDS + " === 2")
        equal(page.evaluate("[...document.querySelectorAll('.card .name')].map((n) => n.innerText)"), ["cupcake.png", "camera.png"], "two cards")
        upload = s.ask("POST", "/api/v1/uploads?task=ip", open(EXAMPLES[0], "rb").read(), {"Content-Type": "image/png"}).json()
        equal(page.evaluate("document.querySelector('.card .seen').src"), upload["prepared"]["image"], "what the model sees")
        equal(page.evaluate("document.querySelector('#examples').hidden"), True, "examples step back")
        equal(page.evaluate("document.querySelector('#trigger').hidden"), True, "no word of styles yet")
        page.click(".card:nth-child(2) [value=style]")
        page.wait(CARDS + " === 2")
        fill(page, "#prompt", "a lighthouse")
        page.click("#trigger button")
        equal(page.evaluate("document.querySelector('#prompt').value"), "generate a same style image. a lighthouse", "the trigger sentence")
        equal(page.evaluate("document.querySelector('#trigger').hidden"), True, "told once")
        page.choose("#files", [text])
        page.wait("document.querySelector('.card.broken')")
        check("notes.png: is text" in page.text(".card.broken .note"), "a wrong file says why", page.text(".card.broken .note"))
        page.click("#make")
        page.wait("document.querySelector('#problem').innerText")
        check("notes.png" in page.text("#problem") and page.evaluate("document.querySelector('#problem').previousElementSibling.id === 'cards' && document.activeElement.closest('.broken') !== null"), "and holds Make, beside it, with the focus on its way out", page.text("#problem"))
        check("doughnut" not in str(entries(page)) and not s.ask("GET", "/ready").json()["queued"], "no job of it")
        page.click(".card.broken .remove")
        equal(page.text("#problem"), "", "the message goes with its card")
        detail(page, steps=4)
        page.click("#make")
        page.wait(READY)
        job = s.ask("GET", "/api/v1/jobs/" + entries(page)[0]["job"]).json()["request"]
        equal([r["task"] for r in job["references"]], ["ip", "style"], "the tasks")
        for _ in range(2):
            page.click(".card .remove")
        equal([page.evaluate("document.querySelector('#examples').hidden"), page.focused()], [False, "files"], "none left, examples again, focus kept")
        page.choose("#files", EXAMPLES * 3 + EXAMPLES[:1])
        page.wait(CARDS + " === 9")
        check("9" in page.text("#problem"), "a tenth is refused", page.text("#problem"))
        page.evaluate("""(() => { const data = new DataTransfer(); data.items.add(new File(['x'], 'x.png'));
                       document.querySelector('.card .remove').click(); document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, cancelable: true })); })()""")
        page.wait("document.querySelector('.card.broken .name')?.innerText === 'x.png'")


def refusals():
    """Nothing is guessed: what cannot be used is told at its field, in the server's words, and has the focus."""
    with Server() as s, opened(s, [r"status of 4(00|13).*(plan|jobs)"]) as page:
        page.click("#make")
        equal([page.focused(), page.text("#problem")], ["prompt", "Say what the picture should show."], "no prompt")
        fill(page, "#prompt", "a camera")
        equal([page.text("#problem"), page.evaluate("document.querySelectorAll('[aria-invalid]').length")], ["", 0], "typing takes the message away")
        fill(page, "#seed", "12x")
        page.click("#make")
        equal([page.focused(), page.text("#problem")], ["seed", "“12x” is not a number."], "a seed that is none")
        fill(page, "#seed", "9223372036854775808")
        page.click("#make")
        page.wait("document.querySelector('#problem').innerText.includes('9223372036854775807')")
        fill(page, "#seed", "9223372036854775807")
        page.click("#sizes [value=other]")
        fill(page, "#width", "100")
        page.click("#make")
        page.wait("document.querySelector('#problem').innerText.includes('96 and 112')")
        equal([page.focused(), page.evaluate("document.querySelector('#width').getAttribute('aria-invalid')")], ["width", "true"], "a size beside the grid, with the nearest")
        page.click("#sizes [value=tall]")
        detail(page, steps="999")
        page.click("#make")
        page.wait("document.querySelector('#problem').innerText.startsWith('steps: 999')")
        equal([page.focused(), page.evaluate("document.querySelector('#field-steps').getAttribute('aria-invalid')")], ["field-steps", "true"], "too many steps")
        detail(page, steps="3")
        page.click("#make")
        page.wait(READY)
        [entry] = entries(page)
        equal([entry["ask"]["seed"], entry["width"], entry["height"]], ["9223372036854775807", 112, 144], "a seed of 19 digits, to the last; a tall picture")


# ---- jobs ----

def stopping():
    with Server() as s, opened(s) as page:
        example(page)
        detail(page, steps=60, count=8)
        page.click("#make")
        page.wait("document.querySelector('#bar').value > 0.01")
        job = page.evaluate("JSON.parse(localStorage.getItem('dreamo.job')).id")
        page.click("#make")
        equal(page.text("#problem"), "One picture is being made already.", "a second one is refused")
        page.click("#stop")
        page.wait(IDLE)
        equal([page.text("#status"), page.evaluate("document.querySelector('#make').hasAttribute('aria-disabled')")], ["Stopped.", False], "stopped, and free again")
        equal(s.ask("GET", "/api/v1/jobs/" + job).json()["state"], "cancelled", "on the server, too")
        detail(page, steps=3, count=3)
        fill(page, "#seed", "7")
        page.click("#make")
        page.wait(IDLE + " && document.querySelectorAll('#history li').length === 3")
        equal([(e["ask"]["seed"], e["n"]) for e in entries(page)], [("9", 2), ("8", 1), ("7", 0)], "three pictures, each with its seed")
        page.wait("document.querySelector('#picture').src === document.querySelector('#save').href")
        equal(page.evaluate("(async () => { const i = new Image(); i.src = document.querySelector('#save').href; await i.decode(); return i.naturalWidth; })()"), 128, "the last one can be saved")


def reloading():
    """In mid-job: the draft is there, the job goes on, the picture comes."""
    with Server() as s, opened(s) as page:
        example(page, 2)
        detail(page, steps=60, count=2)
        fill(page, "#seed", "5")
        page.click("#make")
        page.wait("document.querySelector('#bar').value > 0.02")
        page.reload()
        equal(page.evaluate("document.querySelector('#stop').hidden"), False, "it goes on")
        page.wait("document.querySelector('#picture').src.startsWith('data:')")
        page.wait(CARDS + " === 1")
        equal(page.evaluate("[document.querySelector('#prompt').value, document.querySelector('#seed').value, document.querySelector('#field-steps').value, document.querySelector('.card .name').innerText]"),
              ["a man wearing a t-shirt, in a library full of books", "5", "60", "shirt.png"], "the draft is there")
        page.wait(IDLE + " && document.querySelectorAll('#history li').length === 2", 600)
        page.reload()
        equal(page.evaluate("document.querySelectorAll('#history img').length"), 2, "the history stays")
        page.click("#history li:nth-child(2) button")
        page.wait("document.querySelector('#picture').src.startsWith('blob:')")
        check("seed 5" in page.text("#facts"), "an earlier picture", page.text("#facts"))


def away():
    """Nobody listens while the pictures are made, and the server is restarted: they are there when the page comes back."""
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "serve.db")
        with Server(store=store) as s, opened(s, [r"ERR_", r"status of 503"]) as page:  # what the page asked for last may meet a server that ends
            url = page.home + "/"
            example(page)
            detail(page, steps=8, count=2)
            page.click("#make")
            page.wait("!%s" % IDLE)
            job = page.evaluate("JSON.parse(localStorage.getItem('dreamo.job')).id")
            page.send("Page.navigate", {"url": "about:blank"})
            equal(s.finish(job, 180)["state"], "done", "made meanwhile")
            s.stop()
            with Server(store=store, listen="127.0.0.1:%d" % s.port, wait=False) as again:
                again.address = s.address
                again.wait()
                page.goto(url)
                page.wait(READY + " && document.querySelectorAll('#history li').length === 2")
                equal([e["sha"] for e in entries(page)], [hashlib.sha256(again.picture(job, n)).hexdigest() for n in (1, 0)], "both pictures")


def forgotten():
    """The server keeps uploads for a while only; the page sends them again when they are needed."""
    with Server("--keep-results", "1s") as s, opened(s, [r"status of 404"]) as page:
        example(page)
        detail(page, steps=3)
        upload = page.evaluate("JSON.parse(localStorage.getItem('dreamo.draft')).references[0].upload")
        end = time.monotonic() + 60
        while s.ask("GET", "/api/v1/uploads/" + upload).status == 200 and time.monotonic() < end:
            time.sleep(0.2)
        equal(s.ask("GET", "/api/v1/uploads/" + upload).status, 404, "it is gone there")
        page.click("#make")
        page.wait(READY)
        equal(page.text("#problem"), "", "and the picture comes all the same")


def killed():
    """The server is killed in mid-job and started again: the page waits, goes on, and the picture comes; also from one that knows nothing of the events
    that the page has seen, since the job only waits there (410)."""
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "serve.db")
        with Server(store=store) as s, opened(s, [r"ERR_", r"Failed to load resource"]) as page:
            example(page)
            detail(page, steps=60, count=2)
            page.click("#make")
            page.wait("document.querySelector('#bar').value > 0.05")
            job = page.evaluate("JSON.parse(localStorage.getItem('dreamo.job')).id")
            s.stop(signal.SIGKILL)
            page.wait("!document.querySelector('#offline').hidden")
            for options in (["--no-worker"], []):
                with Server(*options, store=store, listen="127.0.0.1:%d" % s.port, wait=False) as again:
                    again.address = s.address
                    again.wait()
                    if options:
                        page.wait("/waiting/i.test(document.querySelector('#status').innerText)")
                        check(any("410" in t for t in page.troubles), "the events that it has seen are not here", page.troubles)
                        continue
                    page.wait(IDLE + " && document.querySelectorAll('#history li').length === 2", 600)
                    equal([page.evaluate("document.querySelector('#offline').hidden"), again.ask("GET", "/api/v1/jobs/" + job).json()["state"], {e["job"] for e in entries(page)}], [True, "done", {job}], "the same job, done")


def cut_short():
    """The line is cut within a picture: it is fetched again."""
    with Server() as s, opened(s) as page:
        example(page)
        detail(page, steps=3)
        page.evaluate("""window.asked = 0; window.whole_fetch = window.fetch; window.fetch = async (path, options) => {
            const response = await whole_fetch(path, options);
            if (!/images/.test(path) || ++asked > 1) return response;
            return new Response(new ReadableStream({ pull(c) { c.error(new TypeError('network error')); } }), { headers: response.headers });
        };""")
        page.click("#make")
        page.wait(READY)
        equal([page.evaluate("asked"), page.text("#problem"), len(entries(page))], [2, "", 1], "it comes the second time")


def keys_asked():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "keys")
        with open(path, "w") as f:
            f.write("me open-sesame-2718281828\n")
        bearer = {"Authorization": "Bearer open-sesame-2718281828"}
        with Server("--key-file", path) as s:
            page = browser.page("about:blank", ready=False)
            page.send("Page.navigate", {"url": "http://127.0.0.1:%d/" % s.port})
            page.wait("document.querySelector('#key')?.open")
            page.type("wrong")
            page.key("Enter")
            page.wait("document.querySelector('#key').open && document.querySelector('#key-problem').innerText")
            equal(page.text("#key-problem"), "This key is not known.", "a wrong key")
            page.type("open-sesame-2718281828")
            page.key("Enter")
            page.wait("document.body.classList.contains('ready')")
            example(page)
            detail(page, steps=3)
            page.click("#make")
            page.wait(READY)
            [entry] = entries(page)
            equal(hashlib.sha256(s.ask("GET", "/api/v1/jobs/%s/images/0" % entry["job"], headers=bearer).body).hexdigest(), entry["sha"], "the right one")
            check("open-sesame-2718281828" not in page.evaluate("JSON.stringify(localStorage)"), "it is not kept beyond the tab")
            page.click("#copy-curl")
            line = page.wait("navigator.clipboard.readText()")
            check("$DREAMO_KEY" in line and "open-sesame-2718281828" not in line, "nor copied", line)
            page.close()


# ---- history ----

def again():
    """A picture comes again, byte for byte: by its settings, by curl; and its pixels by the command."""
    with Server() as s, tempfile.TemporaryDirectory() as folder, opened(s) as page:
        example(page)
        fill(page, "#prompt", "- a cupcake, it's \"on\" a `beach`; $HOME")
        detail(page, steps=5, true_cfg="3.5", negative="-rain & snow")
        page.click("#sizes [value=wide]")
        page.click("#make")
        page.wait(READY)
        [first] = entries(page)
        page.reload()
        page.click("#history li:nth-child(1) button")
        page.wait("document.querySelector('#picture').src.startsWith('blob:')")
        page.click(".card .remove")
        fill(page, "#prompt", "something else")
        detail(page, steps=9)
        page.click("#reuse")
        page.wait(CARDS + " === 1 && document.activeElement.id === 'prompt'")
        equal(page.evaluate("[...document.querySelectorAll('#prompt, #seed, #field-steps, #field-true_cfg, #field-negative')].map((e) => e.value).concat(document.querySelector('#sizes :checked').value)"),
              [first["ask"]["prompt"], first["ask"]["seed"], "-rain & snow", "5", "3.5", "wide"], "its settings")
        page.click("#make")
        page.wait(IDLE + " && document.querySelectorAll('#history li').length === 2")
        equal(entries(page)[0]["sha"], first["sha"], "the same picture again")

        os.symlink(DREAMO, os.path.join(folder, "dreamo"))
        os.symlink(EXAMPLES[0], os.path.join(folder, "cupcake.png"))
        page.click("#copy-command")
        equal(page.wait("document.querySelector('#copy-command').innerText === 'Copied' && document.querySelector('#copy-command').innerText"), "Copied", "it says so")
        line = page.wait("navigator.clipboard.readText()")
        done = subprocess.run(["sh", "-c", line.replace("dreamo generate", "dreamo generate -q -o out.png")], cwd=folder, env=dict(os.environ, PATH=folder + ":" + os.environ["PATH"], DREAMO_MODEL=MODEL), capture_output=True, text=True)
        equal(done.returncode, 0, "the command runs: " + line + done.stderr)
        pixels = lambda data: data[data.index(b"IDAT"):]
        with open(os.path.join(folder, "out.png"), "rb") as f:
            check(pixels(f.read()) == pixels(s.picture(first["job"])), "and makes the same pixels")
        page.click("#copy-curl")
        page.wait("document.querySelector('#copy-curl').innerText === 'Copied'")
        line = page.wait("navigator.clipboard.readText()")
        done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True)
        job = json.loads(done.stdout or "{}").get("id")
        check(job and s.finish(job, 180)["state"] == "done", "curl: " + line, done.stdout, done.stderr)
        equal(hashlib.sha256(s.picture(job)).hexdigest(), first["sha"], "and its picture is the same")
        page.click("#forget")
        page.wait("document.querySelectorAll('#history li').length === 1")
        equal([page.evaluate("document.querySelector('#actions').hidden"), len(entries(page))], [True, 1], "forgotten")


# ---- for everybody ----

def keyboard():
    """All of it without a mouse: in reading order, each stop visible."""
    with Server() as s, opened(s) as page:
        stops = []

        def tab(times=1, shift=False):
            for _ in range(times):
                page.key("Tab", modifiers=8 if shift else 0)
                seen = page.evaluate("""(() => { const e = document.activeElement, s = (e.matches('.chips input') ? e.nextElementSibling : e.matches('#files') ? e.nextElementSibling : e);
                    const style = getComputedStyle(s); return { name: e.id || e.value || e.closest('li')?.innerText.trim() || e.tagName, ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 }; })()""")
                stops.append(seen["name"])
                check(seen["ring"], "focus can be seen: " + seen["name"])

        tab(12)
        equal(stops, ["language", "files", "a cupcake on a beach by the sea", *MORE_EXAMPLES, "prompt", "square", "seed", "details-title"], "in reading order")
        page.key("Enter")
        tab(3)
        equal(stops[-3:], ["field-negative", "field-steps", "field-count"], "the drawer opens")
        page.type("8")
        tab(1, shift=True)
        page.type("60")
        tab(11, shift=True)
        page.key("Enter")
        page.wait(CARDS + " === 1")
        equal(page.focused(), "make", "an example, by Enter; Make is next")
        page.key("Enter")
        page.wait("document.querySelector('#bar').value > 0.01")
        tab()
        equal(page.focused(), "stop", "after Make comes Stop")
        page.key("Enter")
        page.wait(IDLE)
        equal(page.text("#status"), "Stopped.", "stopped by Enter")
        equal(page.evaluate("document.activeElement.tagName"), "FIGURE", "focus is not lost")
        page.evaluate("document.querySelector('#field-count').value = ''; document.querySelector('#field-steps').value = '3'; document.querySelector('#prompt').focus()")
        tab(3, shift=True)
        equal(page.evaluate("[document.activeElement.type, document.activeElement.value]")[0], "radio", "back to the card's task")
        page.key("ArrowRight")
        page.wait(CARDS + " === 1")
        equal(page.evaluate("document.querySelector('.card :checked').value"), "style", "changed by an arrow")
        page.evaluate("document.querySelector('#prompt').focus()")
        page.key("Enter", modifiers=2)
        page.wait(READY)
        page.evaluate("document.querySelector('#forget').focus()")
        tab()
        page.key(" ")
        check(page.evaluate("document.activeElement.hasAttribute('aria-current')"), "the history by Space")


def names():
    """What a screen reader is told: every control has a name, in both languages; every word stands in the table once in each."""
    parts = os.path.join(ROOT, "web/page")
    script = re.sub(r"/\*.*?\*/", "", "".join(open(os.path.join(parts, name)).read() for name in sorted(os.listdir(parts))), flags=re.S)
    words = re.search(r"const WORDS = (\{.*?\n\});", script, re.S).group(1)
    with open(os.path.join(ROOT, "web/page.html")) as f:
        html = f.read()
    visible = re.sub(r"<(title|noscript)>.*?</\1>|<!--.*?-->|<[^>]*>", "", html, flags=re.S).split()
    equal(visible, ["dreamo", "×"], "the HTML has no words of its own")
    with Server() as s:
        for language, title in (("en-GB", "References"), ("zh-CN", "参考图")):
            with opened(s, language=language) as page:
                equal(page.text("#references-title"), title, "in " + language)
                used = page.evaluate("""(() => { const W = %s, shape = (o) => Object.entries(o).map(([k, v]) => k === 'codes' ? k : typeof v === 'object' ? k + JSON.stringify(shape(v)) : k + typeof v).sort();
                    return { same: JSON.stringify(shape(W.en)) === JSON.stringify(shape(W.zh)), empty: Object.values(W).flatMap((w) => Object.values(w)).filter((v) => v === '').length, keys: Object.keys(W.en) }; })()""" % words)
                check(used["same"] and not used["empty"], "both languages say the same things", used)
                equal(sorted(set(re.findall(r'data-t(?:-label|-placeholder)?="(\w+)"', html)) - set(used["keys"])), [], "words that the page needs")
                spoken = set(re.findall(r"words\.(\w+)", script)) | set(re.findall(r'data-t(?:-label|-placeholder)?="(\w+)"', html)) | {"ip", "id", "style", "square", "tall", "wide"}
                equal(sorted(set(used["keys"]) ^ spoken), [], "and no others")
                page.drop("#drop label", EXAMPLES[:1])
                page.wait(CARDS + " === 1")
                page.evaluate("document.querySelector('#details').open = true")
                page.send("Accessibility.enable")
                tree = page.send("Accessibility.getFullAXTree")["nodes"]
                controls = [n for n in tree if not n.get("ignored") and n["role"]["value"] in ("button", "link", "textbox", "radio", "progressbar", "radiogroup", "group", "image", "DisclosureTriangle")]
                check(len(controls) > 20, "controls", len(controls))
                equal([n["role"]["value"] for n in controls if not n.get("name", {}).get("value")], [], "each has a name")
                page.click("#language")
                check(page.text("#references-title") != title and page.text(".card .seen-caption") in ("模型所见", "what the model sees"), "the other language")
                equal(page.evaluate("document.documentElement.lang"), "zh-CN" if language == "en-GB" else "en", "and its name")


def readable():
    """Contrast of every text (4.5:1) and every border that can be pressed or filled in (3:1); nothing wider than 320 pixels; room for a finger."""
    contrast = """(() => {
        const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
        const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
        const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3])).concat(1);
        const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
        const ground = (e) => { const path = []; for (let p = e; p; p = p.parentElement) path.unshift(p); return path.reduce((c, p) => over(rgba(getComputedStyle(p).backgroundColor), c), [255, 255, 255, 1]); };
        const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest('.unseen, .broken .views') && e.getClientRects().length;
        const opacity = (e) => { let o = 1; for (let p = e; p; p = p.parentElement) o *= getComputedStyle(p).opacity; return o; };
        const bad = [];
        for (const e of document.querySelectorAll('body *')) {
            if (!seen(e)) continue;
            const style = getComputedStyle(e), at = ground(e);
            if ([...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || (e.matches('input:not([type=radio], [type=file]), textarea') && e.value)) {
                const c = rgba(style.color);
                c[3] *= opacity(e);
                const r = ratio(over(c, at), at);
                if (r < 4.5) bad.push(`${e.tagName}#${e.id}.${e.className} ${e.textContent.trim().slice(0, 20)}: ${r.toFixed(2)}`);
            }
            if (e.matches('input:not([type=radio], [type=file]), textarea, .small, .chips span, #drop label')) {
                const r = ratio(rgba(style.borderTopColor), ground(e.parentElement));
                if (r < 3) bad.push(`border of ${e.tagName}#${e.id}.${e.className}: ${r.toFixed(2)}`);
            }
            if (e.matches('button, a, summary, input') && e.type !== 'radio') {
                const box = (e.type === 'file' ? e.parentElement : e).getBoundingClientRect();
                if (box.height < 24 || box.width < 24) bad.push(`${e.tagName}#${e.id}: ${box.width} x ${box.height}`);
            }
        }
        return bad;
    })()"""
    with Server() as s, tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "a-name-that-goes-on-and-on-without-a-place-to-break-it.png")
        with open(text, "w") as f:
            f.write("not a picture")
        for width, dark, language in ((320, False, "en-GB"), (320, True, "zh-CN"), (768, True, "en-GB"), (1280, False, "zh-CN")):
            with opened(s, [r"status of 4\d\d"], width=width, dark=dark, language=language) as page:
                fits = lambda when: equal(page.evaluate("document.documentElement.scrollWidth"), width, "%s: as wide as the window" % when)
                check(not (bad := page.evaluate(contrast)), "readable, empty", width, dark, bad)
                fits("empty")
                page.choose("#files", [*EXAMPLES[:2], text])
                page.wait(CARDS + " === 3")
                page.click(".card:nth-child(2) [value=style]")
                fill(page, "#prompt", "x" * 300)
                detail(page, steps=4)
                page.click("#sizes [value=other]")
                page.click("#make")
                page.wait("document.querySelector('#problem').innerText")
                check(not (bad := page.evaluate(contrast)), "readable, with a problem", width, dark, bad)
                fits("with a problem")
                page.click(".card.broken .remove")
                page.click("#make")
                page.wait(READY)
                check(not (bad := page.evaluate(contrast)), "readable, with a picture", width, dark, bad)
                fits("with a picture")


if __name__ == "__main__":
    with Chromium() as browser:
        main([two_clicks, references, refusals, stopping, reloading, away, forgotten, killed, cut_short, keys_asked, again, keyboard, names, readable])
