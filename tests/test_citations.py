"""Citations in chapters are links that follow from references.bib, and citations again in the book."""

import re
from pathlib import Path

import nbformat
import pytest
from _mini_book import build, chapter, text_of
from _project import CHAPTERS, ROOT, read_notebook
from citations import authors_of, entries, link, to_links, to_roles, write_citations
from nbformat.v4 import new_markdown_cell
from pybtex.database import parse_string

SWIN = '[(Liu et al., 2021)](https://arxiv.org/abs/2103.14030 "cite:p liu2021swin")'
LE = '[(Tan and Le, 2019)](https://arxiv.org/abs/1905.11946 "cite:p tan2019efficientnet")'
LE_AGAIN = '[(Tan and Le, 2021)](https://arxiv.org/abs/2104.00298 "cite:p tan2021efficientnetv2")'


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("Swin {cite:p}`liu2021swin`, that", f"Swin {SWIN}, that"),
        (
            "by {cite:t}`liu2021swin`.",
            f"by {SWIN.replace(':p ', ':t ').replace('(Liu et al., 2021)', 'Liu et al. (2021)')}.",
        ),
        ("{cite:p}`tan2019efficientnet,tan2021efficientnetv2`", f"{LE} {LE_AGAIN}"),
        ("Text, [a link](https://example.org) and `code`.", "Text, [a link](https://example.org) and `code`."),
    ],
)
def test_short_form_becomes_a_link_and_short_again(short: str, long: str) -> None:
    assert to_links(short) == long
    assert to_roles(long) == short
    assert to_links(long) == long


def test_a_link_that_is_out_of_date_is_made_anew() -> None:
    assert to_links('[(Lui, 1999)](https://example.org "cite:p liu2021swin")') == SWIN


def test_brackets_of_an_address_do_not_end_the_link() -> None:
    made = link("p", "mccloskey1989catastrophic")
    assert made.count(")") == 2
    assert "%288%29" not in made
    assert "%2808%29" in made


@pytest.mark.parametrize(
    ("authors", "said"),
    [
        ("Wightman, Ross", "Wightman"),
        ("Tan, Mingxing and Le, Quoc V.", "Tan and Le"),
        (r"Doll{\'a}r, Piotr and Girshick, Ross and He, Kaiming", "Dollár et al."),
        ("van der Maaten, Laurens", "van der Maaten"),
    ],
)
def test_authors(authors: str, said: str) -> None:
    (work,) = parse_string(f"@misc{{a, author = {{{authors}}}}}", "bibtex").entries.values()
    assert authors_of(work) == said


def test_unknown_work_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"references\.bib has no entry 'nobody2020'"):
        to_links("{cite:p}`nobody2020`")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_citations_of_a_chapter_follow_from_the_bibliography(path: Path, tmp_path: Path) -> None:
    """What `make citations` writes; so no short form, which other programs show raw, is left."""
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    write_citations(copy)
    assert copy.read_bytes() == path.read_bytes()


def test_short_form_is_written_as_a_link(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    notebook = read_notebook(CHAPTERS[0])
    notebook.cells.append(new_markdown_cell("By {cite:p}`liu2021swin`."))
    nbformat.write(notebook, path)
    write_citations(path)
    assert read_notebook(path).cells[-1].source == f"By {SWIN}."


def test_book_shows_citations_as_before(tmp_path: Path) -> None:
    pages = {
        "01_a.ipynb": chapter(f"# 1. A\n\nSwin {SWIN}, and {LE} {LE_AGAIN}."),
        "refs.md": "# R\n\n```{bibliography}\n```\n",
    }
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "references.bib").write_bytes((ROOT / "book" / "references.bib").read_bytes())
    done = build(tmp_path, pages, ["sphinxcontrib.bibtex", "notebook_source"])
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "html" / "book" / "01_a.html").read_text(encoding="utf-8")
    assert "Swin [Liu et al., 2021], and [Tan and Le, 2019, Tan and Le, 2021]." in text_of(html)
    assert re.findall(r'href="refs\.html#[\w-]+"', html)
    assert 'href="https://arxiv.org' not in html


def test_bibliography_is_read_whole() -> None:
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    assert len(entries()) == len(re.findall("^@", text, re.MULTILINE))
