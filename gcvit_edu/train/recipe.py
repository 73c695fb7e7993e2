"""A recipe: a Python file with a config, a model and data; its docstring says what to expect."""

import difflib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import nn

from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.samples import Samples

_FOLDER = Path(__file__).parent / "recipes"
_PARTS = ("CONFIG", "make_model", "make_data")


@dataclass(frozen=True)
class Recipe:
    """What a recipe's file defines.

    Args:
        name: of the file, without .py.
        text: its docstring: expected accuracy, time and hardware.
        config: CONFIG.
        make_model: config -> an untrained model, images (B, 3, H, W) -> logits (B, num_classes).
        make_data: config -> the training set and the validation set.
        complete: config -> the same with what follows from data or weights, such as num_classes, where it was None;
            a whole config comes back as it is. The loop calls it first. A file may leave it out.
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


def load_recipe(name: str) -> Recipe:
    """A recipe by its name, or by the path of its file.

    Raises:
        ValueError: if there is no such recipe, or it lacks a part.
    """
    path = Path(name) if name.endswith(".py") else _FOLDER / f"{name}.py"
    if not path.is_file():
        near = difflib.get_close_matches(name, recipe_names(), n=3, cutoff=0.4) or recipe_names()
        raise ValueError(f"no recipe is called {name!r}; there are {', '.join(near)}, or give the path of a .py file")
    module = _run(path)
    missing = [part for part in _PARTS if not hasattr(module, part)]
    if missing or not module.__doc__:
        raise ValueError(
            f"{path} lacks {', '.join(missing) or 'a docstring'}; a recipe has {', '.join(_PARTS)} and both"
        )
    optional = {"complete": module.complete} if hasattr(module, "complete") else {}
    return Recipe(path.stem, module.__doc__, module.CONFIG, module.make_model, module.make_data, **optional)


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gcvit_edu_recipe_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for the types of a config
    spec.loader.exec_module(module)
    return module


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
