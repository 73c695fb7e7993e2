"""Ctrl-C is SIGTERM from a person: the step ends, all is saved, and one line says so; a second one ends at once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _train import (
    PATIENCE,
    command,
    differing,
    final_state,
    finish,
    history,
    last_step,
    longer_recipe,
    torchrun,
    wait_for_step,
)

from gcvit_edu.console import INTERRUPTED
from gcvit_edu.train.checkpoint import checkpoints
from gcvit_edu.train.stopping import stop_requested


@contextmanager
def training(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The command, in a group of its own, which a terminal would send Ctrl-C to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gcvit_edu.train", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def pausing(folder: Path, where: str, seconds: float) -> Path:
    """The stripes recipe, which touches a file and waits while it loads, at its 90th picture, or when it validates."""
    return longer_recipe(
        folder,
        f"""
        import time
        from itertools import count
        from pathlib import Path

        asked = count(1)

        def pause():
            Path(__file__).with_name("here").touch()
            time.sleep({seconds})

        class Pausing(Stripes):
            def __getitem__(self, index):
                if next(asked) >= (1 if "{where}" == "validation" else 90):
                    pause()
                return super().__getitem__(index)

        def make_data(config):
            if "{where}" == "loading":
                pause()
            training = Pausing if "{where}" == "training" else Stripes
            validation = Pausing if "{where}" == "validation" else Stripes
            return training(208, 32, config.seed), validation(61, 32, config.seed + 1)
        """,
    )


def test_the_first_ctrl_c_saves_and_the_run_ends_as_one_that_was_not_interrupted(tmp_path: Path) -> None:
    """To all processes of the group, workers included, as a terminal sends it."""
    whole, broken, settings = tmp_path / "whole", tmp_path / "broken", ["epochs=2", "mixup=0.2", "workers=1"]
    settings += ["accumulate=8"]  # more parts than the worker has ready
    recipe = longer_recipe(
        tmp_path,
        """
        import time

        class Slow(Stripes):
            def __getitem__(self, index):
                time.sleep(0.003)
                return super().__getitem__(index)

        def make_data(config):
            return Slow(208, 32, config.seed), Stripes(61, 32, config.seed + 1)
        """,
    )
    with training(command(broken, settings, recipe=recipe)) as process:
        while last_step(broken) < 4:
            assert process.poll() is None
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == INTERRUPTED, err
    assert "Traceback" not in out + err
    assert err.count("Ctrl-C again ends it at once") == 1  # said by the run, not by its worker
    step = final_state(broken)["progress"]["step"]
    assert 4 <= step == last_step(broken) < 26
    assert f"stopped by Ctrl-C after step {step} of 26, which is saved; --resume goes on" in err
    finish(command(broken, settings, resume=True, recipe=recipe), tmp_path / "printed")
    finish(command(whole, settings), tmp_path / "printed")
    assert differing(final_state(whole), final_state(broken)) == []
    assert differing(history(whole), history(broken)) == []


def test_ctrl_c_in_a_validation_does_not_wait_for_its_end(tmp_path: Path) -> None:
    """And a resumed run validates the epoch."""
    recipe, out = pausing(tmp_path, "validation", 0.2), tmp_path / "out"  # 61 pictures, twice: 24 seconds
    with training(command(out, ["epochs=2"], recipe=recipe)) as process:
        wait_for(tmp_path / "here")
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - start < 15
    assert process.returncode == INTERRUPTED
    assert "stopped by Ctrl-C after step 13 of 26, which is saved" in err
    assert final_state(out)["progress"]["closed"] == 0
    finish(command(out, ["epochs=2"], resume=True), tmp_path / "printed")
    assert [entry["epoch"] for entry in history(out) if entry["event"] == "epoch"] == [1, 2]


@pytest.mark.parametrize(("where", "workers"), [("loading", 0), ("training", 0), ("training", 2)])
def test_with_nothing_to_wait_for_it_ends_at_once(where: str, workers: int, tmp_path: Path) -> None:
    """While the data sets are made; or at the second time, in a step that takes a minute."""
    recipe, out = pausing(tmp_path, where, 60), tmp_path / "out"
    with training(command(out, ["epochs=2", "save_every=5", f"workers={workers}"], recipe=recipe)) as process:
        wait_for(tmp_path / "here")
        if workers:
            time.sleep(2)  # the other worker waits, too
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        if where == "training":
            time.sleep(0.5)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        out_text, err = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - start < 15
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in out_text + err
    if where == "loading":
        assert err == "interrupted by Ctrl-C before the first step; there is nothing to save\n"
        finish(command(out, ["epochs=2"]), tmp_path / "printed")  # the folder is free
    else:
        assert "Ctrl-C: the run stops after this step and saves; Ctrl-C again ends it at once" in err
        assert "ended by a second Ctrl-C; what was saved before is whole, and --resume goes on from it" in err
        assert out / "step_00000005.pt" in checkpoints(out)


def test_under_torchrun_ctrl_c_saves(tmp_path: Path) -> None:
    out, printed = tmp_path / "out", tmp_path / "printed.txt"
    with torchrun(["--standalone", "--nproc-per-node=2"], command(out, ["epochs=200", "workers=1"]), printed) as agent:
        wait_for_step(3, out, printed)
        os.killpg(agent.pid, signal.SIGINT)
        assert agent.wait(PATIENCE) != 0
    said = printed.read_text()
    assert "stopped by Ctrl-C after step" in said
    assert "KeyboardInterrupt" not in said
    assert final_state(out)["progress"]["step"] == last_step(out)


def test_handlers_come_back_and_an_ignored_ctrl_c_stays_ignored() -> None:
    """A shell script starts its background jobs so."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_requested() as stop:
        stop.can_save = True
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.signal, stop.name) == (signal.SIGINT, "Ctrl-C")
        with pytest.raises(KeyboardInterrupt, match="second Ctrl-C"):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_requested() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop.signal is None
    finally:
        signal.signal(signal.SIGINT, before[0])
