"""AdamW with named groups, and the learning rate as a function of the step."""

import copy
import math

import torch
from torch import nn
from torch.optim import AdamW

from gcvit_edu.train.config import TrainConfig


def decay_groups(model: nn.Module, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, object]]:
    """Named groups for an optimiser: "decay" for matrices and kernels, "no_decay" for all the rest.

    The rest is everything of one dimension (biases, norms, layer scales) and what the model's no_weight_decay()
    names (tables of relative position bias). Frozen parameters are in no group.

    With a layer_decay below 1, each layer has two groups of its own, "decay_0" and "no_decay_0" for the head's, and
    lr_scale is the share of the learning rate that they train with: layer_decay ** layer_depths. Layers near the
    image then stay near what they had learned before (Clark et al. 2020, ELECTRA; for vision Bao et al. 2022, BEiT).

    Args:
        model: with layer_depths' names, if layer_decay is below 1.
        weight_decay: of the matrices and kernels.
        layer_decay: factor on the learning rate for each layer between the head and a weight.

    Raises:
        ValueError: as layer_depths does.
    """
    exempt = model.no_weight_decay() if hasattr(model, "no_weight_decay") else set()
    depths = layer_depths(model) if layer_decay != 1 else {}
    groups: dict[tuple[str, int], list[nn.Parameter]] = {("decay", 0): [], ("no_decay", 0): []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kind = "no_decay" if parameter.ndim <= 1 or name in exempt else "decay"
            groups.setdefault((kind, depths.get(name, 0)), []).append(parameter)
    return [
        {
            "name": f"{kind}_{depth}" if depths else kind,
            "params": group,
            "weight_decay": weight_decay if kind == "decay" else 0.0,
            "lr_scale": layer_decay**depth,
        }
        for (kind, depth), group in groups.items()
    ]


def layer_depths(model: nn.Module) -> dict[str, int]:
    """{name of a parameter: layers from it to the head}: 0 for the head, the most for the stem.

    For GC ViT: the head is 0, the last block and the norm after it are 1, and each block before has one more, through
    all stages. A stage's downsampler and its query generator count as part of the stage's first block, which is the
    first to use their output; the stem has one more than the first block of all. So nano has depths from 0 to 11.
    For other models timm's rule holds: the model's own group_matcher(), read from its end.

    Raises:
        ValueError: for a model without group_matcher().
    """
    from timm.models import group_parameters  # timm takes seconds to import

    if not hasattr(model, "group_matcher"):
        raise ValueError(f"{type(model).__name__} has no group_matcher() to name its layers; set layer_decay=1")
    layers = group_parameters(model, model.group_matcher(), reverse=True)
    return {name: max(layers.values()) - layer for name, layer in layers.items()}


def make_optimizer(model: nn.Module, config: TrainConfig, *, fused: bool = False) -> AdamW:
    """AdamW over decay_groups; the learning rate is set at every step.

    Args:
        model: the model to train.
        config: decay, betas and peak rate.
        fused: all parameters in one kernel, the quickest on a GPU; equal up to rounding.
    """
    groups = decay_groups(model, config.weight_decay, config.layer_decay)
    return AdamW(groups, lr=config.lr, betas=config.betas, fused=fused or None)


def learning_rate(step: int, *, total: int, warmup: int, first: float, peak: float, last: float) -> float:
    """The rate of a step: linear from first to peak in the warm-up, then half a cosine down to last.

    Args:
        step: counted from 0 to total - 1.
        total: steps of the whole run, warm-up included.
        warmup: steps of the warm-up; step number warmup has the peak.
        first: rate of step 0, if there is a warm-up.
        peak: highest rate.
        last: rate of the last step.
    """
    if step < warmup:
        return first + (peak - first) * step / warmup
    share = (step - warmup) / max(1, total - 1 - warmup)
    return last + (peak - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def make_ema(model: nn.Module) -> nn.Module:
    """A copy of the model for update_ema to move: in eval mode, without gradients."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def decay_at(step: int, decay: float) -> float:
    """The decay of a step: the wanted one, but at first (1 + step) / (10 + step), to forget the start.

    Args:
        step: steps of the optimiser done before this one.
        decay: the wanted decay.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move each weight of the average towards the model's by 1 - decay; buffers are copied.

    Args:
        average: changed in place.
        model: after a step.
        decay: share of the average that stays, from decay_at.
    """
    ours, theirs = list(average.parameters()), [value.detach() for value in model.parameters()]
    torch._foreach_lerp_(ours, theirs, 1 - decay)
    for kept, new in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(new)
