"""Temporary changes of a trained network: record modules, freeze them, change its global query."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gcvit_edu.model import GCViT


@contextmanager
def changed_query(
    model: GCViT, change: Callable[[Tensor], Tensor], stages: Sequence[int] | None = None
) -> Iterator[None]:
    """A context in which the global query of some stages, (B, h, T, d), first goes through a function.

    Args:
        model: a GCViT whose stages have global queries.
        change: returns a query of the same shape.
        stages: indices from 0; None for all.
    """
    chosen = range(len(model.stages)) if stages is None else stages
    queries = [model.stages[index].query for index in chosen]  # an index that is wrong fails here, before any hook
    hooks = [query.register_forward_hook(lambda _, __, output: change(output)) for query in queries]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def shuffled(query: Tensor, seed: int) -> Tensor:
    """(B, h, T, d) -> the same: the cells change places at random, the same way for all images and heads."""
    order = torch.randperm(query.shape[2], generator=torch.Generator().manual_seed(seed))
    return query[:, :, order.to(query.device)]


def noise_like(query: Tensor, seed: int) -> Tensor:
    """(B, h, T, d) -> the same: noise with the mean and the deviation that each channel has over images and cells."""
    noise = torch.randn(query.shape, generator=torch.Generator().manual_seed(seed)).to(query)
    deviation, mean = torch.std_mean(query, dim=(0, 2), correction=0, keepdim=True)
    return mean + deviation * noise


# Each takes the query of a batch, (B, h, T, d), and a seed, and returns another of the same shape. Those that mix
# images need a batch of two or more, in an order that is independent of the classes.
QUERY_CHANGES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "unchanged": lambda query, seed: query,
    "neighbour's": lambda query, seed: query.roll(1, 0),
    "mean of images": lambda query, seed: query.mean(0, keepdim=True).expand_as(query),
    "mean of cells": lambda query, seed: query.mean(2, keepdim=True).expand_as(query),
    "cells shuffled": shuffled,
    "heads rotated": lambda query, seed: query.roll(1, 1),
    "noise": noise_like,
    "zero": lambda query, seed: torch.zeros_like(query),
}


@contextmanager
def recorded(modules: Sequence[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """A context whose dictionary gets each module's latest output."""
    outputs: dict[nn.Module, Tensor] = {}
    hooks = [module.register_forward_hook(lambda own, _, out: outputs.update({own: out})) for module in modules]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def frozen(outputs: Mapping[nn.Module, Tensor]) -> Iterator[None]:
    """A context in which modules return earlier outputs, from recorded, whatever their inputs."""
    hooks = [module.register_forward_hook(lambda own, *_: outputs[own]) for module in outputs]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
