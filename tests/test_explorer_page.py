"""The explorer on the welcome page: what the package makes, small, with a link to what explains it."""

import re

from _project import BOOK, read_notebook
from explorer_page import LINK, fragment

from gcvit_edu import create_model, explore
from gcvit_edu.data import emoji_classes, load_photo

WELCOME = (BOOK / "index.md").read_text(encoding="utf-8")


def test_welcome_page_has_one_small_explorer_as_the_package_makes_it() -> None:
    (photo,) = re.findall(r"^```\{explorer\} (\w+)\n```$", WELCOME, re.MULTILINE)
    shown = fragment(photo)
    assert len(shown.encode()) < 150_000
    model, title = create_model("nano", pretrained=True), "Where a small GC ViT looks on a photograph"
    wanted = explore(model, load_photo(photo), class_names=emoji_classes(), title=title, link=LINK)
    assert shown == wanted._repr_html_()


def test_the_link_leads_to_a_heading_of_chapter_11() -> None:
    page, _, place = LINK.partition("#")
    notebook = read_notebook(BOOK / f"{page.removesuffix('.html')}.ipynb")
    headings = re.findall(r"^## (.+)$", "\n".join(cell.source for cell in notebook.cells), re.MULTILINE)
    assert place in [heading.lower().replace(" ", "-") for heading in headings]
