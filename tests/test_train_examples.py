"""The scripts for clusters: what they start exists, and SIGTERM puts a job back into the queue."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _project import PACKAGE

EXAMPLES = PACKAGE / "train" / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.sh"))


def help_of(*module: str) -> str:
    done = subprocess.run([sys.executable, "-m", *module, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """The options of torchrun and of the training command."""
    return {
        module: set(re.findall(r"--[a-z][a-z-]*", help_of(module)))
        for module in ("torch.distributed.run", "gcvit_edu.train")
    }


def options_of(script: str) -> dict[str, set[str]]:
    """The options that a script gives to each of them."""
    text = "\n".join(line for line in script.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    (launch,) = re.findall(r"python -m torch\.distributed\.run (.*) -m gcvit_edu\.train (.*)", text)
    return {
        module: set(re.findall(r"--[a-z][a-z-]*", part))
        for module, part in zip(("torch.distributed.run", "gcvit_edu.train"), launch, strict=True)
    }


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_bash_with_known_options(path: Path, known: dict[str, set[str]]) -> None:
    subprocess.run(["bash", "-n", path], check=True)
    used = options_of(path.read_text(encoding="utf-8"))
    assert used["gcvit_edu.train"] == {"--resume"}
    assert "\nexport TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1\n" in path.read_text(encoding="utf-8")  # test_train_faults.py
    for module, options in used.items():
        assert options
        assert options <= known[module], module
    for option in re.findall(r"(--(?:set|out))\b", path.read_text(encoding="utf-8")):
        assert option in known["gcvit_edu.train"]


def test_a_wrong_option_is_found() -> None:
    text = "python -m torch.distributed.run --nodes=2 \\\n -m gcvit_edu.train x --resum\n# --resume"
    assert options_of(text) == {"torch.distributed.run": {"--nodes"}, "gcvit_edu.train": {"--resum"}}


def test_the_two_machines_need_an_address() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "FIRST"}
    script = EXAMPLES / "two_machines.sh"
    done = subprocess.run(["bash", script, "nano"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0
    assert "set FIRST to the address" in done.stderr


def queue(folder: Path, run: str) -> dict[str, str]:
    """An environment whose srun and scontrol are stand-ins that write down how they were called."""
    stand_ins = {
        "srun": f'echo "$@" > {folder}/srun.txt\n{run}',
        "scontrol": f'echo "$@" >> {folder}/scontrol.txt\n[ "$1" = show ] && printf "one\\ntwo\\n" || true',
    }
    for name, text in stand_ins.items():
        path = folder / name
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "2",
    }


def test_a_job_of_slurm_that_finishes_is_not_put_back(tmp_path: Path) -> None:
    for code in (0, 3):
        done = subprocess.run(
            ["bash", EXAMPLES / "slurm.sh", "imagenet", "--out", "a b"],
            env=queue(tmp_path, f"exit {code}"),
            check=False,
        )
        assert done.returncode == code
    assert "requeue" not in (tmp_path / "scontrol.txt").read_text()
    called = (tmp_path / "srun.txt").read_text()
    assert "--nnodes=2 --nproc-per-node=8" in called
    assert "--rdzv-endpoint=one:20007 -m gcvit_edu.train imagenet --out a b --resume" in called


@pytest.mark.parametrize(("code", "put_back"), [(1, True), (0, False)])
def test_sigterm_puts_a_job_of_slurm_back_once_it_has_saved(code: int, put_back: bool, tmp_path: Path) -> None:
    """With 0 it was finished just then."""
    run = (
        f"trap 'sleep 0.3; touch {tmp_path}/saved; exit {code}' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    )
    job = subprocess.Popen(["bash", EXAMPLES / "slurm.sh", "imagenet"], env=queue(tmp_path, run))
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "up").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        job.send_signal(signal.SIGTERM)
        assert job.wait(60) == code
    finally:
        job.kill()
    assert (tmp_path / "saved").exists()
    assert ("requeue 7" in (tmp_path / "scontrol.txt").read_text()) == put_back
