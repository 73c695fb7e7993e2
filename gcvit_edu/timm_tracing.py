"""The functions and modules that torch.fx takes as one node each, so that timm can trace the network."""

from einops import rearrange
from timm.models import register_notrace_function, register_notrace_module

from gcvit_edu.attention import GlobalWindowAttention, WindowAttention
from gcvit_edu.inputs import check_image
from gcvit_edu.layers import DropPath
from gcvit_edu.query import GlobalQueryGenerator


def register_leaves_with_timm() -> None:
    """Let timm not trace into modules that depend on the size of their map, and functions that read it.

    timm.models.create_feature_extractor then works, and features_only with feature_cls="fx". For torchvision's
    create_feature_extractor and get_graph_node_names give the same as tracer_kwargs: leaf_modules from
    timm.layers.get_notrace_modules(), autowrap_functions from timm.layers.get_notrace_functions().
    """
    for module in (DropPath, GlobalQueryGenerator, GlobalWindowAttention, WindowAttention):
        register_notrace_module(module)
    for function in (check_image, rearrange):
        register_notrace_function(function)
