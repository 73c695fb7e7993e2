"""The experiment on a new vendor's drawings: who saw what, what each method does, and what is not run again."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import Subset

from gcvit_edu import create_model
from gcvit_edu.data import Emoji, emoji_classes
from gcvit_edu.experiments import vendor_transfer
from gcvit_edu.train import changed, load_recipe
from gcvit_edu.train.batches import attribute_of
from gcvit_edu.train.recipe import Recipe

TESTED = {one.code for one in Emoji("test").drawings}


def drawings_of(part: Subset) -> list[Any]:
    return [part.dataset.drawings[at] for at in part.indices]


# ------------------------------------------------------------------------------------------------------ who saw what


def test_the_weights_saw_neither_a_held_out_emoji_nor_the_new_vendor() -> None:
    """The settings that the module's text prints."""
    (command,) = [line for line in vendor_transfer.__doc__.splitlines() if "emoji_nano --set" in line]
    setting = command.split("--set '")[1].split("'")[0]
    recipe = load_recipe("emoji_nano")
    training, validation = recipe.make_data(changed(recipe.config, [setting]))
    seen = attribute_of(training, "drawings")
    assert {one.vendor for one in seen} == {"google", "twitter"}
    assert {one.code for one in seen}.isdisjoint(TESTED)
    assert {one.code for one in attribute_of(validation, "drawings")} == TESTED
    # holdout=fluent would not do: it shows held-out emoji in the old styles.
    assert not {one.code for one in Emoji("train", holdout="fluent").drawings}.isdisjoint(TESTED)


def test_the_adaptation_sees_training_emoji_of_the_target_alone() -> None:
    training, judged = vendor_transfer._drawings_of_target(0, None, tuning=False)
    assert {one.vendor for one in drawings_of(training) + drawings_of(judged)} == {"fluent"}
    assert {one.code for one in drawings_of(training)}.isdisjoint(TESTED)
    assert {one.code for one in drawings_of(judged)} <= TESTED
    assert (len(training), len(judged)) == (824, 206)
    assert emoji_classes().index("flag") not in {one.label for one in drawings_of(training) + drawings_of(judged)}


def test_tuning_is_judged_on_training_emoji_that_it_does_not_train_on() -> None:
    training, judged = vendor_transfer._drawings_of_target(1, None, tuning=True)
    codes = [{one.code for one in drawings_of(part)} for part in (training, judged)]
    assert codes[0].isdisjoint(codes[1])
    assert (codes[0] | codes[1]).isdisjoint(TESTED)
    assert (len(codes[0]), len(codes[1])) == (659, 165)


def test_fewer_drawings_are_a_part_of_more_and_fill_as_long_an_epoch() -> None:
    few, more = (vendor_transfer._drawings_of_target(2, number, tuning=False)[0] for number in (5, 20))
    assert len(few) == len(more) == 824
    assert set(few.indices) < set(more.indices)
    for number, part in ((5, few), (20, more)):
        once = {at: part.dataset.drawings[at].label for at in part.indices}
        assert set(Counter(once.values()).values()) == {number}
        assert len(set(Counter(part.indices).values())) <= 2  # each comes up as often as any other, or once less
    assert set(vendor_transfer._drawings_of_target(3, 5, tuning=False)[0].indices) != set(few.indices)


def test_the_old_vendors_drawings_are_held_out_emoji_with_the_flags_apart() -> None:
    sets = vendor_transfer._drawings_of_others()
    assert {name: len(part) for name, part in sets.items()} == {"old": 422, "flags": 104}
    for name, part in sets.items():
        assert {one.vendor for one in drawings_of(part)} == {"google", "twitter"}
        assert {one.code for one in drawings_of(part)} <= TESTED
        assert {emoji_classes()[one.label] == "flag" for one in drawings_of(part)} == {name == "flags"}


# ------------------------------------------------------------------------------------------------- what a method does


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """Two steps of 8 drawings, and 16 to judge; gives the recipes that were trained."""
    target, others, trained = (
        vendor_transfer._drawings_of_target,
        vendor_transfer._drawings_of_others,
        vendor_transfer._trained,
    )
    recipes: list[Recipe] = []

    def cut(part: Subset) -> Subset:
        return Subset(part.dataset, list(part.indices)[:16])

    def keeping(recipe: Recipe) -> nn.Module:
        recipes.append(recipe)
        return trained(recipe)

    monkeypatch.setattr(vendor_transfer, "SETTINGS", {**vendor_transfer.SETTINGS, "batch_size": 8})
    monkeypatch.setattr(vendor_transfer, "_drawings_of_target", lambda *a, **k: tuple(map(cut, target(*a, **k))))
    monkeypatch.setattr(
        vendor_transfer, "_drawings_of_others", lambda: {name: cut(part) for name, part in others().items()}
    )
    monkeypatch.setattr(vendor_transfer, "_trained", keeping)
    return recipes


def test_without_training_the_weights_are_judged_as_they_are(short: list[Recipe]) -> None:
    line = vendor_transfer.adapt("none", "emoji_nano", seed=5, device="cpu")
    assert short == []
    assert line == {
        "method": "none",
        "weights": "emoji_nano",
        **dict.fromkeys(("seed", "epochs", "drawings", "rate", "tuning")),
        **{"target": line["target"], "old": line["old"], "flags": line["flags"], "device": "CPU"},
    }
    assert min(line["target"], line["old"], line["flags"]) > 0.7  # the shipped weights know all three vendors
    assert vendor_transfer.adapt("none_96", "emoji_nano", device="cpu")["old"] != line["old"]


@pytest.mark.parametrize("method", ["head", "decay", "all_96", "scratch"])
def test_methods_differ_in_what_they_train_and_from_what(method: str, short: list[Recipe]) -> None:
    line = vendor_transfer.adapt(method, "emoji_nano", epochs=1, drawings=5, rate=1e-6, device="cpu")
    (recipe,) = short
    model, config = recipe.make_model(recipe.config), recipe.config
    assert config.layer_decay == (0.75 if method == "decay" else 1.0)
    assert (config.image_size, model.config.window_sizes[0]) == ((96, 6) if method == "all_96" else (64, 4))
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert len(trained) == (2 if method == "head" else len(list(model.parameters())))
    assert config.drop_path_rate == (0.0 if method == "head" else 0.1)
    known = create_model("nano", pretrained=True).head.weight
    assert torch.equal(model.head.weight, known) == (method != "scratch")
    assert (line["target"] > 0.5) == (method != "scratch")  # so small a rate changes nothing
    assert recipe.make_data(config)[0][0][0].shape == (3, config.image_size, config.image_size)
    asked = {"method": method, "seed": 0, "epochs": 1, "drawings": 5, "rate": 1e-6, "tuning": False}
    assert asked.items() <= line.items()


def test_the_scores_are_those_of_the_trained_weights(short: list[Recipe]) -> None:
    """Trained on, the same weights score otherwise; and a run gives the same again."""
    lines = [
        vendor_transfer.adapt("all", "emoji_nano", epochs=1, rate=rate, tuning=True, device="cpu")
        for rate in (1e-6, 0.1)
    ]
    assert lines[0]["target"] > 0.5 > lines[1]["target"]
    assert (lines[0]["old"], lines[0]["flags"]) == (None, None)
    again = vendor_transfer.adapt("all", "emoji_nano", epochs=1, rate=1e-6, tuning=True, device="cpu")
    assert again == lines[0]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no method 'most'; there are none, none_96, head"):
        vendor_transfer.adapt("most", "emoji_nano")
    with pytest.raises(ValueError, match=r"drawings=0 must be 1 or more of each class, or None for all"):
        vendor_transfer.adapt("all", "emoji_nano", drawings=0)
    file = tmp_path / "seven.safetensors"
    save_file(create_model("nano", num_classes=7).state_dict(), file)
    with pytest.raises(ValueError, match=r"have 7 classes, not the emoji's 13; give those of a run of emoji_nano"):
        vendor_transfer.adapt("none", file, device="cpu")
    with pytest.raises(FileNotFoundError, match=r"no weights at \S*w.safetensors; give the file of a nano"):
        vendor_transfer.main(["--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "out.jsonl")])


def test_weights_are_told_apart_by_what_is_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"abc")
    assert (
        vendor_transfer.fingerprint(tmp_path / "one")
        == vendor_transfer.fingerprint(str(tmp_path / "one"))
        == "ba7816bf8f01"
    )
    (tmp_path / "one").write_bytes(b"abd")
    assert vendor_transfer.fingerprint(tmp_path / "one") != "ba7816bf8f01"


def test_a_run_that_was_stopped_has_no_scores(short: list[Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor_transfer, "train", lambda *arguments: False)
    with pytest.raises(InterruptedError, match="the same command does the runs that are not in its file yet"):
        vendor_transfer.adapt("all", "emoji_nano", device="cpu")


# --------------------------------------------------------------------------------------------------------- the command


def tuned(rate: float, target: float, **changes: Any) -> dict[str, Any]:
    return {"method": "all", "epochs": 3, "tuning": True, "rate": rate, "target": target, **changes}


def test_the_best_rate_is_the_middle_one_of_those_that_are_equal() -> None:
    lines = [tuned(0.1, 0.6), tuned(0.01, 0.6), tuned(1.0, 0.5), tuned(0.001, 0.6), tuned(0.3, 0.4)]
    others = [tuned(2.0, 0.9, tuning=False), tuned(2.0, 0.9, method="head"), tuned(2.0, 0.9, epochs=2)]
    assert vendor_transfer.best_rate(others + lines, "all", 3) == 0.01
    assert vendor_transfer.best_rate(lines[:2], "all", 3) == 0.01  # of two, the lower
    assert vendor_transfer.best_rate([*lines, tuned(0.3, 0.7)], "all", 3) == 0.3
    with pytest.raises(ValueError, match=r"no tuning run of method 'decay' with epochs=3"):
        vendor_transfer.best_rate(lines, "decay", 3)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was asked of adapt, which answers at once: the middle rate is the best."""
    calls: list[dict[str, Any]] = []

    def adapt(method: str, weights: str, **asked: Any) -> dict[str, Any]:
        calls.append({"method": method, "weights": weights, **asked})
        line = dict.fromkeys(("seed", "epochs", "drawings", "rate", "tuning")) | asked
        best = vendor_transfer.RATES[2 if weights == "w.safetensors" else 3]
        return {"method": method, "weights": weights, **line, "target": 0.5 + (asked.get("rate") == best)}

    monkeypatch.setattr(vendor_transfer, "adapt", adapt)
    monkeypatch.setattr(vendor_transfer, "fingerprint", lambda weights: weights)
    return calls


def test_each_method_is_tuned_with_one_seed_then_run_for_all(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "transfer.jsonl"
    command = ["--weights", "w.safetensors", "--out", str(file), "--seeds", "2", "--epochs", "4"]
    vendor_transfer.main([*command, "--only", "head", "decay", "--device", "cpu", "--workers", "2"])
    assert all(call["weights"] == "w.safetensors" for call in asked)
    assert all((call["device"], call["workers"], call["epochs"]) == ("cpu", 2, 4) for call in asked)
    tuning = [(call["method"], call["seed"], call["rate"]) for call in asked if call["tuning"]]
    assert tuning == [(method, 0, rate) for method in ("head", "decay") for rate in vendor_transfer.RATES]
    real = [(call["method"], call["drawings"], call["seed"]) for call in asked if not call["tuning"]]
    on_all = [(method, None, seed) for seed in (0, 1) for method in ("head", "decay")]
    assert real == on_all + [("head", number, seed) for number in (20, 5) for seed in (0, 1)]
    assert {call["rate"] for call in asked if not call["tuning"]} == {vendor_transfer.RATES[2]}
    assert vendor_transfer.read_transfer(file) == [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    before = len(asked)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:3] + lines[4:]), encoding="utf-8")
    vendor_transfer.main([*command, "--only", "head"])
    assert len(asked) == before + 1  # the one that was taken out
    assert len(vendor_transfer.read_transfer(file)) == before
    vendor_transfer.main(command)
    assert [call["method"] for call in asked[before + 1 :]].count("none") == 1
    assert {line["method"] for line in vendor_transfer.read_transfer(file)} == set(vendor_transfer.METHODS)
    before = len(asked)
    vendor_transfer.main(command)
    assert len(asked) == before


def test_other_weights_are_another_experiment(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "transfer.jsonl"
    for weights in ("w.safetensors", "v.safetensors"):
        options = ["--out", str(file), "--seeds", "1", "--epochs", "4", "--only", "none", "decay"]
        vendor_transfer.main(["--weights", weights, *options])
    rates = {call["weights"]: call["rate"] for call in asked if call.get("tuning") is False}
    assert rates == {"w.safetensors": vendor_transfer.RATES[2], "v.safetensors": vendor_transfer.RATES[3]}
    assert len(asked) == len(vendor_transfer.read_transfer(file)) == 2 * (1 + len(vendor_transfer.RATES) + 1)


def test_one_file_takes_the_lines_of_another(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    """So runs of several machines come together: a file may begin with what others have found."""
    file = tmp_path / "transfer.jsonl"
    best = vendor_transfer.RATES[0]
    found = [tuned(rate, 0.3 + (rate == best), seed=0, drawings=None, weights="w") for rate in vendor_transfer.RATES]
    file.write_text("".join(json.dumps({**line, "epochs": 4}) + "\n" for line in found), encoding="utf-8")
    command = ["--weights", "w", "--out", str(file), "--seeds", "1", "--epochs", "4", "--only", "all"]
    vendor_transfer.main(command)
    assert not [call for call in asked if call["tuning"]]
    assert {call["rate"] for call in asked} == {best}


def test_the_stored_lines_are_the_experiment() -> None:
    """Each run once; tuned with one seed over all rates; reported at the rate that the tuning chose."""
    lines = vendor_transfer.read_transfer()
    runs = [tuple(line[key] for key in ("method", "seed", "drawings", "rate", "tuning")) for line in lines]
    assert len(set(runs)) == len(runs)
    assert {line["epochs"] for line in lines} == {30, None}
    assert {line["weights"] for line in lines} == {"dd14834286c3"}
    for method, how in vendor_transfer.METHODS.items():
        own = [line for line in lines if line["method"] == method]
        if not how.trained:
            assert len(own) == 1
            continue
        tuning = [(line["seed"], line["rate"]) for line in own if line["tuning"]]
        assert sorted(tuning) == [(vendor_transfer.TUNING_SEED, rate) for rate in vendor_transfer.RATES]
        results = [line for line in own if not line["tuning"]]
        assert {line["rate"] for line in results} <= {vendor_transfer.best_rate(lines, method, 30)}
        if method != "all_96":  # tuned, and not run to the end: data/runs/README.md
            assert sorted(line["seed"] for line in results if line["drawings"] is None) == [0, 1, 2]
