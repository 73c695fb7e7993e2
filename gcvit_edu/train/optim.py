"""AdamW with named groups, and the learning rate as a function of the step."""

import math

from torch import nn
from torch.optim import AdamW

from gcvit_edu.train.config import TrainConfig


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two named groups for an optimiser: "decay" for matrices and kernels, "no_decay" for all the rest.

    The rest is everything of one dimension (biases, norms, layer scales) and what the model's no_weight_decay()
    names (tables of relative position bias).
    """
    exempt = model.no_weight_decay() if hasattr(model, "no_weight_decay") else set()
    groups: dict[str, list[nn.Parameter]] = {"decay": [], "no_decay": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups["no_decay" if parameter.ndim <= 1 or name in exempt else "decay"].append(parameter)
    decays = {"decay": weight_decay, "no_decay": 0.0}
    return [{"name": name, "params": group, "weight_decay": decays[name]} for name, group in groups.items()]


def make_optimizer(model: nn.Module, config: TrainConfig, *, fused: bool = False) -> AdamW:
    """AdamW over decay_groups; the learning rate is set at every step.

    Args:
        model: whose parameters it moves.
        config: decay, betas and peak rate.
        fused: all parameters in one kernel, the quickest on a GPU; equal up to rounding.
    """
    return AdamW(decay_groups(model, config.weight_decay), lr=config.lr, betas=config.betas, fused=fused or None)


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
