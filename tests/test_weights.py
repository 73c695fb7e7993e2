"""Other people's weights: key layouts, shapes, files, and refusals that leave the model alone."""

import argparse
import hashlib
import pickle
from pathlib import Path

import pytest
import timm
import torch
from _support import enlarge_weights, error_of, images, small_config, small_model
from safetensors.torch import save_file
from torch import Tensor

import gcvit_edu.weights
from gcvit_edu.config import GCViTConfig
from gcvit_edu.model import GCViT
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.weights import NVIDIA_LICENCE, load_weights, read_weights
from gcvit_edu.zoo import create_model


def nvidia_shapes(config: GCViTConfig) -> dict[str, tuple[int, ...]]:
    """Every key of NVIDIA's layout and its shape, written from the layout alone."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, dim: int, dim_out: int) -> None:
        shapes.update({f"{name}.weight": (dim_out, dim), f"{name}.bias": (dim_out,)})

    def norm(name: str, dim: int) -> None:
        shapes.update({f"{name}.weight": (dim,), f"{name}.bias": (dim,)})

    def mbconv(name: str, dim: int) -> None:
        shapes[f"{name}.0.weight"] = (dim, 1, 3, 3)
        shapes[f"{name}.2.fc.0.weight"] = (dim // 4, dim)
        shapes[f"{name}.2.fc.2.weight"] = (dim, dim // 4)
        shapes[f"{name}.3.weight"] = (dim, dim, 1, 1)

    def downsample(name: str, dim: int, dim_out: int) -> None:
        norm(f"{name}.norm1", dim)
        mbconv(f"{name}.conv", dim)
        shapes[f"{name}.reduction.0.weight"] = (dim_out, dim, 3, 3)
        norm(f"{name}.norm2", dim_out)

    first = config.dims[0]
    shapes.update({"patch_embed.proj.weight": (first, config.in_chans, 3, 3), "patch_embed.proj.bias": (first,)})
    downsample("patch_embed.conv_down", first, first)
    for level, dim in enumerate(config.dims):
        window, heads = config.window_sizes[level], config.num_heads[level]
        for block in range(config.depths[level]):
            name = f"levels.{level}.blocks.{block}"
            norm(f"{name}.norm1", dim)
            linear(f"{name}.attn.qkv", dim, dim * (2 if block % 2 else 3))
            shapes[f"{name}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads)
            shapes[f"{name}.attn.relative_position_index"] = (window**2, window**2)
            linear(f"{name}.attn.proj", dim, dim)
            norm(f"{name}.norm2", dim)
            linear(f"{name}.mlp.fc1", dim, int(dim * config.mlp_ratio))
            linear(f"{name}.mlp.fc2", int(dim * config.mlp_ratio), dim)
            if config.layer_scale is not None:
                shapes.update({f"{name}.gamma1": (dim,), f"{name}.gamma2": (dim,)})
        if level + 1 < len(config.dims):
            downsample(f"levels.{level}.downsample", dim, 2 * dim)
        for step in range(max(1, config.halvings[level])):
            mbconv(f"levels.{level}.q_global_gen.to_q_global.{step}.conv", dim)
    norm("norm", config.dims[-1])
    linear("head", config.dims[-1], config.num_classes)
    return shapes


def nvidia_weights(config: GCViTConfig, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.zeros(shape, dtype=torch.long)
        if name.endswith("relative_position_index")
        else torch.randn(shape, generator=generator)
        for name, shape in nvidia_shapes(config).items()
    }


# Where the tensors of a model with layer scale belong, one of every kind; written by hand.
NVIDIA_TO_OURS = {
    "patch_embed.proj.weight": "stem.conv.weight",
    "patch_embed.proj.bias": "stem.conv.bias",
    "patch_embed.conv_down.norm1.bias": "stem.down.norm1.bias",
    "patch_embed.conv_down.conv.0.weight": "stem.down.mbconv.conv_dw.weight",
    "patch_embed.conv_down.conv.2.fc.0.weight": "stem.down.mbconv.se.fc1.weight",
    "patch_embed.conv_down.conv.2.fc.2.weight": "stem.down.mbconv.se.fc2.weight",
    "patch_embed.conv_down.conv.3.weight": "stem.down.mbconv.conv_pw.weight",
    "patch_embed.conv_down.reduction.0.weight": "stem.down.conv.weight",
    "patch_embed.conv_down.norm2.weight": "stem.down.norm2.weight",
    "levels.0.q_global_gen.to_q_global.1.conv.3.weight": "stages.0.query.mbconvs.1.conv_pw.weight",
    "levels.2.q_global_gen.to_q_global.0.conv.0.weight": "stages.2.query.mbconvs.0.conv_dw.weight",
    "levels.0.blocks.0.norm1.weight": "stages.0.blocks.0.norm1.weight",
    "levels.0.blocks.0.attn.qkv.weight": "stages.0.blocks.0.attn.qkv.weight",
    "levels.0.blocks.1.attn.qkv.weight": "stages.0.blocks.1.attn.kv.weight",
    "levels.1.blocks.1.attn.qkv.bias": "stages.1.blocks.1.attn.kv.bias",
    "levels.2.blocks.2.attn.relative_position_bias_table": "stages.2.blocks.2.attn.bias.table",
    "levels.3.blocks.1.attn.proj.bias": "stages.3.blocks.1.attn.proj.bias",
    "levels.3.blocks.1.gamma1": "stages.3.blocks.1.ls1.gamma",
    "levels.3.blocks.1.gamma2": "stages.3.blocks.1.ls2.gamma",
    "levels.3.blocks.0.norm2.bias": "stages.3.blocks.0.norm2.bias",
    "levels.3.blocks.0.mlp.fc1.weight": "stages.3.blocks.0.mlp.fc1.weight",
    "levels.3.blocks.0.mlp.fc2.bias": "stages.3.blocks.0.mlp.fc2.bias",
    "levels.0.downsample.reduction.0.weight": "stages.1.downsample.conv.weight",
    "levels.2.downsample.conv.2.fc.0.weight": "stages.3.downsample.mbconv.se.fc1.weight",
    "levels.2.downsample.norm2.weight": "stages.3.downsample.norm2.weight",
    "norm.weight": "norm.weight",
    "head.weight": "head.weight",
    "head.bias": "head.bias",
}


@pytest.fixture(autouse=True)
def licence_not_yet_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcvit_edu.weights, "_licence_printed", False)


@pytest.fixture
def model() -> GCViT:
    return small_model(layer_scale=0.5)


@pytest.fixture
def nvidia() -> dict[str, Tensor]:
    return nvidia_weights(small_config(layer_scale=0.5))


def assert_loaded(model: GCViT, nvidia: dict[str, Tensor]) -> None:
    values = model.state_dict()
    for theirs, ours in NVIDIA_TO_OURS.items():
        assert torch.equal(values[ours], nvidia[theirs]), f"{theirs} did not arrive at {ours}"


# --- Layouts ---


def test_every_nvidia_tensor_lands_where_it_should(model: GCViT, nvidia: dict[str, Tensor]) -> None:
    converted = convert_state_dict(nvidia, model)
    model.load_state_dict(converted)
    assert_loaded(model, nvidia)
    # Nothing but the index buffers is lost, and nothing is used twice.
    used = {id(value) for value in converted.values()}
    assert used == {id(value) for key, value in nvidia.items() if not key.endswith("_index")}
    assert len(converted) == len(used)


@pytest.mark.parametrize("name", ["xxtiny", "small", "large_384"])
def test_nvidia_layout_of_whole_variants(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name)
        state_dict = {key: torch.empty(shape) for key, shape in nvidia_shapes(model.config).items()}
    assert convert_state_dict(state_dict, model).keys() == model.state_dict().keys()


def test_timm_layout() -> None:
    theirs = timm.create_model("gcvit_xxtiny").eval()
    enlarge_weights(theirs)
    ours = create_model("xxtiny").eval()
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), ours))
    with torch.no_grad():
        assert error_of(ours(images(1, 224)), theirs(images(1, 224))) < 1e-5


def test_our_own_layout(model: GCViT) -> None:
    state_dict = model.state_dict()
    converted = convert_state_dict(state_dict, model)
    assert all(converted[key] is value for key, value in state_dict.items())


def test_the_input_is_not_changed(model: GCViT, nvidia: dict[str, Tensor]) -> None:
    before = {key: value.clone() for key, value in nvidia.items()}
    convert_state_dict(nvidia, model)
    assert list(nvidia) == list(before)
    assert all(torch.equal(nvidia[key], before[key]) for key in before)


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match=r"keys conv1.weight belong to no known layout.*patch_embed"):
        convert_state_dict({"conv1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="no known layout"):
        convert_state_dict({})


def test_unknown_keys_name_the_first_few(nvidia: dict[str, Tensor]) -> None:
    extra = {f"levels.0.extra.{i}": torch.zeros(1) for i in range(5)}
    with pytest.raises(ValueError, match=r"NVIDIA's layout.*extra.0, levels.0.extra.1, levels.0.extra.2 and 2 more"):
        convert_state_dict({**nvidia, **extra})
    with pytest.raises(ValueError, match=r"timm's layout.*stages.0.odd"):
        convert_state_dict({"stem.conv1.weight": torch.zeros(1), "stages.0.odd": torch.zeros(1)})


def test_keys_of_another_model_are_named(model: GCViT, nvidia: dict[str, Tensor]) -> None:
    deeper = nvidia_weights(small_config(layer_scale=0.5, depths=(3, 2, 4, 2)))
    with pytest.raises(ValueError, match=r"not in this model: stages.2.blocks.3.norm1.weight, .* and \d+ more"):
        convert_state_dict(deeper, model)
    del nvidia["norm.bias"]
    with pytest.raises(ValueError, match=r"missing: norm.bias$"):
        convert_state_dict(nvidia, model)


def test_shapes_of_another_model_are_named(model: GCViT, nvidia: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match=r"head.weight is \(7, 128\) .* needs \(5, 128\); .*num_classes=7"):
        convert_state_dict(nvidia_weights(small_config(layer_scale=0.5, num_classes=7)), model)
    nvidia["levels.0.blocks.0.mlp.fc1.weight"] = torch.zeros(4, 16)
    with pytest.raises(ValueError, match=r"stages.0.blocks.0.mlp.fc1.weight is \(4, 16\) .* needs \(48, 16\)"):
        convert_state_dict(nvidia, model)


def test_a_table_of_another_head_count_is_refused(model: GCViT, nvidia: dict[str, Tensor]) -> None:
    nvidia["levels.0.blocks.0.attn.relative_position_bias_table"] = torch.zeros(25, 3)
    with pytest.raises(ValueError, match=r"attn.bias.table is \(49, 3\) and the model needs \(49, 1\)"):
        convert_state_dict(nvidia, model)


# --- Files ---


def save(state_dict: dict[str, object], path: Path, kind: str) -> None:
    if kind == ".safetensors":
        save_file(state_dict, path)
    elif kind == "args":  # what timm's and NVIDIA's training scripts write
        options = argparse.Namespace(lr=1e-3, model="gc_vit", sizes=[224, 224])
        torch.save({"epoch": 3, "arch": "gc_vit", "state_dict": state_dict, "args": options}, path)
    elif kind == "model":
        torch.save({"model": {f"module.{key}": value for key, value in state_dict.items()}}, path)
    else:
        torch.save(state_dict, path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.safetensors", ".safetensors"), ("a.pth", ""), ("a.pt", ""), ("a.pth.tar", "args"), ("a.pth", "model")],
)
def test_files_that_load(
    name: str,
    kind: str,
    model: GCViT,
    nvidia: dict[str, Tensor],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(nvidia, tmp_path / name, kind)
    load_weights(model, tmp_path / name)
    assert_loaded(model, nvidia)
    assert capsys.readouterr().out.strip() == NVIDIA_LICENCE
    load_weights(model, str(tmp_path / name))
    assert capsys.readouterr().out == ""


def test_weights_can_be_read_without_a_model(model: GCViT, nvidia: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(nvidia, tmp_path / "theirs.pth")
    found = read_weights(tmp_path / "theirs.pth")
    assert found.keys() == model.state_dict().keys()
    assert all(torch.equal(value, found[key]) for key, value in convert_state_dict(nvidia).items())


def test_our_own_files_carry_no_licence_of_nvidia(
    model: GCViT, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(model.state_dict(), tmp_path / "ours.pth")
    other = small_model(seed=1, layer_scale=0.5)
    load_weights(other, tmp_path / "ours.pth")
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())
    assert capsys.readouterr().out == ""


def test_a_file_for_another_size(nvidia: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(nvidia, tmp_path / "a.pth")
    config = small_config(layer_scale=0.5).resized(128)
    model = GCViT(config)
    load_weights(model, tmp_path / "a.pth")
    assert_loaded_but_tables = {key: ours for key, ours in NVIDIA_TO_OURS.items() if not ours.endswith("table")}
    for theirs, ours in assert_loaded_but_tables.items():
        assert torch.equal(model.state_dict()[ours], nvidia[theirs])


class Malicious:
    """Unpickling it runs code that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def refusals(folder: Path, nvidia: dict[str, Tensor]) -> dict[str, tuple[Path, str]]:
    """Files that must not load, and what the message says."""
    made: dict[str, tuple[Path, str]] = {}

    def add(name: str, message: str) -> Path:
        made[name] = (folder / name, message)
        return folder / name

    torch.save({**nvidia, "x": Malicious(folder / "trace")}, add("code.pth", "cannot be read safely"))
    add("code.pt", "cannot be read safely").write_bytes(pickle.dumps(Malicious(folder / "trace")))
    torch.save(nvidia, folder / "whole.pth")
    save_file(nvidia, folder / "whole.safetensors")
    for suffix, message in ((".pth", "cannot be read safely"), (".safetensors", "not a whole safetensors file")):
        whole = (folder / f"whole{suffix}").read_bytes()
        add(f"truncated{suffix}", message).write_bytes(whole[: len(whole) // 2])
        add(f"empty{suffix}", message).write_bytes(b"")
    add("a.bin", "cannot be read safely").write_bytes(b"x")
    torch.save([1, 2], add("list.pth", "holds no state dict"))
    torch.save({"epoch": 3}, add("epoch.pth", "holds no state dict"))
    torch.save({"epoch": 3, "state_dict": {"a": 1}}, add("inner.pth", "holds no state dict"))
    torch.save({"conv1.weight": torch.zeros(1)}, add("resnet.pth", "no known layout"))
    torch.save({**nvidia, "levels.9.odd": torch.zeros(1)}, add("odd.pth", "levels.9.odd"))
    torch.save({**nvidia, "head.bias": torch.zeros(9)}, add("shape.pth", "head.bias"))
    return made


def test_what_cannot_load_is_refused_and_leaves_the_model_alone(
    model: GCViT, nvidia: dict[str, Tensor], tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for name, (path, message) in refusals(tmp_path, nvidia).items():
        with pytest.raises(ValueError, match=message) as caught:
            load_weights(model, path)
        assert str(caught.value), name
        assert not (tmp_path / "trace").exists(), f"{name} ran its code"
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items()), name


def test_that_malicious_file_is_malicious(tmp_path: Path) -> None:
    path = tmp_path / "code.pth"
    torch.save({"x": Malicious(tmp_path / "trace")}, path)
    torch.load(path, weights_only=False)
    assert (tmp_path / "trace").exists()


def test_a_missing_file_names_the_alternatives(model: GCViT, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no weights at .*gone.pth.*xxtiny, xtiny, tiny, small, base"):
        load_weights(model, tmp_path / "gone.pth")
    with pytest.raises(FileNotFoundError, match="tiny2"):
        load_weights(model, "tiny2")


def test_sha256(model: GCViT, nvidia: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(nvidia, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    load_weights(model, path, sha256=digest)
    load_weights(model, path, sha256=digest[:8].upper())
    with pytest.raises(ValueError, match=f"has SHA-256 {digest}, not 0123; fetch the file again"):
        load_weights(model, path, sha256="0123")

    named = path.rename(tmp_path / f"gcvit_nano_64_nvidia-{digest[:8]}.pth")
    load_weights(model, named)
    wrong = named.rename(tmp_path / "gcvit_nano_64_nvidia-deadbeef.pth")
    with pytest.raises(ValueError, match="not deadbeef"):
        load_weights(model, wrong)
    load_weights(model, wrong, sha256=digest)  # what is given counts more than the name
    load_weights(model, wrong.rename(tmp_path / "checkpoint-20240101.pth"))  # a date, not a digest


@pytest.mark.parametrize("name", ["emoji_nano", "tiny"])
def test_a_sha256_beside_a_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"sha256='deadbeef' is for files; leave it out for {name}"):
        read_weights(name, sha256="deadbeef")


def test_a_model_without_a_head_is_told_how_to_get_the_weights() -> None:
    model = create_model("nano", num_classes=0)
    with pytest.raises(ValueError, match=r"load them with num_classes=13, then call reset_classifier\(0\)"):
        load_weights(model, "emoji_nano")
    model = create_model("nano", num_classes=13)
    load_weights(model, "emoji_nano")
    model.reset_classifier(0)


def test_weights_for_another_size_can_be_saved(tmp_path: Path) -> None:
    made = small_model().state_dict()
    save_file(convert_state_dict(made, GCViT(small_config().resized(128))), tmp_path / "larger.safetensors")


def test_prefixes_of_wrappers_are_taken_off(model: GCViT, tmp_path: Path) -> None:
    own = model.state_dict()
    other = GCViT(model.config)
    for path, prefix in (("a.pth", "module."), ("b.safetensors", "_orig_mod."), ("c.pth", "_orig_mod.module.")):
        wrapped = {prefix + key: value.contiguous() for key, value in own.items()}
        save_file(wrapped, tmp_path / path) if path.endswith("tensors") else torch.save(wrapped, tmp_path / path)
        load_weights(other, tmp_path / path)
        assert all(value.equal(own[key]) for key, value in other.state_dict().items())


def test_two_keys_for_one_tensor_are_refused(nvidia: dict[str, Tensor]) -> None:
    older = {key.replace("q_global_gen.", ""): value for key, value in nvidia.items()}
    assert convert_state_dict(older).keys() == convert_state_dict(nvidia).keys()
    with pytest.raises(ValueError, match="two of the keys stand for"):
        convert_state_dict(older | nvidia)


def test_the_licence_is_printed_for_a_file_that_is_nvidias_by_name(
    model: GCViT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gcvit_edu.weights._licence_printed", False)
    torch.save(model.state_dict(), tmp_path / "plain.pth")
    load_weights(model, tmp_path / "plain.pth")
    assert capsys.readouterr().out == ""
    torch.save(model.state_dict(), tmp_path / "gcvit_xxtiny_224_NVIDIA.pth")
    load_weights(model, tmp_path / "gcvit_xxtiny_224_NVIDIA.pth")
    assert "CC-BY-NC-SA-4.0" in capsys.readouterr().out
