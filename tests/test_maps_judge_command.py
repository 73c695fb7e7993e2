"""The judge of maps as a whole: its scenes, what it says of them, and its command."""

import json
import math
from pathlib import Path

import pytest
import torch
from _support import images, small_model
from safetensors.torch import save_file
from torch import Tensor

from gcvit_edu import create_model
from gcvit_edu.data import Scenes, emoji_classes
from gcvit_edu.experiments.map_faithfulness import (
    BASELINES,
    FIGURES,
    candidates,
    evaluate_maps,
    main,
    read_faithfulness,
    single_scenes,
    summarise,
)
from gcvit_edu.maps import METHODS, attention_map
from gcvit_edu.maps.faithfulness import (
    SANITY,
    area,
    blurred,
    brightest_first,
    deletion_and_insertion,
    energy,
    pointing,
    untrained,
)


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
    _, row = evaluate_maps(model, scenes, maps, steps=3)
    scene, found = scenes[1], attention_map(model, scenes[1].image, **maps["coarse"], target=scenes[1].label)
    y, x = divmod(int(found.values[0].argmax()), 2)
    in_cell = scene.mask[32 * y : 32 * y + 32, 32 * x : 32 * x + 32].float().mean().item()
    assert row["maps"]["coarse"]["pointing"] == pytest.approx(in_cell)  # the token's pixels, not an interpolated corner
    assert pointing(found.to_pixels()[0], scene.mask) != pytest.approx(in_cell)
    assert row["maps"]["coarse"]["energy"] == energy(found.to_pixels(smooth=False)[0], scene.mask)
    order = brightest_first(found.to_pixels()[0], seed=1)
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
        patch.setattr("gcvit_edu.experiments.map_faithfulness.energy", stop_at_the_third)
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
        patch.setattr("gcvit_edu.experiments.map_faithfulness.energy", lambda *args: seen.append(args) or energy(*args))
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
    rows = list(evaluate_maps(model, scenes, {}, steps=1, first=1))
    assert len(rows) == 1
    assert set(rows[0]["maps"]) == set(BASELINES)


def test_what_the_judge_wrote_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "judge.json"
    path.write_text(json.dumps({"settings": {"scenes": 2}, "scenes": {"n": 2}, "maps": {}}))
    assert read_faithfulness(path)["scenes"] == {"n": 2}
    path.write_text(json.dumps({"scenes": {"n": 2}}))
    with pytest.raises(ValueError, match=r"judge\.json is no table of map_faithfulness"):
        read_faithfulness(path)


def test_the_table_of_the_shipped_weights_is_whole() -> None:
    found = read_faithfulness()
    assert found["scenes"]["n"] == found["settings"]["scenes"]
    assert list(found["maps"]) == [*candidates(create_model("nano"), found["settings"]["size"]), *BASELINES]
    for name, told in found["maps"].items():
        for figure in FIGURES:
            estimate = told["all"][figure]
            assert estimate["low"] <= estimate["mean"] <= estimate["high"]
        if name not in BASELINES:
            assert told["sanity"]["batch_mate"]["mean"] == pytest.approx(1, abs=1e-3)
