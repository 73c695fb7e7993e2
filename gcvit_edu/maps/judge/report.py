"""Reading what the judge wrote."""

import json
from pathlib import Path
from typing import Any

from gcvit_edu.files import data_folder


def read_judgement(path: Path | None = None) -> dict[str, Any]:
    """A file that python -m gcvit_edu.maps.judge wrote; None for the one of the shipped weights.

    Returns:
        "settings", what was judged and how, and the parts that summarise describes.

    Raises:
        ValueError: if the file is no such table.
    """
    path = path or data_folder("runs") / "judge.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not {"settings", "scenes", "maps"} <= set(found):
        raise ValueError(f"{path.name} is no table of the judge; python -m gcvit_edu.maps.judge --out FILE writes one")
    return found
