"""Names the repository: python book/_ext/address.py https://github.com/you/fork [BRANCH].

The address and the branch (or a tag) stand in _config.yml, from which the Colab buttons are built, and in the first
cell of every chapter, which fetches the package in Colab: a button and the notebook that it opens must speak of the
same state of the project. The address stands in pyproject.toml and CITATION.cff, too. This file knows these places
and no address of its own.
"""

import re
import sys
from pathlib import Path

import nbformat

from execute import normalise, to_text

ROOT = Path(__file__).resolve().parents[2]
# Colab opens notebooks from GitHub only.
ADDRESS = re.compile(r"https://github\.com/[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
BRANCH = re.compile(r"(?!.*(?:\.\.|//))[A-Za-z0-9][A-Za-z0-9._/-]*(?<![./])")
CONFIG_LINE = r"^(repository:\n(?:[ #].*\n)*?  {name}: )(\S+)$"
NAMING = ("pyproject.toml", "CITATION.cff")
SETUP_CELL = """\
# Make `gcvit_edu` importable: installed already, beside this notebook in
# a clone, or (Colab) fetched. Say what it needs and does not find.
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

needed = "torch torchvision timm einops numpy PIL safetensors matplotlib"
missing = [n for n in needed.split() if not importlib.util.find_spec(n)]
if missing:
    names = " ".join(missing).replace("PIL", "pillow")
    raise ModuleNotFoundError(
        f"not installed in {{sys.executable}}: {{names}}. Run this in a new "
        f"cell, then this cell again: %pip install {{names}}"
    )
if importlib.util.find_spec("gcvit_edu") is None:
    if Path("../gcvit_edu").is_dir():
        sys.path.insert(0, str(Path("..").resolve()))
    else:
        source = "git+{address}@{branch}"
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        pip.append(source)
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{{source}} was not fetched. {{done.stderr}}")
        importlib.invalidate_caches()"""


def checked_address(text: str) -> str:
    """The address without a trailing "/" or ".git".

    Raises:
        ValueError: if it is not the address of a GitHub repository.
    """
    address = text.strip().removesuffix("/").removesuffix(".git")
    if not ADDRESS.fullmatch(address):
        raise ValueError(
            f"{text!r} is not the address of a GitHub repository; "
            "write it like this: make address URL=https://github.com/you/fork"
        )
    return address


def checked_branch(text: str) -> str:
    """The name of a branch or a tag, without spaces around it.

    Raises:
        ValueError: if it cannot be such a name.
    """
    branch = text.strip()
    if not BRANCH.fullmatch(branch):
        raise ValueError(f"{text!r} is not the name of a branch or a tag; write it like this: make address BRANCH=main")
    return branch


def setup_cell(address: str, branch: str) -> str:
    """The source of the first code cell of every chapter."""
    return SETUP_CELL.format(address=address, branch=branch)


def _config_line(name: str) -> re.Pattern[str]:
    return re.compile(CONFIG_LINE.format(name=name), re.MULTILINE)


def _read(root: Path, name: str) -> str:
    found = _config_line(name).search((root / "_config.yml").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"_config.yml has no line `  {name}: ...` under `repository:`")
    return found[2]


def read_address(root: Path) -> str:
    """The repository's address, as _config.yml gives it."""
    return _read(root, "url")


def read_branch(root: Path) -> str:
    """The branch or the tag that readers get, as _config.yml gives it."""
    return _read(root, "branch")


def write_address(root: Path, address: str, branch: str) -> None:
    """Put the address and the branch into every place that names them.

    Args:
        root: the project's folder.
        address: the repository's address, as `checked_address` returns it.
        branch: the branch or tag that readers get.
    """
    before, _ = read_address(root), read_branch(root)  # refuses a _config.yml without the lines before all else
    config = root / "_config.yml"
    text = config.read_text(encoding="utf-8")
    for name, value in (("url", address), ("branch", branch)):
        text = _config_line(name).sub(lambda found, value=value: found[1] + value, text)
    config.write_text(text, encoding="utf-8", newline="\n")
    for path in (root / name for name in NAMING):
        path.write_text(path.read_text(encoding="utf-8").replace(before, address), encoding="utf-8", newline="\n")
    for path in sorted((root / "book").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        first.source = setup_cell(address, branch)
        path.write_text(to_text(normalise(notebook)), encoding="utf-8", newline="\n")


def main(url: str = "", branch: str = "") -> None:
    """Write the address and the branch that were given, keep the one that was left out, and print both."""
    address = read_address(ROOT) if branch and not url else checked_address(url)
    branch = checked_branch(branch) if branch else read_branch(ROOT)
    write_address(ROOT, address, branch)
    print(
        f"The Colab buttons and the chapters now name {address} and its branch or tag {branch} (another: BRANCH=...)."
    )


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        sys.exit(f"address: {error}")
