"""The Makefile finds a Python by running it, says in one line what is missing, and installs only when needed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from _project import ROOT

NAMES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")

# A Python that answers what the Makefile asks, and notes what it was asked to install.
WORKING = """#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"pip install"*) echo "$*" >> installed.txt; [ ! -e broken ] ;;
esac
"""
WITHOUT_ENSUREPIP = """#!/bin/sh
case "$*" in *ensurepip*) exit 1 ;; esac
"""
SHIM_OF_NOTHING = "#!/bin/sh\necho 'command not found' >&2\nexit 127\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of the set-up in a folder of their own, whose name has a space."""
    folder = tmp_path / "a book"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(project: Path, **pythons: str) -> subprocess.CompletedProcess[str]:
    """`make .venv` where every Python is a shim of nothing, but those given."""
    stubs = project.parent / "stubs"
    stubs.mkdir(exist_ok=True)
    for name in NAMES:
        stub = stubs / name
        stub.write_text(pythons.get(name.replace(".", "_"), SHIM_OF_NOTHING))
        stub.chmod(0o755)
    env = {**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}"}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # those of the `make test` that runs this test
        env.pop(name, None)
    command = ["make", ".venv/.installed"]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)


def installs(project: Path) -> int:
    """How many times something was installed since the last call."""
    notes = project / "installed.txt"
    count = len(notes.read_text().splitlines()) if notes.exists() else 0
    notes.unlink(missing_ok=True)
    return count


def words_of_ours(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if not line.startswith("make")]


def test_no_python_is_one_line_with_the_remedy(project: Path) -> None:
    done = make(project)
    assert done.returncode != 0
    (line,) = words_of_ours(done.stderr)
    assert "no Python 3.11 or newer was found" in line
    assert "make PYTHON=" in line


def test_missing_ensurepip_is_one_line_with_the_remedy(project: Path) -> None:
    done = make(project, python3=WITHOUT_ENSUREPIP)
    assert done.returncode != 0
    (line,) = words_of_ours(done.stderr)
    assert "apt-get install python3-venv" in line


def test_a_python_that_runs_is_found_behind_those_that_do_not(project: Path) -> None:
    done = make(project, python3=WITHOUT_ENSUREPIP, python3_12=WORKING)
    assert done.returncode == 0, done.stderr
    assert "Making .venv with python3.12" in done.stdout
    assert installs(project) == 2  # the lock, then the package


def test_nothing_is_installed_twice(project: Path) -> None:
    make(project, python3=WORKING)
    assert installs(project) == 2
    make(project, python3=WORKING)
    assert installs(project) == 0
    later = (project / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(project / "requirements.lock", (later, later))
    make(project, python3=WORKING)
    assert installs(project) == 2


def test_an_interrupted_install_is_done_again(project: Path) -> None:
    (project / "broken").touch()
    assert make(project, python3=WORKING).returncode != 0
    assert installs(project) == 1
    (project / "broken").unlink()
    assert make(project, python3=WORKING).returncode == 0
    assert installs(project) == 2


def test_a_venv_that_was_moved_is_made_again(project: Path) -> None:
    make(project, python3=WORKING)
    installs(project)
    moved = project.rename(project.parent / "elsewhere")
    done = make(moved, python3=WORKING)
    assert "Making .venv" in done.stdout
    assert installs(moved) == 2


def test_a_venv_whose_python_is_gone_is_made_again(project: Path) -> None:
    make(project, python3=WORKING)
    installs(project)
    (project / ".venv" / "bin" / "python").unlink()
    done = make(project, python3=WORKING)
    assert "Making .venv" in done.stdout
    assert installs(project) == 2


def test_help_names_every_target(project: Path) -> None:
    listed = subprocess.run(["make", "-s"], cwd=project, capture_output=True, text=True, check=True).stdout
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY: help"))
    assert [line.split()[1] for line in listed.splitlines()] == phony.split()[1:]
