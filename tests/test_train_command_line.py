"""The command line of training: a setting after each --set, one name for the folder, --list and --about."""

import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from _project import BOOK, PACKAGE, ROOT, read_notebook
from _train import RECIPE, command, longer_recipe

from gcvit_edu.bench.training import main as throughput
from gcvit_edu.train import changed, load_recipe, recipe_names
from gcvit_edu.train.__main__ import BAD_INPUT, command_line, main
from gcvit_edu.train.arguments import parse
from gcvit_edu.train.config import differences, with_data

READS_A_FOLDER = [name for name in recipe_names() if not name.endswith("_nano")]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What is said in one line, by argparse or by the command."""
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    assert code == BAD_INPUT
    return capsys.readouterr().err.strip().splitlines()[-1]


# -------------------------------------------------------------------------------------------------------- settings


def test_settings_may_stand_anywhere() -> None:
    for words in ("--set lr=1 x --set epochs=2", "x --set lr=1 --set epochs=2", "--set lr=1 --set epochs=2 x"):
        found = parse(command_line(), words.split())
        assert (found.recipe, found.settings) == ("x", ["lr=1", "epochs=2"])


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("emoji_nano --set lr=1 epochs=2", "write --set epochs=2"),
        ("--set lr=1 epochs=2 emoji_nano", "write --set epochs=2"),
        ("emoji_nano epochs=2", "write --set epochs=2"),
        ("emoji_nano --resume epochs=2", "write --set epochs=2"),
        ("""emoji_nano --set lr=1 'vendors=["google"]'""", """write --set 'vendors=["google"]'"""),
        ("emoji_nano --set lr", "write --set key=value"),
        ("emoji_nano --sett lr=1", "unrecognized arguments: --sett"),
    ],
)
def test_a_setting_without_its_own_set_is_refused_with_the_remedy(
    words: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remedy in refused(shlex.split(words), capsys)


def test_throughput_takes_settings_alike(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        throughput(["--set", "model=nano", "batch_size=2"])
    assert "write --set batch_size=2" in capsys.readouterr().err


def test_every_printed_command_is_understood() -> None:
    """In README, chapters, recipes, examples and beside the stored runs; the chapters' own tests run some of them."""
    files = [ROOT / "README.md", ROOT / "data" / "runs" / "README.md", *PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.sh")]
    texts = [path.read_text(encoding="utf-8") for path in files]
    texts += [cell.source for path in sorted(BOOK.glob("*.ipynb")) for cell in read_notebook(path).cells]
    lines = [line for text in texts for line in re.sub(r"\\\n[# ]*", "", text).splitlines()]
    pattern = r"(?:gcvit_edu\.train|slurm\.sh|two_machines\.sh) ((?:\w+_\w+|folder|imagenet\w*)(?: [^`|#]+)?)"
    found = [match for line in lines for match in re.findall(pattern, line)]
    assert len(found) > 30
    for text in found:
        words = shlex.split(text.split("\\n")[0].split('"')[0] if text.count('"') % 2 else text)
        options = parse(command_line(), words)
        config = changed(load_recipe(options.recipe).config, options.settings)
        if options.data:
            with_data(config, options.data)


# ---------------------------------------------------------------------------------------------------------- folder


@pytest.mark.parametrize("name", READS_A_FOLDER)
def test_one_key_for_the_folder(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_recipe(name).config
    assert with_data(config, "2024").data == "2024"  # a name, not a number
    assert changed(config, ["data=here"]).data == "here"
    gone = tmp_path / "gone"
    assert str(gone) in refused([name, "--data", str(gone), "--out", str(tmp_path / "out")], capsys)
    assert "root is now called data; write data=here" in refused([name, "--set", "root=here"], capsys)
    for arguments in (["--data", ""], ["--set", "data="]):
        assert "folder" in refused([name, *arguments, "--out", str(tmp_path / "out")], capsys)


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - set(READS_A_FOLDER)))
def test_a_recipe_without_a_folder_refuses_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "it reads no folder; leave --data out" in refused([name, "--data", "here"], capsys)
    assert "no key 'root'" in refused([name, "--set", "root=here"], capsys)


def test_a_recipe_of_ones_own_may_call_its_folder_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = '@dataclass(frozen=True)\nclass Own(TrainConfig):\n    root: str = ""\n\nCONFIG = Own(num_classes=3)\n'
    path = longer_recipe(tmp_path, code)
    assert changed(load_recipe(str(path)).config, ["root=there"]).root == "there"
    assert "write --set root=here" in refused([str(path), "--data", "here"], capsys)


def test_a_checkpoint_from_before_is_of_the_same_run() -> None:
    now = replace(load_recipe("folder").config, data="here")
    before = {("root" if key == "data" else key): value for key, value in asdict(now).items()}
    assert differences(before, asdict(now)) == []
    assert differences({"root": "here"}, {"root": "here"}) == []  # a recipe's own key


# --------------------------------------------------------------------------------------------------- list and about


def test_without_a_recipe_the_list_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--list prints" in refused([], capsys)
    assert "--list prints" in refused(["--resume"], capsys)


def test_list_has_a_line_for_each_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    for line in lines:
        name, text = line.split(maxsplit=1)
        assert load_recipe(name).text.startswith(text)


def test_about_prints_the_docstring_and_what_is_special(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--about", "imagenette"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(load_recipe("imagenette").text)
    for line in ("epochs", "batch_size", "flip", "seed"):  # as everywhere
        assert f"  {line}=" not in said
    for line in ("num_classes=10 (1000)", "data='imagenette2'", "lr=0.000125 follows from base_lr and batch_size"):
        assert f"  {line}\n" in said


def test_about_takes_a_file_and_refuses_what_is_no_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--about", str(RECIPE)]) == 0
    assert "  lr=0.003 (0.001)\n" in capsys.readouterr().out
    assert "there are emoji_nano" in refused(["--about", "emoji_nan"], capsys)
    (tmp_path / "mute.py").write_text("CONFIG = make_model = make_data = None\n")
    assert "lacks a docstring" in refused(["--about", str(tmp_path / "mute.py")], capsys)
    assert command(tmp_path, ["a=1", "b=2"])[-4:] == ["--set", "a=1", "--set", "b=2"]
