"""Notices an answer that uses what its exercise forbids.

A function has many names: F.max_pool2d is reached as nn.MaxPool2d and torch.max_pool2d too, or by a name that a
notebook imports. So the names in the reader's code do not matter: Python reports every call while the function runs
(sys.setprofile).
"""

import dis
import sys
from collections.abc import Callable, Collection, Iterator
from types import CodeType, FrameType
from typing import Any

from torch.overrides import TorchFunctionMode

LOOP = "a loop"


def watched(function: Callable[..., Any], names: Collection[str], used: set[str]) -> Callable[..., Any]:
    """The same function, which also notes which of these names it uses.

    Args:
        function: the reader's.
        names: "torch.conv2d" is PyTorch's function or method of this name, "einops" all that a package has,
            "one_vector" a function of this name wherever it is defined, "a loop" a loop in the function's own text.
        used: gets those that were used.
    """
    own = getattr(function, "__code__", None)

    def watching(*arguments: Any) -> Any:
        if LOOP in names and own is not None and _loops(own):
            used.add(LOOP)

        def note(frame: FrameType, event: str, called: Any) -> None:
            if event == "c_call":
                used.update({f"torch.{getattr(called, '__name__', '')}"} & set(names))
            elif event == "call" and frame.f_code is not own:
                package, name = frame.f_globals.get("__name__", "").partition(".")[0], frame.f_code.co_name
                used.update({package, name, f"{package}.{name}"} & set(names))

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            return function(*arguments)
        finally:
            sys.setprofile(before)

    return watching


class _Counting(TorchFunctionMode):
    """Counts PyTorch's functions, methods and operators as they are called from Python."""

    calls = 0

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple = (), options: dict | None = None
    ) -> Any:
        self.calls += 1
        return function(*arguments, **(options or {}))


def steps(function: Callable[..., Any], *arguments: Any) -> int:
    """The number of PyTorch's functions that a call uses.

    It grows with the input where the function loops over the input's parts.
    """
    with _Counting() as counting:
        function(*arguments)
    return counting.calls


def _loops(code: CodeType) -> bool:
    """Whether a function's bytecode jumps back, in it or in one that it defines: for, while, a comprehension."""
    return any("BACKWARD" in step.opname for part in _codes(code) for step in dis.get_instructions(part))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
