"""Equal to timm's GC ViT: logits, maps and gradients, with weights that matter, in batches."""

from importlib.metadata import version

import pytest
import timm
import torch
from _support import check_equal_gradients, check_equal_outputs, enlarge_weights, error_of, images
from packaging.version import Version
from timm.models.gcvit import GlobalContextVit
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.config import GCViTConfig
from gcvit_edu.model import GCViT
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.weights import TIMM_VARIANTS
from gcvit_edu.zoo import create_model

pytestmark = pytest.mark.skipif(
    Version(version("timm")) < Version("1.0.31"),
    reason="before 1.0.31, timm gave windows the global query of another image",
)


def pair(name: str, size: int = 224) -> tuple[GCViT, nn.Module]:
    """Our model and timm's with the same large random weights, in eval mode."""
    theirs = timm.create_model(f"gcvit_{name}", img_size=size).eval()
    enlarge_weights(theirs)
    ours = create_model(name, image_size=size).eval()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), ours))
    return ours, theirs


def check_equal_maps(ours: nn.Module, theirs: nn.Module, x: Tensor, tolerance: float = 1e-5) -> None:
    with torch.no_grad():
        final, maps = ours.forward_intermediates(x, norm=True)  # timm's last stage ends with the norm
        their_final, their_maps = theirs.forward_intermediates(x)
    assert len(maps) == len(their_maps) == 4
    for found, expected in zip([final, *maps], [their_final, *their_maps], strict=True):
        assert error_of(found, expected) < tolerance


@pytest.mark.parametrize("name", TIMM_VARIANTS)
def test_equal_at_224_pixels(name: str) -> None:
    ours, theirs = pair(name)
    x = images(2, 224)
    check_equal_outputs(ours, theirs, x)
    check_equal_maps(ours, theirs, x)
    check_equal_gradients(ours, theirs, x[:1], convert_state_dict, tolerance=1e-4)


def test_equal_gradients_of_a_batch_but_for_rounding() -> None:
    ours, theirs = pair("xxtiny")
    check_equal_gradients(ours.double(), theirs.double(), images(3, 224).double(), convert_state_dict)


def test_the_weights_matter() -> None:
    # Otherwise the comparisons above would show little: logits and maps keep a deviation of about 1,
    # and the bias tables and queries change the outcome.
    ours, _ = pair("xxtiny")
    x = images(3, 224)
    with torch.no_grad():
        logits = ours(x)
        assert 0.5 < logits.std() < 2
        assert error_of(logits.roll(1, dims=0), logits) > 0.5, "all images look alike to this model"
        for name in ("stages.0.blocks.1.attn.bias.table", "stages.0.query.mbconvs.2.conv_pw.weight"):
            parameter = ours.get_parameter(name)
            before = parameter.clone()
            parameter.zero_()
            assert error_of(ours(x), logits) > 1e-3, name
            parameter.copy_(before)


def test_a_small_mistake_is_noticed() -> None:
    ours, theirs = pair("xxtiny")
    with torch.no_grad():
        ours.stages[3].blocks[0].norm1.bias[0] += 1e-3
    x = images(1, 224)
    with pytest.raises(AssertionError, match="outputs differ"):
        check_equal_outputs(ours, theirs, x)
    with pytest.raises(AssertionError):
        check_equal_maps(ours, theirs, x)
    with pytest.raises(AssertionError, match=r"gradient of|not the same maxima"):
        check_equal_gradients(ours, theirs, x, convert_state_dict, tolerance=1e-4)
    with pytest.raises(AssertionError, match="gradient of"):
        check_equal_gradients(ours.double(), theirs.double(), x.double(), convert_state_dict)


@pytest.mark.parametrize("size", [256, 384])
def test_equal_at_sizes_that_grow_the_windows(size: int) -> None:
    ours, theirs = pair("xxtiny", size)
    check_equal_outputs(ours, theirs, images(2, size))
    check_equal_maps(ours, theirs, images(1, size))


def test_weights_of_224_pixels_in_a_model_for_256() -> None:
    at_224 = timm.create_model("gcvit_xxtiny")
    enlarge_weights(at_224)
    theirs = timm.create_model("gcvit_xxtiny", img_size=256).eval()
    resized = {}
    for name, value in at_224.state_dict().items():
        if name.endswith("relative_position_bias_table"):  # an independent resize: as an image, head by head
            side, window = round(len(value) ** 0.5), round(len(value) ** 0.5) // 2 + 1
            new_side = 2 * (window * 8 // 7) - 1
            heads = [
                F.interpolate(head.view(1, 1, side, side), (new_side, new_side), mode="bicubic", align_corners=True)
                for head in value.T
            ]
            value = torch.stack([head.flatten() for head in heads], dim=1)
        resized[name] = value
    theirs.load_state_dict(resized)
    ours = create_model("xxtiny", image_size=256).eval()
    ours.load_state_dict(convert_state_dict(at_224.state_dict(), ours))
    check_equal_outputs(ours, theirs, images(2, 256))


@pytest.mark.parametrize("size", [64, 128])
def test_equal_when_a_larger_map_holds_more_windows(size: int) -> None:
    # Windows of unchanged size: the query generators of a config made for this size halve more often.
    numbers = {"embed_dim": 32, "depths": (2, 3, 2, 2), "num_heads": (1, 2, 2, 4), "num_classes": 5}
    windows = (4, 4, 4, 2)
    theirs = GlobalContextVit(img_size=size, window_size=tuple((w, w) for w in windows), **numbers).eval()
    enlarge_weights(theirs)
    ours = GCViT(GCViTConfig(image_size=size, window_sizes=windows, **numbers)).eval()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), ours))
    x = images(3, size)
    check_equal_outputs(ours, theirs, x)
    check_equal_gradients(ours.double(), theirs.double(), x.double(), convert_state_dict)


def test_equal_in_training_with_drop_path() -> None:
    # Both draw one number per sample and branch, in the same order.
    theirs = timm.create_model("gcvit_xxtiny", drop_path_rate=0.5).train()
    enlarge_weights(theirs)
    ours = create_model("xxtiny", drop_path_rate=0.5).train()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), ours))
    out = []
    for model in (ours, theirs):
        torch.manual_seed(0)
        with torch.no_grad():
            out.append(model(images(3, 224)))
    assert error_of(*out) < 1e-5
