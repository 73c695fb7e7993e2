"""Loading weights, our own and other people's: key layouts, bias tables for other windows, safe files, licences."""

import argparse
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gcvit_edu.files import data_folder
from gcvit_edu.metadata import weights_metadata as weights_metadata
from gcvit_edu.position import resize_bias_table

TIMM_VARIANTS = ("xxtiny", "xtiny", "tiny", "small", "base")
NVIDIA_LICENCE = (
    "These are NVIDIA's GC ViT weights, licensed CC-BY-NC-SA-4.0: not for commercial use, "
    "share alike, with attribution (Hatamizadeh et al., ICML 2023)."
)

# Each rule: a pattern of the foreign key, and our key. The first that matches the whole key decides.
_MBCONV_OF_TIMM = [
    (r"conv_(dw|pw)\.weight", r"conv_\1.weight"),
    (r"se\.fc([12])\.weight", r"se.fc\1.weight"),
]
_MBCONV_OF_NVIDIA = [
    (r"0\.weight", "conv_dw.weight"),
    (r"2\.fc\.0\.weight", "se.fc1.weight"),
    (r"2\.fc\.2\.weight", "se.fc2.weight"),
    (r"3\.weight", "conv_pw.weight"),
]
_BLOCK = [
    (r"(norm[12]|mlp\.fc[12]|attn\.proj)\.(weight|bias)", r"\1.\2"),
    (r"attn\.(?:rel_pos\.)?relative_position_bias_table", "attn.bias.table"),
]
_BLOCK_OF_TIMM = [*_BLOCK, (r"ls([12])\.gamma", r"ls\1.gamma")]
_BLOCK_OF_NVIDIA = [*_BLOCK, (r"gamma([12])", r"ls\1.gamma")]


def _rename(key: str, rules: list[tuple[str, str]]) -> str | None:
    for pattern, replacement in rules:
        if match := re.fullmatch(pattern, key):
            return match.expand(replacement)
    return None


def _under(prefix: str, key: str | None) -> str | None:
    return None if key is None else prefix + key


def _block_key(stage: str, block: str, rest: str, rules: list[tuple[str, str]]) -> str | None:
    if match := re.fullmatch(r"attn\.qkv\.(weight|bias)", rest):
        # Both layouts call a global block's two projections "qkv" too.
        projection = "kv" if int(block) % 2 else "qkv"
        rest_of_ours = f"attn.{projection}.{match[1]}"
    else:
        rest_of_ours = _rename(rest, rules)
    return _under(f"stages.{stage}.blocks.{block}.", rest_of_ours)


def _downsample_key(prefix: str, rest: str, conv: str, rules: list[tuple[str, str]]) -> str | None:
    if match := re.fullmatch(conv + r"\.(.+)", rest):
        return _under(f"{prefix}.mbconv.", _rename(match[1], rules))
    tail = [(r"(norm[12])\.(weight|bias)", r"\1.\2"), (r"reduction(?:\.0)?\.weight", "conv.weight")]
    return _under(f"{prefix}.", _rename(rest, tail))


def _from_timm(key: str) -> str | None:
    if match := re.fullmatch(r"stem\.conv1\.(weight|bias)", key):
        return f"stem.conv.{match[1]}"
    if match := re.fullmatch(r"stem\.down\.(.+)", key):
        return _downsample_key("stem.down", match[1], "conv_block", _MBCONV_OF_TIMM)
    if match := re.fullmatch(r"stages\.(\d+)\.downsample\.(.+)", key):
        return _downsample_key(f"stages.{match[1]}.downsample", match[2], "conv_block", _MBCONV_OF_TIMM)
    if match := re.fullmatch(r"stages\.(\d+)\.global_block\.blocks\.conv(\d+)\.(.+)", key):
        prefix = f"stages.{match[1]}.query.mbconvs.{int(match[2]) - 1}."  # timm counts them from 1
        return _under(prefix, _rename(match[3], _MBCONV_OF_TIMM))
    if match := re.fullmatch(r"stages\.(\d+)\.blocks\.(\d+)\.(.+)", key):
        return _block_key(match[1], match[2], match[3], _BLOCK_OF_TIMM)
    return _rename(key, [(r"stages\.\d+\.norm\.(weight|bias)", r"norm.\1"), (r"head\.fc\.(weight|bias)", r"head.\1")])


def _from_nvidia(key: str) -> str | None:
    if match := re.fullmatch(r"patch_embed\.proj\.(weight|bias)", key):
        return f"stem.conv.{match[1]}"
    if match := re.fullmatch(r"patch_embed\.conv_down\.(.+)", key):
        return _downsample_key("stem.down", match[1], "conv", _MBCONV_OF_NVIDIA)
    if match := re.fullmatch(r"levels\.(\d+)\.downsample\.(.+)", key):
        # NVIDIA's downsampler ends a stage, ours begins the next.
        prefix = f"stages.{int(match[1]) + 1}.downsample"
        return _downsample_key(prefix, match[2], "conv", _MBCONV_OF_NVIDIA)
    if match := re.fullmatch(r"levels\.(\d+)\.(?:q_global_gen\.)?to_q_global\.(\d+)\.conv\.(.+)", key):
        return _under(f"stages.{match[1]}.query.mbconvs.{match[2]}.", _rename(match[3], _MBCONV_OF_NVIDIA))
    if match := re.fullmatch(r"levels\.(\d+)\.blocks\.(\d+)\.(.+)", key):
        return _block_key(match[1], match[2], match[3], _BLOCK_OF_NVIDIA)
    return _rename(key, [(r"(norm|head)\.(weight|bias)", r"\1.\2")])


def _layout(keys: list[str]) -> str:
    for layout, prefix in (("NVIDIA", "patch_embed."), ("timm", "stem.conv1."), ("gcvit_edu", "stem.conv.")):
        if any(key.startswith(prefix) for key in keys):
            return layout
    raise ValueError(
        f"the keys {_few(keys)} belong to no known layout of GC ViT; "
        "expected NVIDIA's (patch_embed...), timm's (stem.conv1...) or gcvit_edu's (stem.conv...)"
    )


def _few(keys: list[str]) -> str:
    if not keys:
        return "(none)"
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def convert_state_dict(state_dict: Mapping[str, Tensor], model: nn.Module | None = None) -> dict[str, Tensor]:
    """A state dict in NVIDIA's, timm's or our own layout -> one in ours.

    Nothing is changed in place. Buffers of the relative position index are dropped: they follow from the window.

    Args:
        state_dict: parameters by name.
        model: if given, tables of relative position bias are resized to its windows,
            and every key and shape is checked against it.

    Raises:
        ValueError: for an unknown layout or key; with a model, for keys missing, not in it, or of another shape.
    """
    layout = _layout(list(state_dict))
    rename = {"NVIDIA": _from_nvidia, "timm": _from_timm, "gcvit_edu": lambda key: key}[layout]
    converted, unknown = {}, []
    for key, value in state_dict.items():
        if key.endswith("relative_position_index"):
            continue
        ours = rename(key)
        if ours is None:
            unknown.append(key)
            continue
        if ours in converted:
            raise ValueError(f"two of the keys stand for {ours}, one of them {key}; is this another model?")
        if ours.endswith(("se.fc1.weight", "se.fc2.weight")) and value.ndim == 4:
            value = value.flatten(1)  # timm writes these linear layers as 1x1 convolutions
        converted[ours] = value
    if unknown:
        raise ValueError(f"keys unknown in {layout}'s layout of GC ViT: {_few(unknown)}; is this another model?")
    return converted if model is None else _fit(converted, model)


def _fit(state_dict: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    unknown = [key for key in state_dict if key not in wanted]
    missing = [key for key in wanted if key not in state_dict]
    if unknown or missing:
        parts = [f"missing: {_few(missing)}"] * bool(missing) + [f"not in this model: {_few(unknown)}"] * bool(unknown)
        heads = all(key.startswith("head.") for key in unknown) and not missing
        classes = len(state_dict.get("head.weight", ()))
        hint = f"; load them with num_classes={classes}, then call reset_classifier(0)" if heads and classes else ""
        raise ValueError("the weights do not belong to this model; " + "; ".join(parts) + hint)
    fitted = {}
    for key, value in state_dict.items():
        if key.endswith("attn.bias.table") and value.shape != wanted[key]:
            side = round(wanted[key][0] ** 0.5)
            value = resize_bias_table(value, (side + 1) // 2)
        fitted[key] = value
    wrong = [key for key, value in fitted.items() if value.shape != wanted[key]]
    if wrong:
        key = wrong[0]
        hint = f"; build the model with num_classes={len(fitted[key])}" if key.startswith("head.") else ""
        raise ValueError(
            f"weights of another shape: {_few(wrong)}; "
            f"{key} is {tuple(fitted[key].shape)} and the model needs {tuple(wanted[key])}{hint}"
        )
    return fitted


def shipped_weights() -> dict[str, dict[str, Any]]:
    """{name: what is known of them} for the weights that come with the package; data/weights/README.md is their card.

    Keys: variant, image_size, classes (in order), sha256, recipe, top1, pictures (held out, of which top1), licence.
    """
    return json.loads((data_folder("weights") / "weights.json").read_text(encoding="utf-8"))


def load_weights(model: nn.Module, path_or_name: str | Path, *, sha256: str | None = None) -> None:
    """Load weights into a GC ViT, in any form that read_weights reads; nothing changes before all is checked.

    Args:
        model: a GCViT; its image size may differ from that of the weights.
        path_or_name: as for read_weights.
        sha256: as for read_weights.

    Raises:
        ValueError: for weights that do not fit. And what read_weights raises.
    """
    model.load_state_dict(convert_state_dict(read_weights(path_or_name, sha256=sha256), model))


def read_weights(path_or_name: str | Path, *, sha256: str | None = None) -> dict[str, Tensor]:
    """A state dict in our layout, from a file or by name: one that is shipped, or a variant that timm can download.

    NVIDIA's licence is printed with theirs. Files are .safetensors, or .pth, .pt and .pth.tar, whose code is not run.

    Args:
        path_or_name: a file, one of shipped_weights(), or xxtiny, xtiny, tiny, small or base, which are downloaded.
        sha256: expected SHA-256 of the file, or its first digits. Without it, the digits in the name of a file
            that timm publishes (gcvit_tiny_224_nvidia-ac783954.pth) are checked.

    Raises:
        FileNotFoundError: if there is no such file and no such name.
        ValueError: for another kind of file, one that is damaged, a wrong SHA-256, or a SHA-256 beside a name.
        ConnectionError: if a download fails, or arrives damaged.
    """
    shipped, named = path_or_name in shipped_weights(), path_or_name in TIMM_VARIANTS
    if sha256 and (shipped or named):
        raise ValueError(f"sha256={sha256!r} is for files; leave it out for {path_or_name}, which is checked anyway")
    if shipped:
        sha256 = shipped_weights()[str(path_or_name)]["sha256"]
        path_or_name = data_folder("weights") / f"{path_or_name}.safetensors"
    state_dict = _download(str(path_or_name)) if named else _read(Path(path_or_name), sha256)
    if named or "nvidia" in Path(path_or_name).name.lower() or _layout(list(state_dict)) == "NVIDIA":
        _print_licence_once()
    return convert_state_dict(state_dict)


def _read(path: Path, sha256: str | None) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights at {path}; give a file, or one of the names {', '.join((*shipped_weights(), *TIMM_VARIANTS))}"
        )
    in_name = re.fullmatch(r"gcvit_\w+_nvidia-([0-9a-f]{8,64})\.pth", path.name)
    expected = sha256 or (in_name[1] if in_name else "")
    found = hashlib.sha256(path.read_bytes()).hexdigest() if expected else ""
    if not found.startswith(expected.lower()):
        raise ValueError(f"{path.name} has SHA-256 {found}, not {expected}; fetch the file again")
    if path.name.endswith(".safetensors"):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return _strip_prefixes(load_file(path))
        except SafetensorError as error:
            raise ValueError(f"{path.name} is not a whole safetensors file: {error}") from error
    if not path.name.endswith((".pth", ".pt", ".pth.tar")):
        raise ValueError(f"{path.name} is of an unknown kind; use .safetensors, .pth, .pt or .pth.tar")
    try:
        # Training scripts store their options as a Namespace, which holds no code.
        with torch.serialization.safe_globals([argparse.Namespace]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(
            f"{path.name} cannot be read safely as weights; it is damaged or holds other objects than tensors "
            f"and options. Save the state dict alone, best as .safetensors. ({type(error).__name__})"
        ) from error
    return _unwrap(checkpoint, path.name)


def _unwrap(checkpoint: object, name: str) -> dict[str, Tensor]:
    if isinstance(checkpoint, Mapping):
        for key in ("state_dict", "model"):
            if isinstance(checkpoint.get(key), Mapping):
                checkpoint = checkpoint[key]
                break
    if not isinstance(checkpoint, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in checkpoint.items()
    ):
        raise ValueError(f"{name} holds no state dict; expected tensors by name, on its own or under 'state_dict'")
    return _strip_prefixes(checkpoint)


def _strip_prefixes(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what torch.compile ("_orig_mod.") and DistributedDataParallel ("module.") put before each key."""
    return {re.sub(r"^(?:_orig_mod\.|module\.)+", "", key): value for key, value in state_dict.items()}


def _download(name: str) -> dict[str, Tensor]:
    import timm
    from timm.models import _builder

    before = _builder._CHECK_HASH
    timm.models.set_pretrained_check_hash(True)
    try:
        return timm.create_model(f"gcvit_{name}.in1k", pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:  # no connection; a wrong hash
        raise ConnectionError(
            f"the weights of {name} could not be downloaded ({error}); connect to the internet and try again, "
            "or fetch the file elsewhere and give its path to load_weights"
        ) from error
    finally:
        timm.models.set_pretrained_check_hash(before)


_licence_printed = False


def _print_licence_once() -> None:
    global _licence_printed
    if not _licence_printed:
        print(NVIDIA_LICENCE)
        _licence_printed = True
