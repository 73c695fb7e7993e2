"""Citations that can be read in Colab, Jupyter and on GitHub: python book/_ext/citations.py writes them.

In a chapter a citation is a link, [(Liu et al., 2021)](https://arxiv.org/abs/2103.14030 "cite:p liu2021swin"). Its
title names the entry of references.bib; its text and its address follow from that entry. An author may write the
short form, {cite:p}`liu2021swin`, and let this file turn it into the link. The book is built from the short form again.
"""

import re
import sys
from functools import cache
from pathlib import Path

import nbformat
from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

from execute import normalise, to_text

BOOK = Path(__file__).resolve().parent.parent
LINK = re.compile(r'\[[^\[\]]+\]\(\S+ "cite:(?P<kind>[pt]) (?P<key>[^"\s]+)"\)')
ROLE = re.compile(r"\{cite:(?P<kind>[pt])\}`(?P<keys>[^`]+)`")
# The book shows citations that stand side by side as one: [Tan and Le, 2019, Tan and Le, 2021].
NEIGHBOURS = re.compile(r"\{cite:p\}`([^`]+)`\s\{cite:p\}`([^`]+)`")


@cache
def entries(bibliography: Path = BOOK / "references.bib") -> dict[str, Entry]:
    """The works of a BibTeX file by their keys."""
    return dict(parse_file(str(bibliography)).entries)


def authors_of(work: Entry) -> str:
    """The authors of a work: "Wightman", "Tan and Le" or "Liu et al."."""
    names = [
        " ".join(str(Text.from_latex(part)) for part in (*one.prelast_names, *one.last_names))
        for one in work.persons["author"]
    ]
    return " and ".join(names) if len(names) < 3 else f"{names[0]} et al."


def link(kind: str, key: str) -> str:
    """The link of one citation, in brackets ("p") or as a part of the sentence ("t").

    Raises:
        ValueError: if references.bib has no such entry.
    """
    if key not in entries():
        raise ValueError(f"references.bib has no entry {key!r}; add it, or correct the key in the chapter")
    work = entries()[key]
    who, year = authors_of(work), work.fields["year"]
    words = f"({who}, {year})" if kind == "p" else f"{who} ({year})"
    address = work.fields["url"].replace("(", "%28").replace(")", "%29")
    return f'[{words}]({address} "cite:{kind} {key}")'


def to_roles(markdown: str) -> str:
    """The Markdown with every citation in the short form that Sphinx reads."""
    text = LINK.sub(lambda found: f"{{cite:{found['kind']}}}`{found['key']}`", markdown)
    while NEIGHBOURS.search(text):
        text = NEIGHBOURS.sub(r"{cite:p}`\1,\2`", text)
    return text


def to_links(markdown: str) -> str:
    """The Markdown with every citation as a link that is up to date."""
    return ROLE.sub(
        lambda found: " ".join(link(found["kind"], key.strip()) for key in found["keys"].split(",")),
        to_roles(markdown),
    )


def write_citations(chapter: Path) -> None:
    """Write the links of a notebook again; its code and its outputs stay as they are."""
    notebook = nbformat.read(chapter, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = to_links(cell.source)
    chapter.write_text(to_text(normalise(notebook)), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    for path in sorted(BOOK.glob("*.ipynb")):
        try:
            write_citations(path)
        except ValueError as error:
            sys.exit(f"{path.name}: {error}")
