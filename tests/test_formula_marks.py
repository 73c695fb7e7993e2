"""Formulas stay on one line with the brackets and marks that touch them."""

import re
from pathlib import Path

import pytest
from _mini_book import build, text_of

LINE = "With $a$: the (*pair* $b$) and [$c$]! Then ($d$, $e$). Now $f$ alone, **$g$.** The end $h$"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("book")
    done = build(folder, {"page.md": f"# A page\n\n{LINE}\n"}, ["formula_marks"])
    assert done.returncode == 0, done.stderr
    return (folder / "html" / "book" / "page.html").read_text(encoding="utf-8")


def test_marks_go_with_their_formula(page: str) -> None:
    formula = r'<span class="math notranslate nohighlight">\\\(\w\\\)</span>'
    found = re.findall(rf'<span class="formula-with-marks">([^<]*{formula}[^<]*)</span>', page)
    pieces = [text_of(piece).replace("\\(", "$").replace("\\)", "$") for piece in found]
    assert pieces == ["$a$:", "$b$)", "[$c$]!", "($d$,", "$e$).", "$g$."]


def test_no_letter_is_lost_or_doubled(page: str) -> None:
    paragraph = re.search(r"<p>(With .*?)</p>", page, re.DOTALL)[1]
    assert text_of(paragraph).replace("\\(", "$").replace("\\)", "$") == LINE.replace("*", "")
