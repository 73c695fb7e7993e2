"""The end of an epoch: validate, log, keep weights, save."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gcvit_edu.files import write_atomically
from gcvit_edu.train.batches import Samples, validation_batches
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.distributed import Place, broadcast_buffers
from gcvit_edu.train.identity import RunIdentity
from gcvit_edu.train.log import Log
from gcvit_edu.train.metrics import Scores, evaluate
from gcvit_edu.train.run import NonFiniteLoss, Run, save_run, weights_as_bytes
from gcvit_edu.train.stopping import StopRequest

CONFUSION_UP_TO = 100  # classes; ImageNet's table would be three megabytes of log for each validation


def end_epoch(
    run: Run,
    validation: Samples,
    identity: RunIdentity,
    out: Path,
    log: Log,
    config: TrainConfig,
    place: Place,
    stop: StopRequest,
) -> bool:
    """Validate, write the epoch's line of the log, keep weights and a checkpoint. Every process must call this.

    Args:
        run: after the last step of an epoch; the epoch is marked as done.
        validation: the whole validation set.
        identity: of the run.
        out: folder of the run.
        log: of the first process, or one that writes nothing.
        config: of the run.
        place: this process.
        stop: whether the run is to stop; then the validation is broken off, and a resumed run repeats it.

    Returns:
        Whether the epoch is done; if not, nothing was logged or saved.

    Raises:
        NonFiniteLoss: if the validation's loss is not finite; before anything is logged or saved.
        OSError: if something cannot be written.
    """
    per_epoch = identity.training.pictures // config.batch_size
    epoch = run.step // per_epoch
    values: dict[str, Any] = {"epoch": epoch, "train_loss": (run.loss_sum / per_epoch).item()}
    best = False
    if epoch % config.eval_every == 0 or epoch == config.epochs:
        found_scores = validate(run, validation, config, place, stop)
        if stop.agreed(place):
            return False
        for which, scores in found_scores.items():
            if not math.isfinite(scores.loss):
                raise NonFiniteLoss(
                    f"after step {run.step}: the validation's {which}loss is {scores.loss:.4g}. Look for values that "
                    f"are not finite in the validation set; else lower lr={config.lr:g}, or set amp=False"
                )
            found = asdict(scores)
            if config.num_classes > CONFUSION_UP_TO:
                del found["confusion"]
            values |= {f"{which}{name}": value for name, value in found.items()}
        top1 = values["top1" if run.ema is None else "ema_top1"]
        best, run.best = top1 > run.best, max(run.best, top1)
    run.epochs_done = epoch
    run.loss_sum.zero_()
    log.write("epoch", run.step, values | {"seconds": round(run.clock(), 1)})
    log.info(in_a_line(values, config.epochs, run.clock()))
    keep_weights(run, out, config, identity, place, epoch)
    save_run(run, out, config, identity, place, best=best)
    return True


def validate(run: Run, validation: Samples, config: TrainConfig, place: Place, stop: StopRequest) -> dict[str, Scores]:
    """Scores of the model, as "", and of its average, as "ema_", where there is one.

    If a process was asked to stop meanwhile, only some pictures were scored.

    Args:
        run: its model and average are scored.
        validation: the whole validation set.
        config: of the run.
        place: this process.
        stop: whether the run is to stop.
    """
    found = {}
    for which, network in {"": run.model, "ema_": run.ema}.items():
        if network is not None:
            broadcast_buffers(network)  # the same ones are saved
            with torch.autocast(place.device.type, torch.bfloat16, enabled=config.amp):
                batches = validation_batches(validation, config, place)
                found[which] = evaluate(network, stop.cut(batches), config.num_classes, place)
    return found


def in_a_line(values: dict[str, Any], epochs: int, seconds: float) -> str:
    """A line for people about one epoch.

    Args:
        values: as the log has them.
        epochs: of the whole run.
        seconds: since the run began.
    """
    text = f"epoch {values['epoch']}/{epochs}  loss {values['train_loss']:.4f}"
    for key, name in (("top1", "top-1"), ("ema_top1", "averaged")):
        text += f"  {name} {values[key]:.2%}" if key in values else ""
    return f"{text}  {seconds:.0f} s"


def keep_weights(run: Run, out: Path, config: TrainConfig, identity: RunIdentity, place: Place, epoch: int) -> None:
    """Keep the weights of an epoch that the config names, to look back later at how they grew.

    Args:
        run: at the end of the epoch.
        out: folder of the run.
        config: its snapshot_epochs name the epochs.
        identity: its classes are stored with the weights.
        place: this process; only the main one writes.
        epoch: epochs done.
    """
    if place.is_main and epoch in config.snapshot_epochs:
        write_atomically(
            out / f"epoch_{epoch:04d}.safetensors", weights_as_bytes(run.evaluated, config, identity.classes)
        )
