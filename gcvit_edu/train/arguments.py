"""The arguments that the training commands share: settings, one after each --set."""

import argparse
import re
import shlex
from collections.abc import Sequence


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add --set KEY=VALUE. It takes one word, so that it cannot take a recipe's name for a second setting."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="change one value of the config; give it once for each value",
    )


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments, or the parser's error, with the remedy where a setting has no --set of its own."""
    options, rest = parser.parse_known_args(arguments)
    unknown = [word for word in rest if word.startswith("-")]
    named = [getattr(options, "recipe", None), *getattr(options, "recipes", [])]
    stray = [word for word in [*named, *rest] if word and re.match(r"\w+=", word)]
    if stray and not unknown:
        parser.error(f"{stray[0]} has no --set of its own; write --set {shlex.quote(stray[0])}")
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(unknown or rest)}")
    return options
