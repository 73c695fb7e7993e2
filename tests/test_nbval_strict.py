"""The flags of `make test` refuse a wrong notebook: each fault is planted in a copy of a good one."""

import base64
import io
import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest
from _project import ROOT
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval_strict import durations
from PIL import Image

# Raw, without the line of text that usually comes with a picture: nbval alone would compare nothing.
DRAW = """
import base64, io
from PIL import Image
file = io.BytesIO()
Image.new("L", (8, 6), 100).save(file, "PNG")
display({"image/png": base64.b64encode(file.getvalue()).decode()}, raw=True)
""".strip()


def png(shade: int, size: tuple[int, int] = (8, 6)) -> str:
    file = io.BytesIO()
    Image.new("L", size, shade).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def good_notebook(shade: int = 100, size: tuple[int, int] = (8, 6)) -> NotebookNode:
    """Two cells with the outputs that they really have: a line of text and a grey picture."""
    text = new_output("stream", name="stdout", text="2\n")
    picture = new_output("display_data", data={"image/png": png(shade, size)})
    return new_notebook(
        cells=[
            new_code_cell("print(1 + 1)", outputs=[text], execution_count=1),
            new_code_cell(DRAW, outputs=[picture], execution_count=2),
        ]
    )


# What explore() shows, made small: HTML with data in it.
DATA = '{"title":"T","answer":[["ant",0.5012]],"rows":"AAEC","size":[64,64]}'
SHOW = f"""
from IPython.display import HTML
HTML('<script type="application/json">{DATA}</script>')
""".strip()


def shown_notebook(**changes: str) -> NotebookNode:
    """A cell with HTML, whose stored output was changed."""
    text = f'<script type="application/json">{DATA}</script>'
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    data = {"text/plain": "<IPython.core.display.HTML object>", "text/html": text}
    output = new_output("execute_result", data=data, execution_count=1)
    tags = {"tags": ["explorer", "nbval-ignore-output"]}
    return new_notebook(cells=[new_code_cell(SHOW, outputs=[output], execution_count=1, metadata=tags)])


def notebooks() -> dict[str, NotebookNode]:
    made = {
        name: good_notebook()
        for name in ("good", "unrun", "changed_text", "error", "stderr", "new_picture", "lost_picture")
    }
    made["unrun"].cells[0].update(outputs=[], execution_count=None)
    made["changed_text"].cells[0].outputs[0].text = "3\n"
    made["error"].cells[0].source = "print(1 + one)"
    made["stderr"].cells[0].source = "import sys; print(1 + 1); print('careful', file=sys.stderr)"
    made["new_picture"].cells[0].source = f"print(1 + 1)\n{DRAW}"
    made["lost_picture"].cells[1].source = DRAW.rsplit("\n", 1)[0]
    made["nearly_the_same_picture"] = good_notebook(shade=102)
    made["other_picture"] = good_notebook(shade=120)
    made["other_size"] = good_notebook(size=(9, 6))
    made["litter"] = good_notebook()
    made["litter"].cells[0].source = "import tempfile; tempfile.mkdtemp(); tempfile.mkstemp(); print(1 + 1)"
    made["neighbour"] = good_notebook()
    made["neighbour"].cells[0].source = "open('good.ipynb').close(); print(1 + 1)"
    made["html"] = shown_notebook()
    made["html_rounded"] = shown_notebook(rows=("AAEC", "AAED"), answer=("0.5012", "0.5013"))
    made["html_other_title"] = shown_notebook(title=('"T"', '"U"'))
    made["html_other_size"] = shown_notebook(size=("64,64", "64,65"))
    made["html_other_class"] = shown_notebook(answer=("ant", "bee"))
    made["html_without_rows"] = shown_notebook(rows=('"rows":"AAEC",', ""))
    return made


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of temporary files of the run below."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> tuple[dict[str, str], str]:
    """{name of the notebook: what pytest said of its failed cells, or ""}, and all that pytest printed."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name, notebook in notebooks().items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    flags = re.search(r"^NBVAL := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", *shlex.split(flags), "-p", "tests.nbval_strict"]
    command += ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={folder}", f"--junit-xml={report}"]
    command += map(str, sorted(folder.glob("*.ipynb")))
    env = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return read_verdicts(report), done.stdout


@pytest.fixture(scope="module")
def verdicts(run: tuple[dict[str, str], str]) -> dict[str, str]:
    return run[0]


def read_verdicts(report: Path) -> dict[str, str]:
    verdicts: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("classname", "").removesuffix(".ipynb")
        said = "".join(found.text or "" for kind in ("failure", "error") for found in case.iter(kind))
        verdicts[name] = verdicts.get(name, "") + said
    return verdicts


def test_every_notebook_was_judged(verdicts: dict[str, str]) -> None:
    assert set(verdicts) == set(notebooks())


@pytest.mark.usefixtures("run")
def test_temporary_files_of_notebooks_are_deleted(temporary: Path) -> None:
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["good", "litter", "nearly_the_same_picture", "html", "html_rounded"])
def test_good_notebook_passes(verdicts: dict[str, str], name: str) -> None:
    assert verdicts[name] == ""


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("unrun", "never run"),
        ("changed_text", "Cell outputs differ"),
        ("error", "NameError"),
        ("stderr", "Cell outputs differ"),
        ("neighbour", "FileNotFoundError"),
        ("new_picture", "0 pictures are stored, 1 were drawn"),
        ("lost_picture", "1 pictures are stored, 0 were drawn"),
        ("other_picture", "picture 1 changed"),
        ("other_size", "9x6 pixels -> 8x6 pixels"),
        ("html_other_title", "Cell outputs differ"),
        ("html_other_size", "Cell outputs differ"),
        ("html_other_class", "Cell outputs differ"),
        ("html_without_rows", "Cell outputs differ"),
    ],
)
def test_fault_is_found(verdicts: dict[str, str], name: str, complaint: str) -> None:
    assert complaint in verdicts[name]


def test_plain_nbval_passes_an_explorer_of_another_machine(tmp_path: Path) -> None:
    nbformat.write(notebooks()["html_rounded"], tmp_path / "chapter.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "chapter.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_seconds_are_added_up_by_notebook() -> None:
    phases = [("b/2.ipynb::Cell 0", 1.0), ("b/1.ipynb::Cell 0", 2.5), ("b/2.ipynb::Cell 1", 3.25), ("t.py::test", 9.0)]
    assert durations(phases) == ["    2.5  b/1.ipynb", "    4.2  b/2.ipynb", "    6.8  in all"]
    assert durations([("t.py::test", 9.0)]) == []


def test_seconds_are_reported_with_failed_notebooks_too(run: tuple[dict[str, str], str]) -> None:
    report = run[1].split("seconds per notebook")[1]
    names = re.findall(r"^ +\d+\.\d  (?:\S+/)?(\w+)\.ipynb$", report, re.MULTILINE)
    assert names == sorted(notebooks())
    assert re.search(r"^ +\d+\.\d  in all$", report, re.MULTILINE)
