"""Right and wrong answers to the exercises of chapter 4, with the diagnosis each wrong one must get."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.check import Verdict, ch04


def cost(height: int, width: int, dim: int) -> int:
    return 9 * height * width * dim + dim**2 // 2 + height * width * dim**2


def conv(x: Tensor, kernels: Tensor, padding: int = 1) -> Tensor:
    return F.conv2d(x, kernels, padding=padding, groups=len(kernels))


def by_slices(x: Tensor, kernels: Tensor) -> Tensor:
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1))
    return sum(
        kernels[:, 0, y, z, None, None] * padded[:, :, y : y + height, z : z + width]
        for y in range(3)
        for z in range(3)
    )


def channel_by_channel(x: Tensor, kernels: Tensor) -> Tensor:
    channels = [by_slices(x[:, c : c + 1], kernels[c : c + 1]) for c in range(len(kernels))]
    return torch.cat(channels, 1)


def gates(
    x: Tensor, narrow: Tensor, widen: Tensor, activation: Callable = F.gelu, squeeze: Callable | None = None
) -> Tensor:
    squeezed = squeeze(x) if squeeze else x.mean((2, 3))
    return torch.sigmoid(activation(squeezed @ narrow.T) @ widen.T)


def logits(x: Tensor, narrow: Tensor, widen: Tensor) -> Tensor:
    return gates(x, narrow, widen).logit()


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch04.block_cost, cost),
    (ch04.depthwise, by_slices),
    (ch04.gates, gates),
    (ch04.gated_matrices, lambda m, a, b: torch.einsum("bo,oc,bc->boc", b, m, a)),
    (ch04.pointwise_factor, 0.58),
    (ch04.power_of_the_gates, -1.97),
]

WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch04.block_cost, lambda h, w, c: h * w * (9 * c + c**2 // 2 + c**2), "not once per place"),
    (ch04.block_cost, lambda h, w, c: cost(h, w, c) - c**2 // 2, "layers are missing"),
    (ch04.block_cost, lambda h, w, c: cost(h, w, c) - c**2 // 4, "there and back"),
    (ch04.block_cost, lambda h, w, c: cost(h, w, c) - h * w * c**2, "pointwise convolution is missing"),
    (ch04.block_cost, lambda h, w, c: cost(h, w, c) - 8 * h * w * c, "nine places"),
    (ch04.block_cost, lambda h, w, c: cost(h, w, c) + 9 * h * w * c * (c - 1), "ordinary 3x3"),
    (ch04.block_cost, lambda h, w, c: 2 * cost(h, w, c), "floating-point operations"),
    (ch04.block_cost, lambda h, w, c: cost(h, w, c) + 3 * c**2 // 2, "a quarter of the channels"),
    (ch04.block_cost, lambda h, w, c: cost(h, w, c) + h * w * c, "Do not count the scaling by the gates"),
    (ch04.block_cost, lambda h, w, c: cost(h, w, c) + c**2, "scaling of the weights"),
    (ch04.depthwise, conv, "used conv2d"),
    (ch04.depthwise, channel_by_channel, "kernel's places only"),
    (ch04.depthwise, lambda x, k: conv(x, k.flip(2, 3)), "flipped"),
    (ch04.depthwise, lambda x, k: conv(x, k.mT), "swapped"),
    (ch04.depthwise, lambda x, k: conv(x, torch.stack([k[0]] * 3)), "the first kernel"),
    (ch04.depthwise, lambda x, k: conv(x, k).sum(1, keepdim=True), "You summed over the channels"),
    (ch04.depthwise, lambda x, k: F.conv2d(x, k.mT.mT.transpose(0, 1).expand(3, 3, 3, 3), padding=1), "the sum of all"),
    (ch04.depthwise, lambda x, k: conv(x, k, 0), "padding is missing"),
    (ch04.depthwise, lambda x, k: conv(F.pad(x, (1, 1, 1, 1), mode="replicate"), k, 0), "repeated the border"),
    (ch04.depthwise, lambda x, k: conv(F.pad(x, (1, 1, 1, 1), mode="circular"), k, 0), "wraps round"),
    (ch04.gates, logits, "sigmoid at the end"),
    (ch04.gates, lambda *a: logits(*a).softmax(-1), "softmax"),
    (ch04.gates, lambda *a: gates(*a, activation=F.relu), "ReLU"),
    (ch04.gates, lambda *a: gates(*a, activation=torch.clone), "activation between"),
    (ch04.gates, lambda *a: gates(*a, squeeze=lambda x: x.amax((2, 3))), "by the maximum"),
    (ch04.gates, lambda *a: gates(*a, squeeze=lambda x: x.sum((2, 3))), "by the sum"),
    (ch04.gates, lambda *a: gates(*a, squeeze=lambda x: x.mean((0, 2, 3))[None]).repeat(2, 1), "over the images"),
    (ch04.gates, lambda x, n, w: x * gates(x, n, w)[..., None, None], "scaled map"),
    (ch04.gated_matrices, lambda m, a, b: torch.einsum("bo,oc,bc->boc", a, m, b), "changed places"),
    (ch04.gated_matrices, lambda m, a, b: torch.einsum("oc,bc->boc", m, a), "that come out are missing"),
    (ch04.gated_matrices, lambda m, a, b: torch.einsum("oc,bo->boc", m, b), "that go in are missing"),
    (ch04.gated_matrices, lambda m, a, b: m * (a * b)[:, None, :], "Both sets scale the columns"),
    (ch04.gated_matrices, lambda m, a, b: m * (a * b)[:, :, None], "Both sets scale the rows"),
    (ch04.gated_matrices, lambda m, a, b: (b[0][:, None] * m * a[0]).repeat(3, 1, 1), "the first one's gates"),
    (ch04.gated_matrices, lambda m, a, b: torch.einsum("bo,oc,bc->bco", b, m, a), "transposed"),
    (ch04.gated_matrices, lambda m, a, b: (a * b)[:, :, None] * torch.eye(4), "mixing is missing"),
    (ch04.pointwise_factor, 3**0.5, "wrong way round"),
    (ch04.pointwise_factor, 0.333, "factor of the variance"),
    (ch04.pointwise_factor, 0.5, "gates' factor"),
    (ch04.pointwise_factor, 0.55, "like the depthwise"),
    (ch04.pointwise_factor, 0.67, "GELU's factor"),
    (ch04.pointwise_factor, 0.083, "the whole block"),
    (ch04.pointwise_factor, 0.9, "is not right"),
    (ch04.pointwise_factor, None, "Measure it"),
    (ch04.pointwise_factor, torch.tensor(0.577), ".item()"),
    (ch04.power_of_the_gates, 2.0, "is negative"),
    (ch04.power_of_the_gates, -1.0, "number of places"),
    (ch04.power_of_the_gates, 0.0, "does not change"),
    (ch04.power_of_the_gates, -3.0, "is not right"),
    (ch04.power_of_the_gates, None, "Measure it"),
    (ch04.power_of_the_gates, torch.tensor(-2.0), ".item()"),
]
