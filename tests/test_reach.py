"""At every size, every token can reach every token: also the tokens of windows that are only partly on the map.

The one exception is a token alone in its window: attention over a single key has nothing to choose, whatever is asked.
"""

from itertools import product

import pytest
import torch
from _support import blocks_and_query, enlarge_weights, loop_attention, reach
from torch import Tensor

from gcvit_edu.attention import GlobalWindowAttention
from gcvit_edu.capture import capture_attention
from gcvit_edu.config import GCViTConfig
from gcvit_edu.mixers import MIXERS, with_mixer
from gcvit_edu.model import GCViT

WINDOW = 3
SIZES = [(side, side) for side in range(1, 3 * WINDOW + 1)] + [(4, 9), (9, 4), (2, 8), (5, 6), (7, 1), (8, 7)]


def in_company(height: int, width: int) -> Tensor:
    """(tokens,) booleans: False for the last token where it is alone in its window, in the corner of the map."""
    others = torch.ones(height * width, dtype=torch.bool)
    others[-1] = height * width == 1 or (height % WINDOW, width % WINDOW) != (1, 1)
    return others


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_token_hears_of_every_token(size: tuple[int, int]) -> None:
    found, others = reach(*size, window=WINDOW), in_company(*size)
    missing = ~found[:, others]
    assert not missing.any(), f"{int(missing.sum())} of {found.numel()} pairs cannot reach each other"
    if not others.all():
        assert found[:, -1].sum() == 1  # it hears of itself


def test_only_a_token_in_the_corner_can_be_alone() -> None:
    assert [size for size in SIZES if not in_company(*size).all()] == [(4, 4), (7, 7), (7, 1)]


@pytest.mark.parametrize("size", SIZES[1:], ids=str)  # but the map of one token
@torch.no_grad()
def test_every_token_hears_of_every_part_of_the_picture_by_the_query(size: tuple[int, int]) -> None:
    blocks, _ = blocks_and_query(WINDOW, halvings=0)
    cells = WINDOW**2
    x = torch.randn(1, *size, 8, dtype=torch.float64).expand(cells + 1, -1, -1, -1)
    query = torch.randn(1, 2, cells, 4, dtype=torch.float64).repeat(cells + 1, 1, 1, 1)
    query[range(cells), :, range(cells)] += 1
    for block in blocks:
        x = block(x, query)
    heard = ((x[:-1] - x[-1]).abs() > 1e-12).any(-1).flatten(1)[:, in_company(*size)]
    assert heard.all(), f"{int((~heard).sum())} of {heard.numel()} pairs of query cell and token are apart"


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_global_attention_equals_loops_that_pool_the_query(size: tuple[int, int]) -> None:
    attention = GlobalWindowAttention(8, 2, WINDOW).double()
    enlarge_weights(attention)
    x = torch.randn(2, *size, 8, dtype=torch.float64, requires_grad=True)
    query = torch.randn(2, 2, WINDOW**2, 4, dtype=torch.float64, requires_grad=True)
    found, expected = attention(x, query), loop_attention(attention, x, query)
    torch.testing.assert_close(found, expected)
    mix = torch.randn_like(found)
    for one, other in zip(*(torch.autograd.grad((y * mix).sum(), (x, query)) for y in (found, expected)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("size", "per_image"), [((6, 9), 1), ((6, 8), 6)])
def test_the_query_is_copied_for_windows_only_where_some_are_thin(size: tuple[int, int], per_image: int) -> None:
    attention = GlobalWindowAttention(8, 2, WINDOW)
    query, given = torch.randn(2, 2, WINDOW**2, 4), []

    def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor | None = None) -> Tensor:
        given.append(q)
        return v

    attention.attend = attend
    attention(torch.randn(2, *size, 8), query)
    assert len(given[0]) == 2 * per_image
    assert (given[0] is query) == (per_image == 1)


@pytest.mark.parametrize(("mixer", "size"), list(product(MIXERS, [(40, 40), (32, 50)])))
def test_networks_with_another_mixer_take_any_size_that_their_blocks_take(mixer: str, size: tuple[int, int]) -> None:
    numbers = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_sizes": (4, 4)}
    model = with_mixer(GCViT(GCViTConfig(**numbers, image_size=32)), mixer).eval()
    images = torch.randn(2, 3, *size)
    if mixer == "shifted":
        with pytest.raises(ValueError, match="pad it first with pad_to_windows"):
            model(images)
        return
    with capture_attention(model) as records:
        captured = model(images)
    torch.testing.assert_close(captured, model(images))
    for record in records:
        assert record.weights.shape[1] == record.grid[0] * record.grid[1]
        torch.testing.assert_close(record.weights.sum(-1), torch.ones(record.weights.shape[:-1]))
