"""A moving average of the weights, which often classifies better than the weights themselves."""

import copy

import torch
from torch import nn


def average_of(model: nn.Module) -> nn.Module:
    """A copy of the model for update_average to move: in eval mode, without gradients."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def decay_at(step: int, decay: float) -> float:
    """The decay of a step: the wanted one, but at first (1 + step) / (10 + step), so that the start is forgotten.

    Args:
        step: steps of the optimiser done before this one.
        decay: the wanted decay.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move each weight of the average towards the model's by 1 - decay; buffers are copied."""
    ours, theirs = list(average.parameters()), [value.detach() for value in model.parameters()]
    torch._foreach_lerp_(ours, theirs, 1 - decay)
    for kept, new in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(new)
