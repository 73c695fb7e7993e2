"""Counting parameters and multiply-adds, against counts by hand."""

import pytest
import torch
from _support import small_config, small_model
from torch import nn

from gcvit_edu.attention import WindowAttention
from gcvit_edu.counting import Counts, count
from gcvit_edu.layers import FusedMBConv, Mlp
from gcvit_edu.model import GCViT


def test_a_linear_layer_by_hand() -> None:
    assert count(nn.Linear(3, 5), torch.empty(7, 3)) == Counts(parameters=20, multiply_adds=105)


def test_an_mlp_by_the_formula() -> None:
    # 2 r H W C^2
    counts = count(Mlp(8, 24), torch.empty(1, 5, 6, 8))
    assert counts == Counts(parameters=2 * 3 * 64 + 24 + 8, multiply_adds=2 * 3 * 5 * 6 * 8**2)


def test_window_attention_by_the_formula() -> None:
    # 4 H W C^2 + 2 H W w^2 C
    counts = count(WindowAttention(8, 2, 3), torch.empty(1, 6, 9, 8))
    assert counts.multiply_adds == 4 * 54 * 64 + 2 * 54 * 9 * 8
    assert counts.parameters == 4 * 64 + 4 * 8 + 25 * 2


def test_a_convolution_with_groups() -> None:
    counts = count(FusedMBConv(8), torch.empty(1, 8, 4, 4))
    assert counts.multiply_adds == 16 * (8 * 9 + 64) + 2 * 8 * 2
    assert counts.parameters == 8 * 9 + 64 + 2 * 8 * 2


def test_a_batch_costs_as_much_as_its_images() -> None:
    model = small_model()
    one = count(model)
    assert count(model, torch.empty(1, 3, 64, 64)) == one
    assert count(model, torch.empty(3, 3, 64, 64)).multiply_adds == 3 * one.multiply_adds


def test_nothing_is_computed_and_nothing_changes() -> None:
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    computed = []
    hook = model.stem.register_forward_hook(lambda _, __, out: computed.append(not out.is_meta))
    counts = count(model)
    hook.remove()
    assert computed == [False]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.device("meta"):
        assert count(GCViT(small_config())) == counts


def test_what_takes_unknown_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="count needs inputs for a Linear"):
        count(nn.Linear(3, 5))


def test_it_prints_in_millions_and_billions() -> None:
    assert str(Counts(11_995_000, 2_120_000_000)) == "11.995 M parameters, 2.120 G multiply-adds"


def test_half_precision_models_can_be_counted() -> None:
    model = small_model()
    assert count(model.half()) == count(small_model())
