"""Experiments that were stopped go on: lines are kept whole, known ones are found, and mistakes are said early."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gcvit_edu.experiments import failure_modes, query_ablations, training_ladder, vendor_transfer
from gcvit_edu.experiments.results import Results
from gcvit_edu.files import read_lines


def test_lines_are_printed_kept_in_order_and_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lines.jsonl"
    results = Results(file)
    assert results.lines == []
    assert not file.exists()
    results.add({"seed": 1}, {"seed": 0})
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [{"seed": 1}, {"seed": 0}]
    again = Results(file)
    again.add({"seed": 2})
    assert again.lines == read_lines(file) == [{"seed": 1}, {"seed": 0}, {"seed": 2}]


def test_a_line_is_found_by_all_that_is_asked_of_it(tmp_path: Path) -> None:
    results = Results(tmp_path / "lines.jsonl")
    results.lines = [{"seed": 0, "epochs": 3}, {"seed": 1, "epochs": 4, "rate": None}]
    assert results.has(seed=0, epochs=3)
    assert not results.has(seed=0, epochs=4)  # each is in a line, and not in the same one
    assert results.has(seed=1, rate=None)
    assert not results.has(seed=0, rate=None)  # the line does not say


def test_a_last_line_that_was_cut_short_is_left_out_and_a_bad_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text('{"seed": 0}\n{"se', encoding="utf-8")
    assert Results(file).lines == [{"seed": 0}]
    file.write_text('{"seed": 0}\n{"se\n{"seed": 1}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2 of \S*lines\.jsonl is no JSON: .*; is this the right file\?"):
        Results(file)


def test_a_write_that_fails_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path / "lines.jsonl")
    results.add({"seed": 0})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write \S*lines\.jsonl.*an experiment by the same command"):
        results.add({"seed": 1})
    assert read_lines(tmp_path / "lines.jsonl") == [{"seed": 0}]
    assert [path.name for path in tmp_path.iterdir()] == ["lines.jsonl"]


@pytest.mark.parametrize(
    ("main", "options"),
    [
        (training_ladder.main, []),
        (failure_modes.main, []),
        (query_ablations.main, ["--device", "cpu"]),
        (vendor_transfer.main, ["--weights", "emoji_nano", "--device", "cpu"]),
    ],
)
def test_a_missing_folder_is_refused_before_anything_runs(
    main: Callable[[list[str]], None], options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        pytest.fail("an experiment began, whose result could not be written")

    for module, name in (
        (training_ladder, "train_rung"),
        (failure_modes, "run_case"),
        (query_ablations, "ablate"),
        (vendor_transfer, "adapt"),
    ):
        monkeypatch.setattr(module, name, run)
    with pytest.raises(
        FileNotFoundError, match=r"runs is no folder to write new\.jsonl into; make it, or change --out"
    ):
        main(["--out", str(tmp_path / "runs" / "new.jsonl"), *options])


def test_a_file_of_this_folder_needs_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Results(Path("lines.jsonl")).add({"seed": 0})
    assert read_lines(tmp_path / "lines.jsonl") == [{"seed": 0}]
