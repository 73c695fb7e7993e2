"""Maps of attention: each has the properties that its docstring promises, and what cannot be is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from _support import images, peak_error_of, small_model
from torch import Tensor, nn

import gcvit_edu
from gcvit_edu.capture import AttentionRecord, capture_attention
from gcvit_edu.maps import (
    METHODS,
    AttentionMap,
    attention_map,
    block_queries,
    column_mean,
    grad_cam,
    gradient_times_attention,
    map_to_windows,
    real_tokens,
    rollout,
    spread,
    to_pixels,
    unwindowed,
    unwindowed_weights,
    window_means,
    windows_to_map,
)
from gcvit_edu.model import GCViT

ODD = (33, 46)  # maps of 9x12, 5x6, 3x3, 2x2: windows are cut short in three stages


@pytest.fixture(scope="module")
def model() -> GCViT:
    return small_model().double()


def pictures(batch: int, *size: int, seed: int = 0) -> Tensor:
    return images(batch, *size, seed=seed, dtype=torch.float64)


def records_of(model: GCViT, image: Tensor) -> list[AttentionRecord]:
    with torch.no_grad(), capture_attention(model) as records:
        model(image)
    return records


def stage_of(method: str) -> int:
    """One with several windows, where the method can have them."""
    return 2 if method == "column" else 1


# ----------------------------------------------------------------------------------------- what all have alike


@pytest.mark.parametrize("method", METHODS)
def test_image_0_ignores_its_batch_mates(model: GCViT, method: str) -> None:
    first, mate, other = pictures(1, 48), pictures(1, 48, seed=1), pictures(1, 48, seed=2)
    alone, *together = (
        attention_map(model, batch, method=method, stage=stage_of(method)).values[0]
        for batch in (first, torch.cat([first, mate]), torch.cat([first, other, mate]))
    )
    for values in together:
        assert peak_error_of(values, alone) < 1e-9
    assert peak_error_of(attention_map(model, mate, method=method, stage=stage_of(method)).values[0], alone) > 0.01


@pytest.mark.parametrize("method", METHODS)
def test_the_head_mean_is_the_mean_of_the_heads(model: GCViT, method: str) -> None:
    x, stage = pictures(1, 48), stage_of(method)
    if method in ("rollout", "gradcam"):
        with pytest.raises(ValueError, match=rf"'{method}' does not read head=0; leave it out"):
            attention_map(model, x, method=method, stage=stage, head=0)
        return
    heads = [attention_map(model, x, method=method, stage=stage, head=head).values for head in range(2)]
    assert peak_error_of(attention_map(model, x, method=method, stage=stage).values, sum(heads) / 2) < 1e-9
    assert peak_error_of(*heads) > 0.01


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grad", [True, False])
def test_the_model_is_as_it_was(method: str, grad: bool) -> None:
    model, x = small_model(), images(1, 48)
    model.requires_grad_(grad)  # frozen weights leave no graph, unless the image is one's root
    with torch.no_grad():
        before = model(x)
        found = attention_map(model, x, method=method, stage=stage_of(method))
        assert torch.equal(model(x), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not found.values.requires_grad
    assert not x.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_a_map_says_of_itself(model: GCViT) -> None:
    x = pictures(2, *ODD)
    found = gcvit_edu.attention_map(model, x, method="gradient", stage=1, head=1, target=torch.tensor([4, 2]))
    assert isinstance(found, AttentionMap)
    assert (found.method, found.stage, found.block, found.head) == ("gradient", 1, 1, 1)
    assert (found.stride, found.image_size) == (8, ODD)
    assert found.target.tolist() == [4, 2]
    assert found.values.shape == (2, 5, 6)
    assert found.to_pixels().shape == found.to_pixels(smooth=False).shape == (2, *ODD)
    assert torch.equal(found.to_pixels(smooth=False)[:, ::8, ::8], found.values)
    rolled = attention_map(model, x, method="rollout", stage=0)
    assert (rolled.block, rolled.head, rolled.target) == (None, None, None)


@pytest.mark.parametrize(("stage", "last"), [(0, 1), (1, 1), (2, 1), (3, 1)])
def test_without_a_block_it_is_the_last_global_one(model: GCViT, stage: int, last: int) -> None:
    # Depths 3, 2, 3, 2: the last block of an odd stage is local.
    assert attention_map(model, pictures(1, 48), method="windows", stage=stage).block == last


@pytest.mark.parametrize("method", ["gradient", "gradcam"])
def test_the_class_is_the_largest_logit_unless_it_is_named(model: GCViT, method: str) -> None:
    x = pictures(3, 48)
    with torch.no_grad():
        guesses = model(x).argmax(1)
    found = attention_map(model, x, method=method, stage=2)
    assert torch.equal(found.target, guesses)
    named = attention_map(model, x, method=method, stage=2, target=guesses)
    assert torch.equal(named.values, found.values)
    others = attention_map(model, x, method=method, stage=2, target=(guesses + 1) % 5)
    assert peak_error_of(others.values, found.values) > 0.01


# --------------------------------------------------------------------------------------------- sums and windows


def test_rows_sum_to_one(model: GCViT) -> None:
    x = pictures(2, *ODD)
    for record in records_of(model, x):
        asked = block_queries(model, x, record.stage, record.block)
        real = real_tokens(asked.window, asked.map_size)
        rows = unwindowed_weights(asked.queries[:, 0], asked.keys, asked.bias, real)
        for sums in (record.weights.sum(-1), rows.sum((-2, -1))):
            torch.testing.assert_close(sums, torch.ones_like(sums))


@pytest.mark.parametrize("size", [(64, 64), ODD], ids=str)
def test_maps_share_out_what_they_promise(model: GCViT, size: tuple[int, int]) -> None:
    x = pictures(2, *size)
    for record in records_of(model, x):
        totals = map_to_windows(window_means(record), record.window).sum(-1)
        torch.testing.assert_close(totals, torch.ones_like(totals))  # every window one, also where it is cut short
        one = unwindowed(block_queries(model, x, record.stage, record.block)).sum((1, 2))
        torch.testing.assert_close(one, torch.ones_like(one))
    for stage in range(4):
        one = attention_map(model, x, method="rollout", stage=stage).values.sum((1, 2))
        torch.testing.assert_close(one, torch.ones_like(one))
        for method in ("gradient", "gradcam"):
            assert attention_map(model, x, method=method, stage=stage).values.min() >= 0


@pytest.mark.parametrize("size", [(64, 64), (48, 40)], ids=str)  # the second is padded: 3x3 tokens in a 4x4 window
@pytest.mark.parametrize("head", [None, 1])
def test_column_and_unwindowed_agree_where_one_window_covers_the_map(
    model: GCViT, size: tuple[int, int], head: int | None
) -> None:
    x = pictures(2, *size)
    for stage in (2, 3):
        column, plain, without = (
            attention_map(model, x, stage=stage, head=head, **options).values
            for options in ({"method": "column"}, {"method": "unwindowed"}, {"method": "unwindowed", "bias": False})
        )
        assert peak_error_of(plain, column) < 1e-9
        assert peak_error_of(without, column) > 0.01  # so that the bias is not forgotten on both sides


def test_several_windows_are_weighted_by_how_well_they_answer(model: GCViT) -> None:
    # The same keys in every window: no window answers better, and unwindowed is an equal share of each.
    asked = block_queries(model, pictures(1, 64), 1, 1)
    same = replace(asked, keys=asked.keys[:, :1].expand(-1, 4, -1, -1, -1))
    shares = map_to_windows(unwindowed(same), 4).sum(-1)
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / 4))
    shares = map_to_windows(unwindowed(asked), 4).sum(-1)
    assert shares.max() > 0.3


@pytest.mark.parametrize("map_size", [(8, 12), (5, 6), (3, 9), (1, 1)])
def test_putting_windows_back_is_the_inverse_of_cutting(map_size: tuple[int, int]) -> None:
    values = torch.arange(2.0 * map_size[0] * map_size[1]).reshape(2, *map_size) + 1
    windows = map_to_windows(values, 4)
    assert torch.equal(windows_to_map(windows, 4, map_size), values)
    assert torch.equal(windows > 0, real_tokens(4, map_size).expand_as(windows))
    assert windows.sum() == values.sum()


def test_windows_of_another_map_are_refused() -> None:
    with pytest.raises(ValueError, match="do not make up maps of 12x8"):
        windows_to_map(torch.zeros(1, 4, 16), 4, (9, 8))


def test_padding_gets_exactly_zero(model: GCViT) -> None:
    x = pictures(2, *ODD)
    for record in records_of(model, x):
        padding = ~real_tokens(record.window, record.map_size)
        asked = block_queries(model, x, record.stage, record.block)
        rows = unwindowed_weights(asked.queries[:, 0], asked.keys, asked.bias, ~padding)
        assert (record.weights.amax((2, 3)) * padding == 0).all()
        assert (rows[..., padding] == 0).all()
        assert (rows[..., ~padding] > 0).all()
        # Nor does padding ask: what it asks changes no map.
        queries = asked.queries.clone()
        if padding.any():
            assert queries.shape[1] == len(padding)  # each window asks by itself
            queries[:, padding.any(1)] = queries[:, padding.any(1)].where(~padding[padding.any(1)][:, None, :, None], 9)
        assert torch.equal(unwindowed(replace(asked, queries=queries)), unwindowed(asked))


# ---------------------------------------------------------------------------------------------- single methods


def hand_made(weights: Tensor, stage: int = 0, block: int = 1, map_size: tuple[int, int] = (2, 2)) -> AttentionRecord:
    """One window of 2x2 and one head."""
    return AttentionRecord(stage, block, block % 2 == 1, weights[None, None, None], 2, (1, 1), map_size)


def test_rollout_by_hand() -> None:
    eye, first = torch.eye(4), torch.zeros(4, 4)
    first[:, 0] = 1  # all look at the first token
    assert torch.equal(rollout([hand_made(eye)]), torch.full((1, 2, 2), 0.25))
    assert torch.equal(rollout([hand_made(first)])[0], torch.tensor([[0.625, 0.125], [0.125, 0.125]]))
    later = AttentionRecord(1, 0, False, torch.ones(1, 1, 1, 1, 1), 1, (1, 1), (1, 1))
    assert torch.equal(rollout([hand_made(first), later])[0], torch.tensor([[0.625, 0.125], [0.125, 0.125]]))


def test_a_share_spreads_over_the_tokens_below() -> None:
    share = torch.tensor([[[4.0, 2.0], [2.0, 1.0]]])
    assert spread(share, (3, 3))[0].tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    assert spread(share, (4, 4)).sum() == 9


def test_gradients_count_where_they_are_positive() -> None:
    record = hand_made(torch.full((4, 4), 0.25))
    gradient = torch.zeros(1, 1, 1, 4, 4)
    gradient[..., 0, 1], gradient[..., 2, 1], gradient[..., 3, 2] = 4.0, 8.0, -4.0
    assert gradient_times_attention(record, gradient)[0].tolist() == [[0, 3], [0, 0]]
    features = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])  # two tokens, two channels
    slopes = torch.tensor([[[[2.0, -1.0], [2.0, -1.0]]]])
    assert grad_cam(features, slopes)[0].tolist() == [[2, 0]]


def test_pixels_of_tokens() -> None:
    values = torch.tensor([[[0.0, 4.0, 8.0]]])
    assert to_pixels(values, 2, (2, 5), smooth=False)[0].tolist() == [[0, 0, 4, 4, 8]] * 2
    assert to_pixels(values, 2, (2, 5))[0].tolist() == [[0, 1, 3, 5, 7]] * 2
    three = torch.arange(3.0).repeat_interleave(41)  # a stride by which rounding goes wrong in the mode "nearest"
    assert torch.equal(to_pixels(torch.arange(3.0)[None, None], 41, (41, 123), smooth=False)[0, 0], three)
    with pytest.raises(ValueError, match=r"1x3 tokens with stride=4 .* 2x5 pixels, which takes 1x2; give its stage's"):
        to_pixels(values, 4, (2, 5))


# --------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "colum"}, "no method='colum'; choose one of column, windows"),
        ({"stage": 4}, "no stage=4; this model has 4, numbered from 0"),
        ({"stage": -1}, "no stage=-1"),
        ({"block": 3}, "no block=3; stage 2 has 3, numbered from 0"),
        ({"block": -1}, "no block=-1"),
        ({"head": 2}, "no head=2; this block has 2, numbered from 0"),
        ({"head": -1}, "no head=-1"),
        ({"method": "unwindowed", "head": 2}, "no head=2"),
        ({"method": "gradient", "head": 2}, "no head=2"),
        ({"block": 2}, "block=2 is local.*stage 2 are: 1"),
        ({"stage": 1}, "cut into 2x2 windows.*'windows' or 'unwindowed'"),
        ({"target": 0}, "'column' does not read target=0"),
        ({"bias": False}, "'column' does not read bias=False"),
        ({"method": "rollout", "block": 1}, "'rollout' does not read block=1"),
        ({"method": "gradcam", "target": 5}, "target=5 is no class of this model; they are numbered from 0 to 4"),
        ({"method": "gradient", "target": torch.tensor([0, 1])}, r"target of shape \(2,\) .* each of 1 images"),
        ({"method": "gradient", "target": 1.5}, "names no class"),
    ],
)
def test_what_cannot_be_is_refused(model: GCViT, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention_map(model, pictures(1, 64), **{"method": "column", "stage": 2, **options})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.train(), r"training mode.*model\.eval\(\)"),
        (lambda model: nn.DataParallel(model), "not of a DataParallel"),
    ],
)
def test_models_of_another_kind_or_mode_are_refused(change: Callable[[GCViT], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention_map(change(small_model()), images(1, 64), method="windows", stage=2)


def test_a_model_without_classes_has_no_map_of_a_class() -> None:
    with pytest.raises(ValueError, match="model has no classes"):
        attention_map(small_model(num_classes=0), images(1, 64), method="gradcam", stage=2)


def test_single_functions_refuse_what_does_not_fit(model: GCViT) -> None:
    records = records_of(model, pictures(1, 64))
    with pytest.raises(ValueError, match=r"block 0 of stage 2 is local .* is_global"):
        column_mean(records[5])
    with pytest.raises(ValueError, match="block 2 of stage 0 does not follow block 0 of stage 0"):
        rollout([records[0], records[2]])
    with pytest.raises(ValueError, match="block 0 of stage 0 does not follow block 1 of stage 3"):
        rollout(records + records)
    with pytest.raises(ValueError, match="record of one block or more"):
        rollout([])
    with pytest.raises(ValueError, match=r"gradient of shape \(1,\)"):
        gradient_times_attention(records[0], torch.zeros(1))
    with pytest.raises(ValueError, match=r"gradient of shape \(1,\)"):
        grad_cam(torch.zeros(1, 2, 2, 3), torch.zeros(1))
