"""Exercise checkers: each accepts the right answer and names at least three typical mistakes."""

from collections.abc import Callable
from math import ceil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gcvit_edu.attention import WindowAttention, attend_explicit
from gcvit_edu.check import Verdict, ch01, ch02, ch05, proof_card
from gcvit_edu.check.verdict import compare
from gcvit_edu.position import relative_position_index
from gcvit_edu.windows import window_merge


def map_sizes(height: int, width: int, strides: tuple[int, ...] = (4, 8, 16, 32)) -> list[tuple[int, int]]:
    return [(ceil(height / stride), ceil(width / stride)) for stride in strides]


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, logits_to_weights: Callable[[Tensor], Tensor]) -> Tensor:
    return logits_to_weights(q @ k.transpose(-2, -1)) @ v


def entropy(scale: float, logarithm_of_base: float) -> float:
    torch.manual_seed(1)
    q, k = torch.randn(2, 300, 49, 32)
    logarithms = (q @ k.mT * scale).log_softmax(-1)
    return -(logarithms.exp() * logarithms).sum(-1).mean().item() / logarithm_of_base


def crossing(side: int, window: int, *, first: int = 0, wrap: bool = False, extra: int = 0) -> int:
    knows, blocks = {0}, 0
    while side - 1 not in knows:
        shift = window // 2 if (blocks + first) % 2 else 0
        number = [(token + window - shift) // window for token in range(side)]
        if wrap and shift:
            number = [((token - shift) % side) // window for token in range(side)]
        reached = {number[token] for token in knows}
        knows = {token for token in range(side) if number[token] in reached}
        blocks += 1
    return max(blocks, 1) + extra


def mask_in(fill: float, axis: str) -> Callable[..., Tensor]:
    def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor) -> Tensor:
        logits = q @ k.mT / q.shape[-1] ** 0.5 + bias
        mask = real[:, None, None, :] if axis == "keys" else real[:, None, :, None]
        return logits.masked_fill(~mask, fill).softmax(-1) @ v

    return attention


def zero_after(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor) -> Tensor:
    return attend_explicit(q, k, v, bias)[1] * real[:, None, None, :] @ v


def keys_and_queries(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor) -> Tensor:
    seen = real[:, None, None, :] & real[:, None, :, None]
    return (q @ k.mT / q.shape[-1] ** 0.5 + bias).masked_fill(~seen, -INFINITY).softmax(-1) @ v


def real_pairs(height: int, width: int, window: int) -> list[tuple[int, int]]:
    tokens = [(y, x) for y in range(height) for x in range(width)]
    if height * width > 100:  # the large maps fit their windows, or nearly: count by arithmetic
        rows = [min(window, height - y) for y in range(0, height, window)]
        columns = [min(window, width - x) for x in range(0, width, window)]
        return [(0, 0)] * sum((row * column) ** 2 for row in rows for column in columns)
    return [
        (0, 0) for a in tokens for b in tokens if all(i // window == j // window for i, j in zip(a, b, strict=True))
    ]


def cost(height: int, width: int, dim: int, window: float | None, products: int = 2) -> float:
    tokens = height * width
    return 4 * tokens * dim**2 + products * tokens * (tokens if window is None else round(window**2)) * dim


def field(layers: list[tuple[int, int]]) -> int:
    width, distance = 1, 1
    for kernel, stride in layers:
        width, distance = width + (kernel - 1) * distance, distance * stride
    return width


def own_stride(layers: list[tuple[int, int]]) -> int:
    width, distance = 1, 1
    for kernel, stride in layers:
        distance *= stride
        width += (kernel - 1) * distance
    return width


def single(size: int, depths: tuple[int, ...] = (3, 4, 19, 5)) -> int:
    stages = zip(depths, (4, 8, 16, 32), (7, 7, 14, 7), strict=True)
    return sum(depth for depth, stride, window in stages if ceil(size / stride) <= window)


def exactly_filled(size: int) -> int:
    stages = zip((3, 4, 19, 5), (4, 8, 16, 32), (7, 7, 14, 7), strict=True)
    return sum(depth for depth, stride, window in stages if ceil(size / stride) == window)


INFINITY = float("inf")
LOG_2 = 0.6931471805599453

RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch01.map_sizes, map_sizes),
    (ch01.windows_per_map, {1: 256, 2: 64, 3: 4, 4: 4}),
    (ch01.blocks_that_see_everything, 8),
    (ch02.attention_cost, cost),
    (ch02.square_takes_over, 23),
    (ch02.field_of_stack, field),
    (ch02.blocks_with_one_window, single),
    (ch02.growth_of_sight, 0.52),
    (ch02.tokens_that_see_the_corner, 4),
    (ch05.merge, window_merge),
    (ch05.attention_pairs, lambda h, w, s: ceil(h / s) * ceil(w / s) * s**4),
    (ch05.relative_index, relative_position_index),
    (ch05.attention, lambda q, k, v, b: attend_explicit(q, k, v, b)[0]),
    (ch05.masked_attention, lambda *a: attend_explicit(*a)[0]),
    (ch05.blocks_to_cross, crossing),
    (ch05.entropy_without_scale, entropy(1.0, LOG_2)),
]

WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (ch01.map_sizes, lambda h, w: map_sizes(w, h), "swapped"),
    (ch01.map_sizes, lambda h, w: [(h // s, w // s) for s in (4, 8, 16, 32)], "you round down"),
    (ch01.map_sizes, lambda h, w: map_sizes(h, w, (2, 4, 8, 16)), "the stem halves the image twice"),
    (ch01.map_sizes, lambda h, w: [(round(h / s), round(w / s)) for s in (4, 8, 16, 32)], "below one half"),
    (ch01.map_sizes, lambda h, w: 3, "Expected four pairs"),
    (ch01.windows_per_map, {1: 256, 2: 64, 3: 16, 4: 4}, "14 tokens wide, not 7"),
    (ch01.blocks_that_see_everything, 10, "no block there sees"),
    (ch01.windows_per_map, {1: 64, 2: 16, 3: 1, 4: 1}, "counts at 224"),
    (ch01.windows_per_map, {1: 16, 2: 8, 3: 2, 4: 2}, "one row"),
    (ch01.windows_per_map, {1: 112**2, 2: 56**2, 3: 28**2, 4: 14**2}, "counted tokens"),
    (ch01.windows_per_map, {1: 256, 2: 64, 3: 4, 4: 5}, "Stage 4"),
    (ch01.windows_per_map, {1: None, 2: None, 3: None, 4: None}, "Fill in"),
    (ch01.blocks_that_see_everything, 6, "These are the global blocks"),
    (ch01.blocks_that_see_everything, 4, "only the global blocks of stages 3 and 4"),
    (ch01.blocks_that_see_everything, 24, "count for tiny"),
    (ch02.attention_cost, lambda *a: cost(*a) - a[0] * a[1] * a[2] ** 2, "left the projection out"),
    (ch02.attention_cost, lambda *a: cost(*a, products=1), "counted one product"),
    (ch02.attention_cost, lambda *a: cost(*a) - 4 * a[0] * a[1] * a[2] ** 2, "left the linear layers out"),
    (ch02.attention_cost, lambda *a: 2 * cost(*a), "a multiply-add is two"),
    (ch02.attention_cost, lambda h, w, c, s: cost(h, w, c, s and s**0.5), "window**2 tokens"),
    (ch02.attention_cost, lambda h, w, c, s: cost(h, w, c, s or 7), "window=None"),
    (ch02.attention_cost, lambda h, w, c, s: cost(h, w, c, None), "not all of the map's"),
    (ch02.attention_cost, lambda *a: 1, "gives 1, which is not right"),
    (ch02.square_takes_over, 22, "still below"),
    (ch02.square_takes_over, 512, "number of tokens"),
    (ch02.square_takes_over, 17, "compared HW with C"),
    (ch02.square_takes_over, 99, "cost more already"),
    (ch02.square_takes_over, 5, "linear layers still cost more"),
    (ch02.square_takes_over, 22.6, "round up"),
    (ch02.square_takes_over, None, "Put your number"),
    (ch02.field_of_stack, lambda layers: 1 + sum(k - 1 for k, _ in layers), "left the strides out"),
    (ch02.field_of_stack, lambda layers: field([(k + 1, s) for k, s in layers]), "adds k - 1, not k"),
    (ch02.field_of_stack, own_stride, "own stride"),
    (ch02.blocks_with_one_window, lambda size: single(size - size % 32), "rounded up"),
    (ch02.blocks_with_one_window, lambda size: single(size, (1, 2, 9, 2)), "counted the global blocks"),
    (ch02.blocks_with_one_window, lambda size: 24, "right at 224 pixels only"),
    (ch02.blocks_with_one_window, lambda size: single(size) - exactly_filled(size), "as wide as its window"),
    (ch02.blocks_with_one_window, exactly_filled, "A map smaller than its window"),
    (ch02.growth_of_sight, 1.0, "growth of the whole field"),
    (ch02.growth_of_sight, 2.0, "turned it round"),
    (ch02.growth_of_sight, 1.386, "divide it by the logarithm"),
    (ch02.growth_of_sight, 3.9, "the power is its logarithm"),
    (ch02.growth_of_sight, "1/2", "Give a number"),
    (ch02.growth_of_sight, None, "Measure it"),
    (ch02.tokens_that_see_the_corner, 49, "freeze the gates"),
    (ch02.tokens_that_see_the_corner, 1, "margins"),
    (ch02.tokens_that_see_the_corner, 0, "second block"),
    (ch02.tokens_that_see_the_corner, 7, "7 is not it"),
    (ch02.tokens_that_see_the_corner, None, "Measure it"),
    (ch05.merge, lambda x, w, h, wd: window_merge(x.reshape(2, 2, 3, 4, 3).mT.mT, w, h, wd), "raised"),
    (ch05.merge, lambda x, w, h, wd: x.reshape(2, h, wd, 3), "became a strip"),
    (
        ch05.merge,
        lambda x, w, h, wd: window_merge(x.reshape(-1, 2, 2, 3).transpose(1, 2).reshape(-1, 4, 3), w, h, wd),
        "tokens inside each window are transposed",
    ),
    (
        ch05.merge,
        lambda x, w, h, wd: window_merge(x.reshape(2, 3, 2, 4, 3).transpose(1, 2).reshape(-1, 4, 3), w, h, wd),
        "column by column",
    ),
    (
        ch05.merge,
        lambda x, w, h, wd: window_merge(x.reshape(6, 2, 4, 3).transpose(0, 1).reshape(-1, 4, 3), w, h, wd),
        "different images are mixed",
    ),
    (
        ch05.merge,
        lambda x, w, h, wd: x.reshape(2, 3, 2, 2, 2, 3).permute(0, 1, 3, 2, 4, 5).reshape(2, h, wd, 3),
        "Rows and columns of windows are swapped",
    ),
    (ch05.attention_pairs, lambda h, w, s: len(real_pairs(h, w, s)), "left the padded tokens out"),
    (ch05.attention_pairs, lambda h, w, s: (h * w) ** 2, "whole map"),
    (ch05.attention_pairs, lambda h, w, s: ceil(h / s) * ceil(w / s) * s**2, "windows times tokens"),
    (ch05.attention_pairs, lambda h, w, s: (h // s) * (w // s) * s**4, "padded to whole windows first"),
    (ch05.attention_pairs, lambda h, w, s: h * w * s**2, "padded tokens are computed too"),
    (ch05.attention_pairs, lambda h, w, s: 5, "gives 5, which is not right"),
    (ch05.relative_index, lambda w: relative_position_index(w).float(), "with integers"),
    (ch05.relative_index, lambda w: relative_position_index(w).T, "sign is turned"),
    (ch05.relative_index, lambda w: by_hand(w, lambda y, x: (x + w - 1) * (2 * w - 1) + y + w - 1), "swapped"),
    (
        ch05.relative_index,
        lambda w: by_hand(w, lambda y, x: (y + w - 1) * w + x + w - 1),
        "multiplied the row offset by w",
    ),
    (ch05.relative_index, lambda w: by_hand(w, lambda y, x: y * (2 * w - 1) + x), "negative"),
    (ch05.relative_index, lambda w: by_hand(w, lambda y, x: y.abs() * (2 * w - 1) + x.abs()), "lost their sign"),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s / 5**0.5).softmax(-1)),
        "without the bias",
    ),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s + b).softmax(-1)),
        "without the division",
    ),
    (ch05.attention, lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s / 5 + b).softmax(-1)), "divided by d"),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: ((s + b) / 5**0.5).softmax(-1)),
        "divided the bias",
    ),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s / 5**0.5 + b).softmax(-2)),
        "over the queries",
    ),
    (
        ch05.attention,
        lambda q, k, v, b: softmax_attention(q, k, v, lambda s: (s / 5**0.5).softmax(-1) + b),
        "after the softmax",
    ),
    (ch05.attention, lambda q, k, v, b: attend_explicit(k, q, v, b)[0], "roles of q and k"),
    (ch05.attention, lambda q, k, v, b: attend_explicit(q, k, v, b), "Expected a tensor, got tuple"),
    (ch05.masked_attention, lambda q, k, v, b, r: attend_explicit(q, k, v, b)[0], "without a mask"),
    (ch05.masked_attention, lambda q, k, v, b, r: attend_explicit(q, k, v, b, ~r)[0], "turned round"),
    (ch05.masked_attention, keys_and_queries, "Mask the keys only"),
    (ch05.masked_attention, zero_after, "no longer sums to one"),
    (ch05.masked_attention, mask_in(0.0, "keys"), "a logit like any other"),
    (ch05.masked_attention, mask_in(-INFINITY, "queries"), "masked the queries"),
    (
        ch05.masked_attention,
        lambda q, k, v, b, r: attend_explicit(q, k, v * r[:, None, :, None], b)[0],
        "share of the weights",
    ),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, extra=-1), "One too few"),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, extra=1), "One too many"),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, first=1), "first block is not shifted"),
    (ch05.blocks_to_cross, lambda s, w: crossing(s, w, wrap=True), "round the edge"),
    (ch05.blocks_to_cross, lambda s, w: s // w, "number of windows in a row"),
    (ch05.blocks_to_cross, lambda s, w: 4, "4 is not the count"),
    (ch05.entropy_without_scale, entropy(32**-0.5, LOG_2), "with the division"),
    (ch05.entropy_without_scale, entropy(1.0, 1.0), "in nats"),
    (ch05.entropy_without_scale, -entropy(1.0, LOG_2), "sign is turned"),
    (ch05.entropy_without_scale, None, "Measure it"),
    (ch05.entropy_without_scale, torch.tensor(1.0), ".item()"),
]


def by_hand(window: int, row_of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    token = torch.arange(window**2)
    return row_of(token[:, None] // window - token // window, token[:, None] % window - token % window)


@pytest.mark.parametrize(("checker", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", ""))
def test_the_right_answer_is_accepted(checker: Callable[[Any], Verdict], answer: Any) -> None:
    verdict = checker(answer)
    assert verdict.right, verdict
    assert repr(verdict).startswith("Right. ")


@pytest.mark.parametrize(("checker", "answer", "diagnosis"), WRONG)
def test_a_typical_mistake_is_named(checker: Callable[[Any], Verdict], answer: Any, diagnosis: str) -> None:
    verdict = checker(answer)
    assert not verdict.right
    assert diagnosis in verdict.message, verdict
    assert repr(verdict).startswith("Not yet. ")


def test_every_checker_is_tried_with_three_mistakes() -> None:
    checkers = {
        function
        for module in (ch01, ch02, ch05)
        for name, function in vars(module).items()
        if callable(function) and getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert checkers == {checker for checker, _ in RIGHT}
    for checker in checkers:
        assert sum(checker is wrong for wrong, _, _ in WRONG) >= 3, checker.__name__


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda *_: None, "returned None"),
        (lambda *_: 1 / 0, "raised ZeroDivisionError"),
        (lambda *_: torch.zeros(2), "Expected the shape"),
        (lambda q, k, v, b: torch.full_like(q, float("nan")), "not a number"),
        (lambda q, k, v, b: torch.zeros_like(q), "the values are not"),
        (torch.zeros(3), "Give the function itself"),
    ],
)
def test_what_no_mistake_explains_still_gets_an_answer(answer: Any, message: str) -> None:
    assert message in ch05.attention(answer).message


def test_an_answer_that_works_in_place_cannot_spoil_the_comparison() -> None:
    def in_place(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
        result = attend_explicit(q, k, v, b)[0]
        for tensor in (q, k, v, b):
            tensor.zero_()
        return result

    assert ch05.attention(in_place).right


def test_compare_reports_the_largest_difference() -> None:
    assert "0.5" in compare(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]), "", {}).message


def test_proof_card_passes_equals_and_refuses_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    attention = WindowAttention(8, 2, 2).double()
    nn.init.normal_(attention.bias.table)
    x = torch.randn(1, 4, 4, 8)
    proof_card("a thing", {"one": attention, "two": lambda x: attention(x) * 1.0}, x)
    assert "equal" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="wrong forward differ from one"):
        proof_card("a thing", {"one": attention, "wrong forward": lambda x: attention(x) + 1e-9}, x)
    assert "DIFFERENT" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="wrong gradient"):
        proof_card("a thing", {"one": attention, "wrong gradient": lambda x: attention(x.detach()) + 0 * x.sum()}, x)
    with pytest.raises(AssertionError, match="not a number"):
        proof_card("a thing", {"one": attention, "not a number": lambda x: attention(x) + 0 * (x * 0).sqrt().sum()}, x)
    with pytest.raises(AssertionError, match="wrong shape"):
        proof_card("a thing", {"one": attention, "wrong shape": lambda x: attention(x)[:, :2]}, x)
