"""Writing files on file systems that cannot do all that Linux's own can."""

import errno
import os
import stat
from pathlib import Path

import pytest

from gcvit_edu.files import HALF, whole_file

CANNOT = [errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS]


def fail_sync(monkeypatch: pytest.MonkeyPatch, number: int, *, folders: bool) -> None:
    """Let fsync fail for folders, or for files."""
    real = os.fsync

    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == folders:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)


def write(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"new")


@pytest.mark.parametrize("number", [*CANNOT, errno.EBADF, errno.EACCES, errno.EPERM])
def test_a_folder_that_cannot_be_forced_onto_the_disk_is_no_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As VirtualBox's shared folders, SMB and others answer."""
    fail_sync(monkeypatch, number, folders=True)
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.EISDIR])
def test_a_folder_that_cannot_be_opened_is_no_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner may write into it and not list it; a system may open no folders at all."""
    real = os.open

    def refuse(path: Path | str, flags: int, *more: int) -> int:
        if Path(path) == tmp_path:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("number", CANNOT)
def test_a_file_system_without_fsync_is_no_error(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_sync(monkeypatch, number, folders=False)
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("folders", [True, False])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_or_a_failing_disk_is_one(
    number: int, folders: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    fail_sync(monkeypatch, number, folders=folders)
    with pytest.raises(OSError, match=os.strerror(number)):
        write(tmp_path / "file")
    assert not (tmp_path / f"file{HALF}").exists()
    assert (tmp_path / "file").read_bytes() == (b"new" if folders else b"old")


def test_a_files_bad_descriptor_is_still_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder it tells of the file system, of a file of a mistake."""
    fail_sync(monkeypatch, errno.EBADF, folders=False)
    with pytest.raises(OSError, match="Bad file descriptor"):
        write(tmp_path / "file")
