"""Numbers figures, tables and equations by chapter: the third figure of chapter 5 is Figure 5.3.

A chapter's title carries its number ("5. Window attention"), an appendix's its letter ("A. Other people's weights").
Chapters may be missing while the book grows, so Sphinx's own section numbers cannot be used. Pages without a number
keep counting on.
"""

import re
from collections import defaultdict

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

NUMBERED_TITLE = re.compile(r"(\d+|[A-Z])\. ")


def chapter_of(title: str) -> int | str | None:
    """The number or letter that a chapter's title starts with: "5. Window attention" -> 5."""
    found = NUMBERED_TITLE.match(title)
    if not found:
        return None
    return int(found[1]) if found[1].isdigit() else found[1]


def renumber(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Replace the book-wide counts that Sphinx has just assigned."""
    plain: dict[str, int] = defaultdict(int)
    for docname, by_kind in env.toc_fignumbers.items():
        chapter = chapter_of(env.titles[docname].astext())
        for kind, by_id in by_kind.items():
            for place, (identifier, _) in enumerate(sorted(by_id.items(), key=lambda item: item[1]), start=1):
                plain[kind] += chapter is None
                by_id[identifier] = (plain[kind],) if chapter is None else (chapter, place)
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx: act after its own handler has numbered everything."""
    app.connect("env-get-updated", renumber, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
