"""The methods that timm, and tools made for timm, need of a model, beside forward and its two halves."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.inputs import check_image

# timm's names of pooling, and the numbers that each gives per channel; "" is none.
POOLINGS = {"avg": 1, "max": 1, "avgmax": 1, "catavgmax": 2, "": 1}


class TimmContract(nn.Module):
    """Methods for a model with config, stem, stages, norm and head. A stage takes and gives (B, H, W, C)."""

    @property
    def in_chans(self) -> int:
        """Channels of the image."""
        return self.config.in_chans

    def pool_otherwise(self, x: Tensor) -> Tensor:
        """The last map (B, C, H, W) -> (B, C) as global_pool names it, or (B, 2C) for "catavgmax"."""
        mean, largest = x.mean((2, 3)), F.adaptive_max_pool2d(x, 1).flatten(1)
        if self.global_pool == "catavgmax":
            return torch.cat([mean, largest], dim=1)
        return {"avg": mean, "max": largest, "avgmax": (mean + largest) / 2}[self.global_pool]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Image -> the maps after the chosen stages, (B, C, H, W), at strides 4, 8, 16, 32.

        Args:
            x: image (B, in_chans, H, W).
            indices: of stages, negative ones from the end; a number n means the last n; None means all.
            norm: normalise the last stage's map, as forward_features does; the others have no norm.
            stop_early: do not run stages after the last chosen one.
            output_fmt: "NCHW" or "NHWC".
            intermediates_only: return the maps alone.

        Returns:
            The final map and the list of maps, or the list alone. The final map is that of forward_features;
            where stop_early left stages out, it is the last map computed, without norm.

        Raises:
            ValueError: for an index or format that does not exist, or an image that check_image refuses.
        """
        if output_fmt not in ("NCHW", "NHWC"):
            raise ValueError(f"output_fmt={output_fmt!r} is unknown; use 'NCHW' or 'NHWC'")
        chosen = self._stage_indices(indices)
        last = max(chosen, default=0) if stop_early else len(self.stages) - 1
        check_image(x, self.config)
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            ends = index == len(self.config.depths) - 1
            if index in chosen:
                maps.append(self.norm(x) if norm and ends else x)
            if index == last:
                break
        if output_fmt == "NCHW":
            maps = [y.permute(0, 3, 1, 2) for y in maps]
        if intermediates_only:
            return maps
        return (self.norm(x) if ends else x).permute(0, 3, 1, 2), maps

    def _stage_indices(self, indices: int | list[int] | None) -> list[int]:
        stages = len(self.stages)
        if indices is None:
            return list(range(stages))
        chosen = list(range(-indices, 0)) if isinstance(indices, int) else list(indices)
        if any(not -stages <= index < stages for index in chosen) or (isinstance(indices, int) and indices < 1):
            raise ValueError(
                f"indices={indices} names a stage that is not there; "
                f"the stages are 0 to {stages - 1}, and a number counts from 1 to {stages}"
            )
        return sorted({index % stages for index in chosen})

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Delete the parts that the chosen stages' maps do not need, and return the indices counted from the front.

        Args:
            indices: of stages, or a number of last ones, as for forward_intermediates.
            prune_norm: whether the norm is deleted, too, even if all stages stay.
            prune_head: whether the head is deleted, too, even if all stages stay.

        Raises:
            ValueError: for indices that name no stage, or one that is not there.
        """
        chosen = self._stage_indices(indices)
        if not chosen:
            raise ValueError(f"indices={indices} names no stage; a model without stages has nothing to give")
        self.stages = self.stages[: max(chosen) + 1]
        shorter = len(self.stages) < len(self.config.depths)
        if shorter or prune_norm:
            self.norm = nn.Identity()
        if shorter:
            self.num_features = self.head_hidden_size = self.config.dims[max(chosen)]
        if shorter or prune_head:
            self.head = nn.Identity()
            self.num_classes, self.global_pool = 0, ""
        return chosen

    def get_classifier(self) -> nn.Module:
        """The head: a Linear, or an Identity where there are no classes."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a new, untrained head in place; 0 classes for none.

        Args:
            num_classes: outputs of the new head.
            global_pool: "avg" for the mean over the map, "max" for the largest value, "avgmax" for the mean of both,
                "catavgmax" for both side by side, "" for none (only without classes), None for no change.

        Raises:
            ValueError: for a negative number of classes, another pooling, or classes without pooling.
        """
        pool = self.global_pool if global_pool is None else global_pool
        if num_classes < 0 or pool not in POOLINGS or (num_classes and not pool):
            raise ValueError(
                f"global_pool={pool!r} with num_classes={num_classes} cannot be; use 'avg', 'max', 'avgmax' or "
                "'catavgmax', or '' with 0 classes"
            )
        like = next(self.parameters())
        self.config = replace(self.config, num_classes=num_classes)  # refuses what is no number of classes
        self.num_classes, self.global_pool = num_classes, pool
        self.head_hidden_size = self.num_features * POOLINGS[pool]
        self.head = self.make_head().to(like.device, like.dtype)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training, recompute each block in the backward pass instead of storing its activations."""
        for stage in self.stages:
            stage.grad_checkpointing = enable

    def no_weight_decay(self) -> set[str]:
        """Names of parameters, besides those of one dimension, that weight decay should leave alone."""
        return {name for name, _ in self.named_parameters() if name.endswith("bias.table")}

    def group_matcher(self, coarse: bool = False) -> dict[str, object]:
        """Patterns that sort parameters into layers, input to output, as timm's layer-wise decay reads them."""
        blocks = r"^stages\.(\d+)"
        fine = [(r"^stages\.(\d+)\.(?:downsample|query)", (0,)), (r"^stages\.(\d+)\.blocks\.(\d+)", None)]
        return {"stem": r"^stem", "blocks": blocks if coarse else [*fine, (r"^norm", (99999,))]}

    def __prepare_scriptable__(self) -> nn.Module:
        """Refuse torch.jit.script, which calls this first.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"a {type(self).__name__} cannot be scripted, since einops works its shapes out; "
            "use torch.export, or torch.jit.trace with an example"
        )
