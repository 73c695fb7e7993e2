"""Numbers and states of files in the form that messages and records use."""

from pathlib import Path


def counted(number: int, word: str) -> str:
    """A number with its noun: 1, "class" -> "1 class"; 2, "class" -> "2 classes"."""
    return f"{number} {word}" if number == 1 else f"{number} {word}{'es' if word.endswith('s') else 's'}"


def state_of(path: Path) -> str:
    """The size and the time of change of a file, or "missing"."""
    try:
        state = path.stat()
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"
