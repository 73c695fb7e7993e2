"""Right and wrong answers to the exercises of chapter 3, with the diagnosis each wrong one must get."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.check import Verdict, ch03


def interval(token: int, layers: list[tuple[int, int, int]], end: int = -1) -> tuple[int, int]:
    low = high = token
    for kernel, stride, padding in reversed(layers):
        low, high = low * stride - padding, high * stride - padding + kernel + end
    return low, high


def without_padding(token: int, layers: list[tuple[int, int, int]]) -> tuple[int, int]:
    return interval(token, [(kernel, stride, 0) for kernel, stride, _ in layers])


def in_the_middle(token: int, layers: list[tuple[int, int, int]], *, centred: bool = True) -> tuple[int, int]:
    low, high = interval(token, layers)
    stride = 1
    for layer in layers:
        stride *= layer[1]
    middle, half = token * stride + (stride // 2 if centred else 0), (high - low) // 2
    return middle - half, middle + half


def norm(
    x: Tensor, weight: Tensor, bias: Tensor, *, axes: tuple[int, ...] = (-1,), unbiased: bool = False, eps: float = 1e-5
) -> Tensor:
    deviation = (x.var(axes, unbiased=unbiased, keepdim=True) + eps).sqrt()
    return (x - x.mean(axes, keepdim=True)) / deviation * weight + bias


def by_slices(x: Tensor, weight: Tensor) -> Tensor:
    padded = F.pad(x, (1, 1, 1, 1))
    rows, columns = (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2
    out = torch.zeros(len(x), len(weight), rows, columns)
    for y in range(3):
        for z in range(3):
            cells = padded[:, :, y : y + 2 * rows - 1 : 2, z : z + 2 * columns - 1 : 2]
            out += torch.einsum("oc,bchw->bohw", weight[:, :, y, z], cells)
    return out


def place_by_place(x: Tensor, weight: Tensor) -> Tensor:
    padded = F.pad(x, (1, 1, 1, 1))
    rows = [
        torch.stack(
            [(padded[:, None, :, y : y + 3, z : z + 3] * weight).sum((2, 3, 4)) for z in range(0, x.shape[3], 2)], -1
        )
        for y in range(0, x.shape[2], 2)
    ]
    return torch.stack(rows, 2)


def late_slices(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, stride=2)


def repeated_border(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, stride=2)


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch03.output_rows, lambda h, k, t, p: (h + 2 * p - k) // t + 1),
    (ch03.layer_norm, norm),
    (ch03.pixel_interval, interval),
    (ch03.strided_convolution, by_slices),
    (ch03.centred_side, 321),
    (ch03.contrast, "conv.bias"),
]

WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch03.output_rows, lambda h, k, t, p: (h + p - k) // t + 1, "counts twice"),
    (ch03.output_rows, lambda h, k, t, p: (h - k) // t + 1, "left the padding out"),
    (ch03.output_rows, lambda h, k, t, p: (h + 2 * p - k) // t, "One is missing"),
    (ch03.output_rows, lambda h, k, t, p: (h + 2 * p) // t, "left the kernel out"),
    (ch03.output_rows, lambda h, k, t, p: -((k - h - 2 * p) // t) + 1, "Round down"),
    (ch03.output_rows, lambda h, k, t, p: (h + 1) // 2, "kernel 3, stride 2"),
    (ch03.output_rows, lambda h, k, t, p: int((h + 2 * p - k) / t) + 1, "Whole numbers only"),
    (ch03.layer_norm, lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b), "used layer_norm"),
    (ch03.layer_norm, lambda *a: norm(*a, unbiased=True), "by C - 1"),
    (ch03.layer_norm, lambda x, w, b: (x - x.mean(-1, True)) / (x.var(-1, False, True) + 1e-5) * w + b, "its root"),
    (
        ch03.layer_norm,
        lambda x, w, b: (x - x.mean(-1, True)) / (x.std(-1, False, True) + 1e-5) * w + b,
        "under the root",
    ),
    (ch03.layer_norm, lambda x, w, b: (x - x.mean(-1, True)) / x.std(-1, keepdim=True) * w + b, "is missing"),
    (
        ch03.layer_norm,
        lambda x, w, b: (x - x.mean(-1, True)) / (x.std(-1, keepdim=True) + 1e-5) * w + b,
        "torch.std divides by C - 1, not by C; and the 1e-5 belongs",
    ),
    (ch03.layer_norm, lambda *a: norm(*a, eps=0.0), "would give 0/0"),
    (ch03.layer_norm, lambda x, w, b: F.layer_norm(x, [6]), "weight and bias are missing"),
    (ch03.layer_norm, lambda *a: norm(*a, axes=(1, 2, 3)), "over the whole map"),
    (ch03.layer_norm, lambda *a: norm(*a, axes=(1, 2)), "each channel over the places"),
    (ch03.layer_norm, lambda *a: norm(*a, axes=(0, 1, 2)), "batch normalisation"),
    (ch03.layer_norm, lambda x, w, b: x / (x.var(-1, False, True) + 1e-5) ** 0.5 * w + b, "Subtract the mean"),
    (ch03.pixel_interval, without_padding, "left the padding out"),
    (ch03.pixel_interval, lambda token, layers: interval(token, layers[::-1]), "Go backwards"),
    (ch03.pixel_interval, lambda *a: (interval(*a)[0], interval(*a, end=0)[1]), "add kernel - 1"),
    (ch03.pixel_interval, in_the_middle, "sits on the first"),
    (ch03.pixel_interval, lambda *a: in_the_middle(*a, centred=False), "use the paddings"),
    (ch03.pixel_interval, lambda *a: (0, 0), "gives (0, 0)"),
    (ch03.strided_convolution, lambda x, w: F.conv2d(x, w.flip(2, 3), stride=2, padding=1), "flipped"),
    (ch03.strided_convolution, lambda x, w: F.conv2d(x, w.mT, stride=2, padding=1), "swapped"),
    (ch03.strided_convolution, lambda x, w: F.conv2d(x, w, padding=1), "stride is missing"),
    (ch03.strided_convolution, lambda x, w: F.conv2d(x, w, stride=2), "padding is missing"),
    (ch03.strided_convolution, lambda x, w: F.conv2d(x, w, stride=2, padding=1), "used conv2d"),
    (ch03.strided_convolution, place_by_place, "kernel's places only"),
    (ch03.strided_convolution, late_slices, "one cell too late"),
    (ch03.strided_convolution, repeated_border, "repeated the border"),
    (ch03.centred_side, 301, "enough for the stem"),
    (ch03.centred_side, 305, "there are three"),
    (ch03.centred_side, 320, "is even"),
    (ch03.centred_side, 225, "not above 300"),
    (ch03.centred_side, 353, "a smaller one"),
    (ch03.centred_side, 310, "is even"),
    (ch03.centred_side, None, "Find it by trying"),
    (ch03.contrast, "down.norm1.bias", "comes after the first norm"),
    (ch03.contrast, "down.norm2.weight", "says little"),
    (ch03.contrast, "stem.conv.bias", "has no parameter"),
    (ch03.contrast, None, "Find it by an experiment"),
]
