"""Calls of a reader's function, and numbers and tensors taken out of what it returns.

Readers give anything: a network, None, NaN, a function that ends Python. What cannot be compared ends the checker with
a Refusal, which `verdict.checker` turns into the verdict; so the checkers themselves handle only good answers.
"""

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from itertools import islice
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

SHORT = 100  # characters of a value that is shown
MANY = 1000  # more numbers than any answer has


class Refusal(Exception):
    """Ends a checker: the answer cannot be compared, for the reason given."""


def refuse(message: str) -> NoReturn:
    """End the checker with a verdict on an answer that cannot be compared."""
    raise Refusal(message)


def kind(value: Any) -> str:
    """A value in a few words: its type, and the shape of a tensor or the length of a list."""
    name = type(value).__name__
    if isinstance(value, Tensor | np.ndarray) and value.ndim and not getattr(value, "is_nested", False):
        return f"{name} of shape {tuple(value.shape)}"
    return f"{name} of length {len(value)}" if isinstance(value, tuple | list | dict) else name


def short(value: Any) -> str:
    """A value as text in one short line."""
    if isinstance(value, Tensor | np.ndarray | torch.nn.Module | dict):
        return kind(value)
    if callable(value):
        return getattr(value, "__name__", kind(value))
    if isinstance(value, tuple | list) and len(value) <= SHORT:
        inside = ", ".join(map(short, value))
        text = f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    else:
        try:
            text = " ".join(repr(value).split())
        except Exception:  # a number of more than 4300 digits, or a repr of the reader's own
            text = kind(value)
    return text if len(text) <= SHORT else text[:SHORT] + " ..."


def said(error: BaseException) -> str:
    """The first lines of an error's text, joined into one; empty if it has none."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # an error of the reader's own
        return ""
    return "; ".join(line.strip()[: 2 * SHORT] for line in lines[:3]) + " ..." * (len(lines) > 3)


# ------------------------------------------------------------------------------------------------ asking the reader


def call(
    function: Callable[..., Any], *arguments: Any, errors: Mapping[str, str] | None = None, copies: bool = True
) -> Any:
    """Call the reader's function, and return its answer, which is not None.

    Args:
        function: what the reader gave.
        arguments: what to call it with.
        errors: diagnoses of errors that the reader's code may raise, by a piece of the error's text.
        copies: whether it gets copies of the arguments, so that a function that works in place cannot spoil them.

    Raises:
        Refusal: if it is not a function, raises an error or returns None.
    """
    if not callable(function):
        refuse(f"Give the function itself, not {kind(function)}.")
    given = [value.clone() if isinstance(value, Tensor) else deepcopy(value) for value in arguments]
    try:
        answer = function(*(given if copies else arguments))
    except KeyboardInterrupt:  # the reader stops a loop that never ends
        raise
    except BaseException as error:  # whatever the reader's code raises, exit() too, is what the reader has to see
        if isinstance(error, NotImplementedError) and not error.args:  # torch raises it too, with a text
            refuse("Write your answer in this cell, then run it again.")
        for piece, diagnosis in (errors or {}).items():
            if piece in said(error):
                refuse(diagnosis)
        shapes = ", ".join(str(tuple(value.shape)) for value in arguments if isinstance(value, Tensor))
        where = f"shapes {shapes}" if shapes else short(arguments)
        refuse(f"Your function raised {type(error).__name__} when called with {where}: {said(error)}")
    if answer is None:
        refuse("Your function returned None. Does it end with a return?")
    return answer


def number(answer: Any, advice: str = "Measure it") -> int | float:
    """A number that the reader puts into a cell.

    Args:
        answer: what the reader put there.
        advice: how to find the number.

    Raises:
        Refusal: if it is not a number yet.
    """
    if answer is None:
        refuse(f"{advice}, put your number in this cell, then run it again.")
    if not isinstance(answer, Real) or isinstance(answer, bool):
        hint = "; .item() takes one out of a tensor" if isinstance(answer, Tensor | np.ndarray) else ""
        refuse(f"Give a number, not {kind(answer)}{hint}.")
    return _finite(answer, "Your number")


def returned_number(answer: Any, sentence: str = "Return a Python number", *, tensors: bool = False) -> int | float:
    """A number that the reader's function returned.

    Args:
        answer: what it returned.
        sentence: what to say if that is not a number.
        tensors: whether a tensor of one element also counts as a number.

    Raises:
        Refusal: if it is not a number.
    """
    if tensors and isinstance(answer, Tensor) and answer.numel() == 1:
        answer = tensor(answer).item()
    if not isinstance(answer, Real) or isinstance(answer, bool):
        refuse(f"{sentence}, not {kind(answer)}.")
    return _finite(answer, "The number that your function returns")


def _finite(value: Real, whose: str) -> int | float:
    try:
        as_float = float(value)
    except OverflowError:  # a whole number or fraction beyond 1e308
        as_float = math.inf
    if math.isnan(as_float):
        refuse(f"{whose} is not a number (NaN). Is there a division of zero by zero, or a root of a negative number?")
    if math.isinf(as_float):
        refuse(f"{whose} is infinite, or far too large.")
    return int(value) if isinstance(value, int | np.integer) else as_float


def boolean(answer: Any) -> bool:
    """True or False that the reader's function returned.

    Raises:
        Refusal: if it is neither.
    """
    if not isinstance(answer, bool | np.bool_):
        refuse(f"Return True or False, not {kind(answer)}; bool(...) makes one of a tensor.")
    return bool(answer)


def numbers(answer: Any, count: int | None, sentence: str) -> list[float]:
    """Several numbers that the reader gave as a list, tuple, tensor, array or generator.

    Args:
        answer: what the reader gave.
        count: how many there should be, or None.
        sentence: what to say if they are not numbers, or not so many; what was found is added.

    Raises:
        Refusal: if they are not numbers, or not so many.
    """
    if isinstance(answer, Tensor):
        answer = tensor(answer)
    ordered = not isinstance(answer, str | bytes | type | Mapping | set | frozenset) and hasattr(answer, "__iter__")
    if not ordered or getattr(answer, "ndim", 1) != 1:
        refuse(f"{sentence}; you gave {kind(answer)}.")
    found = list(islice(answer, MANY))  # a generator need not end
    if count is not None and len(found) != count:
        refuse(f"{sentence}; you gave {len(found)}.")
    values = [value.item() if isinstance(value, Tensor) and value.numel() == 1 else value for value in found]
    return [float(returned_number(value, f"{sentence}; one of yours is {kind(value)}")) for value in values]


def tensor(answer: Any, name: str = "tensor") -> Tensor:
    """A tensor that the reader gave, without its history, on the CPU.

    Args:
        answer: what the reader gave.
        name: what it should be, in a word.

    Raises:
        Refusal: if it is not a tensor, or has no plain real values.
    """
    if not isinstance(answer, Tensor):
        refuse(f"Expected a {name}, got {type(answer).__name__}.")
    if answer.layout != torch.strided or answer.is_quantized or answer.is_nested:
        refuse(f"Expected a plain {name}; yours is sparse, nested or quantised.")
    if answer.is_meta:
        refuse(f"Your {name} is on the device meta, where tensors have shapes and no values.")
    if answer.is_complex():
        refuse(f"Your {name} has complex numbers; real ones are expected.")
    return answer.detach().cpu()


def tensors(answer: Any, count: int, sentence: str) -> list[Tensor]:
    """Several tensors that the reader's function returned, without their history, on the CPU.

    Args:
        answer: what it returned.
        count: how many there should be.
        sentence: what to say if it returned anything else.

    Raises:
        Refusal: if they are not so many tensors with plain real values.
    """
    if not isinstance(answer, tuple | list) or len(answer) != count:
        refuse(f"{sentence}; yours is {kind(answer)}.")
    for part in answer:
        if not isinstance(part, Tensor):
            refuse(f"{sentence}; one of yours is {kind(part)}.")
    return [tensor(part) for part in answer]


def plain(answer: Any, wanted: str) -> Any:
    """A number, boolean or string, or tuples of them, taken out of tensors, arrays and lists, to be compared with ==.

    Args:
        answer: what the reader's function returned.
        wanted: what it should be, in words.

    Raises:
        Refusal: if it is anything else.
    """
    if isinstance(answer, Tensor):
        answer = tensor(answer)
        answer = answer.tolist() if answer.numel() < MANY else answer
    elif isinstance(answer, np.ndarray | np.generic) and answer.size < MANY:
        answer = answer.tolist()
    if isinstance(answer, tuple | list) and len(answer) < MANY:
        return tuple(plain(part, wanted) for part in answer)
    if not isinstance(answer, Real | str):
        refuse(f"Return {wanted}; yours is {kind(answer)}.")
    return answer
