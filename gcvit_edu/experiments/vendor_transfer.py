"""Fine-tuning measured on the emoji, a new vendor's drawings: python -m gcvit_edu.experiments vendor_transfer --help.

The weights come from two vendors' drawings of the training emoji:

    python -m gcvit_edu.train emoji_nano --set 'vendors=["google","twitter"]' --set epochs=100 --out RUN
    python -m gcvit_edu.experiments vendor_transfer --weights RUN/final.safetensors --out FILE

They are adapted to Fluent's drawings of the training emoji, and evaluated on the held-out emoji, of which they have
seen no drawing: on Fluent's drawings for what was learned, on the two old vendors' for what was forgotten. Fluent has
no flags, so the old vendors' flags are counted apart.

The learning rate of each method is chosen with one seed, on training emoji alone; the reported runs have three seeds.
Together these are 52 runs of 30 epochs. One epoch of the method "all" took some 6 seconds of one CPU core: on a CPU,
begin with --only.
"""

import argparse
import hashlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Subset

from gcvit_edu.data.emoji import Emoji, emoji_classes, emoji_vendors
from gcvit_edu.experiments.results import Results
from gcvit_edu.files import data_folder, read_lines
from gcvit_edu.recipes.emoji_nano import CONFIG, EmojiConfig, augmented, on_white
from gcvit_edu.train.batches import validation_batches
from gcvit_edu.train.config import replaced
from gcvit_edu.train.distributed import start
from gcvit_edu.train.loop import train
from gcvit_edu.train.metrics import evaluate
from gcvit_edu.train.recipe import Recipe
from gcvit_edu.train.recipe import make_model as make_named_model
from gcvit_edu.weights import TIMM_VARIANTS, load_weights, shipped_weights
from gcvit_edu.zoo import create_model, freeze_all_but_head

TARGET = "fluent"  # Microsoft's, in data/emoji
NO_TARGET = "flag"  # a class that the target has no drawing of


@dataclass(frozen=True)
class Method:
    """A way from the weights to a network for the new drawings.

    Attributes:
        trained: whether anything is trained at all.
        pretrained: start from the weights, and not at random.
        layers: "all", or "head" for the head alone.
        layer_decay: as in TrainConfig.
        image_size: in pixels. The drawings have 64: at any other size they are resized, and show nothing more.
    """

    trained: bool = True
    pretrained: bool = True
    layers: str = "all"
    layer_decay: float = 1.0
    image_size: int = 64


METHODS = {
    "none": Method(trained=False),
    "none_96": Method(trained=False, image_size=96),
    "head": Method(layers="head"),
    "all": Method(),
    "decay": Method(layer_decay=0.75),
    "all_96": Method(image_size=96),
    "scratch": Method(pretrained=False),
}
FEWER = (20, 5)  # drawings of each class; otherwise all are trained on
TRAINED_ON_FEWER = ("head", "all")  # the methods
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
TUNING_SEED = 0
TUNED_ON = 5  # of this many training emoji, one is held out to compare rates
SETTINGS = {  # the same for all methods; milder than emoji_nano's own, which are for 200 epochs
    "vendors": (TARGET,),
    "batch_size": 64,
    "weight_decay": 0.05,
    "lr_last": 0.0,
    "lr_first": 0.0,
    "drop_path_rate": 0.1,
    "mix_prob": 0.0,
    "crop_scale": (0.6, 1.0),
    "randaugment_ops": 1,
    "ema_decay": 0.99,
    "snapshot_epochs": (),
}


def adapt(
    method: str,
    weights: str | Path,
    *,
    seed: int = 0,
    epochs: int = 30,
    drawings: int | None = None,
    rate: float = 1e-3,
    tuning: bool = False,
    device: str = "auto",
    workers: int = 0,
) -> dict[str, Any]:
    """Adapt a nano to the target's drawings -> its scores on emoji that it never saw.

    An epoch has as many drawings as the target: with fewer, each comes several times, augmented differently each time.
    So the number of drawings does not change the number of steps.

    Args:
        method: one of METHODS. Those that train nothing read only weights, device and workers.
        weights: of a nano with the 13 classes that saw no held-out emoji and none of the target's drawings.
        seed: of the choice of drawings, their order and augmentation, and of new weights. For one seed, fewer
            drawings are a part of more.
        epochs: to train for.
        drawings: of each class, to train on; None for all.
        rate: peak learning rate.
        tuning: train on four fifths of the training emoji and evaluate on the rest, to choose a rate.
        device: as in TrainConfig.
        workers: as in TrainConfig.

    Returns:
        A line of the file: method; weights: their fingerprint; seed, epochs, drawings, rate and tuning
        as given (None where nothing is trained); target: top-1 accuracy on the target's drawings; old and flags: on
        the old vendors', without flags and on flags alone, both None when tuning; device: its name.

    Raises:
        ValueError: for an unknown method, drawings below 1, and weights that are not of such a nano.
        FileNotFoundError: if there is no such file and no such name.
        InterruptedError: if SIGTERM stopped it.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    if drawings is not None and drawings < 1:
        raise ValueError(f"drawings={drawings} must be 1 or more of each class, or None for all")
    how = METHODS[method]
    config = replaced(
        CONFIG,
        SETTINGS
        | {"seed": seed, "epochs": epochs, "eval_every": epochs, "warmup_epochs": epochs / 10, "lr": rate}
        | {"image_size": how.image_size, "layer_decay": how.layer_decay, "device": device, "workers": workers}
        | ({"drop_path_rate": 0.0} if how.layers == "head" else {}),
    )

    def make_model(config: EmojiConfig) -> nn.Module:
        if not how.pretrained:
            return make_named_model(config)
        size, drop = config.image_size, config.drop_path_rate
        model = create_model(config.model, pretrained=weights, image_size=size, drop_path_rate=drop)
        if model.num_classes != config.num_classes:
            raise ValueError(
                f"weights={str(weights)!r} have {model.num_classes} classes, not the emoji's {config.num_classes}; "
                "give those of a run of emoji_nano"
            )
        return freeze_all_but_head(model) if how.layers == "head" else model

    training, unseen = _drawings_of_target(seed, drawings, tuning=tuning)
    if how.trained:
        recipe = Recipe("transfer", "", config, make_model, lambda c: (augmented(training, c), on_white(unseen, c)))
        model = _trained(recipe)
    else:
        model = make_model(config)
    sets = {"target": unseen} | ({} if tuning else _drawings_of_others())
    place = start(device)
    model.to(place.device)
    scores: dict[str, float | None] = {"old": None, "flags": None}
    for name, pictures in sets.items():
        batches = validation_batches(on_white(pictures, config), config, place)
        scores[name] = round(evaluate(model, batches, config.num_classes, place).top1, 4)
    asked = {"seed": seed, "epochs": epochs, "drawings": drawings, "rate": rate, "tuning": tuning}
    asked = asked if how.trained else dict.fromkeys(asked)
    name = torch.cuda.get_device_name() if place.device.type == "cuda" else "CPU"
    return {"method": method, "weights": fingerprint(weights), **asked, **scores, "device": name}


def _trained(recipe: Recipe) -> nn.Module:
    """The model at the end of a run that leaves nothing behind; its progress goes to stderr."""
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(sys.stderr):
            finished = train(recipe, recipe.config, Path(folder))
        if not finished:
            raise InterruptedError("stopped by SIGTERM; the same command does the runs that are not in its file yet")
        model = recipe.make_model(recipe.config)
        load_weights(model, Path(folder) / "final.safetensors")
    return model


def _drawings_of_target(seed: int, drawings: int | None, *, tuning: bool) -> tuple[Subset, Subset]:
    """The target's drawings to train on, in a list as long as all of them, and those to evaluate on."""
    emoji, held_out = Emoji("train", vendors=(TARGET,)), Emoji("test", vendors=(TARGET,))
    order = list(range(len(emoji)))
    random.Random(seed).shuffle(order)
    unseen = Subset(held_out, range(len(held_out)))
    if tuning:
        unseen, order = Subset(emoji, order[::TUNED_ON]), [at for place, at in enumerate(order) if place % TUNED_ON]
    chosen, taken = [], Counter()
    for at in order:
        label = emoji.drawings[at].label
        taken[label] += 1
        if drawings is None or taken[label] <= drawings:
            chosen.append(at)
    return Subset(emoji, list(islice(cycle(chosen), len(order)))), unseen


def _drawings_of_others() -> dict[str, Subset]:
    """The old vendors' drawings of the held-out emoji: of classes that the target has, and of the one it lacks."""
    emoji = Emoji("test", vendors=[vendor for vendor in emoji_vendors() if vendor != TARGET])
    lacking = emoji_classes().index(NO_TARGET)
    return {
        name: Subset(emoji, [at for at, one in enumerate(emoji.drawings) if (one.label == lacking) == flags])
        for name, flags in (("old", False), ("flags", True))
    }


def fingerprint(weights: str | Path) -> str:
    """The name of weights in a line: their own if they have one, else 12 digits of the file's SHA-256.

    Raises:
        FileNotFoundError: if there is no such file and no such name.
    """
    if weights in (*shipped_weights(), *TIMM_VARIANTS):
        return str(weights)
    if not Path(weights).is_file():
        raise FileNotFoundError(f"no weights at {weights}; give the file of a nano, such as RUN/final.safetensors")
    return hashlib.sha256(Path(weights).read_bytes()).hexdigest()[:12]


def best_rate(lines: Sequence[dict[str, Any]], method: str, epochs: int) -> float:
    """The rate whose tuning run of a method has the highest accuracy; of several that are equal, the middle one.

    Args:
        lines: of the file, tuning runs and others.
        method: one of METHODS.
        epochs: as the tuning runs had.

    Raises:
        ValueError: if there is no such run.
    """
    of_method = [line for line in lines if line["tuning"] and (line["method"], line["epochs"]) == (method, epochs)]
    if not of_method:
        raise ValueError(f"no tuning run of method {method!r} with epochs={epochs}; main makes them first")
    highest = max(line["target"] for line in of_method)
    equal = sorted(line["rate"] for line in of_method if line["target"] == highest)
    return equal[(len(equal) - 1) // 2]


def read_transfer(path: Path | None = None) -> list[dict[str, Any]]:
    """The lines of a file that main wrote; None reads the one in data/runs."""
    return read_lines(path or data_folder("runs") / "transfer.jsonl")


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune the rate of each method, then run all seeds; runs of these weights that the file has are not repeated."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.experiments vendor_transfer", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--weights", required=True, help="file of a nano that never saw the target's drawings")
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines, one for each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--only", nargs="+", choices=METHODS, metavar="METHOD", help=f"some of {', '.join(METHODS)}")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--workers", type=int, default=0, help="processes that load drawings")
    options = parser.parse_args(arguments)
    results, own = Results(options.out), fingerprint(options.weights)

    def run(method: str, **asked: Any) -> None:
        if not results.has(method=method, weights=own, **asked):
            results.add(adapt(method, options.weights, **asked, device=options.device, workers=options.workers))

    methods, epochs = options.only or list(METHODS), options.epochs
    trained = [method for method in methods if METHODS[method].trained]
    for method in methods:
        if method not in trained:
            run(method)
    for method, rate in product(trained, RATES):
        run(method, seed=TUNING_SEED, epochs=epochs, drawings=None, rate=rate, tuning=True)
    for drawings, seed, method in product((None, *FEWER), range(options.seeds), trained):
        if drawings is None or method in TRAINED_ON_FEWER:
            of_weights = [line for line in results.lines if line.get("weights") == own]
            rate = best_rate(of_weights, method, epochs)
            run(method, seed=seed, epochs=epochs, drawings=drawings, rate=rate, tuning=False)
