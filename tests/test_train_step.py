"""One step: parts, clipping, smoothing, mixing, precision, compiling, and the refusal of what is not finite."""

import ast
import copy
import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from _recipe_stripes import CONFIG, make_data, make_model
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.train import (
    NonFiniteLoss,
    Place,
    Run,
    TrainConfig,
    apply_mixup,
    loop,
    make_ema,
    make_optimizer,
    train_step,
)
from gcvit_edu.train.batches import MicroBatchSampler, train_batches

CPU = Place(0, 1, torch.device("cpu"))
STILL = replace(CONFIG, drop_path_rate=0.0, ema_decay=0.0)  # nothing random in the model


def fresh(config: TrainConfig, seed: int = 0) -> Run:
    torch.manual_seed(seed)
    model = make_model(config)
    average = make_ema(model) if config.ema_decay else None
    return Run(model.train(), average, make_optimizer(model, config), torch.zeros((), dtype=torch.float64))


def batch(config: TrainConfig, samples: int = 16) -> tuple[Tensor, Tensor]:
    training, _ = make_data(config)
    images, labels = zip(*(training[index] for index in range(samples)), strict=True)
    return torch.stack(images), torch.tensor(labels)


def step(run: Run, config: TrainConfig, parts: list, network: nn.Module | None = None) -> tuple[Tensor, Tensor]:
    return train_step(run, network or run.model, parts, config.lr, config, CPU)


def largest_difference(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((left - right).abs().max().item() for left, right in pairs)


def gradients_of(config: TrainConfig, parts: list, network: nn.Module | None = None) -> dict[str, Tensor]:
    """The gradients that a step used: the optimiser's first moment after one step is a tenth of them."""
    run = fresh(config)
    step(run, config, parts, network)
    state = run.optimizer.state
    return {name: state[value]["exp_avg"] * 10 for name, value in run.model.named_parameters()}


def gradient_error(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Largest difference, as a share of the largest gradient of the same parameter."""
    return max(
        ((one[name] - other[name]).abs().max() / other[name].abs().max().clamp_min(1e-6)).item() for name in other
    )


# --------------------------------------------------------------------------------------------------- what it does


def test_the_loss_falls_on_sixteen_pictures() -> None:
    run, parts = fresh(STILL), [batch(STILL)]
    losses = [step(run, STILL, parts)[0].item() for _ in range(40)]
    assert losses[-1] < 0.6 * losses[0]
    assert run.step == 40
    assert run.loss_sum.item() == pytest.approx(sum(losses))


def test_parts_of_a_batch_give_the_gradient_of_the_whole() -> None:
    config = replace(STILL, clip_norm=0.0)
    images, labels = batch(config)
    halves = [(images[:8], labels[:8]), (images[8:], labels[8:])]
    whole = gradients_of(config, [(images, labels)])
    assert gradient_error(gradients_of(config, halves), whole) < 1e-3
    assert gradient_error(gradients_of(config, [halves[0], halves[0]]), whole) > 0.1


def test_every_parameter_is_changed_and_the_rate_is_the_one_given() -> None:
    run = fresh(STILL)
    before = copy.deepcopy(run.model)
    train_step(run, run.model, [batch(STILL)], 0.01, STILL, CPU)
    for name, value in run.model.named_parameters():
        assert not torch.equal(value, before.get_parameter(name)), name
        assert value.grad is None, name
    assert {group["lr"] for group in run.optimizer.param_groups} == {0.01}
    assert largest_difference(run.model, before) == pytest.approx(0.01, rel=0.1)  # Adam's first step is the rate


def test_clipping_bounds_the_gradient_and_its_absence_does_not() -> None:
    parts = [batch(STILL)]
    norms = {}
    for clip in (0.0, 0.01):
        found = gradients_of(replace(STILL, clip_norm=clip), parts)
        norms[clip] = torch.stack([value.norm() for value in found.values()]).norm().item()
    assert norms[0.01] == pytest.approx(0.01, rel=1e-3)
    assert norms[0.0] > 0.1
    run = fresh(STILL)
    assert step(run, replace(STILL, clip_norm=0.01), parts)[1].item() == pytest.approx(norms[0.0], rel=1e-3)


def test_the_loss_smooths_labels() -> None:
    images, labels = batch(STILL)
    for smoothing in (0.0, 0.3):
        config, run = replace(STILL, label_smoothing=smoothing), fresh(STILL)
        expected = F.cross_entropy(run.model(images), labels, label_smoothing=smoothing).item()
        assert step(run, config, [(images, labels)])[0].item() == pytest.approx(expected, rel=1e-5)


def test_the_average_moves_with_the_model() -> None:
    config = replace(STILL, ema_decay=0.5)
    run = fresh(config)
    before = copy.deepcopy(run.model)
    step(run, config, [batch(config)])
    expected = 0.1 * before.head.weight + 0.9 * run.model.head.weight  # the first decay is 0.1
    assert torch.allclose(run.ema.head.weight, expected, atol=1e-6)


# ----------------------------------------------------------------------------------- other ways to the same result


def test_bfloat16_is_near_float32_and_not_equal() -> None:
    parts = [batch(STILL)]
    exact = gradients_of(STILL, parts)
    rounded = gradients_of(replace(STILL, amp=True), parts)
    cosine = F.cosine_similarity(
        *(torch.cat([v.flatten() for v in found.values()]) for found in (exact, rounded)), dim=0
    )
    assert 0.99 < cosine < 1 - 1e-6
    assert all(value.dtype == torch.float32 for value in rounded.values())


def test_channels_last_changes_no_gradient() -> None:
    parts = [batch(STILL)]
    plain, last = (gradients_of(replace(STILL, channels_last=flag), parts) for flag in (False, True))
    assert gradient_error(last, plain) < 1e-3


def test_checkpointing_changes_no_gradient_and_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, config = [batch(CONFIG)], replace(CONFIG, ema_decay=0.0)  # drop path on: it must be drawn again, equally
    plain = gradients_of(config, parts)
    calls = []

    def counted(*args: object, **kwargs: object) -> object:
        calls.append(args[0])
        return real(*args, **kwargs)

    import gcvit_edu.model

    real = gcvit_edu.model.checkpoint
    monkeypatch.setattr(gcvit_edu.model, "checkpoint", counted)
    run = fresh(config)
    run.model.set_grad_checkpointing()
    step(run, config, parts)
    found = {name: run.optimizer.state[value]["exp_avg"] * 10 for name, value in run.model.named_parameters()}
    assert gradient_error(found, plain) < 1e-3
    assert len(calls) == 4


# ---------------------------------------------------------------------------------------------------------- mixing


def test_mixing_follows_from_its_key_and_leaves_numpy_alone() -> None:
    config = replace(STILL, mixup=0.8, cutmix=1.0)
    images, labels = batch(config)
    state = np.random.get_state()[1].copy()
    first, same, other = (
        apply_mixup(images.clone(), labels, config, *key) for key in ((3, 0, 0), (3, 0, 0), (4, 0, 0))
    )
    assert torch.equal(first[0], same[0])
    assert torch.equal(first[1], same[1])
    assert not torch.equal(first[1], other[1])
    assert np.array_equal(np.random.get_state()[1], state)


def test_mixup_mixes_pictures_and_labels_alike() -> None:
    config = replace(STILL, mixup=1.0)
    images, labels = batch(config)
    mixed, targets = apply_mixup(images.clone(), labels, config, 1)
    onehot = F.one_hot(labels, 3).float()
    share = ((targets - onehot.flip(0)) * (onehot - onehot.flip(0))).sum() / (onehot - onehot.flip(0)).square().sum()
    assert 0 < share < 1
    assert torch.allclose(targets, share * onehot + (1 - share) * onehot.flip(0), atol=1e-5)
    assert torch.allclose(mixed, share * images + (1 - share) * images.flip(0), atol=1e-4)


def test_cutmix_pastes_a_rectangle_whose_area_is_the_labels_share() -> None:
    config = replace(STILL, cutmix=1.0)
    images, labels = batch(config)
    for key in range(3):
        mixed, targets = apply_mixup(images.clone(), labels, config, key)
        pasted = (mixed[0] != images[0]).any(0)
        assert torch.equal(mixed[0][:, pasted], images[-1][:, pasted])
        kept = 1 - pasted.float().mean()
        onehot = F.one_hot(labels, 3).float()
        assert torch.allclose(targets[0], kept * onehot[0] + (1 - kept) * onehot[-1], atol=1e-5)


def test_the_probability_of_mixing() -> None:
    images, labels = batch(STILL)
    config = replace(STILL, mixup=1.0, mix_prob=0.5)
    touched = [not torch.equal(apply_mixup(images.clone(), labels, config, key)[0], images) for key in range(40)]
    assert 8 < sum(touched) < 32


def test_an_odd_batch_cannot_be_mixed() -> None:
    images, labels = batch(STILL, samples=3)
    with pytest.raises(ValueError, match="3 is odd; choose batch_size"):
        apply_mixup(images, labels, replace(STILL, mixup=1.0), 0)


def test_a_step_with_mixing_smooths_the_mixed_labels_once() -> None:
    config, run = replace(STILL, mixup=1.0, label_smoothing=0.2), fresh(STILL)
    images, labels = batch(config)
    mixed, targets = apply_mixup(images.clone(), labels, config, 0, 0, 0)
    smooth = 0.8 * targets + 0.2 / 3
    expected = -(smooth * run.model(mixed).log_softmax(1)).sum(1).mean().item()
    assert step(run, config, [(images.clone(), labels)])[0].item() == pytest.approx(expected, rel=1e-4)


# ------------------------------------------------------------------------------------------------------ not finite


@pytest.mark.parametrize("where", ["picture", "gradient"])
def test_what_is_not_finite_stops_before_the_optimiser(where: str) -> None:
    config = replace(STILL, ema_decay=0.9)
    run = fresh(config)
    images, labels = batch(config)
    step(run, config, [(images, labels)])
    before = copy.deepcopy((run.model.state_dict(), run.ema.state_dict(), run.optimizer.state_dict()))
    if where == "picture":
        images = images.clone()
        images[3, 0, 0, 0] = float("nan")
    else:  # the loss is finite, one gradient is not
        run.model.head.bias.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(NonFiniteLoss, match=r"step 2: .* still those of step 1\. Lower lr=0.003"):
        step(run, config, [(images, labels)])
    assert run.step == 1
    after = (run.model.state_dict(), run.ema.state_dict(), run.optimizer.state_dict())
    for found, expected in zip(after[:2], before[:2], strict=True):
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    moments = (state["state"][0]["exp_avg"] for state in (after[2], before[2]))
    assert torch.equal(*moments)


def reads_outside_logging(source: str) -> list[int]:
    """Lines that take a number from a tensor, but under "if run.step % config.log_every == 0"."""
    tree = ast.parse(source)
    logging = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "log_every" in ast.unparse(node.test)]
    allowed = {id(inner) for node in logging for inner in ast.walk(node)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("item", "tolist", "numpy") and id(node) not in allowed
    ]


def test_the_loop_takes_numbers_from_tensors_for_the_log_only() -> None:
    assert reads_outside_logging(inspect.getsource(loop)) == []
    assert reads_outside_logging("x = loss.item()\nif run.step % config.log_every == 0:\n    y = loss.item()") == [1]


def test_batches_of_an_epoch_feed_the_step() -> None:
    training, _ = make_data(STILL)
    parts = list(train_batches(training, MicroBatchSampler(len(training), 16, 2, 0, 1, seed=0, epoch=1), STILL))
    assert len(parts) == 26
    assert parts[0][0].shape == (8, 3, 32, 32)
    assert step(fresh(STILL), STILL, parts[:2])[0].isfinite()
