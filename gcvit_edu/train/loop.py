"""The training loop: one function for a step, and a script around it."""

import signal
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from gcvit_edu.files import LOG, write_atomically
from gcvit_edu.hardware import peak_of, versions
from gcvit_edu.train import distributed
from gcvit_edu.train.batches import MicroBatchSampler, attribute_of, check_samples, steps_per_epoch, train_batches
from gcvit_edu.train.checkpoint import checkpoints, latest_valid, set_aside_damaged
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.epoch import end_epoch, keep_weights
from gcvit_edu.train.identity import described, identity_of, numbered_classes, the_same_everywhere
from gcvit_edu.train.lock import FolderLock
from gcvit_edu.train.log import Log, cut_log, has_begun
from gcvit_edu.train.mixup import apply_mixup, check_pairs, mixing_enabled
from gcvit_edu.train.optim import decay_at, learning_rate, update_ema
from gcvit_edu.train.randomness import seed_process
from gcvit_edu.train.recipe import Recipe
from gcvit_edu.train.run import NonFiniteLoss, Run, begin, restore_run, save_run, weights_as_bytes
from gcvit_edu.train.stopping import StopRequest, end_with_agent, stop_requested
from gcvit_edu.train.stopwatch import Stopwatch, operations_per_image


def train_step(
    run: Run, network: nn.Module, parts: Sequence[tuple[Tensor, Tensor]], rate: float, config: TrainConfig, place: Place
) -> tuple[Tensor, Tensor]:
    """One step of the optimiser: loss and gradient of a whole batch, part by part, then the update.

    Args:
        run: changed in place.
        network: run.model, perhaps compiled and wrapped for several processes.
        parts: images (B, 3, H, W) and labels (B,); this process's share of the batch.
        rate: learning rate; each group of the optimiser has its own share of it, lr_scale.
        config: of the run.
        place: this process.

    Returns:
        The mean loss of the batch over all processes, and the norm of its gradient before clipping.

    Raises:
        NonFiniteLoss: before the optimiser changes any weight.
    """
    loss = torch.zeros((), device=place.device)
    for number, (images, labels) in enumerate(parts):
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        images = images.to(place.device, non_blocking=True, memory_format=layout)
        labels = labels.to(place.device, non_blocking=True)
        if mixing_enabled(config):
            images, labels = apply_mixup(images, labels, config, run.step, place.rank, number)
        alone = isinstance(network, DistributedDataParallel) and number < len(parts) - 1
        with network.no_sync() if alone else nullcontext():  # gradients meet once, after the last part
            with torch.autocast(place.device.type, torch.bfloat16, enabled=config.amp):
                logits = network(images)
            part_loss = F.cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing) / len(parts)
            part_loss.backward()
        loss += part_loss.detach()
    loss = distributed.sum_over_ranks(loss) / place.world_size
    norm = nn.utils.clip_grad_norm_(run.model.parameters(), config.clip_norm or float("inf"))
    if not torch.isfinite(loss + norm):  # the one place that waits for the device
        raise NonFiniteLoss(
            f"step {run.step + 1}: the loss is {loss:.4g} and its gradient's norm {norm:.4g}; the weights are still "
            f"those of step {run.step}. Lower lr={config.lr:g}, lengthen warmup_epochs={config.warmup_epochs:g}, "
            f"lower clip_norm={config.clip_norm:g}, or set amp=False"
        )
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    if run.ema is not None:
        update_ema(run.ema, run.model, decay_at(run.step, config.ema_decay))
    run.step += 1
    run.loss_sum += loss
    return loss, norm


def train(recipe: Recipe, config: TrainConfig, out: Path, *, resume: bool = False) -> bool:
    """Train as a recipe and a config say, with checkpoints, log and weights in one folder.

    Args:
        recipe: its config is not read; pass it, or a changed one, as config.
        config: of the run.
        out: folder of the run, made where it is missing.
        resume: go on from the newest whole checkpoint in out, if there is one.

    Returns:
        Whether the run is finished; False where SIGTERM stopped it after a checkpoint.

    Raises:
        ValueError: for data, model, config and checkpoints that do not fit together, and a folder already in use.
        NonFiniteLoss: if the loss is infinite or not a number.
        OSError: if something cannot be written or read.
        KeyboardInterrupt: after Ctrl-C; the first one lets the step end and saves, the second one does not.
    """
    end_with_agent()
    config = recipe.complete(config)
    place = distributed.start(config.device)
    lock = FolderLock(out)
    try:
        with stop_requested() as stop:
            return _train(recipe, config, out, resume, place, lock, stop)
    except NonFiniteLoss as error:
        last = next(iter(checkpoints(out)), "missing: none was written yet")
        raise NonFiniteLoss(f"{error}. The last good checkpoint is {last}") from error
    finally:
        lock.release()
        distributed.stop()


def refuse_used(out: Path, resume: bool) -> None:
    """Refuse the folder of another run.

    Raises:
        ValueError: if there is a run that is not to be resumed.
    """
    if not resume and (checkpoints(out) or has_begun(out / LOG)):
        raise ValueError(f"{out} has a run already; go on with --resume, or choose another --out")


def _prepare(out: Path, resume: bool, lock: FolderLock) -> list[str]:
    """Make the folder of a run, lock it, and refuse one that is used. Returns notes."""
    out.mkdir(parents=True, exist_ok=True)
    without_lock = lock.take()
    refuse_used(out, resume)
    return [without_lock] if without_lock else []


def _to_go_on_with(out: Path, info: Callable[[str], None]) -> Path | None:
    """The checkpoint that a resumed run goes on from, with nothing newer left in its way."""
    found = latest_valid(out, info)
    set_aside_damaged(out, found)
    return found


def _train(
    recipe: Recipe,
    config: TrainConfig,
    out: Path,
    resume: bool,
    place: Place,
    lock: FolderLock,
    stop: StopRequest,
) -> bool:
    # -------------------------------------------------------------------------------------------------- the folder
    notes = distributed.on_rank0_then_broadcast(lambda: _prepare(out, resume, lock))

    # ------------------------------------------------------------------------------------------ data, model, optimiser
    training, validation = recipe.make_data(config)
    check_samples(training, validation, config)
    identity = the_same_everywhere(identity_of(training, validation, config))
    for which, pictures in {"training": training, "validation": validation}.items():
        notes.append(described(pictures, which))
        skipped = attribute_of(pictures, "skipped")
        notes += [f"left out {len(skipped)} {which} pictures:", *skipped] if skipped else []
    notes += [numbered_classes(identity.classes)] if identity.classes else []
    samples, per_epoch = len(training), steps_per_epoch(len(training), config.batch_size)
    shares = MicroBatchSampler(samples, config.batch_size, config.accumulate, place.rank, place.world_size, config.seed)
    if mixing_enabled(config):
        check_pairs(shares.micro_batch_size)
    total, warmup = config.epochs * per_epoch, round(config.warmup_epochs * per_epoch)
    seed_process(config.seed, 0)  # every process begins with the same weights
    run = begin(recipe.make_model, config, place.device)
    model = run.model
    seed_process(config.seed, place.rank)
    peak = peak_of(place.device, config.amp)
    watch = Stopwatch(
        config.batch_size,
        operations_per_image(model, config) if peak else None,
        place.world_size * peak if peak else None,
    )

    # ------------------------------------------------------------------------------------------------------- resume
    found = distributed.on_rank0_then_broadcast(lambda: _to_go_on_with(out, notes.append)) if resume else None
    if found:
        changes = restore_run(run, found, config, identity, place)
        notes += [f"going on from {found}, step {run.step} of {total}", *changes]
        if run.step % per_epoch and attribute_of(training, "stream") and any("workers was" in text for text in changes):
            notes.append(
                "so some pictures of this epoch come twice and others not at all, as they are read in stretches"
            )
    elif resume:
        notes.append(f"no checkpoint in {out}: starting at step 0")
    network = torch.compile(model) if config.compile else model
    if place.world_size > 1:
        network = DistributedDataParallel(network, [place.device] if place.device.type == "cuda" else None)
    if place.is_main:
        cut_log(out / LOG, run.step if found else -1, run.epochs_done)

    # -------------------------------------------------------------------------------------------------------- train
    with Log(out if place.is_main else None, total, done=run.step, tensorboard=config.tensorboard) as log:

        def leave() -> bool:
            save_run(run, out, config, identity, place)
            said = f"stopped by {stop.name} after step {run.step} of {total}, which is saved; --resume goes on"
            if stop.signal == signal.SIGINT:
                raise KeyboardInterrupt(said)
            log.info(said)
            return False

        for note in notes:
            log.info(note)
        start = {"config": asdict(config), "classes": identity.classes, "processes": place.world_size}
        log.write("start", run.step, {**start, "versions": versions(), "notes": notes})
        stop.can_save = True
        if run.step == 0:
            keep_weights(run, out, config, identity, place, 0)
        while True:
            epoch, first = divmod(run.step, per_epoch)
            if epoch > run.epochs_done and not end_epoch(run, validation, identity, out, log, config, place, stop):
                return leave()
            if run.step == total:
                break
            batches = train_batches(training, replace(shares, epoch=epoch, first=first), config)
            run.model.train()
            watch.restart()
            while step_parts := list(islice(batches, config.accumulate)):
                watch.loaded()
                rate = learning_rate(
                    run.step,
                    total=total,
                    warmup=warmup,
                    first=config.lr_first,
                    peak=config.lr,
                    last=config.lr_last,
                )
                loss, norm = train_step(run, network, step_parts, rate, config, place)
                watch.stepped()
                if run.step % config.log_every == 0:
                    values = {"epoch": run.step / per_epoch, "loss": loss.item(), "lr": rate, "grad_norm": norm.item()}
                    log.write("step", run.step, values | watch.read(place))
                    log.advance(run.step, values["loss"])
                stopping = stop.agreed(place)
                inside = run.step % per_epoch != 0  # at the end of an epoch, closing saves
                if stopping:
                    return leave()
                if inside and config.save_every and run.step % config.save_every == 0:
                    save_run(run, out, config, identity, place)
                watch.skip()
        if place.is_main:
            write_atomically(out / "final.safetensors", weights_as_bytes(run.evaluated, config, identity.classes))
        log.info(f"done: {out / 'final.safetensors'}, best top-1 {run.best:.2%}")
    return True
