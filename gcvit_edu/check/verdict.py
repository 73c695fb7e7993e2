"""The verdict on an answer, and its comparison with the right answer and with those of typical mistakes."""

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
    """The verdict on an answer to an exercise. It is true if the answer is right; a notebook shows it as its text.

    Attributes:
        right: whether the answer is right.
        message: the reason, or what to try next.
    """

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
    """Turn a function that compares an answer into a checker, which returns a verdict whatever it is given.

    Args:
        without: what the exercise forbids, named as in `forbidden.watched`. A right result that was found with it is
            not accepted; a wrong one gets its own diagnosis.
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
    """The first wrong verdict, or else the last one: for a checker that tries several cases one after another."""
    for tried, verdict in enumerate(verdicts):
        if not verdict:
            cases = "the first case" if tried == 1 else f"the first {tried} cases"
            return not_yet(f"Right in {cases}, but not in the next: {verdict.message}") if tried else verdict
    return verdict


def compare(
    answer: Any,
    right: Tensor,
    praise: str,
    mistakes: Mapping[str, Tensor],
    *,
    tolerance: float = 1e-4,
    name: str = "tensor",
) -> Verdict:
    """Compare a tensor with the right one, and with what typical mistakes give.

    Args:
        answer: what the reader's function returned.
        right: what it should have returned.
        praise: what to say if it did.
        mistakes: results of typical mistakes, by their diagnosis ("the bias is missing").
        tolerance: largest difference that counts as equal, relative to the largest value of the right tensor.
        name: what the tensor is, in a word.

    Raises:
        Refusal: if the answer is not a tensor with values.
    """
    answer = tensor(answer, name)

    def fits(wanted: Tensor) -> bool:
        return answer.shape == wanted.shape and _close(answer, wanted, tolerance)

    if answer.shape != right.shape:
        otherwise = f"Expected a {name} of shape {tuple(right.shape)}, got one of shape {tuple(answer.shape)}."
    elif not torch.isfinite(answer.double()).all():
        otherwise = "Your answer has values that are infinite or not a number (NaN)."
    else:
        difference = (answer.double() - right.double()).abs().max() if right.numel() else 0.0
        otherwise = f"The shape is right, the values are not: the largest difference is {difference:.2g}."
    return _recognised(fits, right, praise, mistakes, otherwise)


def compare_numbers(
    answers: Sequence[float],
    right: Sequence[float],
    praise: str,
    mistakes: Mapping[str, Sequence[float]],
    otherwise: str,
    *,
    relative: float = 1e-5,
    absolute: float = 1e-9,
) -> Verdict:
    """Compare numbers, up to rounding, with the right ones, and with what typical mistakes give.

    Args:
        answers: what the reader found.
        right: what they should have found.
        praise: what to say if they did.
        mistakes: results of typical mistakes, by their diagnosis.
        otherwise: what to say if no mistake explains the answer.
        relative: largest difference that counts as equal, relative to the larger number.
        absolute: a difference that counts as equal whatever the numbers are.
    """

    def fits(wanted: Sequence[float]) -> bool:
        return all(_near(a, b, relative, absolute) for a, b in zip(answers, wanted, strict=True))

    return _recognised(fits, right, praise, mistakes, otherwise)


def compare_number(
    answer: float,
    right: float,
    praise: str,
    mistakes: Mapping[str, float],
    otherwise: str,
    *,
    relative: float = 1e-5,
) -> Verdict:
    """Compare one number, up to rounding, with the right one, and with what typical mistakes give.

    Args:
        answer: what the reader found.
        right: what they should have found.
        praise: what to say if they did.
        mistakes: results of typical mistakes, by their diagnosis.
        otherwise: what to say if no mistake explains the answer.
        relative: largest difference that counts as equal, relative to the larger number.
    """
    others = {diagnosis: [wrong] for diagnosis, wrong in mistakes.items()}
    return compare_numbers([answer], [right], praise, others, otherwise, relative=relative)


def compare_measured(
    answer: float,
    right: tuple[float, float],
    praise: str,
    mistakes: Mapping[str, tuple[float, float]],
    otherwise: str,
) -> Verdict:
    """Compare a number that was measured with the right one, and with what typical mistakes give.

    Args:
        answer: what the reader measured.
        right: the number expected, and the largest difference from it that still counts as right.
        praise: what to say if it is right.
        mistakes: by their diagnosis, the numbers that typical mistakes give, each with its largest difference.
        otherwise: what to say if no mistake explains the number.
    """

    def fits(wanted: tuple[float, float]) -> bool:
        expected, difference = wanted
        return abs(answer - expected) < difference

    return _recognised(fits, right, praise, mistakes, otherwise)


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
        tensors: whether a tensor of one element also counts as a number.
        relative: largest difference that counts as equal, relative to the larger number.

    Raises:
        Refusal: if an answer is not a number.
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

    Args:
        function: the reader's.
        cases: the arguments of each call.
        right: gives a whole number, a boolean, or a tuple of numbers or of pairs of them, as the answers should be.
        mistakes: other functions, by their diagnosis.
        praise: what to say if all answers are right.

    Raises:
        Refusal: if an answer is none of these.
    """
    answers = [call(function, *case) for case in cases]
    wanted = right(*cases[0])
    size = len(wanted) if isinstance(wanted, tuple) else 0
    words = _words(wanted)
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


def _recognised(
    fits: Callable[[Any], bool], right: Any, praise: str, mistakes: Mapping[str, Any], otherwise: str
) -> Verdict:
    """The verdict on an answer that fits the right one, or the first of the mistakes, or neither."""
    if fits(right):
        return Verdict(True, praise)
    return not_yet(next((diagnosis for diagnosis, wrong in mistakes.items() if fits(wrong)), otherwise))


def _words(wanted: Any) -> str:
    """The kind of a right answer, in words."""
    if isinstance(wanted, bool):
        return "True or False"
    if not isinstance(wanted, tuple):
        return "one number"
    count = {2: "two", 3: "three", 4: "four"}[len(wanted)]
    return f"{count} pairs of numbers" if isinstance(wanted[0], tuple) else f"{count} numbers"


def _not_right(case: tuple, answer: Any) -> str:
    shown = f"{answer:.4g}" if isinstance(answer, float) else short(answer)
    return f"For {', '.join(map(short, case))} your function gives {shown}, which is not right."


def _near(a: float, b: float, relative: float, absolute: float = 1e-9) -> bool:
    return isclose(a, b, rel_tol=relative, abs_tol=absolute)


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    a, b = a.double(), b.double()
    return not a.numel() or bool((a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1e-12))
