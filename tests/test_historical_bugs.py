"""Bugs that implementations really had, ours among them: each is planted, and must be caught by the right checks."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from _support import (
    calls_of_modules,
    check_batch_invariance,
    check_equal_gradients,
    check_equal_outputs,
    check_permutation,
    enlarge_weights,
    images,
    loop_query,
    reach,
)
from timm.models.gcvit import GlobalContextVit
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.attention import GlobalWindowAttention, attend
from gcvit_edu.config import GCViTConfig
from gcvit_edu.layers import FusedMBConv
from gcvit_edu.model import GCViT
from gcvit_edu.query import GlobalQueryGenerator
from gcvit_edu.weight_keys import convert_state_dict

Planter = Callable[[pytest.MonkeyPatch], None]


def plant_tiled_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows 0, 1, 2, ... get the queries of images 0, 1, 0, 1, ... (NVlabs/GCVit issue 10; timm to 1.0.30)."""

    def tiled(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, real: Tensor | None = None) -> Tensor:
        return attend(q.repeat(len(k) // len(q), 1, 1, 1), k, v, bias, real)

    monkeypatch.setattr(GlobalWindowAttention, "attend", staticmethod(tiled))


def plant_heads_across_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """The map is reshaped to tokens while its channels still come first (NVlabs/GCVit issue 11)."""
    right = GlobalQueryGenerator.forward

    def wrong(self: GlobalQueryGenerator, x: Tensor) -> Tensor:
        query = right(self, x)
        batch, heads, tokens, d = query.shape
        channels_first = query.transpose(2, 3).reshape(batch, heads * d * tokens)
        return channels_first.reshape(batch, tokens, heads, d).transpose(1, 2)

    monkeypatch.setattr(GlobalQueryGenerator, "forward", wrong)


def plant_folded_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gates scale the pointwise weights instead of the map, so that conv_pw is read and never called (ours)."""

    def folded(self: FusedMBConv, x: Tensor) -> Tensor:
        y = F.gelu(self.conv_dw(x))
        weights = self.se(y)[:, None, :] * self.conv_pw.weight.flatten(1)  # (B, C', C)
        return x + (weights @ y.flatten(2)).unflatten(2, x.shape[2:])

    monkeypatch.setattr(FusedMBConv, "forward", folded)


def plant_zero_padded_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The max-pool pads with zeros, which win where all real values are negative (keras.io's example)."""

    def pool(x: Tensor, kernel_size: int, stride: int, padding: int) -> Tensor:
        return F.max_pool2d(F.pad(x, [padding] * 4), kernel_size, stride)

    functions = SimpleNamespace(max_pool2d=pool, adaptive_avg_pool2d=F.adaptive_avg_pool2d)
    monkeypatch.setattr("gcvit_edu.query.F", functions)


def plant_thin_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that is partly padding asks with the first cells of the query (ours, until November 2026)."""

    def first_cells(query: Tensor, window: int, height: int, width: int) -> Tensor:
        return query.repeat_interleave(-(-height // window) * -(-width // window), dim=0)

    monkeypatch.setattr("gcvit_edu.attention.queries_for_windows", first_cells)


SIZE = 64  # several windows in all stages but the last


@pytest.fixture(scope="module")
def models() -> tuple[GCViT, nn.Module]:
    numbers = {"embed_dim": 32, "depths": (2, 3, 2, 2), "num_heads": (1, 2, 2, 4), "num_classes": 5}
    windows = (4, 4, 2, 2)
    theirs = GlobalContextVit(img_size=SIZE, window_size=tuple((w, w) for w in windows), **numbers).eval()
    enlarge_weights(theirs)
    ours = GCViT(GCViTConfig(image_size=SIZE, window_sizes=windows, **numbers)).eval()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), ours))
    return ours.double(), theirs.double()


def check_query(seed: int = 0) -> None:
    """The query generator equals its loops."""
    made = GlobalQueryGenerator(dim=8, num_heads=2, window=2, halvings=2).double()
    enlarge_weights(made, seed)
    x = images(2, 8, chans=8, dtype=torch.float64).permute(0, 2, 3, 1)
    torch.testing.assert_close(made(x), loop_query(made, x))


def check_reach() -> None:
    """Every token hears of every other, on a map of whole windows and on one with thin windows at two sides."""
    for side in (6, 8):
        missing = int((~reach(side, side, window=3)).sum())
        assert not missing, f"{missing} pairs of tokens cannot reach each other at {side}x{side}"


def check_calls(model: nn.Module) -> None:
    """Every module with parameters is called once."""
    assert set(calls_of_modules(model, images(1, SIZE, dtype=torch.float64)).values()) == {1}


PARITY, GRADIENTS, BATCH, ORDER, QUERY = "parity", "gradients", "batch invariance", "permutation", "query loops"
REACH, CALLS = "reach", "calls"


def checks(models: tuple[GCViT, nn.Module]) -> dict[str, Callable[[], None]]:
    ours, theirs = models
    x = images(3, SIZE, dtype=torch.float64)
    return {
        PARITY: lambda: check_equal_outputs(ours, theirs, x),
        GRADIENTS: lambda: check_equal_gradients(ours, theirs, x, convert_state_dict),
        BATCH: lambda: check_batch_invariance(ours, x),
        ORDER: lambda: check_permutation(ours, x),
        QUERY: check_query,
        REACH: check_reach,
        CALLS: lambda: check_calls(ours),
    }


def test_without_a_bug_every_check_passes(models: tuple[GCViT, nn.Module]) -> None:
    for check in checks(models).values():
        check()


@pytest.mark.parametrize(
    ("plant", "caught_by"),
    [
        (plant_tiled_query, {PARITY, GRADIENTS, BATCH, ORDER}),
        (plant_heads_across_space, {PARITY, GRADIENTS, QUERY}),
        (plant_zero_padded_pooling, {PARITY, GRADIENTS, QUERY}),
        (plant_thin_window, {REACH}),
        (plant_folded_gates, {CALLS}),
    ],
)
def test_a_planted_bug_is_caught(
    plant: Planter, caught_by: set[str], models: tuple[GCViT, nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    failed = set()
    for name, check in checks(models).items():
        try:
            check()
        except AssertionError:
            failed.add(name)
    assert failed == caught_by


def test_a_batch_of_one_hides_the_tiled_query(models: tuple[GCViT, nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    # Which is how it lived for four years: values were compared for single images only.
    plant_tiled_query(monkeypatch)
    check_equal_outputs(*models, images(1, SIZE, dtype=torch.float64))
