"""A recipe is a module: its data sets can be sent to other processes, and a name means one file."""

import pickle
import sys
from pathlib import Path

import pytest
from _imagenet import make_tree
from _train import RECIPE, command

from gcvit_edu.train import changed, load_recipe, recipe_names
from gcvit_edu.train.__main__ import BAD_INPUT, main

SHORT = ["epochs=1", "warmup_epochs=0"]


def test_the_data_sets_of_all_recipes_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, classes=2, train=8, val=8)
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.make_data.__module__.startswith("gcvit_edu.recipes")
        reads = hasattr(recipe.config, "data")
        settings = [f"data={tree}", "num_classes=2", "image_size=64"] if reads else []
        for more in [[], ["bad_images=skip"]] if reads else [[]]:
            for samples in recipe.make_data(changed(recipe.config, [*settings, *more])):
                copy = pickle.loads(pickle.dumps(samples))
                assert (copy[1][0] == samples[1][0]).all(), name


def recipe_called(name: str, folder: Path, text: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(RECIPE.read_text() + text)
    return path


def test_a_shipped_recipe_is_a_module_of_the_package_by_its_path_as_well() -> None:
    found = load_recipe("emoji_nano")
    path = Path(sys.modules["gcvit_edu.recipes.emoji_nano"].__file__)
    assert load_recipe(str(path)).make_data is found.make_data
    assert type(found.config).__module__ == "gcvit_edu.recipes.emoji_nano"


def test_a_copy_of_a_shipped_recipe_keeps_its_name(tmp_path: Path) -> None:
    copy = recipe_called("emoji_nano", tmp_path)
    assert load_recipe(str(copy)).config.num_classes == 3
    assert load_recipe("emoji_nano").config.num_classes == 13
    assert load_recipe(str(copy)).make_data.__module__ == "emoji_nano"


def test_of_two_recipes_of_one_name_each_is_found(tmp_path: Path) -> None:
    paths = [recipe_called("twice_there", tmp_path / part, f"\nPART = {part!r}\n") for part in ("a", "b")]
    for path in [*paths, paths[0]]:
        module = sys.modules[load_recipe(str(path)).make_data.__module__]
        assert path.parent.name == module.PART


def test_a_recipe_that_did_not_change_is_the_same_module_and_one_that_did_is_read_again(tmp_path: Path) -> None:
    path = recipe_called("edited", tmp_path)
    first = load_recipe(str(path))
    pickle.loads(pickle.dumps(first.make_data(first.config)[0]))
    assert load_recipe(str(path)).make_data is first.make_data
    recipe_called("edited", tmp_path, "\n\nCONFIG = TrainConfig(num_classes=3, epochs=77)\n")
    assert load_recipe(str(path)).config.epochs == 77


@pytest.mark.parametrize("name", ["random", "sys", "this", "torch", "__main__", "pytest"])
def test_a_file_with_the_name_of_another_module_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sys.modules.get(name)
    path = recipe_called(name, tmp_path)
    assert main(command(tmp_path / "out", SHORT, recipe=path)) == BAD_INPUT
    said = capsys.readouterr().err
    assert f"{path} has the name of a module" in said
    assert "rename the file" in said
    assert sys.modules.get(name) is before


def test_a_dot_in_a_files_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recipe_called("mine.v2", tmp_path)
    assert main(command(tmp_path / "out", SHORT, recipe=path)) == BAD_INPUT
    assert "dot before .py; rename the file" in capsys.readouterr().err
    assert load_recipe(str(recipe_called("mine-2", tmp_path))).name == "mine-2"
