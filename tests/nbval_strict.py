"""A pytest plugin that closes gaps of nbval; `make test` loads it with `-p tests.nbval_strict`.

nbval passes a cell that was never run without comparing anything, and it does not compare pictures.
Cells tagged `explorer` hold bytes that may differ by their last digit between machines, so they are also tagged
`nbval-ignore-output`, for everyone's plain nbval. Here they are compared, but for what the sanitizer leaves out.
It kills the kernels, so that chapters cannot delete their temporary files: this plugin deletes them.
It runs a notebook in the notebook's folder. Here each runs in an empty one, as in Colab: a chapter needs the package
and nothing else of the project.
At the end it says how long each chapter took: a chapter should run in two minutes on two cores, all in fifteen.
"""

import base64
import io
from collections import Counter
from collections.abc import Generator, Iterable
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np
import pytest
from nbformat import NotebookNode
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, NbCellError
from PIL import Image

# Where programs look for the folder of temporary files. (execute.py has the same; `-p` plugins cannot import it
# before pytest 8.4.)
TEMPORARY = ("TMPDIR", "TEMP", "TMP")
PICTURES = ("image/png", "image/jpeg")
# The same versions draw the same bytes. Another processor may round a colour differently, not more.
TOLERANCE = 4 / 255


def pytest_configure(config: pytest.Config) -> None:
    """All kernels start in empty folders, in one that holds their temporary files, too, and is deleted at the end."""
    folder = TemporaryDirectory(ignore_cleanup_errors=True)

    def kernel(name: str, cwd: str, **options: object) -> RunningKernel:
        return RunningKernel(name, cwd=mkdtemp(dir=folder.name), **options)

    changes = pytest.MonkeyPatch()
    changes.setattr("nbval.plugin.RunningKernel", kernel)
    for name in TEMPORARY:
        changes.setenv(name, folder.name)
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(changes.undo)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse a cell without a stored run; after nbval's own comparison, compare the pictures."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    if item.cell.execution_count is None:
        raise NbCellError(item.cell_num, "the stored cell was never run: make notebooks", item.cell.source)
    if "explorer" in item.cell.metadata.get("tags", []):
        item.options["check"] = True
    result = yield
    if item.options["check"]:
        problem = compare_pictures(item.cell.outputs, item.test_outputs)
        if problem:
            raise NbCellError(item.cell_num, problem, item.cell.source)
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the times; nothing fails because a machine is slow."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    lines = durations((one.nodeid, one.duration) for one in reports if isinstance(one, pytest.TestReport))
    if lines:
        terminalreporter.section("seconds per notebook, its kernel's start included")
        terminalreporter.write_line("\n".join(lines))


def durations(reports: Iterable[tuple[str, float]]) -> list[str]:
    """(id of a cell's test, seconds) of every phase -> one line per notebook, and their total."""
    seconds: Counter[str] = Counter()
    for name, duration in reports:
        file = name.split("::")[0]
        if file.endswith(".ipynb"):
            seconds[file] += duration
    if not seconds:
        return []
    rows = [*sorted(seconds.items()), ("in all", sum(seconds.values()))]
    return [f"{duration:7.1f}  {name}" for name, duration in rows]


def compare_pictures(stored: list[NotebookNode], new: list[NotebookNode]) -> str | None:
    """What differs between the stored pictures and the new ones; None when nothing does."""
    old_pictures, new_pictures = pictures(stored), pictures(new)
    if len(old_pictures) != len(new_pictures):
        return f"{len(old_pictures)} pictures are stored, {len(new_pictures)} were drawn now"
    for place, (before, after) in enumerate(zip(old_pictures, new_pictures, strict=True), start=1):
        if before.shape != after.shape:
            sizes = " -> ".join(f"{array.shape[1]}x{array.shape[0]} pixels" for array in (before, after))
            return f"picture {place} has another size: {sizes}"
        difference = float(np.sqrt(np.mean((before - after) ** 2)))
        if difference > TOLERANCE:
            return f"picture {place} changed: root mean square {difference:.4f} of 1, allowed {TOLERANCE:.4f}"
    return None


def pictures(outputs: list[NotebookNode]) -> list[np.ndarray]:
    """Every PNG and JPEG of the outputs as an array (H, W, 4) of values from 0 to 1."""
    return [decode(output["data"][kind]) for output in outputs for kind in PICTURES if kind in output.get("data", {})]


def decode(text: str) -> np.ndarray:
    """Base64 text of a picture file -> (H, W, 4)."""
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture.convert("RGBA"), dtype=np.float64) / 255
