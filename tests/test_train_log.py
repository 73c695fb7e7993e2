"""What a run writes and shows, and the pictures of it."""

import contextlib
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from _recipe_stripes import CONFIG, make_model

from gcvit_edu import counting, hardware, viz
from gcvit_edu.files import LOG, read_log
from gcvit_edu.hardware import memory_mb, peak_of
from gcvit_edu.train import Place, stopwatch
from gcvit_edu.train.log import Log, cut_log
from gcvit_edu.train.stopwatch import Stopwatch, operations_per_image

CPU = Place(0, 1, torch.device("cpu"))

# ------------------------------------------------------------------------------------------------------------ file


def test_lines_are_written_at_once_and_read_back(tmp_path: Path) -> None:
    with Log(tmp_path, 10, stream=io.StringIO()) as log:
        log.write("step", 1, {"loss": 0.5})
        assert read_log(tmp_path) == read_log(tmp_path / LOG) == [{"event": "step", "step": 1, "loss": 0.5}]
        log.write("step", 2, {"loss": 0.25})
    with Log(tmp_path, 10, stream=io.StringIO()) as log:  # a resumed run appends
        log.write("step", 3, {})
    assert [entry["step"] for entry in read_log(tmp_path)] == [1, 2, 3]


def test_a_line_cut_short_by_a_crash_is_left_out_and_another_is_an_error(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text('{"step": 1}\n{"step": 2, "lo')
    assert read_log(tmp_path) == [{"step": 1}]
    (tmp_path / LOG).write_text('{"step": 1}\nhello\n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"line 2 of \S*log\.jsonl is no JSON"):
        read_log(tmp_path)


def test_what_a_resumed_run_does_again_is_taken_out(tmp_path: Path) -> None:
    entries = [{"event": "step", "step": step} for step in (12, 13)]
    entries += [{"event": "epoch", "step": 13, "epoch": 1}, {"event": "step", "step": 14}]
    text = "".join(json.dumps(entry) + "\n" for entry in entries) + '{"half'
    for step, closed, kept in ((13, 1, 3), (13, 0, 2), (12, 0, 1), (14, 1, 4), (-1, 0, 0)):
        (tmp_path / LOG).write_text(text)
        cut_log(tmp_path / LOG, step, closed)
        assert read_log(tmp_path) == entries[:kept]
    cut_log(tmp_path / "missing", 1, 1)


def test_other_processes_write_and_show_nothing(tmp_path: Path) -> None:
    shown = io.StringIO()
    with Log(None, 10, stream=shown) as log:
        log.write("step", 1, {"loss": 0.5})
        log.advance(1, 0.5)
        log.info("epoch 1")
    assert shown.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    (tmp_path / LOG).symlink_to("/dev/full")
    full = pytest.raises(OSError, match=r"cannot write \S*log\.jsonl: No space left on device; make room")
    with full, Log(tmp_path, 10, stream=io.StringIO()) as log:
        log.write("step", 1, {"loss": 0.5})
    with full, Log(tmp_path, 10, stream=io.StringIO()) as log:
        log.file.write("what the system refuses only when the file is closed")


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Log(tmp_path, 10, tensorboard=True, stream=io.StringIO()) as log:
        log.write("step", 3, {"loss": 0.5, "which": "text"})
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["step/loss"]
    (event,) = events.Scalars("step/loss")
    assert (event.step, event.value) == (3, 0.5)


def test_tensorboard_that_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"tensorboard=True, but .*; pip install tensorboard, or leave it out"):
        Log(tmp_path, 10, tensorboard=True)
    with Log(tmp_path, 10, stream=io.StringIO()):
        pass


# ---------------------------------------------------------------------------------------------------------- shown


def test_a_plain_line_per_epoch_where_there_is_no_terminal(tmp_path: Path) -> None:
    shown = io.StringIO()
    with Log(tmp_path, 10, stream=shown) as log:
        log.advance(1, 0.5)
        log.info("epoch 1")
    assert shown.getvalue() == "epoch 1\n"


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(theirs, "w") as terminal, Log(tmp_path, 10, done=4, stream=terminal) as log:
        log.advance(7, 0.5)
        log.info("epoch 1")
        assert log.bar.n == 7
    shown = ""
    with contextlib.suppress(OSError):  # the end: nobody holds the other side any more
        while True:
            shown += os.read(ours, 10_000).decode(errors="replace")
    os.close(ours)
    assert "4/10" in shown
    assert "7/10" in shown
    assert "loss=0.500" in shown
    assert "epoch 1\r\n" in shown


# ---------------------------------------------------------------------------------------------------------- speed


def test_a_stopwatch_splits_waiting_from_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 4.0, 5.0, 8.0, 8.0, 100.0, 101.0, 103.0, 103.0, 110.0, 111.0, 112.0, 112.0])
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(times))
    watch = Stopwatch(images=40, operations=2.0, peak=100.0)
    for _ in range(2):
        watch.loaded()
        watch.stepped()
    values = watch.read(CPU)
    assert values.pop("memory_mb") > 1
    assert values == {"images_per_s": 10.0, "data_s": 1.0, "compute_s": 3.0, "mfu": 0.2}
    watch.restart()  # a validation lies between
    watch.loaded()
    watch.stepped()
    assert watch.read(CPU)["data_s"] == 1.0
    watch.skip()  # a checkpoint is written
    watch.loaded()
    watch.stepped()
    assert watch.read(CPU)["data_s"] == 1.0


def test_no_mfu_where_the_peak_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch(images=4, operations=2.0, peak=None)
    watch.loaded()
    watch.stepped()
    assert "mfu" not in watch.read(CPU)
    assert peak_of(torch.device("cpu"), amp=True) is None
    cuda = torch.device("cuda", 0)
    names = {"NVIDIA A100-SXM4-80GB": 312e12, "NVIDIA H100 PCIe": 756e12, "NVIDIA H100 80GB HBM3": 989e12}
    names |= {"NVIDIA L40S": 362e12, "NVIDIA L4": 121e12, "NVIDIA GeForce GTX 1080": None}
    names |= {"NVIDIA L40": None, "NVIDIA A10G": None, "NVIDIA RTX A1000": None, "NVIDIA H100 NVL": 835e12}
    for name, peak in names.items():
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert peak_of(cuda, amp=True) == peak
        assert peak_of(cuda, amp=False) is None


def test_training_takes_six_operations_per_multiply_add() -> None:
    model = make_model(CONFIG)
    assert operations_per_image(model, CONFIG) == 6 * counting.count(model).multiply_adds


def test_a_system_that_does_not_tell_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "peak_memory", lambda device: None)
    assert memory_mb(CPU.device) is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="elsewhere a process begins with its parent's peak")
def test_the_memory_of_a_large_process_is_not_its_childs() -> None:
    held = torch.ones(2**30 // 4)
    code = "import torch; from gcvit_edu.hardware import memory_mb; print(memory_mb(torch.device('cpu')))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert memory_mb(CPU.device) > held.numel() * 4 / 2**20
    assert 50 < float(said) < held.numel() * 4 / 2**20


@pytest.mark.skipif(hardware.peak_memory() is None, reason="this system does not tell a process its peak memory")
def test_memory_grows_with_what_is_held() -> None:
    before = memory_mb(CPU.device)
    held = torch.ones(100 * 2**20 // 4)
    assert memory_mb(CPU.device) >= before
    assert memory_mb(CPU.device) > held.numel() * 4 / 2**20


# ---------------------------------------------------------------------------------------------------------- curves


def write_epochs(folder: Path, epochs: list[dict]) -> Path:
    folder.mkdir()
    lines = [{"event": "step", "step": 1, "loss": 9.0}, *({"event": "epoch", "step": 1, **one} for one in epochs)]
    (folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_learning_curves_show_what_was_logged(tmp_path: Path) -> None:
    plt.switch_backend("agg")
    averaged = [
        {"epoch": 1, "train_loss": 3.0},  # not validated
        {"epoch": 2, "train_loss": 2.0, "loss": 8.0, "top1": 0.1, "ema_loss": 1.5, "ema_top1": 0.5},
        {"epoch": 3, "train_loss": 1.0, "loss": 8.0, "top1": 0.1, "ema_loss": 1.0, "ema_top1": 0.75},
    ]
    plain = [{"epoch": 1, "train_loss": 4.0, "loss": 5.0, "top1": 0.25}]
    runs = {"averaged": write_epochs(tmp_path / "a", averaged), "plain": write_epochs(tmp_path / "b", plain)}
    viz.learning_curves(runs)
    left, right = plt.gcf().axes
    drawn = [(line.get_xdata(), line.get_ydata()) for line in left.lines]
    expected = [([1, 2, 3], [3.0, 2.0, 1.0]), ([2, 3], [1.5, 1.0]), ([1], [4.0]), ([1], [5.0])]
    assert [(list(x), list(y)) for x, y in drawn] == expected
    assert [list(line.get_ydata()) for line in right.lines] == [[50.0, 75.0], [25.0]]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["averaged", "plain"]
    plt.close("all")


def test_curves_of_a_run_without_an_epoch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of 'new' has no finished epoch; wait for the first one"):
        viz.learning_curves({"new": write_epochs(tmp_path / "a", [])})
    plt.close("all")
