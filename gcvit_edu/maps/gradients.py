"""Maps for a class: the gain of its logit, by gradients."""

from einops import rearrange
from torch import Tensor

from gcvit_edu.capture import AttentionRecord
from gcvit_edu.maps.columns import of_head
from gcvit_edu.maps.layout import windows_to_map


def gradient_times_attention(record: AttentionRecord, gradient: Tensor, head: int | None = None) -> Tensor:
    """(B, H, W): the gain of the class by attention to each token, in this block, to first order.

    Each weight is multiplied by the gradient of the class's logit with respect to it, as in Chefer et al. 2021.
    Negative products, where attention harms the class, are set to zero; then the mean over the heads and the sum over
    the queries are taken.

    What it means: all numbers are parts of the same logit, so those of different windows are comparable, which is true
    for no map of attention alone. A window that does not matter for the class is dark, whatever it attends to.

    What it does not mean: a gradient describes small changes only, here of one weight at a time, which no softmax can
    make. It does not see what passes this block by the residual path. The sum is no probability, and numbers of
    different images or blocks are not comparable.

    Args:
        record: of any block, from capture_attention with gradients on.
        gradient: of the class's logit with respect to record.weights, in its shape.
        head: one head, or None for the mean of all.

    Raises:
        ValueError: for a head that is not there, or a gradient of another shape.
    """
    if gradient.shape != record.weights.shape:
        raise ValueError(
            f"a gradient of shape {tuple(gradient.shape)} is not that of weights of {tuple(record.weights.shape)}; "
            "take it with respect to record.weights"
        )
    gain = (gradient * record.weights.detach()).clamp_min(0)
    return windows_to_map(of_head(gain, head).sum(2), record.window, record.map_size, record.shift)


def grad_cam(features: Tensor, gradient: Tensor) -> Tensor:
    """(B, H, W): Grad-CAM (Selvaraju et al. 2017) at the output of a stage; it uses no attention.

    Each channel is weighted by the mean of its gradient over the map; the weighted sum of the channels counts
    where it is positive.

    What it means: the places where the channels are active that, on average over the map, raise the class's logit.

    What it does not mean: the mean of the gradient over the map is a fair weight if a channel means the same
    everywhere, as at the end of a network of convolutions; in the early stages it is a poor one. A token's channels
    may describe a far part of the image. The numbers are comparable within one image and class only. They can be zero
    everywhere.

    Args:
        features: (B, H, W, C), the output of a stage.
        gradient: of the class's logit with respect to them, in their shape.

    Raises:
        ValueError: if the shapes differ.
    """
    if gradient.shape != features.shape:
        raise ValueError(
            f"a gradient of shape {tuple(gradient.shape)} is not that of features of {tuple(features.shape)}; "
            "take it with respect to the features"
        )
    importance = rearrange(gradient.mean((1, 2)), "b c -> b 1 1 c")
    return (importance * features.detach()).sum(-1).clamp_min(0)
