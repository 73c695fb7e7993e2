"""How wide words are in Helvetica, whose widths Arial and Liberation Sans share."""

from functools import cache
from pathlib import Path

import matplotlib

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "pdfcorefonts"
NAMES = {"×": "multiply", "’": "quoteright", " ": "space", ",": "comma", ":": "colon", "-": "hyphen", "=": "equal"}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def _widths(bold: bool) -> dict[str, float]:
    """{name of a character: its width in thousandths of the font's size}."""
    lines = (FOLDER / ("Helvetica-Bold.afm" if bold else "Helvetica.afm")).read_text(encoding="latin-1").splitlines()
    parts = [[part.split() for part in line.split(";")] for line in lines if line.startswith("C ")]
    return {name[1]: float(width[1]) for _, width, name, *_ in parts}


def helvetica_width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of a line of text; a KeyError names a character that is not known here."""
    names = [DIGITS[int(one)] if one.isdigit() else NAMES.get(one, one) for one in text]
    return sum(_widths(bold)[name] for name in names) * size / 1000
