"""Tables: the text for a terminal, the HTML for a notebook."""

import xml.etree.ElementTree as ElementTree

import pytest
import torch

from gcvit_edu.viz import table

ROWS = [["zero", 0.716, (-6.6, -1.0), True, 1234], ["a <b> & c", None, (-0.5, 12.0), False, 7]]
HEADER = ["change", "right", "interval", "sure", "pictures"]
FORMATS = "- .1% +.1f - -"


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html)


def test_text_is_aligned() -> None:
    assert repr(table(ROWS, HEADER, FORMATS, caption="In points")).splitlines() == [
        "In points",
        "change     right       interval  sure  pictures",
        "---------  -----  -------------  ----  --------",
        "zero       71.6%   -6.6 to -1.0  yes      1,234",
        "a <b> & c      –  -0.5 to +12.0  no           7",
    ]


def test_html_has_a_caption_headers_of_rows_and_columns_and_the_same_cells() -> None:
    made = table(ROWS, HEADER, FORMATS, caption="In <points>")
    box = parsed(made._repr_html_())
    assert box.attrib["aria-label"] == "In <points>"
    assert box.attrib["tabindex"] == "0"
    assert box.findtext("table/caption") == "In <points>"
    heads = box.findall("table/thead/tr/th")
    assert [(head.text, head.attrib["scope"]) for head in heads] == [(name, "col") for name in HEADER]
    rows = box.findall("table/tbody/tr")
    assert [row.find("th").attrib["scope"] for row in rows] == ["row", "row"]
    assert [[cell.text for cell in row] for row in rows] == made.cells
    assert ["right" in cell.attrib["style"] for cell in rows[0]] == [False, True, True, False, True]


def test_a_column_without_a_name_has_no_empty_header() -> None:
    box = parsed(table([["a", 1]], ["", "count"])._repr_html_())
    assert [cell.tag for cell in box.find("table/thead/tr")] == ["td", "th"]
    assert box.attrib["aria-label"] == "count"
    assert box.find("table/caption") is None


def test_values_without_a_format() -> None:
    cells = table([[name, value] for name, value in enumerate([1234567, 0.12345, torch.tensor(2.0), "x"])], "ab").cells
    assert [row[1] for row in cells] == ["1,234,567", "0.123", "2", "x"]


@pytest.mark.parametrize(
    ("rows", "formats", "named"),
    [([], "", "a, b"), ([["x", 1], ["y"]], "", "row 2"), ([["x", 1]], ".1f", "'.1f'")],
)
def test_a_table_that_does_not_fit_its_header_is_refused(rows: list, formats: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        table(rows, ["a", "b"], formats)
