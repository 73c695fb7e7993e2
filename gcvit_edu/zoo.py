"""The variants of GC ViT by name (Hatamizadeh et al. 2023); importing this module registers them with timm."""

import difflib
from dataclasses import replace

from gcvit_edu.config import GCViTConfig
from gcvit_edu.model import GCViT
from gcvit_edu.timm_registry import build, register_with_timm

_TINY = GCViTConfig()  # 64 channels, MLP ratio 3
_SMALL = GCViTConfig(embed_dim=96, num_heads=(3, 6, 12, 24), mlp_ratio=2.0, drop_path_rate=0.3, layer_scale=1e-5)
_LARGE = replace(_SMALL, embed_dim=192, num_heads=(6, 12, 24, 48), drop_path_rate=0.5)

VARIANTS: dict[str, GCViTConfig] = {
    # Ours, for CPUs and lessons: at 64 pixels its first two stages still have several windows.
    "nano": GCViTConfig(
        embed_dim=32,
        depths=(2, 2, 4, 2),
        num_heads=(1, 2, 4, 8),
        window_sizes=(4, 4, 4, 2),
        drop_path_rate=0.1,
        image_size=64,
    ),
    "xxtiny": replace(_TINY, depths=(2, 2, 6, 2)),
    "xtiny": replace(_TINY, depths=(3, 4, 6, 5)),
    "tiny": _TINY,
    "tiny2": replace(_TINY, depths=(3, 4, 29, 5), drop_path_rate=0.25),
    "small": _SMALL,
    "small2": replace(_SMALL, depths=(3, 4, 23, 5), mlp_ratio=3.0, drop_path_rate=0.35),
    "base": replace(_SMALL, embed_dim=128, num_heads=(4, 8, 16, 32), drop_path_rate=0.5),
    "large": _LARGE,
    "large_384": replace(_LARGE.resized(384), drop_path_rate=0.1),
    "large_512": replace(_LARGE.resized(512), drop_path_rate=0.1),
}


def list_models() -> list[str]:
    """The names that create_model knows, small to large."""
    return list(VARIANTS)


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int = 3,
    image_size: int | None = None,
    drop_path_rate: float | None = None,
    pretrained: bool | str = False,
) -> GCViT:
    """A GC ViT by name; its pretrained_cfg says how pictures are prepared (timm.data.resolve_model_data_config).

    Args:
        name: one of list_models().
        num_classes: outputs of the head; 0 for none. None for as many as the pretrained weights have, or 1000.
            With pretrained, any other number gets a new head.
        in_chans: channels of the image. With pretrained, the weights for 3 are added up or repeated, as timm does it.
        image_size: grow or shrink the windows for this image size; None keeps the variant's own.
            Images of any other size run too, in windows of unchanged size.
        drop_path_rate: stochastic depth of the last block; None for the paper's value.
        pretrained: load weights. True for "emoji_nano" where the name is nano: trained on 13 classes of emoji, and
            shipped with the package (CC-BY-4.0). For the other names True loads NVIDIA's ImageNet-1k weights
            through timm (CC-BY-NC-SA-4.0). Or the name of shipped weights (gcvit_edu.shipped_weights()).

    Raises:
        ValueError: for an unknown name, sizes that do not fit, or no weights for what is asked.
        ConnectionError: if the weights cannot be downloaded.
    """
    if name not in VARIANTS:
        close = difflib.get_close_matches(str(name), VARIANTS, n=3, cutoff=0.4) or list_models()
        raise ValueError(f"no variant is called {name!r}; the nearest names are {', '.join(close)}")
    return build(
        name,
        VARIANTS[name],
        pretrained=pretrained,
        num_classes=num_classes,
        in_chans=in_chans,
        img_size=image_size,
        drop_path_rate=drop_path_rate,
    )


for _name, _config in VARIANTS.items():
    register_with_timm(_name, _config)
