"""The three layouts of a map's numbers: in windows, on the map of tokens, on the image's pixels."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu.windows import pad_to_windows, window_merge, window_partition


def map_to_windows(values: Tensor, window: int, shift: int = 0) -> Tensor:
    """(B, H, W) -> (B, N, T): cut a map into windows, with zeros where the last ones reach over its edge.

    With a shift, the map is first rolled up and to the left, as for shifted windows.

    Args:
        values: (B, H, W).
        window: side of the window, in tokens; T = window**2.
        shift: rows and columns to roll by.
    """
    padded, _ = pad_to_windows(values.roll((-shift, -shift), (1, 2))[..., None], window)
    return rearrange(window_partition(padded, window), "(b n) t 1 -> b n t", b=len(values))


def windows_to_map(values: Tensor, window: int, map_size: tuple[int, int], shift: int = 0) -> Tensor:
    """(B, N, T) -> (B, H, W): put windows back together and crop the padding, the inverse of map_to_windows.

    Args:
        values: a number for each token of each window, windows and tokens row by row.
        window: side of the window, in tokens.
        map_size: H and W, in tokens, without padding.
        shift: rows and columns by which the map was rolled before it was cut; undone here.

    Raises:
        ValueError: if the windows do not make up a map of this size.
    """
    height, width = (side + -side % window for side in map_size)
    merged = window_merge(rearrange(values, "b n t -> (b n) t 1"), window, height, width)
    return merged[:, : map_size[0], : map_size[1], 0].roll((shift, shift), (1, 2))


def real_tokens(window: int, map_size: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """(N, T), boolean: True for the tokens of the windows that are the map's own, False for padding.

    Args:
        window: side of the window, in tokens; T = window**2.
        map_size: height and width of the map without padding, in tokens.
        device: of the result.
    """
    return map_to_windows(torch.ones(1, *map_size, device=device), window)[0] > 0


def to_pixels(values: Tensor, stride: int, image_size: tuple[int, int], *, smooth: bool = True) -> Tensor:
    """(B, H, W) in tokens -> (B, height, width) in pixels.

    Token (y, x) stands for the pixels from (stride * y, stride * x) up to the next token. The map may reach over the
    image's edge, where the convolutions rounded up; it is cropped. These pixels are the token's place, not its
    receptive field: that is far larger, and its convolutions are centred at the upper left corner of these pixels.

    Args:
        values: a map at token resolution.
        stride: pixels per token side.
        image_size: height and width, in pixels.
        smooth: interpolate between the tokens' centres (bilinear); otherwise each pixel has its token's number.

    Raises:
        ValueError: if a map of this stride does not have exactly the tokens that cover the image.
    """
    wanted = tuple(-(-side // stride) for side in image_size)
    if tuple(values.shape[1:]) != wanted:
        raise ValueError(
            f"a map of {values.shape[1]}x{values.shape[2]} tokens with stride={stride} does not cover an image of "
            f"{image_size[0]}x{image_size[1]} pixels, which takes {wanted[0]}x{wanted[1]}; give its stage's stride"
        )
    mode = "bilinear" if smooth else "nearest-exact"
    pixels = F.interpolate(values[:, None], size=[side * stride for side in wanted], mode=mode)
    return pixels[:, 0, : image_size[0], : image_size[1]]
