"""A pytest plugin that closes two gaps of nbval; `make test` loads it with `-p tests.nbval_strict`.

nbval passes a cell that was never run without comparing anything, and it does not compare pictures.
"""

import base64
import io
from collections.abc import Generator

import numpy as np
import pytest
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell, NbCellError
from PIL import Image

PICTURES = ("image/png", "image/jpeg")
# The same versions draw the same bytes. Another processor may round a colour differently, not more.
TOLERANCE = 4 / 255


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Refuse a cell without a stored run; after nbval's own comparison, compare the pictures."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    if item.cell.execution_count is None:
        raise NbCellError(item.cell_num, "the stored cell was never run: make notebooks", item.cell.source)
    result = yield
    if item.options["check"]:
        problem = compare_pictures(item.cell.outputs, item.test_outputs)
        if problem:
            raise NbCellError(item.cell_num, problem, item.cell.source)
    return result


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
