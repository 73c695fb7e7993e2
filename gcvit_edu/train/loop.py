"""The training loop: one function for a step, and a script around it."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from gcvit_edu.train import dist
from gcvit_edu.train.checkpoint import checkpoints, make_way, newest_whole, versions, write_atomically
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.dist import Place
from gcvit_edu.train.ema import decay_at, update_average
from gcvit_edu.train.epoch import NonFiniteLoss, close_epoch, keep_weights
from gcvit_edu.train.log import FILE, Log, cut_log
from gcvit_edu.train.mixing import check_pairs, mix, mixes
from gcvit_edu.train.optim import learning_rate
from gcvit_edu.train.recipe import Recipe
from gcvit_edu.train.run import Run, begin, restore_run, save_run, seed_process, weights_as_bytes
from gcvit_edu.train.sampler import Parts, steps_of
from gcvit_edu.train.samples import attribute_of, check_samples, train_batches
from gcvit_edu.train.speed import Stopwatch, operations_per_image, peak_of


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
        if mixes(config):
            images, labels = mix(images, labels, config, run.step, place.rank, number)
        alone = isinstance(network, DistributedDataParallel) and number < len(parts) - 1
        with network.no_sync() if alone else nullcontext():  # gradients meet once, after the last part
            with torch.autocast(place.device.type, torch.bfloat16, enabled=config.amp):
                logits = network(images)
            part_loss = F.cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing) / len(parts)
            part_loss.backward()
        loss += part_loss.detach()
    loss = dist.sum_over_ranks(loss) / place.world
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
    if run.average is not None:
        update_average(run.average, run.model, decay_at(run.step, config.ema_decay))
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
    """
    config = recipe.complete(config)
    place = dist.start(config.device)
    try:
        with asked_to_stop() as asked:
            return _train(recipe, config, out, resume, place, asked)
    except NonFiniteLoss as error:
        last = next(iter(checkpoints(out)), "missing: none was written yet")
        raise NonFiniteLoss(f"{error}. The last good checkpoint is {last}") from error
    finally:
        dist.stop()


@contextmanager
def asked_to_stop() -> Iterator[list[bool]]:
    """A list that becomes non-empty when SIGTERM arrives; the handler of before returns at the end."""
    asked: list[bool] = []
    before = signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def refuse_used(out: Path, resume: bool) -> None:
    """Refuse the folder of another run.

    Raises:
        ValueError: if there is a run that is not to be resumed.
    """
    if not resume and (checkpoints(out) or (out / FILE).exists()):
        raise ValueError(f"{out} has a run already; go on with --resume, or choose another --out")


def _prepare(out: Path, resume: bool) -> None:
    """Make the folder of a run, and refuse one that is used."""
    refuse_used(out, resume)
    out.mkdir(parents=True, exist_ok=True)


def _to_go_on_with(out: Path, say: Callable[[str], None]) -> Path | None:
    """The checkpoint that a resumed run goes on from, with nothing newer left in its way."""
    found = newest_whole(out, say)
    make_way(out, found)
    return found


def _train(recipe: Recipe, config: TrainConfig, out: Path, resume: bool, place: Place, asked: list[bool]) -> bool:
    # -------------------------------------------------------------------------------------------------- the folder
    dist.by_first(lambda: _prepare(out, resume))

    # ------------------------------------------------------------------------------------------ data, model, optimiser
    training, validation = recipe.make_data(config)
    check_samples(training, validation, config)
    notes = []
    for which, pictures in {"training": training, "validation": validation}.items():
        skipped = attribute_of(pictures, "skipped")
        notes += [f"left out {len(skipped)} {which} pictures:", *skipped] if skipped else []
    samples, per_epoch = len(training), steps_of(len(training), config.batch_size)
    shares = Parts(samples, config.batch_size, config.accumulate, place.rank, place.world, config.seed)
    if mixes(config):
        check_pairs(shares.part_size)
    total, warmup = config.epochs * per_epoch, round(config.warmup_epochs * per_epoch)
    seed_process(config.seed, 0)  # every process begins with the same weights
    run = begin(recipe.make_model, config, place.device)
    model = run.model
    seed_process(config.seed, place.rank)
    peak = peak_of(place.device, config.amp)
    watch = Stopwatch(
        config.batch_size,
        operations_per_image(model, config) if peak else None,
        place.world * peak if peak else None,
    )

    # ------------------------------------------------------------------------------------------------------- resume
    found = dist.by_first(lambda: _to_go_on_with(out, notes.append)) if resume else None
    if found:
        made_with = restore_run(run, found, config, samples, place)
        notes.append(f"going on from {found}, step {run.step} of {total}")
        notes += [
            f"{name} was {made_with[name]} and is {version}: the numbers may differ in their last digits"
            for name, version in versions().items()
            if made_with.get(name) != version
        ]
    elif resume:
        notes.append(f"no checkpoint in {out}: starting at step 0")
    network = torch.compile(model) if config.compile else model
    if place.world > 1:
        network = DistributedDataParallel(network, [place.device] if place.device.type == "cuda" else None)
    if place.first:
        cut_log(out / FILE, run.step if found else -1, run.closed)

    # -------------------------------------------------------------------------------------------------------- train
    with Log(out if place.first else None, total, done=run.step, tensorboard=config.tensorboard) as log:
        for note in notes:
            log.say(note)
        start = {"config": asdict(config), "processes": place.world, "versions": versions(), "notes": notes}
        log.write("start", run.step, start)
        if run.step == 0:
            keep_weights(run, out, config, place, 0)
        while True:
            epoch, first = divmod(run.step, per_epoch)
            if epoch > run.closed:
                close_epoch(run, validation, samples, out, log, config, place)
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
                stopping = dist.sum_over_ranks(torch.tensor(float(bool(asked)), device=place.device)) > 0
                inside = run.step % per_epoch != 0  # at the end of an epoch, closing saves
                if stopping or (inside and config.save_every and run.step % config.save_every == 0):
                    save_run(run, out, config, samples, place)
                if stopping:
                    log.say(f"stopped by SIGTERM after step {run.step} of {total}, which is saved; --resume goes on")
                    return False
                watch.skip()
        if place.first:
            write_atomically(out / "final.safetensors", weights_as_bytes(run.judged))
        log.say(f"done: {out / 'final.safetensors'}, best top-1 {run.best:.2%}")
    return True
