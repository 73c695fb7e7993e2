"""Chapters can be read where nothing builds them: captions are text below their figures, no MyST syntax shows raw."""

import re
from pathlib import Path

import pytest
from _mini_book import build, chapter, text_of
from _project import CHAPTERS, code_cells, read_notebook, tags
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_source import CAPTION, for_the_book

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
RAW = {
    "role": re.compile(r"\{[\w:-]+\}`"),
    "directive": re.compile(r"^[ >]*(?:`{3,}|:{3,})\{[\w:-]+\}", re.MULTILINE),
    "target": re.compile(r"^\([\w-]+\)=$", re.MULTILINE),
    "option or comment": re.compile(r"^(?::\w+:|%|\+\+\+)", re.MULTILINE),
}


def figure_cell(**figure: str) -> NotebookNode:
    drawn = new_output("display_data", data={"image/png": PNG, "text/plain": "<Figure>"})
    metadata = {"mystnb": {"figure": figure, "image": {"alt": "A point."}}, "tags": ["hide-input"]}
    return new_code_cell("draw()", outputs=[drawn], execution_count=1, metadata=metadata)


def caption_cell(text: str = f"{CAPTION}One *point*, $x^2$.") -> NotebookNode:
    return new_markdown_cell(text, metadata={"tags": ["caption"]})


def raw_syntax(notebook: NotebookNode) -> list[str]:
    """MyST's own syntax in the text cells: other programs show it as it is typed."""
    return [
        f"cell {place}: {kind} {found[0]!r}"
        for place, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown"
        for kind, pattern in RAW.items()
        for found in pattern.finditer(re.sub(r"^```\w*\n.*?^```$", "", cell.source, flags=re.MULTILINE | re.DOTALL))
    ]


def figures_without_caption(notebook: NotebookNode) -> list[str]:
    """Figures whose next cell is no caption: readers of the notebook would not see what the metadata says."""
    cells = [*notebook.cells, new_markdown_cell("")]
    return [
        f"cell {place}: give {figure.get('name')} a text cell below, tagged caption, that begins with {CAPTION!r}"
        for place, cell in code_cells(notebook)
        if (figure := cell.metadata.get("mystnb", {}).get("figure")) is not None
        if "caption" in figure or "caption" not in tags(cells[place + 1])
    ]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_shows_no_raw_syntax(path: Path) -> None:
    assert raw_syntax(read_notebook(path)) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_figure_has_its_caption_below_it(path: Path) -> None:
    notebook = read_notebook(path)
    assert figures_without_caption(notebook) == []
    for_the_book(notebook)  # and each caption has its figure


@pytest.mark.parametrize(
    "text",
    ["see {numref}`fig-a`", ":::{note}\nA note.\n:::", "(here)=\n\n## Here", "```{figure} a.png\n:alt: A\n```", "% no"],
)
def test_raw_syntax_is_found(text: str) -> None:
    assert raw_syntax(new_notebook(cells=[new_markdown_cell(text)])) != []
    assert raw_syntax(new_notebook(cells=[new_markdown_cell("```python\nf'{a}`'\n```\n\n{a} $\\frac{a}{b}$")])) == []


def test_a_figure_without_caption_is_found() -> None:
    assert figures_without_caption(new_notebook(cells=[figure_cell(name="fig-a"), caption_cell()])) == []
    assert len(figures_without_caption(new_notebook(cells=[figure_cell(name="fig-a")]))) == 1
    hidden = [figure_cell(name="fig-a", caption="In the metadata only."), caption_cell()]
    assert len(figures_without_caption(new_notebook(cells=hidden))) == 1


def test_caption_goes_to_its_figure_and_its_cell_is_gone() -> None:
    book = for_the_book(new_notebook(cells=[figure_cell(name="fig-a"), caption_cell(), new_markdown_cell("Text.")]))
    assert [cell.source for cell in book.cells] == ["draw()", "Text."]
    assert book.cells[0].metadata.mystnb.figure == {"name": "fig-a", "caption": "One *point*, $x^2$."}


@pytest.mark.parametrize(
    ("cells", "remedy"),
    [
        ([new_markdown_cell("Text."), caption_cell()], "move it below the code cell of its figure"),
        ([caption_cell()], "move it below"),
        ([new_code_cell("draw()"), caption_cell()], '"mystnb": {"figure"'),
        ([figure_cell(name="fig-a"), caption_cell(), caption_cell()], "move it below"),
        ([figure_cell(name="fig-a"), caption_cell("One point.")], r"begins with \"\*\*Figure\.\*\* "),
    ],
)
def test_a_lost_caption_is_refused_with_the_remedy(cells: list[NotebookNode], remedy: str) -> None:
    with pytest.raises(ValueError, match=re.escape(remedy) if "begins" not in remedy else remedy):
        for_the_book(new_notebook(cells=cells))


def test_book_shows_numbered_captions(tmp_path: Path) -> None:
    page = chapter("# 1. A\n\nText.")
    page.cells += [figure_cell(name="fig-a"), caption_cell()]
    done = build(tmp_path, {"01_a.ipynb": page}, ["notebook_source"])
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "html" / "book" / "01_a.html").read_text(encoding="utf-8")
    (caption,) = re.findall(r"<figcaption>.*?</figcaption>", html, re.DOTALL)
    assert "One <em>point</em>" in caption
    assert 'alt="A point."' in html
    assert 'id="fig-a"' in html
    assert "Figure." not in text_of(html)


def test_a_lost_caption_stops_the_build(tmp_path: Path) -> None:
    page = chapter("# 1. A\n\nText.")
    page.cells.append(caption_cell())
    done = build(tmp_path, {"01_a.ipynb": page}, ["notebook_source"])
    assert done.returncode != 0
    assert "book/01_a: cell 1 is tagged caption" in done.stderr
