"""The built book in headless Chromium: nothing loads from outside, and everything can be seen and used.

Needs `make book` and Chromium. Without them the tests are skipped, or fail if GCVIT_EDU_REQUIRE_BROWSER=1.
Each check is a function that returns what is wrong; made-up bad pages show that it finds it.
"""

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from _browser import DESKTOP, PHONE, Open, Visit, cannot_run
from _project import BOOK, ROOT

from gcvit_edu.viz import table

pytest_plugins = ("_browser",)

HTML = ROOT / "_build" / "html"
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
CHAPTERS = [f"book/{path.stem}.html" for path in sorted(BOOK.glob("*.ipynb"))]
PAGES = CHAPTERS + [f"book/{path.stem}.html" for path in sorted(BOOK.glob("*.md"))]
LEAST_CONTRAST = 4.5  # WCAG 2.2, level AA


@pytest.fixture(scope="module")
def address(serve: Callable[[Path], str]) -> str:
    if not (HTML / "book" / "index.html").is_file():
        cannot_run("the book is not built; run `make book` first")
    return serve(HTML)


# --------------------------------------------------------------------------------------------------- the checks

UNFOLD = "document.querySelectorAll('article details').forEach((one) => (one.open = true))"

# Every formula is one .math element of Sphinx; MathJax puts one mjx-container into it.
FORMULAS = r"""() => {
    const problems = [];
    for (const formula of document.querySelectorAll(".math")) {
        const tex = formula.textContent.slice(0, 60);
        if (formula.querySelectorAll("mjx-container svg").length !== 1) problems.push("not rendered: " + tex);
    }
    for (const error of document.querySelectorAll("[data-mjx-error]")) {
        problems.push("error: " + error.getAttribute("data-mjx-error"));
    }
    for (const unknown of document.querySelectorAll("mjx-assistive-mml [mathcolor=red]")) {
        problems.push("unknown: " + unknown.textContent);
    }
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode;
        const raw = node.data.match(/\$[^$\n]+\$|\$\$|\\\(|\\\[|\\begin\{/);
        if (raw && !node.parentElement.closest("pre, code, script, style, .math")) {
            problems.push("raw TeX: " + raw[0].slice(0, 60));
        }
    }
    return [...new Set(problems)];
}"""

# What is wider than the page must lie in a box of its own that scrolls; else it widens the page or is cut off.
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth, problems = [];
    if (document.documentElement.scrollWidth > width) {
        problems.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${width}`);
    }
    const scrolls = (element) => {
        for (let box = element; box && box !== document.body; box = box.parentElement) {
            const fits = box.getBoundingClientRect().right <= width + 1;
            if (fits && ["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return true;
        }
        return false;
    };
    const article = document.querySelector("article") || document.body;
    for (const element of article.querySelectorAll("*")) {
        const box = element.getBoundingClientRect();
        if (!box.width || !element.checkVisibility() || element.closest("svg, mjx-assistive-mml, .visually-hidden")) {
            continue;
        }
        if (box.right > width + 1 && !scrolls(element)) {
            const name = element.tagName.toLowerCase() + (element.className ? "." + element.className : "");
            problems.push(`${name} reaches to ${Math.round(box.right)}: ${element.textContent.trim().slice(0, 40)}`);
        }
    }
    return problems.slice(0, 8);
}"""

# A browser may break a line beside a formula; the bracket or mark that touches it must not be left alone.
SEPARATED = r"""() => {
    const problems = [];
    const box = (node, start) => {
        const range = document.createRange();
        range.setStart(node, start);
        range.setEnd(node, start + 1);
        return range.getBoundingClientRect();
    };
    for (const formula of document.querySelectorAll("article span.math")) {
        const {top, bottom, width} = formula.getBoundingClientRect();
        const before = formula.previousSibling, after = formula.nextSibling;
        if (!width) continue;
        if (after instanceof Text && /^[)\].,:;?!%]/.test(after.data) && box(after, 0).top >= bottom) {
            problems.push("after a formula: " + after.data.slice(0, 30));
        }
        if (before instanceof Text && /[(\[]$/.test(before.data) && box(before, before.length - 1).bottom <= top) {
            problems.push("before a formula: " + before.data.slice(-30));
        }
    }
    return problems;
}"""

IMAGES = """async () => {
    const problems = [];
    for (const image of document.querySelectorAll("img")) {
        image.loading = "eager";
        await image.decode().catch(() => {});
        const name = image.getAttribute("src").split("/").pop();
        if (!image.naturalWidth) problems.push("not loaded: " + name);
        if (!(image.alt || "").trim()) problems.push("no alt text: " + name);
    }
    return problems;
}"""

# Contrast as WCAG 2.2 defines it, of every text that can be seen, against the colours painted behind it.
CONTRAST = """(least) => {
    const parse = (colour) => {
        const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
        const pen = canvas.getContext("2d", {willReadFrequently: true});
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const cache = new Map();
    const rgba = (colour) => cache.get(colour) || cache.set(colour, parse(colour)).get(colour);
    const over = (top, under) => under.slice(0, 3).map((value, i) => top[i] * top[3] + value * (1 - top[3]));
    const luminance = (colour) => {
        const [r, g, b] = colour.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const chain = (element) => {
        const found = [];
        for (; element; element = element.parentElement) found.unshift(element);
        return found;
    };
    const problems = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.data.trim(), element = texts.currentNode.parentElement;
        const shown = element.checkVisibility({opacityProperty: true, visibilityProperty: true});
        const box = element.getBoundingClientRect();
        if (!text || !shown || box.width < 2 || box.height < 2) continue;
        if (element.closest("svg, mjx-assistive-mml, script, style, [disabled]")) continue;
        let back = [255, 255, 255], opacity = 1;
        for (const one of chain(element)) {
            back = over(rgba(getComputedStyle(one).backgroundColor), back);
            opacity *= parseFloat(getComputedStyle(one).opacity);
        }
        const style = getComputedStyle(element), colour = rgba(style.color);
        const front = over([...colour.slice(0, 3), colour[3] * opacity], back);
        const [dark, light] = [luminance(front), luminance(back)].sort((a, b) => a - b);
        const ratio = (light + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
        if (ratio < (large ? 3 : least)) {
            const name = element.tagName.toLowerCase() + (element.className ? "." + element.className : "");
            const colours = `rgb(${front.map(Math.round)}) on rgb(${back.map(Math.round)})`;
            problems.add(`${ratio.toFixed(2)}: ${colours}, ${name}, ${text.slice(0, 30)}`);
        }
    }
    return [...problems];
}"""

# What code shows as a table is one for a screen reader and for the keyboard, too.
TABLES = """() => {
    const problems = [];
    for (const table of document.querySelectorAll("article .cell_output table")) {
        const start = table.textContent.trim().replace(/\\s+/g, " ").slice(0, 40), box = table.parentElement;
        const scrolls = ["auto", "scroll"].includes(getComputedStyle(box).overflowX);
        const named = table.caption?.textContent.trim() || box.getAttribute("aria-label")?.trim();
        const rows = [...table.querySelectorAll("tbody tr")];
        if (!named) problems.push("no name: " + start);
        if (!scrolls || box.tabIndex < 0) problems.push("cannot be scrolled with the keyboard: " + start);
        if (!table.querySelector("thead th[scope=col]")) problems.push("no header row: " + start);
        if (!rows.every((row) => row.querySelector("th[scope=row]"))) problems.push("a row without a name: " + start);
    }
    return problems;
}"""

BACKGROUND = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
FOCUS = """() => {
    const style = getComputedStyle(document.activeElement);
    return [document.activeElement.tagName, style.outlineStyle, parseFloat(style.outlineWidth)];
}"""


def formula_problems(visited: Visit) -> list[str]:
    return visited.page.evaluate(FORMULAS)


def overflow_problems(visited: Visit) -> list[str]:
    return visited.page.evaluate(OVERFLOW)


def separated_problems(visited: Visit) -> list[str]:
    return visited.page.evaluate(SEPARATED)


def image_problems(visited: Visit) -> list[str]:
    return visited.page.evaluate(IMAGES)


def contrast_problems(visited: Visit) -> list[str]:
    visited.page.evaluate("document.getAnimations().forEach((one) => one.finish())")  # colours may fade in
    return visited.page.evaluate(CONTRAST, LEAST_CONTRAST)


def table_problems(visited: Visit) -> list[str]:
    return visited.page.evaluate(TABLES)


def colab_address(config: dict[str, Any], page: str) -> str:
    """Where a chapter's Colab button must lead, from the settings alone."""
    repository = config["repository"]
    owner_and_name = urlsplit(repository["url"]).path.strip("/")
    folder = f"{repository['path_to_book']}/".lstrip("/")
    notebook = f"{folder}{page.removesuffix('.html')}.ipynb"
    return f"{config['launch_buttons']['colab_url']}/github/{owner_and_name}/blob/{repository['branch']}/{notebook}"


def colab_links(visited: Visit) -> list[str]:
    links = visited.page.locator('.bd-header-article a[href*="colab."]')
    return [links.nth(i).get_attribute("href") for i in range(links.count())]


# ------------------------------------------------------------------------------------------------- every page


@pytest.mark.parametrize("page", PAGES)
def test_page_loads_nothing_from_outside_and_does_not_complain(page: str, address: str, visit: Open) -> None:
    visited = visit(f"{address}/{page}")
    visited.page.mouse.wheel(0, 100_000)  # what loads late loads now
    visited.page.wait_for_load_state("networkidle")
    assert visited.outside == []
    assert visited.complaints == []


@pytest.mark.parametrize("page", PAGES)
def test_formulas_and_images_are_there(page: str, address: str, visit: Open) -> None:
    visited = visit(f"{address}/{page}")
    assert formula_problems(visited) == []
    assert image_problems(visited) == []


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_sticks_out(page: str, width: int, address: str, visit: Open) -> None:
    visited = visit(f"{address}/{page}", width=width)
    visited.page.evaluate(UNFOLD)
    assert overflow_problems(visited) == []
    assert separated_problems(visited) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_text_can_be_read(page: str, scheme: str, address: str, visit: Open) -> None:
    visited = visit(f"{address}/{page}", scheme=scheme)
    visited.page.evaluate(UNFOLD)
    assert visited.page.locator("html").get_attribute("data-theme") == scheme
    assert contrast_problems(visited) == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_tables_have_names_and_headers(page: str, address: str, visit: Open) -> None:
    assert table_problems(visit(f"{address}/{page}", width=PHONE)) == []


@pytest.mark.parametrize("page", PAGES)
def test_colab_button_leads_to_this_notebook(page: str, address: str, visit: Open) -> None:
    expected = [colab_address(CONFIG, page)] if page in CHAPTERS else []
    assert colab_links(visit(f"{address}/{page}")) == expected


@pytest.mark.parametrize("page", CHAPTERS)
def test_hints_and_solutions_are_folded_and_open_by_keyboard(page: str, address: str, visit: Open) -> None:
    visited = visit(f"{address}/{page}")
    folded = visited.page.locator("details.hint, details.solution")
    assert visited.page.locator("details.hint[open], details.solution[open]").count() == 0
    if folded.count():
        folded.first.locator("summary").focus()
        visited.page.keyboard.press("Enter")
        assert folded.first.get_attribute("open") is not None


# --------------------------------------------------------------------------------------------- the whole book


def test_first_page_leads_to_the_welcome_page(address: str, visit: Open) -> None:
    visited = visit(f"{address}/index.html")
    visited.page.wait_for_url("**/book/index.html")
    assert visited.page.locator("article h1").inner_text().startswith("GC ViT from Scratch")


def test_reader_can_choose_light_and_dark(address: str, visit: Open) -> None:
    visited = visit(f"{address}/book/index.html")
    brightness: dict[str, float] = {}
    for _ in range(3):  # automatic, light, dark
        visited.page.locator(".bd-header-article .theme-switch-button:visible").click()
        theme = visited.page.locator("html").get_attribute("data-theme")
        visited.page.wait_for_timeout(300)
        brightness[theme] = sum(visited.page.evaluate(BACKGROUND)) / 3
    assert brightness["light"] > 240
    assert brightness["dark"] < 40


def test_search_works_without_a_network(address: str, visit: Open) -> None:
    visited = visit(f"{address}/search.html?q=window")
    visited.page.locator("#search-results li a").first.wait_for()
    hits = visited.page.locator("#search-results li").all_inner_texts()
    assert any("window" in hit.lower() for hit in hits)
    assert visited.outside == []
    assert visited.complaints == []


def test_keyboard_users_see_where_they_are(address: str, visit: Open) -> None:
    visited = visit(f"{address}/book/index.html")
    for _ in range(6):
        visited.page.keyboard.press("Tab")
        tag, style, width = visited.page.evaluate(FOCUS)
        assert tag != "BODY"
        assert style == "solid"
        assert width >= 2


def test_no_page_names_a_content_network() -> None:
    if not HTML.is_dir():
        cannot_run("the book is not built; run `make book` first")
    named = re.compile(r"unpkg|jsdelivr|cdnjs|cdn\.|googleapis|gstatic")
    pages = sorted(HTML.rglob("*.html"))
    assert pages
    assert [page.name for page in pages if named.search(page.read_text(encoding="utf-8"))] == []


def dead_links(folder: Path) -> list[str]:
    """Links of the pages in a folder to files or ids that are not there."""
    pages = {page.resolve(): page.read_text(encoding="utf-8") for page in sorted(folder.rglob("*.html"))}
    ids = {page: set(re.findall(r"""\bid=["']([^"']+)["']""", html)) for page, html in pages.items()}
    dead = []
    for page, html in pages.items():
        for link in sorted(set(re.findall(r"""<a\b[^>]*?\bhref=["']([^"']*)["']""", html))):
            parts = urlsplit(unescape(link))
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            fragment = unquote(parts.fragment)
            if not target.is_file() or (fragment and target in ids and fragment not in ids[target]):
                dead.append(f"{page.relative_to(folder.resolve())}: {link}")
    return dead


def test_links_within_the_built_book_lead_somewhere() -> None:
    if not HTML.is_dir():
        cannot_run("the book is not built; run `make book` first")
    assert dead_links(HTML) == []


# ----------------------------------------------------------------------------------- pages that must be caught

GOOD_PAGE = r"""<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>t</title>
<link rel="icon" href="data:,"><script>window.MathJax = {options: {processHtmlClass: "math"}};</script>
<script defer src="mathjax/tex-svg-full.js"></script></head><body style="background: #fff; color: #222"><article>
<p>Good: <span class="math">\(\boldsymbol{\gamma} = \frac{1}{2}\)</span>, <code>$x$</code></p>
<pre style="overflow-x: auto">a line of code that is so very long that it cannot fit on any phone, so it scrolls</pre>
<img alt="a dot" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">
PLACE</article></body></html>"""


@pytest.fixture
def made_up(tmp_path: Path, serve: Callable[[Path], str], visit: Open) -> Callable[[str], Visit]:
    """A function that opens, at phone width, a good page with the given HTML added."""
    (tmp_path / "mathjax").symlink_to(BOOK / "_static" / "mathjax")

    def open_with(html: str) -> Visit:
        (tmp_path / "page.html").write_text(GOOD_PAGE.replace("PLACE", html), encoding="utf-8")
        return visit(f"{serve(tmp_path)}/page.html", width=PHONE)

    return open_with


def test_a_good_page_passes_every_check(made_up: Callable[[str], Visit]) -> None:
    visited = made_up("")
    assert visited.outside == []
    assert visited.complaints == []
    checks = (formula_problems, overflow_problems, separated_problems, image_problems, contrast_problems)
    for check in (*checks, table_problems):
        assert check(visited) == []


@pytest.mark.parametrize(
    ("html", "found"),
    [
        (r'<span class="math">\(\frac{1\)</span>', r"not rendered: \(\frac{1"),
        (r'<span class="math">\(\left( x\)</span>', r"error: Extra \left or missing \right"),
        (r'<span class="math">\(\nosuchmacro\)</span>', r"unknown: \nosuchmacro"),
        (r"<p>costs $4HWC^2$ in all</p>", "raw TeX: $4HWC^2$"),
        (r'<div class="math">never closed \[ x</div>', "not rendered: never closed"),
    ],
)
def test_a_bad_formula_is_found(html: str, found: str, made_up: Callable[[str], Visit]) -> None:
    assert any(problem.startswith(found) for problem in formula_problems(made_up(html)))


@pytest.mark.parametrize(
    "html",
    [
        '<div style="width: 700px">wide</div>',
        '<div style="width: 358px; overflow: hidden"><div style="width: 700px">cut off</div></div>',
        "<table><tr>" + "<td>a-table-cell</td>" * 12 + "</tr></table>",
    ],
)
def test_what_sticks_out_is_found(html: str, made_up: Callable[[str], Visit]) -> None:
    assert overflow_problems(made_up(html))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", "", []),
        ("aria-label", "data-label", ["no name"]),
        ("overflow-x: auto;", "", ["cannot be scrolled with the keyboard"]),
        ('tabindex="0"', "", ["cannot be scrolled with the keyboard"]),
        ('scope="col"', "", ["no header row"]),
        ('scope="row"', "", ["a row without a name"]),
    ],
)
def test_a_poor_table_is_found(old: str, new: str, found: list[str], made_up: Callable[[str], Visit]) -> None:
    html = table([["a", 1], ["b", 2]], ["name", "count"])._repr_html_().replace(old, new)
    problems = table_problems(made_up(f'<div class="cell_output">{html}</div>'))
    assert [problem.split(": ")[0] for problem in problems] == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (r'<span class="math">\(x^2\)</span><br>: what', []),
        (r'<span class="math">\(x^2\)</span>: what', ["after a formula: : what"]),
        (r'what (<span class="math">\(x^2\)</span>', ["before a formula: what ("]),
        (r'<span class="keep">(<span class="math">\(x^2\)</span>)</span>', []),
    ],
)
def test_a_mark_that_has_left_its_formula_is_found(
    line: str, found: list[str], made_up: Callable[[str], Visit]
) -> None:
    style = "<style>.narrow {width: 1px} .narrow .keep {white-space: nowrap}</style>"
    assert separated_problems(made_up(f'{style}<div class="narrow">{line}</div>')) == found


def test_outside_and_broken_images_are_found(made_up: Callable[[str], Visit]) -> None:
    visited = made_up('<img alt="x" src="http://example.invalid/a.png"><img src="missing.png">')
    assert visited.outside == ["http://example.invalid/a.png"]
    assert len(visited.complaints) == 2
    assert image_problems(visited) == [
        "not loaded: a.png",
        "not loaded: missing.png",
        "no alt text: missing.png",
    ]


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<p id="here"><a href="https://example.org/x#y">x</a></p>', encoding="utf-8")
    links = ["b.html", "b.html#here", "#own", "c.html", "b.html#there", "#other"]
    body = "".join(f'<a class="x" href="{link}">x</a>' for link in links)
    (tmp_path / "a.html").write_text(f'<main id="own">{body}</main>', encoding="utf-8")
    assert dead_links(tmp_path) == ["a.html: #other", "a.html: b.html#there", "a.html: c.html"]


def test_a_script_error_is_found(made_up: Callable[[str], Visit]) -> None:
    assert made_up("<script>nothing.of_the_kind</script>").complaints == ["nothing is not defined"]


@pytest.mark.parametrize(
    "style",
    ["color: #999", "color: #0008", "opacity: 0.5", "background: #555", "color: #767676; background: #eee"],
)
def test_pale_text_is_found(style: str, made_up: Callable[[str], Visit]) -> None:
    assert contrast_problems(made_up(f'<p style="{style}">pale</p>'))


def test_colab_address_follows_the_settings() -> None:
    config = {
        "repository": {"url": "https://github.com/a/b", "path_to_book": "", "branch": "dev"},
        "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    }
    assert (
        colab_address(config, "book/05_x.html")
        == "https://colab.research.google.com/github/a/b/blob/dev/book/05_x.ipynb"
    )
