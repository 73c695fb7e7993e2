"""A run that was killed and resumed ends as one that never was, tensor by tensor."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from _train import (
    PATIENCE,
    command,
    differing,
    final_state,
    finish,
    history,
    last_step,
    longer_recipe,
    running,
    signal_at,
)

from gcvit_edu.train.__main__ import BAD_INPUT, NON_FINITE, SAVED

# 4 epochs of 13 steps, with everything that draws random numbers: drop path, shuffling, mixing, noise of pictures.
SETTINGS = ["epochs=4", "save_every=5", "mixup=0.2", "cutmix=1.0", "accumulate=2"]
STEPS = 52


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_and_resumed_equals_never_killed(processes: int, tmp_path: Path) -> None:
    whole, broken, printed = (tmp_path / name for name in ("whole", "broken", "printed"))
    finish(command(whole, SETTINGS), printed, processes)

    step = random.Random().randint(6, 30)  # another one each time; early enough not to miss the end
    codes = signal_at(step, broken, command(broken, SETTINGS), printed, processes)
    assert codes == [-signal.SIGKILL] * processes
    assert step <= last_step(broken) < STEPS
    first, *_ = finish(command(broken, SETTINGS, resume=True), printed, processes)
    assert f"going on from {broken}/step_" in first

    assert differing(final_state(whole), final_state(broken)) == [], f"killed at step {step}"
    assert (whole / "final.safetensors").read_bytes() == (broken / "final.safetensors").read_bytes()
    assert differing(history(whole), history(broken)) == [], f"killed at step {step}"
    assert len(final_state(broken)["random"]) == processes


CLOSING = ["epochs=2", "save_every=5", "snapshot_epochs=(0, 1)", "ema_decay=0"]


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("never killed")
    finish(command(out, CLOSING), tmp_path_factory.mktemp("printed"))
    return out


# The files of an epoch, in order: first weights, steps 5 and 10, then weights, the best and the last of epoch 1.
@pytest.mark.parametrize("file", [4, 5, 6])
def test_killed_while_an_epoch_is_closed(file: int, never_killed: Path, tmp_path: Path) -> None:
    """And resumed with another number of workers: the log's line is there, the checkpoint is not."""
    recipe = longer_recipe(
        tmp_path,
        f"""
        import os, signal
        from itertools import count

        files, rename = count(1), os.replace

        def replace(*paths):
            if next(files) == {file}:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*paths)

        os.replace = replace
        """,
    )
    out, printed = tmp_path / "out", tmp_path / "printed"
    with running(command(out, CLOSING, recipe=recipe), printed) as (process,):
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL
    assert history(out)[-1]["event"] == "epoch"
    assert final_state(out)["progress"]["step"] == 10
    finish([*command(out, [*CLOSING, "workers=1"], resume=True)], printed)
    expected, found = final_state(never_killed), final_state(out)
    assert found.pop("config") == {**expected.pop("config"), "workers": 1}
    assert differing(expected, found) == []
    assert differing(history(never_killed), history(out)) == []
    assert {path.name for path in out.iterdir()} == {path.name for path in never_killed.iterdir()}


def test_a_difference_in_the_last_bit_is_seen() -> None:
    one = {"model": {"w": torch.ones(3)}, "random": [(1, 2.0)], "seconds": 1.0}
    nearly = torch.nextafter(torch.ones(3), torch.tensor(2.0))
    assert differing(one, {**one, "seconds": 2.0}) == []
    assert differing(one, {**one, "model": {"w": nearly}}) == [".model.w"]
    assert differing(one, {**one, "model": {"w": torch.ones(3).double()}}) == [".model.w"]
    assert differing(one, {**one, "random": [(1, 2.5)]}) == [".random[0][1]"]
    assert differing(one, {**one, "random": []}) == [".random"]


def test_another_seed_ends_elsewhere(tmp_path: Path) -> None:
    """The comparison does not find equality everywhere."""
    for seed in ("0", "1"):
        finish(command(tmp_path / seed, ["epochs=1", "warmup_epochs=0", f"seed={seed}"]), tmp_path / "printed")
    found = differing(final_state(tmp_path / "0"), final_state(tmp_path / "1"))
    assert {".model.head.weight", ".average.head.weight", ".random[0].torch"} <= set(found)


@pytest.mark.parametrize("processes", [1, 2])
def test_sigterm_saves_and_leaves_with_its_own_code(processes: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = command(out, ["epochs=40"])  # no checkpoint but at the end of an epoch
    codes = signal_at(3, out, arguments, tmp_path / "printed", processes, how=signal.SIGTERM)
    assert codes == [SAVED] * processes
    assert last_step(out) == final_state(out)["progress"]["step"]
    assert SAVED not in (0, 1, BAD_INPUT, NON_FINITE, 128 + signal.SIGTERM)


@pytest.mark.parametrize("where", ["training", "validation"])
def test_sigterm_to_all_processes_of_a_run_at_once(where: str, tmp_path: Path) -> None:
    """As a job queue sends it: to the run, and to the workers that load its pictures."""
    recipe = longer_recipe(
        tmp_path,
        f"""
        import multiprocessing, os, signal

        class Terminating(Stripes):
            def __getitem__(self, index):
                if self.epoch[0] == 0 and index == 7:
                    self.set_epoch(1)
                    os.kill(multiprocessing.parent_process().pid, signal.SIGTERM)
                    os.kill(os.getpid(), signal.SIGTERM)
                return super().__getitem__(index)

        def make_data(config):
            kinds = {{"training": (Terminating, Stripes), "validation": (Stripes, Terminating)}}["{where}"]
            return kinds[0](208, 32, 0), kinds[1](61, 32, 1)
        """,
    )
    out = tmp_path / "out"
    settings = ["epochs=40", "workers=1", "ema_decay=0"]
    with running(command(out, settings, recipe=recipe), tmp_path / "printed") as (process,):
        process.join(PATIENCE)
        assert process.exitcode == SAVED, (tmp_path / "printed" / "0.txt").read_text()
    step = final_state(out)["progress"]["step"]
    assert last_step(out) == step
    assert step == 13 if where == "validation" else 0 < step <= 13
    assert (final_state(out)["progress"]["closed"] == 0) or where == "training"


def test_under_torchrun_sigterm_to_one_process_stops_all(tmp_path: Path) -> None:
    recipe = Path(__file__).parent / "_recipe_terminated.py"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, "-m", "gcvit_edu.train", *command(tmp_path / "out", ["epochs=40"], recipe=recipe)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "stopped by SIGTERM after step" in done.stdout, done.stderr
    assert f"exitcode  : {SAVED}" in done.stderr
    assert final_state(tmp_path / "out")["progress"]["step"] == last_step(tmp_path / "out")
    assert len(final_state(tmp_path / "out")["random"]) == 2
