"""The page that a web server shows for an address that does not exist: 404.html, at the root, for GitHub Pages.

It is shown at any address, so its links must not start from there. They start from the folder that has the
repository's name, as on GitHub Pages, or, on another server, from the root.
"""

import html
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from sphinx.application import Sphinx

NAME = "404"
TITLE = "This page is not here"


def base_of(repository: str) -> str:
    """The folder of the book on GitHub Pages: https://github.com/you/fork -> /fork/, .../you/you.github.io -> /."""
    name = urlsplit(repository).path.strip("/").rpartition("/")[2]
    return "/" if not name or name.endswith(".github.io") else f"/{quote(name)}/"


def base_element(base: str) -> str:
    """HTML for the page's head, with the folder from which all its links start; on disk, that is the file's own."""
    return (
        f'<base href="{html.escape(base)}"><script>if (!location.pathname.startsWith({json.dumps(base)})) '
        'document.querySelector("base").href = location.protocol === "file:" ? location.href : "/";</script>'
    )


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Called by Sphinx, which writes the page with the theme around it."""
    root = app.config.root_doc
    links = "".join(
        f'<li><a href="{docname}.html">{html.escape(app.env.titles[docname].astext())}</a></li>'
        for docname in [root, *(name for name in app.env.toctree_includes.get(root, []) if name in app.env.titles)]
    )
    body = (
        f"<h1>{TITLE}</h1><p>The address may have a typing error, or the page has moved. "
        f"The search in the menu finds words on all pages, and these are the pages:</p><ul>{links}</ul>"
    )
    base = base_element(base_of(app.config.html_theme_options.get("repository_url", "")))
    yield NAME, {"title": TITLE, "body": body, "metatags": base}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
