"""The judge of maps: each score equals its slow version, tells good from bad, and the command keeps its word."""

import json
import math
import random
from pathlib import Path

import pytest
import torch
from _support import images, peak_error_of, small_model
from safetensors.torch import save_file
from torch import Tensor, nn

from gcvit_edu import create_model
from gcvit_edu.data import Scenes, emoji_classes
from gcvit_edu.maps import METHODS, attention_map
from gcvit_edu.maps.judge import (
    BASELINES,
    FIGURES,
    SANITY,
    area,
    blurred,
    bootstrap,
    brightest_first,
    candidates,
    centre_prior,
    changed_query,
    contrast_map,
    deletion_and_insertion,
    energy,
    judge,
    pointing,
    random_map,
    rank_correlation,
    sanity,
    shuffled,
    single_scenes,
    summarise,
    untrained,
)
from gcvit_edu.maps.judge.__main__ import main

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


# --------------------------------------------------------------------------------------------- scenes, command


def test_scenes_show_one_emoji_that_training_did_not_see() -> None:
    scenes = list(single_scenes(6, 64, seed=3))
    assert len(scenes) == 6
    for scene in scenes:
        assert scene.image.shape == (1, 3, 64, 64)
        assert 0 <= scene.label < 13
        assert 0 < scene.mask.float().mean() < 0.77
    image, target = Scenes(12, split="test", seed=3, size=64, most=1)[0]
    assert torch.equal(scenes[0].mask, target["masks"][0])
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (image / 255 - mean[:, None, None]) / deviation[:, None, None]
    torch.testing.assert_close(scenes[0].image[0], expected.as_subclass(Tensor))


def test_candidates_are_each_kind_where_it_differs() -> None:
    names = list(candidates(create_model("nano"), 64))
    assert "unwindowed 1" in names
    assert "unwindowed 1, no bias" in names
    assert "column 2" in names
    assert not {"column 1", "windows 2", "unwindowed 2", "unwindowed 3, no bias"} & set(names)
    assert len(names) == 20
    assert "column 2" not in candidates(create_model("nano"), 96)  # 6x6 tokens in windows of 4x4
    assert list(candidates(create_model("nano"), 64, ["rollout"])) == [f"rollout {stage}" for stage in range(4)]
    model = small_model()
    for options in candidates(model, 64).values():
        attention_map(model, images(1, 64), **options)


def test_figures_of_a_scene() -> None:
    model = small_model(num_classes=13)
    scenes = list(single_scenes(2, 64, seed=1))
    maps = {name: {"method": "gradcam", "stage": stage} for stage, name in ((2, "same"), (3, "coarse"))}
    row, _ = judge(model, scenes, maps, steps=3)
    scene, found = scenes[0], attention_map(model, scenes[0].image, **maps["coarse"], target=scenes[0].label)
    y, x = divmod(int(found.values[0].argmax()), 2)
    in_cell = scene.mask[32 * y : 32 * y + 32, 32 * x : 32 * x + 32].float().mean().item()
    assert row["maps"]["coarse"]["pointing"] == pytest.approx(in_cell)  # the token's pixels, not an interpolated corner
    assert row["maps"]["coarse"]["energy"] == energy(found.to_pixels(smooth=False)[0], scene.mask)
    order = brightest_first(found.to_pixels()[0], seed=0)
    curves = deletion_and_insertion(model, scene.image, blurred(scene.image), order, scene.label, 3)
    figures = [row["maps"]["coarse"][name] for name in ("deletion", "insertion")]
    assert figures == [area(curve) for curve in curves]
    assert row["maps"]["same"]["gradcam"] == pytest.approx(1)
    assert row["maps"]["coarse"]["gradcam"] < 0.999
    with torch.no_grad():
        guesses = model(torch.cat([scene.image, blurred(scene.image)])).softmax(1)
    assert [row["probability"], row["probability_blurred"]] == guesses[:, scene.label].tolist()
    assert row["correct"] == (guesses[0].argmax() == scene.label)
    assert row["object_share"] == scene.mask.float().mean()


def test_a_summary_is_of_all_scenes_of_the_correct_ones_and_over_the_centre() -> None:
    def row(correct: bool, *values: float) -> dict:
        maps = {name: dict.fromkeys(FIGURES, value) for name, value in zip(("m", *BASELINES), values, strict=True)}
        about = {"probability": 0.5, "probability_blurred": 0.1, "object_share": 0.2}
        return {"correct": correct, **about, "maps": maps, "sanity": {"m": dict.fromkeys(SANITY, math.nan)}}

    found = summarise([row(True, 0.8, 0.3, 0.2, 0.1), row(False, 0.4, 0.2, 0.2, 0.1)], {"m": {"method": "column"}})
    assert found["scenes"]["n"] == 2
    assert found["scenes"]["correct"]["mean"] == 0.5
    told = found["maps"]["m"]
    assert told["options"] == {"method": "column"}
    assert [told[part]["energy"]["mean"] for part in ("all", "correct", "over_centre")] == [0.6, 0.8, 0.35]
    assert [told[part]["energy"]["n"] for part in ("all", "correct", "over_centre")] == [2, 1, 2]
    assert told["sanity"]["batch_mate"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert found["maps"]["centre"]["over_centre"]["energy"]["mean"] == 0
    assert "sanity" not in found["maps"]["centre"]
    json.dumps(found, allow_nan=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "some.safetensors"
    save_file(create_model("nano", num_classes=len(emoji_classes())).state_dict(), path)
    return path


def test_the_command_goes_on_where_it_was_stopped_and_writes_the_same(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ["--weights", str(weights), "--scenes", "3", "--steps", "2", "--methods", "column", "gradcam"]
    whole = main(["--out", str(tmp_path / "a" / "whole.json"), *few])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("3 scenes, the object's share 0.")
    assert printed[2].split() == ["map", *FIGURES]
    assert [line.split("  ")[0] for line in printed[3:]] == list(whole["maps"])
    text = (tmp_path / "a" / "whole.json").read_text()
    assert json.loads(text) == whole
    assert str(weights.parent) not in text
    assert whole["settings"]["weights"] == "some.safetensors"
    assert whole["maps"]["gradcam 2"]["all"]["gradcam"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 3}
    assert set(whole["maps"]) == {"column 2", "column 3", *(f"gradcam {stage}" for stage in range(4)), *BASELINES}

    class Stopped(BaseException):
        pass

    seen = []

    def stop_at_the_third(*args: object) -> float:
        seen.append(args)
        if len(seen) > 2 * 9:
            raise Stopped
        return energy(*args)

    target = ["--out", str(tmp_path / "parts.json"), *few]
    with monkeypatch.context() as patch:
        patch.setattr("gcvit_edu.maps.judge.run.energy", stop_at_the_third)
        with pytest.raises(Stopped):
            main(target)
    rows = tmp_path / "parts.json.rows"
    assert len(rows.read_text().splitlines()) == 1 + 2
    with rows.open("a") as file:
        file.write('{"half": ')
    with pytest.raises(SystemExit):
        main([*target, "--seed", "1"])
    assert "parts.json.rows holds scenes judged with other settings" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("gcvit_edu.maps.judge.run.energy", lambda *args: seen.append(args) or energy(*args))
        seen.clear()
        assert main(target) == whole
    assert len(seen) == 9  # one scene, six maps and three baselines
    assert (tmp_path / "parts.json").read_text() == text
    assert not rows.exists()


def test_seed_and_size_reach_the_scenes(weights: Path, tmp_path: Path) -> None:
    few = ["--weights", str(weights), "--scenes", "2", "--steps", "1", "--methods", "column"]
    shares = []
    for more in ([], ["--seed", "5"], ["--size", "48"]):
        found = main(["--out", str(tmp_path / "out.json"), *few, *more])
        shares.append(found["scenes"]["object_share"]["mean"])
    assert len(set(shares)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenes", "1"], "1 scenes and steps=16 are too few"),
        (["--steps", "0"], "steps=0 are too few"),
        (["--model", "nanoo"], "no variant is called 'nanoo'"),
        (["--model", "xxtiny"], "the weights do not belong to this model"),
        (["--weights", "none.safetensors"], "no weights at none.safetensors"),
        (["--methods", "colum"], "invalid choice: 'colum'"),
        (["--size", "16"], "enlarge both sides to 32"),
    ],
)
def test_what_the_command_refuses(
    weights: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--weights", str(weights), "--out", str(tmp_path / "out.json"), *arguments])
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())  # nothing that would stand in the way of the next run


def test_all_methods_are_judged_unless_some_are_named() -> None:
    judged = {options["method"] for options in candidates(create_model("nano"), 64).values()}
    assert judged == set(METHODS)
    scenes = list(single_scenes(2, 64, 0))
    model = untrained(create_model("nano", num_classes=13))
    rows = list(judge(model, scenes, {}, steps=1, first=1))
    assert len(rows) == 1
    assert set(rows[0]["maps"]) == set(BASELINES)
