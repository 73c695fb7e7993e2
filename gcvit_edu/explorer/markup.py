"""Pieces of self-contained HTML: data that a script element can hold, pictures as addresses, scripts in one piece."""

import hashlib
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from gcvit_edu.explorer.pack import text_of

_JPEG_QUALITY = 80


def asset(name: str) -> Template:
    """A file in this folder, as a template."""
    return Template((Path(__file__).parent / name).read_text(encoding="utf-8"))


def to_json(value: Any) -> str:
    """JSON that is safe in a script element: nothing in it can close the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def jpeg(picture: Image.Image) -> str:
    """A picture as a data URL."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + text_of(file.getvalue())


@cache
def script(css: str, markup: str, scripts: Sequence[str]) -> tuple[str, str]:
    """The script of every widget of a kind, from its files, and its version, by which it finds its widgets.

    Args:
        css: name of the file of styles, in this folder.
        markup: name of the file of HTML.
        scripts: names of the files of JavaScript, in order.
    """
    css, markup, *parts = (
        (Path(__file__).parent / name).read_text(encoding="utf-8") for name in (css, markup, *scripts)
    )
    code = "\n".join([f"const CSS = {to_json(css)}, MARKUP = {to_json(markup)};", *parts])
    # Widgets of another version may stand on the same page: each script starts those of its own.
    build = hashlib.sha256(code.encode()).hexdigest()[:12]
    return f'(() => {{\n"use strict";\nconst BUILD = "{build}";\n{code}}})();', build
