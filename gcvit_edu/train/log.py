"""The log of a run: JSON lines in a file, TensorBoard when asked, and what is shown while it runs."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from gcvit_edu.console import printable
from gcvit_edu.files import LOG, cannot_write, read_log, write_atomically


def has_begun(path: Path) -> bool:
    """Whether a log tells of more than starts: a run that failed or was stopped before its first step left nothing."""
    if not path.exists():
        return False
    try:
        return any(entry.get("event") != "start" for entry in read_log(path))
    except ValueError:  # no log of ours, or a damaged one
        return True


def cut_log(path: Path, step: int, epochs_done: int) -> None:
    """Take out what a resumed run does again: what was logged after a step, and epochs that were not closed."""
    if path.exists():
        done = [entry for entry in read_log(path) if entry["step"] <= step]
        kept = [entry for entry in done if entry["event"] != "epoch" or entry["epoch"] <= epochs_done]
        write_atomically(path, "".join(json.dumps(entry) + "\n" for entry in kept).encode())


class Log:
    """Writes the log of a run, and shows its progress: a bar on a terminal, elsewhere a line per epoch.

    Args:
        folder: of the run; None writes and shows nothing, as all processes but the first do.
        total: steps of the whole run.
        done: steps done before, by a run that is resumed.
        tensorboard: write TensorBoard's files into the folder as well.
        stream: where progress is shown.

    Raises:
        ValueError: if TensorBoard is wanted and not installed.
    """

    def __init__(
        self, folder: Path | None, total: int, *, done: int = 0, tensorboard: bool = False, stream: TextIO | None = None
    ) -> None:
        self.stream = stream or sys.stdout
        self.path = folder / LOG if folder else None
        self.board = _summary_writer(folder, done) if folder and tensorboard else None
        self.file = self.path.open("a", encoding="utf-8") if self.path else None
        self.bar = None
        if folder and self.stream.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total, initial=done, unit="step", file=self.stream, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self.bar, self.board):
            if part is not None:
                part.close()
        try:
            if self.file is not None:
                self.file.close()
        except OSError as closing:  # also when write has failed: the file then tries once more
            raise cannot_write(self.path, closing) from closing

    def write(self, event: str, step: int, values: Mapping[str, Any]) -> None:
        """One line of JSON; numbers go to TensorBoard, too.

        Raises:
            OSError: if it cannot be written, a full disk above all.
        """
        if self.file is None:
            return
        try:
            self.file.write(json.dumps({"event": event, "step": step, **values}) + "\n")
            self.file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if self.board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(f"{event}/{name}", value, step)

    def advance(self, step: int, loss: float) -> None:
        """Move the bar, if there is one."""
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            self.bar.update(step - self.bar.n)

    def info(self, text: str) -> None:
        """A plain line."""
        if self.file is None:
            return
        if self.bar is not None:
            self.bar.write(printable(text, self.stream.encoding), file=self.stream)
        else:
            print(printable(text, self.stream.encoding), file=self.stream, flush=True)


def _summary_writer(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(f"tensorboard=True, but {error}; pip install tensorboard, or leave it out") from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
