"""Keeps a formula in running text on one line with the brackets and marks that touch it.

A browser may break a line on either side of a formula, since it is drawn as a picture. The next line then begins with
a colon, or the last one ends with an opening bracket.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

BEFORE = re.compile(r"[(\[“‘]+$")
AFTER = re.compile(r"[)\]”’.,:;?!%]+")
CLASS = "formula-with-marks"  # the style sheet keeps what has it on one line


def keep_together(document: nodes.Element) -> None:
    """Put each formula of the tree that a bracket or a mark touches into one piece with them."""
    for formula in list(document.findall(nodes.math)):
        line = formula.parent
        place = line.index(formula)
        before = line[place - 1] if place else None
        after = line[place + 1] if place + 1 < len(line) else None
        opening = BEFORE.search(before) if isinstance(before, nodes.Text) else None
        closing = AFTER.match(after) if isinstance(after, nodes.Text) else None
        piece = nodes.inline("", "", classes=[CLASS])
        if opening:
            line[place - 1] = nodes.Text(before[: opening.start()])
            piece += nodes.Text(opening[0])
        if closing:
            line[place + 1] = nodes.Text(after[closing.end() :])
        if opening or closing:
            line[place] = piece
            piece += formula
        if closing:
            piece += nodes.Text(closing[0])


def on_doctree_resolved(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Called by Sphinx for every page, when all that looks at its text has done so."""
    keep_together(document)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-resolved", on_doctree_resolved)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
