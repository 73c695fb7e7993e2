"""The whole ImageNet command over class folders of very small pictures, through the code that a GPU would run."""

import signal
from pathlib import Path

import pytest
import torch
from _imagenet import make_tree
from _train import final_state, finish, history, last_step, signal_at, with_set
from safetensors.torch import load_file

from gcvit_edu.train import Place, changed, evaluate, load_recipe
from gcvit_edu.train.batches import validation_batches

CLASSES = 200  # a picture of each to train on and to validate: 5 steps in an epoch; all else is the recipe's
MINIATURE = ["model=nano", "image_size=32", "epochs=2", "warmup_epochs=1", "batch_size=40", "workers=1"]
MINIATURE += ["save_every=2", "log_every=1", "eval_every=2", "device=cpu", f"num_classes={CLASSES}"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("imagenet"), classes=CLASSES, train=1)


def test_two_epochs_by_two_processes_resumed_once_and_evaluated(tree: Path, tmp_path: Path) -> None:
    out, printed = tmp_path / "out", tmp_path / "printed"
    settings = [f"data={tree}", *MINIATURE]
    arguments = ["imagenet", "--out", str(out), *with_set(settings), "--resume"]
    codes = signal_at(3, out, arguments, printed, processes=2)
    assert codes == [-signal.SIGKILL] * 2
    assert 3 <= last_step(out) < 10
    first, _ = finish(arguments, printed, processes=2)
    assert f"going on from {out}/step_" in first

    epochs = [entry for entry in history(out) if entry["event"] == "epoch"]
    assert [entry["step"] for entry in epochs] == [5, 10]
    assert epochs[-1]["samples"] == epochs[-1]["ema_samples"] == CLASSES
    assert "confusion" not in epochs[-1]
    assert (out / "log.jsonl").stat().st_size < 50_000  # without tables of each class against each
    assert len(final_state(out)["random"]) == 2

    recipe = load_recipe("imagenet")
    config = recipe.complete(changed(recipe.config, settings))
    model = recipe.make_model(config)
    model.load_state_dict(load_file(out / "final.safetensors"))
    alone = Place(0, 1, torch.device("cpu"))
    batches = validation_batches(recipe.make_data(config)[1], config, alone)
    scores = evaluate(model, batches, CLASSES, alone)
    assert scores.samples == CLASSES
    assert epochs[-1]["ema_top1"] == pytest.approx(scores.top1, abs=0.011)  # the loop validates in bfloat16
    assert epochs[-1]["ema_loss"] == pytest.approx(scores.loss, rel=0.01)
