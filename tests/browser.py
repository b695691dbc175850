"""Look at a page of HTML as a reader does: in a headless browser, where one is installed."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium, from the system's packages")

ASK = """<script>addEventListener("load", () => {
  const images = [...document.images], wide = document.documentElement.scrollWidth - innerWidth;
  const missing = images.filter(one => !one.naturalWidth).map(one => one.src.slice(0, 200));
  const answer = {images: images.length, missing: missing, wide: wide, text: document.body.innerText};
  document.title = JSON.stringify(answer);
})</script></body>"""


def look(page, width=1280):
    """What a browser of `width` pixels makes of a page.

    Returns:
        A dict: number of `images`, those `missing`, pixels by which the page is too `wide`, the `text` shown, and
        `errors`, what the console said of failures.
    """
    asking = page.with_name(f"asking-{page.name}")  # beside the page: relative addresses hold
    asking.write_text(page.read_text(encoding="utf-8").replace("</body>", ASK), encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},20000"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", asking.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    asking.unlink()
    title = re.search(r"<title>(\{.*?\})</title>", found.stdout, re.S)
    assert found.returncode == 0 and title, found.stderr[-2000:]
    errors = [line for line in found.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(unescape(title.group(1))) | {"errors": errors}


def assert_readable(page, words):
    """Every picture is there, nothing runs out of a wide or a narrow window, and the words are shown."""
    for width in (1280, 500):
        seen = look(page, width)
        assert not seen["missing"] and not seen["errors"], (page, width, seen["missing"], seen["errors"])
        assert seen["wide"] <= 0, f"{page.name} is {seen['wide']} pixels too wide for {width}"
        assert all(word in seen["text"] for word in words), (page, words)
