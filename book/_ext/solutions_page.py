"""The directive `solutions`: every exercise of every chapter, with its solution folded, read from the chapters.

A title links to its exercise. Sphinx reports a title without an exercise, because links go by number ("Exercise 5.1")
and not by an anchor that this file would have to guess.
"""

import re
from dataclasses import dataclass

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from chapters import Chapter, chapters_of_the_book

HEADING = re.compile(r"^### Exercise (?P<number>(?:\d+|[A-Z])\.\d+)(?:: *(?P<title>.+))?$", re.MULTILINE)
PRICE = re.compile(r"★[★☆]{2}, \d+ minutes?")
SOLUTION = re.compile(r'<details class="solution">.*?</details>', re.DOTALL)
LINK_WITHIN = re.compile(r"\]\(#")


@dataclass(frozen=True)
class Exercise:
    """One exercise, as the page shows it.

    Attributes:
        number: "5.1".
        title: the rest of its heading.
        price: its stars and minutes.
        solution: Markdown, folded; empty if the chapter has none.
    """

    number: str
    title: str
    price: str
    solution: str


def exercises_in(markdown: str, file: str = "") -> list[Exercise]:
    """The exercises of a chapter's Markdown; links within the chapter's file get its name."""
    headings = list(HEADING.finditer(markdown))
    ends = [found.start() for found in headings[1:]] + [len(markdown)]
    found = []
    for heading, end in zip(headings, ends, strict=False):
        body = markdown[heading.end() : end]
        price = PRICE.search(body)
        solution = "\n\n".join(SOLUTION.findall(body))
        found.append(
            Exercise(
                heading["number"],
                (heading["title"] or "").strip(),
                price[0] if price else "",
                LINK_WITHIN.sub(f"]({file}#", solution),
            )
        )
    return found


class Solutions(SphinxDirective):
    """One section per chapter, and in it one per exercise."""

    def run(self) -> list[nodes.Node]:
        """Read every chapter of the book."""
        return [section for chapter in chapters_of_the_book(self.env) for section in self.chapter_section(chapter)]

    def chapter_section(self, chapter: Chapter) -> list[nodes.Node]:
        """The chapter's exercises; nothing where it has none."""
        file = f"{chapter.docname.rpartition('/')[2]}.ipynb"
        exercises = exercises_in("\n\n".join(chapter.sources("markdown")), file)
        section = nodes.section(ids=[f"solutions-{chapter.number}"])
        section += nodes.title("", f"{chapter.number}. {chapter.name}")
        section += [self.exercise_section(chapter, exercise) for exercise in exercises]
        return [section] if exercises else []

    def exercise_section(self, chapter: Chapter, exercise: Exercise) -> nodes.section:
        """Title, price and solution."""
        link = addnodes.pending_xref(
            "",
            refdomain="std",
            reftype="exercise",
            reftarget=exercise.number,
            refdoc=self.env.docname,
            refwarn=True,
            chapter=chapter.docname,
        )
        words, _ = self.state.inline_text(f"Exercise {exercise.number}: {exercise.title}".rstrip(": "), self.lineno)
        link += nodes.inline("", "", *words)
        section = nodes.section(ids=[f"solution-{exercise.number.replace('.', '-')}"])
        section += nodes.title("", "", link)
        self.state.nested_parse(
            StringList([exercise.price, "", *exercise.solution.splitlines()], chapter.docname),
            self.content_offset,
            section,
        )
        return section


def find_exercise(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Called by Sphinx for a link without a target: the link to the heading that has an exercise's number."""
    if node["reftype"] != "exercise":
        return None
    for entry in env.tocs[node["chapter"]].findall(nodes.reference):
        if re.match(rf"Exercise {re.escape(node['reftarget'])}(?!\d)", entry.astext()):
            anchor = entry["anchorname"].removeprefix("#")
            return make_refnode(app.builder, node["refdoc"], node["chapter"], anchor, content)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("solutions", Solutions)
    app.connect("missing-reference", find_exercise)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
