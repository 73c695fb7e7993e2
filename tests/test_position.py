"""Relative position: the index by hand, and tables resized for other windows."""

import pytest
import torch

from gcvit_edu.position import RelativePositionBias, relative_position_index, resize_bias_table


def test_index_of_a_2x2_window_by_hand() -> None:
    # Offsets run from -1 to 1, so row = (dy + 1) * 3 + (dx + 1); dy and dx are query minus key.
    assert relative_position_index(2).tolist() == [
        [4, 3, 1, 0],
        [5, 4, 2, 1],
        [7, 6, 4, 3],
        [8, 7, 5, 4],
    ]


@pytest.mark.parametrize("window", [1, 3, 7])
def test_index_depends_on_the_offset_alone(window: int) -> None:
    index = relative_position_index(window)
    cells = [(y, x) for y in range(window) for x in range(window)]
    rows: dict[tuple[int, int], set[int]] = {}
    for query, (y, x) in enumerate(cells):
        for key, (i, j) in enumerate(cells):
            rows.setdefault((y - i, x - j), set()).add(index[query, key].item())
    assert all(len(row) == 1 for row in rows.values())
    assert sorted(row.pop() for row in rows.values()) == list(range((2 * window - 1) ** 2))


def test_bias_reads_the_table_and_trains_it() -> None:
    bias = RelativePositionBias(2, 3)
    with torch.no_grad():
        bias.table.copy_(torch.arange(27.0).reshape(9, 3))
    out = bias()
    assert out.shape == (3, 4, 4)
    assert out[1].tolist() == (relative_position_index(2) * 3 + 1).tolist()
    out.sum().backward()
    # The middle offset, zero, occurs four times; a far corner once.
    assert bias.table.grad[:, 0].tolist() == [1, 2, 1, 2, 4, 2, 1, 2, 1]
    assert list(bias.state_dict()) == ["table"]


@pytest.mark.parametrize("heads", [1, 3])
def test_gradient_of_the_table_is_laid_out_like_the_table(heads: int) -> None:
    # DistributedDataParallel warns of any other layout; with one head autograd does not mend it.
    bias = RelativePositionBias(2, heads)
    bias().sum().backward()
    assert bias.table.grad.stride() == bias.table.stride()


def test_a_table_for_the_same_window_is_not_touched() -> None:
    table = torch.randn(169, 2)
    assert resize_bias_table(table, 7) is table


def test_resizing_keeps_constants_and_the_type() -> None:
    table = torch.full((169, 2), 0.5, dtype=torch.bfloat16)
    resized = resize_bias_table(table, 14)
    assert resized.shape == (27**2, 2)
    assert resized.dtype == torch.bfloat16
    assert torch.all(resized == 0.5)


def test_resizing_keeps_symmetry_and_the_outermost_offsets() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.randn(13, 13, 2, generator=generator)
    picture = picture + picture.flip(0, 1)  # the bias does not change when the offset is reversed
    resized = resize_bias_table(picture.reshape(169, 2), 14).reshape(27, 27, 2)
    torch.testing.assert_close(resized, resized.flip(0, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(resized[[0, 0, -1, -1], [0, -1, 0, -1]], picture[[0, 0, -1, -1], [0, -1, 0, -1]])
    torch.testing.assert_close(resized[13, 13], picture[6, 6])  # no offset stays no offset


def test_resizing_follows_a_slope() -> None:
    slope = torch.linspace(-1, 1, 13)[:, None].expand(13, 13).reshape(169, 1)
    resized = resize_bias_table(slope, 14).reshape(27, 27)
    # PyTorch's bicubic kernel bends a straight line by less than 0.01 inside and 0.03 at the border.
    torch.testing.assert_close(resized[:, 0], torch.linspace(-1, 1, 27), atol=0.03, rtol=0)
    assert torch.all(resized.diff(dim=0) > 0)
    torch.testing.assert_close(resized, resized[:, :1].expand(27, 27))


def test_heads_are_resized_apart() -> None:
    table = torch.randn(169, 3, generator=torch.Generator().manual_seed(0))
    together = resize_bias_table(table, 9)
    apart = torch.cat([resize_bias_table(table[:, [head]], 9) for head in range(3)], dim=1)
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("rows", [168, 196])
def test_refuses_a_table_of_no_window(rows: int) -> None:
    with pytest.raises(ValueError, match=f"table of {rows} rows .* 169 for w=7"):
        resize_bias_table(torch.zeros(rows, 2), 14)
