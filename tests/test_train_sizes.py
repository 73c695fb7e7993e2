"""Sizes: what thin windows asked before and ask now, the file of the measurement, and the command."""

import json
from pathlib import Path

import pytest
import torch
from _support import error_of, images, small_model

from gcvit_edu.experiments import input_sizes as module
from gcvit_edu.experiments.input_sizes import (
    REACH_SIZES,
    SIZES,
    WAYS,
    accuracy_at,
    first_cells,
    main,
    read_sizes,
    tokens_that_notice,
)


def test_the_bug_is_there_within_the_context_alone_and_only_where_windows_are_thin() -> None:
    model = small_model()
    with torch.no_grad():
        for size, moves in (((64, 64), False), ((50, 70), True)):
            x = images(2, *size)
            now = model(x)
            with first_cells():
                assert (error_of(model(x), now) > 1e-3) == moves
            assert model(x).equal(now)
        with pytest.raises(ZeroDivisionError), first_cells():
            raise ZeroDivisionError
        assert model(x).equal(now)


def test_the_files_lines_are_all_there_and_what_is_measured_now() -> None:
    found = {(line["kind"], line["way"], line["size"]): line for line in read_sizes()}
    assert set(found) == {("reach", way, size) for way in WAYS[:2] for size in REACH_SIZES} | {
        ("accuracy", way, size) for way in WAYS for size in SIZES
    }
    for way in WAYS[:2]:
        assert found["reach", way, 240] == tokens_that_notice(way, 240)
    # All but the last token, which is alone in its window.
    assert [found["reach", "pooled", size]["noticed"] for size in REACH_SIZES] == [196, 224, 256]
    for size in (64, 128):  # all windows are whole
        assert found["accuracy", "pooled", size]["right"] == found["accuracy", "first cells", size]["right"]
    assert abs(accuracy_at("pooled", 72)["right"] - found["accuracy", "pooled", 72]["right"]) <= 2  # rounding


def test_the_command_measures_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure(kind: str, way: str, size: int) -> dict[str, object]:
        asked.append((kind, way, size))
        return {"kind": kind, "way": way, "size": size}

    monkeypatch.setattr(module, "accuracy_at", lambda way, size: measure("accuracy", way, size))
    monkeypatch.setattr(module, "tokens_that_notice", lambda way, size: measure("reach", way, size))
    path = tmp_path / "sizes.jsonl"
    path.write_text(json.dumps({"kind": "reach", "way": "pooled", "size": 240}) + "\n", encoding="utf-8")
    main(["--out", str(path)])
    assert len(asked) == len(set(asked)) == 5 + 21
    assert len(read_sizes(path)) == 6 + 21
    main(["--out", str(path)])
    assert len(asked) == 26
