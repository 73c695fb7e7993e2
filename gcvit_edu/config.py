"""The numbers that define one GC ViT, and every size that follows from them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

STEM_STRIDE = 4  # the stem halves the image twice
MIN_IMAGE_SIZE = 32


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number (int) of at least {least}")


def _number(name: str, value: object, fits: Callable[[float], bool], wanted: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not fits(value):
        raise ValueError(f"{name}={value!r} must {wanted}")


@dataclass(frozen=True)
class GCViTConfig:
    """One GC ViT as data; the defaults are GC ViT-T at 224 pixels (Hatamizadeh et al. 2023).

    Lists are accepted where tuples are named, and are stored as tuples.

    Attributes:
        embed_dim: C, the channels of stage 1; stage s has C * 2**s, counted from 0.
        depths: blocks of each stage, two or more; counted from 0, even blocks are local, odd ones global.
        num_heads: attention heads of each stage.
        window_sizes: side of the square attention window of each stage, in tokens.
        mlp_ratio: hidden width of the MLP over its input width.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0.
        layer_scale: initial value of the layer scale, or None for none.
        image_size: side of the square training image, in pixels. Any other size of 32 or more runs too.
        in_chans: channels of the image.
        num_classes: outputs of the head; 0 leaves the head out.
        query_halvings: halvings of the map in each stage's query generator, where they should not follow
            from the map and the window; see halvings.

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
    query_halvings: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, least in {"image_size": MIN_IMAGE_SIZE, "embed_dim": 1, "in_chans": 1, "num_classes": 0}.items():
            _whole(name, getattr(self, name), least)
        for name, least in {"depths": 2, "num_heads": 1, "window_sizes": 1, "query_halvings": 0}.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, self._per_stage(name, least))
        if self.embed_dim % 4:
            raise ValueError(
                f"embed_dim={self.embed_dim} must be a multiple of 4; squeeze-and-excitation narrows it to a quarter"
            )
        for stage, (dim, heads) in enumerate(zip(self.dims, self.num_heads, strict=True)):
            if dim % heads:
                raise ValueError(
                    f"num_heads[{stage}]={heads} does not divide the {dim} channels of stage {stage + 1}; "
                    f"choose a divisor, or change embed_dim={self.embed_dim}"
                )
        _number("mlp_ratio", self.mlp_ratio, lambda value: value * self.embed_dim >= 1, "give the MLP a hidden width")
        _number("drop_path_rate", self.drop_path_rate, lambda value: 0 <= value < 1, "be at least 0 and below 1")
        if self.layer_scale is not None:
            _number("layer_scale", self.layer_scale, lambda value: value > 0, "be positive, or None for no layer scale")

    def _per_stage(self, name: str, least: int) -> tuple[int, ...]:
        value = getattr(self, name)
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"{name}={value!r} must be a tuple with one entry per stage, such as {(least,) * 4}")
        if len(value) != len(self.depths):
            raise ValueError(
                f"{name}={value} has {len(value)} entries for {len(self.depths)} stages; give one per stage"
            )
        for stage, entry in enumerate(value):
            _whole(f"{name}[{stage}]", entry, least)
        return tuple(value)

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
    def halvings(self) -> tuple[int, ...]:
        """Halvings in each stage's query generator: log2(map / window), rounded, or query_halvings where given."""
        if self.query_halvings is not None:
            return self.query_halvings
        ratios = (side / window for side, window in zip(self.map_sizes, self.window_sizes, strict=True))
        return tuple(max(0, round(math.log2(ratio))) for ratio in ratios)

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
        _whole("image_size", image_size, MIN_IMAGE_SIZE)
        if image_size == self.image_size:
            return self
        windows = tuple(math.ceil(window * image_size / self.image_size) for window in self.window_sizes)
        return replace(self, image_size=image_size, window_sizes=windows, query_halvings=self.halvings)
