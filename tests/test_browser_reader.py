"""The built book in headless Chromium: prints, pages without an author, formulas at a phone's width.

Needs `make book` and Chromium, like tests/test_browser.py.
"""

import shutil
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from _browser import DESKTOP, PHONE, Open, Visit, cannot_run
from _project import ROOT
from address import read_address
from test_browser import contrast_problems, overflow_problems

pytest_plugins = ("_browser",)

HTML = ROOT / "_build" / "html"
CHAPTER = "book/05_window_attention.html"
NARROW = 360
# What a reader sees of the formulas and the text of a page, as numbers from 0, black, to 255.
INK = """() => [...document.querySelectorAll(".bd-article mjx-container, .bd-article p, .bd-article pre")]
    .map((one) => Math.max(...getComputedStyle(one).color.match(/\\d+/g).slice(0, 3).map(Number)))"""
FOLDED = "document.querySelectorAll('.bd-article details:not([open])').length"
# Boxes of formulas that scroll: [how many, how many of them the keyboard reaches, how many others it reaches].
FORMULAS = """() => {
    const boxes = [...document.querySelectorAll(".bd-article div.math, .bd-article div.math mjx-container")];
    const scrolls = (box) => box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
    const reached = (box) => box.tabIndex === 0 && box.getAttribute("role") && box.getAttribute("aria-label");
    const wide = boxes.filter(scrolls);
    return [wide.length, wide.filter(reached).length, boxes.filter((box) => !scrolls(box) && reached(box)).length];
}"""


@pytest.fixture(scope="module")
def address(serve: Callable[[Path], str]) -> str:
    if not (HTML / "book" / "index.html").is_file():
        cannot_run("the book is not built; run `make book` first")
    return serve(HTML)


# ------------------------------------------------------------------------------------------------------ prints


def settled(visited: Visit) -> None:
    """Wait until the page has seen the change of the medium and drawn itself."""
    visited.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_print_is_dark_on_white_and_shows_what_is_folded(scheme: str, address: str, visit: Open) -> None:
    visited = visit(f"{address}/{CHAPTER}", scheme=scheme)
    folded = visited.page.evaluate(FOLDED)
    assert folded > 10
    visited.page.emulate_media(media="print")
    settled(visited)
    assert max(visited.page.evaluate(INK)) < 140
    assert contrast_problems(visited) == []
    assert visited.page.evaluate(FOLDED) == 0

    visited.page.emulate_media(media="screen")
    settled(visited)
    assert visited.page.locator("html").get_attribute("data-theme") == scheme
    assert visited.page.evaluate(FOLDED) == folded


def test_colours_of_a_print_are_light_even_where_no_script_runs(address: str, visit: Open) -> None:
    visited = visit(f"{address}/{CHAPTER}", scheme="dark")
    visited.page.emulate_media(media="print")
    settled(visited)
    visited.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    colours = visited.page.evaluate("""() => [...document.querySelectorAll(".bd-article mjx-container")]
        .map((one) => getComputedStyle(one).color)""")
    assert set(colours) == {"rgb(31, 41, 51)"}


# ----------------------------------------------------------------------------------- pages that no author wrote


@pytest.mark.parametrize("page", ["genindex.html", "404.html", "search.html"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE, NARROW])
def test_nothing_sticks_out(page: str, width: int, address: str, visit: Open) -> None:
    visited = visit(f"{address}/{page}", width=width)
    assert overflow_problems(visited) == []
    assert visited.outside == []
    assert visited.complaints == [] or page == "404.html"  # whose links begin elsewhere: see below


@pytest.mark.parametrize("page", ["genindex.html", "404.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(page: str, scheme: str, address: str, visit: Open) -> None:
    assert contrast_problems(visit(f"{address}/{page}", scheme=scheme)) == []


class GitHubPages(SimpleHTTPRequestHandler):
    """Serves a folder, and 404.html where nothing is."""

    def send_error(self, code: int, *_: Any, **__: Any) -> None:
        content = (Path(self.directory) / "404.html").read_bytes() if code == 404 else b""
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("project", [True, False], ids=["project's site", "own site"])
@pytest.mark.parametrize("lost", ["book/99_nothing.html", "a/b/c/", "nothing"])
def test_links_of_the_404_page_lead_back_from_anywhere(project: bool, lost: str, visit: Open, tmp_path: Path) -> None:
    """On GitHub Pages the book lies in a folder with the repository's name, which the folder's 404.html serves."""
    name = f"/{read_address(ROOT).rpartition('/')[2]}" if project else ""
    site = tmp_path / "site"
    (site / name.strip("/")).parent.mkdir(parents=True, exist_ok=True)
    (site / name.strip("/")).symlink_to(HTML) if project else site.symlink_to(HTML)
    if project:
        shutil.copy(HTML / "404.html", site / "404.html")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(GitHubPages, directory=str(site)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        visited = visit(f"http://127.0.0.1:{server.server_port}{name}/{lost}")
        assert visited.page.locator("article h1").inner_text().startswith("This page is not here")
        assert [words for words in visited.complaints if "404" not in words] == []
        if project:  # where it is meant for, only the page itself was not found, and no style, script or picture
            assert len(visited.complaints) == 1
        visited.page.locator("article li a", has_text="5. Window attention").click()
        visited.page.wait_for_url(f"**{name}/{CHAPTER}")
        assert visited.page.locator("article h1").first.inner_text().startswith("5. Window attention")
    finally:
        server.shutdown()
        server.server_close()


# ---------------------------------------------------------------------------------------------------- formulas


def test_formulas_that_scroll_are_reached_by_keyboard(address: str, visit: Open) -> None:
    visited = visit(f"{address}/{CHAPTER}", width=NARROW)
    settled(visited)
    wide, reached, others = visited.page.evaluate(FORMULAS)
    assert wide == reached > 0
    assert others == 0
    visited.page.set_viewport_size({"width": DESKTOP, "height": 900})
    settled(visited)
    wide, reached, others = visited.page.evaluate(FORMULAS)
    assert wide == reached
    assert others == 0
