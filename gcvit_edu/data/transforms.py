"""From a picture to a tensor, as the networks expect it."""

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as F

# Mean and standard deviation of ImageNet's training pictures, per channel, for values from 0 to 1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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
        raise ValueError(f"the picture's mode is {image.mode}, not RGB; call image.convert('RGB') first")
    values = F.to_dtype(F.pil_to_tensor(image), torch.float32, scale=True)
    return F.normalize(values, list(IMAGENET_MEAN), list(IMAGENET_STD))[None]
