"""Refusing tensors that cannot be a batch of images."""

import torch
from torch import Tensor, fx

from gcvit_edu.config import MIN_IMAGE_SIZE, GCViTConfig

LARGEST_NORMAL = 100  # in size; normalised colours stay below 3, and so does their mean
LARGEST_OF_16_BITS = 65535


def check_image(image: Tensor, config: GCViTConfig) -> None:
    """Refuse a tensor that cannot be a batch of normalised images for this network.

    Values are checked only for colour images on the CPU, and not while a compiler or transform traces the network.
    Values larger than any picture's are accepted: tools that count operations run a network on uninitialised memory.

    Raises:
        ValueError: for a wrong number of dimensions or channels, a size below 32 pixels, a size that is not known (in
            export with dynamic height or width), integers, infinite values, or values like those of an image from 0 to
            255, or to 65535; for torch.fx's tracer, unless it takes this function as one step; and for maps that are
            not whole windows in torch.onnx.export(dynamo=False).
    """
    if isinstance(image, fx.Proxy):
        raise ValueError(
            "torch.fx cannot look into a GC ViT, which asks for the size of its maps; use torch.export, "
            "model.forward_intermediates, or create_feature_extractor and get_graph_node_names of timm.layers "
            "(torchvision's leave the model in training mode here: call model.eval())"
        )
    if not isinstance(image, Tensor):
        raise ValueError(f"a {type(image).__name__} is no batch of images; give a tensor (B, channels, height, width)")
    shape = tuple(image.shape)
    if image.ndim != 4 or shape[1] != config.in_chans:
        raise ValueError(
            f"an image batch of shape {shape} does not fit; expected (batch, {config.in_chans}, height, width)"
        )
    _refuse_unknown_sizes(*shape[2:])
    if min(shape[2:]) < MIN_IMAGE_SIZE:
        raise ValueError(
            f"an image of {shape[2]}x{shape[3]} pixels is too small; enlarge both sides to {MIN_IMAGE_SIZE} or more"
        )
    if torch.jit.is_tracing() and torch.onnx.is_in_onnx_export():
        _refuse_padding_in_old_onnx(int(shape[2]), int(shape[3]), config)
    if not image.is_floating_point():
        raise ValueError(
            f"an image of type {image.dtype} is not normalised; divide by 255 (one of 16 bits by "
            f"{LARGEST_OF_16_BITS}), subtract the mean and divide by the standard deviation"
        )
    if config.in_chans == 3 and not _largest(image) <= LARGEST_NORMAL:  # also where it is NaN
        _check_large_values(image.detach())


def _largest(image: Tensor) -> float:
    """The largest size of a value, NaN if one is, or 0 if the values cannot be checked cheaply."""
    if image.device.type != "cpu" or not image.numel() or torch.compiler.is_compiling():
        return 0.0
    try:
        lowest, highest = torch.aminmax(image.detach())
        return max(-lowest.item(), highest.item())
    except RuntimeError:  # fake tensors and function transforms have no values
        return 0.0


def _check_large_values(image: Tensor) -> None:
    sizes = image[image.isfinite()].abs()
    largest = sizes.max().item() if sizes.numel() else 0.0
    if largest > LARGEST_OF_16_BITS:  # of no picture
        return
    if image.isinf().any():
        raise ValueError("the image holds infinite values; look for a division by zero where it was normalised")
    # A few large values among small ones are no picture either, unless all are whole numbers, as in a dark picture.
    if largest > LARGEST_NORMAL and (sizes.mean() > 3 or sizes.equal(sizes.round())):
        raise ValueError(
            f"the image holds values of up to {largest:.0f} in size, so it is not normalised; divide by 255 (one of "
            f"16 bits by {LARGEST_OF_16_BITS}), subtract the mean and divide by the standard deviation"
        )


def _refuse_unknown_sizes(height: int, width: int) -> None:
    """Refuse to export for any size: the program would be right at the example's, and ONNX holds no check of it."""
    unknown = any(isinstance(side, torch.SymInt) for side in (height, width))
    # Strict mode shows symbols as plain numbers; only its compiler knows that they are symbols.
    if not unknown and hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting():
        from torch.fx.experimental.symbolic_shapes import has_static_value

        unknown = not (has_static_value(height) and has_static_value(width))
    if unknown:
        raise ValueError(
            "a program for any height and width cannot be exported, since the sizes decide how maps are cut into "
            "windows; export one for each size, with dynamic_shapes for the batch only"
        )


def _refuse_padding_in_old_onnx(height: int, width: int, config: GCViTConfig) -> None:
    """Refuse what the old exporter cannot write: it cannot pool a query for a window that is only partly on the map."""
    maps = zip(config.strides, config.window_sizes, strict=True)
    if any(-(-side // stride) % window for stride, window in maps for side in (height, width)):
        raise ValueError(
            f"the maps of {height}x{width} pixels are no whole windows, which torch.onnx.export(dynamo=False) cannot "
            f"write; leave dynamo=False out, or take sides that are multiples of {config.image_size}"
        )
