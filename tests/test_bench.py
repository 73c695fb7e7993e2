"""The benchmark: what it compares, its arithmetic, its table and its refusals. No time is asserted."""

import json
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from _support import error_of

from gcvit_edu.bench import inference
from gcvit_edu.bench.inference import Measurement, Setting, build, format_table, main, make_step, measure
from gcvit_edu.hardware import describe_machine
from gcvit_edu.layers import DropPath
from gcvit_edu.weight_keys import convert_state_dict

QUICK = {"image_size": 32, "batch_size": 1}


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_both_compute_the_same(mode: str) -> None:
    setting = Setting(mode=mode, **QUICK)
    models = {source: build(setting, source) for source in ("ours", "timm")}
    models["ours"].load_state_dict(convert_state_dict(models["timm"].state_dict(), models["ours"]))
    assert all(model.training == (mode == "train") for model in models.values())
    assert all(module.rate == 0 for module in models["ours"].modules() if isinstance(module, DropPath))
    steps = {source: make_step(model, setting) for source, model in models.items()}
    assert error_of(steps["ours"](), steps["timm"]()) < 1e-4
    for model in models.values():
        assert all((value.grad is not None) == (mode == "train") for value in model.parameters())


def test_ratios_and_table() -> None:
    seconds = [{"ours": 0.2, "timm": 0.3}, {"ours": 0.4, "timm": 0.2}, {"ours": 0.1, "timm": 0.4}]
    peaks = [{"ours": ours * 2**20, "timm": 100 * 2**20} for ours in (50, 20, 60)]
    one = Measurement(Setting(), seconds, peaks)
    none = {"ours": None, "timm": None}
    two = Measurement(Setting(mode="train", batch_size=16), [{"ours": 2, "timm": 1}], [none])
    three = Measurement(Setting(), seconds[:2], [peaks[0], none])
    assert one.speed_ratio == pytest.approx(1.5)
    assert one.memory_ratio == 0.5
    assert two.memory_ratio is None
    assert three.memory_ratio is None  # one round did not tell
    assert one.round_ratios == pytest.approx([0.5, 1.5, 4])
    assert format_table([one, two]).splitlines() == [
        " mode  batch  graph  ours ms  timm ms  faster      rounds  ours MiB  timm MiB  memory",
        " eval      8  eager    200.0    300.0   1.50x  0.50-4.00x        50       100   0.50x",
        "train     16  eager   2000.0   1000.0   0.50x  0.50-0.50x         -         -       -",
    ]


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.json"
    options = "--batch-sizes 1 --modes eval --image-size 32 --repeats 1 --rounds 1"
    (found,) = main([*options.split(), "--threads", str(torch.get_num_threads()), "--json", str(file)])
    assert found.setting == Setting(**QUICK)
    assert len(found.round_seconds) == 1
    assert all(value > 0 for value in found.seconds.values())
    assert all(value is None or value > 0 for value in found.peak_bytes.values())
    printed = capsys.readouterr().out
    assert "GC ViT xxtiny at 32 pixels" in printed
    assert f"torch {torch.__version__}" in printed
    assert format_table([found]) in printed
    record = json.loads(file.read_text())
    assert record["machine"] == describe_machine("cpu")
    assert record["measurements"][0]["setting"]["variant"] == "xxtiny"


@pytest.fixture
def ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process instead of two, which import all anew."""
    monkeypatch.setattr(inference, "SOURCES", ("ours",))


@pytest.mark.usefixtures("ours_alone")
def test_memory_holds_at_least_the_first_activations() -> None:
    found = measure(Setting(image_size=64, batch_size=32, mode="train"), repeats=1, warm_up=1, rounds=1).peak_bytes[
        "ours"
    ]
    if found is None:
        pytest.skip("this system does not tell a process its peak memory")
    assert found > 4 * 32 * 64 * 32 * 32  # four bytes for 64 channels of 32x32 cells, 32 times
    assert found < 2**30, "measured the whole process, not what the steps added"


REFUSALS = [
    (["--variant", "nano"], "no GC ViT called 'nano'; it has xxtiny"),
    (["--image-size", "100"], "image_size=100; use a multiple of 32"),
    (["--batch-sizes", "0"], "batch_size=0 must be at least 1"),
    (["--repeats", "0", "--batch-sizes", "1", "--image-size", "32", "--modes", "eval"], "repeats=0"),
    (["--rounds", "0", "--batch-sizes", "1", "--image-size", "32", "--modes", "eval"], "rounds=0"),
]


@pytest.mark.parametrize(("options", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_refusals(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(options)
    assert message in capsys.readouterr().err


def test_no_cuda_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="finds no CUDA device here; use 'cpu'"):
        Setting(device="cuda")


def test_no_compiler_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: torch.nn.Module) -> torch.nn.Module:
        def fail(*args: object) -> None:
            raise RuntimeError("no C++ compiler")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ValueError, match=r"torch.compile does not work here .*no C\+\+ compiler"):
        make_step(torch.nn.Identity(), Setting(compiled=True, **QUICK))


def test_an_unknown_mode_or_allocator_is_refused() -> None:
    with pytest.raises(ValueError, match="mode='predict' is unknown; use eval or train"):
        Setting(mode="predict")
    with pytest.raises(ValueError, match="allocator='fast' is unknown; use steady or default"):
        Setting(allocator="fast")


def tell_allocator(connection: Connection, *_: object) -> None:
    """In the place of a worker: answer with a setting of its allocator instead of seconds."""
    connection.send(None)
    while connection.recv():
        connection.send((float(os.environ.get("MALLOC_MMAP_MAX_", -1)), None))


@pytest.mark.usefixtures("ours_alone")
@pytest.mark.parametrize(("allocator", "told"), [("steady", [0, 0]), ("default", [-1])])
def test_the_allocator_is_that_of_the_workers_only(
    allocator: str, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    monkeypatch.setattr(inference, "_work", tell_allocator)
    found = measure(Setting(allocator=allocator), repeats=1, rounds=len(told))
    assert [seconds["ours"] for seconds in found.round_seconds] == told
    assert "MALLOC_MMAP_MAX_" not in os.environ


@pytest.mark.usefixtures("ours_alone")
def test_a_model_that_does_not_run_is_said_clearly() -> None:
    with pytest.raises(ValueError, match=r"ours does not run \(RuntimeError: .*memory"):
        measure(Setting(image_size=32, batch_size=10**10), repeats=1, warm_up=0, rounds=1)


def test_a_worker_that_nobody_listens_to_ends_quietly() -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    inference._work(theirs, Setting(**QUICK), "ours", torch.get_num_threads())


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="device='tpu' is unknown; use 'cpu' or 'cuda'"):
        Setting(device="tpu")


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="warm_up=-1 at least 0"):
        measure(Setting(**QUICK), warm_up=-1)
    with pytest.raises(ValueError, match="repeats=0, rounds=3 must be at least 1"):
        measure(Setting(**QUICK), repeats=0)
