"""Links the first use of each glossary term in a chapter to the glossary.

A chapter names no links itself: the roles that would make them show raw in Colab. Only running text counts: no
headings, code, captions, links, formulas, tables, or what an exercise folds away.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

# Places where no term is linked, and phrases in which its word means something else.
SKIPPED_AROUND = (nodes.figure, nodes.table, nodes.footnote, nodes.block_quote)
SKIPPED_WITHIN = (nodes.literal, nodes.reference, nodes.math, nodes.raw, addnodes.pending_xref)
ORDINARY = (
    "absolute value",
    "another value",
    "building block",
    "default value",
    "half the width",
    "height and width",
    "height × width",
    "in your head",
    "initial value",
    "key idea",
    "know the key",
    "linear head",
    "no values",
    "of its width",
    "other value",
    "such maps",
    "width likewise",
    "width of the processor",
    "width, height",
)
# Everyday words that are terms in one context only: a number is raised to a power, and a power cut ends a run.
ONLY_IN = {"power": re.compile(r"power\s+of\s+(?:an?|the|this|our)\s+(?:test|experiment|comparison)", re.IGNORECASE)}
ENTRY = re.compile(r"^(?! |```)(\S.*)$", re.MULTILINE)


def read_terms(page: str) -> list[str]:
    """The terms of the glossary page's Markdown."""
    body = page.split("```{glossary}\n")[1].split("\n```")[0]
    return ENTRY.findall(body)


def forms(term: str) -> list[str]:
    """A term and its other number: query and queries, logits and logit."""
    if term.endswith("s") and not term.endswith("ss"):
        return [term, term[:-1]]
    return [term, term[:-1] + "ies" if term.endswith("y") else term + "s"]


class Matcher:
    """Finds terms in text, the longest first: "global query" does not use "query"."""

    def __init__(self, terms: Iterable[str], ordinary: Iterable[str] = ORDINARY) -> None:
        self.term_of: dict[str, str | None] = {phrase.lower(): None for phrase in ordinary}
        for term in terms:
            for form in forms(term):
                self.term_of.setdefault(form.lower(), term)
        longest_first = sorted(self.term_of, key=len, reverse=True)
        words = "|".join(r"\s+".join(map(re.escape, form.split())) for form in longest_first)
        self.pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)

    def first_uses(self, text: str, seen: set[str]) -> list[tuple[int, int, str]]:
        """(start, end, term) of each term that is not in `seen` yet; the terms are added to it."""
        found = []
        for match in self.pattern.finditer(text):
            term = self.term_of[" ".join(match[0].lower().split())]
            alone = match[0] == text.strip()  # in italics: the place where the term is introduced
            if term in ONLY_IN and not alone and not ONLY_IN[term].match(text, match.start()):
                continue
            if term is not None and term not in seen:
                seen.add(term)
                found.append((match.start(), match.end(), term))
        return found


def running_text(document: nodes.Node) -> list[nodes.Text]:
    """The text of paragraphs and list items, in order, without what is folded or was made by code."""
    found, folded = [], 0
    for node in document.findall():
        if isinstance(node, nodes.raw):
            folded += node.astext().count("<details") - node.astext().count("</details")
        if not isinstance(node, nodes.paragraph) or folded or any(map(is_skipped, ancestors(node, document))):
            continue
        join_lines(node)
        for text in node.findall(nodes.Text):
            if not any(isinstance(one, SKIPPED_WITHIN) for one in ancestors(text, node)):
                found.append(text)
    return found


def join_lines(paragraph: nodes.paragraph) -> None:
    """Join the lines of a paragraph into one text: a term may go from one line to the next."""
    for text in list(paragraph.findall(nodes.Text)):
        place = text.parent.index(text)
        before = text.parent[place - 1] if place else None
        if isinstance(before, nodes.Text):
            text.parent[place - 1 : place + 1] = [nodes.Text(before + text)]


def ancestors(node: nodes.Node, top: nodes.Node) -> list[nodes.Element]:
    """The parents of a node, up to `top`."""
    found = []
    while (node := node.parent) is not top:
        found.append(node)
    return found


def is_skipped(node: nodes.Element) -> bool:
    """Whether a node and its content are not running text; a chapter's code cell is a container."""
    return isinstance(node, SKIPPED_AROUND) or (isinstance(node, nodes.container) and "cell" in node["classes"])


def link_first_uses(document: nodes.document, matcher: Matcher, docname: str) -> None:
    """Put links into the tree of a chapter; Sphinx finds their targets as it does for the role `term`.

    Args:
        document: the tree, which is changed in place.
        matcher: finds the terms.
        docname: Sphinx's name of the chapter's page.
    """
    seen: set[str] = set()
    for text in running_text(document):
        parts: list[nodes.Node] = []
        end_before = 0
        for start, end, term in matcher.first_uses(text.astext(), seen):
            link = addnodes.pending_xref(
                "", refdomain="std", reftype="term", reftarget=term, refdoc=docname, refexplicit=True, refwarn=True
            )
            link += nodes.inline("", text.astext()[start:end], classes=["glossary-term"])
            parts += [nodes.Text(text.astext()[end_before:start]), link]
            end_before = end
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text.astext()[end_before:])])


def on_doctree_read(app: Sphinx, document: nodes.document) -> None:
    """Called by Sphinx for every page; chapters are the notebooks."""
    env = app.env
    page = next((name for name in env.found_docs if name.rpartition("/")[2] == "glossary"), None)
    if page is None or Path(env.doc2path(env.docname)).suffix != ".ipynb":
        return
    path = Path(env.doc2path(page))
    env.note_dependency(str(path))
    link_first_uses(document, Matcher(read_terms(path.read_text(encoding="utf-8"))), env.docname)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-read", on_doctree_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
