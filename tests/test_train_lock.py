"""One training at a time in a folder; and no process goes on without the one that started it."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest
from _train import (
    PATIENCE,
    command,
    family,
    final_state,
    last_step,
    longer_recipe,
    running,
    signal_at,
    torchrun,
    wait_for_step,
)

from gcvit_edu.files import read_log
from gcvit_edu.train import lock
from gcvit_edu.train.__main__ import BAD_INPUT, main
from gcvit_edu.train.lock import FILE, FolderLock

LONG = ["epochs=200"]
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc, as Linux has")


def wait_until_logged(step: int, out: Path) -> None:
    end = time.monotonic() + PATIENCE
    while last_step(out) < step:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("resume", [True, False])
def test_a_second_run_of_a_folder_is_refused_and_the_first_goes_on(
    resume: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    out = tmp_path / "out"
    with running(command(out, ["epochs=12", "save_every=1"]), tmp_path / "printed") as (process,):
        wait_until_logged(3, out)
        assert main(command(out, ["epochs=12", "save_every=1"], resume=resume)) == BAD_INPUT
        said = capsys.readouterr().err
        assert f"{out} is in use: process {process.pid} on {os.uname().nodename} is training there" in said
        assert "choose another --out" in said
        process.join(PATIENCE)
        assert process.exitcode == 0
    assert [entry["event"] for entry in read_log(out)].count("start") == 1
    assert not (out / FILE).exists()


def test_a_killed_process_keeps_no_lock_and_neither_do_its_workers(tmp_path: Path) -> None:
    """They are forked, and have the file open as it had."""
    out = tmp_path / "out"
    assert signal_at(3, out, command(out, [*LONG, "workers=2", "save_every=1"]), tmp_path / "printed") == [-9]
    assert (out / FILE).exists()
    own = FolderLock(out)
    assert own.take() is None
    assert f"process {os.getpid()} on " in (out / FILE).read_text()
    own.release()
    assert not (out / FILE).exists()
    own.release()  # twice does no harm


def test_a_file_system_without_locks_is_said_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "lockf", refuse)
    assert main(command(tmp_path / "out", ["epochs=1", "warmup_epochs=0"])) == 0
    assert "has no locks; start one training at a time there" in capsys.readouterr().out
    assert not (tmp_path / "out" / FILE).exists()
    monkeypatch.setattr(lock, "fcntl", None)
    assert "this system has no locks of files" in FolderLock(tmp_path).take()


def test_a_lock_that_is_deleted_while_one_waits_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process would make a file of its own, and both would train."""
    real = lock.fcntl.lockf

    def delete_first(descriptor: int, how: int) -> None:
        real(descriptor, how)
        monkeypatch.setattr(lock.fcntl, "lockf", real)
        (tmp_path / FILE).unlink()

    monkeypatch.setattr(lock.fcntl, "lockf", delete_first)
    own = FolderLock(tmp_path)
    assert own.take() is None
    assert (tmp_path / FILE).stat().st_nlink == 1
    own.release()


# --------------------------------------------------------------------------------------------------------- orphans


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_the_end(pids: list[int], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@needs_proc
def test_a_run_whose_agent_was_killed_saves_and_ends(tmp_path: Path) -> None:
    """SIGKILL to torchrun alone: it can tell nobody."""
    out, printed = tmp_path / "out", tmp_path / "printed.txt"
    arguments = command(out, [*LONG, "workers=1"], resume=True)
    with torchrun(["--standalone", "--nproc-per-node=2"], arguments, printed) as agent:
        wait_for_step(3, out, printed)
        members = [pid for pid in family(agent.pid) if pid != agent.pid]
        assert len(members) >= 4  # two processes, a worker each
        agent.kill()
        agent.wait()
        wait_for_the_end(members, 30)
    assert final_state(out)["progress"]["step"] == last_step(out)


@needs_proc
def test_workers_end_with_their_process(tmp_path: Path) -> None:
    recipe = longer_recipe(
        tmp_path,
        """
        import os, time
        from pathlib import Path

        class Slow(Stripes):
            def __getitem__(self, index):
                Path(__file__).with_name(f"worker_{os.getpid()}").touch()
                time.sleep(60 if self.epoch[0] else 0)
                return super().__getitem__(index)

        def make_data(config):
            return Slow(208, 32, 0), Stripes(61, 32, 1)
        """,
    )
    out = tmp_path / "out"
    assert signal_at(13, out, command(out, [*LONG, "workers=2"], recipe=recipe), tmp_path / "printed") == [-9]
    workers = [int(path.name.removeprefix("worker_")) for path in tmp_path.glob("worker_*")]
    assert len(workers) >= 2
    wait_for_the_end(workers, 3)
