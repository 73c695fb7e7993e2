"""`make student` writes a copy without solutions, which builds and whose tests pass."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from _project import CHAPTERS, ROOT, read_notebook, tags
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from project_files import project_files
from student import PAGE, cited_entries, is_left_out, without_solutions, write_copy

SOLUTION = '<details class="solution"><summary>Solution</summary>\n\nIt is 4.\n\n</details>'
# Tests of the copy that are quick and look at every page; not those of them that start programs of their own.
TESTS = ("test_book_config", "test_links", "test_notebook_source", "test_project", "test_page_width")
QUICK = "not (sphinx_setting or numbered_captions or stops_the_build or importing or readme)"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student") / "copy"
    assert write_copy(ROOT, folder) == sum(
        "solution" in tags(cell) for path in CHAPTERS for cell in read_notebook(path).cells
    )
    return folder


def solutions() -> list[NotebookNode]:
    """The cells of all solutions."""
    return [cell for path in CHAPTERS for cell in read_notebook(path).cells if "solution" in tags(cell)]


def flat(text: str) -> str:
    """Without indent and empty lines, so that code is found in any file."""
    return "".join(text.split())


def test_no_solution_is_in_any_file_of_the_book_and_the_tests(copy: Path) -> None:
    code = [flat(block) for cell in solutions() for block in re.findall(r"```python\n(.*?)```", cell.source, re.DOTALL)]
    assert len(code) > 80
    texts = {
        path: flat("\n".join(cell.source for cell in read_notebook(path).cells)) for path in copy.glob("book/*.ipynb")
    }
    texts |= {
        path: flat(path.read_text(encoding="utf-8"))
        for folder in ("book", "tests")
        for path in copy.glob(f"{folder}/*.*y")
    }
    texts |= {path: flat(path.read_text(encoding="utf-8")) for path in copy.glob("book/*.md")}
    assert [path.name for path, text in texts.items() for block in code if block in text] == []
    assert [path.name for path in copy.rglob("_answers*")] == []
    assert not any('<details class="solution">' in text for path, text in texts.items())


def test_chapters_keep_all_else(copy: Path) -> None:
    """Code cells with their outputs, and nothing that runs is left out: what `make test` proves here holds there."""
    assert {cell.cell_type for cell in solutions()} == {"markdown"}
    for path in CHAPTERS:
        kept = [cell for cell in read_notebook(path).cells if "solution" not in tags(cell)]
        now = read_notebook(copy / "book" / path.name).cells
        assert [cell.id for cell in now] == [cell.id for cell in kept]
        changed = [(a, b) for a, b in zip(kept, now, strict=True) if a != b]
        assert {b.cell_type for _, b in changed} <= {"markdown"}
        assert all(b.source == a.source.replace(", two hints and a solution.", " and two hints.") for a, b in changed)
        assert not any("and a solution" in cell.source for cell in now)


def test_copy_has_every_other_file(copy: Path) -> None:
    left_out = set(project_files(ROOT)) - {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    assert left_out == {path for path in project_files(ROOT) if is_left_out(path, ROOT)}
    assert {path.parts[0] for path in left_out} == {"tests"}
    assert (copy / "book" / "solutions.md").read_text(encoding="utf-8") == PAGE
    assert project_files(copy) == sorted(path.relative_to(copy) for path in copy.rglob("*") if path.is_file())


def test_copy_builds_and_its_tests_pass(copy: Path) -> None:
    builder = Path(sys.executable).with_name("jupyter-book")
    done = subprocess.run(
        [builder, "build", copy, "-W", "-n", "--keep-going"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = (copy / "_build" / "html" / "book" / "solutions.html").read_text(encoding="utf-8")
    assert "Exercise 5.2: count the pairs" in page
    assert "★☆☆, 5 minutes" in page
    assert "<details" not in page
    command = [sys.executable, "-m", "pytest", "-q", *(f"tests/{name}.py" for name in TESTS), "-k", QUICK]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_a_solution_without_its_own_cell_is_refused() -> None:
    mixed = new_notebook(cells=[new_markdown_cell(f"A hint.\n\n{SOLUTION}\n\n### Exercise 1.2")])
    with pytest.raises(ValueError, match="cell of its own with this tag"):
        without_solutions(mixed)
    tagged = new_notebook(
        cells=[new_markdown_cell("A hint."), new_markdown_cell(SOLUTION, metadata={"tags": ["solution"]})]
    )
    assert [cell.source for cell in without_solutions(tagged).cells] == ["A hint."]
    code = new_notebook(cells=[new_code_cell("total = 4", metadata={"tags": ["solution"]})])
    assert without_solutions(code).cells == []


def test_works_that_only_solutions_cite_are_left_out() -> None:
    bibliography = "@misc{a1,\n  title = {A}\n}\n\n@misc{a2,\n  title = {B}\n}\n"
    assert cited_entries(bibliography, 'see "cite:p a2"') == "@misc{a2,\n  title = {B}\n}\n"


@pytest.mark.parametrize(
    ("place", "reason"),
    [("book/copy", "a part of the project"), ("_build", "holds what was built"), (".", "a part of the project")],
)
def test_a_folder_of_the_project_is_refused(place: str, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"{reason}.*make student DIR=FOLDER"):
        write_copy(ROOT, ROOT / place)


def test_a_folder_that_is_taken_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="not empty; delete it"):
        write_copy(ROOT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_files_of_the_project_without_git(tmp_path: Path) -> None:
    for name in (
        ".gitignore",
        "a.py",
        "_build/b",
        ".venv/c",
        "d/__pycache__/e.pyc",
        "d/f.md",
        ".ci/run",
        "runs/g",
        "d/runs/h",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# Made\n_build/\n.venv/\n*.pyc\n/runs/\n" if name == ".gitignore" else "")
    assert [path.as_posix() for path in project_files(tmp_path)] == [
        ".ci/run",
        ".gitignore",
        "a.py",
        "d/f.md",
        "d/runs/h",
    ]
