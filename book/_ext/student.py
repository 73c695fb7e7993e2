"""Writes a copy of the project without solutions, for a course: python book/_ext/student.py FOLDER.

In a chapter a solution is a text cell of its own, tagged `solution`. The copy lacks these cells and the tests that know
the answers. Its page of solutions lists the exercises. All else is there, so the copy builds, and its tests pass.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbformat import NotebookNode

from execute import normalise, to_text
from project_files import project_files

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = "_build/student"
# The tests' own answers, tests of solutions and of this file, and wrong changes of the package that tests must notice.
ANSWERS = re.compile(r"tests/(?:_answers\w*|test_solutions\w*|test_student|_mutants\w*|mutate|test_mutate)\.py")
IMPORTS_ANSWERS = re.compile(r"\b_answers")
BIB_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,\s]+),.*?^\}\n*", re.MULTILINE | re.DOTALL)
FOLDED = '<details class="solution">'
PROMISE = ", two hints and a solution."  # in the first lines of a chapter's exercises
PAGES = (".ipynb", ".md")
PAGE = """\
# Exercises

Every exercise of the book. A title leads to its place, where a checker and two hints wait for you.
Stars say how hard it is.

```{solutions}
```
"""


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """The chapter without the cells that are tagged `solution`.

    Raises:
        ValueError: if a solution stands in a cell without the tag, together with other text.
    """
    kept = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])]
    for cell in kept:
        if FOLDED in cell.source:
            raise ValueError(
                "a solution stands in a cell without the tag solution; give it a text cell of its own with this tag: "
                + cell.source[cell.source.index(FOLDED) :][:200]
            )
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(PROMISE, " and two hints.")
    notebook.cells = kept
    return notebook


def cited_entries(bibliography: str, pages: str) -> str:
    """The entries of a BibTeX file whose keys the pages name: some works are cited in a solution only."""
    return BIB_ENTRY.sub(lambda found: found[0] if re.search(rf"\b{found['key']}\b", pages) else "", bibliography)


def is_left_out(path: Path, root: Path) -> bool:
    """Whether a file, relative to the root, knows answers."""
    name = path.as_posix()
    if ANSWERS.fullmatch(name):
        return True
    is_test = path.parts[0] == "tests" and path.suffix == ".py"
    return is_test and IMPORTS_ANSWERS.search((root / path).read_text(encoding="utf-8")) is not None


def write_copy(root: Path, folder: Path) -> int:
    """Write the copy, whole or not at all; return the number of solutions that were taken out.

    Raises:
        ValueError: if the folder is taken, or lies where it would become a part of the project.
    """
    folder = folder.resolve()
    default = (root / DEFAULT).resolve()
    if folder.is_relative_to(root) and not folder.is_relative_to(root / "_build"):
        raise ValueError(f"{folder} would become a part of the project; name a folder outside: make student DIR=FOLDER")
    if folder == (root / "_build").resolve():
        raise ValueError(f"{folder} holds what was built; name a folder in it or outside: make student DIR=FOLDER")
    if folder != default and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there and not empty; delete it, or name another: make student DIR=FOLDER")
    folder.parent.mkdir(parents=True, exist_ok=True)
    taken = 0
    with TemporaryDirectory(dir=folder.parent) as temporary:
        copy = Path(temporary) / folder.name
        for path in project_files(root):
            if is_left_out(path, root):
                continue
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, copy / path)
        for path in sorted((copy / "book").glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            before = len(notebook.cells)
            try:
                notebook = without_solutions(notebook)
            except ValueError as error:
                raise ValueError(f"{path.name}: {error}") from error
            taken += before - len(notebook.cells)
            path.write_text(to_text(normalise(notebook)), encoding="utf-8", newline="\n")
        (copy / "book" / "solutions.md").write_text(PAGE, encoding="utf-8", newline="\n")
        bibliography = copy / "book" / "references.bib"
        pages = [path.read_text(encoding="utf-8") for path in sorted((copy / "book").iterdir()) if path.suffix in PAGES]
        kept = cited_entries(bibliography.read_text(encoding="utf-8"), "".join(pages))
        bibliography.write_text(kept, encoding="utf-8", newline="\n")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(copy, folder)
    return taken


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] else ROOT / DEFAULT)
    try:
        number = write_copy(ROOT, target)
    except ValueError as error:
        sys.exit(f"student: {error}")
    print(f"{target} is a copy of the project without its {number} solutions and without the tests that know them.")
    print("In that folder `make book` builds the book, and `make test` runs all tests and every chapter.")
