"""Traced and exported programs: any number of images, the sizes they were made for, and words for everything else."""

import io
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from _support import error_of, images, small_model
from torch import Tensor
from torch.export import Dim

from gcvit_edu.attention import GlobalWindowAttention
from gcvit_edu.model import GCViT

WHOLE, PADDED = (64, 64), (50, 70)  # all windows whole; thin ones in both stages


@pytest.fixture(autouse=True)
def _words_of_pytorch() -> Iterator[None]:
    with warnings.catch_warnings():
        # torch.jit.trace is deprecated, and says of each branch by a size that another size might take the other one.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        yield


def compact_model() -> GCViT:
    return small_model(embed_dim=8, depths=(2, 2), num_heads=(1, 2), window_sizes=(4, 8))


def check_equal(program: Callable[[Tensor], Tensor], model: GCViT, x: Tensor) -> None:
    with torch.no_grad():
        found, expected = program(x), model(x)
    assert found.shape == expected.shape
    if len(x):
        assert error_of(found, expected) < 1e-5


@pytest.mark.parametrize("size", [WHOLE, PADDED], ids=str)
@pytest.mark.parametrize("traced_with", [0, 1, 4])
def test_a_traced_program_takes_any_number_of_images(traced_with: int, size: tuple[int, int]) -> None:
    model = compact_model()
    with torch.no_grad():
        program = torch.jit.trace(model, images(traced_with, *size))
    for batch in (0, 1, 2, 4):
        check_equal(program, model, images(batch, *size))


@pytest.mark.parametrize("size", [WHOLE, PADDED], ids=str)
def test_tracing_works_while_gradients_are_recorded(size: tuple[int, int]) -> None:
    model = compact_model()
    check_equal(torch.jit.trace(model, images(1, *size)), model, images(3, *size))


@pytest.mark.parametrize("size", [WHOLE, PADDED], ids=str)
def test_a_traced_program_is_right_at_another_size_or_stops(size: tuple[int, int]) -> None:
    model = compact_model()
    with torch.no_grad():
        program = torch.jit.trace(model, images(1, *size))
    right = 0
    for side in (32, 50, 61, 64, 65, 80, 96, 128):
        x = images(2, side, 64)
        try:
            with torch.no_grad():
                program(x)
        except RuntimeError:  # of a view or a product whose sizes do not fit
            continue
        check_equal(program, model, x)
        right += 1
    assert right == (8 if size == PADDED else 2)  # 61 pixels have the maps of 64


@pytest.mark.parametrize("size", [WHOLE, PADDED], ids=str)
def test_an_exported_program_takes_any_number_of_images(size: tuple[int, int]) -> None:
    model = compact_model()
    with torch.no_grad():
        program = torch.export.export(model, (images(2, *size),), dynamic_shapes=({0: Dim("batch", max=64)},))
    for batch in (1, 2, 5):
        check_equal(program.module(), model, images(batch, *size))


ANY = [Dim("side", min=32, max=512), Dim.AUTO, Dim.DYNAMIC, 32 * Dim("blocks", min=1, max=16)]


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("side", ANY, ids=["range", "auto", "dynamic", "multiples"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_program_for_any_size_is_refused_in_words(strict: bool, side: object, axis: int) -> None:
    model, x = compact_model(), images(2, *WHOLE)
    with torch.no_grad(), pytest.raises((ValueError, torch._dynamo.exc.Unsupported)) as caught:
        torch.export.export(model, (x,), dynamic_shapes=({axis: side},), strict=strict)
    assert "any height and width" in str(caught.value)
    assert "export one for each size" in str(caught.value)


def test_onnx_for_any_size_is_refused_in_words() -> None:
    pytest.importorskip("onnxscript")
    with torch.no_grad(), pytest.raises(torch.onnx.OnnxExporterError, match="export one for each size"):
        torch.onnx.export(
            compact_model(), (images(2, *WHOLE),), dynamo=True, dynamic_shapes=({3: Dim.AUTO},), verbose=False
        )


def test_onnx_for_any_number_of_images() -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = compact_model()
    with torch.no_grad():
        shapes = ({0: Dim("batch", max=64)},)
        written = torch.onnx.export(model, (images(2, *PADDED),), dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = runtime.InferenceSession(written.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for batch in (1, 3):
        check_equal(lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0]), model, images(batch, *PADDED))


@pytest.mark.parametrize("axes", [{}, {0: "batch"}, {2: "height", 3: "width"}], ids=str)
def test_the_old_exporter_of_onnx_refuses_padded_maps_in_words(axes: dict[int, str]) -> None:
    with torch.no_grad(), pytest.raises(ValueError, match="leave dynamo=False out, or take sides that are multiples"):
        torch.onnx.export(
            compact_model(),
            (images(2, *PADDED),),
            io.BytesIO(),
            dynamo=False,
            input_names=["image"],
            dynamic_axes={"image": axes},
        )


def test_the_compiler_may_take_sizes_as_unknown() -> None:
    torch._dynamo.reset()
    attention = GlobalWindowAttention(8, 2, 3)
    compiled = torch.compile(attention, backend="eager", dynamic=True)
    query = torch.randn(2, 2, 9, 4)
    with torch.no_grad():
        for height, width in ((6, 9), (7, 5)):
            x = torch.randn(2, height, width, 8)
            assert error_of(compiled(x, query), attention(x, query)) < 1e-5
    torch._dynamo.reset()
