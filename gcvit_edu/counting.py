"""Counting a network's parameters and multiply-adds."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Counts:
    """Counts of parameters, and of the multiply-adds of one forward pass (half the floating-point operations).

    Attributes:
        parameters: their number, trained or frozen.
        multiply_adds: of matrix products and convolutions.
    """

    parameters: int
    multiply_adds: int

    def __str__(self) -> str:
        return f"{self.parameters / 1e6:.3f} M parameters, {self.multiply_adds / 1e9:.3f} G multiply-adds"


def count(module: nn.Module, *inputs: Tensor) -> Counts:
    """Parameters of a module and multiply-adds of one call, without computing anything.

    Counts matrix products and convolutions, as PyTorch's FlopCounterMode does; not norms, activations or softmax.

    Args:
        module: any module, on any device; only the shapes of its weights are used.
        inputs: its arguments; only their shapes are used. They may be left out for a GC ViT, which then
            gets one image of its config.image_size.

    Raises:
        ValueError: if there are no inputs and the module has no config.
    """
    if not inputs:
        config = getattr(module, "config", None)
        if config is None:
            raise ValueError(f"count needs inputs for a {type(module).__name__}; give tensors of the right shapes")
        size = (1, config.in_chans, config.image_size, config.image_size)
        inputs = (torch.empty(size, device="meta", dtype=next(module.parameters()).dtype),)
    on_meta = {
        name: torch.empty_like(value, device="meta")
        for name, value in [*module.named_parameters(), *module.named_buffers()]
    }
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(module, on_meta, tuple(value.to("meta") for value in inputs))
    return Counts(sum(value.numel() for value in module.parameters()), counter.get_total_flops() // 2)
