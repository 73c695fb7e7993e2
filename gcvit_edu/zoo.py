"""Building a variant of GC ViT by its name; importing this module registers all of them with timm."""

import difflib
from pathlib import Path

from torch import nn

from gcvit_edu.model import GCViT
from gcvit_edu.timm_registry import build, register_with_timm
from gcvit_edu.variants import VARIANTS, list_models
from gcvit_edu.weights import shipped_weights


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int = 3,
    image_size: int | None = None,
    drop_path_rate: float | None = None,
    pretrained: bool | str | Path = False,
) -> GCViT:
    """A GC ViT by name; its pretrained_cfg has the steps to prepare pictures (timm.data.resolve_model_data_config).

    Args:
        name: one of list_models().
        num_classes: outputs of the head; 0 for none. None for as many as the pretrained weights have, or 1000.
            With pretrained, any other number gets a new head.
        in_chans: channels of the image. With pretrained, the weights for 3 are added up or repeated, as in timm.
        image_size: grow or shrink the windows for this image size; None keeps the variant's own.
            Images of any other size run too, in windows of unchanged size.
        drop_path_rate: stochastic depth of the last block; None for the paper's value.
        pretrained: load weights. True for "emoji_nano" where the name is nano: trained on 13 classes of emoji, and
            shipped with the package (CC-BY-4.0). For the other names True loads NVIDIA's ImageNet-1k weights
            through timm (CC-BY-NC-SA-4.0). Or a file, or the name of shipped weights (see weights.read_weights).

    Raises:
        ValueError: for an unknown name, sizes that do not fit, or weights that do not fit or are missing.
        FileNotFoundError: if there are no weights by that name, and no such file.
        ConnectionError: if the weights cannot be downloaded.
    """
    if name not in VARIANTS:
        close = difflib.get_close_matches(str(name), VARIANTS, n=3, cutoff=0.4) or list_models()
        raise ValueError(f"no variant is called {name!r}; the nearest names are {', '.join(close)}")
    overlay, named = None, isinstance(pretrained, str | Path)
    if named and pretrained not in shipped_weights():
        pretrained, overlay = True, {"file": str(Path(pretrained))}  # "" is the folder here, no weights of timm's
    model = build(
        name,
        VARIANTS[name],
        pretrained=pretrained,
        pretrained_cfg_overlay=overlay,
        num_classes=None if named else num_classes,
        in_chans=in_chans,
        img_size=image_size,
        drop_path_rate=drop_path_rate,
    )
    if named and num_classes not in (None, model.num_classes):
        model.reset_classifier(num_classes)  # after loading, which may meet weights without a head
    return model


def freeze_all_but_head(model: nn.Module) -> nn.Module:
    """Take every parameter outside the classifier out of training, in place, and return the model.

    Frozen parameters get no gradient, and backward stops at the head. Drop path stays as it is: build the model with
    drop_path_rate=0, or frozen layers feed the head with noise.
    """
    model.requires_grad_(False)
    model.get_classifier().requires_grad_(True)
    return model


for _name, _config in VARIANTS.items():
    register_with_timm(_name, _config)
