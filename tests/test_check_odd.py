"""Whatever a reader gives, each checker answers in a few words, and never that it is right."""

import sys
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from _checkers import Checker, checkers
from torch import nn

from gcvit_edu import create_model
from gcvit_edu.check import ch02, ch10, ch14
from gcvit_edu.check.verdict import CHARACTERS, LINES, checker

NAN, INFINITY = float("nan"), float("inf")


def endless() -> Iterator[int]:
    while True:
        yield 7


class Sly:
    """Looks like everything, and fails when it is looked at."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("do not look")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare")

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        raise RuntimeError("do not print")

    def __iter__(self) -> Iterator[int]:
        raise RuntimeError("do not walk")


class NoWords(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def quantised() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch is about to give them up
        return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)


def nested() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not finished, says PyTorch
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


VALUES: dict[str, Any] = {
    "None": None,
    "ellipsis": ...,
    "True": True,
    "NaN": NAN,
    "infinity": INFINITY,
    "minus infinity": -INFINITY,
    "minus one": -1,
    "a number of 6000 digits": 10**6000,
    "a number of 306 digits": 10**305,
    "complex": 1j,
    "Decimal": Decimal("0.51"),
    "Decimal NaN": Decimal("nan"),
    "Fraction": Fraction(22, 7),
    "text": "a word",
    "empty text": "",
    "long text": "word\n" * 5000,
    "bytes": b"\x00",
    "empty list": [],
    "empty dict": {},
    "empty tuple": (),
    "set": {1.0, 2.0},
    "nested": [[1, [2, [3, []]]], {"a": ()}],
    "list of None": [None, None],
    "pair of NaN": (NAN, NAN),
    "pair of infinite": [INFINITY, -INFINITY],
    "pair of texts": ["a", "b"],
    "pair of tensors": (torch.ones(2), torch.zeros(3, 3)),
    "pair of empty tensors": (torch.zeros(0), torch.zeros(0)),
    "three lists": ([1], [2.0], [None]),
    "three texts": ["a.weight", "b", ""],
    "long list": list(range(100_000)),
    "dict of NaN": {1: NAN, 2: INFINITY, 3: "x", 4: []},
    "dict of tensors": {"body.weight": torch.ones(1), "head.weight": None},
    "class": dict,
    "module": nn.Linear(2, 2),
    "network": create_model("nano"),
    "generator": (number for number in (1, 2)),
    "object": object(),
    "sly object": Sly(),
    "numpy integer": np.int64(-3),
    "numpy float": np.float32(-0.25),
    "numpy NaN": np.float64("nan"),
    "numpy boolean": np.bool_(True),
    "numpy text": np.str_("a"),
    "numpy date": np.datetime64("2026-01-01"),
    "numpy array": np.ones((2, 3)),
    "numpy pair": np.array([NAN, 1.0]),
    "numpy objects": np.array([None, "a", {}], dtype=object),
    "numpy object": np.array({}, dtype=object),
    "numpy texts": np.array(["a", "b"]),
    "tensor": torch.randn(2, 3, generator=torch.Generator().manual_seed(5)),
    "scalar tensor": torch.tensor(-4.5),
    "tensor of one": torch.tensor([[[NAN]]]),
    "empty tensor": torch.zeros(0),
    "boolean tensor": torch.ones(2, 2, dtype=torch.bool),
    "complex tensor": torch.ones(2, 2, dtype=torch.complex64),
    "scalar complex tensor": torch.tensor(1j),
    "half": torch.full((3,), INFINITY, dtype=torch.float16),
    "bytes tensor": torch.ones(3, dtype=torch.uint8),
    "meta tensor": torch.ones(2, 2, device="meta"),
    "scalar meta tensor": torch.ones((), device="meta"),
    "sparse tensor": torch.eye(3).to_sparse(),
    "quantised tensor": quantised(),
    "nested tensor": nested(),
    "tensor with history": torch.ones(2, requires_grad=True) * 2,
    "large tensor": torch.zeros(1000, 1000),
    "parameter": nn.Parameter(torch.ones(2)),
}


def raising(error: BaseException | type[BaseException]) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        raise error

    return function


def spoiling(*arguments: Any) -> Any:
    """Works in place, and returns what it was given."""
    for value in arguments:
        if isinstance(value, torch.Tensor):
            value.zero_()
        elif isinstance(value, list | dict):
            value.clear()
    return arguments[0]


def like_the_first(change: Callable[[torch.Tensor], Any]) -> Callable[..., Any]:
    """Of the first argument's shape, where that is a tensor."""
    return lambda *arguments: change(arguments[0]) if isinstance(arguments[0], torch.Tensor) else arguments[0]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "raises": raising(ValueError("x" * 100_000)),
    "raises lines": raising(RuntimeError("line\n" * 5000)),
    "raises nothing to read": raising(NoWords()),
    "raises a class": raising(KeyError),
    "torch's NotImplementedError": lambda *_: torch.ones(2, device="meta").cpu(),
    "the stub's": raising(NotImplementedError),
    "exit": lambda *_: sys.exit(3),
    "GeneratorExit": raising(GeneratorExit),
    "recursion": lambda *arguments: FUNCTIONS["recursion"](*arguments),
    "no argument": lambda: 1,
    "nine arguments": lambda a, b, c, d, e, f, g, h, i: 1,
    "named argument": lambda *, x: 1,
    "yields": lambda *_: endless(),
    "is a coroutine": lambda *_: endless,
    "spoils": spoiling,
    "gives back": lambda *arguments: arguments,
    "text of the arguments": lambda *arguments: str(arguments),
    "NaN like": like_the_first(lambda x: torch.full_like(x, NAN, dtype=torch.float)),
    "half like": like_the_first(lambda x: x.half() * 60000),
    "boolean like": like_the_first(lambda x: x > 100),
    "complex like": like_the_first(lambda x: x + 1j),
    "meta like": like_the_first(lambda x: x.to("meta")),
    "sparse like": like_the_first(lambda x: x.to_sparse()),
    "numpy like": like_the_first(lambda x: x.numpy()),
    "class": nn.Linear,
    "built in": len,
    "module": nn.Linear(3, 3),
    "network": create_model("nano"),
}

ODD: dict[str, Any] = (
    VALUES
    | {f"returns {name}": (lambda *_, value=value: value) for name, value in VALUES.items()}
    | {f"function: {name}": function for name, function in FUNCTIONS.items()}
)
SLY = {name for name in ODD if "sly" in name}


LARGE = ("network", "large tensor", "returns network", "returns large tensor", "dict of tensors")


@pytest.mark.parametrize("check", checkers(), ids=lambda check: f"{check.__module__[-4:]}.{check.__name__}")
def test_odd_answers_get_a_verdict_in_words(check: Checker) -> None:
    verdicts = {name: check(answer) for name, answer in ODD.items()}
    assert not {name for name, verdict in verdicts.items() if verdict.right or not verdict.message.strip()}
    long = {name: len(verdict.message) for name, verdict in verdicts.items() if len(verdict.message) > CHARACTERS + 4}
    assert not long
    assert not {name for name, verdict in verdicts.items() if len(verdict.message.splitlines()) > LINES}
    # The net beneath all checkers is for objects that fail when looked at, and for nothing else.
    caught = {name: verdict for name, verdict in verdicts.items() if "cannot be compared" in verdict.message}
    assert set(caught) <= SLY, caught
    assert not [name for name in LARGE if "Conv2d(" in verdicts[name].message or "tensor([" in verdicts[name].message]
    assert "Write your answer" not in verdicts["function: torch's NotImplementedError"].message


def test_what_is_no_number_is_called_so() -> None:
    for verdict in (
        ch02.growth_of_sight(NAN),
        ch10.half_life(lambda steps: NAN),
        ch14.difference(lambda a, b: (NAN, 1)),
    ):
        assert "NaN" in verdict.message
    for verdict in (ch02.growth_of_sight(10**400), ch10.half_life(lambda steps: INFINITY)):
        assert "infinite" in verdict.message


def test_ctrl_c_stops_a_checker() -> None:
    with pytest.raises(KeyboardInterrupt):
        checkers()[0](raising(KeyboardInterrupt))


def test_an_answer_that_fails_when_it_is_looked_at_still_gets_a_verdict() -> None:
    @checker()
    def looking(answer: Any) -> Any:
        return answer.right

    assert looking(Sly()).message == "Your answer cannot be compared: RuntimeError: do not look"
