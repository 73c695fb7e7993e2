"""Experiments of many runs: one file of JSON lines, which a command that was stopped goes on with."""

import json
from pathlib import Path
from typing import Any

from gcvit_edu.train.checkpoint import write_atomically
from gcvit_edu.train.log import read_lines


class Results:
    """The lines that an experiment has found so far, in memory and, whole at every moment, in a file.

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
        """Print lines, and write them behind the others.

        Raises:
            OSError: if they cannot be written; the file is as it was.
        """
        for line in lines:
            print(json.dumps(line), flush=True)
        self.lines += lines
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in self.lines).encode())
