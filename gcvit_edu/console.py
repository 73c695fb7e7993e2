"""What every command of the package does around its own work: print anything, and end at Ctrl-C without a traceback."""

import sys
from collections.abc import Callable

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def printable(text: object, encoding: str | None = None) -> str:
    """A text with what an encoding (UTF-8) lacks as backslash escapes; a file's name may have any bytes."""
    encoding = encoding or "utf-8"
    return str(text).encode(encoding, "backslashreplace").decode(encoding)


def run_command(main: Callable[[], int]) -> int:
    """Call the main function of a command, and return its exit code.

    A file name may have characters that the terminal's encoding lacks (a Latin-1 terminal, a redirected Windows
    console), or bytes that are no text at all. They are printed as backslash escapes; Python would raise an error.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's streams have no such method, and print anything
            stream.reconfigure(errors="backslashreplace")
    try:
        return main()
    except KeyboardInterrupt:
        print("interrupted by Ctrl-C", file=sys.stderr)
        return INTERRUPTED
