"""Grad-CAM as other people's tools write it: right through the lambda that README gives, wrong without a word else."""

import re
from collections.abc import Callable

import pytest
import torch
from _project import BOOK, ROOT
from torch import Tensor
from torch.nn import functional as F

from gcvit_edu import attention_map, create_model
from gcvit_edu.data import crop_to, load_photo, normalize
from gcvit_edu.model import GCViT, Stage

LAMBDA = r"reshape_transform=(lambda x: x\.permute\([\d, ]+\))"
PLACES = {
    "README": lambda: (ROOT / "README.md").read_text(encoding="utf-8"),
    "chapter 11": lambda: (BOOK / "11_seeing_attention.ipynb").read_text(encoding="utf-8"),
    "Stage": lambda: Stage.__doc__,
}


def grad_cam(model: GCViT, layer: Stage, image: Tensor, label: int, reshape: Callable[[Tensor], Tensor]) -> Tensor:
    """(height, width), in pixels: what the usual tools do with a layer that gives (B, C, H, W) once reshaped."""
    kept = []
    hook = layer.register_forward_hook(lambda _, __, out: kept.append(out))
    logits = model(image)
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, label], kept[0])
    features, gradient = reshape(kept[0]), reshape(gradient)
    weights = gradient.mean((2, 3), keepdim=True)
    seen = (weights * features).sum(1, keepdim=True).clamp_min(0)
    return F.interpolate(seen, image.shape[2:], mode="bilinear")[0, 0].detach()


def correlation(one: Tensor, other: Tensor) -> float:
    return torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()


@pytest.fixture(scope="module")
def model() -> GCViT:
    return create_model("nano", pretrained=True).eval()


@pytest.mark.parametrize("place", PLACES)
def test_a_tool_from_elsewhere_needs_the_lambda(model: GCViT, place: str) -> None:
    (text,) = set(re.findall(LAMBDA, PLACES[place]()))
    image = normalize(crop_to(load_photo("cat"), 64))
    for stage in (0, 1, 2):
        right = attention_map(model, image, method="gradcam", stage=stage, target=3).to_pixels()[0]
        layer = model.stages[stage]
        assert correlation(grad_cam(model, layer, image, 3, eval(text)), right) > 0.999
        assert abs(correlation(grad_cam(model, layer, image, 3, lambda x: x), right)) < 0.5
