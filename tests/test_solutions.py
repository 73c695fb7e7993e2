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


def namespace(notebook: nbformat.NotebookNode, solution: str) -> dict[str, object]:
    """What a reader has when the exercise comes, as far as the solution names it; the image is a blank one."""
    names: dict[str, object] = {"image": torch.zeros(1, 3, 224, 224)}
    nodes = list(ast.walk(ast.parse(solution)))
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    wanted = {node.id for node in nodes if isinstance(node, ast.Name)} - own
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.source.startswith("# Make `gcvit_edu` importable"):
            continue
        for node in ast.parse(cell.source).body:
            is_import = isinstance(node, ast.Import | ast.ImportFrom)
            is_wanted = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in wanted
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                is_wanted = node.targets[0].id in wanted - names.keys()
            if is_import or is_wanted:
                exec(compile(ast.Module([node], []), "chapter", "exec"), names)
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
    names = namespace(notebook, exercise["solution"])
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
    names = namespace(notebook, exercise["solution"])
    exec(exercise["solution"].replace("window**4", "window**2"), names)
    assert not eval(exercise["cell"].strip().splitlines()[-1], names).right


def test_chapters_of_the_parts_have_five_exercises() -> None:
    for path in CHAPTERS:
        if 2 <= int(path.stem[:2]) <= 9:
            assert len(exercises(nbformat.read(path, as_version=4))) >= 5, path.name
