"""The variants of GC ViT by name (Hatamizadeh et al. 2023), as configs; imports no timm."""

from dataclasses import replace

from gcvit_edu.config import GCViTConfig

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
