"""Recording the attention of every block while a model runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from einops import rearrange
from torch import Tensor, nn

from gcvit_edu.attention import attend_explicit
from gcvit_edu.mixers import ShiftedWindowAttention
from gcvit_edu.model import GCViT


@dataclass(frozen=True)
class AttentionRecord:
    """The attention of one block in one forward pass.

    Attributes:
        stage: index of the stage, from 0.
        block: index of the block in its stage, from 0.
        is_global: whether the queries are the global query's; row i is then its cell i, not the window's token i.
        weights: (B, N, h, T, T), window by query by key; rows sum to one. Windows and tokens run row by row.
        window: side of the window, T = window**2.
        grid: rows and columns of windows, N = rows * columns.
        map_size: height and width of the map before padding, in tokens.
        shift: rows and columns by which the map was rolled, up and to the left, before it was cut into windows.
    """

    stage: int
    block: int
    is_global: bool
    weights: Tensor
    window: int
    grid: tuple[int, int]
    map_size: tuple[int, int]
    shift: int = 0


def shift_of(attn: nn.Module, map_size: tuple[int, int]) -> int:
    """The rows and columns by which an attention layer rolls a map of this size before it cuts it into windows."""
    shifted = isinstance(attn, ShiftedWindowAttention) and map_size != (attn.window, attn.window)
    return attn.window // 2 if shifted else 0


@contextmanager
def capture_attention(model: GCViT) -> Iterator[list[AttentionRecord]]:
    """A context in which each forward pass adds one record per block, in order, to the list that it yields.

    The outputs do not change, beyond the rounding of another kernel. Records keep their part of the autograd graph,
    if there is one, and the outputs are computed from them: torch.autograd.grad(logits[0, 3], record.weights) is
    the gain of a class by each weight. At the end, also after an exception, the model is as before. Copy or save the
    model outside the context: a copy made within goes on recording.

        with capture_attention(model) as records:
            model(image)

    Raises:
        ValueError: if the model is no GCViT, or is being captured already, or trains with gradient
            checkpointing, which would record every block twice.
    """
    if not isinstance(model, GCViT):
        raise ValueError(f"attention is captured of a GCViT, not of a {type(model).__name__}; give the model within")
    if any("attend" in vars(block.attn) for stage in model.stages for block in stage.blocks):
        raise ValueError("this model's attention is being captured already; leave that context first")
    if model.training and any(stage.grad_checkpointing for stage in model.stages):
        raise ValueError(
            "attention cannot be captured under gradient checkpointing, which runs each block twice; "
            "call model.set_grad_checkpointing(False) or model.eval() first"
        )
    records: list[AttentionRecord] = []
    undo = []
    try:
        for stage_index, stage in enumerate(model.stages):
            for block_index, block in enumerate(stage.blocks):
                undo.append(_record(block.attn, stage_index, block_index, block.use_global, records))
        yield records
    finally:
        for step in reversed(undo):
            step()


def _record(
    attn: nn.Module, stage: int, block: int, is_global: bool, records: list[AttentionRecord]
) -> Callable[[], None]:
    map_size = (0, 0)

    def remember_size(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal map_size
        map_size = tuple(inputs[0].shape[1:3])

    def recording_attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor | None = None) -> Tensor:
        _, weights = attend_explicit(q, k, v, bias, real)
        grid = tuple(-(-side // attn.window) for side in map_size)
        weights = rearrange(weights, "(b n) h q k -> b n h q k", n=grid[0] * grid[1])
        shift = shift_of(attn, map_size)
        records.append(AttentionRecord(stage, block, is_global, weights, attn.window, grid, map_size, shift))
        return weights.flatten(0, 1) @ v  # from the record itself: a logit has a gradient by its weights

    hook = attn.register_forward_pre_hook(remember_size)
    attn.attend = recording_attend

    def undo() -> None:
        hook.remove()
        del attn.attend  # the class's own attend is used again

    return undo
