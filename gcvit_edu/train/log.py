"""The log of a run: JSON lines in a file, TensorBoard on request, and the progress that is shown."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from gcvit_edu.console import printable
from gcvit_edu.files import LOG, cannot_write, read_log, write_atomically


def has_begun(path: Path) -> bool:
    """Whether a log has more than starts: a run that ended before its first step left nothing to keep."""
    if not path.exists():
        return False
    try:
        return any(entry.get("event") != "start" for entry in read_log(path))
    except ValueError:  # no log of ours, or a damaged one
        return True


def cut_log(path: Path, step: int, epochs_done: int) -> None:
    """Delete what a resumed run logs again: lines after a step, and epochs that were not finished.

    Args:
        path: of the log.
        step: steps that the checkpoint has done.
        epochs_done: epochs that were validated, logged and saved.
    """
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
        """Write one line of JSON; numbers go to TensorBoard, too.

        Args:
            event: the kind of line, such as "step" or "epoch".
            step: steps done.
            values: numbers, text and lists, as JSON can hold.

        Raises:
            OSError: if it cannot be written, for example on a full disk.
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
        """Show a plain line of text."""
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
