"""What people attach to a module of ours takes effect: hooks, other modules in its place, parametrizations."""

import pytest
import timm
import torch
from _support import calls_of_modules, images, small_model
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from gcvit_edu.layers import FusedMBConv
from gcvit_edu.mixers import MIXERS, with_mixer
from gcvit_edu.variants import list_models
from gcvit_edu.zoo import create_model

MODELS = {
    "nano": {},
    "layer scale": {"layer_scale": 1e-5},
    "no classes": {"num_classes": 0},
    "grey": {"in_chans": 1},
    "drop path": {"drop_path_rate": 0.3},
}


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("size", [(64, 64), (50, 70)], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_each_module_with_parameters_is_called_once(name: str, size: tuple[int, int], train: bool) -> None:
    model = small_model(**MODELS[name]).train(train)
    found = calls_of_modules(model, images(2, *size)[:, : model.config.in_chans])
    assert found
    assert set(found.values()) == {1}, {name: count for name, count in found.items() if count != 1}


@pytest.mark.parametrize("name", list_models())
def test_each_variants_modules_are_called_once(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name)
        found = calls_of_modules(model, torch.empty(1, 3, model.config.image_size, model.config.image_size))
    assert set(found.values()) == {1}, {name: count for name, count in found.items() if count != 1}


@pytest.mark.parametrize("mixer", MIXERS)
def test_each_module_of_an_ablation_is_called_once(mixer: str) -> None:
    assert set(calls_of_modules(with_mixer(create_model("nano"), mixer), images(1, 64)).values()) == {1}


class LowRank(nn.Module):
    """What LoRA puts in a module's place: the module, and a small one beside it."""

    def __init__(self, base: nn.Conv2d) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Conv2d(base.in_channels, 2, 1, bias=False)
        self.up = nn.Conv2d(2, base.out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
def test_another_module_in_a_convolutions_place_is_heard(train: bool) -> None:
    x = torch.randn(2, 8, 5, 4, generator=torch.Generator().manual_seed(0))
    block = FusedMBConv(8).train(train)
    before = block(x)
    block.conv_pw = LowRank(block.conv_pw)
    assert (block(x) - before).abs().amax(1).min() > 0
    loss = block(x).square().sum()
    assert all(gradient.any() for gradient in torch.autograd.grad(loss, list(block.conv_pw.parameters())))


def test_a_parametrization_takes_effect_and_is_trained() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    block = FusedMBConv(8)
    x = torch.randn(2, 8, 5, 4)
    before = block(x) - x
    parametrize.register_parametrization(block.conv_pw, "weight", Doubled())
    torch.testing.assert_close(block(x) - x, 2 * before)
    block(x).sum().backward()
    assert block.conv_pw.parametrizations.weight.original.grad.any()


def test_a_hook_may_change_what_a_convolution_gives() -> None:
    blocks = [module for module in small_model().modules() if isinstance(module, FusedMBConv)]
    assert blocks
    for block in blocks:
        block.conv_pw.register_forward_hook(lambda _, __, out: torch.zeros_like(out))
        x = torch.randn(1, block.conv_pw.in_channels, 4, 4)
        assert block(x).equal(x)


def operations(model: nn.Module) -> dict[str, int]:
    """{name of an operation: its floating-point operations} of one forward pass in which gradients may be asked for."""
    with FlopCounterMode(display=False) as counter:
        model(images(1, 224))
    return {operation.__name__: flops for operation, flops in counter.get_flop_counts()["Global"].items()}


def test_counters_find_in_our_network_what_they_find_in_timms() -> None:
    """Those made on fvcore trace such a pass; they know convolutions and plain products, but not baddbmm."""
    ours, timms = operations(create_model("xxtiny").eval()), operations(timm.create_model("gcvit_xxtiny").eval())
    assert set(ours) <= {"convolution", "addmm", "mm", "bmm"}
    assert sum(ours.values()) == sum(timms.values())
