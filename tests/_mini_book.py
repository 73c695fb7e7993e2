"""A small book in a folder of its own, built as strictly as the real one, for tests of book/_ext."""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path

import nbformat
import yaml
from _project import BOOK, ROOT
from execute import normalise
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SETTINGS = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_nb", *{names!r}]
root_doc = "book/index"
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme_options = {{"repository_url": "https://github.com/you/fork", "repository_branch": "dev"}}
html_theme = "sphinx_book_theme"
globals().update({shared!r})
"""
# Settings of the real book that the extensions depend on.
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]
SHARED = {
    name: value
    for name, value in CONFIG.items()
    if name.split("_")[0] in ("autodoc", "bibtex", "language", "nitpick", "python")
}


def chapter(*cells: str | tuple[str, str]) -> nbformat.NotebookNode:
    """A notebook of Markdown cells and ("code", tag) cells."""
    made = [
        new_markdown_cell(cell) if isinstance(cell, str) else new_code_cell(cell[0], metadata={"tags": cell[1].split()})
        for cell in cells
    ]
    return normalise(new_notebook(cells=made))


def build(
    folder: Path, pages: Mapping[str, str | nbformat.NotebookNode], extensions: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Write the pages (by file name) and an index of them, and build; the pages are in folder/html/book."""
    (folder / "book").mkdir(parents=True, exist_ok=True)
    (folder / "conf.py").write_text(
        SETTINGS.format(extensions=str(BOOK / "_ext"), names=list(extensions), shared=SHARED)
    )
    for name, page in pages.items():
        path = folder / "book" / name
        if isinstance(page, str):
            path.write_text(page, encoding="utf-8")
        else:
            nbformat.write(page, path)
    names = "\n".join(Path(name).stem for name in pages)
    (folder / "book" / "index.md").write_text(f"# Index\n\n```{{toctree}}\n{names}\n```\n")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-n", "-W", "--keep-going", "-q"]
    return subprocess.run([*command, folder, folder / "html"], capture_output=True, text=True, check=False)


def text_of(html: str) -> str:
    """What a reader reads of a page or a part of one, with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())
