"""Optimiser, schedule and moving average."""

import math
from itertools import pairwise

import pytest
import torch
from _support import small_model
from torch import nn

from gcvit_edu.train import TrainConfig, decay_at, decay_groups, learning_rate, make_ema, make_optimizer
from gcvit_edu.train.optim import layer_depths, update_ema

# ------------------------------------------------------------------------------------------------------- groups


def test_every_parameter_is_in_one_group_and_only_matrices_and_kernels_decay() -> None:
    model = small_model(layer_scale=0.1)
    decay, rest = decay_groups(model, 0.05)
    assert (decay["name"], decay["weight_decay"]) == ("decay", 0.05)
    assert (rest["name"], rest["weight_decay"]) == ("no_decay", 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decaying, spared = ([names[id(value)] for value in group["params"]] for group in (decay, rest))
    assert sorted(decaying + spared) == sorted(names.values())
    assert {name.rsplit(".", 1)[1] for name in decaying} == {"weight"}
    endings = {".bias", "norm1.weight", "norm2.weight", "norm.weight", ".table", ".gamma"}
    assert all(any(name.endswith(ending) for ending in endings) for name in spared)
    assert all(any(name.endswith(ending) for name in spared) for ending in endings)


def test_frozen_parameters_are_in_no_group() -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    assert [len(group["params"]) for group in decay_groups(model, 0.1)] == [1, 0]


def test_the_optimiser_decays_weights_and_spares_biases() -> None:
    model = nn.Linear(3, 3)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    optimizer = make_optimizer(model, TrainConfig(lr=0.1, weight_decay=0.5, betas=(0.8, 0.9)))
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.allclose(model.weight, torch.full((3, 3), 0.95))
    assert torch.equal(model.bias, torch.ones(3))


# ---------------------------------------------------------------------------------------------------- layer decay


def test_the_depth_of_a_layer_is_its_distance_from_the_head() -> None:
    model = small_model()  # stages of 3, 2, 3 and 2 blocks
    depths = layer_depths(model)
    assert depths.keys() == dict(model.named_parameters()).keys()
    blocks = [(stage, block) for stage, number in enumerate((3, 2, 3, 2)) for block in range(number)]
    expected = {f"stages.{stage}.blocks.{block}": len(blocks) - at for at, (stage, block) in enumerate(blocks)}
    for stage in range(4):
        expected[f"stages.{stage}.downsample"] = expected[f"stages.{stage}.query"] = expected[
            f"stages.{stage}.blocks.0"
        ]
    expected |= {"head": 0, "norm": 1, "stem": len(blocks) + 1}
    for name, depth in depths.items():
        (prefix,) = [prefix for prefix in expected if name.startswith(f"{prefix}.")]
        assert depth == expected[prefix], name


def test_without_a_head_the_norm_is_the_nearest() -> None:
    depths = layer_depths(small_model(num_classes=0))
    assert (depths["norm.weight"], depths["stages.3.blocks.1.mlp.fc1.weight"], depths["stem.conv.weight"]) == (0, 0, 10)


def test_each_layer_trains_with_its_share_of_the_rate_and_is_in_one_group() -> None:
    model = small_model()
    groups, depths = decay_groups(model, 0.05, 0.5), layer_depths(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in groups:
        kind, _, depth = group["name"].rpartition("_")
        assert group["lr_scale"] == 0.5 ** int(depth)
        assert group["weight_decay"] == (0.05 if kind == "decay" else 0.0)
        assert {depths[names[id(value)]] for value in group["params"]} == {int(depth)}
    found = [names[id(value)] for group in groups for value in group["params"]]
    assert sorted(found) == sorted(names.values())
    assert len({group["name"] for group in groups}) == len(groups) == 24
    plain = [{names[id(value)] for value in group["params"]} for group in decay_groups(model, 0.05)]
    decaying = [names[id(value)] for group in groups if group["weight_decay"] for value in group["params"]]
    assert plain[0] == set(decaying)
    assert [group["lr_scale"] for group in decay_groups(model, 0.05)] == [1.0, 1.0]


def test_timm_says_the_same_of_its_own_models() -> None:
    import timm
    from timm.optim import param_groups_layer_decay

    model = timm.create_model("vit_tiny_patch16_224", num_classes=3)
    theirs = {
        id(value): group["lr_scale"]
        for group in param_groups_layer_decay(model, layer_decay=0.7, no_weight_decay_list=model.no_weight_decay())
        for value in group["params"]
    }
    ours = {id(value): group["lr_scale"] for group in decay_groups(model, 0.05, 0.7) for value in group["params"]}
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == pytest.approx(theirs[key]) for key in theirs)


def test_layer_decay_needs_a_model_that_names_its_layers() -> None:
    with pytest.raises(ValueError, match=r"Linear has no group_matcher\(\) to name its layers; set layer_decay=1"):
        decay_groups(nn.Linear(2, 2), 0.05, 0.9)


def test_one_kernel_for_all_moves_the_same() -> None:
    """The path of GPUs, as far as a CPU has it."""
    config, weights = TrainConfig(lr=0.1, weight_decay=0.5), {}
    for fused in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(3, 3)
        optimizer = make_optimizer(model, config, fused=fused)
        assert optimizer.param_groups[0]["fused"] == (fused or None)
        for step in range(3):
            model(torch.full((2, 3), 1.0 + step)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        weights[fused] = model.weight.detach()
    assert torch.allclose(weights[False], weights[True], atol=1e-6)
    assert not torch.allclose(weights[True], nn.Linear(3, 3).weight, atol=1e-3)


# ------------------------------------------------------------------------------------------------------ schedule


def rates(total: int = 100, warmup: int = 10) -> list[float]:
    return [learning_rate(step, total=total, warmup=warmup, first=0.1, peak=1.0, last=0.2) for step in range(total)]


def test_the_rate_grows_then_falls_between_its_ends() -> None:
    found = rates()
    assert found[0] == pytest.approx(0.1)
    assert found[10] == pytest.approx(1.0)
    assert found[-1] == pytest.approx(0.2)
    assert found[:11] == sorted(found[:11])
    assert found[10:] == sorted(found[10:], reverse=True)
    steps = [after - before for before, after in pairwise(found[:11])]
    assert steps == pytest.approx([0.09] * 10)


def test_the_middle_of_the_cosine_is_halfway() -> None:
    assert rates(total=111)[60] == pytest.approx(0.6)
    quarter = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4))
    assert rates(total=111)[35] == pytest.approx(quarter)


def test_without_warm_up_and_with_a_single_step_the_rate_is_the_peak() -> None:
    assert rates(warmup=0)[0] == 1.0
    assert rates(total=1, warmup=0) == [1.0]


# ------------------------------------------------------------------------------------------------------- average


def test_the_average_follows_its_formula_and_takes_no_gradient() -> None:
    model = nn.Linear(2, 1, bias=False)
    average = make_ema(model)
    assert not average.training
    assert not average.weight.requires_grad
    old = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    update_ema(average, model, 0.75)
    assert torch.allclose(average.weight, 0.75 * old + 0.25 * (old + 1))
    update_ema(average, model, 0.0)
    assert torch.equal(average.weight, model.weight)
    assert average.weight.data_ptr() != model.weight.data_ptr()


def test_the_average_copies_buffers() -> None:
    model = nn.BatchNorm1d(2)
    average = make_ema(model)
    model(torch.randn(8, 2))
    update_ema(average, model, 0.9)
    assert torch.equal(average.running_mean, model.running_mean)
    assert average.num_batches_tracked == 1


def test_the_decay_grows_to_what_was_asked() -> None:
    found = [decay_at(step, 0.99) for step in range(2000)]
    assert found[0] == 0.1
    assert found == sorted(found)
    assert found[-1] == 0.99
