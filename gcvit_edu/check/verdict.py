"""What a checker answers, and how it compares an answer with the right one and with typical mistakes."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from math import isclose
from typing import Any

import torch
from torch import Tensor

from gcvit_edu.check.answers import Refusal, call, kind, plain, returned_number, said, short, tensor
from gcvit_edu.check.forbidden import watched

LINES, CHARACTERS = 10, 1000  # a verdict is read beneath a cell: never a page


@dataclass(frozen=True)
class Verdict:
    """The answer to an exercise: right or not, and why. True if right. In a notebook it shows as its text."""

    right: bool
    message: str

    def __post_init__(self) -> None:
        lines = self.message.splitlines()
        if len(lines) > LINES or len(self.message) > CHARACTERS:
            object.__setattr__(self, "message", "\n".join(lines[:LINES])[:CHARACTERS] + " ...")

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return ("Right. " if self.right else "Not yet. ") + self.message


def not_yet(message: str) -> Verdict:
    """A verdict on a wrong answer."""
    return Verdict(False, message)


def checker(*, without: Collection[str] = ()) -> Callable[[Callable[[Any], Verdict]], Callable[[Any], Verdict]]:
    """Make a checker of a function that compares an answer: whatever it is given, it returns a verdict.

    Args:
        without: what the exercise forbids, as in `forbidden.watched`. A result that is right but was found with it is
            not accepted; one that is wrong gets its own diagnosis.
    """

    def decorate(check: Callable[[Any], Verdict]) -> Callable[[Any], Verdict]:
        @wraps(check)
        def checked(answer: Any) -> Verdict:
            used: set[str] = set()
            try:
                verdict = check(watched(answer, without, used) if without and callable(answer) else answer)
            except Refusal as refusal:
                return not_yet(str(refusal))
            except Exception as error:  # an object that raises when it is looked at, say
                return not_yet(f"Your answer cannot be compared: {type(error).__name__}: {said(error)}")
            if verdict and used:
                names = " and ".join(sorted(name.removeprefix("torch.") for name in used))
                return not_yet(f"The result is right, but you used {names}. The exercise asks you to do without.")
            return verdict

        return checked

    return decorate


def all_right(verdicts: Iterable[Verdict]) -> Verdict:
    """The first wrong verdict, or the last: for a checker that tries several cases, one after the other."""
    for tried, verdict in enumerate(verdicts):
        if not verdict:
            return (
                not_yet(f"Right in {tried} of the cases tried, but not in the next: {verdict.message}")
                if tried
                else verdict
            )
    return verdict


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

    Raises:
        Refusal: if the answer is no tensor with values.
    """
    answer = tensor(answer)
    if answer.shape == right.shape and _close(answer, right, tolerance):
        return Verdict(True, praise)
    for diagnosis, wrong in mistakes.items():
        if answer.shape == wrong.shape and _close(answer, wrong, tolerance):
            return not_yet(diagnosis)
    if answer.shape != right.shape:
        return not_yet(f"Expected the shape {tuple(right.shape)}, got {tuple(answer.shape)}.")
    if not torch.isfinite(answer.double()).all():
        return not_yet("Your answer holds values that are infinite or not a number.")
    difference = (answer.double() - right.double()).abs().max()
    return not_yet(f"The shape is right, the values are not: the largest difference is {difference:.2g}.")


def compare_numbers(
    answers: Sequence[float],
    right: Sequence[float],
    praise: str,
    mistakes: Mapping[str, Sequence[float]],
    otherwise: str,
    *,
    relative: float = 1e-5,
) -> Verdict:
    """Compare numbers, up to rounding, with the right ones, and with what typical mistakes give.

    Args:
        answers: what the reader found.
        right: what he should have found.
        praise: what to say if he did.
        mistakes: results of typical mistakes, by their diagnosis.
        otherwise: what to say if no mistake explains the answer.
        relative: largest difference that counts as equal, relative to the larger number.
    """

    def fits(wanted: Sequence[float]) -> bool:
        return all(_near(a, b, relative) for a, b in zip(answers, wanted, strict=True))

    if fits(right):
        return Verdict(True, praise)
    return not_yet(next((diagnosis for diagnosis, wrong in mistakes.items() if fits(wrong)), otherwise))


def compare_formula(
    function: Callable[..., float],
    cases: Sequence[tuple],
    right: Callable[..., float],
    praise: str,
    mistakes: Mapping[str, Callable[..., float]],
    *,
    tensors: bool = False,
    relative: float = 1e-5,
) -> Verdict:
    """Compare a function's numbers, up to rounding, with a formula's, and with those of typical mistakes.

    Args:
        function: the reader's.
        cases: the arguments of each call.
        right: the formula.
        praise: what to say if the function follows it.
        mistakes: other formulas, by their diagnosis.
        tensors: whether tensors of one element are numbers, too.
        relative: largest difference that counts as equal, relative to the larger number.

    Raises:
        Refusal: if an answer is no number.
    """
    answers = [returned_number(call(function, *case), tensors=tensors) for case in cases]
    wanted = [right(*case) for case in cases]
    others = {diagnosis: [wrong(*case) for case in cases] for diagnosis, wrong in mistakes.items()}
    off = (at for at, answer in enumerate(answers) if not _near(answer, wanted[at], relative))
    first = next(off, 0)
    return compare_numbers(answers, wanted, praise, others, _not_right(cases[first], answers[first]), relative=relative)


def compare_cases(
    function: Callable[..., Any],
    cases: Sequence[tuple],
    right: Callable[..., Any],
    mistakes: Mapping[str, Callable[..., Any]],
    praise: str,
) -> Verdict:
    """Compare a function's answers, exactly, with the right ones, and with what typical mistakes give.

    An answer is a whole number or a boolean, or a pair of numbers where `right` gives a pair.

    Raises:
        Refusal: if an answer is none of these.
    """
    answers = [call(function, *case) for case in cases]
    wanted = right(*cases[0])
    size = len(wanted) if isinstance(wanted, tuple) else 0
    words = {0: "one number", 2: "two numbers", 3: "three numbers"}[size]
    for place, answer in enumerate(answers):
        if not size and getattr(answer, "ndim", 0):
            return not_yet(f"Return {words}; yours is {kind(answer)}.")
        found = plain(answer, words)
        if (len(found) != size if isinstance(found, tuple) else size) or isinstance(found, str):
            return not_yet(f"Return {words}; yours is {kind(answer)}.")
        answers[place] = found
    if answers == [right(*case) for case in cases]:
        return Verdict(True, praise)
    for diagnosis, wrong in mistakes.items():
        if answers == [wrong(*case) for case in cases]:
            return not_yet(diagnosis)
    case, answer = next((c, a) for c, a in zip(cases, answers, strict=True) if a != right(*c))
    return not_yet(_not_right(case, answer))


def _not_right(case: tuple, answer: Any) -> str:
    shown = f"{answer:.4g}" if isinstance(answer, float) else short(answer)
    return f"For {', '.join(map(short, case))} your function gives {shown}, which is not right."


def _near(a: float, b: float, relative: float) -> bool:
    return isclose(a, b, rel_tol=relative, abs_tol=1e-9)


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    a, b = a.double(), b.double()
    return not a.numel() or bool((a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1e-12))
