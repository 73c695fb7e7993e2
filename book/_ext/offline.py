"""Keeps the built book free of anything that would load from outside.

Jupyter Book always loads `sphinx_thebe`. Even when live code is off, that extension names a CDN on
every page and its script logs an error. Nothing of it is used here, so nothing of it may act.
"""

from sphinx.application import Sphinx
from sphinx.config import Config

UNWANTED = "sphinx_thebe"
UNWANTED_FILES = "sphinx-thebe"


def drop_unwanted(app: Sphinx, config: Config) -> None:
    """Disconnect every event handler of the unwanted extension and forget its style sheet."""
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if one.handler.__module__.split(".")[0] != UNWANTED]
    styles = app.registry.css_files
    styles[:] = [(name, attributes) for name, attributes in styles if not name.startswith(UNWANTED_FILES)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx: wait until all extensions are set up, then act before any of their handlers."""
    app.connect("config-inited", drop_unwanted, priority=0)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
