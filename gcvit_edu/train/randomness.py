"""The random generators of a process: their seeds, their states."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The state of every generator of this process that training draws from."""
    layout, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "python": (layout, list(numbers), gauss),
        "numpy": (str(kind), torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put every generator of this process where random_state found it."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    layout, numbers, gauss = state["python"]
    random.setstate((layout, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))


def seed_process(seed: int, rank: int) -> None:
    """Seed every generator of this process, each rank differently, so that their drop paths differ."""
    own = seed * 1_000_003 + rank
    torch.manual_seed(own)
    random.seed(own)
    np.random.seed(own % 2**32)
