"""A chapter's first cell finds or fetches the package, and the package brings all that chapters need.

Two readers are simulated: one who opens a notebook in Colab, alone in an empty folder, and one who opens it in a clone.
That every chapter runs in an empty folder is shown by `make test`, whose nbval_strict.py starts each in one; here is
shown that the package which is installed has every file of the package which is tested there.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path
from zipfile import ZipFile

import nbformat
import pytest
from _project import CHAPTERS, ROOT, project_files
from address import read_address, read_branch, setup_cell
from nbformat.v4 import new_code_cell, new_notebook

EXECUTE = ROOT / "book" / "_ext" / "execute.py"
INSTALLABLE = ("pyproject.toml", "README.md", "LICENSE", "LICENSE-text", "gcvit_edu", "data")
WHERE = "import gcvit_edu; print(gcvit_edu.__file__)"


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """What the command printed; a failing one fails the test with all that it said."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PYTHONNOUSERSITE": "1", **variables}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every installed package but ours."""
    folder = tmp_path_factory.mktemp("others")
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            if "gcvit_edu" not in entry.name and entry.suffix != ".pth":
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def python(tmp_path: Path, others: Path) -> Path:
    """A Python of its own that has torch and all the rest, but not this package."""
    folder = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=tmp_path)
    site = next(folder.glob("lib/python*/site-packages"), folder / "Lib" / "site-packages")
    (site / "others.pth").write_text(f"{others}\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(*pip(sys.executable, "wheel"), "--no-build-isolation", "-w", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the package as it stands here, uncommitted changes included."""
    folder = tmp_path_factory.mktemp("clone")
    for path in project_files():
        if path.parts[0] in INSTALLABLE:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)
    git = ("git", "-c", "user.name=reader", "-c", "user.email=reader@example.org")
    run("git", "init", "-q", "-b", read_branch(ROOT), cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run(*git, "commit", "-q", "-m", "as it stands", cwd=folder)
    return folder


def pip(python: str | Path, command: str) -> tuple[str | Path, ...]:
    return (python, "-m", "pip", command, "-q", "--no-deps")


def install(wheel: Path, python: Path) -> None:
    """Install the wheel into the environment of a Python that has no pip."""
    # pip would otherwise take the package out of the environment that it runs in, before it fills the other.
    spare = "--ignore-installed", "--prefix", python.parent.parent
    run(*pip(sys.executable, "install"), *spare, wheel, cwd=wheel.parent)


def colab(clone: Path) -> dict[str, str]:
    """Variables under which the repository's address leads to the clone, and nothing leads to a network."""
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{clone.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": read_address(ROOT),
        "PIP_NO_INDEX": "1",
        # pip reads this as "build isolation: 0": the wheel is built with the hatchling that is installed.
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
    }


def alone(chapter: Path, tmp_path: Path) -> Path:
    """A copy of the chapter in a folder where nothing else is."""
    folder = tmp_path / "empty" / "folder"
    folder.mkdir(parents=True)
    return shutil.copy(chapter, folder)


def test_this_python_has_no_package(python: Path, tmp_path: Path) -> None:
    """Without it, the tests below would show nothing."""
    source = "import importlib.util, torch; print(importlib.util.find_spec('gcvit_edu'))"
    assert run(python, "-c", source, cwd=tmp_path).strip() == "None"


def test_wheel_has_every_file_of_the_package_and_the_data(wheel: Path) -> None:
    files = [path.as_posix() for path in project_files() if path.parts[0] in ("gcvit_edu", "data")]
    with ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == {re.sub("^data/", "gcvit_edu/_data/", file) for file in files}


def test_an_installed_wheel_finds_the_data_and_leaves_this_environment_alone(
    wheel: Path, python: Path, tmp_path: Path
) -> None:
    before = run(sys.executable, "-c", WHERE, cwd=tmp_path)
    install(wheel, python)
    assert run(sys.executable, "-c", WHERE, cwd=tmp_path) == before
    source = "from gcvit_edu.data import Emoji, load_photo; print(load_photo('cat').mode, Emoji('train')[0][0].mode)"
    assert run(python, "-c", source, cwd=tmp_path).strip() == "RGB RGBA"


# One chapter is enough: tests/test_notebooks.py holds the first cells of all chapters equal.
def test_chapter_runs_in_colab(clone: Path, python: Path, tmp_path: Path) -> None:
    run(python, EXECUTE, alone(CHAPTERS[2], tmp_path), cwd=tmp_path, **colab(clone))
    assert str(python.parent.parent) in run(python, "-c", WHERE, cwd=tmp_path)


def test_first_cell_finds_the_package_of_a_clone(clone: Path, python: Path) -> None:
    notebook = clone / "book" / "chapter.ipynb"
    notebook.parent.mkdir(exist_ok=True)
    cells = [new_code_cell(setup_cell(read_address(ROOT), read_branch(ROOT))), new_code_cell(WHERE)]
    nbformat.write(new_notebook(cells=cells), notebook)
    run(python, EXECUTE, notebook, cwd=clone)
    output = nbformat.read(notebook, as_version=4).cells[1].outputs[0]
    assert output.text.strip() == str(clone / "gcvit_edu" / "__init__.py")


# -------------------------------------------------------------------------------------------- execute.py itself


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("1 / 0", "cell 1 raised ZeroDivisionError: division by zero"),
        ("import warnings; warnings.warn('old')", "cell 1 wrote to stderr"),
        (
            "import os, tempfile; size = os.write(tempfile.mkstemp()[0], bytes(2_000_000))",
            "it leaves 2.0 MB in the folder of temporary files",
        ),
    ],
)
def test_a_failing_chapter_is_not_stored(tmp_path: Path, source: str, complaint: str) -> None:
    notebook = tmp_path / "chapter.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("print(1)"), new_code_cell(source)]), notebook)
    before = notebook.read_bytes()
    done = subprocess.run([sys.executable, EXECUTE, notebook], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"chapter.ipynb was not stored: {complaint}" in done.stderr
    assert "Traceback" not in done.stderr
    assert notebook.read_bytes() == before


def test_a_chapter_may_use_a_temporary_folder_until_its_kernel_ends(tmp_path: Path) -> None:
    notebook = tmp_path / "chapter.ipynb"
    source = """
        import os, tempfile
        folder = tempfile.TemporaryDirectory()
        os.chdir(folder.name)
        print(open("file", "w").write("x" * 2_000_000))
        other = tempfile.mkdtemp()
        """
    nbformat.write(new_notebook(cells=[new_code_cell(textwrap.dedent(source))]), notebook)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    run(sys.executable, EXECUTE, notebook, cwd=tmp_path, TMPDIR=str(temporary))
    assert nbformat.read(notebook, as_version=4).cells[0].outputs[0].text == "2000000\n"
    assert list(temporary.iterdir()) == []


def test_running_a_chapter_again_gives_the_same_bytes(tmp_path: Path) -> None:
    notebook = tmp_path / "chapter.ipynb"
    source = "import matplotlib.pyplot as plt\nprint('a')\nplt.plot([1, 2]);"
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), notebook)
    run(sys.executable, EXECUTE, notebook, cwd=tmp_path)
    first = notebook.read_bytes()
    run(sys.executable, EXECUTE, notebook, cwd=tmp_path)
    assert notebook.read_bytes() == first
    assert b"image/png" in first
