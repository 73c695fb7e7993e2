"""Attention in bytes: whole numbers that still sum exactly."""

import numpy as np
from torch import Tensor

LEVELS = 255


def quantise(weights: Tensor) -> np.ndarray:
    """Rows of shares, (..., T) -> (..., T) of uint8: a share is its byte divided by the sum of its row's bytes.

    Largest-remainder rounding to a total of 255, or of 255 divided by the row's largest share, rounded down, where
    that is more: rows without a strong share are stored more finely. So every row sums to exactly one, each share is
    within one part of the row's total of the true one (1/255 or less), and a share of zero stays exactly zero.

    Raises:
        ValueError: if a row has a negative or infinite share, or none above zero.
    """
    shares = weights.detach().cpu().double().numpy()
    sums = shares.sum(-1, keepdims=True)
    if not np.isfinite(shares).all() or (shares < 0).any() or (sums <= 0).any():
        raise ValueError("these rows are no shares: each must be finite and at least 0, and a row's sum above 0")
    shares = shares / sums
    totals = np.maximum(LEVELS, np.floor(LEVELS / shares.max(-1, keepdims=True)))
    whole = np.floor(shares * totals)
    left_over = np.rint(totals - whole.sum(-1, keepdims=True))
    order = np.argsort(whole - shares * totals, axis=-1, kind="stable")  # the largest remainder first
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(order.shape[-1]), order.shape), axis=-1)
    whole += rank < left_over
    assert whole.max() <= LEVELS, "no byte holds more"
    return whole.astype(np.uint8)


def restored(rows: np.ndarray) -> np.ndarray:
    """Rows as quantise stored them, (..., T) of uint8 -> (..., T) of float32; each row sums to one."""
    return rows.astype(np.float32) / rows.sum(-1, keepdims=True, dtype=np.float32)
