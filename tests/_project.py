"""Places and small helpers that the tests of the project and its notebooks share."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from project_files import project_files as files_of

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
PACKAGE = ROOT / "gcvit_edu"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))


def project_files() -> list[Path]:
    """Every file of the project, relative to the root."""
    return files_of(ROOT)


def read_notebook(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    """The code cells with their place among all cells, counted from 0."""
    return [(place, cell) for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])
