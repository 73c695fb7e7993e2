"""Names the repository: python book/_ext/address.py https://github.com/you/fork.

The address stands in _config.yml, from which the Colab buttons are built, and in the first cell of every
chapter, which fetches the package in Colab. This file knows both places and no address of its own.
"""

import re
import sys
from pathlib import Path

import nbformat

from execute import normalise, to_text

ROOT = Path(__file__).resolve().parents[2]
# Colab opens notebooks from GitHub only.
ADDRESS = re.compile(r"https://github\.com/[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
CONFIG_LINE = re.compile(r"^(repository:\n(?:[ #].*\n)*?  url: )(\S+)$", re.MULTILINE)
SETUP_CELL = """\
# Make `gcvit_edu` importable: installed already, beside this notebook in
# a clone, or (Colab) fetched.
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("gcvit_edu") is None:
    if Path("../gcvit_edu").is_dir():
        sys.path.insert(0, str(Path("..").resolve()))
    else:
        source = "git+{address}"
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        subprocess.run([*pip, source], check=True)
        importlib.invalidate_caches()"""


def checked_address(text: str) -> str:
    """The address without a trailing "/" or ".git"; anything but a GitHub repository is refused."""
    address = text.strip().removesuffix("/").removesuffix(".git")
    if not ADDRESS.fullmatch(address):
        raise ValueError(
            f"{text!r} is not the address of a GitHub repository; "
            "write it like this: make address URL=https://github.com/you/fork"
        )
    return address


def setup_cell(address: str) -> str:
    """The source of the first code cell of every chapter."""
    return SETUP_CELL.format(address=address)


def read_address(root: Path) -> str:
    """The repository's address, as _config.yml gives it."""
    found = CONFIG_LINE.search((root / "_config.yml").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("_config.yml has no line `  url: ...` under `repository:`")
    return found[2]


def write_address(root: Path, address: str) -> None:
    """Put the address into _config.yml and into the first code cell of every chapter."""
    read_address(root)  # refuses a _config.yml without the line before anything is written
    config = root / "_config.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(CONFIG_LINE.sub(lambda found: found[1] + address, text), encoding="utf-8", newline="\n")
    for path in sorted((root / "book").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        first.source = setup_cell(address)
        path.write_text(to_text(normalise(notebook)), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    try:
        write_address(ROOT, checked_address(sys.argv[1] if len(sys.argv) > 1 else ""))
    except ValueError as error:
        sys.exit(f"address: {error}")
