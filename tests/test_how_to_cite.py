"""The welcome page says how to cite the book, in the words of CITATION.cff."""

from pathlib import Path

import yaml
from _mini_book import build
from _project import BOOK, ROOT
from how_to_cite import bibtex
from pybtex.database import parse_string

import gcvit_edu

CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_welcome_page_has_it() -> None:
    welcome = (BOOK / "index.md").read_text(encoding="utf-8")
    assert "## How to cite\n" in welcome
    assert "```{how-to-cite}\n```" in welcome.split("## How to cite\n")[1]


def test_entry_is_what_the_file_says() -> None:
    (entry,) = parse_string(bibtex(CITATION), "bibtex").entries.values()
    assert entry.fields["title"] == f"{{{CITATION['title']}}}"
    assert entry.fields["version"] == gcvit_edu.__version__
    assert entry.fields["url"] == CITATION["url"]
    assert entry.fields["year"] == "2026"
    assert [str(one) for one in entry.persons["author"]] == ["{The authors of GC ViT from Scratch}"]


def test_page_shows_it(tmp_path: Path) -> None:
    done = build(tmp_path, {"page.md": "# Page\n\n```{how-to-cite}\n```\n"}, ["how_to_cite"])
    assert done.returncode == 0, done.stderr
    assert CITATION["url"] in (tmp_path / "html" / "book" / "page.html").read_text(encoding="utf-8")
