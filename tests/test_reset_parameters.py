"""A model made without memory, on "meta", and what brings it to life: resetting, loading, copying, other types."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from _support import images, small_config
from torch import nn

from gcvit_edu.layers import LayerScale
from gcvit_edu.model import GCViT, init_weights
from gcvit_edu.position import RelativePositionBias

GARBAGE = 2**40  # as an index, far out of any table


def without_memory(**changes: object) -> GCViT:
    with torch.device("meta"):
        return GCViT(small_config(**changes))


def full_of_garbage(**changes: object) -> GCViT:
    """After to_empty everything is what was in memory before; here the worst that could have been."""
    model = without_memory(**changes).to_empty(device="cpu")
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            value.fill_(float("nan") if value.is_floating_point() else GARBAGE)
    return model


def reset(model: nn.Module) -> None:
    """What FSDP and torchtitan's kind of scripts do, and what anyone would write."""
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()


@pytest.mark.parametrize("layer_scale", [None, 1e-5])
def test_whatever_owns_parameters_or_buffers_can_be_reset(layer_scale: float | None) -> None:
    for name, module in without_memory(layer_scale=layer_scale).named_modules():
        if [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            assert hasattr(module, "reset_parameters"), name


@pytest.mark.parametrize("layer_scale", [None, 1e-5])
def test_a_reset_model_is_a_fresh_one(layer_scale: float | None) -> None:
    torch.manual_seed(0)
    model, fresh = full_of_garbage(layer_scale=layer_scale), GCViT(small_config(layer_scale=layer_scale))
    reset(model)
    for (name, found), expected in zip(model.named_buffers(), fresh.buffers(), strict=True):
        assert found.equal(expected), name
    assert model(images(2, 50, 70)).isfinite().all()
    model.apply(init_weights)  # as the model's own constructor does at its end
    for (name, found), expected in zip(model.named_parameters(), fresh.parameters(), strict=True):
        assert found.stride() == expected.stride(), name
        if expected.unique().numel() == 1:
            assert found.equal(expected), name
        elif expected.numel() >= 200:  # of fewer numbers the deviation says little
            assert found.std().item() == pytest.approx(expected.std().item(), rel=0.25), name


def test_a_part_can_be_reset_by_itself() -> None:
    bias, scale = RelativePositionBias(3, 2), LayerScale(4, 0.1)
    with torch.no_grad():
        bias.table.fill_(7)
        bias.index.fill_(0)
        scale.gamma.fill_(7)
    reset(nn.ModuleList([bias, scale]))
    assert not bias.table.any()
    assert bias.index.equal(RelativePositionBias(3, 2).index)
    assert scale.gamma.unique().tolist() == pytest.approx([0.1])


def test_weights_may_be_loaded_into_garbage() -> None:
    fresh = GCViT(small_config()).eval()
    model = full_of_garbage().eval()
    model.load_state_dict(fresh.state_dict())
    assert model(images(2, 64)).equal(fresh(images(2, 64)))


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "half": lambda module: module.half(),
    "bfloat16": lambda module: module.to(torch.bfloat16),
    "double": lambda module: module.double(),
    "channels last": lambda module: module.to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_or_another_type_leaves_the_index_as_it_is(how: str) -> None:
    bias = RelativePositionBias(3, 2)
    expected = bias.index.clone()
    found = COPIES[how](bias).index
    assert found.dtype == torch.int64
    assert found.equal(expected)
