"""What a checker answers, and how it finds out what went wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """The answer to an exercise: right or not, and why. In a notebook it shows as its text."""

    right: bool
    message: str

    def __repr__(self) -> str:
        return ("Right. " if self.right else "Not yet. ") + self.message


def not_yet(message: str) -> Verdict:
    """A verdict on a wrong answer."""
    return Verdict(False, message)


def call(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Verdict | None]:
    """The function's answer, or the verdict on why it has none.

    The arguments are cloned, so that a function that works in place cannot spoil them.
    """
    if not callable(function):
        return None, not_yet(f"Give the function itself, not {type(function).__name__}.")
    copies = [value.clone() if isinstance(value, Tensor) else value for value in arguments]
    try:
        answer = function(*copies)
    except NotImplementedError:
        return None, not_yet("Write your answer in this cell, then run it again.")
    except Exception as error:  # whatever the reader's code raises is what the reader has to see
        shapes = ", ".join(str(tuple(value.shape)) for value in arguments if isinstance(value, Tensor))
        where = f" when called with shapes {shapes}" if shapes else f" when called with {arguments}"
        return None, not_yet(f"Your function raised {type(error).__name__}{where}: {error}")
    if answer is None:
        return None, not_yet("Your function returned None. Does it end with a return?")
    return answer, None


def no_number(answer: Any, advice: str = "Measure it") -> Verdict | None:
    """The verdict on an answer that is no number yet, or None for a number.

    Args:
        answer: what the reader put into the cell.
        advice: how to find the number.
    """
    if answer is None:
        return not_yet(f"{advice}, put your number in this cell, then run it again.")
    if not isinstance(answer, Real) or isinstance(answer, bool):
        return not_yet(f"Give a number, not {type(answer).__name__}; .item() takes one out of a tensor.")
    return None


def compare(
    answer: Any, right: Tensor, praise: str, mistakes: Mapping[str, Tensor], *, tolerance: float = 1e-4
) -> Verdict:
    """Compare a tensor with the right one, and with what typical mistakes give.

    Args:
        answer: what the reader's function returned.
        right: what it should have returned.
        praise: what to say if it did.
        mistakes: results of typical mistakes, by their diagnosis ("the bias is missing").
        tolerance: largest difference that counts as equal, relative to right's largest value.
    """
    if not isinstance(answer, Tensor):
        return not_yet(f"Expected a tensor, got {type(answer).__name__}.")
    answer = answer.detach()
    if answer.shape != right.shape:
        for diagnosis, wrong in mistakes.items():
            if answer.shape == wrong.shape and _close(answer, wrong, tolerance):
                return not_yet(diagnosis)
        return not_yet(f"Expected the shape {tuple(right.shape)}, got {tuple(answer.shape)}.")
    if _close(answer, right, tolerance):
        return Verdict(True, praise)
    if not torch.isfinite(answer.double()).all():
        return not_yet("Your answer holds values that are infinite or not a number.")
    for diagnosis, wrong in mistakes.items():
        if answer.shape == wrong.shape and _close(answer, wrong, tolerance):
            return not_yet(diagnosis)
    difference = (answer.double() - right.double()).abs().max()
    return not_yet(f"The shape is right, the values are not: the largest difference is {difference:.2g}.")


def call_all(function: Callable[..., Any], cases: Sequence[tuple]) -> tuple[list[Any], Verdict | None]:
    """The function's answers to several cases, or the verdict on the first that has none."""
    answers = []
    for case in cases:
        answer, failed = call(function, *case)
        if failed:
            return [], failed
        if getattr(answer, "ndim", 0):
            shape = tuple(answer.shape)
            return [], not_yet(f"Return one number; yours is {type(answer).__name__} of shape {shape}.")
        answers.append(answer)
    return answers, None


def compare_cases(
    function: Callable[..., int],
    cases: Sequence[tuple],
    right: Callable[..., int],
    mistakes: Mapping[str, Callable[..., int]],
    praise: str,
) -> Verdict:
    """Compare a function's numbers with the right ones, and with what typical mistakes give."""
    answers, failed = call_all(function, cases)
    if failed:
        return failed
    if answers == [right(*case) for case in cases]:
        return Verdict(True, praise)
    for diagnosis, wrong in mistakes.items():
        if answers == [wrong(*case) for case in cases]:
            return not_yet(diagnosis)
    case, answer = next((c, a) for c, a in zip(cases, answers, strict=True) if a != right(*c))
    return not_yet(f"For {', '.join(map(str, case))} your function gives {answer}, which is not right.")


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    a, b = a.double(), b.double()
    return bool((a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1e-12))
