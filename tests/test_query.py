"""The global query: loops, borders, heads, and maps of other sizes."""

import pytest
import torch
from _support import enlarge_weights, loop_query
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.query import GlobalQueryGenerator


def generator(halvings: int, window: int, dim: int = 8, heads: int = 2) -> GlobalQueryGenerator:
    made = GlobalQueryGenerator(dim, heads, window, halvings).double()
    enlarge_weights(made)
    return made


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("halvings", "window", "size"), [(0, 3, 3), (1, 3, 6), (1, 3, 5), (2, 2, 8), (3, 2, 16)])
def test_equals_loops_forward_and_backward(halvings: int, window: int, size: int) -> None:
    made, x = generator(halvings, window), noise(2, size, size, 8).requires_grad_()
    found, expected = made(x), loop_query(made, x)
    assert found.shape == (2, 2, window**2, 4)
    torch.testing.assert_close(found, expected)

    mix = noise(*found.shape, seed=1)
    wanted = [x, *made.parameters()]
    ours = torch.autograd.grad((found * mix).sum(), wanted)
    theirs = torch.autograd.grad((expected * mix).sum(), wanted)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_without_halving_there_is_one_mbconv_and_no_pooling() -> None:
    made, x = generator(0, 4), noise(1, 4, 4, 8)
    assert len(made.mbconvs) == 1
    expected = made.mbconvs[0](x.permute(0, 3, 1, 2))
    torch.testing.assert_close(made(x).transpose(2, 3).reshape(1, 8, 4, 4), expected)


def test_as_many_mbconvs_as_halvings() -> None:
    assert [len(generator(halvings, 2).mbconvs) for halvings in range(4)] == [1, 1, 2, 3]


def test_borders_are_maxima_of_real_values_only() -> None:
    # Zero weights leave the residual alone, so the query is the pooled map: all of it negative.
    made = generator(1, 2)
    for parameter in made.parameters():
        torch.nn.init.zeros_(parameter)
    x = -1 - noise(1, 4, 4, 8).abs()
    query = made(x)
    assert torch.all(query <= -1), "a border cell took a zero of the padding for the maximum"
    assert query[0, 0, 0, 0] == x[0, :2, :2, 0].max()
    assert query[0, 0, 3, 0] == x[0, 1:, 1:, 0].max()


def test_heads_are_cut_over_channels_not_over_space() -> None:
    made = generator(0, 2)
    for parameter in made.parameters():
        torch.nn.init.zeros_(parameter)
    # Channel c holds 10 * c + cell at each of the four cells.
    x = (10 * torch.arange(8)[None, :] + torch.arange(4)[:, None]).reshape(1, 2, 2, 8).double()
    query = made(x)[0]
    assert query[0].tolist() == [[0, 10, 20, 30], [1, 11, 21, 31], [2, 12, 22, 32], [3, 13, 23, 33]]
    assert query[1].tolist() == [[40, 50, 60, 70], [41, 51, 61, 71], [42, 52, 62, 72], [43, 53, 63, 73]]


def picture_mean(picture: torch.Tensor, row: int, column: int) -> torch.Tensor:
    """Mean of the cells of a map that cell (row, column) of a 4x4 window covers, in whole or in part."""
    (top, bottom), (left, right) = (
        (cell * side // 4, -(-(cell + 1) * side // 4))
        for cell, side in ((row, picture.shape[2]), (column, picture.shape[3]))
    )
    return picture[:, :, top:bottom, left:right].mean((2, 3))


@pytest.mark.parametrize("size", [(5, 9), (2, 2), (1, 1), (3, 12)], ids=str)
def test_another_map_size_is_resized_to_the_window(size: tuple[int, int]) -> None:
    made, x = generator(1, 4), noise(2, *size, 8)
    picture = F.max_pool2d(made.mbconvs[0](x.permute(0, 3, 1, 2)), 3, stride=2, padding=1)
    expected = torch.stack([picture_mean(picture, row, column) for row in range(4) for column in range(4)], -1)
    assert made(x).shape == (2, 2, 16, 4)
    torch.testing.assert_close(made(x).transpose(2, 3).reshape(2, 8, 16), expected)


def test_a_map_of_the_right_size_is_not_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "adaptive_avg_pool2d", lambda *args, **kwargs: pytest.fail("resampled for nothing"))
    generator(1, 4)(noise(1, 8, 8, 8))
    generator(1, 4)(noise(1, 7, 7, 8))  # halvings round up


def test_each_image_gets_its_own_query() -> None:
    made, x = generator(2, 2), noise(3, 8, 8, 8)
    torch.testing.assert_close(made(x), torch.cat([made(x[[i]]) for i in range(3)]))
