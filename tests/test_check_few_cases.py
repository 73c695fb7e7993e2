"""Wrong answers that agree with the right one in a few cases: the first that comes to mind, or those of the book."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from _answers_appendix_a import to_timm
from _answers_ch03 import by_slices as convolved
from _answers_ch04 import by_slices as depthwise
from _answers_ch04 import gates
from _answers_ch05 import merged, one_by_one
from _answers_ch06 import by_slices as pooled
from _answers_ch08 import parameters
from _answers_ch09 import by_place, centred
from _answers_ch10 import rate
from _answers_ch11 import put, walk
from _answers_ch14 import head, probe
from _checkers import Checker
from torch import Tensor, nn

from gcvit_edu.attention import attend_explicit
from gcvit_edu.check import appendix_a, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11, ch12, ch13, ch14


def window_seven(height: int, width: int, dim: int, window: int | None) -> int:
    return 4 * height * width * dim**2 + 2 * height * width * (49 if window else height * width) * dim


def local_cost(h: int, w: int, c: int, s: int, r: int) -> int:
    return h * w * c * (4 * c + 2 * s**2 + 2 * r * c)


def of_the_table(size: int) -> int:
    return {224: 24, 225: 0, 32: 28, 56: 28, 448: 0, 112: 24, 230: 0}.get(size, 24)


def quiet_by_name(model: Any) -> nn.Module:
    """Takes the head by the name that the book's networks give it."""
    model.requires_grad_(False).eval()
    model.get_submodule("head").requires_grad_(True).train()
    return model


def heads_of_two(x: Tensor, num_heads: int) -> Tensor:
    return x.reshape(len(x), 2, -1, x.shape[2] * x.shape[3]).transpose(2, 3)


def blend_any_head(before: dict, after: dict, share: float) -> dict:
    return {name: v if "head" in name else torch.lerp(before[name], v, share) for name, v in after.items()}


def names_to_nine(name: str) -> str:
    """Takes the number of a block for one digit."""
    return to_timm(name).replace("blocks.10", "blocks.1.0")


def for_this_size(tensors: Callable[..., Tensor], *shape: int) -> Callable[..., Tensor]:
    return lambda *arguments: tensors(*arguments).reshape(shape)


# What a reader may write after looking at one example.
WRONG: list[tuple[Checker, Any]] = [
    (ch02.attention_cost, window_seven),
    (ch02.blocks_with_one_window, of_the_table),
    (ch03.output_rows, lambda h, k, t, p: int((h + 2 * p - k) / t) + 1),
    (ch03.layer_norm, lambda x, w, b: torch.layer_norm(x, [6], w, b)),
    (ch03.strided_convolution, for_this_size(convolved, 2, 4, 4, 5)),
    (ch04.depthwise, for_this_size(depthwise, 2, 3, 5, 6)),
    (ch04.gates, lambda x, n, w: gates(x, n, w, squeeze=lambda x: x.sum((2, 3)) / 20)),
    (ch04.gated_matrices, lambda m, a, b: torch.einsum("bo,oc,bc->boc", b, m, a).reshape(3, 4, 4)),
    (ch05.merge, lambda x, w, h, wd: merged(x, 2, h, wd)),
    (ch05.merge, lambda x, w, h, wd: merged(x, w, h, wd).reshape(2, h, wd, 3)),
    (ch05.relative_index, lambda w: one_by_one(3)),
    (ch05.attention, lambda q, k, v, b: attend_explicit(q * (q.shape[-1] / 5) ** 0.5, k, v, b)[0]),
    (ch05.masked_attention, lambda q, k, v, b, r: attend_explicit(q, k, v, b, r)[0].reshape(3, 2, 4, 5)),
    (ch05.blocks_to_cross, lambda s, w: {8: 1, 16: 3, 32: 7, 56: 15, 20: 9, 11: 3}.get(s, 2)),
    (ch06.halvings, lambda side, window: max(0, round(math.log2(max(1, round(side / window)))))),
    (ch06.max_pool, for_this_size(pooled, 2, 3, 4, 5)),
    (ch06.heads, heads_of_two),
    (ch06.heads, lambda x, h: x.reshape(len(x), h, 3, -1).transpose(2, 3)),
    (ch06.spread, lambda q, n: q[:, None].expand(-1, 4, -1, -1, -1).flatten(0, 1)),
    (ch06.spread, lambda q, n: q[:, None].expand(-1, q.shape[2], -1, -1, -1).flatten(0, 1)),
    (ch06.share_of_right_queries, lambda b, n: 1 / b if n > 1 else 1.0),
    (ch07.drop_path, lambda x, kept, p: (x * kept[:, None, None, None] / (1 - p))[:4].reshape(4, 2, 3, 5)),
    (
        ch07.block_cost,
        lambda h, w, c, s, r, g: h * w * c * (3 * c + 2 * 49 + 6 * c) if g else local_cost(h, w, c, s, r),
    ),
    (ch08.block_parameters, lambda c, h, w, r, g: parameters(c, h, w, round(r), g)),
    (appendix_a.timm_name, names_to_nine),
    (appendix_a.report, lambda found, wanted: [sorted(wanted.keys() - found), ["y.bias", "z.bias"], ["e.weight"]]),
    (ch09.whole_windows, lambda *sides: all(220 < side < 225 or side == 448 for side in sides)),
    (ch09.rows_covered, lambda n, w, i: (i * n // 7, -(-(i + 1) * n // 7) - 1)),
    (ch09.resized_row, lambda row, window: by_place(row, window, 0.6, "linear")),
    (ch09.centred_padding, lambda x, w: centred(x, 4)),
    (
        ch10.smoothed_loss,
        lambda z, label, k: -(z.log_softmax(0) * ((1 - k) * (torch.arange(7) == label) + k / 7)).sum(),
    ),
    (ch10.plateau, lambda step, total, warmup, cooldown, peak: rate(step, total, 8, 12, peak)),
    (ch10.part_factors, lambda sizes: [size / 84 for size in sizes]),
    (ch11.mean_of_columns, lambda w: w.mean((2, 3)).reshape(2, 3, 5)),
    (ch11.put_together, lambda v, w, h, wd: put(v, 3, h, wd)),
    (ch11.rolled_out, lambda matrices, stay: walk(matrices[:3], 0.7)),
    (ch11.points_at, lambda values, mask: mask[values == values.max()].double().mean() if (values > 0).all() else 0.5),
    (ch12.one_vector, lambda q: q.mean((0, 2), keepdim=True).expand(3, 2, 4, 5)),
    (ch12.drawn_accuracy, lambda r, g, d: torch.cat([r[g == one] for one in (3, 0, 3, 2)]).double().mean()),
    (ch13.share_seen, lambda w, h, s, r: r**2 * (h / w if h < w else (w / h if r == 1 else 1))),
    (ch14.kept_rows, lambda w, b, old, new: tuple(one[:3] for one in head(w, b, old, ["bird", "dog", "cat"]))),
    (ch14.quiet, quiet_by_name),
    (ch14.probe, lambda x, y, n, r: probe(x, y, int(y.max()) + 1, r)),
    (ch14.blend, blend_any_head),
]


@pytest.mark.parametrize(("check", "answer"), WRONG, ids=[f"{c.__name__}-{n}" for n, (c, _) in enumerate(WRONG)])
def test_an_answer_that_is_right_in_a_few_cases_only_is_refused(check: Checker, answer: Any) -> None:
    verdict = check(answer)
    assert not verdict
    assert "cannot be compared" not in verdict.message


def test_the_case_in_which_it_fails_is_told() -> None:
    message = ch06.max_pool(for_this_size(pooled, 2, 3, 4, 5)).message
    assert "shapes (1, 2, 8, 6)" in message
    assert (
        "Right in the first case" in ch09.resized_row(lambda row, window: by_place(row, window, 0.6, "linear")).message
    )
    assert "one half" in ch06.share_of_right_queries(lambda b, n: 1 / b if n > 1 else 1.0).message
