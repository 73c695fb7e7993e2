"""The check before a run: every line finds the fault that is planted for it, and nothing is left behind."""

import errno
import shutil
from pathlib import Path

import pytest
import torch
from _imagenet import make_tree
from _train import PATIENCE, RECIPE, checkpoints, command, final_state, finish, longer_recipe, running

from gcvit_edu.train import changed, distributed, load_recipe
from gcvit_edu.train.__main__ import BAD_INPUT, main
from gcvit_edu.train.preflight import Line, _pictures, _speed, as_table, preflight
from gcvit_edu.train.run import begin, checkpoint_bytes

NAMES = [
    "versions",
    "device",
    "folder",
    "data",
    "batch",
    "workers",
    "training pictures",
    "validation pictures",
    "model",
    "disk",
]
NAMES += ["loader", "memory", "speed"]


def lines_of(recipe: Path, out: Path, *settings: str) -> dict[str, Line]:
    loaded = load_recipe(str(recipe))
    return {line.name: line for line in preflight(loaded, changed(loaded.config, settings), out)}


def verdicts(lines: dict[str, Line]) -> dict[str, str]:
    """Those that are not ok; what a busy machine decides is left out."""
    return {name: line.verdict for name, line in lines.items() if line.verdict != "ok" and name != "speed"}


# --------------------------------------------------------------------------------------------------- all is well


def test_a_recipe_that_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs" / "one"
    assert main([*command(out, ["workers=1"]), "--preflight"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line[9:29].strip() for line in table] == NAMES
    assert not any(line.startswith("error") for line in table)
    assert "3 classes" in table[3]
    assert "16 = 1 processes x 1 parts x 16 pictures; 13 steps in an epoch, 78 in all" in table[4]
    assert list(tmp_path.iterdir()) == []  # no folder, no file


def test_the_miniature_of_imagenet(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "tree", classes=4, train=4)
    recipe = load_recipe("imagenet")
    settings = [f"data={root}", "num_classes=4", "model=nano", "image_size=32", "batch_size=8", "workers=0"]
    lines = {line.name: line for line in preflight(recipe, changed(recipe.config, settings), tmp_path / "out")}
    assert set(verdicts(lines)) <= {"device", "memory", "loader"}
    assert "16 pictures to train on, 4 to validate, the same 4 classes" in lines["data"].text


def test_the_computed_size_is_that_of_a_checkpoint(tmp_path: Path) -> None:
    for decay in ("0", "0.9"):
        out = tmp_path / decay
        settings = ["epochs=1", "warmup_epochs=0", f"ema_decay={decay}"]
        assert main(command(out, settings)) == 0
        recipe = load_recipe(str(RECIPE))
        run = begin(recipe.make_model, changed(recipe.config, settings), torch.device("cpu"))
        each, weights = checkpoint_bytes(run)
        held = final_state(out)
        tensors = [*held["model"].values(), *(held["average"] or {}).values()]
        tensors += [moment for state in held["optimizer"]["state"].values() for moment in state.values()]
        assert each == pytest.approx(sum(value.numel() * value.element_size() for value in tensors), rel=0.02)
        assert each < checkpoints(out)[0].stat().st_size
        assert weights < (out / "final.safetensors").stat().st_size < 1.2 * weights + 20_000


def test_two_processes_check_their_own_shares(tmp_path: Path) -> None:
    arguments = [*command(tmp_path / "out", ["accumulate=2"]), "--preflight"]
    first, second = finish(arguments, tmp_path / "printed", processes=2)
    assert "16 = 2 processes x 2 parts x 4 pictures" in first
    assert second == ""


def test_the_finding_of_another_process_is_shown(tmp_path: Path) -> None:
    """Its disk is full, or, as here, its pictures are not there."""
    recipe = longer_recipe(
        tmp_path,
        """
        import os

        both = make_data

        def make_data(config):
            if os.environ["RANK"] == "1":
                raise ValueError("the disk of this machine is not mounted")
            return both(config)
        """,
    )
    arguments = [*command(tmp_path / "out", ["seed=0"], recipe=recipe), "--preflight"]
    with running(arguments, tmp_path / "printed", processes=2) as started:
        for process in started:
            process.join(PATIENCE)
        assert [process.exitcode for process in started] == [BAD_INPUT] * 2
    printed = (tmp_path / "printed" / "0.txt").read_text()
    assert "error    data                 process 1: the disk of this machine is not mounted" in printed


# ---------------------------------------------------------------------------------------------- planted faults

DATA = {
    "a picture that cannot be read": (
        "class Bad(Stripes):\n    def __getitem__(self, index):\n        raise ValueError(f'{index}.png is spoilt')",
        {"training pictures": "64 of 64 cannot be used, the first: 0.png is spoilt", "loader": ".png is spoilt"},
    ),
    "labels out of range": (
        "class Bad(Stripes):\n    def __getitem__(self, index):\n        return super().__getitem__(index)[0], 3",
        {"training pictures": "64 of 64 cannot be used, the first: number 0 has label 3, and num_classes=3"},
    ),
    "pictures of another size": (
        "class Bad(Stripes):\n    def __getitem__(self, index):\n        return torch.zeros(3, 32, 31), 0",
        {"training pictures": "number 0 has shape (3, 32, 31), or values that are not finite"},
    ),
    "values that are not finite": (
        "class Bad(Stripes):\n    def __getitem__(self, index):\n        return torch.full((3, 32, 32), torch.nan), 0",
        {"training pictures": "or values that are not finite", "memory": "the loss is nan"},
    ),
    "a wrong class order": (
        "class Bad(Stripes):\n    classes = ('columns', 'rows', 'none')",
        {"data": "class 0 is 'columns' in the training set and 'rows' in the validation set"},
    ),
    "too few classes": (
        "class Bad(Stripes):\n    classes = ('rows', 'none')",
        {"data": "the training set lacks 'columns', which the validation set has"},
    ),
}


@pytest.mark.parametrize("fault", DATA)
def test_faults_of_the_data(fault: str, tmp_path: Path) -> None:
    code, expected = DATA[fault]
    sets = "def make_data(config):\n    return Bad(208, 32, 0), Stripes(61, 32, 1)"
    found = lines_of(longer_recipe(tmp_path, f"{code}\n\n{sets}"), tmp_path / "out")
    for name, text in expected.items():
        assert found[name].verdict == "error", found[name]
        assert text in found[name].text
    assert found["validation pictures" if "data" not in expected else "model"].verdict == "ok"
    assert found["disk"].verdict == "ok"  # one fault does not hide the next


def test_an_empty_training_set(tmp_path: Path) -> None:
    recipe = longer_recipe(tmp_path, "def make_data(config):\n    return Stripes(0, 32, 0), Stripes(61, 32, 1)")
    found = lines_of(recipe, tmp_path / "out")
    empty = Line("error", "training pictures", "there is no picture; is it the right folder?")
    assert found["training pictures"] == empty
    assert found["validation pictures"].verdict == found["model"].verdict == "ok"


def test_whatever_the_recipe_raises_the_other_checks_go_on(tmp_path: Path) -> None:
    recipe = longer_recipe(tmp_path, "def make_data(config):\n    return {}['photos'], None")
    found = lines_of(recipe, tmp_path / "out")
    assert found["data"] == Line("error", "data", "the recipe's code raised KeyError('photos'); mend it there")
    assert found["model"].verdict == found["disk"].verdict == "ok"


def test_all_pictures_of_one_class_are_a_warning(tmp_path: Path) -> None:
    class Same:
        def __len__(self) -> int:
            return 100

        def __getitem__(self, index: int) -> tuple:
            return torch.zeros(3, 32, 32), 2

    config = load_recipe(str(RECIPE)).config
    assert _pictures(Same(), config)[:2] == ("warning", "all 64 looked at have label 2; are the classes right?")


def test_classes_without_names_are_a_warning(tmp_path: Path) -> None:
    found = lines_of(RECIPE.with_name("_recipe_four_classes.py"), tmp_path)["data"]
    assert found.verdict == "warning"
    assert "a set does not name its classes" in found.text


@pytest.mark.parametrize(
    ("settings", "name", "text"),
    [
        (["batch_size=500"], "batch", "do not fill one batch of batch_size=500"),
        (["batch_size=15", "accumulate=2"], "batch", "use a multiple of 2"),
        (["batch_size=13", "mixup=0.2"], "batch", "13 is odd"),
    ],
)
def test_faults_of_the_settings(settings: list[str], name: str, text: str, tmp_path: Path) -> None:
    found = lines_of(RECIPE, tmp_path, *settings)
    assert found[name].verdict == "error"
    assert text in found[name].text
    assert "loader" not in found


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_faults_of_the_device(tmp_path: Path) -> None:
    found = lines_of(RECIPE, tmp_path, "device=cuda")["device"]
    assert (found.verdict, "finds no CUDA device here" in found.text) == ("error", True)
    found = lines_of(RECIPE, tmp_path, "device=auto")["device"]
    assert (found.verdict, "the CPU would train" in found.text) == ("warning", True)
    assert lines_of(RECIPE, tmp_path)["device"].verdict == "ok"


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="process 2 of this machine has no GPU, there are 2; use --nproc-per-node=2"):
        distributed.local_device("auto")
    assert distributed.local_device("cpu") == torch.device("cpu")


def test_a_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write into" in lines_of(RECIPE, tmp_path / "file" / "out")["folder"].text
    (tmp_path / "log.jsonl").write_text('{"event": "step", "step": 1}\n')
    found = lines_of(RECIPE, tmp_path)["folder"]
    assert (found.verdict, "has a run already" in found.text) == ("error", True)
    recipe = load_recipe(str(RECIPE))
    resumed = {line.name: line for line in preflight(recipe, recipe.config, tmp_path, resume=True)}
    assert resumed["folder"].verdict == "ok"

    def read_only(dir: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    said = lines_of(RECIPE, tmp_path / "new")["folder"].text
    assert said == f"cannot write into {tmp_path}: Permission denied; choose another --out"


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need = 4 * 0.2e6  # bytes, about
    for free, verdict in ((need / 10, "error"), (need, "warning"), (10 * need, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: shutil._ntuple_diskusage(0, 0, int(free)))
        found = lines_of(RECIPE, tmp_path)["disk"]
        assert found.verdict == verdict, found


def test_a_model_that_does_not_fit(tmp_path: Path) -> None:
    recipe = longer_recipe(
        tmp_path,
        """
        class Large(GCViT):
            def forward(self, x):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. More words")

        def make_model(config):
            return Large(GCViTConfig(depths=(2, 2), num_heads=(1, 2), window_sizes=(4, 2), embed_dim=8, image_size=32))
        """,
    )
    found = lines_of(recipe, tmp_path)["memory"]
    assert found.verdict == "error"
    assert found.text.startswith("does not fit: CUDA out of memory; raise accumulate")


def test_a_model_that_does_not_take_the_pictures(tmp_path: Path) -> None:
    recipe = longer_recipe(tmp_path, "def make_model(config):\n    return nn.Sequential(nn.Flatten(), nn.Linear(5, 3))")
    found = lines_of(recipe, tmp_path)["memory"]
    assert found.verdict == "error"
    assert "shapes cannot be multiplied" in found.text


def test_a_loader_that_is_too_slow(tmp_path: Path) -> None:
    recipe = longer_recipe(
        tmp_path,
        """
        import time

        class Slow(Stripes):
            def __getitem__(self, index):
                time.sleep(0.2)
                return super().__getitem__(index)

        def make_data(config):
            return Slow(20, 32, 0), Stripes(61, 32, 1)
        """,
    )
    found = lines_of(recipe, tmp_path, "batch_size=2")["speed"]
    assert found.verdict == "warning"
    assert "raise workers, shrink the pictures on disk" in found.text
    assert _speed(10.0, 9.0).verdict == "ok"


def test_too_few_batches_to_time_are_said(tmp_path: Path) -> None:
    found = lines_of(RECIPE, tmp_path, "batch_size=208")
    assert found["loader"] == Line("warning", "loader", "only 1 parts in an epoch: too few to time")
    assert found["speed"].verdict == "warning"


def test_the_table_is_aligned() -> None:
    table = as_table([Line("ok", "disk", "room"), Line("warning", "loader", "slow")])
    assert table == "ok       disk    room\nwarning  loader  slow"
