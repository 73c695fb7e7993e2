"""Tables of results: real ones in the book and in notebooks, aligned columns in a terminal."""

from collections.abc import Iterable, Sequence
from html import escape
from numbers import Number

import torch

# Styles that make a table legible in a notebook without the book's style sheet, in light and in dark.
_SCROLL = "max-width: 100%; overflow-x: auto;"
_CAPTION = "caption-side: top; text-align: left;"


class Table:
    """A table that a notebook shows as HTML, and a terminal as text.

    Attributes:
        header: the names of the columns.
        cells: the formatted cells, row by row.
        right: for each column, whether it is aligned right, as numbers are.
        caption: a line about the table; may be empty.
    """

    def __init__(
        self, header: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool], caption: str
    ) -> None:
        self.header, self.cells, self.right, self.caption = header, cells, right, caption

    def __repr__(self) -> str:
        rows = [self.header, *self.cells]
        widths = [max(len(row[place]) for row in rows) for place in range(len(self.header))]
        lines = [self._line(row, widths) for row in rows]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self.caption, *lines] if self.caption else lines)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        parts = zip(row, widths, self.right, strict=True)
        return "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in parts).rstrip()

    def _repr_html_(self) -> str:
        head = "".join(self._head(place, name) for place, name in enumerate(self.header))
        body = "".join(f"<tr>{self._row(row)}</tr>\n" for row in self.cells)
        caption = f'<caption style="{_CAPTION}">{escape(self.caption)}</caption>\n' if self.caption else ""
        label = escape(self.caption or ", ".join(filter(None, self.header)), quote=True)
        # A box that scrolls must be reachable with the keyboard, and then it needs a name.
        return (
            f'<div class="results" style="{_SCROLL}" role="region" tabindex="0" aria-label="{label}">\n'
            f'<table class="table">\n{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>'
        )

    def _head(self, place: int, name: str) -> str:
        return f'<th scope="col"{self._side(place)}>{escape(name)}</th>' if name else "<td></td>"

    def _side(self, place: int) -> str:
        return f' style="text-align: {"right" if self.right[place] else "left"};"'

    def _row(self, row: Sequence[str]) -> str:
        first, *rest = row
        named = f'<th scope="row"{self._side(0)}>{escape(first)}</th>'
        return named + "".join(f"<td{self._side(place)}>{escape(cell)}</td>" for place, cell in enumerate(rest, 1))


def table(rows: Iterable[Sequence[object]], header: Sequence[str], formats: str = "", caption: str = "") -> Table:
    """Show rows under a header; let it be the last line of a cell, or give it to display or print.

    The first column names its row. A column is aligned right if it holds numbers only.

    Args:
        rows: one sequence of values per row: text, numbers, booleans ("yes", "no"), None (an en dash), or a pair of
            numbers, an interval ("-1.0 to 2.5"; write a shape as text). A tensor of one element is a number.
        header: the names of the columns.
        formats: of the numbers in each column, in Python's format language and separated by spaces, "-" for a column
            without one, as in "- .1% +.2f"; without formats, whole numbers have commas between thousands, and other
            numbers three digits.
        caption: one line about the table, with the unit if all numbers share it.

    Raises:
        ValueError: if a row, or formats, has not one entry per column, or if there is no row.
    """
    rows = [[_plain(value) for value in row] for row in rows]
    if not rows:
        raise ValueError(f"no rows under {', '.join(header)}; give at least one")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} values for {len(header)} columns ({', '.join(header)})")
    specs = [spec if spec != "-" else "" for spec in formats.split()] or [""] * len(header)
    if len(specs) != len(header):
        raise ValueError(f"formats {formats!r} names {len(specs)} columns of {len(header)}; write - for one without")
    cells = [[_text(value, spec) for value, spec in zip(row, specs, strict=True)] for row in rows]
    columns = zip(*rows, strict=True)
    right = [all(value is None or _numeric(value) for value in column) for column in columns]
    return Table(list(header), cells, right, caption)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value


def _numeric(value: object) -> bool:
    if isinstance(value, tuple):
        return len(value) == 2 and all(_numeric(part) for part in value)
    return isinstance(value, Number) and not isinstance(value, bool)


def _text(value: object, spec: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple) and _numeric(value):
        return " to ".join(_text(part, spec) for part in value)
    if not _numeric(value):
        return str(value)
    return format(value, spec or ("," if isinstance(value, int) else ".3g"))
