"""Windows: their order, written out by hand, and the way back."""

import pytest
import torch

from gcvit_edu.windows import pad_to_windows, window_merge, window_partition


def test_windows_are_image_major_and_run_row_by_row() -> None:
    # Two images of 4x4 cells, numbered row by row: 0 to 15 and 16 to 31.
    x = torch.arange(32).reshape(2, 4, 4, 1)
    assert window_partition(x, 2).squeeze(-1).tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
        [16, 17, 20, 21],
        [18, 19, 22, 23],
        [24, 25, 28, 29],
        [26, 27, 30, 31],
    ]


def test_a_flat_map_has_its_windows_side_by_side() -> None:
    x = torch.arange(8).reshape(1, 2, 4, 1)
    assert window_partition(x, 2).squeeze(-1).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_channels_stay_together() -> None:
    x = torch.arange(12).reshape(1, 2, 2, 3)
    assert window_partition(x, 1).tolist() == [[[0, 1, 2]], [[3, 4, 5]], [[6, 7, 8]], [[9, 10, 11]]]


@pytest.mark.parametrize(("height", "width", "window"), [(4, 4, 2), (6, 9, 3), (7, 7, 7), (2, 10, 1)])
def test_merge_undoes_partition(height: int, width: int, window: int) -> None:
    x = torch.arange(3 * height * width * 2).reshape(3, height, width, 2)
    assert torch.equal(window_merge(window_partition(x, window), window, height, width), x)


@pytest.mark.parametrize(("height", "width"), [(5, 4), (4, 5)])
def test_partition_refuses_what_does_not_fit(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"{height}x{width} feature map .* 4x4 windows; .*pad_to_windows"):
        window_partition(torch.zeros(1, height, width, 1), 4)


@pytest.mark.parametrize(
    ("shape", "window", "height", "width"),
    [
        ((4, 4, 1), 2, 4, 5),  # 5 is not a multiple of 2
        ((3, 4, 1), 2, 4, 4),  # three windows are no whole image
        ((4, 9, 1), 2, 4, 4),  # nine tokens are no 2x2 window
        ((4, 4, 1), 2, 0, 4),  # no map
    ],
)
def test_merge_refuses_what_does_not_fit(shape: tuple[int, ...], window: int, height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"{shape[0]} windows of {shape[1]} tokens .* {height}x{width}"):
        window_merge(torch.zeros(shape), window, height, width)


def test_padding_adds_zeros_at_the_bottom_and_on_the_right() -> None:
    x = torch.ones(2, 3, 2, 1)
    padded, real = pad_to_windows(x, 2)
    assert padded[1].squeeze(-1).tolist() == [[1, 1], [1, 1], [1, 1], [0, 0]]
    assert real.tolist() == [[True, True, True, True], [True, True, False, False]]


def test_the_mask_follows_the_order_of_the_windows() -> None:
    x = torch.ones(2, 5, 7, 3)
    padded, real = pad_to_windows(x, 4)
    assert padded.shape == (2, 8, 8, 3)
    windows = window_partition(padded, 4).unflatten(0, (2, -1))
    assert torch.equal(windows[..., 0].bool(), real.expand(2, -1, -1))
    assert real.any(dim=1).all(), "a window without a real token would have nothing to attend to"


def test_whole_windows_are_left_alone() -> None:
    x = torch.ones(1, 4, 8, 2)
    padded, real = pad_to_windows(x, 4)
    assert padded is x
    assert real is None
