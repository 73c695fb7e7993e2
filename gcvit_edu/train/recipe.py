"""A recipe: a Python file with a config, a model and data; its docstring says what results to expect."""

import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType

from torch import nn

from gcvit_edu.train.batches import Samples
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.variants import VARIANTS

_FOLDER = Path(__file__).parents[1] / "recipes"
# Names of recipes until version 0.2, and their new ones. To be removed in 0.3.
_RENAMED = {"finetune": "folder"}
_RENAMED |= {
    f"imagenet_{size}": f"imagenet --set model={size}" for size in VARIANTS if "_" not in size and size != "nano"
}
_RENAMED |= {f"imagenet_large_{side}": f"imagenet_finetune --set model=large_{side}" for side in (384, 512)}
_PARTS = ("CONFIG", "make_model", "make_data")


@dataclass(frozen=True)
class Recipe:
    """A recipe: the definitions of its file.

    Attributes:
        name: of the file, without .py.
        text: its docstring: expected accuracy, time and hardware.
        config: CONFIG.
        make_model: config -> an untrained model, images (B, 3, H, W) -> logits (B, num_classes).
        make_data: config -> the training set and the validation set.
        complete: config -> the same with values that follow from data or weights, such as num_classes, where they were
            None; a complete config comes back as it is. The loop calls it first. A file may leave it out.
    """

    name: str
    text: str
    config: TrainConfig
    make_model: Callable[[TrainConfig], nn.Module]
    make_data: Callable[[TrainConfig], tuple[Samples, Samples]]
    complete: Callable[[TrainConfig], TrainConfig] = lambda config: config


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("[!_]*.py"))


def list_of_recipes() -> str:
    """The recipes that come with the package, each with the first line of its docstring."""
    width = max(len(name) for name in recipe_names())
    return "\n".join(f"{name:<{width}}  {load_recipe(name).text.splitlines()[0]}" for name in recipe_names())


def about(recipe: Recipe) -> str:
    """A recipe's docstring and its config: changed values, with the defaults in brackets, and its own settings."""
    usual = {field.name: field.default for field in fields(TrainConfig)}
    lines = []
    for field in fields(recipe.config):
        value = getattr(recipe.config, field.name)
        if not field.init:
            lines.append(f"  {field.name}={value!r} follows from {field.metadata['follows from']}")
        elif field.name not in usual:
            lines.append(f"  {field.name}={value!r}")
        elif value != usual[field.name]:
            lines.append(f"  {field.name}={value!r} ({usual[field.name]!r})")
    return "\n".join([recipe.text.strip(), "", "Its config, with the usual values in brackets:", *lines])


def load_recipe(name: str) -> Recipe:
    """A recipe by its name, or by the path of its file.

    It is imported as a module, so that the processes which load pictures can import it, too, however Python starts
    them: a recipe of the package by its place there; a file by its name, after its folder is added to sys.path.

    Raises:
        ValueError: if there is no such recipe, it lacks a part, or its file has the name of another module.
    """
    path = Path(name) if name.endswith(".py") else _FOLDER / f"{name}.py"
    if name in _RENAMED:
        raise ValueError(
            f"since version 0.2 the recipe {name} has another name; write {_RENAMED[name]}, and --out runs/{name} "
            "to go on with a run that began under the old one"
        )
    if not path.is_file():
        near = difflib.get_close_matches(name, recipe_names(), n=3, cutoff=0.4) or recipe_names()
        raise ValueError(f"no recipe is called {name!r}; there are {', '.join(near)}, or give the path of a .py file")
    module = _imported(path)
    missing = [part for part in _PARTS if not hasattr(module, part)]
    if missing or not module.__doc__:
        raise ValueError(
            f"{path} lacks {', '.join(missing) or 'a docstring'}; a recipe has {', '.join(_PARTS)} and both"
        )
    optional = {"complete": module.complete} if hasattr(module, "complete") else {}
    return Recipe(path.stem, module.__doc__, module.CONFIG, module.make_model, module.make_data, **optional)


_IMPORTED: dict[str, tuple[Path, bytes]] = {}  # file and text of each module that was imported by its path


def _imported(path: Path) -> ModuleType:
    """The module of a recipe's file, imported again where the file changed.

    Raises:
        ValueError: if Python finds another module under the file's name.
    """
    path = Path(os.path.abspath(path))  # resolve() would follow links, to a file of another name
    if path.parent == _FOLDER:
        return importlib.import_module(f"gcvit_edu.recipes.{path.stem}")
    name, text = path.stem, path.read_bytes()
    if "." in name:
        raise ValueError(f"{path} cannot be imported, as its name has a dot before .py; rename the file")
    earlier, earlier_text = _IMPORTED.get(name, (path, text))
    if (earlier, earlier_text) != (path, text):
        sys.modules.pop(name, None)
    _make_findable(str(path.parent), before=str(earlier.parent))
    if name in sys.modules:
        found = getattr(sys.modules[name], "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        found = spec.origin if spec else None
    if found is None or not os.path.exists(found) or not path.samefile(found):
        raise ValueError(f"{path} has the name of a module that Python has already, {found or name}; rename the file")
    module = importlib.import_module(name)
    _IMPORTED[name] = path, text
    return module


def _make_findable(folder: str, before: str) -> None:
    """Put a recipe's folder on sys.path, which every process of a data loader gets.

    It goes to the end: a file random.py beside a recipe must not hide Python's own. But it goes before the folder of an
    earlier recipe of the same name.
    """
    importlib.invalidate_caches()  # the file may be newer than Python's list of its folder
    if folder not in sys.path:
        sys.path.append(folder)
    if before in sys.path and sys.path.index(before) < sys.path.index(folder):
        sys.path.remove(folder)
        sys.path.insert(sys.path.index(before), folder)


def make_model(config: TrainConfig) -> nn.Module:
    """The model that a config names: a variant of GC ViT, or "timm/..." for one of timm's, untrained.

    Raises:
        ValueError: for an unknown name.
    """
    from gcvit_edu.zoo import create_model  # brings timm, which takes seconds to import

    if config.model.startswith("timm/"):
        import timm

        name = config.model.removeprefix("timm/")
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), n=3)
            raise ValueError(
                f"timm has no model called {name!r}; "
                + (f"the nearest are {', '.join(near)}" if near else "timm.list_models() has all names")
            )
        options = {} if config.drop_path_rate is None else {"drop_path_rate": config.drop_path_rate}
        return timm.create_model(name, num_classes=config.num_classes, **options)
    return create_model(
        config.model,
        num_classes=config.num_classes,
        image_size=config.image_size,
        drop_path_rate=config.drop_path_rate,
    )
