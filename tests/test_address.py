"""The repository is named in a few known places, and `make address` rewrites all of them, the branch included."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from _project import CHAPTERS, ROOT, project_files
from address import NAMING, checked_address, checked_branch, read_address, read_branch, setup_cell, write_address
from nbformat.v4 import new_code_cell, new_notebook

FORK = "https://github.com/you/fork"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Every file that names the repository, address.py included, and one notebook that is no chapter."""
    (tmp_path / "book" / "_ext").mkdir(parents=True)
    for name in ("_config.yml", *NAMING, "book/_ext/address.py", "book/_ext/execute.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    cells = [new_code_cell(setup_cell(read_address(ROOT), read_branch(ROOT))), new_code_cell("print(1)")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "book" / "made_up.ipynb")
    for path in CHAPTERS:
        shutil.copy(path, tmp_path / "book")
    return tmp_path


def first_cells(folder: Path) -> set[str]:
    """The first code cells of all notebooks; one where they agree."""
    notebooks = [nbformat.read(path, as_version=4) for path in (folder / "book").glob("*.ipynb")]
    return {next(cell.source for cell in notebook.cells if cell.cell_type == "code") for notebook in notebooks}


def make_address(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, folder / "book" / "_ext" / "address.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_address_stands_in_known_places_only() -> None:
    """_config.yml, the chapters' first cells, which test_notebooks.py holds equal, and what describes the package."""
    address = read_address(ROOT)
    assert checked_address(address) == address
    assert checked_branch(read_branch(ROOT)) == read_branch(ROOT)
    allowed = {Path("_config.yml"), *map(Path, NAMING), *(path.relative_to(ROOT) for path in CHAPTERS)}
    for path in project_files():
        if path not in allowed:
            assert address.encode() not in (ROOT / path).read_bytes(), path
    for path in CHAPTERS:
        assert path.read_text(encoding="utf-8").count(address) == 1, path


def test_package_and_citation_name_the_repository() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert urls["Repository"] == citation["url"] == citation["repository-code"] == read_address(ROOT)


def test_every_place_is_rewritten_and_back(copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != "made_up.ipynb"}

    write_address(copy, FORK, "dev/two")

    assert (read_address(copy), read_branch(copy)) == (FORK, "dev/two")
    assert first_cells(copy) == {setup_cell(FORK, "dev/two")}
    assert f"git+{FORK}@dev/two" in setup_cell(FORK, "dev/two")  # the package of the state that the button opens
    for path in before:
        assert read_address(ROOT) not in path.read_text(encoding="utf-8")

    write_address(copy, read_address(ROOT), read_branch(ROOT))
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("arguments", "address", "branch"),
    [
        ((FORK,), FORK, read_branch(ROOT)),
        ((FORK, ""), FORK, read_branch(ROOT)),
        ((FORK, "v1.2.0"), FORK, "v1.2.0"),
        (("", "v1.2.0"), read_address(ROOT), "v1.2.0"),
    ],
)
def test_what_is_left_out_stays_and_is_said(copy: Path, arguments: tuple[str, ...], address: str, branch: str) -> None:
    done = make_address(copy, *arguments)
    assert done.returncode == 0, done.stderr
    assert (read_address(copy), read_branch(copy)) == (address, branch)
    assert first_cells(copy) == {setup_cell(address, branch)}
    assert f"{address} and its branch or tag {branch} " in done.stdout


@pytest.mark.parametrize("text", [f"{FORK}/", f" {FORK}.git"])
def test_address_is_cleaned(text: str) -> None:
    assert checked_address(text) == FORK


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        *(
            ((text,), "make address URL=https://github.com/you/fork")
            for text in ("", "you/fork", "git@github.com:you/fork")
        ),
        (("https://github.com/you",), "make address URL=https://github.com/you/fork"),
        (("https://example.org/you/fork", "main"), "make address URL=https://github.com/you/fork"),
        *(
            ((FORK, text), "make address BRANCH=main")
            for text in ("two words", "-x", "a..b", "a//b", "a/", 'a"b', "a\nb")
        ),
    ],
)
def test_others_are_refused_with_the_remedy_and_nothing_is_written(
    copy: Path, arguments: tuple[str, ...], remedy: str
) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    done = make_address(copy, *arguments)
    assert done.returncode == 1
    assert remedy in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before


def test_settings_without_a_branch_are_refused_before_anything_is_written(copy: Path) -> None:
    config = copy / "_config.yml"
    config.write_text(config.read_text().replace("  branch: main\n", ""))
    before = (copy / "CITATION.cff").read_bytes()
    with pytest.raises(ValueError, match="no line `  branch: "):
        write_address(copy, FORK, "main")
    assert (copy / "CITATION.cff").read_bytes() == before
