"""Glossary terms are linked on their first use in a chapter, in running text only, the longest term first."""

import re
from pathlib import Path

import pytest
from _mini_book import build, chapter
from _project import BOOK
from glossary_links import Matcher, forms, read_terms

TERMS = ["block", "global query", "head", "key", "logits", "MLP", "power", "query", "top-1", "window"]


def found(text: str, *seen: str) -> list[str]:
    """ "words (term)" of each first use in a text."""
    return [
        f"{text[start:end]} ({term})"
        for start, end, term in Matcher(TERMS, ["in your head"]).first_uses(text, set(seen))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a window and a window", ["window (window)"]),
        ("Windows of an MLP", ["Windows (window)", "MLP (MLP)"]),
        ("one logit, queries", ["logit (logits)", "queries (query)"]),
        ("the global query, then a query", ["global query (global query)", "query (query)"]),
        ("a global\nqueries", ["global\nqueries (global query)"]),
        ("its top-1 score", ["top-1 (top-1)"]),
        ("the query’s window.", ["query (query)", "window (window)"]),
        ("keyboard, windowed, window_size, multi-head, window-based", []),
        ("do it in your head, with one head", ["head (head)"]),
        ("two to the power of the entropy, a power of 2, its fourth power", []),
        ("after a power cut, at the rated power, powers of two", []),
        ("raised to a power; the power of a test is", ["power (power)"]),
        ("The power\nof this experiment", ["power (power)"]),
        ("power", ["power (power)"]),
    ],
)
def test_words_are_matched(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("tensors have shapes and no values", "value"),
        ("it refuses another value", "value"),
        ("AdamW does not know the key", "key"),
        ("the width of the processor’s units", "width"),
        ("a third of its width", "width"),
        ("This chapter draws such maps", "map"),
    ],
)
def test_words_that_mean_something_else_are_left_alone(text: str, term: str) -> None:
    assert Matcher([term]).first_uses(text, set()) == []
    assert Matcher([term], ordinary=()).first_uses(text, set()) != []


def test_a_term_counts_once_in_a_chapter() -> None:
    assert found("a block in a window", "window") == ["block (block)"]


def test_number_of_a_term() -> None:
    assert forms("query") == ["query", "queries"]
    assert forms("logits") == ["logits", "logit"]
    assert forms("class") == ["class", "classs"]  # no term of the glossary; the singular stays whole


def test_terms_are_those_of_the_glossary() -> None:
    terms = read_terms((BOOK / "glossary.md").read_text(encoding="utf-8"))
    assert {"attention", "global query", "top-1", "window"} <= set(terms)
    assert not [term for term in terms if term != term.strip() or "{" in term]
    assert read_terms("# G\n\n```{glossary}\na b\n  Text.\n\nc\n  More.\n```\n\nAfter\n") == ["a b", "c"]


GLOSSARY = "# Glossary\n\n```{glossary}\n" + "\n\n".join(f"{term}\n  What it is." for term in TERMS) + "\n```\n"
FOLDED = """<details class="hint"><summary>Hint</summary>

A folded MLP.

</details>"""
CELLS = [
    "# 1. Window by window\n\n## The head\n\n> A quoted head.",
    "| a key |\n|---|\n| the key |\n\nSome `window` $window$.",
    ("print('query')", ""),
    FOLDED,
    "See [this block](glossary.md). *Windows* hold the global\nquery.\n\n- An MLP in a window.",
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """{page: its HTML} of a small book."""
    folder = tmp_path_factory.mktemp("book")
    made = {"01_a.ipynb": chapter(*CELLS), "page.md": "# A page\n\nA window.\n", "glossary.md": GLOSSARY}
    done = build(folder, made, ["glossary_links"])
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_text(encoding="utf-8") for path in (folder / "html" / "book").glob("*.html")}


def links(html: str) -> list[tuple[str, str]]:
    return re.findall(r'href="glossary\.html#([\w-]+)"><span class="glossary-term">([^<]+)<', html)


def test_first_uses_in_running_text_are_linked(pages: dict[str, str]) -> None:
    assert links(pages["01_a.html"]) == [
        ("term-window", "Windows"),
        ("term-global-query", "global\nquery"),
        ("term-MLP", "MLP"),
    ]
    for anchor, _ in links(pages["01_a.html"]):
        assert f'id="{anchor}"' in pages["glossary.html"]


def test_other_pages_are_left_alone(pages: dict[str, str]) -> None:
    assert links(pages["page.html"]) == []
    assert links(pages["glossary.html"]) == []


def test_a_term_without_an_entry_fails_the_build(tmp_path: Path) -> None:
    # Here the glossary is only quoted: the extension sees a term, and Sphinx no entry.
    quoted = "# Glossary\n\n````\n```{glossary}\npatch\n  P.\n```\n````\n"
    made = {"01_a.ipynb": chapter("# 1. A\n\nA patch."), "glossary.md": quoted}
    done = build(tmp_path, made, ["glossary_links"])
    assert done.returncode != 0
    assert "term not in glossary: 'patch'" in done.stderr
