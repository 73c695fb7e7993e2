"""The chapters as the extensions read them: their titles, definitions and exercises."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sphinx.environment import BuildEnvironment

from notebook_source import for_the_book

TITLE = re.compile(r"^# (?P<number>\d+|[A-Z])\. (?P<name>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Chapter:
    """One notebook of the book.

    Attributes:
        docname: Sphinx's name of its page.
        number: the number in its title; an appendix has a letter.
        name: the rest of its title.
        notebook: its cells, as the book is built from them.
    """

    docname: str
    number: int | str
    name: str
    notebook: NotebookNode

    @property
    def place(self) -> str:
        """How the text names it: "chapter 5", "appendix A"."""
        return f"{'appendix' if isinstance(self.number, str) else 'chapter'} {self.number}"

    def sources(self, kind: str) -> list[str]:
        """The cells of a kind ("markdown" or "code"), drafts left out."""
        return [
            cell.source
            for cell in self.notebook.cells
            if cell.cell_type == kind and "draft" not in cell.metadata.get("tags", [])
        ]

    def definitions(self) -> set[str]:
        """Names of the classes and functions that the chapter builds."""
        nodes = [node for source in self.sources("code") for node in ast.parse(source).body]
        return {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)}


def read_chapter(path: Path, docname: str) -> Chapter | None:
    """The chapter in a notebook, as the book has it; None if its title has no number."""
    notebook = for_the_book(nbformat.read(path, as_version=4))
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (title := TITLE.search(cell.source)):
            number = title["number"]
            return Chapter(docname, int(number) if number.isdigit() else number, title["name"].strip(), notebook)
    return None


def chapters_of_the_book(env: BuildEnvironment) -> Iterator[Chapter]:
    """The chapters that _toc.yml names, by number, then the appendices; the page that asks is built again with them."""
    found = []
    for docname in env.found_docs:
        path = Path(env.doc2path(docname))
        if path.suffix == ".ipynb":
            env.note_dependency(str(path))
            found.append(read_chapter(path, docname))
    yield from sorted(filter(None, found), key=lambda chapter: (isinstance(chapter.number, str), chapter.number))
