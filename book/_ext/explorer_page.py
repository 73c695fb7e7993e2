"""The directive `explorer`: names a photograph of the package, and puts the attention explorer of it on the page.

It is made while the book is built, by the package's own function and weights, so it cannot fall behind them.
"""

from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

LINK = "11_seeing_attention.html#how-to-read-the-explorer"
PACKAGE = Path(__file__).resolve().parents[2] / "gcvit_edu"


@cache
def fragment(photo: str) -> str:
    """The explorer of a photograph: what nano, with its shipped weights, looks at."""
    from gcvit_edu import create_model, explore
    from gcvit_edu.data import emoji_classes, load_photo

    model = create_model("nano", pretrained=True)
    title = "Where a small GC ViT looks on a photograph"
    return explore(model, load_photo(photo), class_names=emoji_classes(), title=title, link=LINK)._repr_html_()


class ExplorerOfPhoto(SphinxDirective):
    """Raw HTML; a page is built again when the explorer's code changes."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The explorer of the photograph that the argument names."""
        for path in sorted((PACKAGE / "explorer").iterdir()):
            if path.is_file():
                self.env.note_dependency(str(path))
        try:
            content = fragment(self.arguments[0])
        except (ValueError, OSError) as error:
            raise ExtensionError(f"{self.env.docname}: no explorer of {self.arguments[0]!r}: {error}") from error
        return [nodes.raw("", content, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("explorer", ExplorerOfPhoto)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
