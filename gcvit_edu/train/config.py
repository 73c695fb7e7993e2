"""The numbers that define one training run."""

import ast
import difflib
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args, get_origin, get_type_hints

# The machine of a run, and how it is watched: these may change when it is resumed, everything else may not.
WATCHING = ("save_every", "log_every", "tensorboard", "eval_every", "snapshot_epochs")
FREE_TO_CHANGE = ("device", "workers", *WATCHING)
CONTENT = ("data", "weights")  # paths whose content must be the same (gcvit_edu.train.identity)

RENAMED = {"root": "data"}  # keys of older recipes and checkpoints -> their present names
ADDED = {"weights": "", "layers": "all", "val_share": 0.2}  # to the recipe folder, by version 0.2


@dataclass(frozen=True)
class TrainConfig:
    """One training run as data. A recipe may inherit from it to add numbers of its own.

    Attributes:
        model: a variant's name (gcvit_edu.list_models()), or "timm/" and the name of a model of timm.
        num_classes: outputs of the head; the data set must have as many classes.
        image_size: side of the square training image, in pixels.
        drop_path_rate: stochastic depth of the last block; None keeps the variant's own.
        epochs: passes over the training pictures.
        batch_size: pictures in one step of the optimiser, over all processes.
        accumulate: parts that each process cuts its share of a batch into, to save memory.
        lr: peak learning rate.
        lr_first: learning rate of the first step.
        lr_last: learning rate of the last step.
        warmup_epochs: epochs of linear growth from lr_first to lr, part of epochs.
        weight_decay: AdamW's; biases, norms, bias tables and layer scales are exempt.
        layer_decay: factor on the learning rate for each layer between the head and a weight
            (optim.layer_depths); 1 for one rate everywhere.
        betas: AdamW's.
        clip_norm: largest norm of all gradients together; 0 for no clipping.
        label_smoothing: share of the target that is spread evenly over all classes.
        mixup: alpha of mixup's beta distribution; 0 for none.
        cutmix: alpha of cutmix's; 0 for none. With both, each batch takes one, with equal chances.
        mix_prob: probability that a batch is mixed at all.
        crop_scale: smallest and largest area of a random crop, as a share of the picture.
        flip: probability of a horizontal flip.
        randaugment_ops: operations that RandAugment applies to a picture; 0 for none.
        randaugment_magnitude: their strength, from 0 to 30.
        erasing: probability that random erasing covers a rectangle.
        ema_decay: decay of the moving average of the weights, reached gradually; 0 for none.
        amp: compute in bfloat16 where it is safe (autocast).
        channels_last: keep images and convolution weights channels last in memory.
        compile: run the model through torch.compile.
        grad_checkpointing: recompute blocks in the backward pass instead of storing their activations.
        device: "auto" (CUDA where there is a GPU), "cpu" or "cuda".
        seed: everything random follows from it; below 2**32.
        workers: processes that load pictures, for each training process; 0 loads in the training process.
        bad_images: "raise" stops at the first picture that cannot be read, "skip" leaves such pictures out.
        eval_every: epochs between validations; the last epoch is always validated.
        save_every: steps between checkpoints, besides the one at the end of each epoch; 0 for none.
        log_every: steps between lines of the log.
        snapshot_epochs: epochs after which the weights are kept, for looking back; 0 is before the first step.
            Those beyond the last epoch are never reached.
        tensorboard: write TensorBoard's files as well.

    Raises:
        ValueError: for a value of the wrong type or out of its range.
    """

    model: str = "nano"
    num_classes: int = 1000
    image_size: int = 64
    drop_path_rate: float | None = None
    epochs: int = 100
    batch_size: int = 128
    accumulate: int = 1
    lr: float = 1e-3
    lr_first: float = 1e-6
    lr_last: float = 5e-6
    warmup_epochs: float = 5.0
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 5.0
    label_smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_prob: float = 1.0
    crop_scale: tuple[float, float] = (0.3, 1.0)
    flip: float = 0.5
    randaugment_ops: int = 0
    randaugment_magnitude: int = 9
    erasing: float = 0.0
    ema_decay: float = 0.0
    amp: bool = False
    channels_last: bool = True
    compile: bool = False
    grad_checkpointing: bool = False
    device: str = "auto"
    seed: int = 0
    workers: int = 0
    bad_images: str = "raise"
    eval_every: int = 1
    save_every: int = 0
    log_every: int = 10
    snapshot_epochs: tuple[int, ...] = ()
    tensorboard: bool = False

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            object.__setattr__(self, field.name, _fitting(field.name, getattr(self, field.name), hints[field.name]))
        for name in ("num_classes", "image_size", "epochs", "batch_size", "accumulate", "eval_every", "log_every"):
            value = getattr(self, name)  # a recipe's own config may leave one to its data or weights, as None
            self._require(name, value is None or value >= 1, "be at least 1")
        for name in ("weight_decay", "clip_norm", "mixup", "cutmix", "lr_first", "lr_last", "warmup_epochs"):
            self._require(name, getattr(self, name) >= 0, "not be negative")
        for name in ("seed", "workers", "save_every", "randaugment_ops"):
            self._require(name, getattr(self, name) >= 0, "not be negative")
        for name in ("mix_prob", "flip", "erasing"):
            self._require(name, 0 <= getattr(self, name) <= 1, "be a probability, from 0 to 1")
        for name in ("label_smoothing", "ema_decay"):
            self._require(name, 0 <= getattr(self, name) < 1, "be at least 0 and below 1")
        rate = self.drop_path_rate
        self._require("drop_path_rate", rate is None or 0 <= rate < 1, "be at least 0 and below 1, or None")
        self._require("betas", all(0 <= beta < 1 for beta in self.betas), "be two numbers from 0 to below 1")
        decay = self.layer_decay
        self._require("layer_decay", decay is None or 0 < decay <= 1, "be above 0 and at most 1; 1 is for no decay")
        small, large = self.crop_scale
        self._require("crop_scale", 0 < small <= large <= 1, "grow, between 0 and 1")
        self._require("lr", self.lr > 0, "be positive")
        self._require("lr_last", self.lr_last <= self.lr, f"be at most lr={self.lr}")
        self._require("lr_first", self.lr_first <= self.lr, f"be at most lr={self.lr}")
        self._require("warmup_epochs", self.warmup_epochs < self.epochs, f"be below epochs={self.epochs}")
        self._require("randaugment_magnitude", 0 <= self.randaugment_magnitude <= 30, "be from 0 to 30")
        self._require("seed", self.seed < 2**32, "be below 2**32, as NumPy wants it")
        self._require("device", self.device in ("auto", "cpu", "cuda"), "be 'auto', 'cpu' or 'cuda'")
        self._require("bad_images", self.bad_images in ("raise", "skip"), "be 'raise' or 'skip'")
        self._require("snapshot_epochs", all(epoch >= 0 for epoch in self.snapshot_epochs), "not be negative")

    def _require(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name}={getattr(self, name)!r} must {wanted}")


def _fitting(name: str, value: Any, hint: Any) -> Any:
    """The value as the field's type has it (a whole number for a float, a list for a tuple), or an error."""
    if get_origin(hint) is types.UnionType:
        if value is None:
            return None
        hint = next(option for option in get_args(hint) if option is not types.NoneType)
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        kinds = get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        if len(kinds) == len(value):
            return tuple(_fitting(name, entry, kind) for entry, kind in zip(value, kinds, strict=True))
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{name}={value!r} must be finite")
        return float(value)
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    wanted = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    raise ValueError(f"{name}={value!r} must be of type {wanted}")


def changed(config: TrainConfig, settings: Sequence[str]) -> TrainConfig:
    """The config with settings such as "lr=3e-4" or "betas=(0.9, 0.95)" applied.

    Raises:
        ValueError: for an unknown key, naming the nearest ones, and for a value that does not fit.
    """
    values: dict[str, Any] = {}
    hints = get_type_hints(type(config))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"--set {setting!r} has no value; write --set key=value, such as --set lr=3e-4")
        values[key.strip()] = _read(text.strip(), hints.get(key.strip()))
    return replaced(config, values)


def replaced(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """dataclasses.replace with an error that names the nearest keys."""
    known = [field.name for field in fields(config)]
    following = {field.name: field.metadata["follows from"] for field in fields(config) if not field.init}
    for key in values:
        if key in following:
            raise ValueError(f"{key} cannot be set here: it follows from {following[key]}; set those")
        if key not in known and RENAMED.get(key) in known:
            raise ValueError(f"{key} is now called {RENAMED[key]}; write {RENAMED[key]}={values[key]}")
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
            hint = f"the nearest keys are {', '.join(close)}" if close else f"there are {', '.join(known)}"
            raise ValueError(f"{type(config).__name__} has no key {key!r}; {hint}")
    return replace(config, **values)


def with_data(config: TrainConfig, folder: str) -> TrainConfig:
    """The config of a recipe that reads a folder, with its folder.

    Raises:
        ValueError: if the recipe reads none.
    """
    known = [field.name for field in fields(config)]
    if "data" not in known:
        old = next((key for key in known if RENAMED.get(key) == "data"), None)
        remedy = (
            f"its key is called {old}; write --set {old}={folder}" if old else "it reads no folder; leave --data out"
        )
        raise ValueError(f"--data {folder} does not fit this recipe: {remedy}")
    return replace(config, data=folder)


def _read(text: str, hint: Any) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    return text if hint is str and not isinstance(value, str) else value  # a folder may be called 2024


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The changes that a resumed run may not make, as "lr was 0.1 and is 0.2"; both configs are dictionaries."""
    before = _with_new_names(before, now)
    return _changes(before, now, [key for key in {**before, **now} if key not in (*FREE_TO_CHANGE, *CONTENT)])


def free_changes(before: Mapping[str, Any], now: Mapping[str, Any], keys: Sequence[str] = FREE_TO_CHANGE) -> list[str]:
    """The changes that a resumed run may make and has made, in the words of differences.

    Args:
        before: the checkpoint's config, as a dictionary.
        now: the resumed run's.
        keys: the settings that are compared.
    """
    before = _with_new_names(before, now)
    return _changes(before, now, [key for key in keys if key in before or key in now])


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    missing = "absent"
    return [
        f"{key} was {before.get(key, missing)} and is {now.get(key, missing)}"
        for key in keys
        if _plain(before.get(key, missing)) != _plain(now.get(key, missing))
    ]


def _with_new_names(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's config with its keys as they are called now; a recipe's own key of an old name stays.

    Settings that version 0.1's recipe folder did not have get the values that say what it did.
    """
    added = {key: value for key, value in ADDED.items() if key in now and key not in before}
    return added | {RENAMED[key] if key in RENAMED and key not in now else key: value for key, value in before.items()}


def _plain(value: Any) -> Any:
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
