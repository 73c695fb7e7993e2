"""Random crops from JPEG files, decoding no more than the crop needs."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as F

from gcvit_edu.data.folder import DECODER_ERRORS
from gcvit_edu.data.imagenet.encoded import EncodedImage
from gcvit_edu.data.transforms import IMAGENET_MEAN, IMAGENET_STD, orientation_of, upright_rgb

try:
    import simplejpeg
except ImportError:  # it comes with the extra "train"; Pillow decodes the same pixels, but takes 1.5 times as long
    simplejpeg = None

BICUBIC = Image.Resampling.BICUBIC


class JpegCrop(nn.Module):
    """A picture's file -> a random part of it as uint8 (3, size, size); labels pass. A faster RandomResizedCrop.

    torchvision's RandomResizedCrop draws the place of the part: from the same state of PyTorch's generator both take
    the same part. Only the work differs. A part at least twice as large as the result is decoded at half, a quarter or
    an eighth of its size, which JPEG can do by itself. Otherwise simplejpeg, if it is installed, decodes the picture,
    and PyTorch resizes the part; both are faster than Pillow. Pixels differ from Pillow's by rounding, or by the filter
    where the picture was decoded smaller. If the file must be turned upright, the part is drawn in the upright picture,
    and the same part of the stored one is decoded.

    Args:
        size: side of the square that comes out, in pixels.
        scale: smallest and largest area of the part, as a share of the picture.
        ratio: smallest and largest width of the part by its height.

    Raises:
        BadImage: if the picture cannot be read; the message names it.
    """

    def __init__(
        self, size: int, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)
    ) -> None:
        super().__init__()
        self.size, self.scale, self.ratio = size, scale, ratio

    def forward(self, image: EncodedImage, *labels: Any) -> Any:
        try:
            with image.open() as lazy:  # its size is known; it is decoded only when that is needed
                stored = lazy if lazy.format == "JPEG" else upright_rgb(lazy, turn=image.upright)
                orientation = orientation_of(stored) if image.upright else 1
                sides = stored.size[::-1] if orientation in _EXCHANGED else stored.size
                upright = torch.empty(3, *sides[::-1], device="meta")  # only its size is used
                top, left, height, width = RandomResizedCrop.get_params(upright, list(self.scale), list(self.ratio))
                box = stored_box((left, top, left + width, top + height), stored.size, orientation)
                crop = turned(cropped(image, stored, box, self.size), orientation)
        except DECODER_ERRORS as error:
            raise image.bad(error) from error
        return (crop, *labels) if labels else crop


class Decode(nn.Module):
    """A picture's file -> the picture in RGB; labels pass.

    Raises:
        BadImage: if it cannot be read; the message names it.
    """

    def forward(self, image: EncodedImage, *labels: Any) -> Any:
        return (image.decode(), *labels) if labels else image.decode()


# A stored picture becomes upright by flips of its columns or rows, and then, for EXIF orientations from 5 on, by an
# exchange of rows and columns.
_COLUMNS_FLIPPED, _ROWS_FLIPPED, _EXCHANGED = {2, 3, 7, 8}, {3, 4, 6, 7}, {5, 6, 7, 8}
Box = tuple[int, int, int, int]


def stored_box(box: Box, stored: tuple[int, int], orientation: int) -> Box:
    """The box of a part of the upright picture in the picture as it is stored.

    Args:
        box: left, top, right and bottom in the upright picture.
        stored: width and height as stored.
        orientation: EXIF's, from 1 to 8.
    """
    left, top, right, bottom = (box[at] for at in (1, 0, 3, 2)) if orientation in _EXCHANGED else box
    if orientation in _COLUMNS_FLIPPED:
        left, right = stored[0] - right, stored[0] - left
    if orientation in _ROWS_FLIPPED:
        top, bottom = stored[1] - bottom, stored[1] - top
    return left, top, right, bottom


def turned(picture: Tensor, orientation: int) -> Tensor:
    """A square part as stored, (3, size, size) -> the same upright."""
    if orientation in _COLUMNS_FLIPPED:
        picture = picture.flip(-1)
    if orientation in _ROWS_FLIPPED:
        picture = picture.flip(-2)
    return picture.transpose(-1, -2) if orientation in _EXCHANGED else picture


def cropped(image: EncodedImage, lazy: Image.Image, box: tuple[int, int, int, int], size: int) -> Tensor:
    """A part of a picture, resized (bicubic, antialiased) -> uint8 (3, size, size).

    Args:
        image: the picture's file.
        lazy: the same, opened by Pillow; a JPEG file must not be loaded yet, so that only the needed size is decoded.
        box: left, top, right and bottom of the part as stored, in pixels.
        size: side of the square that comes out.
    """
    by = max((by for by in (2, 4, 8) if by * size <= min(box[2] - box[0], box[3] - box[1])), default=1)
    if by > 1 and lazy.format == "JPEG":
        full = lazy.width
        lazy.draft(lazy.mode, (full // by, lazy.height // by))
        assert lazy.width == -(-full // by)
        resized = lazy.convert("RGB").resize((size, size), BICUBIC, box=tuple(side / by for side in box))
        return _tensor_of(resized)[0]
    left, top, right, bottom = box
    part = _decoded(image, lazy)[:, :, top:bottom, left:right]
    return F.resize(part, [size, size], F.InterpolationMode.BICUBIC)[0]


def _decoded(image: EncodedImage, lazy: Image.Image) -> Tensor:
    """The whole picture in RGB, uint8 (1, 3, H, W), channels last in memory."""
    if simplejpeg and lazy.format == "JPEG" and lazy.mode in ("RGB", "L"):
        try:
            return torch.from_numpy(simplejpeg.decode_jpeg(image.content)).permute(2, 0, 1)[None]
        except ValueError:
            pass  # Pillow reads some files that simplejpeg refuses, and its errors for the others are clear
    return _tensor_of(upright_rgb(lazy, turn=False))


def _tensor_of(picture: Image.Image) -> Tensor:
    """RGB -> uint8 (1, 3, H, W), channels last in memory, for which PyTorch's resizing is fastest."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]


class ToNormalized(nn.Module):
    """uint8 (3, H, W) -> float32, ImageNet's mean taken off and divided by its deviation; labels pass."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = 255 * torch.tensor(IMAGENET_MEAN)[:, None, None]
        self.scale = 1 / (255 * torch.tensor(IMAGENET_STD)[:, None, None])

    def forward(self, image: Tensor, *labels: Any) -> Any:
        values = image.to(torch.float32, memory_format=torch.contiguous_format).sub_(self.mean).mul_(self.scale)
        return (values, *labels) if labels else values
