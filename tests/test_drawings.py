"""The words of a drawing stay in their boxes in any font: each line of text is told how wide it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

import pytest
from _drawings import helvetica_width
from _project import BOOK

SVG = "{http://www.w3.org/2000/svg}"
DRAWINGS = sorted((BOOK / "_static").glob("*.svg"))
SIZE = 17.5  # of the type in our drawings
ROOM = 3  # units between words and the edge of their box


@dataclass(frozen=True)
class Words:
    """A line of text and where it stands, as the drawing says."""

    text: str
    left: float
    right: float
    baseline: float


def words(root: ElementTree.Element) -> Iterator[Words]:
    for element in root.iter(f"{SVG}text"):
        width, x = float(element.get("textLength", "nan")), float(element.get("x", "0"))
        kinds = element.get("class", "").split()
        left = x - (width / 2 if "middle" in kinds else width if "end" in kinds else 0)
        yield Words(element.text or "", left, left + width, float(element.get("y", "0")))


def problems(svg: str) -> list[str]:
    """Lines that have no width of their own or a wrong one, and lines that leave their box or meet another."""
    root = ElementTree.fromstring(svg)
    found = []
    for element in root.iter(f"{SVG}text"):
        text, said = element.text or "", element.get("textLength")
        wanted = helvetica_width(text, SIZE, bold="strong" in element.get("class", ""))
        if element.get("lengthAdjust") != "spacingAndGlyphs" or said is None or abs(float(said) - wanted) > 1:
            found.append(f'{text}: textLength="{wanted:.1f}" lengthAdjust="spacingAndGlyphs"')
    lines = list(words(root))
    for box in root.iter(f"{SVG}rect"):
        left, top, width, height = (float(box.get(name, "0")) for name in ("x", "y", "width", "height"))
        for line in lines:
            middle = (line.left + line.right) / 2
            within = left < middle < left + width and top < line.baseline < top + height
            if within and not left + ROOM <= line.left <= line.right <= left + width - ROOM:
                found.append(
                    f"{line.text}: from {line.left:.0f} to {line.right:.0f}, its box from {left} to {left + width}"
                )
    for one, other in combinations(lines, 2):
        if abs(one.baseline - other.baseline) < SIZE and one.left < other.right and other.left < one.right:
            found.append(f"{one.text} meets {other.text}")
    return found


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_words_keep_to_their_boxes_in_any_font(path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []


def drawing(*lines: str) -> str:
    box = '<rect x="0" y="0" width="100" height="30"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 30">{box}{"".join(lines)}</svg>'


LENGTH = 'textLength="83.6" lengthAdjust="spacingAndGlyphs"'


@pytest.mark.parametrize(
    ("svg", "count"),
    [
        (drawing(f'<text x="8" y="20" {LENGTH}>1000 scores</text>'), 1),  # narrower than the words are
        (drawing(f'<text x="8" y="20" {LENGTH.replace("83.6", "95.3")}>1000 scores</text>'), 1),  # over the edge
        (drawing('<text x="8" y="20">4 blocks</text>'), 1),
        (drawing('<text x="8" y="20" textLength="64.2" lengthAdjust="spacing">4 blocks</text>'), 1),
        (drawing('<text x="8" y="20" textLength="64.2" lengthAdjust="spacingAndGlyphs">4 blocks</text>'), 0),
        (drawing(*['<text x="8" y="20" textLength="64.2" lengthAdjust="spacingAndGlyphs">4 blocks</text>'] * 2), 1),
    ],
)
def test_what_could_leave_its_box_is_found(svg: str, count: int) -> None:
    assert len(problems(svg)) == count
