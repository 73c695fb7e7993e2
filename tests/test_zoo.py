"""The variants, their sizes, and everything timm may ask of them."""

import subprocess
import sys
from urllib.error import URLError

import pytest
import timm
import torch
from _support import enlarge_weights, error_of, images
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

import gcvit_edu.weights
from gcvit_edu.counting import count
from gcvit_edu.model import GCViT
from gcvit_edu.variants import list_models
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.weights import NVIDIA_LICENCE
from gcvit_edu.zoo import create_model

# Parameters in millions and multiply-adds in billions, measured on timm's models or on NVIDIA's definition.
MEASURED = {
    "xxtiny": (11.995, 2.12),
    "xtiny": (19.981, 2.91),
    "tiny": (28.222, 4.76),
    "tiny2": (34.536, 6.18),
    "small": (51.092, 8.53),
    "small2": (68.615, 11.54),
    "base": (90.321, 14.82),
    "large": (202.076, 32.55),
    "large_384": (202.861, 103.94),
    "large_512": (203.795, 202.14),
}


def on_meta(name: str, **changes: object) -> GCViT:
    with torch.device("meta"):
        return create_model(name, **changes)


def test_the_names() -> None:
    assert list_models() == ["nano", *MEASURED]


@pytest.mark.parametrize("name", list(MEASURED))
def test_parameters_and_multiply_adds(name: str) -> None:
    counts = count(on_meta(name))
    parameters, multiply_adds = MEASURED[name]
    assert round(counts.parameters / 1e6, 3) == parameters
    assert counts.multiply_adds / 1e9 == pytest.approx(multiply_adds, rel=0.01)


def test_nano_is_small_and_has_several_windows() -> None:
    config = on_meta("nano").config
    assert count(on_meta("nano", num_classes=10)).parameters / 1e6 == pytest.approx(2.6, abs=0.05)
    assert config.map_sizes == (16, 8, 4, 2)
    assert config.window_sizes == (4, 4, 4, 2)
    assert config.num_heads == (1, 2, 4, 8)  # 32 channels per head, as in the paper's variants
    assert config.drop_path_rate == 0.1


def test_layer_scale_and_drop_path_of_the_paper() -> None:
    configs = {name: on_meta(name).config for name in MEASURED}
    assert [config.layer_scale for config in configs.values()] == [None] * 4 + [1e-5] * 6
    assert [config.drop_path_rate for config in configs.values()] == [
        0.2, 0.2, 0.2, 0.25, 0.3, 0.35, 0.5, 0.5, 0.1, 0.1,
    ]  # fmt: skip
    assert {config.dims[0] // config.num_heads[0] for config in configs.values()} == {32}
    # NVIDIA's list for 512 pixels was wrong once (its pull request 60): H/32, H/32, H/16, H/32.
    assert configs["large_512"].window_sizes == (16, 16, 32, 16)


@pytest.mark.parametrize(
    ("name", "near"), [("tinny", "tiny"), ("smal", "small"), ("larg", "large"), ("xx-tiny", "xxtiny")]
)
def test_an_unknown_name_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"no variant is called '{name}'.*{near}"):
        create_model(name)


def test_a_name_like_none_of_them_lists_them_all() -> None:
    with pytest.raises(ValueError, match=r"nano, xxtiny, .*large_512"):
        create_model("@")


def test_image_size_grows_the_windows() -> None:
    assert on_meta("tiny", image_size=384).config.window_sizes == (12, 12, 24, 12)
    assert on_meta("tiny", image_size=224).config == on_meta("tiny").config
    assert on_meta("large_384", image_size=512).config.window_sizes == (16, 16, 32, 16)


def test_head_channels_and_drop_path_can_be_chosen() -> None:
    model = on_meta("nano", num_classes=7, in_chans=1, drop_path_rate=0.4)
    assert model(torch.empty(2, 1, 64, 64, device="meta")).shape == (2, 7)
    assert model.config.drop_path_rate == 0.4
    assert on_meta("nano", drop_path_rate=0.0).config.drop_path_rate == 0


def test_everything_public_can_be_imported() -> None:
    code = "from gcvit_edu import *; from gcvit_edu.zoo import *; create_model, convert_state_dict, GCViT"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# --- timm's registry and its contract ---


def test_timm_knows_every_variant() -> None:
    assert set(timm.list_models("gcvit_edu_*")) == {f"gcvit_edu_{name}" for name in list_models()}


def test_timm_creates_the_same_model() -> None:
    torch.manual_seed(0)
    ours = create_model("nano", num_classes=7, drop_path_rate=0.3)
    torch.manual_seed(0)
    theirs = timm.create_model("gcvit_edu_nano", num_classes=7, drop_path_rate=0.3)
    assert theirs.config == ours.config
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in ours.state_dict().items())
    assert theirs.default_cfg["input_size"] == (3, 64, 64)
    assert timm.data.resolve_model_data_config(theirs)["mean"] == (0.485, 0.456, 0.406)


def test_timm_knows_how_pictures_are_prepared_and_where_the_ends_are() -> None:
    theirs = timm.create_model("gcvit_edu_tiny").default_cfg
    assert theirs["input_size"] == (3, 224, 224)
    assert theirs["pool_size"] == (7, 7)
    # As for timm's own GC ViT, which the pretrained weights come from.
    reference = timm.get_pretrained_cfg("gcvit_tiny")
    for name in ("crop_pct", "interpolation", "mean", "std"):
        assert theirs[name] == getattr(reference, name), name
    model = timm.create_model("gcvit_edu_nano")
    assert isinstance(model.get_submodule(theirs["first_conv"]), nn.Conv2d)
    assert model.get_submodule(theirs["classifier"]) is model.head


def test_timm_options() -> None:
    x = images(2, 64)
    assert timm.create_model("gcvit_edu_nano", num_classes=0)(x).shape == (2, 256)
    assert timm.create_model("gcvit_edu_nano", num_classes=0, global_pool="")(x).shape == (2, 256, 2, 2)
    assert timm.create_model("gcvit_edu_nano", in_chans=1)(x[:, :1]).shape == (2, 1000)
    assert timm.create_model("gcvit_edu_nano", img_size=128).config.window_sizes == (8, 8, 8, 4)
    with pytest.raises(ValueError, match=r"global_pool='sum'.*'avg', 'max'"):
        timm.create_model("gcvit_edu_nano", global_pool="sum")
    with pytest.raises(ValueError, match="no pretrained weights for tiny2"):
        timm.create_model("gcvit_edu_tiny2", pretrained=True)


@pytest.mark.parametrize("size", [(64, 64), (50, 70)], ids=str)
def test_features_only_gives_four_maps(size: tuple[int, int]) -> None:
    model = timm.create_model("gcvit_edu_nano", features_only=True).eval()
    assert model.feature_info.channels() == [32, 64, 128, 256]
    assert model.feature_info.reduction() == [4, 8, 16, 32]
    shapes = [tuple(each.shape[1:]) for each in model(images(1, *size))]
    assert shapes == [(32 * 2**i, -(-size[0] // 2 ** (i + 2)), -(-size[1] // 2 ** (i + 2))) for i in range(4)]


def test_features_of_chosen_stages() -> None:
    model = timm.create_model("gcvit_edu_nano", features_only=True, out_indices=(1, 3))
    assert [each.shape[1] for each in model(images(1, 64))] == [64, 256]


@pytest.fixture(scope="module")
def nano() -> GCViT:
    model = create_model("nano", num_classes=5).eval()
    enlarge_weights(model)
    return model.requires_grad_(False)


def test_head_and_features_make_the_model(nano: GCViT) -> None:
    x = images(2, 64)
    features = nano.forward_features(x)
    assert features.shape == (2, 256, 2, 2)
    assert torch.equal(nano.forward_head(features), nano(x))
    pooled = nano.forward_head(features, pre_logits=True)
    assert pooled.shape == (2, nano.num_features)
    assert torch.equal(nano.get_classifier()(pooled), nano(x))


def test_intermediates_agree_with_the_features(nano: GCViT) -> None:
    x = images(2, 64)
    final, maps = nano.forward_intermediates(x, norm=True)
    assert torch.equal(final, nano.forward_features(x))
    assert torch.equal(maps[-1], final)
    _, raw = nano.forward_intermediates(x)
    assert all(torch.equal(one, other) for one, other in zip(raw[:3], maps[:3], strict=True))
    torch.testing.assert_close(nano.norm(raw[3].permute(0, 2, 3, 1)).permute(0, 3, 1, 2), final)


def test_intermediates_by_index(nano: GCViT) -> None:
    x = images(1, 64)
    maps = nano.forward_intermediates(x, intermediates_only=True)
    for indices, expected in [([0, 2], [0, 2]), ([-1], [3]), ([-4, 1], [0, 1]), (2, [2, 3]), (4, [0, 1, 2, 3])]:
        found = nano.forward_intermediates(x, indices=indices, intermediates_only=True)
        assert len(found) == len(expected), indices
        assert all(torch.equal(one, maps[i]) for one, i in zip(found, expected, strict=True)), indices
    last_first = nano.forward_intermediates(x, output_fmt="NHWC", intermediates_only=True)
    assert all(torch.equal(a, b.permute(0, 2, 3, 1)) for a, b in zip(last_first, maps, strict=True))


@pytest.mark.parametrize("indices", [[4], [-5], 5])
def test_intermediates_that_are_not_there(nano: GCViT, indices: int | list[int]) -> None:
    with pytest.raises(ValueError, match="the stages are 0 to 3"):
        nano.forward_intermediates(images(1, 64), indices=indices)


def test_intermediates_in_an_unknown_format(nano: GCViT) -> None:
    with pytest.raises(ValueError, match=r"output_fmt='NLC'.*'NHWC'"):
        nano.forward_intermediates(images(1, 64), output_fmt="NLC")


def test_stop_early_runs_no_later_stage(nano: GCViT) -> None:
    ran = []
    hooks = [
        stage.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, stage in enumerate(nano.stages)
    ]
    x = images(1, 64)
    early = nano.forward_intermediates(x, indices=[1], stop_early=True, intermediates_only=True)
    assert ran == [0, 1]
    full = nano.forward_intermediates(x, indices=[1], intermediates_only=True)
    assert ran == [0, 1, 0, 1, 2, 3]
    assert torch.equal(early[0], full[0])
    for hook in hooks:
        hook.remove()


def test_reset_classifier() -> None:
    model = create_model("nano").eval()
    model.reset_classifier(3)
    assert model(images(2, 64)).shape == (2, 3)
    assert model.num_classes == 3
    model.reset_classifier(0, "")
    assert model(images(2, 64)).shape == (2, 256, 2, 2)
    model.reset_classifier(0, "avg")
    assert model(images(2, 64)).shape == (2, 256)
    for num_classes, pool in ((0, "sum"), (5, "")):
        with pytest.raises(ValueError, match=f"global_pool='{pool}' with num_classes={num_classes}"):
            model.reset_classifier(num_classes, pool)
    with pytest.raises(ValueError, match=r"num_classes=2.5 must be a whole number"):
        model.reset_classifier(2.5)
    assert model.num_classes == model.config.num_classes == 0  # as before the refusal
    with torch.device("meta"):
        empty = create_model("nano")
    empty.reset_classifier(4)
    assert empty.head.weight.is_meta
    half = create_model("nano").bfloat16()
    half.reset_classifier(4)
    assert half.head.weight.dtype == torch.bfloat16


def test_bias_tables_are_not_decayed() -> None:
    model = create_model("nano")
    groups = param_groups_weight_decay(model, 0.05, no_weight_decay_list=model.no_weight_decay())
    kept = {id(value) for group in groups if group["weight_decay"] == 0 for value in group["params"]}
    for name, value in model.named_parameters():
        assert (id(value) in kept) == (value.ndim == 1 or name.endswith("bias.table")), name
    assert len(model.no_weight_decay()) == 10


def test_layers_run_from_the_stem_to_the_head() -> None:
    model = create_model("nano")
    layer_of = {
        name: layer for layer, names in group_parameters(model, model.group_matcher()).items() for name in names
    }
    assert set(layer_of) == {name for name, _ in model.named_parameters()}
    order = ["stem.conv.weight", "stages.0.query.mbconvs.0.conv_dw.weight"]
    for stage, depth in enumerate((2, 2, 4, 2)):
        order += [f"stages.{stage}.downsample.conv.weight"] * bool(stage)
        order += [f"stages.{stage}.blocks.{block}.attn.proj.weight" for block in range(depth)]
    layers = [layer_of[name] for name in order]
    assert layers == sorted(layers)
    assert len(set(layers)) == 1 + 10  # the stem and ten blocks; a stage's beginning goes with its first block
    assert layer_of["norm.weight"] >= layers[-1]
    assert layer_of["head.weight"] >= layers[-1]
    coarse = group_parameters(model, model.group_matcher(coarse=True))
    assert len(coarse) in (5, 6)


def test_layer_wise_decay_grows_towards_the_head() -> None:
    model = create_model("nano")
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    scale_of = {id(value): group["lr_scale"] for group in groups for value in group["params"]}
    assert scale_of[id(model.head.weight)] == 1
    assert scale_of[id(model.stem.conv.weight)] == min(scale_of.values())


# --- pretrained=True, with the download stubbed ---


@pytest.fixture
def licence_not_yet_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcvit_edu.weights, "_licence_printed", False)


@pytest.fixture
def downloaded(monkeypatch: pytest.MonkeyPatch, licence_not_yet_printed: None) -> dict:
    """timm's download gives random weights of its xxtiny instead; what it was asked for is under 'asked'."""
    model = timm.create_model("gcvit_xxtiny")
    enlarge_weights(model)
    stub = {"model": model.eval(), "asked": []}

    def fetch(url: str, **options: object) -> dict[str, torch.Tensor]:
        stub["asked"].append((url, options["check_hash"]))
        return {key: value.clone() for key, value in model.state_dict().items()}

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", fetch)
    return stub


def test_pretrained_weights_arrive(downloaded: dict, capsys: pytest.CaptureFixture[str]) -> None:
    model = create_model("xxtiny", pretrained=True).eval()
    ((url, check_hash),) = downloaded["asked"]
    assert url.endswith(".pth")
    assert "gcvit_xxtiny" in url
    assert check_hash is True
    expected = convert_state_dict(downloaded["model"].state_dict())
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        x = images(1, 224)
        assert error_of(model(x), downloaded["model"](x)) < 1e-5
    assert capsys.readouterr().out.strip() == NVIDIA_LICENCE

    create_model("xxtiny", pretrained=True)
    assert capsys.readouterr().out == "", "the licence is printed once"


def test_pretrained_with_another_head(downloaded: dict) -> None:
    torch.manual_seed(0)
    model = create_model("xxtiny", pretrained=True, num_classes=10, drop_path_rate=0.0)
    assert model.head.weight.shape == (10, 512)
    assert model.num_classes == 10
    assert model.head.weight.std() < 0.1
    assert torch.equal(model.stem.conv.weight, downloaded["model"].stem.conv1.weight)


def test_pretrained_at_another_size(downloaded: dict) -> None:
    model = create_model("xxtiny", pretrained=True, image_size=256)
    assert model.stages[0].blocks[0].attn.bias.table.shape == (15**2, 2)
    assert torch.equal(model.head.weight, downloaded["model"].head.fc.weight)


def test_pretrained_through_timm(downloaded: dict) -> None:
    model = timm.create_model("gcvit_edu_xxtiny", pretrained=True, num_classes=0)
    assert torch.equal(model.stem.conv.weight, downloaded["model"].stem.conv1.weight)
    features = timm.create_model("gcvit_edu_xxtiny", pretrained=True, features_only=True)
    assert torch.equal(features.model.stem.conv.weight, downloaded["model"].stem.conv1.weight)


def test_without_a_network_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", fetch)
    with pytest.raises(ConnectionError, match=r"weights of xxtiny .*no route to host.*give its path"):
        create_model("xxtiny", pretrained=True)


def test_timms_other_arguments_are_taken_or_refused_by_name() -> None:
    assert timm.create_model("gcvit_edu_nano", drop_rate=0.0, img_size=(64, 64)).config.image_size == 64
    with pytest.raises(ValueError, match=r"act_layer, qkv_bias: GC ViT has no such option.*drop_path_rate"):
        timm.create_model("gcvit_edu_nano", act_layer="relu", qkv_bias=False)
    with pytest.raises(ValueError, match=r"img_size=\(64, 96\) must be square"):
        timm.create_model("gcvit_edu_nano", img_size=(64, 96))
    with pytest.raises(ValueError, match="image_size='64' must be a whole number"):
        create_model("nano", image_size="64")
