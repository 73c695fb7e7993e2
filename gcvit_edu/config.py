"""The numbers that define one GC ViT, and every size that follows from them."""

import math
from dataclasses import dataclass, replace

STEM_STRIDE = 4  # the stem halves the image twice (paper, section 3.1)
MIN_IMAGE_SIZE = 32


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class GCViTConfig:
    """One GC ViT as data; the defaults are GC ViT-T at 224 pixels (paper, table 1).

    Lists are accepted where tuples are named, and are stored as tuples.

    Args:
        embed_dim: C, the channels of stage 1; stage s has C * 2**s, counted from 0.
        depths: blocks of each stage; even blocks are local, odd ones global.
        num_heads: attention heads of each stage.
        window_sizes: side of the square attention window of each stage, in tokens.
        mlp_ratio: hidden width of the MLP over its input width.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0.
        layer_scale: initial value of the layer scale, or None for none.
        image_size: side of the square training image, in pixels. Any other size of 32 or more runs too.
        in_chans: channels of the image.
        num_classes: outputs of the head; 0 leaves the head out.
        query_levels: halvings of the map in each stage's query generator; None derives them,
            log2(map / window) rounded to a whole number.

    Raises:
        ValueError: if the numbers do not fit together.
    """

    embed_dim: int = 64
    depths: tuple[int, ...] = (3, 4, 19, 5)
    num_heads: tuple[int, ...] = (2, 4, 8, 16)
    window_sizes: tuple[int, ...] = (7, 7, 14, 7)
    mlp_ratio: float = 3.0
    drop_path_rate: float = 0.2
    layer_scale: float | None = None
    image_size: int = 224
    in_chans: int = 3
    num_classes: int = 1000
    query_levels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("depths", "num_heads", "window_sizes", "query_levels"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        self._check()
        if self.query_levels is None:
            levels = (
                max(0, round(math.log2(side / window)))
                for side, window in zip(self.map_sizes, self.window_sizes, strict=True)
            )
            object.__setattr__(self, "query_levels", tuple(levels))

    def _check(self) -> None:
        _require(
            isinstance(self.image_size, int) and self.image_size >= MIN_IMAGE_SIZE,
            f"image_size={self.image_size!r} must be a whole number of at least {MIN_IMAGE_SIZE} pixels; "
            "four stages halve the image five times",
        )
        for name, least in (("embed_dim", 1), ("in_chans", 1), ("num_classes", 0)):
            value = getattr(self, name)
            _require(
                isinstance(value, int) and value >= least,
                f"{name}={value!r} must be a whole number of at least {least}",
            )
        stages = len(self.depths)
        _require(stages > 0, "depths=() names no stage; give one number of blocks per stage")
        per_stage = {"depths": 2, "num_heads": 1, "window_sizes": 1, "query_levels": 0}
        for name, least in per_stage.items():
            value = getattr(self, name)
            if value is None:
                continue
            _require(
                len(value) == stages,
                f"{name}={value} has {len(value)} entries for {stages} stages; give one per stage",
            )
            _require(
                all(isinstance(entry, int) and entry >= least for entry in value),
                f"{name}={value}: each entry must be a whole number of at least {least}"
                + ("; a stage is a local block followed by a global one" if name == "depths" else ""),
            )
        _require(
            self.embed_dim % 4 == 0,
            f"embed_dim={self.embed_dim} must be a multiple of 4; squeeze-and-excitation narrows it to a quarter",
        )
        for stage, (dim, heads) in enumerate(zip(self.dims, self.num_heads, strict=True)):
            _require(
                dim % heads == 0,
                f"num_heads[{stage}]={heads} does not divide the {dim} channels of stage {stage + 1}; "
                f"choose a divisor, or change embed_dim={self.embed_dim}",
            )
        _require(self.mlp_ratio > 0, f"mlp_ratio={self.mlp_ratio} must be positive")
        _require(
            0 <= self.drop_path_rate < 1,
            f"drop_path_rate={self.drop_path_rate} must be at least 0 and below 1; it is a probability",
        )
        _require(
            self.layer_scale is None or self.layer_scale > 0,
            f"layer_scale={self.layer_scale} must be positive, or None for no layer scale",
        )

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each stage: C, 2C, 4C, 8C."""
        return tuple(self.embed_dim * 2**stage for stage in range(len(self.depths)))

    @property
    def strides(self) -> tuple[int, ...]:
        """Image pixels per token side, for each stage: 4, 8, 16, 32."""
        return tuple(STEM_STRIDE * 2**stage for stage in range(len(self.depths)))

    @property
    def map_sizes(self) -> tuple[int, ...]:
        """Side of each stage's map for an image of image_size, in tokens; halvings round up."""
        return tuple(math.ceil(self.image_size / stride) for stride in self.strides)

    @property
    def drop_path_rates(self) -> tuple[tuple[float, ...], ...]:
        """Drop rate of every block, by stage: from 0 in the first to drop_path_rate in the last."""
        last = sum(self.depths) - 1
        starts = (sum(self.depths[:stage]) for stage in range(len(self.depths)))
        return tuple(
            tuple(self.drop_path_rate * (start + block) / last for block in range(depth))
            for start, depth in zip(starts, self.depths, strict=True)
        )

    def resized(self, image_size: int) -> "GCViTConfig":
        """The same network for another image size, its windows grown or shrunk with the image.

        At 384 the windows 7, 7, 14, 7 become 12, 12, 24, 12: each window sees the same part of the picture.
        Every weight keeps its shape but the tables of relative position bias (see position.resize_bias_table).
        """
        windows = (math.ceil(window * image_size / self.image_size) for window in self.window_sizes)
        return replace(self, image_size=image_size, window_sizes=tuple(windows))
