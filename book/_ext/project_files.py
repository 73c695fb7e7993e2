"""The files that are the project: what git tracks or would track, or, where there is no git, what lies there."""

import fnmatch
import subprocess
from pathlib import Path


def project_files(root: Path) -> list[Path]:
    """Every file of the project, relative to its root and sorted; nothing that a command made.

    A downloaded archive is not a repository, and one that was unpacked inside another repository is not a part of that
    one: then .gitignore alone says what was made.
    """
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None or (_git(root, "rev-parse", "--show-prefix") or "").strip():
        return _walk(root, root, _ignored(root))
    return sorted(Path(name) for name in listed.split("\0") if name and (root / name).is_file())


def _git(root: Path, *command: str) -> str | None:
    """Git's answer; None without git or without a repository."""
    try:
        done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _ignored(root: Path) -> list[str]:
    """The patterns of .gitignore, as simple as ours are: a name, with "/" before it where only the root's is meant."""
    path = root / ".gitignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return ["/.git", *(line.rstrip("/") for line in lines if line.strip() and not line.startswith("#"))]


def _walk(folder: Path, root: Path, ignored: list[str]) -> list[Path]:
    found = []
    for path in sorted(folder.iterdir()):
        names = (path.name, f"/{path.relative_to(root)}")
        if any(fnmatch.fnmatch(name, pattern) for name in names for pattern in ignored):
            continue
        if path.is_dir() and not path.is_symlink():
            found += _walk(path, root, ignored)
        elif path.is_file():
            found.append(path.relative_to(root))
    return sorted(found)
