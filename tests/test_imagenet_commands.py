"""Every command that chapter 13 prints is run as it is printed, over a miniature of ImageNet with few classes."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from _imagenet import make_tree
from _project import BOOK, PACKAGE, read_notebook
from _train import with_set

from gcvit_edu.data.imagenet.prepare import main as prepare

CHAPTER = read_notebook(BOOK / "13_imagenet.ipynb")
TEXT = "\n\n".join(cell.source for cell in CHAPTER.cells if cell.cell_type == "markdown")
EXAMPLES = PACKAGE / "train" / "examples"
CLASSES = 40
SMALL = ["model=nano", "image_size=32", "epochs=1", "warmup_epochs=0", "workers=0", "device=cpu"]
SMALL += ["log_every=1"]
TINY = ["model=nano", "image_size=32", "batch_size=4", "device=cpu"]
# What makes a command small, by module; what it prints stays as it is.
SMALLER: dict[str, list[str]] = {
    "gcvit_edu.data.imagenet.prepare": ["--classes", str(CLASSES)],
    "gcvit_edu.bench.loading": ["--size", "32", "--rounds", "1"],
    "gcvit_edu.train": with_set(SMALL),
    "gcvit_edu.bench.cost": [],
    "gcvit_edu.experiments.failure_modes": ["--epochs", "1"],
    "gcvit_edu.bench.device": ["--rounds", "1", *with_set(TINY)],
}


def commands(text: str) -> list[str]:
    """The lines of console blocks, and the commands between backticks."""
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).strip().splitlines()]
    return lines + re.findall(r"`(python -m [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def module_of(command: str) -> str:
    """The module that does the work: of `gcvit_edu.bench cost`, gcvit_edu.bench.cost."""
    found = re.search(r"-m (gcvit_edu\.(?:bench|experiments) \w+|gcvit_edu[\w.]*)|slurm\.sh|two_machines\.sh", command)
    assert found, f"what does {command!r} run?"
    return (found[1] or "gcvit_edu.train").replace(" ", ".")


PRINTED = sorted(set(commands(TEXT)))
RUN_HERE = [line for line in PRINTED if line.startswith("python ")]
STARTED = [line for line in PRINTED if not line.startswith("python ")]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """{name in a command: folder}."""
    folder = tmp_path_factory.mktemp("roots")
    found = {"IMAGENET": make_tree(folder / "all", classes=CLASSES, train=5)}
    for classes in (10, 100):
        found[f"IMAGENET{classes}"] = make_tree(folder / str(classes), classes=classes, train=2)
    for split in ("train", "val"):
        command = [str(found["IMAGENET"]), "--out", str(folder / "shards"), "--split", split]
        assert prepare([*command, *SMALLER["gcvit_edu.data.imagenet.prepare"]]) == 0
    return found | {"SHARDS": folder / "shards"}


def words_of(command: str, roots: dict[str, Path]) -> list[str]:
    return [re.sub(r"(?<!\w)[A-Z]{4,}\d*(?!\w)", lambda m: str(roots.get(m[0], m[0])), w) for w in shlex.split(command)]


def numbers_for(command: str) -> list[str]:
    """As many pictures in a batch as each of two processes has, and the classes that are there."""
    return ["batch_size=20", *([f"num_classes={CLASSES}"] if "SHARDS" in command else [])]


def test_what_is_printed_is_found() -> None:
    assert len(RUN_HERE) >= 12
    assert [line.split()[0] for line in STARTED] == ["FIRST=10.0.0.1", "sbatch", "torchrun"]
    assert {module_of(line) for line in PRINTED} == set(SMALLER)
    assert commands("```console\na \\\n  b\nc\n```\nand `python -m x`, `y`") == ["a b", "c", "python -m x"]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("command", RUN_HERE)
def test_a_command_runs_as_printed(
    command: str, roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_pictures: None
) -> None:
    monkeypatch.chdir(tmp_path)
    module = module_of(command)
    words = words_of(command, roots)
    words = words[
        words.index("-m") + 2 + (words[words.index("-m") + 1] in ("gcvit_edu.bench", "gcvit_edu.experiments")) :
    ]
    if module == "gcvit_edu.train" and words[0] != "emoji_nano":
        words += with_set(numbers_for(command))
    if "--workers" in words:  # of the preparation
        words[words.index("--workers") + 1] = "2"
    if module == "gcvit_edu.data.imagenet.prepare" and "--verify" not in words:
        words[words.index("--out") + 1] = str(tmp_path / "new")
    monkeypatch.setattr(torch, "compile", lambda network: network)  # needs a compiler of C++, and minutes
    run: Callable[[list[str]], object] = main_of(module)
    try:
        code = run([*words, *SMALLER[module]])
    except SystemExit as stopped:
        code = stopped.code
    assert not isinstance(code, int) or code == 0


def main_of(module: str) -> Callable[[list[str]], object]:
    name = f"{module}.__main__" if module == "gcvit_edu.train" else module
    return import_module(name).main


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the emoji, 200 to train on and to validate; the commands are the same for all."""
    from gcvit_edu.data import Emoji
    from gcvit_edu.experiments import failure_modes

    whole = Emoji.__init__

    def few(self: Emoji, *arguments: object, **options: object) -> None:
        whole(self, *arguments, **options)
        self.drawings = self.drawings[:: max(1, len(self.drawings) // 200)]

    monkeypatch.setattr(Emoji, "__init__", few)
    monkeypatch.setattr(
        failure_modes, "CASES", {name: failure_modes.CASES[name] for name in ("healthy", "wrong query")}
    )


def started(command: str, roots: dict[str, Path], folder: Path) -> list[str]:
    """What a script or torchrun would start python with, after stand-ins took the place of SLURM and Python."""
    for name, text in {
        "python": f'printf "%s\\n" "$@" > {folder}/python.txt',
        "srun": '"${@:2}"',  # after --kill-on-bad-exit=1
        "scontrol": "echo one",
        "sbatch": f'bash {EXAMPLES}/"$1" "${{@:2}}"',
        "torchrun": 'python -m torch.distributed.run "$@"',
    }.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (folder / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "one", "SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "1"}
    line = shlex.join(words_of(command, roots)).replace("two_machines.sh", f"{EXAMPLES}/two_machines.sh")
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", line], env={**os.environ, **slurm, **path}, cwd=folder, check=True)
    return (folder / "python.txt").read_text().splitlines()


@pytest.mark.parametrize("command", STARTED)
def test_what_starts_processes_hands_the_training_its_words(
    command: str, roots: dict[str, Path], tmp_path: Path
) -> None:
    """And --resume, with which a script that a queue starts again goes on."""
    words = started(command, roots, tmp_path)
    assert words[:2] == ["-m", "torch.distributed.run"]
    printed = words_of(command.removesuffix(" --resume"), roots)
    assert words[words.index("gcvit_edu.train") + 1 :] == [*printed[printed.index("imagenet") :], "--resume"]


def test_what_is_started_trains(roots: dict[str, Path], tmp_path: Path) -> None:
    """Here in one process: test_train_faults.py trains under torchrun."""
    command = next(line for line in STARTED if line.startswith("torchrun"))
    words = words_of(command, roots)
    smaller = ["--out", str(tmp_path / "out"), *with_set([*SMALL, *numbers_for(command)])]
    assert main_of("gcvit_edu.train")([*words[words.index("imagenet") :], *smaller]) == 0
    assert (tmp_path / "out" / "final.safetensors").is_file()
