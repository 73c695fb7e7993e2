"""Building our models by timm's own builder and loader, and registering them with timm: "gcvit_edu_tiny"."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.layers import is_scriptable
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    get_pretrained_cfg,
    register_model,
    resolve_pretrained_cfg,
)
from timm.models._pretrained import PretrainedCfg
from torch import Tensor, nn

from gcvit_edu.config import GCViTConfig
from gcvit_edu.files import data_folder
from gcvit_edu.model import GCViT
from gcvit_edu.timm_tracing import register_leaves_with_timm
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.weights import (
    TIMM_VARIANTS,
    checked_download,
    print_licence_once,
    read_weights,
    shipped_weights,
    weights_in,
)

_OF_SHIPPED = ("tag", "label_names", "label_descriptions", "license", "description")  # not true of other weights
default_cfgs = {}  # timm looks for this name in the module of an entry


def register_with_timm(name: str, config: GCViTConfig) -> None:
    """Register gcvit_edu_<name>, and a tag of it for each of its shipped weights, such as gcvit_edu_nano.emoji_nano.

    timm.create_model then takes the arguments of build.

    Args:
        name: of the variant.
        config: of the variant.
    """

    def entry(pretrained: bool | str = False, **kwargs: object) -> nn.Module:
        return build(name, config, pretrained=pretrained, **kwargs)

    entry.__name__ = f"gcvit_edu_{name}"
    default_cfgs.update(generate_default_cfgs(_default_cfgs(entry.__name__, name, config)))
    register_model(entry)


def _default_cfg(config: GCViTConfig) -> dict[str, Any]:
    """The entry in timm's registry for a variant without weights."""
    return {
        "num_classes": 1000,
        "input_size": (config.in_chans, config.image_size, config.image_size),
        "pool_size": (config.map_sizes[-1],) * 2,
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": "stem.conv",
        "classifier": "head",
        "fixed_input_size": False,
    }


def _default_cfgs(entry: str, name: str, config: GCViTConfig) -> dict[str, dict[str, Any]]:
    """The entries in timm's registry for all weights of a variant, the default first."""
    cfg = _default_cfg(config)
    if name in TIMM_VARIANTS:
        return {entry: {**cfg, "url": get_pretrained_cfg(f"gcvit_{name}").url, "license": "cc-by-nc-sa-4.0"}}
    try:
        shipped = {weights: known for weights, known in shipped_weights().items() if known["variant"] == name}
    except FileNotFoundError:  # installed without its data: the error comes when the weights are used
        shipped = {}
    tagged = {
        f"{entry}.{weights}": {
            **cfg,
            "file": str(data_folder("weights") / f"{weights}.safetensors"),
            "num_classes": len(known["classes"]),
            "label_names": tuple(known["classes"]),
            "input_size": (config.in_chans, known["image_size"], known["image_size"]),
            "crop_pct": 1.0,  # the pictures that its accuracy was measured on are as large as the network's
            "license": known["licence"].lower(),
        }
        for weights, known in shipped.items()
    }
    return tagged or {entry: cfg}


def build(
    name: str,
    config: GCViTConfig,
    *,
    pretrained: bool | str = False,
    pretrained_cfg: str | Mapping[str, Any] | PretrainedCfg | None = None,
    pretrained_cfg_overlay: Mapping[str, Any] | None = None,
    num_classes: int | None = None,
    img_size: int | Sequence[int] | None = None,
    **options: object,
) -> nn.Module:
    """A variant by timm's builder, which loads weights, fits their head and first convolution, and cuts out features.

    Args:
        name: of the variant.
        config: of the variant.
        pretrained: load weights: True for the default ones, or the name of shipped ones.
        pretrained_cfg: timm's description of the weights, or their tag.
        pretrained_cfg_overlay: entries of it to replace: {"file": PATH} and {"state_dict": WEIGHTS} load those. The
            numbers of their classes and channels are read off them.
        num_classes: outputs of the head; 0 for none. None for as many as the weights have, or 1000.
        img_size: windows grow or shrink with it.
        options: in_chans, drop_path_rate, global_pool, drop_rate, device and dtype of the network; features_only,
            out_indices and cache_dir of timm's builder.

    Returns:
        A GCViT; with features_only a network that gives the maps of its stages, the last one normalised, as timm's
        GC ViT does.

    Raises:
        ValueError: for no weights, weights that do not fit, or an option that GC ViT does not have.
        ConnectionError: if a download fails.
    """
    if is_scriptable():
        raise ValueError(
            "scriptable=True: a GC ViT cannot be scripted; leave it out, and use torch.export, or torch.jit.trace"
        )
    entry = f"gcvit_edu_{name}"
    options = {key: value for key, value in options.items() if value is not None}
    if options.get("feature_cls", "getter") != "getter":
        raise ValueError(
            f"feature_cls={options['feature_cls']!r} would give maps (B, H, W, C), which is what the stages give; "
            "leave it out for (B, C, H, W)"
        )
    if isinstance(pretrained, str):
        if pretrained not in default_cfgs[entry].cfgs:
            raise _no_weights(name, f" called {pretrained!r}")
        pretrained_cfg = pretrained
    given = dict(pretrained_cfg_overlay or {})
    if any(given.get(source) for source in ("url", "hf_hub_id", "state_dict")):
        given = {"file": None, **dict.fromkeys(_OF_SHIPPED), **given}  # neither the shipped file nor its classes
    overlay = dict(given)
    if isinstance(pretrained_cfg, Mapping):
        given = {**pretrained_cfg, **given}
        pretrained_cfg = {**_default_cfg(config), **pretrained_cfg}
    if img_size is None and "input_size" in given:
        img_size = given["input_size"][1:]
    if isinstance(pretrained_cfg, PretrainedCfg):
        given = {key: value for key, value in vars(pretrained_cfg).items() if value is not None} | given
    cfg = resolve_pretrained_cfg(entry, pretrained_cfg, overlay)

    weights = None
    if pretrained:
        weights, shipped = _weights_at_hand(name, cfg)
        if weights is not None and not shipped:
            cfg = dataclasses.replace(cfg, **{k: v for k, v in _read_off(weights, cfg).items() if k not in given})
    elif not pretrained_cfg:
        cfg = dataclasses.replace(cfg, label_names=None, license=None)  # those of weights that are not loaded
        if "num_classes" not in given:
            options.setdefault("num_classes", 1000)
    if num_classes is not None:
        options["num_classes"] = num_classes

    if img_size is not None:
        config = config.resized(_side(img_size))
        options["img_size"] = config.image_size
        cfg = dataclasses.replace(
            cfg,
            input_size=(cfg.input_size[0], config.image_size, config.image_size),
            pool_size=(config.map_sizes[-1],) * 2,
        )

    downloading = pretrained and weights is None and cfg.url and cfg.source != "local-dir"
    with checked_download(name) if downloading else nullcontext():
        model = build_model_with_cfg(
            partial(_network, config),
            entry,
            bool(pretrained),
            pretrained_cfg=cfg if weights is None else dataclasses.replace(cfg, state_dict=weights),
            pretrained_filter_fn=checkpoint_filter_fn,
            # The norm belongs to timm's last stage.
            feature_cfg={"feature_cls": "getter", "out_indices": tuple(range(len(config.depths))), "norm": True},
            **options,
        )
    if downloading and "nvidia" in str(cfg.url):
        print_licence_once()
    if not given.get("state_dict"):
        for module in model.modules():  # the network, and the wrapper that cuts out features
            getattr(module, "pretrained_cfg", {}).pop("state_dict", None)
    return model


def _side(img_size: int | Sequence[int]) -> int:
    if not isinstance(img_size, list | tuple):
        return img_size
    if len(set(img_size)) != 1:
        raise ValueError(f"img_size={img_size} must be square; images of any other size run all the same")
    return img_size[0]


def _network(
    config: GCViTConfig,
    *,
    num_classes: int,
    in_chans: int,
    drop_path_rate: float | None = None,
    global_pool: str = "avg",
    drop_rate: float = 0.0,
    img_size: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    **unknown: object,
) -> GCViT:
    """The network without weights; timm's builder calls this. The config is already of size img_size."""
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)}: GC ViT has no such option; there are num_classes, in_chans, img_size, "
            "drop_path_rate, drop_rate, global_pool, device and dtype. For other numbers build GCViT(GCViTConfig(...))"
        )
    rate = config.drop_path_rate if drop_path_rate is None else drop_path_rate
    config = dataclasses.replace(config, num_classes=num_classes, in_chans=in_chans, drop_path_rate=rate)
    with nullcontext() if device is None else torch.device(device):
        model = GCViT(config)
    if drop_rate:
        model.head_drop = nn.Dropout(drop_rate)
    if global_pool != "avg":
        model.reset_classifier(num_classes, global_pool)
    return model.to(dtype=dtype)


def _weights_at_hand(name: str, cfg: PretrainedCfg) -> tuple[dict[str, Tensor] | None, bool]:
    """Weights in memory or in a file, and whether they are shipped ones; None for those that timm has to fetch."""
    if cfg.source in ("hf-hub", "local-dir"):
        return None, False
    if cfg.state_dict:
        return weights_in(cfg.state_dict, "the state dict"), False
    if cfg.file:
        shipped = {known.file: tag for tag, known in default_cfgs[f"gcvit_edu_{name}"].cfgs.items() if known.file}
        return read_weights(shipped.get(str(cfg.file), cfg.file)), str(cfg.file) in shipped
    if not (cfg.url or cfg.hf_hub_id):
        raise _no_weights(name)
    return None, False


def _read_off(weights: Mapping[str, Tensor], cfg: PretrainedCfg) -> dict[str, Any]:
    """The facts about weights that a user gives; facts about other weights must not stand for unknown ones."""
    return {
        "num_classes": len(weights.get("head.weight", ())),
        "input_size": (weights["stem.conv.weight"].shape[1], *cfg.input_size[1:]),
        **dict.fromkeys(_OF_SHIPPED),
    }


def _no_weights(name: str, wanted: str = "") -> ValueError:
    known = ", ".join([*shipped_weights(), *TIMM_VARIANTS])
    return ValueError(
        f"there are no pretrained weights{wanted} for {name}; there are {known}. If you have another file, use "
        "load_weights, or timm's pretrained_cfg_overlay={'file': PATH}"
    )


def checkpoint_filter_fn(state_dict: Mapping[str, Any], model: nn.Module) -> dict[str, Tensor]:
    """Weights in any layout -> in ours, with the model's tables; timm's loader calls this, and loads the result.

    The head and the first convolution stay as they are: timm's loader leaves out the head for other classes, and fits
    the convolution to the channels.

    Raises:
        ValueError: for weights of another model.
    """
    found, own = weights_in(state_dict, "the weights"), model.state_dict()
    ends = ("head.", "stem.conv.weight")
    body = {key: value for key, value in found.items() if not key.startswith(ends)}
    fitted = convert_state_dict(body | {key: value for key, value in own.items() if key.startswith(ends)}, model)
    loose = {key: value for key, value in found.items() if key.startswith(ends)}
    loose["stem.conv.weight"] = loose["stem.conv.weight"].float()  # timm adds up its channels
    return {key: value for key, value in fitted.items() if key in body} | loose


register_leaves_with_timm()
