"""The training loop: prepare, resume, step, end the epoch, leave."""

import signal
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gcvit_edu.files import LOG, write_atomically
from gcvit_edu.hardware import peak_of, versions
from gcvit_edu.train import distributed
from gcvit_edu.train.batches import (
    MicroBatchSampler,
    Samples,
    attribute_of,
    check_samples,
    steps_per_epoch,
    train_batches,
)
from gcvit_edu.train.checkpoint import checkpoints, latest_valid, set_aside_damaged
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.epoch import end_epoch, keep_weights
from gcvit_edu.train.identity import RunIdentity, described, identity_of, numbered_classes, the_same_everywhere
from gcvit_edu.train.lock import FolderLock
from gcvit_edu.train.log import Log, cut_log, has_begun
from gcvit_edu.train.mixup import check_pairs, mixing_enabled
from gcvit_edu.train.optim import learning_rate
from gcvit_edu.train.randomness import seed_process
from gcvit_edu.train.recipe import Recipe
from gcvit_edu.train.run import NonFiniteLoss, Run, begin, restore_run, save_run, weights_as_bytes
from gcvit_edu.train.step import train_step
from gcvit_edu.train.stopping import StopRequest, end_with_agent, stop_requested
from gcvit_edu.train.stopwatch import Stopwatch, operations_per_image


def train(recipe: Recipe, config: TrainConfig, out: Path, *, resume: bool = False) -> bool:
    """Train by a recipe and a config, with checkpoints, log and weights in one folder.

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
        KeyboardInterrupt: after Ctrl-C; the first one ends the step and saves, the second one does not.
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
        ValueError: if the folder has a run and resume is False.
    """
    if not resume and (checkpoints(out) or has_begun(out / LOG)):
        raise ValueError(f"{out} has a run already; go on with --resume, or choose another --out")


@dataclass(frozen=True)
class _Plan:
    """The parts of a run that stay the same while it trains.

    Attributes:
        config: of the run.
        out: its folder.
        place: this process.
        training: the set to train on.
        validation: the set to validate on.
        identity: of both.
        sampler: of epoch 0; that of another epoch differs in its number only.
    """

    config: TrainConfig
    out: Path
    place: Place
    training: Samples
    validation: Samples
    identity: RunIdentity
    sampler: MicroBatchSampler

    @property
    def per_epoch(self) -> int:
        """The number of steps in an epoch."""
        return steps_per_epoch(len(self.training), self.config.batch_size)

    @property
    def total(self) -> int:
        """The number of steps in the whole run."""
        return self.config.epochs * self.per_epoch

    def rate_at(self, step: int) -> float:
        """The learning rate of a step."""
        config = self.config
        return learning_rate(
            step,
            total=self.total,
            warmup=round(config.warmup_epochs * self.per_epoch),
            first=config.lr_first,
            peak=config.lr,
            last=config.lr_last,
        )


def _train(
    recipe: Recipe,
    config: TrainConfig,
    out: Path,
    resume: bool,
    place: Place,
    lock: FolderLock,
    stop: StopRequest,
) -> bool:
    """One run in five acts: prepare, resume, step, end the epoch, leave. Returns whether it is finished."""
    notes = distributed.on_rank0_then_broadcast(lambda: _take_folder(out, resume, lock))
    plan, run = _prepare(recipe, config, out, place, notes)
    watch = _stopwatch(run.model, plan)  # before the generators are put where a checkpoint left them
    if resume:
        notes += _resume(run, plan)
    network = _network(run.model, plan)
    if place.is_main:
        cut_log(out / LOG, run.step if run.step else -1, run.epochs_done)
    with Log(out if place.is_main else None, plan.total, done=run.step, tensorboard=config.tensorboard) as log:
        for note in notes:
            log.info(note)
        start = {"config": asdict(config), "classes": plan.identity.classes, "processes": place.world_size}
        log.write("start", run.step, {**start, "versions": versions(), "notes": notes})
        stop.can_save = True
        if run.step == 0:
            keep_weights(run, out, config, plan.identity, place, 0)
        while True:
            due = run.step // plan.per_epoch > run.epochs_done
            if due and not end_epoch(run, plan.validation, plan.identity, out, log, config, place, stop):
                return _leave(run, plan, log, stop)
            if run.step == plan.total:
                break
            if not _epoch(run, network, plan, watch, log, stop):
                return _leave(run, plan, log, stop)
        if place.is_main:
            write_atomically(out / "final.safetensors", weights_as_bytes(run.evaluated, config, plan.identity.classes))
        log.info(f"done: {out / 'final.safetensors'}, best top-1 {run.best:.2%}")
    return True


# ------------------------------------------------------------------------------------------------------- prepare


def _take_folder(out: Path, resume: bool, lock: FolderLock) -> list[str]:
    """Make the folder of a run, lock it, and refuse one that is used. Returns notes."""
    out.mkdir(parents=True, exist_ok=True)
    without_lock = lock.take()
    refuse_used(out, resume)
    return [without_lock] if without_lock else []


def _prepare(recipe: Recipe, config: TrainConfig, out: Path, place: Place, notes: list[str]) -> tuple[_Plan, Run]:
    """Data, model, average and optimiser before the first step; remarks are added to the notes."""
    training, validation = recipe.make_data(config)
    check_samples(training, validation, config)
    identity = the_same_everywhere(identity_of(training, validation, config))
    for which, pictures in {"training": training, "validation": validation}.items():
        notes.append(described(pictures, which))
        skipped = attribute_of(pictures, "skipped")
        notes += [f"left out {len(skipped)} {which} pictures:", *skipped] if skipped else []
    notes += [numbered_classes(identity.classes)] if identity.classes else []
    steps_per_epoch(len(training), config.batch_size)  # refuses a set that fills no batch
    sampler = MicroBatchSampler(
        len(training), config.batch_size, config.accumulate, place.rank, place.world_size, config.seed
    )
    if mixing_enabled(config):
        check_pairs(sampler.micro_batch_size)
    seed_process(config.seed, 0)  # every process begins with the same weights
    run = begin(recipe.make_model, config, place.device)
    seed_process(config.seed, place.rank)
    return _Plan(config, out, place, training, validation, identity, sampler), run


def _network(model: nn.Module, plan: _Plan) -> nn.Module:
    """The model as it is called in training: perhaps compiled, and wrapped for several processes."""
    network = torch.compile(model) if plan.config.compile else model
    if plan.place.world_size > 1:
        device = plan.place.device
        network = DistributedDataParallel(network, [device] if device.type == "cuda" else None)
    return network


def _stopwatch(model: nn.Module, plan: _Plan) -> Stopwatch:
    peak = peak_of(plan.place.device, plan.config.amp)
    operations = operations_per_image(model, plan.config) if peak else None
    return Stopwatch(plan.config.batch_size, operations, plan.place.world_size * peak if peak else None)


# -------------------------------------------------------------------------------------------------------- resume


def _resume(run: Run, plan: _Plan) -> list[str]:
    """Put a run where its newest whole checkpoint left it, and set newer files aside. Returns notes."""

    def find() -> tuple[Path | None, list[str]]:
        said: list[str] = []
        found = latest_valid(plan.out, said.append)
        set_aside_damaged(plan.out, found)
        return found, said

    found, notes = distributed.on_rank0_then_broadcast(find)
    if not found:
        return [*notes, f"no checkpoint in {plan.out}: starting at step 0"]
    changes = restore_run(run, found, plan.config, plan.identity, plan.place)
    notes += [f"going on from {found}, step {run.step} of {plan.total}", *changes]
    streamed = attribute_of(plan.training, "stream")
    if run.step % plan.per_epoch and streamed and any("workers was" in text for text in changes):
        notes.append("so some pictures of this epoch come twice and others not at all, as they are read in stretches")
    return notes


# ---------------------------------------------------------------------------------------------------------- step


def _epoch(run: Run, network: nn.Module, plan: _Plan, watch: Stopwatch, log: Log, stop: StopRequest) -> bool:
    """The steps of an epoch that are not done yet, with checkpoints on the way; False when a stop was requested."""
    config, place = plan.config, plan.place
    epoch, first = divmod(run.step, plan.per_epoch)
    batches = train_batches(plan.training, replace(plan.sampler, epoch=epoch, first=first), config)
    run.model.train()
    watch.restart()
    while micro_batches := list(islice(batches, config.accumulate)):
        watch.loaded()
        rate = plan.rate_at(run.step)
        loss, norm = train_step(run, network, micro_batches, rate, config, place)
        watch.stepped()
        if run.step % config.log_every == 0:
            values = {"epoch": run.step / plan.per_epoch, "loss": loss.item(), "lr": rate, "grad_norm": norm.item()}
            log.write("step", run.step, values | watch.read(place))
            log.advance(run.step, values["loss"])
        if stop.agreed(place):
            return False
        inside = run.step % plan.per_epoch != 0  # end_epoch saves at the end of an epoch
        if inside and config.save_every and run.step % config.save_every == 0:
            save_run(run, plan.out, config, plan.identity, place)
        watch.skip()
    return True


# --------------------------------------------------------------------------------------------------------- leave


def _leave(run: Run, plan: _Plan, log: Log, stop: StopRequest) -> bool:
    """Save a run that must stop. Returns False: it is not finished.

    Raises:
        KeyboardInterrupt: if Ctrl-C was the reason.
    """
    save_run(run, plan.out, plan.config, plan.identity, plan.place)
    said = f"stopped by {stop.name} after step {run.step} of {plan.total}, which is saved; --resume goes on"
    if stop.signal == signal.SIGINT:
        raise KeyboardInterrupt(said)
    log.info(said)
    return False
