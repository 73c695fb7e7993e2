"""Any image size: every size runs, padding never shows, and nothing leaks between images."""

import pytest
import torch
from _support import (
    check_batch_invariance,
    check_equal_outputs,
    check_permutation,
    enlarge_weights,
    error_of,
    gradients,
    images,
    loop_attention,
    small_model,
)
from torch import Tensor

from gcvit_edu.position import resize_bias_table
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.windows import pad_to_windows
from gcvit_edu.zoo import create_model

SIZES = [(32, 32), (33, 47), (64, 64), (64, 96), (75, 50), (128, 32), (224, 240), (192, 320), (225, 225)]
WHOLE = [(64, 64), (128, 64), (128, 192)]  # multiples of every window: 4, 4, 4, 2 at strides 4, 8, 16, 32


def littered(x: Tensor, window: int) -> tuple[Tensor, Tensor | None]:
    """pad_to_windows, but with rubbish in the padding."""
    padded, real = pad_to_windows(x, window)
    padded = padded.clone()
    padded[:, x.shape[1] :] = 100
    padded[:, :, x.shape[2] :] = -100
    return padded, real


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_size_runs_and_images_stay_apart(size: tuple[int, int]) -> None:
    model, x = small_model(), images(3, *size)
    check_batch_invariance(model, x)
    check_permutation(model, x)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_padding_never_changes_a_real_token(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = small_model(), images(2, *size)
    with torch.no_grad():
        _, clean = model.forward_intermediates(x)
        monkeypatch.setattr("gcvit_edu.attention.pad_to_windows", littered)
        _, found = model.forward_intermediates(x)
    assert all(error_of(one, other) < 1e-6 for one, other in zip(found, clean, strict=True))


@pytest.mark.parametrize("size", [(33, 47), (75, 50)], ids=str)
def test_padding_changes_no_gradient(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = small_model().double(), images(2, *size, dtype=torch.float64)
    clean = gradients(model, x)
    monkeypatch.setattr("gcvit_edu.attention.pad_to_windows", littered)
    found = gradients(model, x)
    assert all(error_of(found[name], clean[name]) < 1e-9 for name in clean)


def test_without_the_mask_padding_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = small_model(), images(2, 33, 47)
    with torch.no_grad():
        clean = model(x)
        monkeypatch.setattr("gcvit_edu.attention.pad_to_windows", lambda x, w: (pad_to_windows(x, w)[0], None))
        assert error_of(model(x), clean) > 1e-2


@pytest.mark.parametrize("size", [(33, 47), (64, 96), (75, 50)], ids=str)
def test_every_block_of_a_model_equals_loops_that_know_no_padding(size: tuple[int, int]) -> None:
    model = small_model().double()
    differences = []

    def compare(attn: torch.nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        differences.append((loop_attention(attn, *inputs) - out).abs().max().item())

    for stage in model.stages[1:]:
        for block in stage.blocks[:2]:
            block.attn.register_forward_hook(compare)
    with torch.no_grad():
        model(images(1, *size, dtype=torch.float64))
    assert len(differences) == 6
    assert max(differences) < 1e-10


@pytest.mark.parametrize("size", WHOLE, ids=str)
def test_whole_windows_are_never_padded(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    masks = []

    def watch(x: Tensor, window: int) -> tuple[Tensor, Tensor | None]:
        padded, real = pad_to_windows(x, window)
        masks.append(real)
        return padded, real

    monkeypatch.setattr("gcvit_edu.attention.pad_to_windows", watch)
    with torch.no_grad():
        small_model()(images(1, *size))
    assert masks == [None] * 10  # ten blocks


def test_the_224_models_are_never_padded_at_224(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(x: Tensor, window: int) -> tuple[Tensor, None]:
        padded, real = pad_to_windows(x, window)
        assert real is None
        return padded, None

    monkeypatch.setattr("gcvit_edu.attention.pad_to_windows", refuse)
    with torch.device("meta"):
        model = create_model("xxtiny")
    model(torch.empty(1, 3, 224, 224, device="meta"))
    with pytest.raises(AssertionError):
        model(torch.empty(1, 3, 240, 240, device="meta"))


@pytest.mark.parametrize("size", [(32, 32), (225, 225), (224, 240), (100, 300)], ids=str)
def test_a_model_for_224_runs_elsewhere(size: tuple[int, int]) -> None:
    model = create_model("xxtiny").eval()
    enlarge_weights(model)
    check_batch_invariance(model, images(2, *size))


def test_turning_the_image_and_the_weights_turns_the_maps() -> None:
    # With kernels and tables made symmetric about the diagonal, nothing prefers rows to columns.
    model = small_model().double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 4 and parameter.shape[-1] == 3:
                parameter.copy_((parameter + parameter.transpose(2, 3)) / 2)
            elif name.endswith("table"):
                side = round(len(parameter) ** 0.5)
                picture = parameter.unflatten(0, (side, side))
                parameter.copy_(((picture + picture.transpose(0, 1)) / 2).flatten(0, 1))
        x = images(2, 75, 50, dtype=torch.float64)
        _, maps = model.forward_intermediates(x)
        _, turned = model.forward_intermediates(x.transpose(2, 3).contiguous())
    assert all(error_of(one.transpose(2, 3), other) < 1e-10 for one, other in zip(turned, maps, strict=True))


@pytest.mark.parametrize("size", [31, 16, 1])
def test_below_32_pixels_is_refused(size: int) -> None:
    for shape in ((size, 64), (64, size)):
        with pytest.raises(ValueError, match="too small; enlarge both sides to 32"):
            small_model()(images(1, *shape))


@pytest.mark.parametrize("size", [32, 64, 96, 130])
def test_weights_move_to_a_model_of_another_size(size: int) -> None:
    source = create_model("nano", num_classes=5)
    enlarge_weights(source)
    target = create_model("nano", num_classes=5, image_size=size).eval()
    converted = convert_state_dict(source.state_dict(), target)
    target.load_state_dict(converted)
    for name, value in source.state_dict().items():
        if name.endswith("table"):
            window = (round(len(target.state_dict()[name]) ** 0.5) + 1) // 2
            assert torch.equal(converted[name], resize_bias_table(value, window)), name
        else:
            assert torch.equal(converted[name], value), name
    check_batch_invariance(target, images(2, size))


def test_at_its_own_size_nothing_is_resized() -> None:
    source = create_model("nano")
    enlarge_weights(source)
    target = create_model("nano")
    target.load_state_dict(convert_state_dict(source.state_dict(), target))
    check_equal_outputs(source.eval(), target.eval(), images(2, 64), tolerance=1e-12)
