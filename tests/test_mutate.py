"""Every mutant still fits its file, and mutate.py tells a kill from a survivor and from a run that went wrong."""

import ast
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mutate
import nbformat
import pytest
from _mutants import MUTANTS, Mutant
from _project import ROOT
from mutate import Result, StaleMutantError, as_script, copy_project, examine, main, mutated, sources
from nbformat.v4 import new_code_cell, new_notebook


def test_every_mutant_fits_its_file_and_is_another_program() -> None:
    before = {file: tree_of(as_script(sources(ROOT / file))) for file in {mutant.file for mutant in MUTANTS}}
    for mutant in MUTANTS:
        assert tree_of(mutated(mutant, ROOT)) != before[mutant.file], mutant.name
        assert all((ROOT / test.partition("::")[0]).is_file() for test in mutant.tests), mutant.name


def tree_of(source: str) -> str:
    return ast.dump(ast.parse(source))


def test_package_and_chapters_are_covered_and_names_differ() -> None:
    folders = Counter(Path(mutant.file).parts[0] for mutant in MUTANTS)
    assert folders["gcvit_edu"] >= 10
    assert folders["book"] >= 3
    assert all(bool(mutant.tests) == mutant.file.startswith("gcvit_edu/") for mutant in MUTANTS)
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(("old", "times"), [("this text stands nowhere", 0), ("wh=window", 2)])
def test_a_stale_mutant_is_refused(old: str, times: int) -> None:
    with pytest.raises(StaleMutantError, match=rf"stands {times} times in gcvit_edu/windows\.py, not once"):
        mutated(Mutant("stale", "gcvit_edu/windows.py", old, ""), ROOT)


# ------------------------------------------------------------------------------------ from a mutant to a result

ONE_TEST = "test_windows.py::test_whole_windows_are_left_alone"
CHAPTER = """
from gcvit_edu.check import proof_card
import torch  # the only import but ours
proof_card("twice", {"this chapter": lambda x: 2 * x, "sum": lambda x: x + x}, torch.ones(3))
"""


def test_kills_and_survivors_of_real_runs(tmp_path: Path) -> None:
    copy_project(tmp_path)
    nbformat.write(new_notebook(cells=[new_code_cell(CHAPTER)]), tmp_path / "book" / "made_up.ipynb")
    tests = (f"tests/{ONE_TEST}",)
    mutants = [
        Mutant("a result", "gcvit_edu/windows.py", "return x, None", "return x + 1, None", tests),
        Mutant("a comment", "gcvit_edu/windows.py", "Windows are image-major", "Windows come by image", tests),
        Mutant("a chapter", "book/made_up.ipynb", "2 * x", "3 * x"),
    ]
    with ThreadPoolExecutor(mutate.JOBS) as pool:
        results = list(pool.map(lambda mutant: examine(mutant, tmp_path), mutants))
    assert [(result.outcome, result.by) for result in results] == [
        ("killed", ONE_TEST),
        ("SURVIVED", ""),
        ("killed", "proof card: sum differ from this chapter"),
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "ERROR tests/test_a.py::test_b - no fixture"),
        (2, "ERROR tests/test_a.py - ModuleNotFoundError"),
        (4, "ERROR: not found: tests/test_a.py::test_c"),
        (5, "no tests ran"),
        (mutate.WRONG_PACKAGE, "imported /elsewhere/gcvit_edu/__init__.py"),
        (-1, "still running"),
    ],
)
def test_a_run_that_went_wrong_is_no_kill(code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutate, "run", lambda *_: (code, said, 0.0))
    assert mutate.run_tests(Path(), ("tests/test_a.py",)).outcome == "ERROR"


def test_a_chapter_that_fails_before_its_proof_card_is_no_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for code, said in ((1, "ValueError: 3"), (1, "AssertionError: shapes"), (0, "a chapter without a proof card")):
        monkeypatch.setattr(mutate, "run", lambda *_, code=code, said=said: (code, said, 0.0))
        assert mutate.run_chapter(tmp_path, "chapter.ipynb", "").outcome == "ERROR"


def test_an_installed_package_is_not_taken_for_the_copy(tmp_path: Path) -> None:
    code, said, _ = mutate.run(tmp_path, ROOT, "print('went on')")
    assert code == mutate.WRONG_PACKAGE, said
    assert "went on" not in said


@pytest.mark.parametrize(
    ("unchanged", "changed", "status"),
    [
        (Result("SURVIVED"), Result("killed", "test_a.py::test_b"), 0),
        (Result("SURVIVED"), Result("SURVIVED"), 1),
        (Result("SURVIVED"), Result("ERROR", "exit code 4"), 1),
        (Result("killed", "test_a.py::test_b"), Result("killed", "test_a.py::test_b"), 1),
    ],
)
def test_only_kills_after_a_green_run_succeed(
    unchanged: Result, changed: Result, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutate, "copy_project", lambda folder: None)
    monkeypatch.setattr(mutate, "without_a_change", lambda *_: [("the tests", unchanged)])
    monkeypatch.setattr(mutate, "examine", lambda *_: changed)
    assert main(["--only", MUTANTS[0].name]) == status


def test_the_script_runs_without_pytest() -> None:
    done = subprocess.run([sys.executable, ROOT / "tests" / "mutate.py", "--list"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_list_names_every_mutant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[::3]] == [m.name for m in MUTANTS]
