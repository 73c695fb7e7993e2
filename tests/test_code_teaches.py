"""The visible code of a chapter teaches: little of it formats output, and no cell is too long to read at once.

What is folded (hide-input, hide-cell) and what stands in a solution is not counted.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell", "solution"}
MOST_FORMATTING = 0.08
MOST_LINES = 45
WIDTH = re.compile(r"^[^.]*[1-9]")  # of ">8.1f" the 8; not the 1 of ".1f"


def visible_cells(path: Path) -> Iterator[tuple[int, str]]:
    """Number and source of every code cell that a reader sees without opening anything."""
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "code" and not FOLDED & set(cell.metadata.get("tags", [])):
            yield number, re.sub(r"^[%!].*$", "pass", cell.source, flags=re.MULTILINE)


def lines_of(source: str) -> int:
    return sum(bool(line.strip()) for line in source.splitlines())


def formatting_lines(source: str) -> int:
    """Lines within a call of print, or of a string with a width to format to."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        width = isinstance(node, ast.FormattedValue) and node.format_spec and WIDTH.match(spec_of(node.format_spec))
        if called or width:
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def spec_of(spec: ast.expr) -> str:
    """The text of a format's constant parts; a computed width is one, too."""
    parts = spec.values if isinstance(spec, ast.JoinedStr) else []
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in parts)


def is_one_class(source: str) -> bool:
    """Whether a class is most of the cell."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return any(3 * (node.end_lineno - node.lineno + 1) > 2 * len(source.splitlines()) for node in classes)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_formatting_is_a_small_part_of_the_code(path: Path) -> None:
    cells = [source for _, source in visible_cells(path)]
    formatting, lines = sum(map(formatting_lines, cells)), sum(map(lines_of, cells))
    assert formatting < MOST_FORMATTING * lines, f"{formatting} of {lines} visible lines format: viz.table, or fold"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_can_be_read_at_once(path: Path) -> None:
    long = {number: lines_of(source) for number, source in visible_cells(path) if not is_one_class(source)}
    assert {number: lines for number, lines in long.items() if lines > MOST_LINES} == {}


def test_formatting_is_counted() -> None:
    assert formatting_lines('x = 1\nprint(\n    x,\n)\ny = f"{x:>8}"\nz = f"{x:.2f}"\nw = f"{x:{y}}"') == 5
    assert not is_one_class("class A:\n    x = 1\n" + "y = 2\n" * 5)
    assert is_one_class("class A:\n" + "    x = 1\n" * 9 + "y = 2\n")
