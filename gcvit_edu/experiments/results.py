"""Experiments of many runs: one file of JSON lines, with which a stopped command can go on."""

import json
from pathlib import Path
from typing import Any

from gcvit_edu.files import read_lines, write_atomically


class Results:
    """The lines that an experiment has found so far, in memory and in a file that is whole at every moment.

    Args:
        path: of the file, new or begun by the same command. One command at a time: a second one that adds to the
            same file would lose the lines of the first.

    Attributes:
        lines: in the order in which they were found.

    Raises:
        FileNotFoundError: before anything is run, if the file's folder is missing.
        ValueError: if the file has a line that is no JSON.
    """

    def __init__(self, path: Path) -> None:
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is no folder to write {path.name} into; make it, or change --out")
        self.path = path
        self.lines: list[dict[str, Any]] = read_lines(path) if path.exists() else []

    def has(self, **asked: Any) -> bool:
        """Whether one of the lines has all these values."""
        return any(all(key in line and line[key] == value for key, value in asked.items()) for line in self.lines)

    def add(self, *lines: dict[str, Any]) -> None:
        """Print lines, and write them after the others.

        Raises:
            OSError: if they cannot be written; the file is as it was.
        """
        for line in lines:
            print(json.dumps(line), flush=True)
        self.lines += lines
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in self.lines).encode())


def read_rows(path: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The scenes that a stopped run with the same settings has evaluated; none where there is no file.

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
    """Add the figures of one more scene; the file and its folder are made where they are missing.

    Args:
        path: the file that read_rows reads.
        settings: all that the figures depend on; the first line of a new file.
        row: the figures.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for value in (row,) if file.tell() else (settings, row):
            file.write(json.dumps(value).encode() + b"\n")
