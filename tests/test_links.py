"""Links of pages, chapters and README: those within the project lead somewhere, those outside are well formed.

Nothing is fetched. `python tests/test_links.py` lists the outside addresses, for someone who wants to look.
"""

import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from _project import BOOK, ROOT, read_notebook
from markdown_it import MarkdownIt
from myst_parser.mdit_to_docutils.base import default_slugify

PAGES = [ROOT / "README.md", *sorted(BOOK.glob("*.md")), *sorted(BOOK.glob("*.ipynb"))]
MARKDOWN = MarkdownIt("commonmark").enable("table")
ROLE = re.compile(r"\{doc\}`(?:[^`<]*<)?([^`<>]+)>?`")
PICTURE = re.compile(r"^[ >]*(?:`{3,}|:{3,})\{(?:figure|image)\} *(\S+)", re.MULTILINE)
IN_HTML = re.compile(r"""<(?:a|img)\b[^>]*\b(?:href|src)=["']([^"']+)["']""")
LABEL = re.compile(r"^\(([\w-]+)\)=$|^:name: *([\w-]+)$", re.MULTILINE)
# One host with a dot, and nothing that ends the address by accident.
OUTSIDE = re.compile(r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?(?:/[^\s<>\"{}|\\^`]*)?")


def markdown_of(path: Path) -> str:
    """The Markdown of a page, or of a chapter's text cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown")


def links(text: str) -> list[str]:
    """Where a Markdown text leads: links, pictures, and pages by the role `doc`."""
    tokens = [child for token in MARKDOWN.parse(text) for child in (token, *(token.children or []))]
    found = [str(token.attrs[name]) for token in tokens for name in ("href", "src") if name in token.attrs]
    plain = re.sub(r"^```(?!\{).*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)  # not in blocks of code
    return [*found, *(f"{name}.*" for name in ROLE.findall(plain)), *PICTURE.findall(plain), *IN_HTML.findall(plain)]


def anchors(text: str) -> set[str]:
    """What `#` can name in a Markdown text: headings, as GitHub and MyST call them, and labels."""
    tokens = MARKDOWN.parse(text)
    found: dict[str, int] = defaultdict(int)
    names = {one or other for one, other in LABEL.findall(text)}
    for heading, title in pairwise(tokens):
        if heading.type == "heading_open":
            slug = default_slugify("".join(child.content for child in title.children or []))
            names.add(f"{slug}-{found[slug]}" if found[slug] else slug)
            found[slug] += 1
    return names


def problem(link: str, page: Path) -> str | None:
    """What is wrong with a link of a page; None when nothing is."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None if OUTSIDE.fullmatch(link) else f"{link} is no well-formed https address"
    pattern = unquote(parts.path)
    targets = [page] if not pattern else list(page.parent.glob(pattern)) if "*" in pattern else [page.parent / pattern]
    if not targets or not targets[0].exists():
        return f"{link} leads to no file"
    target = targets[0].resolve()
    if ROOT not in target.parents and page.parent not in target.parents:
        return f"{link} leads out of the project"
    if parts.fragment and parts.fragment not in anchors(markdown_of(target)):
        return f"{link} leads to no heading or label"
    return None


def problems(page: Path) -> list[str]:
    """Everything that is wrong with the links of a page."""
    return [found for link in links(markdown_of(page)) if (found := problem(link, page))]


def outside_links() -> list[str]:
    """Every address that pages, chapters, README and bibliography lead to, in order."""
    bibliography = (BOOK / "references.bib").read_text(encoding="utf-8")
    found = {link for page in PAGES for link in links(markdown_of(page)) if urlsplit(link).scheme}
    return sorted(found | set(re.findall(r"^\s*url\s*=\s*\{(.*?)\}", bibliography, re.MULTILINE)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert problems(page) == []


def test_outside_links_are_well_formed() -> None:
    assert len(outside_links()) > 10
    assert [link for link in outside_links() if not OUTSIDE.fullmatch(link)] == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.md").write_text("# The title, in *two* parts\n\n(here)=\n\n## Again\n\n## Again\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n[a](b.md) [b](b.md#the-title-in-two-parts) [c](b.md#here) [d](b.md#again-1) [e](#page) ![f](a.png)\n"
        "{doc}`b` [g](https://example.org/a_(b)?c=d#e)\n\n`[code](nowhere.md)`\n\n```\n{doc}`nowhere`\n```\n\n"
        "[1](c.md) [2](b.md#again-2) [3](#nowhere) ![4](c.png) [5](http://example.org) [6](https://localhost)\n\n"
        "{doc}`c` {doc}`Seven <d>` <img src='e.png'> [8](../../..)\n\n:::{figure} f.svg\n:alt: F\n:::\n",
        encoding="utf-8",
    )
    assert problems(page) == [
        "c.md leads to no file",
        "b.md#again-2 leads to no heading or label",
        "#nowhere leads to no heading or label",
        "c.png leads to no file",
        "http://example.org is no well-formed https address",
        "https://localhost is no well-formed https address",
        "../../.. leads out of the project",
        "c.* leads to no file",
        "d.* leads to no file",
        "f.svg leads to no file",
        "e.png leads to no file",
    ]


if __name__ == "__main__":
    print(*outside_links(), sep="\n")


# ------------------------------------------------------------------------------------ tests that pages speak of

NAMED_TEST = re.compile(r"`(tests/test_\w+\.py)::(test_\w+)`")


def missing_tests(text: str) -> list[str]:
    """Tests that a text names and that do not exist."""
    return [
        f"{file}::{name}"
        for file, name in NAMED_TEST.findall(text)
        if not (ROOT / file).is_file() or f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    assert missing_tests(markdown_of(page)) == []


def test_a_missing_test_is_found() -> None:
    assert NAMED_TEST.findall(markdown_of(BOOK / "bug_museum.md"))
    assert missing_tests("`tests/test_query.py::test_no_such_thing` and `tests/test_nothing.py::test_it`") == [
        "tests/test_query.py::test_no_such_thing",
        "tests/test_nothing.py::test_it",
    ]
