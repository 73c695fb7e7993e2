"""GC ViT, the Global Context Vision Transformer (Hatamizadeh et al., ICML 2023), built to be read."""

from importlib import import_module
from typing import TYPE_CHECKING

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention, attend, attend_explicit
from gcvit_edu.config import GCViTConfig
from gcvit_edu.layers import DropPath, FusedMBConv, LayerScale, Mlp, SqueezeExcite
from gcvit_edu.model import Block, GCViT, Stage, init_weights
from gcvit_edu.moved import put_up_signposts
from gcvit_edu.position import RelativePositionBias, relative_position_index, resize_bias_table
from gcvit_edu.query import GlobalQueryGenerator
from gcvit_edu.stem import Downsample, PatchStem
from gcvit_edu.windows import pad_to_windows, queries_for_windows, window_merge, window_partition

__version__ = "0.2.0"

put_up_signposts()

# Imported at the first use: some of them import timm, which takes seconds.
_LATER = {
    "create_model": "gcvit_edu.zoo",
    "list_models": "gcvit_edu.variants",
    "convert_state_dict": "gcvit_edu.weight_keys",
    "load_weights": "gcvit_edu.weights",
    "shipped_weights": "gcvit_edu.weights",
    "capture_attention": "gcvit_edu.capture",
    "attention_map": "gcvit_edu.maps",
    "explore": "gcvit_edu.explorer",
    "count": "gcvit_edu.counting",
}

if TYPE_CHECKING:  # so that an editor knows them
    from gcvit_edu.capture import capture_attention as capture_attention
    from gcvit_edu.counting import count as count
    from gcvit_edu.explorer import explore as explore
    from gcvit_edu.maps import attention_map as attention_map
    from gcvit_edu.variants import list_models as list_models
    from gcvit_edu.weight_keys import convert_state_dict as convert_state_dict
    from gcvit_edu.weights import load_weights as load_weights
    from gcvit_edu.weights import shipped_weights as shipped_weights
    from gcvit_edu.zoo import create_model as create_model

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
