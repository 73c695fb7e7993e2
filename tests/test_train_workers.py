"""Too little of something for the processes that load pictures: one line with the remedy, and nobody is left behind."""

import errno
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from _recipe_stripes import CONFIG, Stripes
from _train import PATIENCE, RECIPE, command, longer_recipe, signal_at
from test_train_preflight import lines_of
from torch.utils.data import DataLoader

from gcvit_edu.train import workers
from gcvit_edu.train.__main__ import BAD_INPUT, main
from gcvit_edu.train.workers import WorkersFailed, batches_of, in_words, meaning

resource = pytest.importorskip("resource")
LONG = 200  # seconds; a busy machine needs more than the workers' grace for a start, and nobody may wait this long
SHORT = ["epochs=1", "warmup_epochs=0", "workers=2"]
CAUGHT = "Caught {} in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File 'x'\n{}: {}\n"
FULL = "unable to allocate shared memory(shm) for file </torch_10817_2036530897_0>: No space left on device (28)"
# As PyTorch 2.14 and Python 3.11 to 3.14 say it.
MESSAGES = [
    (CAUGHT.format("RuntimeError", "RuntimeError", FULL), "--shm-size"),
    ("unable to write to file </torch_7_1_0>: No space left on device (28)", "--shm-size"),
    (
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        "shared memory. Please try to raise your shared memory limit.",
        "--shm-size",
    ),
    (
        "Too many open files. Communication with the workers is no longer possible. Please increase the limit using "
        "`ulimit -n` in the shell or change the sharing strategy",
        "ulimit -n",
    ),
    ("unable to open shared memory object </torch_1_2> in read-write mode: Too many open files (24)", "ulimit -n"),
    (CAUGHT.format("OSError", "OSError", "[Errno 24] Too many open files: 'cat.png'"), "ulimit -n"),
    ("received 0 items of ancdata", "ulimit -n"),
    ("can't start new thread", "ulimit -u"),
    ("DataLoader worker (pid 7) is killed by signal: Killed. ", "memory ran out"),
    ("unable to mmap 4096 bytes from file </torch_1_2>: Cannot allocate memory (12)", "memory ran out"),
    ("DataLoader worker (pid 7) is killed by signal: Alarm clock. ", "SIGTERM"),
    ("DataLoader worker (pid 7) is killed by signal: Segmentation fault. ", "set workers=0"),
    ("DataLoader worker (pid(s) 7, 8) exited unexpectedly", "set workers=0"),
]


@pytest.mark.parametrize(("message", "remedy"), MESSAGES, ids=[str(number) for number in range(len(MESSAGES))])
def test_errors_are_translated(message: str, remedy: str) -> None:
    for error in (RuntimeError(message), OSError(message)):
        said = meaning(error, 2)
        assert remedy in said
        assert "\n" not in said
    with pytest.raises(WorkersFailed, match=remedy), in_words(2):
        raise RuntimeError(message)


def test_no_workers_are_to_be_lowered_where_there_are_none() -> None:
    assert meaning(OSError(errno.EMFILE, "Too many open files"), 0) == "too many files are open; raise `ulimit -n`"
    assert meaning(RuntimeError("unable to mmap 4096 bytes from file <a>: Cannot allocate memory (12)"), 0) is None


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(CAUGHT.format("RuntimeError", "RuntimeError", "mat1 and mat2 shapes cannot be multiplied")),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB."),
        RuntimeError("out of resource: shared memory, Required: 262144, Hardware limit: 101376."),  # a GPU's
        OSError(errno.ENOSPC, "No space left on device", "runs/a/best.pt"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        RuntimeError(),
    ],
    ids=repr,
)
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    assert meaning(error, 2) is None
    with pytest.raises(type(error)) as caught, in_words(2):
        raise error
    assert caught.value is error


# ------------------------------------------------------------------------------------------------ no more to be had


def limited(arguments: list[str], limits: str) -> tuple[int, str, float]:
    """Exit code, both outputs but for the lines on the data, and seconds of the command, under limits."""
    code = "import resource, sys\nfrom gcvit_edu.train import workers\nfrom gcvit_edu.train.__main__ import main\n"
    code += f"workers.GRACE = {LONG}\n{limits}\nsys.exit(main(sys.argv[1:]))"
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    said = re.sub(r"^(?:training|validation|classes): .*\n", "", done.stdout, flags=re.MULTILINE)  # of a start
    return done.returncode, said, time.monotonic() - start


def test_too_few_file_handles_are_one_line(tmp_path: Path) -> None:
    code, said, seconds = limited(command(tmp_path, SHORT), "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))")
    assert code == BAD_INPUT
    assert said.startswith("error: `ulimit -n` allows 20 open files")
    assert said.count("\n") == 1
    assert seconds < LONG


def test_a_full_shared_memory_is_one_line(tmp_path: Path) -> None:
    """The error is PyTorch's, raised where PyTorch raises it; a real one needs a file system of our own."""
    recipe = longer_recipe(
        tmp_path,
        f"""
        def full(samples):
            raise RuntimeError({FULL!r})

        import gcvit_edu.train.workers
        gcvit_edu.train.workers.default_collate = full
        """,
    )
    code, said, seconds = limited(command(tmp_path / "out", SHORT, recipe=recipe), "")
    assert code == BAD_INPUT, said
    assert said.startswith("error: there is no room left in shared memory")
    assert said.count("\n") == 1
    assert seconds < LONG


@pytest.fixture
def refused_fork(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The second process cannot start, as under `ulimit -u`, which root does not feel."""
    before, forked = multiprocessing.get_start_method(allow_none=True), []

    def fork() -> int:
        if forked:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        forked.append(True)
        return real()

    real = os.fork
    multiprocessing.set_start_method("fork", force=True)
    monkeypatch.setattr(os, "fork", fork)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
@pytest.mark.usefixtures("refused_fork")
def test_no_further_process_is_one_line_and_the_first_one_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, SHORT)) == BAD_INPUT
    said = capsys.readouterr().err
    assert "ulimit -u" in said
    assert said.count("\n") == 1
    assert multiprocessing.active_children() == []


def test_a_data_set_that_cannot_be_sent_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = longer_recipe(
        tmp_path,
        """
        def make_data(config):
            class Local(Stripes):
                pass

            return Local(208, 32, 0), Stripes(61, 32, 1)
        """,
    )
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        assert main(command(tmp_path / "out", SHORT, recipe=recipe)) == BAD_INPUT
    finally:
        multiprocessing.set_start_method(before, force=True)
    said = capsys.readouterr().err
    assert "top level of the recipe's file, or set workers=0" in said
    assert said.count("\n") == 1


def test_workers_end_whatever_the_error(tmp_path: Path) -> None:
    """A mistake in a recipe keeps its traceback, and does not keep anybody waiting for the workers' grace."""
    code = "def make_model(config):\n    return nn.Sequential(nn.Flatten(), nn.Linear(5, 3))"
    recipe = longer_recipe(tmp_path, code)
    code, said, seconds = limited(command(tmp_path / "out", SHORT, recipe=recipe), "")
    assert code == 1
    assert "shapes cannot be multiplied" in said.splitlines()[-1]
    assert "Alarm clock" not in said
    assert seconds < LONG


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc, as Linux has")
def test_workers_end_with_a_training_process_that_is_killed(tmp_path: Path) -> None:
    """Under forkserver, too, the method of the processes that these tests start."""
    recipe = longer_recipe(
        tmp_path,
        f"""
        import os
        from pathlib import Path

        class Named(Stripes):
            def __getitem__(self, index):
                (Path({str(tmp_path)!r}) / f"pid_{{os.getpid()}}").touch()
                return super().__getitem__(index)

        def make_data(config):
            return Named(208, 32, 0), Stripes(61, 32, 1)
        """,
    )
    settings = ["epochs=200", "workers=2"]
    signal_at(3, tmp_path / "out", command(tmp_path / "out", settings, recipe=recipe), tmp_path / "printed")
    alive = [Path("/proc") / name.name.removeprefix("pid_") / "cmdline" for name in tmp_path.glob("pid_*")]
    assert alive
    end = time.monotonic() + 20
    while alive and time.monotonic() < end:
        alive = [path for path in alive if path.exists() and path.read_bytes()]  # a zombie's is empty
        time.sleep(0.05)
    assert alive == []


def test_what_a_worker_sends_is_in_shared_memory_already(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = DataLoader(
        Stripes(8, 32, 0), batch_size=4, num_workers=1, collate_fn=workers.collate, worker_init_fn=workers.start_worker
    )
    assert [[part.is_shared() for part in batch] for batch in batches_of(loader)] == [[True, True]] * 2
    assert not any(part.is_shared() for part in workers.collate([(torch.zeros(3), 1)]))
    monkeypatch.setattr(workers, "get_worker_info", lambda: "a worker")
    assert all(part.is_shared() for part in workers.collate([(torch.zeros(3), 1)]))


# ------------------------------------------------------------------------------------------------------- preflight


def test_preflight_knows_what_workers_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines_of(RECIPE, tmp_path)["workers"].verdict == "ok"
    batch = CONFIG.batch_size * (3 * 32 * 32 * 4 + 8)
    for free, verdict in ((5 * batch, "ok"), (4 * batch, "error")):  # two for each worker, and one that is used
        system = SimpleNamespace(f_bavail=free, f_frsize=1)
        monkeypatch.setattr(os, "statvfs", lambda path, system=system: system)
        monkeypatch.setattr(workers, "cores", lambda: 8)
        found = lines_of(RECIPE, tmp_path, "workers=2")["workers"]
        assert found.verdict == verdict
        assert ("--shm-size" in found.text) == (verdict == "error")
    monkeypatch.undo()
    monkeypatch.setattr(workers, "cores", lambda: 1)
    found = lines_of(RECIPE, tmp_path, "workers=2")["workers"]
    assert (found.verdict, "2 for each of 1 processes on 1 cores" in found.text) == ("warning", True)


def test_preflight_knows_the_limit_of_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    found = lines_of(RECIPE, tmp_path, "workers=20")["workers"]
    assert (found.verdict, "ulimit -n" in found.text) == ("error", True)
