"""Nothing in a chapter is wider than the page at 1280 pixels, where the reader would have to scroll it sideways."""

import re
from pathlib import Path

import pytest
from _project import CHAPTERS, read_notebook
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

# Characters of code or output in the page's column, and of code inside a folded solution, which has a frame.
COLUMN, FOLDED = 90, 86

FENCED = re.compile(r"^```(?:python|console)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def too_wide(notebook: NotebookNode) -> list[str]:
    """Lines of code, of printed text and of solutions that do not fit."""
    found = []
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            blocks, limit = FENCED.findall(cell.source), FOLDED
        else:
            # Where HTML is stored beside it, the page shows that.
            plain = [output for output in cell.outputs if "text/html" not in output.get("data", {})]
            shown = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in plain]
            blocks, limit = [cell.source, *shown], COLUMN
        lines = (line for block in blocks for line in block.splitlines())
        found += [f"cell {place} has {len(line)} characters: {line}" for line in lines if len(line) > limit]
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_fits_the_page(path: Path) -> None:
    assert too_wide(read_notebook(path)) == []


@pytest.mark.parametrize(
    ("cell", "limit"),
    [
        (lambda line: new_code_cell(line), COLUMN),
        (lambda line: new_code_cell("", outputs=[new_output("stream", text=f"short\n{line}\n")]), COLUMN),
        (lambda line: new_code_cell("", outputs=[new_output("execute_result", data={"text/plain": line})]), COLUMN),
        (lambda line: new_markdown_cell(f"Text.\n\n```python\n{line}\n```\n"), FOLDED),
    ],
    ids=["code", "printed", "shown", "solution"],
)
def test_a_line_that_is_too_wide_is_found(cell, limit: int) -> None:
    assert too_wide(new_notebook(cells=[cell("x" * limit)])) == []
    assert len(too_wide(new_notebook(cells=[cell("x" * (limit + 1))]))) == 1
