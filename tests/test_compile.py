"""torch.compile without graph breaks, and torch.export, at a size of whole windows and at one that is padded."""

import io
import shutil
import warnings
from collections.abc import Iterator

import pytest
import torch
from _support import error_of, gradients, images, small_model
from torch import nn

from gcvit_edu.model import Block, GCViT

SIZES = [(64, 64), (50, 70)]


def compact_model(**changes: object) -> GCViT:
    """Two stages of a local and a global block, quick to compile; the first has several windows."""
    return small_model(depths=(2, 2), num_heads=(1, 2), window_sizes=(4, 8), **changes)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch")  # the compiler's own deprecations are not ours
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_one_graph_in_eval(size: tuple[int, int]) -> None:
    model, x = compact_model(), images(2, *size)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        assert error_of(compiled(x), model(x)) < 1e-5


def test_one_graph_in_training() -> None:
    model, x = compact_model().train(), images(2, 50, 70)
    expected = gradients(model, x)
    found = gradients(torch.compile(model, fullgraph=True, backend="aot_eager"), x)
    assert max(error_of(found[f"_orig_mod.{name}"], expected[name]) for name in expected) < 1e-3


def test_one_graph_with_drop_path() -> None:
    block = Block(8, 2, 4, use_global=False, drop_path=0.5)
    torch.compile(block, fullgraph=True, backend="aot_eager")(torch.randn(2, 8, 8, 8), None).sum().backward()


def test_a_graph_break_would_be_noticed() -> None:
    class Breaks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch._dynamo.graph_break()
            return x + 1

    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(Breaks(), fullgraph=True, backend="aot_eager")(torch.ones(2))


@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch's default backend needs a C++ compiler")
def test_the_default_backend_gives_the_same() -> None:
    torch.manual_seed(0)
    block = Block(8, 2, 4, use_global=True)
    x, query = torch.randn(2, 6, 6, 8), torch.randn(2, 2, 16, 4)
    with torch.no_grad():
        found = torch.compile(block, fullgraph=True)(x, query)
        assert error_of(found, block(x, query)) < 1e-5


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_export(size: tuple[int, int]) -> None:
    model, x = compact_model(), images(2, *size)
    with torch.no_grad():
        program = torch.export.export(model, (x,))
        other = images(2, *size, seed=1)
        assert error_of(program.module()(other), model(other)) < 1e-5
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        assert error_of(torch.export.load(file).module()(other), model(other)) < 1e-5
