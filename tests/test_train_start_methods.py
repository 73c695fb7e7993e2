"""Processes that load pictures know a recipe's classes, whichever way Python starts them."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from _train import PATIENCE, RECIPE, command, longer_recipe

from gcvit_edu.train.__main__ import main

METHODS = [name for name in ("fork", "forkserver", "spawn") if name in multiprocessing.get_all_start_methods()]
SHORT = ["epochs=1", "warmup_epochs=0", "ema_decay=0"]
HELPER = "from _recipe_stripes import Stripes\n\n\nclass Beside(Stripes):\n    pass\n"
OWN = """
from data_beside import Beside

class Own(Beside):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return 2 * image, label

def make_data(config):
    return Own(208, 32, config.seed), Own(61, 32, config.seed + 1)
"""
SCENES = """
import multiprocessing, sys

import torch

from gcvit_edu.train import Place, changed, load_recipe
from gcvit_edu.train.batches import MicroBatchSampler, train_batches, validation_batches


def first_batches(workers):
    recipe = load_recipe("scenes_nano")
    config = changed(recipe.config, [f"workers={workers}", "batch_size=4"])
    training, held_out = recipe.make_data(config)
    place = Place(0, 1, torch.device("cpu"))
    return [
        *next(train_batches(training, MicroBatchSampler(len(training), 4, 1, 0, 1, 0), config)),
        *next(validation_batches(held_out, config, place)),
    ]


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    same = [torch.equal(*pair) for pair in zip(first_batches(0), first_batches(1), strict=True)]
    sys.exit(same != [True] * 4)
"""


def environment(folder: Path) -> dict[str, str]:
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe whose file defines a data set of its own, with the help of a file beside it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / RECIPE.name).write_text(RECIPE.read_text())
    (folder / "data_beside.py").write_text(HELPER)
    return longer_recipe(folder, OWN)


@pytest.fixture(scope="module")
def weights(own: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What that recipe leaves where no other process loads pictures."""
    out = tmp_path_factory.mktemp("alone")
    assert main(command(out, SHORT, recipe=own)) == 0
    return (out / "final.safetensors").read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_the_command_trains_with_a_data_set_of_the_recipes_file(
    method: str, own: Path, weights: bytes, tmp_path: Path
) -> None:
    """The real command, whose start method is not the default: sitecustomize.py is what Python runs first."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import multiprocessing\nmultiprocessing.set_start_method({method!r}, force=True)\n"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "gcvit_edu.train", *command(out, [*SHORT, "workers=1"], recipe=own)],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (out / "final.safetensors").read_bytes() == weights


def test_scenes_are_drawn_in_another_process(tmp_path: Path) -> None:
    """Training and validation sets of the shipped recipe give the same with a worker, started anew, as with none."""
    script = tmp_path / "script.py"
    script.write_text(SCENES)
    run = [sys.executable, str(script)]
    assert subprocess.run(run, env=environment(tmp_path), check=False, timeout=PATIENCE).returncode == 0
