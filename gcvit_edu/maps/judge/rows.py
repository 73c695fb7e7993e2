"""Figures of single scenes in a file, so that a judgement that was stopped can go on."""

import json
from pathlib import Path
from typing import Any


def read_rows(path: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The scenes that a stopped run with the same settings has judged; none where there is no file.

    A last line that was not written to its end is cut off.

    Args:
        path: one line of settings, then one line per scene, as JSON.
        settings: all that the figures depend on.

    Raises:
        ValueError: if the file is of other settings.
    """
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    whole = [line for line in lines if line.endswith(b"\n")]
    first, *rows = [json.loads(line) for line in whole] or [settings]
    if first != settings:
        raise ValueError(
            f"{path.name} holds scenes judged with other settings: {first}; delete it, or take another file"
        )
    if whole != lines:
        path.write_bytes(b"".join(whole))
    return rows


def add_row(path: Path, settings: dict[str, Any], row: dict[str, Any]) -> None:
    """Add the figures of one more scene; starts the file, and its folder, where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for value in (row,) if file.tell() else (settings, row):
            file.write(json.dumps(value).encode() + b"\n")
