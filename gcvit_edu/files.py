"""The place of the data folder, and writing files that are whole or absent."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_PACKAGE = Path(__file__).resolve().parent
HALF = ".writing"  # suffix of a file that is not whole yet
# Errors of fsync where a file system does not support it; not those of a full or a failing disk.
_NO_FSYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# Folders are opened for it, too: VirtualBox, SMB and Windows refuse one or the other.
_NO_FSYNC_OF_FOLDERS = _NO_FSYNC | {errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR}


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
    """A file to write; it gets its name when the block ends without an error, and then survives a power cut.

    If the file system cannot force a file or a folder onto the disk, the system decides when it is written there.

    Raises:
        OSError: if it cannot be written, for example on a full disk; an older file stays.
    """
    beside = path.with_name(path.name + HALF)
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            _sync(file.fileno(), _NO_FSYNC)
        os.replace(beside, path)
    except Exception:
        beside.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _sync_folder(path.parent)  # the rename itself


def _sync(descriptor: int, cannot: set[int]) -> None:
    """Force a file onto the disk, unless the file system answers with an error number for "not supported"."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in cannot:
            raise


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_FSYNC_OF_FOLDERS:
            return
        raise
    try:
        _sync(descriptor, _NO_FSYNC_OF_FOLDERS)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at every moment its name stands for the old content or the new, never for a part.

    Raises:
        OSError: if it cannot be written, for example on a full disk; the old file is as it was.
    """
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OSError:
    """An error that names the file and the remedy."""
    return OSError(
        error.errno,
        f"cannot write {path}: {error.strerror}; make room or choose another --out. What was written "
        "before is whole: a training goes on with --resume, an experiment by the same command",
    )


LOG = "log.jsonl"


def read_log(path: Path | str) -> list[dict[str, Any]]:
    """The lines of a log; a last line that a crash cut short is left out.

    Args:
        path: of the file, or of the run's folder.

    Raises:
        FileNotFoundError: if there is no log.
        ValueError: if another line is no JSON.
    """
    file = Path(path)
    return read_lines(file / LOG if file.is_dir() else file)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The values of a file of JSON lines; a last line that a crash cut short is left out.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if another line is no JSON.
    """
    lines = file.read_text(encoding="utf-8").split("\n")
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            if line:
                entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"line {number} of {file} is no JSON: {error}; is this the right file?") from error
    return entries
