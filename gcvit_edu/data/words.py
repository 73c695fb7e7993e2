"""Numbers and states of files, as messages and records have them."""

from pathlib import Path


def counted(number: int, word: str) -> str:
    """1, "class" -> "1 class"; 2, "class" -> "2 classes"."""
    return f"{number} {word}" if number == 1 else f"{number} {word}{'es' if word.endswith('s') else 's'}"


def state_of(path: Path) -> str:
    """A file's bytes and time of change, or "missing"."""
    try:
        state = path.stat()
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"
