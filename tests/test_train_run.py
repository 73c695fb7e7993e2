"""Whole runs: what they leave, several processes against one, the command line, and how each refusal is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from _recipe_stripes import CONFIG, Stripes, make_model
from _train import PATIENCE, RECIPE, command, final_state, finish, history, longer_recipe, running, with_set
from safetensors.torch import load_file
from torch import nn

from gcvit_edu.files import read_log
from gcvit_edu.train import NonFiniteLoss, Place, TrainConfig, changed, evaluate, load, load_recipe, recipe_names, train
from gcvit_edu.train.__main__ import BAD_INPUT, NON_FINITE, main
from gcvit_edu.train.batches import validation_batches
from gcvit_edu.train.checkpoint import BEST, checkpoints
from gcvit_edu.train.recipe import Recipe
from gcvit_edu.train.recipe import make_model as make_named_model

SHORT = ["epochs=1", "warmup_epochs=0"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs, validated every second one."""
    out = tmp_path_factory.mktemp("whole")
    settings = ["epochs=4", "eval_every=3", "snapshot_epochs=(0, 2)", "log_every=4"]
    assert main(command(out, settings)) == 0
    return out


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def copied_recipe(make_data: object, config: TrainConfig = CONFIG) -> Recipe:
    return Recipe("made up", "For a test.", config, make_model, make_data)


# ---------------------------------------------------------------------------------------------------- what is left


def test_a_run_leaves_weights_checkpoints_and_a_log(whole: Path) -> None:
    kept = ["epoch_0000.safetensors", "epoch_0002.safetensors", "final.safetensors"]
    assert names(whole) == [BEST, *kept, "log.jsonl", "step_00000039.pt", "step_00000052.pt"]
    events = [(entry["event"], entry["step"]) for entry in read_log(whole)]
    assert [step for event, step in events if event == "step"] == list(range(4, 53, 4))
    assert [step for event, step in events if event == "epoch"] == [13, 26, 39, 52]
    start = read_log(whole)[0]
    assert start["event"] == "start"
    assert start["config"]["epochs"] == 4
    assert start["processes"] == 1
    assert "torch" in start["versions"]


def test_the_network_learns(whole: Path) -> None:
    epochs = [entry for entry in read_log(whole) if entry["event"] == "epoch"]
    assert ["top1" in epoch for epoch in epochs] == [False, False, True, True]
    assert epochs[-1]["ema_top1"] > 0.8  # a third by chance
    assert epochs[-1]["samples"] == sum(map(sum, epochs[-1]["confusion"])) == 61
    assert epochs[-1]["train_loss"] < 0.8 * epochs[0]["train_loss"]
    step = next(entry for entry in read_log(whole) if entry["event"] == "step")
    numbers = {"epoch", "loss", "lr", "grad_norm", "images_per_s", "data_s", "compute_s", "memory_mb"}
    assert set(step) == {"event", "step", *numbers}


def test_the_weights_are_the_average_and_grow(whole: Path) -> None:
    state = final_state(whole)
    final = load_file(whole / "final.safetensors")
    assert all(torch.equal(final[key], value) for key, value in state["average"].items())
    assert not torch.equal(final["head.weight"], state["model"]["head.weight"])
    make_model(CONFIG).load_state_dict(final)
    first, second = (load_file(whole / f"epoch_{epoch:04d}.safetensors")["head.weight"] for epoch in (0, 2))
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(first, make_model(CONFIG).head.weight)  # seed 0, before any step


def test_the_best_is_the_one_with_the_best_accuracy(whole: Path) -> None:
    scores = {entry["step"]: entry["ema_top1"] for entry in read_log(whole) if "ema_top1" in entry}
    best = load(whole / BEST)["progress"]
    assert best["best"] == max(scores.values()) == scores[best["step"]]


def test_a_finished_run_can_be_resumed_and_does_nothing(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = history(whole)
    settings = ["epochs=4", "eval_every=3", "snapshot_epochs=(0, 2)", "log_every=4"]
    assert main(command(whole, settings, resume=True)) == 0
    assert "done" in capsys.readouterr().out
    assert history(whole) == before


def test_without_an_average_the_weights_are_the_models(tmp_path: Path) -> None:
    assert main(command(tmp_path, [*SHORT, "ema_decay=0"])) == 0
    state, final = final_state(tmp_path), load_file(tmp_path / "final.safetensors")
    assert state["average"] is None
    assert all(torch.equal(final[key], value) for key, value in state["model"].items())
    assert "ema_top1" not in history(tmp_path)[-1]


# ------------------------------------------------------------------------------------------------ several processes


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """With nothing random in the model, the weights agree to rounding, and validation counts the same pictures."""
    settings = ["epochs=2", "drop_path_rate=0", "accumulate=2"]
    runs = {}
    for processes in (1, 2):
        out = tmp_path / str(processes)
        printed = finish(command(out, settings), tmp_path / "printed", processes)
        assert [bool(text) for text in printed] == [True, *[False] * (processes - 1)]
        runs[processes] = (load_file(out / "final.safetensors"), history(out)[-1])
    (alone, its_scores), (together, their_scores) = runs[1], runs[2]
    for key in alone:
        assert torch.allclose(alone[key], together[key], atol=2e-4), key
    assert sum(map(sum, their_scores["confusion"])) == their_scores["samples"] == 61  # odd: the shares differ
    assert their_scores["train_loss"] == pytest.approx(its_scores["train_loss"], abs=1e-4)
    assert their_scores["loss"] == pytest.approx(its_scores["loss"], abs=1e-3)


def test_the_scores_are_those_of_the_model_that_is_saved(tmp_path: Path) -> None:
    """Also where each process gathers means of its own, as batch norms do."""
    recipe = longer_recipe(
        tmp_path,
        """
        def make_model(config):
            pool = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
            return nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), pool)
        """,
    )
    out, held_out = tmp_path / "out", Stripes(61, 32, CONFIG.seed + 1)
    finish(command(out, SHORT, recipe=recipe), tmp_path / "printed", processes=2)
    model, alone = load_recipe(str(recipe)).make_model(CONFIG), Place(0, 1, torch.device("cpu"))
    for part, name in (("model", "loss"), ("average", "ema_loss")):
        model.load_state_dict(final_state(out)[part])
        found = evaluate(model, validation_batches(held_out, CONFIG, alone), 3, alone)
        assert history(out)[-1][name] == pytest.approx(found.loss, rel=1e-5)


def test_a_full_disk_of_the_first_process_is_said_by_all(tmp_path: Path) -> None:
    recipe = longer_recipe(
        tmp_path,
        """
        import errno, os

        def full(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        os.fsync = full
        """,
    )
    with running(command(tmp_path / "out", SHORT, recipe=recipe), tmp_path / "printed", processes=2) as started:
        for process in started:
            process.join(PATIENCE)
        assert [process.exitcode for process in started] == [BAD_INPUT] * 2
    for rank in (0, 1):
        assert "best.pt: No space left on device; make room" in (tmp_path / "printed" / f"{rank}.txt").read_text()


# ------------------------------------------------------------------------------------------------- other ways to run


@pytest.mark.parametrize(
    "setting", ["amp=true", "channels_last=false", "grad_checkpointing=true", "clip_norm=0", "workers=1"]
)
def test_options_train(setting: str, tmp_path: Path) -> None:
    assert main(command(tmp_path, [*SHORT, setting])) == 0
    assert history(tmp_path)[-1]["train_loss"] < 1.3


def test_a_compiled_model_trains_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced by the compiler, but not translated to C++, which takes minutes; test_compile.py does that."""
    compiled: list[nn.Module] = []

    def trace(model: nn.Module) -> nn.Module:
        compiled.append(model)
        return real(model, backend="eager")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", trace)
    still = [*SHORT, "drop_path_rate=0", "batch_size=104"]
    for flag in ("true", "false"):
        assert main(command(tmp_path / flag, [*still, f"compile={flag}"])) == 0
    assert len(compiled) == 1
    traced, plain = (load_file(tmp_path / flag / "final.safetensors") for flag in ("true", "false"))
    assert traced.keys() == plain.keys()
    assert all(torch.allclose(traced[key], plain[key], atol=1e-4) for key in plain)


# -------------------------------------------------------------------------------------------------------- refusals


def errors(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = BAD_INPUT) -> str:
    assert main(arguments) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_a_used_folder_is_refused(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "has a run already; go on with --resume, or choose another --out" in errors(command(whole, SHORT), capsys)


def test_a_resumed_run_must_be_the_same_run(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = errors(command(whole, ["epochs=5", "eval_every=3", "lr=0.01"], resume=True), capsys)
    assert "epochs was 4 and is 5" in said
    assert "lr was 0.003 and is 0.01" in said
    assert "image_size" not in said
    assert "holds another model" in errors(command(whole, ["num_classes=4"], resume=True, recipe=other_model()), capsys)


def other_model() -> Path:
    """A recipe with four classes, whose data set does not say how many it has."""
    return Path(__file__).with_name("_recipe_four_classes.py")


def test_resume_without_a_checkpoint_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path / "new", SHORT, resume=True)) == 0
    assert f"no checkpoint in {tmp_path / 'new'}: starting at step 0" in capsys.readouterr().out


def test_a_truncated_newest_checkpoint_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["epochs=2", "save_every=5"]
    assert main(command(tmp_path, settings)) == 0
    expected, (newest, older) = load_file(tmp_path / "final.safetensors"), checkpoints(tmp_path)
    newest.write_bytes(newest.read_bytes()[:5000])
    capsys.readouterr()
    assert main(command(tmp_path, settings, resume=True)) == 0
    said = capsys.readouterr().out
    assert f"skipped: {newest} is not a whole checkpoint" in said
    assert f"going on from {older}, step 25 of 26" in said
    found = load_file(tmp_path / "final.safetensors")
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["lrr=1"], "TrainConfig has no key 'lrr'; the nearest keys are lr"),
        (["num_classes=5"], "the training set has 3 classes and the model num_classes=5; set num_classes=3"),
        (["batch_size=500"], "208 training pictures do not fill one batch of batch_size=500"),
        (["batch_size=15", "accumulate=2"], "batch_size=15 cannot be cut into 1 processes times accumulate=2"),
        (["batch_size=13", "mixup=0.2"], "mixup and cutmix pair the pictures of a part, and 13 is odd"),
        (["warmup_epochs=9"], "warmup_epochs=9.0 must be below epochs=6"),
    ],
)
def test_bad_settings(settings: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in errors(command(tmp_path / "out", settings), capsys)
    assert not (tmp_path / "out" / "log.jsonl").exists()  # the corrected command may use the folder


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_no_cuda_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "PyTorch finds no CUDA device here; use device=cpu" in errors(command(tmp_path, ["device=cuda"]), capsys)


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Path(__file__).with_name("_recipe_nan.py")
    said = errors(command(tmp_path, ["epochs=3"], recipe=recipe), capsys, NON_FINITE)
    newest, *_ = checkpoints(tmp_path)
    assert "step 14: the loss is nan" in said
    assert f"The last good checkpoint is {newest}" in said
    state = final_state(tmp_path)
    assert state["progress"]["step"] == 13
    assert all(value.isfinite().all() for value in state["model"].values())


def test_a_validation_that_is_not_finite_is_neither_logged_nor_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = longer_recipe(
        tmp_path,
        """
        def make_data(config):
            return Stripes(208, 32, 0), [(torch.full((3, 32, 32), float("nan")), 0)]
        """,
    )
    out = tmp_path / "out"
    said = errors(command(out, ["save_every=5"], recipe=recipe), capsys, NON_FINITE)
    assert "after step 13: the validation's loss is nan" in said
    assert f"The last good checkpoint is {out}/step_00000010.pt" in said
    assert "NaN" not in (out / "log.jsonl").read_text()
    assert [path.name for path in checkpoints(out)] == ["step_00000010.pt", "step_00000005.pt"]


def test_before_any_checkpoint_there_is_none_to_name(tmp_path: Path) -> None:
    def make_data(config: TrainConfig) -> tuple:
        class Broken(Stripes):
            def __getitem__(self, index: int) -> tuple:
                return torch.full((3, 32, 32), float("nan")), 0

        return Broken(32, 32, 0), Stripes(4, 32, 0)

    with pytest.raises(NonFiniteLoss, match=r"step 1: .*The last good checkpoint is missing: none was written yet"):
        train(copied_recipe(make_data), CONFIG, tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_picture_is_named_also_by_a_worker(
    workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Path(__file__).with_name("_recipe_bad_picture.py")
    said = errors(command(tmp_path, [f"workers={workers}"], recipe=recipe), capsys)
    assert said.endswith("the picture cats/7.png cannot be read\n")


def test_pictures_left_out_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def make_data(config: TrainConfig) -> tuple:
        training = Stripes(32, 32, 0)
        object.__setattr__(training, "skipped", ["the picture a.png cannot be read"])
        return training, Stripes(4, 32, 0)

    train(copied_recipe(make_data), changed(CONFIG, SHORT), tmp_path)
    assert "left out 1 training pictures:\nthe picture a.png cannot be read\n" in capsys.readouterr().out
    notes = read_log(tmp_path)[0]["notes"]
    assert notes[:3] == [
        "training: 32 pictures in 3 classes",
        "left out 1 training pictures:",
        "the picture a.png cannot be read",
    ]


# --------------------------------------------------------------------------------------------------------- recipes


def test_every_recipe_says_what_to_expect() -> None:
    assert {"emoji_nano", "folder"} <= set(recipe_names())
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        for word in ("accuracy", "time", "hardware"):
            assert word in recipe.text.lower(), f"{name} does not state its {word}"


def test_unknown_and_incomplete_recipes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no recipe is called 'emoji_nan'; there are emoji_nano" in errors(["emoji_nan"], capsys)
    assert "give the path of a .py file" in errors([str(tmp_path / "missing.py")], capsys)
    (tmp_path / "half.py").write_text('"""Accuracy unknown."""\nCONFIG = None\n')
    assert "lacks make_model, make_data; a recipe has" in errors([str(tmp_path / "half.py")], capsys)
    (tmp_path / "mute.py").write_text("CONFIG = make_model = make_data = None\n")
    assert "lacks a docstring" in errors([str(tmp_path / "mute.py")], capsys)


def test_models_by_name() -> None:
    config = TrainConfig(model="nano", num_classes=13, drop_path_rate=0.3)
    ours = make_named_model(config)
    assert ours.config.drop_path_rate == 0.3
    theirs = make_named_model(TrainConfig(model="timm/resnet18", num_classes=13))
    assert theirs.num_classes == ours.config.num_classes == 13
    with pytest.raises(ValueError, match="no variant is called 'nani'; the nearest names are nano"):
        make_named_model(TrainConfig(model="nani"))
    with pytest.raises(ValueError, match=r"timm has no model called 'resnet81'; the nearest are resnet18"):
        make_named_model(TrainConfig(model="timm/resnet81"))
    with pytest.raises(ValueError, match=r"no model called 'zzz'; timm\.list_models\(\) has all names"):
        make_named_model(TrainConfig(model="timm/zzz"))


def test_a_config_of_a_recipe_may_have_its_types_as_text(tmp_path: Path) -> None:
    """Which is what "from __future__ import annotations" makes of them all."""
    path = longer_recipe(
        tmp_path,
        """
        @dataclass(frozen=True)
        class Own(TrainConfig):
            root: "str" = "here"

        CONFIG = Own()
        """,
    )
    assert changed(load_recipe(str(path)).config, ["root=there"]).root == "there"
    path.write_text('"""Text."""\nfrom __future__ import annotations\n' + path.read_text().split('"""', 2)[2])
    assert changed(load_recipe(str(path)).config, ["root=there"]).root == "there"


def test_an_error_without_words_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = longer_recipe(tmp_path, "def make_data(config):\n    raise ValueError")
    assert errors(command(tmp_path / "out", SHORT, recipe=recipe), capsys) == "error: ValueError()\n"


def test_a_model_that_cannot_recompute_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = longer_recipe(tmp_path, "def make_model(config):\n    return nn.Flatten()")
    said = errors(command(tmp_path / "out", [*SHORT, "grad_checkpointing=true"], recipe=recipe), capsys)
    assert "grad_checkpointing=True, but Flatten cannot do that; set it to False" in said


def test_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gcvit_edu.train", str(RECIPE), "--out", str(tmp_path), *with_set(SHORT)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *_ = said = done.stdout.splitlines()
    assert first == "training: 208 pictures in 3 classes"
    assert any(line.startswith("epoch 1/1  loss 1.0") for line in said)
