"""What timm's own tests ask of each of its models, asked of ours; and what changes the head, beside timm's GC ViT."""

from collections.abc import Callable

import pytest
import timm
import torch
from _support import error_of, images
from timm.models import FeatureInfo
from torch import nn

NAMES = ["gcvit_edu_nano", "gcvit_edu_xxtiny"]


@pytest.fixture(scope="module", params=NAMES)
def entry(request: pytest.FixtureRequest) -> str:
    import gcvit_edu.zoo  # noqa: F401, registers the names

    return request.param


def size_of(model: nn.Module, most: int) -> int:
    return min(most, model.default_cfg["input_size"][-1])


@torch.no_grad()
def test_forward_and_checkpointing(entry: str) -> None:
    model = timm.create_model(entry, pretrained=False).eval()
    x = images(1, size_of(model, 224))
    out = model(x)
    assert out.shape == (1, model.num_classes)
    assert out.isfinite().all()
    model.set_grad_checkpointing()
    torch.testing.assert_close(model(x), out, rtol=1e-4, atol=1e-5)


def test_backward_reaches_every_parameter(entry: str) -> None:
    model = timm.create_model(entry, pretrained=False, num_classes=42, drop_path_rate=0.0).train()
    out = model(images(2, size_of(model, 128)))
    assert out.shape == (2, 42)
    assert out.isfinite().all()
    out.mean().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


@torch.no_grad()
def test_head_and_default_cfg(entry: str) -> None:
    model = timm.create_model(entry, pretrained=False).eval()
    cfg, names = model.default_cfg, set(model.state_dict())
    x = images(1, cfg["input_size"][-1])
    features = model.forward_features(x)
    assert features.shape[-2:] == cfg["pool_size"]
    pooled = model.forward_head(features, pre_logits=True)
    assert pooled.shape == (1, model.head_hidden_size)
    model.reset_classifier(0)
    assert model.num_classes == 0
    assert torch.equal(model(x), pooled)
    assert pooled.shape[-1] == model.num_features
    model.reset_classifier(0, "")
    assert torch.equal(model(x), features)
    built = timm.create_model(entry, pretrained=False, num_classes=0, global_pool="").eval()
    assert built(x).shape == features.shape
    assert {cfg["classifier"] + ".weight", cfg["first_conv"] + ".weight"} <= names


@pytest.mark.parametrize("name", ["gcvit_edu_nano.emoji_nano", "gcvit_edu_nano.scenes_nano"])
def test_pretrained_with_other_channels_and_as_features(name: str) -> None:
    assert name in timm.list_pretrained("gcvit_edu*")
    model = timm.create_model(name, pretrained=True, in_chans=1, num_classes=5)
    assert model(images(1, 64, chans=1)).shape == (1, 5)
    assert len(timm.create_model(name, pretrained=True, features_only=True)(images(1, 64))) == 4


@torch.no_grad()
@pytest.mark.parametrize(
    "options", [{}, {"feature_cls": "getter"}, {"out_indices": (1, -1)}, {"out_indices": 2}], ids=str
)
def test_features(entry: str, options: dict) -> None:
    model = timm.create_model(entry, pretrained=False, features_only=True, **options).eval()
    out = model(images(1, size_of(model, 96)))
    assert [each.shape[1] for each in out] == model.feature_info.channels()
    assert all(each.shape[0] == 1 and each.isfinite().all() for each in out)
    side = size_of(model, 96)
    assert [-(-side // stride) for stride in model.feature_info.reduction()] == [each.shape[-1] for each in out]


@torch.no_grad()
def test_intermediates(entry: str) -> None:
    model = timm.create_model(entry, pretrained=False).eval()
    info = FeatureInfo(model.feature_info, len(model.feature_info))
    x = images(2, size_of(model, 96))
    final, maps = model.forward_intermediates(x)
    assert [each.shape[1] for each in maps] == info.channels()
    assert all(each.isfinite().all() for each in maps)
    assert error_of(final, model.forward_features(x)) < 1e-5
    alone = model.forward_intermediates(x, indices=[0, 2], intermediates_only=True, stop_early=True)
    assert all(torch.equal(one, maps[index]) for one, index in zip(alone, (0, 2), strict=True))
    assert model.prune_intermediate_layers([0, 2]) == [0, 2]
    pruned = model.forward_intermediates(x, indices=[0, 2], intermediates_only=True)
    assert all(torch.equal(one, other) for one, other in zip(pruned, alone, strict=True))
    assert model(x).shape[0] == 2


# --------------------------------------------------------------------------------------------- beside timm's own


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.reset_classifier(3),
        lambda model: model.reset_classifier(3, "max"),
        lambda model: model.reset_classifier(3, "catavgmax"),
        lambda model: model.reset_classifier(0),
        lambda model: model.reset_classifier(0, ""),
        lambda model: model.reset_classifier(0, "avgmax"),
        lambda model: model.prune_intermediate_layers([1]),
        lambda model: model.prune_intermediate_layers(1, prune_head=False),
    ],
)
@torch.no_grad()
def test_a_changed_head_has_the_sizes_of_timms(change: Callable[[nn.Module], object]) -> None:
    sizes = []
    for name in ("gcvit_edu_xxtiny", "gcvit_xxtiny"):
        model = timm.create_model(name).eval()
        change(model)
        x = model.forward_features(images(1, 224))
        pooled = model.forward_head(x, pre_logits=True)
        sizes.append(
            (model.num_classes, model.num_features, model.head_hidden_size, model.in_chans, x.shape, pooled.shape)
        )
    assert sizes[0] == sizes[1]
