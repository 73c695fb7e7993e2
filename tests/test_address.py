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
from address import (
    NAMING,
    checked_address,
    checked_branch,
    main,
    read_address,
    read_branch,
    setup_cell,
    write_address,
)
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


def test_the_command_says_what_stands_there_or_how_to_say_it(copy: Path) -> None:
    done = make_address(copy, FORK, "v1.2.0")
    assert done.returncode == 0, done.stderr
    assert f"{FORK} and its branch or tag v1.2.0 " in done.stdout
    done = make_address(copy, FORK, "two words")
    assert done.returncode == 1
    assert "make address BRANCH=main" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_left_out_stays(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("address.ROOT", copy)
    address, branch = read_address(ROOT), read_branch(ROOT)
    for arguments, found in [
        (("", "v1.2.0"), (address, "v1.2.0")),
        ((FORK,), (FORK, "v1.2.0")),
        ((address, branch), (address, branch)),
        ((FORK, ""), (FORK, branch)),
    ]:
        main(*arguments)
        assert (read_address(copy), read_branch(copy)) == found
        assert first_cells(copy) == {setup_cell(*found)}


@pytest.mark.parametrize("text", [f"{FORK}/", f" {FORK}.git"])
def test_address_is_cleaned(text: str) -> None:
    assert checked_address(text) == FORK


@pytest.mark.parametrize(
    ("remedy", "wrong"),
    [
        (
            "make address URL=https://github.com/you/fork",
            [
                *[(text,) for text in ("", "you/fork", "git@github.com:you/fork", "https://github.com/you")],
                ("https://example.org/you/fork", "main"),
            ],
        ),
        (
            "make address BRANCH=main",
            [(FORK, text) for text in ("two words", "-x", "a..b", "a//b", "a/", 'a"b', "a\nb")],
        ),
    ],
)
def test_others_are_refused_with_the_remedy_and_nothing_is_written(
    remedy: str, wrong: list[tuple[str, ...]], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("address.ROOT", copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for arguments in wrong:
        with pytest.raises(ValueError, match=remedy):
            main(*arguments)
    assert {path: path.read_bytes() for path in before} == before


def test_settings_without_a_branch_are_refused_before_anything_is_written(copy: Path) -> None:
    config = copy / "_config.yml"
    config.write_text(config.read_text().replace("  branch: main\n", ""))
    before = (copy / "CITATION.cff").read_bytes()
    with pytest.raises(ValueError, match="no line `  branch: "):
        write_address(copy, FORK, "main")
    assert (copy / "CITATION.cff").read_bytes() == before
