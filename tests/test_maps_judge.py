"""The judge of maps: each score equals its slow version, and tells good from bad."""

import math
import random

import pytest
import torch
from _support import images, peak_error_of, small_model
from torch import Tensor, nn

from gcvit_edu.experiments.map_faithfulness import candidates
from gcvit_edu.interventions import changed_query, shuffled
from gcvit_edu.maps import attention_map
from gcvit_edu.maps.faithfulness import (
    SANITY,
    area,
    blurred,
    bootstrap,
    brightest_first,
    centre_prior,
    contrast_map,
    deletion_and_insertion,
    energy,
    pointing,
    random_map,
    rank_correlation,
    sanity,
    untrained,
)

# ------------------------------------------------------------------------------------------------------ scores


def test_pointing_and_energy() -> None:
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[:2, :2] = True
    hit, miss, tie = torch.ones(4, 4), torch.ones(4, 4), torch.ones(4, 4)
    hit[1, 1], miss[2, 2] = 5.0, 5.0
    tie[1, 1] = tie[2, 2] = 5.0
    assert [pointing(values, mask) for values in (hit, miss, tie)] == [1.0, 0.0, 0.5]
    assert energy(hit, mask) == pytest.approx(8 / 20)
    assert energy(miss, mask) == pytest.approx(4 / 20)
    # Maps that say nothing are as good as a guess.
    for nothing in (torch.zeros(4, 4), torch.full((4, 4), 3.0)):
        assert pointing(nothing, mask) == energy(nothing, mask) == 1 / 4


def loop_rank_correlation(one: list[float], other: list[float]) -> float:
    def ranks(values: list[float]) -> list[float]:
        return [sum(1 for b in values if b < a) + (sum(1 for b in values if b == a) - 1) / 2 for a in values]

    x, y = ranks(one), ranks(other)
    mean = sum(x) / len(x)
    product = sum((a - mean) * (b - mean) for a, b in zip(x, y, strict=True))
    return product / math.sqrt(sum((a - mean) ** 2 for a in x) * sum((b - mean) ** 2 for b in y))


def test_rank_correlation_equals_loops_also_with_ties() -> None:
    draw = random.Random(0)
    for values in (10, 1000):
        one, other = ([float(draw.randrange(values)) for _ in range(60)] for _ in range(2))
        found = rank_correlation(torch.tensor(one).view(6, 10), torch.tensor(other).view(6, 10))
        assert found == pytest.approx(loop_rank_correlation(one, other))
    rising = torch.arange(9.0).view(3, 3)
    assert rank_correlation(rising, rising.exp()) == pytest.approx(1)
    assert rank_correlation(rising, -rising) == pytest.approx(-1)
    assert math.isnan(rank_correlation(rising, torch.ones(3, 3)))


def test_a_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    draw = random.Random(0)
    estimates = [bootstrap([draw.gauss(5, 2) for _ in range(40)]) for _ in range(200)]
    covered = sum(found.low <= 5 <= found.high for found in estimates) / 200
    assert 0.9 <= covered <= 0.99
    width = sum(found.high - found.low for found in estimates) / 200
    assert width == pytest.approx(2 * 1.96 * 2 / math.sqrt(40), rel=0.1)


def test_what_is_unknown_is_left_out_of_a_mean() -> None:
    assert bootstrap([1.0, math.nan, 3.0]) == bootstrap([1.0, 3.0])
    assert bootstrap([1.0, 3.0]).n == 2
    assert bootstrap([math.nan]).n == 0
    assert math.isnan(bootstrap([]).mean)


# ------------------------------------------------------------------------------------------------------ curves


class MeanOfOnePlace(nn.Module):
    """Two classes; the second is as likely as the mean of the upper left quarter is high."""

    def forward(self, image: Tensor) -> Tensor:
        logit = 4 * image[:, 0, :4, :4].mean((1, 2))
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def test_curves_equal_loops() -> None:
    model, image, baseline = MeanOfOnePlace(), images(1, 8), images(1, 8, seed=1)
    order = brightest_first(images(1, 8, seed=2)[0, 0], seed=0)
    deletion, insertion = deletion_and_insertion(model, image, baseline, order, 1, 4)
    for step in range(5):
        less, more = image.clone(), baseline.clone()
        for pixel in order[: 64 * step // 4].tolist():
            less[0, :, pixel // 8, pixel % 8] = baseline[0, :, pixel // 8, pixel % 8]
            more[0, :, pixel // 8, pixel % 8] = image[0, :, pixel // 8, pixel % 8]
        assert deletion[step] == pytest.approx(model(less).softmax(1)[0, 1].item())
        assert insertion[step] == pytest.approx(model(more).softmax(1)[0, 1].item())
    assert deletion[0] == insertion[-1]
    assert deletion[-1] == insertion[0]


def test_a_map_of_what_matters_beats_its_opposite() -> None:
    image, baseline, place = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), torch.zeros(8, 8)
    place[:4, :4] = 1
    areas = {}
    for name, values in {"good": place, "bad": -place}.items():
        curves = deletion_and_insertion(MeanOfOnePlace(), image, baseline, brightest_first(values, 0), 1, 8)
        areas[name] = [area(curve) for curve in curves]
    assert areas["good"][0] < areas["bad"][0] - 0.2
    assert areas["good"][1] > areas["bad"][1] + 0.2


def test_pixels_come_brightest_first_and_equal_ones_in_no_order_of_rows() -> None:
    values = torch.tensor([[1.0, 3.0], [2.0, 0.0]])
    assert brightest_first(values, 0).tolist() == [1, 2, 0, 3]
    flat = torch.zeros(8, 8)
    assert sorted(brightest_first(flat, 0).tolist()) == list(range(64))
    assert brightest_first(flat, 0).tolist() == brightest_first(flat, 0).tolist() != brightest_first(flat, 1).tolist()
    assert abs(brightest_first(flat, 0)[:32].float().mean() - 31.5) < 8


def test_area_is_by_trapezoids() -> None:
    assert area(torch.tensor([1.0, 0.0, 0.0])) == 0.25
    assert area(torch.tensor([0.5, 0.5])) == 0.5


@pytest.mark.parametrize("size", [(64, 64), (33, 70)], ids=str)
def test_blurring_keeps_the_mean_and_leaves_no_detail(size: tuple[int, int]) -> None:
    image = torch.ones(1, 3, *size)
    torch.testing.assert_close(blurred(image), image)
    image[:, :, ::2] = -1
    assert blurred(image).abs().max() < 0.1


def test_baselines() -> None:
    image = torch.zeros(1, 3, 64, 48)
    image[:, 0, 10:20, 30:40] = 1
    centre = centre_prior(image)[0]
    assert centre.shape == (64, 48)
    assert centre.argmax() in (31 * 48 + 23, 31 * 48 + 24, 32 * 48 + 23, 32 * 48 + 24)
    assert centre[32, 24] > centre[32, 0] > centre[0, 0] > 0
    assert contrast_map(image)[0].argmax() in [y * 48 + x for y in range(10, 20) for x in range(30, 40)]
    assert torch.equal(random_map(image, 1), random_map(image, 1))
    assert random_map(image, 1).shape == (1, 64, 48)
    assert abs(rank_correlation(random_map(image, 1), random_map(image, 2))) < 0.5


# ------------------------------------------------------------------------------------------------ sanity tests


def test_sanity_of_every_method() -> None:
    model, fresh = small_model(), small_model(seed=1)
    image, other = images(1, 64), images(1, 64, seed=1)
    for name, options in candidates(model, 64).items():
        target = {"target": 3} if options["method"] in ("gradient", "gradcam") else {}
        found = sanity(model, fresh, image, other, {**options, **target}, seed=0)
        assert tuple(sorted(found)) == tuple(sorted(SANITY))
        assert found["batch_mate"] == pytest.approx(1, abs=1e-6), name
        if name == "unwindowed 0, no bias":  # no earlier block has a global query, and no bias knows who asks
            assert found.pop("shuffled_query") == pytest.approx(1, abs=1e-6)
        if options["stage"] < 3:  # there are few orders of four tokens
            assert max(value for change, value in found.items() if change != "batch_mate") < 0.999, name
    assert not any(stage.query._forward_hooks for stage in model.stages)


def test_which_cell_asks_is_nothing_to_a_column_mean_but_for_the_bias() -> None:
    model, x = small_model(), images(1, 64)

    def column() -> Tensor:
        return attention_map(model, x, method="column", stage=2).values

    def column_with(change: bool) -> Tensor:
        # Only the query of stage 2: the earlier ones change what the map is of.
        query = model.stages[2].query.register_forward_hook(lambda _, __, out: shuffled(out, 0) if change else out)
        try:
            return column()
        finally:
            query.remove()

    assert peak_error_of(column_with(True), column_with(False)) > 0.01
    with torch.no_grad():
        for block in model.stages[2].blocks:
            block.attn.bias.table.zero_()
    assert peak_error_of(column_with(True), column_with(False)) < 1e-5


def test_a_changed_query_reaches_every_stage_and_goes_again() -> None:
    model, x, seen = small_model(), images(2, 64), []
    with torch.no_grad():
        before = model(x)
        with changed_query(model, lambda query: seen.append(query.shape) or query.flip(0)):
            assert not torch.allclose(model(x), before)
        assert torch.equal(model(x), before)
    assert [shape[:2] for shape in seen] == [(2, 1), (2, 2), (2, 2), (2, 4)]
    cells = torch.arange(16.0).view(1, 1, 16, 1)
    assert not torch.equal(shuffled(cells, 0), cells)
    assert torch.equal(shuffled(cells, 0).sort(2).values, cells)


def test_untrained_weights_are_drawn_anew_and_nothing_else_is() -> None:
    model = small_model()
    state = torch.random.get_rng_state()
    one, same, other = untrained(model, 0), untrained(model, 0), untrained(model, 1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.head.weight, same.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
    assert not one.training
    assert one.config == model.config
