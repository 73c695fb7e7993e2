"""The directive `how-to-cite`: the book's entry for a bibliography in BibTeX, made from CITATION.cff."""

from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FILE = Path(__file__).resolve().parents[2] / "CITATION.cff"


def bibtex(citation: dict[str, Any]) -> str:
    """The entry of a work that CITATION.cff describes; braces keep its names as they are written."""
    fields = {
        "author": " and ".join(f"{{{one['name']}}}" for one in citation["authors"]),
        "title": f"{{{citation['title']}}}",
        "year": str(citation["date-released"])[:4],
        "version": citation["version"],
        "url": citation["url"],
    }
    lines = [f"  {name:7} = {{{value}}}" for name, value in fields.items()]
    return "@software{gcvit_from_scratch,\n" + ",\n".join(lines) + "\n}"


class HowToCite(SphinxDirective):
    """A block of text to copy; the page is built again when CITATION.cff changes."""

    def run(self) -> list[nodes.Node]:
        """The entry."""
        self.env.note_dependency(str(FILE))
        text = bibtex(yaml.safe_load(FILE.read_text(encoding="utf-8")))
        return [nodes.literal_block(text, text, language="bibtex")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("how-to-cite", HowToCite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
