"""The clock for chapters."""

import time

import pytest
import torch
from torch import nn

from gcvit_edu.hardware import milliseconds


def test_milliseconds_is_the_median_after_a_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 9.0, 0.0, 0.003, 0.0, 0.001, 0.0, 0.002])
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))
    calls = []
    assert milliseconds(calls.append, "x", repeats=3) == pytest.approx(2.0)
    assert calls == ["x"] * 4


def test_milliseconds_records_no_gradients() -> None:
    layer, seen = nn.Linear(2, 2), []
    milliseconds(lambda x: seen.append(layer(x).requires_grad), torch.ones(1, 2), repeats=1)
    assert seen == [False, False]


def test_no_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="repeats=0"):
        milliseconds(lambda: None, repeats=0)
