"""Checkpoints: written whole or not at all, read with care, refused where they do not fit."""

import errno
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from _recipe_stripes import CONFIG, make_model
from _train import differing

from gcvit_edu.files import write_atomically
from gcvit_edu.hardware import versions
from gcvit_edu.train import Place, Run, latest_valid, load, make_ema, make_optimizer
from gcvit_edu.train.checkpoint import BEST, checkpoints, save, set_aside_damaged
from gcvit_edu.train.identity import RunIdentity, SetIdentity
from gcvit_edu.train.randomness import random_state, seed_process, set_random_state
from gcvit_edu.train.run import restore_run, save_run

CPU = Place(0, 1, torch.device("cpu"))
IDENTITY = RunIdentity(SetIdentity(208), SetIdentity(61))


def fresh(**changes: object) -> Run:
    config = replace(CONFIG, **changes)
    model = make_model(config)
    average = make_ema(model) if config.ema_decay else None
    return Run(model, average, make_optimizer(model, config), torch.zeros((), dtype=torch.float64))


def trained() -> Run:
    """A run after one step on nothing in particular."""
    run = fresh()
    run.model(torch.randn(2, 3, 32, 32)).sum().backward()
    run.optimizer.step()
    run.step, run.epochs_done, run.best, run.loss_sum = 14, 1, 0.5, torch.tensor(3.5, dtype=torch.float64)
    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------------------------------------------- contents


def test_a_checkpoint_holds_everything(tmp_path: Path) -> None:
    save_run(trained(), tmp_path, CONFIG, IDENTITY, CPU)
    state, new = load(tmp_path / "step_00000014.pt"), {"identity", "device", "versions"}
    assert set(state) == {"model", "average", "model_ema", "optimizer", "progress", "sampler", "random", "config", *new}
    assert state["sampler"] == {"samples": 208, "epoch": 1, "batch": 1}
    assert [group["name"] for group in state["optimizer"]["param_groups"]] == ["decay", "no_decay"]
    assert state["config"]["lr"] == CONFIG.lr
    assert state["versions"]["torch"] == torch.__version__.split("+")[0] == versions()["torch"].split("+")[0]
    assert {"python", "numpy", "timm", "torchvision", "gcvit-edu"} <= set(state["versions"])
    assert set(state["random"][0]) == {"torch", "cuda", "python", "numpy"}


def test_a_restored_run_is_the_one_that_was_saved(tmp_path: Path) -> None:
    run = trained()
    run.seconds = 1000.0
    save_run(run, tmp_path, CONFIG, IDENTITY, CPU)
    drawn = (torch.rand(3), random.random(), np.random.rand())
    other = fresh()
    restore_run(other, tmp_path / "step_00000014.pt", CONFIG, IDENTITY, CPU)
    for part in ("model", "ema", "optimizer"):
        assert differing(getattr(run, part).state_dict(), getattr(other, part).state_dict()) == []
    assert (other.step, other.epochs_done, other.best, other.loss_sum.item()) == (14, 1, 0.5, 3.5)
    assert 1000 <= other.clock() < 2000
    assert torch.equal(torch.rand(3), drawn[0])
    assert (random.random(), np.random.rand()) == drawn[1:]


def test_each_rank_has_random_numbers_of_its_own() -> None:
    states = []
    for seed, rank in ((0, 0), (0, 1), (1, 0), (0, 0)):
        seed_process(seed, rank)
        states.append(random_state())
    for part in ("torch", "python", "numpy"):
        assert differing(states[0][part], states[3][part]) == []
        assert all(differing(states[0][part], other[part]) for other in states[1:3])
    set_random_state(states[1])
    assert differing(random_state(), states[1]) == []


# ---------------------------------------------------------------------------------------------- kept and skipped


def test_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    for step, best in ((5, False), (10, True), (15, False), (100, False)):
        save(tmp_path, step, {"step": step}, best=best)
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000100.pt", "step_00000015.pt"]
    assert names(tmp_path) == [BEST, "step_00000015.pt", "step_00000100.pt"]
    assert load(tmp_path / BEST) == {"step": 10}


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "foreign"])
def test_a_damaged_newest_is_skipped_with_a_word(tmp_path: Path, damage: str) -> None:
    for step in (1, 2):
        save(tmp_path, step, {"step": step, "weights": torch.randn(1000)}, best=False)
    path = tmp_path / "step_00000002.pt"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1  # among the weights
    path.write_bytes({"truncated": content[:-100], "empty": b""}.get(damage, content))
    if damage == "foreign":
        torch.save({"step": path}, path)  # whole, but it holds what is not read from a file that anyone may have made
    said: list[str] = []
    assert latest_valid(tmp_path, said.append) == tmp_path / "step_00000001.pt"
    assert len(said) == 1
    assert "step_00000002.pt is" in said[0]
    assert "take an older one" in said[0]
    assert "\n" not in said[0]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    said: list[str] = []
    assert latest_valid(tmp_path, said.append) is None
    assert said == []


def test_the_best_is_the_last_resort_and_without_it_nothing_starts_again(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step, {"step": step}, best=step == 1)
    for path in checkpoints(tmp_path):
        path.write_bytes(path.read_bytes()[:100])
    said: list[str] = []
    assert latest_valid(tmp_path, said.append) == tmp_path / BEST
    assert len(said) == 2
    (tmp_path / BEST).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"none of the 3 checkpoints in \S* can be read; put back a copy of one, or"):
        latest_valid(tmp_path, said.append)


def test_damaged_ones_make_way(tmp_path: Path) -> None:
    """Otherwise they would count as the newest two, and each new checkpoint would be deleted as an old one."""
    for step in (1, 5, 6):
        save(tmp_path, step, {"step": step}, best=step == 1)
    (tmp_path / "step_00000002.pt.writing").write_bytes(b"half")
    set_aside_damaged(tmp_path, tmp_path / BEST)
    assert names(tmp_path) == [BEST, "step_00000005.pt.damaged", "step_00000006.pt.damaged"]
    save(tmp_path, 2, {"step": 2}, best=False)
    save(tmp_path, 3, {"step": 3}, best=False)
    before = names(tmp_path)
    set_aside_damaged(tmp_path, tmp_path / "step_00000003.pt")
    assert names(tmp_path) == before
    assert [load(path)["step"] for path in checkpoints(tmp_path)] == [3, 2]


# --------------------------------------------------------------------------------------------------------- writing


def test_a_file_being_written_when_the_power_fails_is_the_old_one(tmp_path: Path) -> None:
    """A process is killed between the first half and the second: a real file, a real SIGKILL."""
    write_atomically(tmp_path / "file", b"old")
    source = (
        "import os, signal, sys, pathlib, gcvit_edu.train.checkpoint as c\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "c.write_atomically(pathlib.Path(sys.argv[1]), b'new')"
    )
    done = subprocess.run([sys.executable, "-c", source, tmp_path / "file"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_bytes() == b"old"
    write_atomically(tmp_path / "file", b"newer")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"newer"


def test_content_is_on_disk_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), rename(*paths)))
    write_atomically(tmp_path / "file", b"new")
    assert calls == ["fsync", "replace", "fsync"]  # the file, the name, the folder that holds the name


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 100 kB: a write that fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_failed_write_leaves_the_old_checkpoints_whole(tmp_path: Path) -> None:
    save(tmp_path, 1, {"step": 1}, best=True)
    with pytest.raises(OSError, match=r"cannot write \S*step_00000002\.pt: .*; make room or choose another --out"):
        save(tmp_path, 2, {"weights": torch.zeros(100_000)}, best=False)
    assert names(tmp_path) == [BEST, "step_00000001.pt"]
    assert load(tmp_path / "step_00000001.pt") == {"step": 1}


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device; make room") as caught:
        save(tmp_path, 1, {"step": 1}, best=False)
    assert caught.value.errno == errno.ENOSPC
    assert "a training goes on with --resume, an experiment by the same command" in str(caught.value)
    assert names(tmp_path) == []


# -------------------------------------------------------------------------------------------------------- refusals


def refusal(tmp_path: Path, own: RunIdentity = IDENTITY, place: Place = CPU, **changes: object) -> str:
    path = tmp_path / "step_00000014.pt"
    if not path.exists():
        save_run(trained(), tmp_path, CONFIG, IDENTITY, CPU)
    with pytest.raises(ValueError, match=r"step_00000014\.pt") as caught:
        restore_run(fresh(**changes), path, replace(CONFIG, **changes), own, place)
    return str(caught.value)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, num_classes=4)
    assert "holds another model: head.weight is (3, 16) and should be (4, 16); head.bias is (3,)" in message
    assert "set model and its sizes as then" in message


def test_missing_and_unknown_weights_are_named(tmp_path: Path) -> None:
    run = trained()
    run.model.stages = run.model.stages[:1]
    save_run(run, tmp_path, CONFIG, IDENTITY, CPU)
    assert "keys are missing, such as stages.1." in refusal(tmp_path)
    run.model.extra = torch.nn.Linear(1, 1)
    save_run(run, tmp_path, CONFIG, IDENTITY, CPU)
    assert "2 are unknown, such as extra.weight" in refusal(tmp_path)


def test_another_config_data_set_or_number_of_processes_is_refused(tmp_path: Path) -> None:
    message = refusal(
        tmp_path, own=RunIdentity(SetIdentity(200), SetIdentity(61)), place=Place(0, 2, CPU.device), lr=0.5, epochs=7
    )
    for part in ("lr was 0.003 and is 0.5", "epochs was 6 and is 7", "processes was 1 and is 2"):
        assert part in message
    assert "training pictures was 208 and is 200" in message
    assert "Set it as it was, or choose another --out" in message


def test_an_average_that_was_not_kept_cannot_be_restored(tmp_path: Path) -> None:
    assert "ema_decay was 0.95 and is 0.0" in refusal(tmp_path, ema_decay=0.0)
