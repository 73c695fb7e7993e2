"""Blocks, stages and the whole network (paper, section 3 and figure 2)."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention
from gcvit_edu.config import MIN_IMAGE_SIZE, GCViTConfig
from gcvit_edu.layers import DropPath, LayerScale, Mlp
from gcvit_edu.query import GlobalQueryGenerator
from gcvit_edu.stem import Downsample, PatchStem


class Block(nn.Module):
    """(B, H, W, C) and the global query (B, h, T, d) -> (B, H, W, C): attention, then an MLP, both residual.

    Args:
        dim: C.
        num_heads: attention heads.
        window: side of the window, in tokens.
        use_global: take the queries from the global query instead of from the window.
        mlp_ratio: hidden width of the MLP over C.
        drop_path: probability that a sample skips a branch in training.
        layer_scale: initial value of the layer scale, or None for none.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: int,
        *,
        use_global: bool,
        mlp_ratio: float = 3.0,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()

        def scale() -> nn.Module:
            return nn.Identity() if layer_scale is None else LayerScale(dim, layer_scale)

        self.use_global = use_global
        self.norm1 = nn.LayerNorm(dim)
        self.attn = (GlobalWindowAttention if use_global else WindowAttention)(dim, num_heads, window)
        self.ls1 = scale()
        self.drop_path1 = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.ls2 = scale()
        self.drop_path2 = DropPath(drop_path)

    def forward(self, x: Tensor, query: Tensor) -> Tensor:
        y = self.norm1(x)
        y = self.attn(y, query) if self.use_global else self.attn(y)
        x = x + self.drop_path1(self.ls1(y))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))


class Stage(nn.Module):
    """(B, H, W, C) -> (B, H', W', C'): downsample (but for the first stage), one global query, then the blocks.

    Args:
        config: the whole network's numbers.
        index: which stage, from 0.
    """

    def __init__(self, config: GCViTConfig, index: int) -> None:
        super().__init__()
        dim, heads, window = config.dims[index], config.num_heads[index], config.window_sizes[index]
        self.grad_checkpointing = False
        self.downsample = Downsample(config.dims[index - 1], dim) if index else nn.Identity()
        self.query = GlobalQueryGenerator(dim, heads, window, config.query_levels[index])
        self.blocks = nn.ModuleList(
            Block(
                dim,
                heads,
                window,
                use_global=block % 2 == 1,
                mlp_ratio=config.mlp_ratio,
                drop_path=rate,
                layer_scale=config.layer_scale,
            )
            for block, rate in enumerate(config.drop_path_rates[index])
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        query = self.query(x)
        for block in self.blocks:
            if self.grad_checkpointing and self.training:
                x = checkpoint(block, x, query, use_reentrant=False)
            else:
                x = block(x, query)
        return x


class GCViT(nn.Module):
    """Image (B, in_chans, H, W) -> logits (B, num_classes).

    Any H and W of 32 or more run; at config.image_size every map is a whole number of windows.
    The methods beside forward are those that timm's models have.

    Args:
        config: the network's numbers.
    """

    def __init__(self, config: GCViTConfig) -> None:
        super().__init__()
        self.config = config
        self.num_classes = config.num_classes
        self.global_pool = "avg"
        self.num_features = self.head_hidden_size = config.dims[-1]
        self.feature_info = [
            {"num_chs": dim, "reduction": stride, "module": f"stages.{index}"}
            for index, (dim, stride) in enumerate(zip(config.dims, config.strides, strict=True))
        ]
        self.stem = PatchStem(config.in_chans, config.embed_dim)
        self.stages = nn.ModuleList(Stage(config, index) for index in range(len(config.depths)))
        self.norm = nn.LayerNorm(self.num_features)
        self.head = self._make_head(config.num_classes)
        self.apply(init_weights)

    def _make_head(self, num_classes: int) -> nn.Module:
        return nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(image))

    def forward_features(self, image: Tensor) -> Tensor:
        """Image (B, in_chans, H, W) -> the last map, normalised, (B, 8C, H/32, W/32), sizes rounded up."""
        return self.forward_intermediates(image, indices=[])[0]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map (B, 8C, H, W) -> logits, or the pooled map alone, (B, 8C), if pre_logits."""
        if self.global_pool == "avg":
            x = x.mean((2, 3))
        return x if pre_logits else self.head(x)

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
            indices: which stages, negative counting from the end; a number n means the last n; None all.
            norm: normalise the last stage's map, as forward_features does; the others have no norm.
            stop_early: do not run stages after the last chosen one.
            output_fmt: "NCHW" or "NHWC".
            intermediates_only: return the maps alone.

        Returns:
            The final map and the list of maps, or the list alone.

        Raises:
            ValueError: for an index or format that does not exist, or an image that check_image refuses.
        """
        if output_fmt not in ("NCHW", "NHWC"):
            raise ValueError(f"output_fmt={output_fmt!r} is unknown; use 'NCHW' or 'NHWC'")
        chosen = self._stage_indices(indices)
        check_image(x, self.config)
        x = self.stem(x)
        maps = []
        last = max(chosen, default=0) if stop_early else len(self.stages) - 1
        for index, stage in enumerate(self.stages[: last + 1]):
            x = stage(x)
            if index in chosen:
                is_last = index == len(self.stages) - 1
                maps.append(self.norm(x) if norm and is_last else x)
        if output_fmt == "NCHW":
            maps = [y.permute(0, 3, 1, 2) for y in maps]
        if intermediates_only:
            return maps
        return self.norm(x).permute(0, 3, 1, 2), maps

    def _stage_indices(self, indices: int | list[int] | None) -> set[int]:
        stages = len(self.stages)
        if indices is None:
            return set(range(stages))
        chosen = list(range(-indices, 0)) if isinstance(indices, int) else list(indices)
        if any(not -stages <= index < stages for index in chosen):
            raise ValueError(f"indices={indices} names a stage that is not there; the stages are 0 to {stages - 1}")
        return {index % stages for index in chosen}

    def get_classifier(self) -> nn.Module:
        """The head: a Linear, or an Identity where there are no classes."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a new, untrained head in place; 0 classes for none.

        Args:
            num_classes: outputs of the new head.
            global_pool: "avg" for the mean over the map, "" for no pooling (only without classes), None for no change.

        Raises:
            ValueError: for another pooling, or classes without pooling.
        """
        pool = self.global_pool if global_pool is None else global_pool
        if pool not in ("avg", "") or (num_classes and not pool):
            raise ValueError(
                f"global_pool={pool!r} with num_classes={num_classes} cannot be; use 'avg', or '' with 0 classes"
            )
        like = self.norm.weight
        self.num_classes, self.global_pool = num_classes, pool
        self.head = self._make_head(num_classes).to(like.device, like.dtype)
        self.head.apply(init_weights)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training, recompute each block in the backward pass instead of storing its activations."""
        for stage in self.stages:
            stage.grad_checkpointing = enable

    def no_weight_decay(self) -> set[str]:
        """Names of parameters, besides those of one dimension, that weight decay should leave alone."""
        return {name for name, _ in self.named_parameters() if name.endswith("bias.table")}

    def group_matcher(self, coarse: bool = False) -> dict[str, object]:
        """Patterns that sort parameters into layers from input to output, as timm's layer-wise decay reads them."""
        blocks = r"^stages\.(\d+)"
        fine = [(r"^stages\.(\d+)\.(?:downsample|query)", (0,)), (r"^stages\.(\d+)\.blocks\.(\d+)", None)]
        return {"stem": r"^stem", "blocks": blocks if coarse else [*fine, (r"^norm", (99999,))]}


def init_weights(module: nn.Module) -> None:
    """Linear weights and bias tables from a normal of deviation 0.02, linear biases zero; the rest as in PyTorch."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    table = getattr(getattr(module, "bias", None), "table", None)
    if table is not None:
        nn.init.trunc_normal_(table, std=0.02)


def check_image(image: Tensor, config: GCViTConfig) -> None:
    """Refuse what cannot be a batch of normalised images for this network.

    The values are looked at only on the CPU and outside compilation, where it costs next to nothing.

    Raises:
        ValueError: for a wrong number of dimensions or channels, a size below 32 pixels,
            integers, or values as large as those of an image from 0 to 255.
    """
    shape = tuple(image.shape)
    if image.ndim != 4 or shape[1] != config.in_chans:
        raise ValueError(
            f"an image batch of shape {shape} does not fit; expected (batch, {config.in_chans}, height, width)"
        )
    if min(shape[2:]) < MIN_IMAGE_SIZE:
        raise ValueError(
            f"an image of {shape[2]}x{shape[3]} pixels is too small; enlarge both sides to {MIN_IMAGE_SIZE} or more"
        )
    if not image.is_floating_point():
        raise ValueError(
            f"an image of type {image.dtype} is not normalised; divide by 255, subtract the mean and "
            "divide by the standard deviation"
        )
    if image.device.type == "cpu" and image.numel() and not torch.compiler.is_compiling():
        largest = image.detach().abs().max().item()
        if largest > 30:
            raise ValueError(
                f"the image holds values up to {largest:.0f}, so it is not normalised; divide by 255, "
                "subtract the mean and divide by the standard deviation"
            )
