"""The config: derived sizes, and a clear refusal of every number that cannot be."""

import dataclasses

import pytest
from _support import small_config

from gcvit_edu.config import GCViTConfig


def test_derived_sizes_of_gcvit_tiny() -> None:
    config = GCViTConfig()
    assert config.dims == (64, 128, 256, 512)
    assert config.strides == (4, 8, 16, 32)
    assert config.map_sizes == (56, 28, 14, 7)
    assert config.halvings == (3, 2, 0, 0)


def test_map_sizes_round_up() -> None:
    assert small_config(image_size=65).map_sizes == (17, 9, 5, 3)


def test_drop_path_rates_grow_linearly_from_zero() -> None:
    rates = small_config(drop_path_rate=0.9).drop_path_rates
    assert [len(stage) for stage in rates] == [3, 2, 3, 2]
    flat = [rate for stage in rates for rate in stage]
    assert flat == pytest.approx([0.1 * block for block in range(10)])


def test_lists_become_tuples() -> None:
    config = GCViTConfig(depths=[2, 2], num_heads=[2, 4], window_sizes=[7, 7], query_halvings=[3, 2])
    assert config.depths == (2, 2)
    assert config.query_halvings == (3, 2)
    same = GCViTConfig(depths=(2, 2), num_heads=(2, 4), window_sizes=(7, 7), query_halvings=(3, 2))
    assert hash(config) == hash(same)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GCViTConfig().embed_dim = 32


def test_given_query_halvings_are_kept() -> None:
    assert small_config(query_halvings=(1, 1, 0, 1)).halvings == (1, 1, 0, 1)


def test_derived_halvings_follow_a_replaced_field() -> None:
    assert dataclasses.replace(GCViTConfig(), window_sizes=(7, 7, 7, 7)).halvings == (3, 2, 1, 0)
    assert dataclasses.replace(GCViTConfig(), image_size=448).halvings == (4, 3, 1, 1)


def test_resized_grows_the_windows_with_the_image() -> None:
    config = GCViTConfig().resized(384)
    assert config.image_size == 384
    assert config.window_sizes == (12, 12, 24, 12)
    assert GCViTConfig().resized(512).window_sizes == (16, 16, 32, 16)
    assert GCViTConfig().resized(240).window_sizes == (8, 8, 15, 8)  # 7.5 is rounded up, 15 is whole
    assert GCViTConfig().resized(224) == GCViTConfig()


@pytest.mark.parametrize("size", [32, 40, 225, 240, 300, 1000])
def test_resized_keeps_the_query_halvings_and_so_every_weight(size: int) -> None:
    config = GCViTConfig().resized(size)
    assert config.halvings == (3, 2, 0, 0)
    assert config.dims == GCViTConfig().dims


def test_derived_afresh_the_query_halvings_would_differ_at_some_sizes() -> None:
    at_40 = dataclasses.replace(GCViTConfig().resized(40), query_halvings=None)
    assert at_40.halvings == (2, 1, 0, 0)


REFUSALS = [
    ({"image_size": 31}, ["image_size=31", "at least 32"]),
    ({"image_size": 64.0}, ["image_size=64.0", "whole number"]),
    ({"embed_dim": 0}, ["embed_dim=0", "at least 1"]),
    ({"embed_dim": 18}, ["embed_dim=18", "multiple of 4"]),
    ({"embed_dim": 16.0}, ["embed_dim=16.0", "whole number"]),
    ({"in_chans": 0}, ["in_chans=0", "at least 1"]),
    ({"num_classes": -1}, ["num_classes=-1", "at least 0"]),
    ({"depths": ()}, ["depths=()", "one entry per stage"]),
    ({"depths": (2, 2, 1, 2)}, ["depths[2]=1", "at least 2"]),
    ({"num_heads": (1, 2, 2)}, ["num_heads=(1, 2, 2)", "3 entries for 4 stages", "one per stage"]),
    ({"num_heads": (1, 2, 0, 4)}, ["num_heads[2]=0", "at least 1"]),
    ({"num_heads": (1, 3, 2, 4)}, ["num_heads[1]=3", "32 channels of stage 2", "choose a divisor"]),
    ({"window_sizes": (4, 4)}, ["window_sizes=(4, 4)", "one per stage"]),
    ({"window_sizes": (4, 4, 0, 2)}, ["window_sizes[2]=0", "at least 1"]),
    ({"window_sizes": (4, 4, 3.5, 2)}, ["window_sizes[2]=3.5", "whole number"]),
    ({"query_halvings": (1,)}, ["query_halvings=(1,)", "one per stage"]),
    ({"query_halvings": (1, 1, -1, 0)}, ["query_halvings[2]=-1", "at least 0"]),
    ({"window_sizes": 7}, ["window_sizes=7", "one entry per stage"]),
    ({"depths": 5}, ["depths=5", "one entry per stage"]),
    ({"mlp_ratio": 0}, ["mlp_ratio=0", "hidden width"]),
    ({"mlp_ratio": 0.001}, ["mlp_ratio=0.001", "hidden width"]),
    ({"mlp_ratio": "3"}, ["mlp_ratio='3'", "hidden width"]),
    ({"mlp_ratio": float("nan")}, ["mlp_ratio=nan", "hidden width"]),
    ({"drop_path_rate": None}, ["drop_path_rate=None", "below 1"]),
    ({"drop_path_rate": 1.0}, ["drop_path_rate=1.0", "below 1"]),
    ({"drop_path_rate": -0.1}, ["drop_path_rate=-0.1", "at least 0"]),
    ({"layer_scale": 0.0}, ["layer_scale=0.0", "None for no layer scale"]),
    ({"layer_scale": float("inf")}, ["layer_scale=inf", "positive"]),
    ({"mlp_ratio": float("inf")}, ["mlp_ratio=inf", "hidden width"]),
    ({"in_chans": True}, ["in_chans=True", "whole number (int)"]),
    ({"drop_path_rate": False}, ["drop_path_rate=False", "below 1"]),
    ({"layer_scale": -1e-5}, ["layer_scale=-1e-05", "positive"]),
]


@pytest.mark.parametrize(("changes", "words"), REFUSALS, ids=[str(changes) for changes, _ in REFUSALS])
def test_refusals_name_the_thing_the_value_and_the_remedy(changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        small_config(**changes)
    for word in words:
        assert word in str(caught.value)


def test_resized_refuses_too_small_an_image() -> None:
    with pytest.raises(ValueError, match="image_size=16"):
        GCViTConfig().resized(16)
