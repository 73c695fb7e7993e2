"""Attention: fused, explicit and loop versions agree, and its properties hold."""

from itertools import product

import pytest
import torch
from _support import enlarge_weights, loop_attention
from torch import Tensor

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention, attend, attend_explicit
from gcvit_edu.windows import pad_to_windows

HEADS, WINDOW, DIM = 2, 3, 8


def local(dtype: torch.dtype = torch.float64) -> WindowAttention:
    attn = WindowAttention(DIM, HEADS, WINDOW)
    enlarge_weights(attn)
    return attn.to(dtype)


def global_(dtype: torch.dtype = torch.float64) -> GlobalWindowAttention:
    attn = GlobalWindowAttention(DIM, HEADS, WINDOW)
    enlarge_weights(attn)
    return attn.to(dtype)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def parts(shared: bool, padded: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """q, k, v, bias and mask for two images of four windows of nine tokens."""
    batch, windows, tokens, d = 2, 4, 9, 4
    q = noise(batch if shared else batch * windows, HEADS, tokens, d, seed=1)
    k, v = (noise(batch * windows, HEADS, tokens, d, seed=seed) for seed in (2, 3))
    real = None
    if padded:
        real = torch.ones(windows, tokens, dtype=torch.bool)
        real[1, 6:] = False
        real[3, 1:] = False
    return q, k, v, noise(HEADS, tokens, tokens, seed=4), real


@pytest.mark.parametrize(("shared", "padded", "grad"), list(product([False, True], repeat=3)))
def test_fused_equals_explicit(shared: bool, padded: bool, grad: bool) -> None:
    q, k, v, bias, real = parts(shared, padded)
    with torch.set_grad_enabled(grad):
        found = attend(q, k, v, bias, real)
        expected, _ = attend_explicit(q, k, v, bias, real)
    torch.testing.assert_close(found, expected)


def test_the_fused_kernel_is_used_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = torch.nn.functional.scaled_dot_product_attention
    calls = []
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **kwargs: calls.append(1) or kernel(*args, **kwargs),
    )
    with torch.no_grad():
        for shared, padded in product([False, True], repeat=2):
            attend(*parts(shared, padded))
    assert len(calls) == 2  # not with padding
    attend(*parts(False, False))
    assert len(calls) == 2  # nor on the CPU while gradients are recorded


@pytest.mark.parametrize(("shared", "padded"), list(product([False, True], repeat=2)))
def test_gradients_of_both_paths_agree_with_finite_differences(shared: bool, padded: bool) -> None:
    q, k, v, bias, real = parts(shared, padded)
    inputs = [tensor[..., :5, :].requires_grad_() for tensor in (q, k, v)]
    bias = bias[:, :5, :5].clone().requires_grad_()
    real = None if real is None else real[:, :5]
    assert torch.autograd.gradcheck(lambda *args: attend(*args, real), (*inputs, bias), fast_mode=True)


@pytest.mark.parametrize(("shared", "padded"), list(product([False, True], repeat=2)))
def test_rows_of_the_map_sum_to_one_and_padding_gets_nothing(shared: bool, padded: bool) -> None:
    q, k, v, bias, real = parts(shared, padded)
    _, weights = attend_explicit(q, k, v, bias, real)
    assert weights.shape == (8, HEADS, 9, 9)
    torch.testing.assert_close(weights.sum(-1), torch.ones(8, HEADS, 9, dtype=torch.float64))
    if real is not None:
        hidden = ~real.repeat(2, 1)[:, None, None, :].expand_as(weights)
        assert hidden.any()
        assert torch.all(weights[hidden] == 0)
        assert torch.all(weights[~hidden] > 0)


def test_inputs_are_left_alone() -> None:
    inputs = parts(shared=True, padded=True)
    before = [tensor.clone() for tensor in inputs]
    attend(*inputs)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(inputs, before, strict=True))


@pytest.mark.parametrize("size", [(3, 3), (6, 6), (3, 9), (5, 7), (2, 4), (1, 1)], ids=str)
@pytest.mark.parametrize("use_global", [False, True])
def test_equals_loops_forward_and_backward(size: tuple[int, int], use_global: bool) -> None:
    attn = global_() if use_global else local()
    x = noise(2, *size, DIM, seed=5).requires_grad_()
    query = noise(2, HEADS, WINDOW**2, DIM // HEADS, seed=6).requires_grad_()
    found = attn(x, query) if use_global else attn(x)
    expected = loop_attention(attn, x, query if use_global else None)
    torch.testing.assert_close(found, expected)

    mix = noise(*found.shape, seed=7)
    wanted = [x, *([query] if use_global else []), *attn.parameters()]
    ours = torch.autograd.grad((found * mix).sum(), wanted)
    theirs = torch.autograd.grad((expected * mix).sum(), wanted)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_the_loops_would_notice_a_missing_bias() -> None:
    attn = local()
    x = noise(1, 3, 3, DIM)
    expected = loop_attention(attn, x)
    with torch.no_grad():
        attn.bias.table.zero_()
    with pytest.raises(AssertionError):
        torch.testing.assert_close(attn(x), expected)


@pytest.mark.parametrize("size", [(6, 6), (5, 7)], ids=str)
def test_windows_of_local_attention_do_not_see_each_other(size: tuple[int, int]) -> None:
    attn = local()
    x = noise(1, *size, DIM)
    changed = x.clone()
    changed[:, :WINDOW, :WINDOW] += 1  # the first window only
    difference = (attn(changed) - attn(x)).abs().amax(-1)[0]
    assert torch.all(difference[:WINDOW, :WINDOW] > 0)
    difference[:WINDOW, :WINDOW] = 0
    assert torch.all(difference == 0)


def test_global_attention_asks_every_window_the_same_question() -> None:
    attn = global_()
    x = noise(1, 3, 3, DIM).repeat(1, 2, 2, 1)  # four equal windows
    out = attn(x, noise(1, HEADS, 9, DIM // HEADS))
    torch.testing.assert_close(out[:, :3, :3], out[:, 3:, 3:])


@pytest.mark.parametrize("size", [(6, 6), (5, 7)], ids=str)
def test_images_do_not_see_each_other(size: tuple[int, int]) -> None:
    x, query = noise(3, *size, DIM), noise(3, HEADS, 9, DIM // HEADS, seed=1)
    together = global_()(x, query)
    alone = torch.cat([global_()(x[[i]], query[[i]]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    order = [2, 0, 1]
    torch.testing.assert_close(global_()(x[order], query[order]), together[order])
    torch.testing.assert_close(local()(x)[order], local()(x[order]))


@pytest.mark.parametrize("use_global", [False, True])
def test_what_stands_in_the_padding_does_not_matter(use_global: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    attn = global_() if use_global else local()
    x, query = noise(2, 5, 7, DIM), noise(2, HEADS, 9, DIM // HEADS, seed=1)

    def run() -> Tensor:
        return attn(x, query) if use_global else attn(x)

    def litter(x: Tensor, window: int, keep_mask: bool) -> tuple[Tensor, Tensor | None]:
        padded, real = pad_to_windows(x, window)
        padded[:, x.shape[1] :] = 1e3
        padded[:, :, x.shape[2] :] = -1e3
        return padded, real if keep_mask else None

    clean = run()
    monkeypatch.setattr("gcvit_edu.attention.pad_to_windows", lambda x, w: litter(x, w, keep_mask=True))
    torch.testing.assert_close(run(), clean)
    # And without the mask it would matter.
    monkeypatch.setattr("gcvit_edu.attention.pad_to_windows", lambda x, w: litter(x, w, keep_mask=False))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(run(), clean)


def test_a_query_of_other_images_is_refused() -> None:
    attention = GlobalWindowAttention(8, 2, 4)
    with pytest.raises(ValueError, match=r"query of shape \(2, 2, 16, 4\) does not fit 3 images"):
        attention(torch.zeros(3, 8, 8, 8), torch.zeros(2, 2, 16, 4))
    for shape in ((3, 2, 9, 4), (3, 1, 16, 4), (3, 2, 16, 8), (3, 2, 16, 1), (3, 16, 4)):
        with pytest.raises(ValueError, match=r"give \(images, heads, tokens, channels of a head\) = \(3, 2, 16, 4\)"):
            attention(torch.zeros(3, 8, 8, 8), torch.zeros(shape))
