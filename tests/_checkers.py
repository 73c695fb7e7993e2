"""The checkers of all exercises, and the answers that the tests give them."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from _project import PACKAGE

from gcvit_edu.check import Verdict

Checker = Callable[[Any], Verdict]
CHAPTERS = [
    path.stem for name in ("ch[0-9][0-9]", "appendix_?") for path in sorted((PACKAGE / "check").glob(f"{name}.py"))
]
ANSWERS = [import_module(f"_answers_{name}") for name in CHAPTERS]
RIGHT: list[tuple[Checker, Any]] = [case for module in ANSWERS for case in module.RIGHT]
WRONG: list[tuple[Checker, Any, str]] = [case for module in ANSWERS for case in module.WRONG]


def checkers() -> list[Checker]:
    """Every public checker, chapter by chapter."""
    return [
        function
        for module in (import_module(f"gcvit_edu.check.{name}") for name in CHAPTERS)
        for name, function in vars(module).items()
        if callable(function) and getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
    ]
