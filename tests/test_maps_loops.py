"""Maps of attention: each equals its slow version, in float64, also where windows are cut short."""

import pytest
import torch
from _loop_maps import inputs_of, loop_grad_cam, loop_gradient, loop_rollout, loop_unwindowed, loop_windows
from _support import images, peak_error_of, small_model
from torch import Tensor

from gcvit_edu.capture import capture_attention
from gcvit_edu.maps import attention_map
from gcvit_edu.model import GCViT

ODD = (33, 46)  # maps of 9x12, 5x6, 3x3, 2x2: windows are cut short in three stages


@pytest.fixture(scope="module")
def model() -> GCViT:
    return small_model().double()


def pictures(batch: int, *size: int) -> Tensor:
    return images(batch, *size, dtype=torch.float64)


@pytest.mark.parametrize(("stage", "block", "head"), [(2, 1, 0), (2, 1, 1), (3, 1, 3)])
@pytest.mark.parametrize("size", [(64, 64), ODD], ids=str)
def test_column_mean_equals_loops(model: GCViT, size: tuple[int, int], stage: int, block: int, head: int) -> None:
    x = pictures(2, *size)
    found = attention_map(model, x, method="column", stage=stage, block=block, head=head).values
    for image, values in zip(x, found, strict=True):
        given = inputs_of(model, image)[stage, block]
        expected = loop_windows(model.stages[stage].blocks[block].attn, *given, head)
        assert peak_error_of(values, expected) < 1e-9


@pytest.mark.parametrize(("stage", "block", "head"), [(0, 1, 0), (0, 2, 0), (1, 0, 1), (1, 1, 0)])
def test_window_means_equal_loops(model: GCViT, stage: int, block: int, head: int) -> None:
    x = pictures(2, *ODD)
    found = attention_map(model, x, method="windows", stage=stage, block=block, head=head).values
    for image, values in zip(x, found, strict=True):
        given = inputs_of(model, image)[stage, block]
        expected = loop_windows(model.stages[stage].blocks[block].attn, *given, head)
        assert peak_error_of(values, expected) < 1e-9


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("stage", "block", "head"), [(1, 0, 1), (1, 1, 0), (2, 2, 1)])
def test_unwindowed_equals_loops(model: GCViT, stage: int, block: int, head: int, bias: bool) -> None:
    x = pictures(2, *ODD)
    found = attention_map(model, x, method="unwindowed", stage=stage, block=block, head=head, bias=bias).values
    for image, values in zip(x, found, strict=True):
        given = inputs_of(model, image)[stage, block]
        expected = loop_unwindowed(model.stages[stage].blocks[block].attn, *given, head, bias)
        assert peak_error_of(values, expected) < 1e-9


@pytest.mark.parametrize("stage", [0, 2])
def test_rollout_equals_the_product_of_whole_matrices(model: GCViT, stage: int) -> None:
    x = pictures(2, *ODD)
    found = attention_map(model, x, method="rollout", stage=stage).values
    for image, values in zip(x, found, strict=True):
        assert peak_error_of(values, loop_rollout(model, image, stage)) < 1e-9


@pytest.mark.parametrize(("stage", "block", "head"), [(3, 1, None), (3, 0, 2), (2, 1, 1)])
def test_gradient_times_attention_equals_differences(model: GCViT, stage: int, block: int, head: int | None) -> None:
    x = pictures(2, 40, 33)
    found = attention_map(model, x, method="gradient", stage=stage, block=block, head=head, target=3).values
    for image, values in zip(x, found, strict=True):
        assert peak_error_of(values, loop_gradient(model, image, stage, block, 3, head)) < 1e-6


@pytest.mark.parametrize("stage", [1, 3])
def test_grad_cam_equals_differences(model: GCViT, stage: int) -> None:
    x = pictures(2, 40, 33)
    found = attention_map(model, x, method="gradcam", stage=stage, target=3).values
    for image, values in zip(x, found, strict=True):
        assert peak_error_of(values, loop_grad_cam(model, image, stage, 3)) < 1e-6


def test_the_odd_size_is_one_with_padding(model: GCViT) -> None:
    # The comparisons above would miss much if the odd size had no windows that are cut short.
    with torch.no_grad(), capture_attention(model) as records:
        model(pictures(1, *ODD))
    assert [record.map_size for record in records if record.block == 0] == [(9, 12), (5, 6), (3, 3), (2, 2)]
