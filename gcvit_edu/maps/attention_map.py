"""One call for every kind of map."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from gcvit_edu.capture import AttentionRecord, capture_attention
from gcvit_edu.maps.columns import column_mean, window_means
from gcvit_edu.maps.flow import rollout
from gcvit_edu.maps.gradients import grad_cam, gradient_times_attention
from gcvit_edu.maps.layout import to_pixels
from gcvit_edu.maps.whole_map import block_queries, unwindowed
from gcvit_edu.model import GCViT

Method = Literal["column", "windows", "unwindowed", "rollout", "gradient", "gradcam"]
METHODS: tuple[Method, ...] = get_args(Method)
# The options that a method reads, besides the stage; other options are refused, not ignored.
_READS = {
    "column": {"block", "head"},
    "windows": {"block", "head"},
    "unwindowed": {"block", "head", "bias"},
    "rollout": set(),
    "gradient": {"block", "head", "target"},
    "gradcam": {"target"},
}


@dataclass(frozen=True)
class AttentionMap:
    """A map for each image of a batch, with its origin.

    Attributes:
        values: (B, H, W), none negative, at token resolution, without padding.
        method: one of METHODS; it decides the meaning of the numbers.
        stage: index of the stage whose tokens these are, from 0.
        block: index of the block, from 0; None where the method uses more than one block, or none.
        head: index of the head; None for the mean of all, or where heads play no part.
        target: (B,), the class of each image; None where the method depends on no class.
        stride: pixels per token side.
        image_size: height and width of the images, in pixels.
    """

    values: Tensor
    method: Method
    stage: int
    block: int | None
    head: int | None
    target: Tensor | None
    stride: int
    image_size: tuple[int, int]

    def to_pixels(self, *, smooth: bool = True) -> Tensor:
        """(B, height, width): the map on the images' pixels; see gcvit_edu.maps.to_pixels."""
        return to_pixels(self.values, self.stride, self.image_size, smooth=smooth)


def attention_map(
    model: GCViT,
    image: Tensor,
    *,
    method: Method,
    stage: int,
    block: int | None = None,
    head: int | None = None,
    target: int | Tensor | None = None,
    bias: bool = True,
) -> AttentionMap:
    """A map of where a model looks: one number per token of a stage's map, for each image of a batch.

    No such map is the truth about a network; each method answers another question, and its function in
    gcvit_edu.maps explains what the numbers mean, and what they do not mean:

    "column": the column mean of a global block whose one window covers the map (column_mean).
    "windows": the column mean of each window, put back together; windows are not comparable (window_means).
    "unwindowed": one softmax over the whole map, which the network does not compute (unwindowed).
    "rollout": attention multiplied through all blocks from this stage's first to the output (rollout).
    "gradient": attention times the gradient of a class's logit (gradient_times_attention).
    "gradcam": Grad-CAM at the output of the stage, for comparison (grad_cam).

    Images do not influence each other's maps. The model is left as it was, its gradients included.

        found = attention_map(model, image, method="unwindowed", stage=1)
        found.values, found.to_pixels()

    Args:
        model: a GCViT in eval mode.
        image: (B, in_chans, H, W), normalised, of any size that the model takes.
        method: one of METHODS.
        stage: index of the stage, from 0.
        block: index of the block in its stage, from 0; in GC ViT the odd ones are global. None for the stage's last
            global block.
        head: index of the head; None for the mean of all.
        target: the class, one number for all images or (B,); None for each image's largest logit.
        bias: for "unwindowed", whether to add the relative position bias.

    Raises:
        ValueError: for a method, stage, block, head or class that is not there, an option that the method does not
            read, a model in training mode, an image that the model refuses, or what the method refuses.
    """
    _check(model, method, stage, {"block": block, "head": head, "target": target, "bias": None if bias else False})
    if "block" in _READS[method]:
        block = _checked_block(model, stage, block)
    if method == "column" and not model.stages[stage].blocks[block].use_global:
        are_global = ", ".join(map(str, _global_blocks(model, stage))) or "none"
        raise ValueError(
            f"block={block} is local, and the method 'column' is about the global query; the global blocks of stage "
            f"{stage} are: {are_global}. Take one of these, or another method"
        )
    labels = None
    if method == "unwindowed":
        values = unwindowed(block_queries(model, image, stage, block), head, bias=bias)
    elif method in ("gradient", "gradcam"):
        values, labels = _by_gradient(model, image, method, stage, block, head, target)
    else:
        with torch.no_grad(), capture_attention(model) as records:
            model(image)
        if method == "rollout":
            values = rollout([record for record in records if record.stage >= stage])
        else:
            make = column_mean if method == "column" else window_means
            values = make(_record_of(records, stage, block), head)
    stride = model.config.strides[stage]
    return AttentionMap(values, method, stage, block, head, labels, stride, tuple(image.shape[2:]))


def _check(model: GCViT, method: str, stage: int, options: dict[str, object]) -> None:
    if not isinstance(model, GCViT):
        raise ValueError(f"maps are made of a GCViT, not of a {type(model).__name__}; give the model within")
    if model.training:
        raise ValueError("the model is in training mode, where drop path is random; call model.eval() first")
    if method not in METHODS:
        raise ValueError(f"there is no method={method!r}; choose one of {', '.join(METHODS)}")
    if "target" in _READS[method] and not model.num_classes:
        raise ValueError(f"this model has no classes, and the method {method!r} is about one; give it a head first")
    for name, value in options.items():
        if value is not None and name not in _READS[method]:
            raise ValueError(f"the method {method!r} does not read {name}={value!r}; leave it out")
    if not 0 <= stage < len(model.stages):
        raise ValueError(f"there is no stage={stage}; this model has {len(model.stages)}, numbered from 0")


def _checked_block(model: GCViT, stage: int, block: int | None) -> int:
    blocks = len(model.stages[stage].blocks)
    if block is None:
        if not (are_global := _global_blocks(model, stage)):
            raise ValueError(f"stage {stage} has no global block; give block=, a number from 0 to {blocks - 1}")
        return are_global[-1]
    if not 0 <= block < blocks:
        raise ValueError(f"there is no block={block}; stage {stage} has {blocks}, numbered from 0")
    return block


def _global_blocks(model: GCViT, stage: int) -> list[int]:
    return [index for index, block in enumerate(model.stages[stage].blocks) if block.use_global]


def _record_of(records: list[AttentionRecord], stage: int, block: int) -> AttentionRecord:
    (found,) = (record for record in records if (record.stage, record.block) == (stage, block))
    return found


def _by_gradient(
    model: GCViT,
    image: Tensor,
    method: str,
    stage: int,
    block: int | None,
    head: int | None,
    target: int | Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The map of a method that depends on a class, and the classes (B,)."""
    outputs: list[Tensor] = []
    hook = model.stages[stage].register_forward_hook(lambda _, __, out: outputs.append(out))
    try:
        with torch.enable_grad(), capture_attention(model) as records:
            logits = model(image.detach().requires_grad_())  # the graph is whole even if weights are frozen
            labels = _labels(logits, target)
            score = logits.gather(1, labels[:, None]).sum()  # images are independent: each gets its own gradient
            source = outputs[0] if method == "gradcam" else _record_of(records, stage, block).weights
            (gradient,) = torch.autograd.grad(score, source)
    finally:
        hook.remove()
    if method == "gradcam":
        return grad_cam(source, gradient), labels
    return gradient_times_attention(_record_of(records, stage, block), gradient, head), labels


def _labels(logits: Tensor, target: int | Tensor | None) -> Tensor:
    batch, classes = logits.shape
    if target is None:
        return logits.detach().argmax(1)
    labels = torch.as_tensor(target, device=logits.device)
    if labels.is_floating_point() or labels.shape not in ((), (batch,)):
        raise ValueError(
            f"target of shape {tuple(labels.shape)} and type {labels.dtype} names no class for each of {batch} images; "
            "give a whole number, or one for each image"
        )
    if not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"target={target} is no class of this model; they are numbered from 0 to {classes - 1}")
    return labels.long().expand(batch)
