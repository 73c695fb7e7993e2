"""Everything that a training step changes, which is everything that a checkpoint must hold."""

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gcvit_edu.hardware import versions
from gcvit_edu.train.checkpoint import load, load_strict, save
from gcvit_edu.train.config import TrainConfig, differences, free_changes
from gcvit_edu.train.distributed import Place, gather, on_rank0_then_broadcast
from gcvit_edu.train.identity import RunIdentity, compared
from gcvit_edu.train.optim import make_ema, make_optimizer
from gcvit_edu.train.randomness import random_state, set_random_state


@dataclass
class Run:
    """The state of a run between two steps.

    Attributes:
        model: the network, without wrappers.
        ema: the moving average of its weights, or None.
        optimizer: with its moments.
        loss_sum: sum of the losses of this epoch's steps, float64, on the device.
        step: steps done.
        epochs_done: epochs that were validated, logged and saved.
        best: best top-1 accuracy so far, below 0 for none.
        seconds: time of the earlier parts of a resumed run, validation included.
        began: start of this part, by time.perf_counter.
    """

    model: nn.Module
    ema: nn.Module | None
    optimizer: Optimizer
    loss_sum: Tensor
    step: int = 0
    epochs_done: int = 0
    best: float = -1.0
    seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def clock(self) -> float:
        """Seconds that the run has taken, in all its parts."""
        return self.seconds + time.perf_counter() - self.began

    @property
    def evaluated(self) -> nn.Module:
        """The network whose accuracy counts: the average where there is one."""
        return self.model if self.ema is None else self.ema


def begin(make_model: Callable[[TrainConfig], nn.Module], config: TrainConfig, device: torch.device) -> Run:
    """A run before its first step: the model on its device and set up by the config, its average, its optimiser.

    Args:
        make_model: config -> an untrained model.
        config: of the run.
        device: for the model.

    Raises:
        ValueError: for grad_checkpointing with a model that cannot do that.
    """
    model = make_model(config).to(device)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if config.grad_checkpointing:
        if not hasattr(model, "set_grad_checkpointing"):
            raise ValueError(f"grad_checkpointing=True, but {type(model).__name__} cannot do that; set it to False")
        model.set_grad_checkpointing()
    ema = make_ema(model) if config.ema_decay else None
    optimizer = make_optimizer(model, config, fused=device.type == "cuda")
    return Run(model, ema, optimizer, torch.zeros((), dtype=torch.float64, device=device))


def save_run(
    run: Run, folder: Path, config: TrainConfig, identity: RunIdentity, place: Place, *, best: bool = False
) -> None:
    """Write a checkpoint; every process must call this, and the first one writes while the others wait.

    Args:
        run: the run to save.
        folder: of the run.
        config: of the run.
        identity: of the run; the order of pictures depends on their number.
        place: this process.
        best: whether this is the best so far.

    Raises:
        OSError: in every process, if it cannot be written.
    """
    everyone = gather(random_state())
    on_rank0_then_broadcast(lambda: save(folder, run.step, _state_of(run, config, identity, everyone), best=best))


def _state_of(run: Run, config: TrainConfig, identity: RunIdentity, everyone: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of a checkpoint."""
    samples = identity.training.pictures
    per_epoch = samples // config.batch_size
    ema = None if run.ema is None else run.ema.state_dict()
    return {
        "model": run.model.state_dict(),
        "average": ema,
        "model_ema": ema,  # timm's loader looks there, or it would take the weights of the last step
        "optimizer": run.optimizer.state_dict(),
        "progress": {
            "step": run.step,
            "closed": run.epochs_done,
            "best": run.best,
            "seconds": run.clock(),
            "loss_sum": run.loss_sum,
        },
        "sampler": {"samples": samples, "epoch": run.step // per_epoch, "batch": run.step % per_epoch},
        "random": everyone,
        "config": dataclasses.asdict(config),
        "identity": dataclasses.asdict(identity),
        "device": run.loss_sum.device.type,
        "versions": versions(),
    }


def restore_run(run: Run, path: Path, config: TrainConfig, identity: RunIdentity, place: Place) -> list[str]:
    """Put a run where a checkpoint left it, in place.

    Args:
        run: of the same config, before its first step.
        path: of the checkpoint.
        config: of the run that goes on.
        identity: of the run that goes on.
        place: this process.

    Returns:
        Notes of what has changed since and may change.

    Raises:
        ValueError: if the checkpoint is of another model, config, data set or number of processes.
    """
    state = load(path)
    before, now = state["config"], dataclasses.asdict(config)
    changes, notes = compared(state.get("identity"), identity, before, config)
    if not changes:  # classes that differ in number say more than the shape of the head
        load_strict(run.model, state["model"], path)
    changes = differences(before, now) + changes
    if "identity" not in state:
        pictures = (state["sampler"]["samples"], identity.training.pictures)
        changes += differences(*({"training pictures": number} for number in pictures))
    if len(state["random"]) != place.world_size:
        changes.append(
            f"processes was {len(state['random'])} and is {place.world_size}: each step would have the same pictures, "
            "but drop path and mixing draw from a generator of each process, and a sum in other parts rounds otherwise"
        )
    if changes:
        raise ValueError(f"{path} cannot be resumed: {'; '.join(changes)}. Set it as it was, or choose another --out")
    if run.ema is not None:
        load_strict(run.ema, state["average"], path)
    run.optimizer.load_state_dict(state["optimizer"])
    progress = state["progress"]
    run.step, run.epochs_done, run.best = progress["step"], progress["closed"], progress["best"]
    run.seconds, run.loss_sum = progress["seconds"], progress["loss_sum"].to(place.device)
    set_random_state(state["random"][place.rank])
    return notes + _free_notes(state, now, place)


def _free_notes(state: dict[str, Any], now: dict[str, Any], place: Place) -> list[str]:
    """Notes of other changes since a checkpoint was made, and of their effect."""
    notes = free_changes(state["config"], now)
    last_digits = "the numbers may differ in their last digits"
    before, device = state.get("device"), place.device.type
    notes = [f"{note}, which is the same one here" if note.startswith("device ") else note for note in notes]
    if before not in (None, device):
        notes.append(f"device was {before} and is {device}: it draws other random numbers, and {last_digits}")
    return notes + [
        f"{name} was {state['versions'][name]} and is {version}: {last_digits}"
        for name, version in versions().items()
        if state["versions"].get(name) != version
    ]


def weights_as_bytes(model: nn.Module, config: TrainConfig, classes: list[str] | None) -> bytes:
    """The model's weights as a safetensors file, with metadata for gcvit_edu.weights.weights_metadata.

    Args:
        model: its state dict is written.
        config: names the variant, the image size and the number of classes.
        classes: names of the classes, in order; None where they have none.
    """
    from safetensors.torch import save

    of = {"model": config.model, "image_size": str(config.image_size), "num_classes": str(config.num_classes)}
    if classes is not None:
        of["classes"] = json.dumps(classes)
    file = save({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()})
    # The library writes metadata in an order that differs from process to process, and equal runs give equal files.
    size = int.from_bytes(file[:8], "little")
    header = {"__metadata__": {"format": "pt", **of}, **json.loads(file[8 : 8 + size])}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[8 + size :]


class NonFiniteLoss(ArithmeticError):
    """A loss or a gradient is infinite or not a number; checkpoints from before are good."""


def checkpoint_bytes(run: Run) -> tuple[int, int]:
    """Size of a checkpoint of a run after its first step, and of its weights alone, in bytes; computed."""
    weights = sum(value.numel() * value.element_size() for value in run.model.state_dict().values())
    trained = sum(value.numel() * value.element_size() for value in run.model.parameters() if value.requires_grad)
    return weights * (1 if run.ema is None else 2) + 2 * trained, weights
