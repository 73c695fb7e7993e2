"""The first cell of a chapter prints nothing when all is well, and says what is missing, and the command, when not."""

import contextlib
import importlib.util
import io
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _project import ROOT
from address import read_address, read_branch, setup_cell

CELL = setup_cell(read_address(ROOT), read_branch(ROOT))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FIND = importlib.util.find_spec


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A function that makes packages look as if they were not installed, in a folder where nothing is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def lack(*names: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else FIND(name))

    return lack


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the cell runs; none is run."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def run_cell() -> str:
    """What the cell prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        exec(CELL, {})
    return printed.getvalue()


def test_nothing_is_printed_or_installed_when_all_is_there(pip: list[list[str]]) -> None:
    assert run_cell() == ""
    assert pip == []


def test_colab_fetches_the_package_alone(lacking: Any, pip: list[list[str]]) -> None:
    lacking("gcvit_edu")
    assert run_cell() == ""
    (command,) = pip
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert "--no-deps" in command  # Colab keeps its torch
    assert command[-1] == f"git+{read_address(ROOT)}@{read_branch(ROOT)}"


def test_a_clone_is_used_where_there_is_one(lacking: Any, pip: list[list[str]], tmp_path: Path) -> None:
    lacking("gcvit_edu")
    for name in ("book", "gcvit_edu"):
        (tmp_path / name).mkdir()
    with contextlib.chdir(tmp_path / "book"):
        run_cell()
    assert sys.path[0] == str(tmp_path)
    assert pip == []


@pytest.mark.parametrize("others", [(), ("gcvit_edu",)], ids=["package there", "package missing"])
@pytest.mark.parametrize(
    ("missing", "command"),
    [
        (("timm",), "%pip install timm"),
        (("timm", "PIL"), "%pip install timm pillow"),
        (("torch", "einops", "safetensors"), "%pip install torch einops safetensors"),
    ],
)
def test_what_is_missing_is_named_with_the_command(
    lacking: Any, pip: list[list[str]], missing: tuple[str, ...], command: str, others: tuple[str, ...]
) -> None:
    lacking(*missing, *others)
    with pytest.raises(ModuleNotFoundError, match=rf"{re.escape(command)}$"):
        run_cell()
    assert pip == []


def test_all_dependencies_of_the_package_are_looked_for() -> None:
    (names,) = re.findall(r'^needed = "(.+)"$', CELL, re.MULTILINE)
    needed = {re.split("[><=]", line)[0] for line in PROJECT["dependencies"]}
    assert {name.replace("PIL", "pillow") for name in names.split()} == needed


def test_a_failed_fetch_says_what_pip_said(lacking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking("gcvit_edu")
    failed = SimpleNamespace(returncode=1, stderr="Could not resolve host: github.com")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match=r"@main was not fetched.*Could not resolve host"):
        run_cell()
