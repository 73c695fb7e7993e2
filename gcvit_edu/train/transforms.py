"""Pictures to tensors, by a config: torchvision's random crop, flip, RandAugment and erasing."""

import torch
from torch import nn
from torchvision.transforms import v2

from gcvit_edu.data.imagenet.jpeg import Decode, JpegCrop, ToNormalized
from gcvit_edu.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from gcvit_edu.train.config import TrainConfig


def train_transform(config: TrainConfig, policy: nn.Module | None = None, *, stored: bool = False) -> nn.Module:
    """An RGB picture -> (3, image_size, image_size), augmented. All chance is drawn from PyTorch's generator.

    Args:
        config: the sizes, chances and strengths.
        policy: an additional step, from the cropped RGB picture to another of its size.
        stored: take an EncodedImage, and decode no more of it than its crop needs.
    """
    size = config.image_size
    crop = v2.RandomResizedCrop(size, scale=config.crop_scale, interpolation=v2.InterpolationMode.BICUBIC)
    steps: list[nn.Module] = [
        JpegCrop(size, config.crop_scale) if stored else crop,
        v2.RandomHorizontalFlip(config.flip),
    ]
    if config.randaugment_ops:
        steps.append(v2.RandAugment(config.randaugment_ops, config.randaugment_magnitude))
    if policy is not None:
        steps += [v2.ToPILImage(), policy] if stored else [policy]
    steps += [v2.PILToTensor(), ToNormalized()] if stored else _to_tensor()
    if config.erasing:
        steps.append(v2.RandomErasing(config.erasing, value="random"))
    return v2.Compose(steps)


def validation_transform(config: TrainConfig, crop_ratio: float = 1.0, *, stored: bool = False) -> nn.Module:
    """An RGB picture -> (3, image_size, image_size): its middle square, nothing random.

    Args:
        config: the size.
        crop_ratio: side of the square over the shorter side of the picture; 1 for the largest square.
        stored: take an EncodedImage.
    """
    size = config.image_size
    resize = v2.Resize(round(size / crop_ratio), interpolation=v2.InterpolationMode.BICUBIC)
    return v2.Compose([*([Decode()] if stored else []), resize, v2.CenterCrop(size), *_to_tensor()])


def _to_tensor() -> list[nn.Module]:
    return [
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        v2.ToPureTensor(),
    ]
