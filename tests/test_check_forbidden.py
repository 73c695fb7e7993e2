"""What an exercise forbids is noticed under any of its names, and nothing else is."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from _answers_ch06 import by_slices
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.check import ch06
from gcvit_edu.check.forbidden import LOOP, steps, watched
from gcvit_edu.check.verdict import Verdict, checker


def uses(function: Callable[..., Any], *names: str) -> set[str]:
    used: set[str] = set()
    watched(function, names, used)(torch.ones(1, 2, 4, 4))
    return used


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.layer_norm(x, [4]),
        lambda x: torch.layer_norm(x, [4]),
        lambda x: nn.LayerNorm(4)(x),
        nn.LayerNorm(4),
    ],
)
def test_a_function_of_pytorch_is_noticed_under_its_names(function: Callable[[Tensor], Tensor]) -> None:
    assert uses(function, "torch.layer_norm", "torch.conv2d") == {"torch.layer_norm"}


def test_a_function_of_the_readers_own_may_have_any_name() -> None:
    def max_pool2d(x: Tensor) -> Tensor:
        return by_slices(x)

    def repeat(x: Tensor) -> Tensor:
        return max_pool2d(x)

    assert uses(lambda x: max_pool2d(x), "torch.max_pool2d") == set()
    assert uses(lambda x: repeat(x), "torch.repeat", "einops") == set()
    assert ch06.max_pool(lambda x: max_pool2d(x))


def test_loops_are_those_of_the_function_itself() -> None:
    def counting(x: Tensor) -> int:
        while len(x) > 1:
            x = x[1:]
        return len(x)

    assert uses(counting, LOOP) == {LOOP}
    assert uses(lambda x: [one for one in x], LOOP) == {LOOP}
    assert uses(lambda x: sum(one.sum() for one in x), LOOP) == {LOOP}
    assert uses(lambda x: x if len(x) else -x, LOOP) == set()


def test_a_loop_over_places_takes_more_steps_for_more_places() -> None:
    small, large = torch.ones(1, 1, 4, 4), torch.ones(2, 3, 8, 6)
    assert steps(by_slices, small) == steps(by_slices, large)
    few, many = (steps(lambda x: torch.stack([row + 1 for row in x[0, 0]]), x) for x in (small, large))
    assert many - few == 4


def test_a_wrong_answer_gets_its_own_diagnosis_whatever_it_used() -> None:
    assert "took minima" in ch06.max_pool(lambda x: -F.max_pool2d(-x, 3, 2, 1)).message
    assert "used max_pool2d" in ch06.max_pool(lambda x: F.max_pool2d(x, 3, 2, 1)).message


def test_another_profiler_goes_on_after_the_call() -> None:
    seen = []

    def profiler(frame: object, event: str, argument: object) -> None:
        seen.append(event)

    def broken(x: Tensor) -> Tensor:
        raise ValueError

    before = sys.getprofile()
    sys.setprofile(profiler)
    try:
        ch06.max_pool(broken)
        found = sys.getprofile()
    finally:
        sys.setprofile(before)
    assert found is profiler
    assert seen


def test_a_checker_keeps_its_name_and_its_words() -> None:
    @checker(without=("torch.conv2d",))
    def check(answer: object) -> Verdict:
        """What it asks."""
        return Verdict(bool(answer), "")

    assert (check.__name__, check.__doc__) == ("check", "What it asks.")
    assert check(True)
    assert not check(0)
