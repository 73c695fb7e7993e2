"""One training at a time in the folder of a run."""

import errno
import os
import socket
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "run.lock"
PATIENCE = 3.0  # seconds; an earlier process may be about to end, as when torchrun restarts all of them


class FolderLock:
    """The lock of a run's folder; it ends with the process that holds it, in whatever way that ends.

    It is POSIX's lock of a file, which belongs to one process: its forked workers do not hold it, so a worker that is
    left over does not keep the folder locked. The file names the holder, and is deleted at the end.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        self._descriptor: int | None = None

    def take(self) -> str | None:
        """Take the lock.

        Returns:
            The reason why there is no lock here, or None if there is one.

        Raises:
            ValueError: if another process holds it.
            OSError: if its file cannot be written.
        """
        if fcntl is None:
            return "this system has no locks of files; start one training at a time in a folder"
        end = time.monotonic() + PATIENCE
        while not self._tried():
            if time.monotonic() > end:
                raise ValueError(
                    f"{self.folder} is in use: {self._holder()} is training there; wait until it has ended, end it, "
                    "or choose another --out"
                )
            time.sleep(0.05)
        if self._descriptor is None:
            return f"the file system of {self.folder} has no locks; start one training at a time there"
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        return None

    def _tried(self) -> bool:
        """Whether the wait is over: the lock is taken, or the file system has none."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink == 0:
                return False  # its holder has deleted it meanwhile: the next one makes another file of that name
            self._descriptor, descriptor = descriptor, -1
            return True
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            self.path.unlink(missing_ok=True)
            return True
        finally:
            if descriptor != -1:
                os.close(descriptor)

    def _holder(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8").strip() or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Give the lock back, if it was taken."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
