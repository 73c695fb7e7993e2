"""Where the data folder is, and writing files that are whole or absent."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PACKAGE = Path(__file__).resolve().parent
HALF = ".writing"  # behind the name of a file that is not whole yet
# What fsync raises where a file system has no such thing; not what a full or a failing disk raises.
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
    """A file to write; it gets its name when the block ends without an error, and lasts through a power cut then.

    Where the file system cannot force a file or a folder onto the disk, it is up to that system when it does so.

    Raises:
        OSError: if it cannot be written, a full disk above all; what was there before stays.
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
    """Force a file onto the disk, unless the file system says by one of these error numbers that it cannot do so."""
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
