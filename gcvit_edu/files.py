"""Where the data folder is, and writing files that are whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PACKAGE = Path(__file__).resolve().parent
HALF = ".writing"  # behind the name of a file that is not whole yet


def data_folder(name: str) -> Path:
    """The folder data/<name>: inside the installed package, or beside it in a clone.

    Raises:
        FileNotFoundError: if the package was installed without its data.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / "data" / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"data/{name} is missing from the installation of gcvit_edu; install the package again")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it gets its name when the block ends without an error, and lasts through a power cut then.

    Raises:
        OSError: if it cannot be written, a full disk above all; what was there before stays.
    """
    beside = path.with_name(path.name + HALF)
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except Exception:
        beside.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the rename itself
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
