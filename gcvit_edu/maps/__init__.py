"""Maps of where a network looks, with their meanings; gcvit_edu.maps.faithfulness tests how far to trust each."""

from gcvit_edu.maps.attention_map import METHODS, AttentionMap, attention_map
from gcvit_edu.maps.columns import column_mean, window_means
from gcvit_edu.maps.flow import rollout, spread
from gcvit_edu.maps.gradients import grad_cam, gradient_times_attention
from gcvit_edu.maps.layout import map_to_windows, real_tokens, to_pixels, windows_to_map
from gcvit_edu.maps.whole_map import BlockQueries, block_queries, unwindowed, unwindowed_weights

__all__ = [
    "METHODS",
    "AttentionMap",
    "BlockQueries",
    "attention_map",
    "block_queries",
    "column_mean",
    "grad_cam",
    "gradient_times_attention",
    "map_to_windows",
    "real_tokens",
    "rollout",
    "spread",
    "to_pixels",
    "unwindowed",
    "unwindowed_weights",
    "window_means",
    "windows_to_map",
]
