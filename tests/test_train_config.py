"""The config of a run: what it refuses, what the command line changes, what a resume may change."""

from dataclasses import asdict, dataclass, replace

import pytest

from gcvit_edu.train import TrainConfig, changed, load_recipe
from gcvit_edu.train.config import FREE_TO_CHANGE, differences, free_changes

REFUSALS = [
    ({"epochs": 0}, "epochs=0 must be at least 1"),
    ({"epochs": 2.5}, "epochs=2.5 must be of type int"),
    ({"epochs": True}, "epochs=True must be of type int"),
    ({"lr": "fast"}, "lr='fast' must be of type float"),
    ({"lr": -1.0}, "lr=-1.0 must be positive"),
    ({"lr": 1e-6}, "lr_last=5e-06 must be at most lr=1e-06"),
    ({"lr_first": 1.0}, "lr_first=1.0 must be at most lr=0.001"),
    ({"warmup_epochs": 100}, "warmup_epochs=100.0 must be below epochs=100"),
    ({"betas": (0.9,)}, "betas=(0.9,) must be of type"),
    ({"betas": (0.9, 1.0)}, "betas=(0.9, 1.0) must be two numbers from 0"),
    ({"clip_norm": -1}, "clip_norm=-1.0 must not be negative"),
    ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be at least 0 and below 1"),
    ({"flip": 1.5}, "flip=1.5 must be a probability"),
    ({"crop_scale": (0.5, 0.2)}, "crop_scale=(0.5, 0.2) must grow"),
    ({"randaugment_magnitude": 31}, "randaugment_magnitude=31 must be from 0 to 30"),
    ({"drop_path_rate": 1.0}, "drop_path_rate=1.0 must be at least 0 and below 1, or None"),
    ({"device": "gpu"}, "device='gpu' must be 'auto', 'cpu' or 'cuda'"),
    ({"bad_images": "ignore"}, "bad_images='ignore' must be 'raise' or 'skip'"),
    ({"snapshot_epochs": (0, -1)}, "snapshot_epochs=(0, -1) must not be negative"),
    ({"lr": float("inf")}, "lr=inf must be finite"),
    ({"betas": (0.9, float("nan"))}, "betas=nan must be finite"),
    ({"seed": 2**32}, "seed=4294967296 must be below 2**32"),
    ({"amp": 1}, "amp=1 must be of type bool"),
]


@pytest.mark.parametrize(("values", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_refusals(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        TrainConfig(**values)
    assert message in str(caught.value)


@dataclass(frozen=True)
class Own(TrainConfig):
    """A recipe's own config."""

    holdout: str = "emoji"


def test_the_command_line_changes_values_of_every_type() -> None:
    settings = ["lr=3e-4", "epochs=200", "betas=(0.9, 0.95)", "amp=true", "drop_path_rate=none", "device=cpu"]
    found = changed(Own(), [*settings, "holdout=vendor", "snapshot_epochs=[0, 5]", "clip_norm=1"])
    expected = {"lr": 3e-4, "epochs": 200, "betas": (0.9, 0.95), "amp": True, "drop_path_rate": None, "device": "cpu"}
    expected |= {"holdout": "vendor", "snapshot_epochs": (0, 5), "clip_norm": 1.0}
    assert asdict(found) == asdict(Own()) | expected
    assert isinstance(found, Own)
    assert isinstance(found.clip_norm, float)


def test_what_looks_like_a_number_can_be_a_name() -> None:
    assert changed(Own(), ["holdout=2024"]).holdout == "2024"
    assert changed(Own(), ["holdout='2024'"]).holdout == "2024"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lrr=1", "TrainConfig has no key 'lrr'; the nearest keys are lr"),
        ("weight_deca=1", "the nearest keys are weight_decay"),
        ("label_smooth=0", "the nearest keys are label_smoothing"),
        ("zzz=1", "there are model, num_classes"),
        ("lr", "'lr' has no value; write --set key=value"),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest_names(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match="key") as caught:
        changed(TrainConfig(), [setting])
    assert message in str(caught.value)


def test_what_a_resume_may_change() -> None:
    before = TrainConfig(betas=(0.9, 0.95))
    free = {"workers": 3, "save_every": 7, "log_every": 2, "tensorboard": True}
    free |= {"device": "cpu", "eval_every": 2, "snapshot_epochs": (1,)}
    assert set(free) == set(FREE_TO_CHANGE)
    assert differences(asdict(before), asdict(replace(before, **free))) == []
    assert set(free_changes(asdict(before), asdict(replace(before, **free)))) >= {
        "workers was 0 and is 3",
        "device was auto and is cpu",
    }
    assert free_changes(asdict(before), asdict(before)) == []
    assert differences({"root": "here"}, {"data": "there"}) == []  # compared by content; and called otherwise before
    assert free_changes({"root": "here"}, {"data": "there"}, ("data",)) == ["data was here and is there"]
    # A checkpoint may hand back lists where there were tuples.
    assert differences({**asdict(before), "betas": [0.9, 0.95]}, asdict(before)) == []
    found = differences(asdict(before), asdict(Own(betas=(0.9, 0.95), lr=1.0)))
    assert found == ["lr was 0.001 and is 1.0", "holdout was absent and is emoji"]


def test_a_config_of_the_earlier_folder_recipe_is_that_of_one_without_weights() -> None:
    """Version 0.1's recipe folder had neither weights, layers nor val_share."""
    now = asdict(load_recipe("folder").config) | {"weights": ""}
    before = {key: value for key, value in now.items() if key not in ("weights", "layers", "val_share")}
    assert differences(before, now) == []
    assert free_changes(before, now, ("weights",)) == []
    assert differences(before, now | {"layers": "head"}) == ["layers was all and is head"]
