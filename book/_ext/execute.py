"""Runs chapters and stores their outputs: python book/_ext/execute.py [CHAPTER.ipynb ...].

Without arguments, every chapter of book/ is run. A chapter is written only when all of its cells ran, and
always in the same form (see `normalise`), so that a version control system shows nothing but real changes.
"""

import argparse
import copy
import hashlib
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

BOOK = Path(__file__).resolve().parent.parent
SECONDS_PER_CELL = 300
SECONDS_TO_END = 60  # to delete a chapter's files; a kernel that takes longer is killed
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# The environment variables in which programs look for the folder of temporary files.
TEMPORARY = ("TMPDIR", "TEMP", "TMP")
MOST_LEFT_BYTES = 1_000_000  # PyTorch leaves an empty cache there, and torchrun its logs
# What a reader's tools act upon. Everything else (timings, folds, an editor's notes) is dropped.
CELL_METADATA = ("mystnb", "tags")
IMAGE_METADATA = ("height", "width")


class ChapterError(Exception):
    """A chapter that cannot be stored, with the cell and the reason."""


def cell_ids(notebook: NotebookNode) -> list[str]:
    """One id per cell: its own where it has one, else one made from its text, the same every time."""
    ids: list[str] = []
    for cell in notebook.cells:
        wanted = cell.get("id") or hashlib.sha256(f"{cell.cell_type} {cell.source}".encode()).hexdigest()[:8]
        name, copies = wanted, 1
        while name in ids:
            copies += 1
            name = f"{wanted}-{copies}"
        ids.append(name)
    return ids


def normalise(notebook: NotebookNode) -> NotebookNode:
    """A copy in the one form in which chapters are stored; the text and the outputs stay as they are."""
    tidy = copy.deepcopy(notebook)
    tidy.nbformat, tidy.nbformat_minor = 4, 5
    tidy.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    for cell, name in zip(tidy.cells, cell_ids(notebook), strict=True):
        cell.id = name
        cell.source = cell.source.strip("\n")
        cell.metadata = _only(cell.metadata, CELL_METADATA)
        cell.pop("attachments", None)
        for output in cell.get("outputs", []):
            if "metadata" in output:
                kept = {kind: _only(value, IMAGE_METADATA) for kind, value in output.metadata.items() if value}
                output.metadata = nbformat.from_dict({kind: value for kind, value in kept.items() if value})
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
    return tidy


def to_text(notebook: NotebookNode) -> str:
    """The notebook as it is stored: sorted keys, one space of indent, a newline at the end."""
    return nbformat.writes(notebook, indent=1).rstrip("\n") + "\n"


def execute(path: Path) -> NotebookNode:
    """Run a chapter from its first cell to its last in its own folder, and return it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    # Kernels that a user has registered are ignored: the kernel is the Python that runs this file.
    specs = KernelSpecManager(kernel_dirs=[])
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs, shutdown_wait_time=SECONDS_TO_END)
    client = NotebookClient(
        notebook,
        km=kernel,
        timeout=SECONDS_PER_CELL,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # no warning that the sockets are not encrypted
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            # cleanup_kc: the kernel ends here, as a reader's does, and what it deletes at its end is deleted.
            client.execute(cleanup_kc=True, env={**os.environ, **dict.fromkeys(TEMPORARY, temporary)})
            left = sum(path.stat().st_size for path in Path(temporary).rglob("*") if path.is_file())
    except CellExecutionError as error:
        number, cell = _failed_cell(notebook)
        raise ChapterError(f"cell {number} raised {error.ename}: {error.evalue}\n{_quote(cell)}") from None
    except CellTimeoutError:
        raise ChapterError(f"a cell ran for more than {SECONDS_PER_CELL} seconds") from None
    except DeadKernelError:
        raise ChapterError("the kernel died (out of memory?)") from None

    if left > MOST_LEFT_BYTES:
        raise ChapterError(
            f"it leaves {left / 1e6:.1f} MB in the folder of temporary files: make them in a "
            "tempfile.TemporaryDirectory(), which is deleted when Python ends"
        )
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                raise ChapterError(f"cell {number} wrote to stderr: {output.text.strip()}\n{_quote(cell)}")
    return normalise(notebook)


def main(arguments: list[str]) -> int:
    """Run the named chapters, or all of them; 0 when every one was stored."""
    parser = argparse.ArgumentParser(description="Run chapters and store their outputs.")
    parser.add_argument("chapters", nargs="*", type=Path, help="notebooks; left out: every chapter of the book")
    chapters = parser.parse_args(arguments).chapters or sorted(BOOK.glob("*.ipynb"))
    failed = 0
    for path in chapters:
        print(f"{path.name} ...", flush=True)
        try:
            path.write_text(to_text(execute(path)), encoding="utf-8", newline="\n")
        except (ChapterError, OSError) as error:
            print(f"{path.name} was not stored: {error}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _only(metadata: dict, keys: tuple[str, ...]) -> NotebookNode:
    return nbformat.from_dict({key: metadata[key] for key in keys if key in metadata})


def _failed_cell(notebook: NotebookNode) -> tuple[int, NotebookNode]:
    """The last cell that ran: execution stops at the first error."""
    ran = [(number, cell) for number, cell in enumerate(notebook.cells) if cell.get("execution_count") is not None]
    return ran[-1]


def _quote(cell: NotebookNode) -> str:
    return "\n".join(f"    {line}" for line in cell.source.splitlines())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
