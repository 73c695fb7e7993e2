"""The folded solutions of the exercises run, and their checkers accept them."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
import torch

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = sorted(BOOK.glob("[0-9]*.ipynb"))
HEADING = re.compile(r"^### Exercise (\d+\.\d+)", re.MULTILINE)
SOLUTION = re.compile(r'<details class="solution">.*?```python\n(.*?)```.*?</details>', re.DOTALL)
HINT = re.compile(r'<details class="hint">')


def exercises(notebook: nbformat.NotebookNode) -> dict[str, dict[str, str]]:
    """By number: the text that follows the heading, the reader's cell and the solution."""
    found: dict[str, dict[str, str]] = {}
    number = None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            # One cell holds an exercise's hints and solution, then the next one's heading.
            if number and (solution := SOLUTION.search(cell.source)):
                found[number]["solution"] = solution[1]
                found[number]["hints"] = str(len(HINT.findall(cell.source)))
            if headings := HEADING.findall(cell.source):
                number = headings[-1]
                found[number] = {"text": cell.source.rpartition(f"### Exercise {number}")[2]}
        elif number and "cell" not in found[number]:
            found[number]["cell"] = cell.source
    return found


def namespace(notebook: nbformat.NotebookNode) -> dict[str, object]:
    """The chapter's imports, and its image: a solution needs nothing else."""
    names: dict[str, object] = {"image": torch.zeros(1, 3, 224, 224)}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            imports = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), "imports", "exec"), names)
    return names


CASES = [
    pytest.param(path, number, id=f"{path.stem}-{number}")
    for path in CHAPTERS
    for number in exercises(nbformat.read(path, as_version=4))
]


@pytest.mark.parametrize(("path", "number"), CASES)
def test_solution_is_right(path: Path, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(path, as_version=4)
    exercise = exercises(notebook)[number]
    names = namespace(notebook)
    exec(exercise["solution"], names)
    verdict = eval(exercise["cell"].strip().splitlines()[-1], names)
    assert verdict.right, verdict


@pytest.mark.parametrize(("path", "number"), CASES)
def test_exercise_is_complete(path: Path, number: str) -> None:
    exercise = exercises(nbformat.read(path, as_version=4))[number]
    assert re.search(r"★[★☆]{2}, \d+ minutes", exercise["text"]), "difficulty and minutes"
    assert exercise["hints"] == "2"


def test_a_wrong_solution_would_be_seen() -> None:
    notebook = nbformat.read(BOOK / "05_window_attention.ipynb", as_version=4)
    exercise = exercises(notebook)["5.2"]
    names = namespace(notebook)
    exec(exercise["solution"].replace("window**4", "window**2"), names)
    assert not eval(exercise["cell"].strip().splitlines()[-1], names).right


def test_chapters_of_the_parts_have_five_exercises() -> None:
    for path in CHAPTERS:
        if 2 <= int(path.stem[:2]) <= 9:
            assert len(exercises(nbformat.read(path, as_version=4))) >= 5, path.name
