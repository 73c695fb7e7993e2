"""Figures that others published, to print beside our own; data/published/README.md names the sources."""

import json
from typing import Any

from gcvit_edu.files import data_folder


def published_figures(subject: str) -> Any:
    """The figures that others published on a subject: "sizes", "detection" or "images_per_second".

    Raises:
        ValueError: for another subject.
    """
    figures = json.loads((data_folder("published") / "published.json").read_text(encoding="utf-8"))
    if subject not in figures:
        raise ValueError(f"nothing is published here on {subject!r}; there are {', '.join(figures)}")
    return figures[subject]
