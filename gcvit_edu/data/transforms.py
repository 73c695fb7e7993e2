"""From a picture to a tensor, as the networks expect it."""

import warnings
from contextlib import nullcontext

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as F

# Mean and standard deviation of ImageNet's training pictures, per channel, for values from 0 to 1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# By EXIF orientation: the turn that makes a stored picture upright; 1 needs none.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 274  # EXIF's number of that tag
_EXIF = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")  # where Pillow looks for it
_SIXTEEN_BITS = 65535


def upright_rgb(image: Image.Image, *, turn: bool = True) -> Image.Image:
    """Any picture opened by Pillow -> the same in RGB with 8 bits, upright, as people see it.

    It is turned by its EXIF orientation; the result has no orientation left, so that it is not turned twice. Pixels
    that are transparent, by alpha, palette or colour key, become white. (A white drawing on nothing vanishes then.)
    Grey of 16 bits keeps its upper 8, as Pillow does with colour of 16; so does a TIFF of 12 bits. But 12 bits that are
    stored as 16 give a dark picture: nothing in such a file says that it does not use the whole range. Of several
    frames or pages, the first is taken. Colour profiles (ICC) are ignored: the numbers stay as they are stored. Any
    other opaque picture, in RGB, grey, CMYK, with a palette and so on, is converted by convert("RGB").

    Args:
        image: any picture; it stays as it is.
        turn: False leaves it as it is stored, as is usual with ImageNet's.

    Raises:
        ValueError: for numbers that have no agreed range: floats, 32 bits and signed ones; it names the mode.
        OSError: if the file cannot be decoded; Pillow's decoders raise others as well.
    """
    packed = str(image.tile[0][3]) if image.format == "PNG" and getattr(image, "tile", None) else ""
    image.load()
    orientation = orientation_of(image) if turn else 1
    rgb = _on_white(_with_8_bits(image, packed))
    if orientation != 1:
        rgb = rgb.transpose(UPRIGHT[orientation])
        for name in _EXIF:
            rgb.info.pop(name, None)
    return rgb


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of a picture, from 1 to 8; 1, upright, where there is none or it cannot be read.

    Pillow itself turns TIFF files when it decodes them, so theirs is 1.

    Args:
        image: a JPEG file may be opened only; others must be loaded, too, as a PNG file may have its EXIF at its end.
    """
    if hasattr(image, "tag_v2"):
        return 1
    # Pillow warns of damaged EXIF. Without EXIF nothing is hidden, as hiding makes other warnings appear again.
    quiet = warnings.catch_warnings(action="ignore") if image.info.keys() & set(_EXIF) else nullcontext()
    try:
        with quiet:
            found = image.getexif().get(ORIENTATION)
    except Exception:  # damaged EXIF makes Pillow raise nearly anything; the picture itself may be whole
        return 1
    return found if isinstance(found, int) and found in UPRIGHT else 1


def _with_8_bits(image: Image.Image, packed: str) -> Image.Image:
    """A picture in a mode of 8 bits or less; its colour key, if it has one, in the same numbers as its pixels.

    Args:
        image: loaded.
        packed: of a PNG file, how its pixels were stored: "L;4" for grey of 4 bits.

    Raises:
        ValueError: for numbers that have no agreed range.
    """
    tiff = getattr(image, "tag_v2", {})
    signed = tiff.get(339) == (2,)  # SampleFormat
    if image.mode == "F" or signed or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        numbers = {"F": "floats", "I": "32 bits or signed numbers"}.get(image.mode, "signed numbers")
        raise ValueError(
            f"mode {image.mode}, {numbers}, has no range that says what is white; save it with 8 or 16 bits a channel"
        )
    key = image.info.get("transparency")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint32)
        top = 4095 if tiff.get(258) == (12,) else _SIXTEEN_BITS  # BitsPerSample
        if tiff.get(262) == 0:  # PhotometricInterpretation: 0 is white; Pillow turns round 8 bits only
            values = top - values
        grey = Image.fromarray((values * 256 // (top + 1)).astype(np.uint8))
        if key is not None:
            grey.putalpha(Image.fromarray((values != key).astype(np.uint8) * 255))
        return grey
    if key is not None and image.format == "PNG":  # Pillow scales the pixels of these, and not the key
        scaled = key
        if packed in ("L;2", "L;4"):
            scaled = key * (255 // (2 ** int(packed[-1]) - 1))
        elif image.mode == "RGB" and (packed == "RGB;16B" or max(key) > 255):
            scaled = tuple(value >> 8 for value in key)
        if scaled != key:
            image = image.copy()
            image.info["transparency"] = scaled
    return image


def _on_white(image: Image.Image) -> Image.Image:
    """A picture of 8 bits or less -> RGB, on white where it is transparent."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":  # Pillow converts this mode to LA only
        image = image.convert("LA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def crop_to(image: Image.Image, size: int | tuple[int, int]) -> Image.Image:
    """The largest centred part of a picture with the wanted shape, resized (bicubic) to size.

    Args:
        image: any picture.
        size: side of a square, or (height, width), in pixels.
    """
    height, width = (size, size) if isinstance(size, int) else size
    return ImageOps.fit(image, (width, height), method=Image.Resampling.BICUBIC)


def normalize(image: Image.Image) -> Tensor:
    """An RGB picture -> a batch of one, (1, 3, H, W), with ImageNet's mean taken off and divided by its deviation.

    Raises:
        ValueError: if the picture is not RGB.
    """
    if image.mode != "RGB":
        raise ValueError(f"the picture's mode is {image.mode}, not RGB; make it so with upright_rgb(image)")
    values = F.to_dtype(F.pil_to_tensor(image), torch.float32, scale=True)
    return F.normalize(values, list(IMAGENET_MEAN), list(IMAGENET_STD))[None]


def denormalize(images: Tensor) -> Tensor:
    """Back to values from 0 to 1: (..., 3, H, W) -> (..., 3, H, W), to look at the input of a model."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images * std + mean).clamp(0, 1)
