"""GC ViT, the Global Context Vision Transformer (Hatamizadeh et al., ICML 2023), built to be read."""

from importlib import import_module

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention, attend, attend_explicit
from gcvit_edu.config import GCViTConfig
from gcvit_edu.layers import DropPath, FusedMBConv, LayerScale, Mlp, SqueezeExcite
from gcvit_edu.model import Block, GCViT, Stage, init_weights
from gcvit_edu.position import RelativePositionBias, relative_position_index, resize_bias_table
from gcvit_edu.query import GlobalQueryGenerator
from gcvit_edu.stem import Downsample, PatchStem
from gcvit_edu.windows import pad_to_windows, queries_for_windows, window_merge, window_partition

__version__ = "0.1.0"

# Imported when first asked for: some bring timm, which takes seconds to import.
_LATER = {
    "create_model": "gcvit_edu.zoo",
    "list_models": "gcvit_edu.zoo",
    "convert_state_dict": "gcvit_edu.weights",
    "load_weights": "gcvit_edu.weights",
    "shipped_weights": "gcvit_edu.weights",
    "capture_attention": "gcvit_edu.capture",
    "attention_map": "gcvit_edu.maps",
    "explore": "gcvit_edu.explorer",
    "count": "gcvit_edu.counting",
}

__all__ = [
    "Block",
    "Downsample",
    "DropPath",
    "FusedMBConv",
    "GCViT",
    "GCViTConfig",
    "GlobalQueryGenerator",
    "GlobalWindowAttention",
    "LayerScale",
    "Mlp",
    "PatchStem",
    "RelativePositionBias",
    "SqueezeExcite",
    "Stage",
    "WindowAttention",
    "attend",
    "attend_explicit",
    "init_weights",
    "pad_to_windows",
    "queries_for_windows",
    "relative_position_index",
    "resize_bias_table",
    "window_merge",
    "window_partition",
    *_LATER,
]


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'gcvit_edu' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
