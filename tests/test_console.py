"""Commands print any file name, and end at Ctrl-C with a line."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from _train import RECIPE, final_state, with_set
from PIL import Image

from gcvit_edu.console import INTERRUPTED, printable, run_command
from gcvit_edu.files import read_log
from gcvit_edu.train.log import Log, has_begun

LATIN = os.fsdecode(b"caf\xe9.png")  # bytes that are no UTF-8


def test_what_an_encoding_lacks_is_escaped() -> None:
    assert printable("café 漢", "latin-1") == "café \\u6f22"
    assert printable("café", "ascii") == "caf\\xe9"
    assert printable(LATIN) == "caf\\udce9.png"
    assert printable("café 漢") == "café 漢"


def test_a_log_shows_what_its_stream_cannot_encode_and_can_be_read(tmp_path: Path) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with Log(tmp_path, 1, stream=shown) as log:
        log.info(f"left out {LATIN} and 漢.png")
        log.write("start", 0, {"notes": [LATIN, "漢.png"]})
    shown.seek(0)
    assert shown.read() == "left out caf\\udce9.png and \\u6f22.png\n"
    assert read_log(tmp_path)[0]["notes"] == [LATIN, "漢.png"]


def test_ctrl_c_is_a_line_and_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert run_command(interrupted) == INTERRUPTED == 130
    assert capsys.readouterr().err == "interrupted by Ctrl-C\n"
    assert run_command(lambda: 7) == 7


def test_a_command_prints_what_its_terminal_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    assert run_command(lambda: print("漢", LATIN)) is None
    shown.seek(0)
    assert shown.read() == "\\u6f22 caf\\udce9.png\n"
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # as a notebook's: it cannot be changed, and need not
    assert run_command(lambda: 0) == 0


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_terminal_that_lacks_the_letters_of_a_file_name(encoding: str, tmp_path: Path) -> None:
    """A picture that is left out, called in Chinese, on a Latin-1 terminal; and bytes that are no text anywhere."""
    for part in ("train", "val"):
        for name in ("ä", "漢"):
            (tmp_path / "pictures" / part / name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (32, 32)).save(tmp_path / "pictures" / part / name / f"{number}.png")
    (tmp_path / "pictures" / "train" / "漢" / LATIN).write_bytes(b"spoilt")
    settings = ["epochs=1", "warmup_epochs=0", "batch_size=4", "image_size=32", "bad_images=skip", "device=cpu"]
    arguments = ["folder", "--data", str(tmp_path / "pictures"), "--out", str(tmp_path / "out"), *with_set(settings)]
    done = subprocess.run(
        [sys.executable, "-m", "gcvit_edu.train", *arguments],
        env={**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"caf\\udce9.png" in done.stdout
    assert ("漢" if encoding == "utf-8" else "\\u6f22").encode(encoding) in done.stdout
    assert final_state(tmp_path / "out")["identity"]["classes"] == ["ä", "漢"]
    assert any("caf\\udce9.png" in note for note in read_log(tmp_path / "out")[0]["notes"])


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ("", False),
        ('{"event": "start", "step": 0}\n', False),
        ('{"event": "step", "step": 1}\n', True),
        ("x\ny\n", True),
    ],
)
def test_a_log_of_a_run_that_came_to_nothing_refuses_no_start(text: str, begun: bool, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    assert has_begun(tmp_path / "log.jsonl") == begun
    assert not has_begun(tmp_path / "none")
    assert RECIPE.exists()
