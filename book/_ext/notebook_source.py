"""Turns a chapter, as readers of the notebook see it, into the form from which the book is built.

A notebook must read well where nothing builds it, in Colab, Jupyter or on GitHub. So a citation is a link there, and
the caption of a figure is a text cell of its own, tagged `caption`, below the code cell that draws it. Before Sphinx
reads a chapter, the links become citations again (citations.py), and a caption goes to the figure that it belongs to.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from citations import to_roles

CAPTION = "**Figure.** "  # how a caption begins in a notebook; the book puts the figure's number there


def for_the_book(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its citations and captions where the build looks for them.

    Args:
        notebook: the chapter, which is changed in place.

    Raises:
        ValueError: if a caption does not begin with "**Figure.** ", or does not stand below the cell of its figure.
    """
    cells: list[NotebookNode] = []
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            cell.source = to_roles(cell.source)
        if "caption" not in cell.metadata.get("tags", []):
            cells.append(cell)
            continue
        figure = cells[-1].metadata.get("mystnb", {}).get("figure") if cells else None
        if figure is None or "caption" in figure:
            raise ValueError(
                f"cell {place} is tagged caption, but the cell above it draws no figure of its own; move it below the "
                'code cell of its figure, whose metadata name it: "mystnb": {"figure": {"name": "fig-..."}}'
            )
        if cell.cell_type != "markdown" or not cell.source.startswith(CAPTION):
            raise ValueError(f'cell {place} is tagged caption, so it must be text that begins with "{CAPTION}"')
        figure["caption"] = cell.source.removeprefix(CAPTION)
    notebook.cells = cells
    return notebook


def on_source_read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Called by Sphinx with the text of every page, which is replaced in place."""
    if Path(app.env.doc2path(docname)).suffix != ".ipynb":
        return
    try:
        notebook = for_the_book(nbformat.reads(source[0], as_version=4))
    except ValueError as error:
        raise ExtensionError(f"{docname}: {error}") from error
    source[0] = nbformat.writes(notebook)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
