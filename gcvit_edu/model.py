"""Blocks, stages and the whole network (Hatamizadeh et al. 2023)."""

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention
from gcvit_edu.config import GCViTConfig
from gcvit_edu.inputs import check_image
from gcvit_edu.layers import DropPath, LayerScale, Mlp
from gcvit_edu.position import RelativePositionBias
from gcvit_edu.query import GlobalQueryGenerator
from gcvit_edu.stem import Downsample, PatchStem
from gcvit_edu.timm_contract import TimmContract


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

    For Grad-CAM by other tools, which expect (B, C, H, W): reshape_transform=lambda x: x.permute(0, 3, 1, 2).

    Args:
        config: the whole network's numbers.
        index: which stage, from 0.
    """

    def __init__(self, config: GCViTConfig, index: int) -> None:
        super().__init__()
        dim, heads, window = config.dims[index], config.num_heads[index], config.window_sizes[index]
        self.grad_checkpointing = False
        self.downsample = Downsample(config.dims[index - 1], dim) if index else nn.Identity()
        self.query = GlobalQueryGenerator(dim, heads, window, config.halvings[index])
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


class GCViT(TimmContract):
    """Image (B, in_chans, H, W) -> logits (B, num_classes).

    Any H and W of 32 or more run. A map that is not a whole number of windows is padded; those of GC ViT-T at 224
    pixels are all whole. torch.export writes a program for one size and any number of images.
    TimmContract adds the other methods that timm's models have.

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
        self.norm = nn.LayerNorm(config.dims[-1])
        self.head_drop = nn.Identity()  # a Dropout where timm's drop_rate is set
        self.head = self.make_head()
        self.apply(init_weights)

    def make_head(self) -> nn.Module:
        """A new head for num_classes classes, initialised; an Identity for none."""
        if not self.num_classes:
            return nn.Identity()
        return nn.Linear(self.head_hidden_size, self.num_classes).apply(init_weights)

    def forward(self, image: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(image))

    def forward_features(self, image: Tensor) -> Tensor:
        """Image (B, in_chans, H, W) -> the last map, normalised, (B, 8C, H/32, W/32), sizes rounded up.

        Raises:
            ValueError: for an image that check_image refuses.
        """
        check_image(image, self.config)
        x = self.stem(image)
        for stage in self.stages:
            x = stage(x)
        return self.norm(x).permute(0, 3, 1, 2)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map (B, 8C, H, W) -> logits, or the pooled map alone, (B, 8C), if pre_logits."""
        if self.global_pool == "avg":
            x = x.mean((2, 3))
        elif self.global_pool:
            x = self.pool_otherwise(x)
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)


def init_weights(module: nn.Module) -> None:
    """Linear weights and bias tables from a normal distribution of deviation 0.02, linear biases zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, RelativePositionBias):
        nn.init.trunc_normal_(module.table, std=0.02)
