"""Checkers of chapter 4, Fused MBConv."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.check.answers import call, number
from gcvit_edu.check.forbidden import steps
from gcvit_edu.check.verdict import Verdict, all_right, checker, compare, compare_cases, compare_measured, not_yet


@checker()
def block_cost(function: Callable[[int, int, int], int]) -> Verdict:
    """Exercise 4.1: function(height, width, dim) counts the multiply-adds of a fused MBConv."""

    def cost(height: int, width: int, dim: int, *, around: int = 9, gates: int = 2, mix: int = 1) -> int:
        places = height * width
        return around * places * dim + gates * dim * (dim // 4) + mix * places * dim**2

    mistakes = {
        "The gates are computed once per image, not once per place.": lambda h, w, c: (
            cost(h, w, c, gates=0) + h * w * c**2 // 2
        ),
        "The gates' two linear layers are missing.": lambda *case: cost(*case, gates=0),
        "The gates take two linear layers, there and back.": lambda *case: cost(*case, gates=1),
        "Do not count the scaling by the gates, the means and the residual addition.": lambda h, w, c: (
            cost(h, w, c) + h * w * c
        ),
        "Do not count the scaling of the weights by the gates.": lambda h, w, c: cost(h, w, c) + c**2,
        "The pointwise convolution is missing.": lambda *case: cost(*case, mix=0),
        "A depthwise kernel has nine places, not one.": lambda *case: cost(*case, around=1),
        "That is an ordinary 3x3 convolution's price; the depthwise one mixes no channels.": lambda h, w, c: (
            cost(h, w, c) + 9 * h * w * c * (c - 1)
        ),
        "You counted floating-point operations; a multiply-add is two of them.": lambda *case: 2 * cost(*case),
        "The gates' linear layers go through a quarter of the channels.": lambda h, w, c: cost(h, w, c, gates=8),
    }
    cases = [(56, 56, 64), (7, 14, 128), (1, 1, 8), (14, 28, 96), (5, 3, 12)]
    return compare_cases(function, cases, cost, mistakes, "Nearly all of it is the pointwise convolution.")


@checker(without=("torch.conv2d", "torch.convolution"))
def depthwise(function: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 4.2: function(x, kernels) is a depthwise 3x3 convolution."""
    generator = torch.Generator().manual_seed(4)

    def tried(x: Tensor, kernels: Tensor) -> Verdict:
        def conv(x: Tensor, kernels: Tensor, padding: int = 1) -> Tensor:
            return F.conv2d(x, kernels, padding=padding, groups=len(kernels))

        right = conv(x, kernels)
        mistakes = {
            "Your kernels are flipped; neural networks do not flip them.": conv(x, kernels.flip(2, 3)),
            "Rows and columns of your kernels are swapped.": conv(x, kernels.mT),
            "All channels got the first kernel; each has its own.": conv(x, kernels[:1].expand_as(kernels)),
            "You summed over the channels; a depthwise convolution keeps them apart.": right.sum(1, keepdim=True),
            "Every channel holds the sum of all; a depthwise convolution keeps them apart.": right.sum(1, keepdim=True)
            .expand_as(right)
            .clone(),
            "The padding is missing.": conv(x, kernels, padding=0),
            "Your map wraps round at the border; pad with zeros.": conv(
                F.pad(x, (1, 1, 1, 1), mode="circular"), kernels, padding=0
            ),
            "Pad with zeros; you repeated the border.": conv(
                F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels, padding=0
            ),
        }
        return compare(call(function, x, kernels), right, "Nine slices, and no channel has met another.", mistakes)

    shapes = ((2, 3, 5, 6), (1, 5, 4, 7), (3, 1, 3, 4), (2, 4, 8, 8))
    verdict = all_right(
        tried(torch.randn(shape, generator=generator), torch.randn(shape[1], 1, 3, 3, generator=generator))
        for shape in shapes
    )
    small, large = (torch.ones(1, 2, 4, 4), torch.ones(2, 1, 3, 3)), (torch.ones(3, 4, 8, 6), torch.ones(4, 1, 3, 3))
    if verdict and steps(function, *small) < steps(function, *large):
        return not_yet("The result is right, but a larger map takes more steps. Loop over the kernel's places only.")
    return verdict


@checker()
def gates(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 4.3: function(x, narrow, widen) computes the gates, (B, C)."""
    generator = torch.Generator().manual_seed(5)

    def tried(x: Tensor, narrow: Tensor, widen: Tensor) -> Verdict:
        def gate(squeezed: Tensor, activation: Callable[[Tensor], Tensor] = F.gelu) -> Tensor:
            return torch.sigmoid(F.linear(activation(F.linear(squeezed, narrow)), widen))

        means = x.mean((2, 3))
        right = gate(means)
        logits = F.linear(F.gelu(F.linear(means, narrow)), widen)
        mistakes = {
            "The sigmoid at the end is missing.": logits,
            "You used a softmax; each gate is on its own, by a sigmoid.": logits.softmax(-1),
            "You used a ReLU, as the original does; here it is a GELU.": gate(means, F.relu),
            "The activation between the two linear layers is missing.": gate(means, lambda value: value),
            "You squeezed by the maximum; take the mean.": gate(x.amax((2, 3))),
            "You squeezed by the sum; take the mean, or the gates depend on the map's size.": gate(x.sum((2, 3))),
            "You took the mean over the images too: they must not meet.": gate(
                means.mean(0, keepdim=True).expand_as(means)
            ),
            "You returned the scaled map; the exercise asks for the gates.": x * right[:, :, None, None],
        }
        return compare(call(function, x, narrow, widen), right, "Eight numbers that know the whole picture.", mistakes)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return all_right(
        tried(random(b, c, h, w) + random(b, c, 1, 1), random(c // 4, c), random(c, c // 4))
        for b, c, h, w in ((2, 8, 4, 5), (3, 12, 6, 3), (1, 4, 1, 1))
    )


@checker()
def gated_matrices(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Verdict:
    """Exercise 4.4: function(mix, before, after) puts each image's gates, of both sides, into the pointwise weights."""
    generator = torch.Generator().manual_seed(6)

    def tried(mix: Tensor, before: Tensor, after: Tensor) -> Verdict:
        columns, rows = before[:, None, :], after[:, :, None]
        right = rows * mix * columns
        mistakes = {
            "The two sets changed places: columns belong to the channels that go in, rows to those that come out.": (
                after[:, None, :] * mix * before[:, :, None]
            ),
            "The gates of the channels that come out are missing: they scale the rows.": mix * columns,
            "The gates of the channels that go in are missing: they scale the columns.": mix * rows,
            "Both sets scale the columns; the gates after the mixing scale the rows.": mix
            * columns
            * after[:, None, :],
            "Both sets scale the rows; the gates before the mixing scale the columns.": mix * rows * before[:, :, None],
            "All images got the first one's gates.": right[:1].expand_as(right).clone(),
            "Your matrices are transposed: output channels come first.": right.mT,
            "These matrices only scale; the mixing is missing.": torch.diag_embed(before * after),
        }
        return compare(
            call(function, mix, before, after),
            right,
            "Now answer the questions: why not the depthwise weights?",
            mistakes,
        )

    return all_right(
        tried(torch.randn(c, c, generator=generator), *torch.rand(2, b, c, generator=generator))
        for b, c in ((3, 4), (1, 3), (5, 2), (2, 2))
    )


@checker()
def pointwise_factor(answer: float) -> Verdict:
    """Exercise 4.5: the factor by which a pointwise convolution shrinks the gradient at the start."""
    answer = number(answer)
    mistakes = {
        "You have it the wrong way round: after divided by before is below 1.": (3**0.5, 0.1),
        "That is the factor of the variance; the size is its root.": (1 / 3, 0.03),
        "That looks like the depthwise convolution, which loses a little at the border.": (0.549, 0.014),
        "That is the GELU's factor.": (0.67, 0.03),
        "That is the gates' factor (or did you use .sum()? Take a random direction).": (0.5, 0.03),
        "That is the factor of the whole block.": (0.095, 0.025),
    }
    otherwise = f"{answer:.2g} is not right. Measure one nn.Conv2d(64, 64, 1, bias=False) alone, several times."
    praise = "Now answer the questions: what of the other three, and can you compute them?"
    return compare_measured(answer, (3**-0.5, 0.015), praise, mistakes, otherwise)


@checker()
def power_of_the_gates(answer: float) -> Verdict:
    """Exercise 4.6: the power of the map's side with which the gates' influence falls."""
    answer = number(answer)
    mistakes = {
        "The influence falls with the side, so the power is negative.": (2.0, 0.15),
        "Is that the power of the number of places? The question is about the side, at the same constant map.": (
            -1.0,
            0.15,
        ),
        "The influence does not change? Make sure that place (0, 0) is not the token that you ask.": (0.0, 0.15),
    }
    otherwise = f"{answer:.2g} is not right. Use the same module and the same constant map at all sides."
    praise = "Now answer the questions: why this power, and what of a maximum?"
    return compare_measured(answer, (-2.0, 0.15), praise, mistakes, otherwise)
