"""Names of weights: NVIDIA's, timm's and our own; their places in a checkpoint; bias tables for other windows."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from gcvit_edu.position import resize_bias_table

_FIRST_CONV = ("patch_embed.proj.weight", "stem.conv1.weight", "stem.conv.weight")  # NVIDIA's, timm's, ours
_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_AVERAGE = {"ema", "swa", "avg", "average", "averaged", "shadow"}
_DEPTH = 5  # levels of nested dictionaries in which weights are searched

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


def layout_of(keys: list[str]) -> str:
    """The origin of these names: "NVIDIA", "timm" or "gcvit_edu".

    Raises:
        ValueError: for names of another network.
    """
    for layout, prefix in (("NVIDIA", "patch_embed."), ("timm", "stem.conv1."), ("gcvit_edu", "stem.conv.")):
        if any(key.startswith(prefix) for key in keys):
            return layout
    raise ValueError(
        f"the keys {few(keys)} belong to no known layout of GC ViT; "
        "expected NVIDIA's (patch_embed...), timm's (stem.conv1...) or gcvit_edu's (stem.conv...)"
    )


def few(keys: list[str]) -> str:
    """The first three names, and how many more there are."""
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
        ValueError: for an unknown layout or key; with a model, for keys that are missing, unknown or of another shape.
    """
    layout = layout_of(list(state_dict))
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
        raise ValueError(f"keys unknown in {layout}'s layout of GC ViT: {few(unknown)}; is this another model?")
    return converted if model is None else _fit(converted, model)


def _fit(state_dict: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    unknown = [key for key in state_dict if key not in wanted]
    missing = [key for key in wanted if key not in state_dict]
    if unknown or missing:
        parts = [f"missing: {few(missing)}"] * bool(missing) + [f"not in this model: {few(unknown)}"] * bool(unknown)
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
            f"weights of another shape: {few(wrong)}; "
            f"{key} is {tuple(fitted[key].shape)} and the model needs {tuple(wanted[key])}{hint}"
        )
    return fitted


# ------------------------------------------------------------------------------------------------- checkpoints


def state_dicts_in(
    tree: object, path: str = "", depth: int = 0
) -> Iterator[tuple[str, tuple[dict[str, Any], list[str]]]]:
    """All state dicts of GC ViT: (path, (the state dict without its prefix, keys beside it)) for each.

    Args:
        tree: nested dictionaries, as a checkpoint holds them.
        path: of the tree itself, "" for the whole checkpoint.
        depth: levels above the tree.
    """
    if not isinstance(tree, Mapping) or depth > _DEPTH:
        return
    named = {_WRAPPERS.sub("", key): value for key, value in tree.items() if isinstance(key, str)}
    prefixes = [
        key.removesuffix(first)
        for key, value in named.items()
        for first in _FIRST_CONV
        if isinstance(value, Tensor) and (key == first or key.endswith("." + first))
    ]
    if not prefixes:
        for key, value in tree.items():
            yield from state_dicts_in(value, f"{path}.{key}".strip("."), depth + 1)
    for prefix in prefixes:
        inner = [other for other in prefixes if other.startswith(prefix) and other != prefix]
        own = {
            key: value for key, value in named.items() if key.startswith(prefix) and not key.startswith(tuple(inner))
        }
        beside = [
            key
            for key, value in named.items()
            if not key.startswith(tuple(prefixes)) and not (isinstance(value, Tensor) and value.ndim == 0)  # counters
        ]
        where = f"{path}.{prefix.removesuffix('.')}".strip(".")
        yield where, ({key.removeprefix(prefix): value for key, value in own.items()}, beside)


def is_average(where: str, checkpoint: object) -> bool:
    """Whether the weights at a path are a moving average, by the words of the path."""
    if isinstance(checkpoint, Mapping):
        # These two write the average as the state dict, and the weights of the last step elsewhere.
        meta = checkpoint.get("meta")
        mmengine = isinstance(meta, Mapping) and "mmengine_version" in meta and "ema_state_dict" in checkpoint
        lightning = {"averaging_state", "current_model_state"} <= checkpoint.keys()
        if mmengine or lightning:
            return where.partition(".")[0] == "state_dict"
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", where)
    return any(word.lower() in _AVERAGE for word in words)


def unnamed_average(tree: object, path: str = "", depth: int = 0) -> str:
    """The path of tensors that are called an average, or "".

    Args:
        tree: nested dictionaries and lists, as a checkpoint holds them.
        path: of the tree itself, "" for the whole checkpoint.
        depth: levels above the tree.
    """
    if isinstance(tree, Mapping) and depth <= _DEPTH:
        for key, value in tree.items():
            where = f"{path}.{key}".strip(".")
            if found := unnamed_average(value, where, depth + 1):
                return found
    inside = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list | tuple) else ()
    holds = any(isinstance(value, Tensor) and value.ndim for value in inside)
    return path if holds and is_average(path, None) else ""


def of_another_network(checkpoint: object, name: str) -> Mapping[str, Tensor]:
    """A state dict without GC ViT's first convolution, for an error that names its keys."""
    if isinstance(checkpoint, Mapping):
        for tree in (checkpoint, *(checkpoint.get(key) for key in ("state_dict", "model"))):
            if (
                isinstance(tree, Mapping)
                and tree
                and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in tree.items())
            ):
                return tree
    keys = f"; its keys are {few([str(key) for key in checkpoint])}" if isinstance(checkpoint, Mapping) else ""
    raise ValueError(
        f"{name} holds no state dict; expected tensors by name, on its own or under 'state_dict' or 'model'{keys}"
    )
