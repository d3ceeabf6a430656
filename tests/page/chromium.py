"""chromium.py - a headless Chromium, driven through the pipe of its DevTools protocol (--remote-debugging-pipe): one JSON message after another, NUL
between them.  The standard library is enough.

    with Chromium() as browser:
        page = browser.page("http://127.0.0.1:7860/")
        page.click("#make")
        page.wait("document.title === 'dreamo'")

Input is real input (trusted events): what a disabled or covered button would not get, it does not get here either."""
import base64
import json
import os
import select
import subprocess
import tempfile
import time

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Chromium:
    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="dreamo-page-", ignore_cleanup_errors=True)
        to_child, self.out = os.pipe()
        self.back, from_child = os.pipe()

        def pipes():  # the browser reads 3 and writes 4
            high = [os.dup(fd) for fd in (to_child, from_child)] if min(to_child, from_child) < 5 else [to_child, from_child]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--force-color-profile=srgb", "--lang=en-GB",
                 "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}"]
        self.process = subprocess.Popen([os.environ.get("CHROMIUM", "chromium"), *flags, "about:blank"], preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        os.close(to_child)
        os.close(from_child)
        self.text, self.number, self.events = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *why):
        try:
            self.send("Browser.close")
        except (OSError, EOFError, RuntimeError):
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.back)
        self.profile.cleanup()

    def read(self, seconds):
        """One message, or None when none came in time."""
        until = time.monotonic() + seconds
        while b"\0" not in self.text:
            ready, _, _ = select.select([self.back], [], [], max(0, until - time.monotonic()))
            if not ready:
                return None
            more = os.read(self.back, 1 << 20)
            if not more:
                raise EOFError("the browser has ended")
            self.text += more
        message, self.text = self.text.split(b"\0", 1)
        return json.loads(message)

    def send(self, method, params=None, session=None, seconds=30):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}, **({"sessionId": session} if session else {})}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        until = time.monotonic() + seconds
        while (answer := self.read(max(0, until - time.monotonic()))) is not None:
            if answer.get("id") != self.number:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]
        raise TimeoutError(f"{method}: no answer in {seconds} s")

    def page(self, url, **how):
        return Page(self, url, **how)


class Page:
    """One tab in a profile of its own.  `requests`: every URL that it asked for; `troubles`: console errors, exceptions, refused loads."""

    def __init__(self, browser, url, width=1280, height=900, dark=False, language="en-GB", still=True, ready=True):
        self.browser = browser
        self.context = browser.send("Target.createBrowserContext")["browserContextId"]
        self.target = browser.send("Target.createTarget", {"url": "about:blank", "browserContextId": self.context})["targetId"]
        self.session = browser.send("Target.attachToTarget", {"targetId": self.target, "flatten": True})["sessionId"]
        self.requests, self.troubles = [], []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.send(f"{domain}.enable")
        self.send("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "browserContextId": self.context}, of_browser=True)
        self.send("Emulation.setUserAgentOverride", {"userAgent": "headless test", "acceptLanguage": language})
        self.send("Page.addScriptToEvaluateOnNewDocument", {"source": """
            window.shifts = [];
            new PerformanceObserver((list) => shifts.push(...list.getEntries().map((e) => ({ value: e.value, touched: e.hadRecentInput })))).observe({ type: 'layout-shift', buffered: true });"""})
        self.look(width, height, dark, still)
        if ready:
            self.goto(url)

    def send(self, method, params=None, seconds=30, of_browser=False):
        answer = self.browser.send(method, params, None if of_browser else self.session, seconds)
        self.sort()
        return answer

    def sort(self):
        mine = [e for e in self.browser.events if e.get("sessionId") == self.session]
        self.browser.events = [e for e in self.browser.events if e.get("sessionId") != self.session]
        for e in mine:
            name, p = e["method"], e["params"]
            if name == "Network.requestWillBeSent":
                self.requests.append(p["request"]["url"])
            elif name == "Runtime.exceptionThrown":
                self.troubles.append("exception: " + p["exceptionDetails"].get("exception", {}).get("description", p["exceptionDetails"]["text"]))
            elif name == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
                self.troubles.append("console: " + " ".join(str(a.get("value", a.get("description"))) for a in p["args"]))
            elif name == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
                self.troubles.append(f"log: {p['entry']['text']} {p['entry'].get('url', '')}")

    def look(self, width, height=900, dark=False, still=True, scale=1):
        self.send("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False})
        self.send("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                                                              {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}]})

    def goto(self, url):
        self.send("Page.navigate", {"url": url})
        self.wait("document.readyState === 'complete' && document.body.classList.contains('ready')")

    def reload(self):
        self.evaluate("document.body.classList.remove('ready')")
        self.send("Page.reload")
        self.wait("document.readyState === 'complete' && document.body?.classList.contains('ready')")

    def evaluate(self, expression):
        answer = self.send("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def wait(self, expression, seconds=300):
        until = time.monotonic() + seconds
        while True:
            try:
                if (value := self.evaluate(expression)) not in (None, False, 0, ""):  # as JavaScript has it: an element is {} here
                    return value
            except RuntimeError as e:  # the page is on its way
                if "context" not in str(e) and "null" not in str(e) and "undefined" not in str(e):
                    raise
            if time.monotonic() > until:
                raise TimeoutError(f"not true in {seconds} s: {expression}\n{self.state()}")
            time.sleep(0.03)

    def state(self):
        """What a person would see, and what the console has said: for whoever reads why a test failed."""
        return self.evaluate("document.body.innerText.replace(/\\s+/g, ' ')") + "\n" + "\n".join(self.troubles)

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")

    def place(self, selector):
        """The middle of an element, scrolled into view; it must be what lies there."""
        at = self.evaluate(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            if (!e) return null;
            e.scrollIntoView({{ block: 'center', behavior: 'instant' }});
            const r = e.getBoundingClientRect(), x = r.left + r.width / 2, y = r.top + r.height / 2, top = document.elementFromPoint(x, y);
            return {{ x, y, open: Boolean(top) && (e.contains(top) || top.contains(e) || e.labels?.[0]?.contains(top) || top.labels?.[0] === e) }};
        }})()""")
        if not at or not at["open"]:
            raise AssertionError(f"{selector}: {'is covered' if at else 'is not there'}")
        return at["x"], at["y"]

    def click(self, selector):
        x, y = self.place(selector)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "none" if kind == "mouseMoved" else "left", "clickCount": 0 if kind == "mouseMoved" else 1})

    def rest_mouse(self):
        self.send("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 1, "y": 1})

    def key(self, name, times=1, modifiers=0):
        for _ in range(times):
            p = {"key": name, "code": "Space" if name == " " else name, "windowsVirtualKeyCode": KEYS[name], "modifiers": modifiers}
            text = {"Enter": "\r", " ": " "}.get(name)
            self.send("Input.dispatchKeyEvent", {"type": "keyDown", **p, **({"text": text} if text and not modifiers else {})})
            self.send("Input.dispatchKeyEvent", {"type": "keyUp", **p})

    def type(self, text):
        self.send("Input.insertText", {"text": text})

    def choose(self, selector, paths):
        """As the file dialog does."""
        node = self.send("DOM.querySelector", {"nodeId": self.send("DOM.getDocument")["root"]["nodeId"], "selector": selector})["nodeId"]
        self.send("DOM.setFileInputFiles", {"nodeId": node, "files": paths})

    def drop(self, selector, paths):
        x, y = self.place(selector)
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": {"items": [], "files": paths, "dragOperationsMask": 1}})

    def focused(self):
        return self.evaluate("document.activeElement.id || document.activeElement.closest('[id]')?.id || document.activeElement.tagName")

    def shot(self, path, whole=True):
        self.rest_mouse()
        self.evaluate("scrollTo(0, 0)")
        time.sleep(0.3)
        data = self.send("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole, **({"clip": self.whole()} if whole else {})})["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    def whole(self):
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}

    def close(self):
        self.send("Target.closeTarget", {"targetId": self.target}, of_browser=True)
        self.browser.send("Target.disposeBrowserContext", {"browserContextId": self.context})
