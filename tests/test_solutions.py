"""The folded solutions of the exercises run, and their checkers accept them."""

import ast
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
import torch

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = sorted(BOOK.glob("*.ipynb"))
HEADING = re.compile(r"^### Exercise ((?:\d+|[A-Z])\.\d+)", re.MULTILINE)
SOLUTION = re.compile(r'<details class="solution">.*?```python\n(.*?)```.*?</details>', re.DOTALL)
SETUP = "# Make `gcvit_edu` importable"
HINT = re.compile(r'<details class="hint">')


def exercises(notebook: nbformat.NotebookNode) -> dict[str, dict[str, str]]:
    """By number: the text that follows the heading, the reader's cell and the solution."""
    found: dict[str, dict[str, str]] = {}
    number = None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if number and (hints := HINT.findall(cell.source)):
                found[number]["hints"] = str(len(hints))
            if number and (solution := SOLUTION.fullmatch(cell.source)):
                found[number]["solution"] = solution[1]
            if headings := HEADING.findall(cell.source):
                number = headings[-1]
                found[number] = {"text": cell.source.rpartition(f"### Exercise {number}")[2]}
        elif number and "cell" not in found[number]:
            found[number]["cell"] = cell.source
    return found


def stored(node: ast.AST) -> set[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def used(node: ast.AST) -> set[str]:
    """The names that a statement takes from outside: read in it, but neither its parameters nor its variables."""
    names = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
    own = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    own |= {argument.arg for argument in ast.walk(node) if isinstance(argument, ast.arg)}
    return {name.id for name in names} - own


def namespace(notebook: nbformat.NotebookNode, solution: str) -> dict[str, object]:
    """What a reader has when the exercise comes, as far as the solution needs it.

    The chapter's imports, and those of its functions, classes and (first) assignments that the solution names,
    or that one of these names in its turn.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and not cell.source.startswith(SETUP)]
    body = [node for cell in cells for node in ast.parse(cell.source).body]
    places: dict[str, list[int]] = {}
    for place, node in enumerate(body):
        for name in stored(node):
            if name not in places or not isinstance(node, ast.Assign):
                places.setdefault(name, []).append(place)
    wanted: set[int] = set()
    new = {place for name in used(ast.parse(solution)) for place in places.get(name, ())}
    while new:
        wanted |= new
        new = {p for place in new for name in used(body[place]) for p in places.get(name, ())} - wanted
    names: dict[str, object] = {}
    torch.manual_seed(0)
    for place, node in enumerate(body):
        if isinstance(node, ast.Import | ast.ImportFrom) or place in wanted:
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
    for folder in [value for value in names.values() if isinstance(value, TemporaryDirectory)]:
        folder.cleanup()  # a chapter leaves this to the end of Python
    assert verdict.right, verdict


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_solution_is_a_cell_of_its_own_with_a_tag(path: Path) -> None:
    """So that a teacher, or `make student`, can take the solutions out and leave all else."""
    for cell in nbformat.read(path, as_version=4).cells:
        tagged = "solution" in cell.metadata.get("tags", [])
        assert tagged == ('class="solution"' in cell.source), cell.source[:80]
        assert not tagged or cell.source.count("<details") == cell.source.count("</details>") == 1, cell.source[:80]
        assert not tagged or SOLUTION.fullmatch(cell.source), cell.source[:80]


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
        if re.match("0[2-9]_", path.stem):
            assert len(exercises(nbformat.read(path, as_version=4))) >= 5, path.name
