"""Machines fail: under torchrun, a run that lost a process or a machine ends as one that lost none."""

import signal
from pathlib import Path

import pytest
from _train import (
    PATIENCE,
    command,
    differing,
    final_state,
    finish,
    free_port,
    history,
    last_step,
    longer_recipe,
    running,
    torchrun,
    wait_for_step,
)

from gcvit_edu.train.__main__ import NON_FINITE, main

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc, as Linux has")

SETTINGS = ["epochs=3", "save_every=5", "mixup=0.2"]  # 13 steps in an epoch


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes, without torchrun."""
    out = tmp_path_factory.mktemp("undisturbed")
    finish(command(out, SETTINGS), tmp_path_factory.mktemp("printed"), processes=2)
    return out


def slow_recipe(folder: Path, ranks: tuple[str, ...]) -> Path:
    """The stripes recipe, whose pictures take their time in some processes."""
    return longer_recipe(
        folder,
        f"""
        import os, time

        class Slow(Stripes):
            def __getitem__(self, index):
                if os.environ["RANK"] in {ranks}:
                    time.sleep(0.005)
                return super().__getitem__(index)

        def make_data(config):
            return Slow(208, 32, config.seed), Stripes(61, 32, config.seed + 1)
        """,
    )


def assert_equal_runs(one: Path, other: Path) -> None:
    assert differing(final_state(one), final_state(other)) == []
    assert differing(history(one), history(other)) == []
    assert (one / "final.safetensors").read_bytes() == (other / "final.safetensors").read_bytes()


def test_a_process_killed_in_an_epoch_is_started_again(undisturbed: Path, tmp_path: Path) -> None:
    """The same command from the first start on: --resume begins where there is nothing to go on from."""
    recipe = longer_recipe(
        tmp_path,
        """
        import os, signal

        class Killed(Stripes):
            def __getitem__(self, index):
                mine = os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
                if mine and self.epoch[0] == 1 and next(loaded) == 60:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().__getitem__(index)

        from itertools import count
        loaded = count(1)  # the eighth step of the epoch, as 8 pictures of each step are this process's

        def make_data(config):
            return Killed(208, 32, config.seed), Stripes(61, 32, config.seed + 1)
        """,
    )
    out, printed = tmp_path / "out", tmp_path / "printed.txt"
    options = ["--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    with torchrun(options, command(out, SETTINGS, resume=True, recipe=recipe), printed) as agent:
        assert agent.wait(PATIENCE) == 0, printed.read_text()
    said = printed.read_text()
    assert f"no checkpoint in {out}: starting at step 0" in said
    assert f"going on from {out}/step_00000020.pt, step 20 of 39" in said
    assert_equal_runs(undisturbed, out)


def test_a_machine_lost_and_back(undisturbed: Path, tmp_path: Path) -> None:
    """Two agents on loopback, a process each; the one without the meeting point is killed with its process."""
    out, slow = tmp_path / "out", slow_recipe(tmp_path, ("0", "1"))
    options = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=2", "--rdzv-backend=c10d", "--rdzv-id=test"]
    options += [f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--local-addr=127.0.0.1"]
    conf = "--rdzv-conf=keep_alive_interval=1,keep_alive_max_attempt=3,last_call_timeout=1,is_host="
    arguments = command(out, SETTINGS, resume=True, recipe=slow)
    texts = [tmp_path / f"{number}.txt" for number in range(3)]
    with torchrun([*options, f"{conf}1"], arguments, texts[0]) as first:
        with torchrun([*options, f"{conf}0"], arguments, texts[1]):
            wait_for_step(8, out, texts[0])
        assert last_step(out) < 30, "too late: the run may be over"
        with torchrun([*options, f"{conf}0"], arguments, texts[2]) as back:
            for agent in (first, back):
                assert agent.wait(PATIENCE) == 0, [text.read_text() for text in texts if text.exists()]
    assert "going on from" in "".join(text.read_text() for text in texts)
    assert_equal_runs(undisturbed, out)


def test_a_slow_process_changes_nothing_but_the_time(undisturbed: Path, tmp_path: Path) -> None:
    recipe = slow_recipe(tmp_path, ("1",))
    finish(command(tmp_path / "out", SETTINGS, recipe=recipe), tmp_path / "printed", processes=2)
    assert_equal_runs(undisturbed, tmp_path / "out")
    entry = next(entry for entry in history(tmp_path / "out") if entry["event"] == "step")
    assert entry["data_s"] + entry["compute_s"] > 8 * 0.005  # the first process waits for the other


def test_one_process_with_a_gradient_that_is_not_finite_stops_all(undisturbed: Path, tmp_path: Path) -> None:
    """Before any of them changes its weights; without the cause, the run goes on as if nothing had happened."""
    recipe = longer_recipe(
        tmp_path,
        f"""
        import os
        from pathlib import Path

        class Spoilt(Stripes):
            def __getitem__(self, index):
                image, label = super().__getitem__(index)
                cause = Path({str(tmp_path / "cause")!r})
                if os.environ["RANK"] == "1" and self.epoch[0] == 1 and cause.exists():
                    image[0, 0, 0] = torch.nan
                return image, label

        def make_data(config):
            return Spoilt(208, 32, config.seed), Stripes(61, 32, config.seed + 1)
        """,
    )
    (tmp_path / "cause").touch()
    out, printed = tmp_path / "out", tmp_path / "printed"
    with running(command(out, SETTINGS, recipe=recipe), printed, processes=2) as started:
        for process in started:
            process.join(PATIENCE)
        assert [process.exitcode for process in started] == [NON_FINITE] * 2
    for rank in range(2):
        said = (printed / f"{rank}.txt").read_text()
        assert "error: step 14: the loss is" in said
        assert f"The last good checkpoint is {out}/step_00000013.pt" in said
    (tmp_path / "cause").unlink()
    finish(command(out, SETTINGS, resume=True, recipe=recipe), printed, processes=2)
    assert_equal_runs(undisturbed, out)


def test_sigterm_to_the_agent_saves(tmp_path: Path) -> None:
    """What a job queue sends to a job reaches torchrun, which hands it on and gives its processes 30 seconds."""
    out, printed = tmp_path / "out", tmp_path / "printed.txt"
    options = ["--standalone", "--nproc-per-node=2"]
    with torchrun(options, command(out, ["epochs=200"], resume=True), printed) as agent:
        wait_for_step(3, out, printed)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE) != 0
    assert "stopped by SIGTERM after step" in printed.read_text()
    assert final_state(out)["progress"]["step"] == last_step(out)


def test_another_number_of_processes_is_refused_with_words(
    undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(undisturbed, SETTINGS, resume=True)) == 2
    said = capsys.readouterr().err
    assert "processes was 2 and is 1: each step would have the same pictures, but drop path and mixing draw" in said
    assert "Set it as it was, or choose another --out" in said
