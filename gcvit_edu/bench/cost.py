"""The cost of a run on ImageNet, as ranges: python -m gcvit_edu.bench cost VARIANT --gpu A100 --count 8.

We know of no public training rate of GC ViT on a GPU. Without a measured one this is a chain of guesses, with ranges:

1. The rate of inference. It is published for five variants on two cards (data/published, from timm's results). For
   another variant, we scale the rate of the one with the nearest number of multiply-adds, inversely to that number, and
   allow 30 per cent to either side, as large products use a card better and small ones worse.
2. Another card. Arithmetic or memory limits a network, so its rate is between two: the RTX 5090's times the ratio of
   the peaks of arithmetic, and times that of the memories. Both are from NVIDIA's data sheets.
3. From inference to training. A backward pass costs about two forward passes, which makes a third; for Swin on an A100,
   0.29 to 0.52 were measured (microsoft/Swin-Transformer, pull request 234). The range here is 0.15 to 0.55: its lower
   end is about half of the lowest measured, for older software, the average of the weights, and the loader.
4. Several cards: each reaches 85 to 100 per cent of its own rate, a guess.

With --images-per-second, measured by `python -m gcvit_edu.bench device` on one card, only the last is left.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from gcvit_edu.counting import count
from gcvit_edu.data.published import published_figures
from gcvit_edu.hardware import AS_PYTORCH_CALLS_IT, CARDS
from gcvit_edu.train.recipe import load_recipe
from gcvit_edu.variants import VARIANTS
from gcvit_edu.zoo import create_model

TRAINING_PICTURES, VALIDATION_PICTURES = 1_281_167, 50_000
TRAINING_SHARE = (0.15, 0.55)  # of the rate of inference
OTHER_VARIANT = (0.7, 1.3)
TOGETHER = (0.85, 1.0)  # of a card's own rate, when there are several
POWER_SHARE = (0.5, 1.0)  # of the rated power, while training
REFERENCE = "RTX 5090"  # other cards are compared with its published rates


Range = tuple[float, float]


@dataclass(frozen=True)
class Cost:
    """An estimate of the cost; every pair is the lower and the upper end.

    Attributes:
        rate: pictures per second that one card trains on.
        hours: of the whole run.
        card_hours: of all cards together.
        energy: of the cards alone, in kWh; None where their power is not known.
        money: in the currency of the price; None without one.
    """

    rate: Range
    hours: Range
    card_hours: Range
    energy: Range | None
    money: Range | None


def training_rate(variant: str, gpu: str) -> Range:
    """Pictures per second that one card would train on, by the rules above.

    Raises:
        ValueError: for an unknown variant or card.
    """
    epochs_of(variant)  # refuses an unknown variant
    if gpu not in CARDS:
        raise ValueError(
            f"nothing is known here of the GPU {gpu!r}; there are {', '.join(CARDS)}. For another one, measure with "
            "python -m gcvit_edu.bench device, and give --images-per-second"
        )
    card, reference = CARDS[gpu], CARDS[REFERENCE]
    figures = published_figures("images_per_second")
    rates = dict(zip(figures["models"], figures[card.published or reference.published], strict=True))
    low = high = 1.0
    if not card.published:
        ratios = card.peak / reference.peak, card.bandwidth / reference.bandwidth
        low, high = min(ratios), max(ratios)
    if variant not in rates:
        own, others = multiply_adds(variant), {name: multiply_adds(name) for name in rates if "-" not in name}
        nearest = min(others, key=lambda name: abs(others[name] / own - own / others[name]))
        rates[variant] = rates[nearest] * others[nearest] / own
        low, high = low * OTHER_VARIANT[0], high * OTHER_VARIANT[1]
    return rates[variant] * low * TRAINING_SHARE[0], rates[variant] * high * TRAINING_SHARE[1]


@cache
def multiply_adds(variant: str) -> float:
    """Multiply-adds of one picture at the variant's own size, counted on a model without memory."""
    with torch.device("meta"):
        model = create_model(variant)
    size = model.config.image_size
    return float(count(model, torch.empty(1, 3, size, size, device="meta")).multiply_adds)


def epochs_of(variant: str) -> int:
    """The number of epochs in the variant's ImageNet recipe.

    Raises:
        ValueError: if the variant has no ImageNet recipe.
    """
    names = [name for name in VARIANTS if name != "nano"]
    if variant not in names:
        raise ValueError(f"there is no ImageNet recipe of {variant!r}; there are those of {', '.join(names)}")
    fine = variant in ("large_384", "large_512")
    return load_recipe("imagenet_finetune" if fine else "imagenet").config.epochs


def cost(rate: Range, *, epochs: int, cards: int, watts: float | None = None, price: Range | None = None) -> Cost:
    """The cost of a run, from the rate at which one card trains.

    Both the weights and their average are validated after each epoch, at a third of a training picture's cost.

    Args:
        rate: pictures per second of one card.
        epochs: passes over ImageNet.
        cards: how many.
        watts: rated power of one.
        price: of one card for one hour.

    Raises:
        ValueError: for numbers that are not positive, and ranges whose upper end is below the lower.
    """
    for name, value in {"rate": rate, "price": price or (1, 1)}.items():
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"{name}={value} must be two positive numbers, the lower one first")
    for name, value in {"epochs": epochs, "cards": cards, "watts": 1 if watts is None else watts}.items():
        if not value > 0:
            raise ValueError(f"{name}={value} must be positive")
    pictures = epochs * (TRAINING_PICTURES + 2 * VALIDATION_PICTURES / 3)
    slow, fast = (cards * one * (share if cards > 1 else 1.0) for one, share in zip(rate, TOGETHER, strict=True))
    hours = pictures / fast / 3600, pictures / slow / 3600
    together = hours[0] * cards, hours[1] * cards
    energy = None
    if watts is not None:
        energy = together[0] * watts * POWER_SHARE[0] / 1000, together[1] * watts * POWER_SHARE[1] / 1000
    money = (together[0] * price[0], together[1] * price[1]) if price else None
    return Cost(rate, hours, together, energy, money)


def about(values: Range) -> str:
    """A range with two digits of each end: "27 to 83"; a single one where they are the same."""
    low, high = (f"{float(f'{value:.2g}'):,g}" for value in values)
    return f"about {low}" if low == high else f"{low} to {high}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the estimate that the command line asks for, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m gcvit_edu.bench cost", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("variant", help="such as tiny; its ImageNet recipe says how many epochs")
    parser.add_argument("--gpu", required=True, help=f"{', '.join(CARDS)}, or any other with --images-per-second")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="GPUs")
    parser.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's")
    parser.add_argument("--images-per-second", type=float, metavar="N", help="that one GPU was measured to train on")
    parser.add_argument("--watts", type=float, metavar="W", help="rated power of one GPU, if it is not known here")
    parser.add_argument("--price", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of one GPU for one hour")
    options = parser.parse_args(arguments)
    measured = options.images_per_second
    options.gpu = AS_PYTORCH_CALLS_IT.get(options.gpu, options.gpu)
    known = CARDS.get(options.gpu)
    watts = options.watts if options.watts is not None else known and known.watts
    try:
        usual = epochs_of(options.variant)
        epochs = usual if options.epochs is None else options.epochs
        rate = training_rate(options.variant, options.gpu) if measured is None else (measured, measured)
        price = tuple(options.price) if options.price else None
        found = cost(rate, epochs=epochs, cards=options.count, watts=watts, price=price)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    origin = "guessed, see --help" if measured is None else "measured by you"
    print(
        f"{options.variant} on ImageNet, {epochs} epochs, {options.count} x {options.gpu}: an estimate, never run here"
    )
    print(f"one GPU    {about(rate)} pictures/s, {origin}")
    print(f"time       {about(found.hours)} hours; {about(found.card_hours)} GPU hours")
    power = f"{about(found.energy)} kWh, the GPUs alone, at 50 to 100 % of {watts:g} W" if found.energy else None
    print(f"energy     {power or 'not known; give --watts'}")
    print(f"money      {f'{about(found.money)} at your price' if found.money else 'give --price LOW HIGH'}")
    print("sources    timm's results (inference), NVIDIA's data sheets, Swin pull request 234; the chain is in --help")
    return 0
