"""One step of the optimiser."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from gcvit_edu.train import distributed
from gcvit_edu.train.config import TrainConfig
from gcvit_edu.train.distributed import Place
from gcvit_edu.train.mixup import apply_mixup, mixing_enabled
from gcvit_edu.train.optim import decay_at, update_ema
from gcvit_edu.train.run import NonFiniteLoss, Run


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
