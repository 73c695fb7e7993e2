"""The explorer's command line, and its function, which the package names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from _support import enlarge_weights
from safetensors.torch import save_file

from gcvit_edu import create_model
from gcvit_edu.data import emoji_classes, load_photo
from gcvit_edu.explorer.__main__ import main
from gcvit_edu.model import GCViT

IMPORTS = [
    "import gcvit_edu",
    "from gcvit_edu import explore",
    "import gcvit_edu.explorer",
    "import gcvit_edu; gcvit_edu.explore; import gcvit_edu.explorer",
    "from gcvit_edu.explorer import explore; import gcvit_edu; assert gcvit_edu.explore is explore",
]


FRESH = """
for order in ORDERS:
    for name in [name for name in sys.modules if name.split(".")[0] == "gcvit_edu"]:
        del sys.modules[name]
    exec(order, {})
    import gcvit_edu
    print(inspect.isfunction(gcvit_edu.explore) and gcvit_edu.explore.__name__)
"""


def test_the_name_is_the_function_in_every_order_of_imports() -> None:
    source = f"import inspect, sys; ORDERS = {IMPORTS!r}\n{FRESH}"
    done = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, check=False)
    assert done.stdout == "explore\n" * len(IMPORTS), done.stderr


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = create_model("nano", num_classes=5)
    enlarge_weights(model)
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "holiday.png"
    load_photo("cat").crop((0, 0, 150, 100)).save(path)
    return path


def test_the_command_writes_a_page(picture: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    command = [sys.executable, "-W", "error", "-m", "gcvit_edu.explorer", picture, "--out", out, "--weights", weights]
    done = subprocess.run([*command, "--num-classes", "5"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{re.escape(str(out))} has \d+ kB\.\n", done.stdout)
    assert "Where nano looks on holiday.png" in out.read_text(encoding="utf-8")


def test_the_options_of_the_command(picture: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    own = ["--weights", str(weights), "--num-classes", "5", "--classes", *"abcde"]
    assert main([str(picture), "--out", str(out), *own, "--size", "96", "--limit-kb", "200"]) == 0
    text = out.read_text(encoding="utf-8")
    assert '"size":[96,96]' in text
    assert sorted(re.findall(r'\["([a-e])",0\.', text)) == list("abcde")


def test_a_picture_that_the_classes_took_is_missed_in_words(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path / "page.html"), "--classes", "cat", "dog", str(picture)])
    assert (
        f"name the picture before all options, of which --classes took the last, {picture}" in capsys.readouterr().err
    )
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path / "page.html")])
    assert "name the picture" in capsys.readouterr().err


def test_shipped_weights_bring_the_names_of_their_classes(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pretrained(name: str, *, pretrained: bool) -> GCViT:
        assert (name, pretrained) == ("nano", True)
        return create_model("nano", num_classes=13)

    monkeypatch.setitem(main.__globals__, "create_model", pretrained)
    assert main([str(picture), "--out", str(tmp_path / "page.html")]) == 0
    assert any(f'["{name}",' in (tmp_path / "page.html").read_text(encoding="utf-8") for name in emoji_classes())


def test_bad_input_ends_the_command_with_one_line(
    picture: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    out, own = str(tmp_path / "page.html"), ["--weights", str(weights), "--num-classes", "5"]
    for arguments, message in [
        (["nowhere.jpg", "--out", out, *own], "there is no picture nowhere.jpg"),
        ([str(tmp_path / "text.jpg"), "--out", out, *own], "cannot be read as a picture"),
        ([str(picture), "--out", out, *own, "--model", "nono"], "no variant is called 'nono'"),
        ([str(picture), "--out", out, *own, "--model", "xxtiny"], "weights"),
        ([str(picture), "--out", out, "--weights", str(weights)], "num_classes=5"),
        ([str(picture), "--out", out, "--weights", "nowhere.pth"], "no weights at nowhere.pth"),
        ([str(picture), "--out", out, "--num-classes", "5"], "--num-classes 5 is of your own weights"),
        ([str(picture), "--out", out, *own, "--size", "8"], "too small"),
        ([str(picture), "--out", out, *own, "--limit-kb", "1"], "limit_kb"),
        ([str(picture), "--out", str(tmp_path / "no" / "page.html"), *own], "No such file"),
    ]:
        assert main(arguments) == 2, arguments
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: "), arguments
        assert said.err.count("\n") == 1
        assert message in said.err
    assert not Path(out).exists()
