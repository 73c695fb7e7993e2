"""The common parts of all commands: find the module, print any characters, end at Ctrl-C without a traceback."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def printable(text: object, encoding: str | None = None) -> str:
    """A text with backslash escapes for characters that an encoding (UTF-8) lacks; a file name may have any bytes."""
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


def run_one_of(package: str, commands: Mapping[str, str], arguments: Sequence[str] | None = None) -> int:
    """Run one of a package's commands: the first argument names its module, whose main gets the others.

    Args:
        package: the package of the modules, such as gcvit_edu.bench.
        commands: each module's name, and its purpose in a few words.
        arguments: of the command line; None for those of this process.

    Returns:
        The exit code: the command's own, 0 where it returns something else, 2 for an unknown name.
    """
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or [""]
    if name not in commands:
        width = max(map(len, commands))
        usage = "\n".join(
            [f"usage: python -m {package} COMMAND ...; COMMAND --help has its options"]
            + [f"  {command:<{width}}  {what}" for command, what in commands.items()]
        )
        if name in ("-h", "--help"):
            print(usage)
            return 0
        print(f"{usage}\nerror: {f'no command is called {name!r}' if name else 'name a command'}", file=sys.stderr)
        return 2
    main = import_module(f"{package}.{name}").main

    def code() -> int:
        found = main(rest)
        return found if isinstance(found, int) else 0

    return run_command(code)
