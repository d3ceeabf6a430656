"""shots.py DREAMO MODEL FOLDER - screenshots of the page for the documentation: three widths, light and dark.  Needs pngquant."""
import os
import subprocess
import sys

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.join(os.path.dirname(os.path.abspath(__file__)), "../serve")]
from chromium import Chromium
from harness import Server
from page import IDLE, example, fill


def fill_page(page):
    """Three pictures in the history, the last one on the stage."""
    for n, seed in ((3, 1), (2, 2), (1, 1)):
        while page.evaluate("document.querySelectorAll('.card').length"):
            page.click(".card .remove")
        example(page, n)
        fill(page, "#seed", str(seed))
        done = page.evaluate("document.querySelectorAll('#history li').length")
        page.click("#make")
        page.wait("%s && document.querySelectorAll('#history li').length > %d && document.querySelector('#picture').src.startsWith('blob:')" % (IDLE, done))
    page.evaluate("document.activeElement.blur()")


folder = sys.argv[3]
with Server() as server, Chromium() as browser:
    for width in (320, 768, 1280):
        page = browser.page("http://127.0.0.1:%d/" % server.port, width=width, height=900)
        fill_page(page)
        for dark in (False, True):
            path = os.path.join(folder, "page-%d-%s.png" % (width, "dark" if dark else "light"))
            page.look(width, 900, dark)
            page.shot(path)
            subprocess.run(["pngquant", "--quality", "70-95", "--speed", "1", "--strip", "--force", "--output", path, path], check=True)
            print(path, os.path.getsize(path))
        page.close()
