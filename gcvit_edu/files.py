"""Where the data folder is: inside the installed package, or beside it in a clone."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder data/<name>.

    Raises:
        FileNotFoundError: if the package was installed without its data.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / "data" / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"data/{name} is missing from the installation of gcvit_edu; install the package again")
