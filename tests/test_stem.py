"""The stem and the downsamplers: sizes, and the layers in their order."""

import pytest
import torch
from _support import enlarge_weights, images, loop_mbconv, loop_norm, neighbours
from torch import Tensor

from gcvit_edu.stem import Downsample, PatchStem


def loop_conv(weight: Tensor, x: Tensor) -> Tensor:
    """(C, H, W) -> (C', ceil(H/2), ceil(W/2)): a 3x3 convolution of stride 2."""
    _, height, width = x.shape
    rows = []
    for y in range(0, height, 2):
        cells = []
        for z in range(0, width, 2):
            around = neighbours(y, z, height, width)
            cells.append(sum(weight[:, :, dy, dx] @ x[:, i, j] for i, j, dy, dx in around))
        rows.append(torch.stack(cells, dim=1))
    return torch.stack(rows, dim=1)


def loop_downsample(down: Downsample, x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, ceil(H/2), ceil(W/2), C')."""
    normed = loop_norm(down.norm1, x).permute(0, 3, 1, 2)
    halved = torch.stack([loop_conv(down.conv.weight, loop_mbconv(down.mbconv, image)) for image in normed])
    return loop_norm(down.norm2, halved.permute(0, 2, 3, 1))


@pytest.mark.parametrize("size", [(4, 4), (5, 3), (1, 2)], ids=str)
def test_downsample_equals_loops(size: tuple[int, int]) -> None:
    down = Downsample(8, 12).double()
    enlarge_weights(down)
    x = images(2, *size, chans=8, dtype=torch.float64).permute(0, 2, 3, 1)
    found = down(x)
    assert found.shape == (2, (size[0] + 1) // 2, (size[1] + 1) // 2, 12)
    torch.testing.assert_close(found, loop_downsample(down, x))


def test_stem_equals_loops() -> None:
    stem = PatchStem(3, 8).double()
    enlarge_weights(stem)
    image = images(2, 10, 7, dtype=torch.float64)
    halved = torch.stack([loop_conv(stem.conv.weight, one) for one in image]) + stem.conv.bias[:, None, None]
    torch.testing.assert_close(stem(image), loop_downsample(stem.down, halved.permute(0, 2, 3, 1)))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (64, 96), (225, 224)])
def test_the_stem_quarters_the_image_and_rounds_up(height: int, width: int) -> None:
    assert PatchStem(3, 8)(images(1, height, width)).shape == (1, -(-height // 4), -(-width // 4), 8)


@pytest.mark.parametrize("chans", [1, 4])
def test_the_stem_takes_other_channel_counts(chans: int) -> None:
    assert PatchStem(chans, 8)(images(1, 32, chans=chans)).shape == (1, 8, 8, 8)


def test_the_first_convolution_has_a_bias_and_the_strided_ones_none() -> None:
    stem = PatchStem(3, 8)
    assert stem.conv.bias is not None
    assert stem.down.conv.bias is None


def test_the_image_may_lie_in_memory_in_any_order() -> None:
    stem, image = PatchStem(3, 8), images(2, 32)
    torch.testing.assert_close(stem(image.contiguous(memory_format=torch.channels_last)), stem(image))
    turned = image.transpose(2, 3)
    torch.testing.assert_close(stem(turned), stem(turned.contiguous()))


def test_the_first_norm_gets_its_map_channels_last_whatever_the_images_strides() -> None:
    stem = PatchStem(3, 16)
    seen = []
    stem.down.norm1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous()))
    plain = torch.randn(1, 3, 16, 16)
    turned = torch.randn(16, 16, 3).permute(2, 0, 1)[None]  # as a picture becomes a batch of one
    for image in (plain, turned, plain.to(memory_format=torch.channels_last)):
        stem(image)
    assert seen == [True, True, True]
