"""Starting from weights that were trained before: what is loaded, what is new, what is frozen."""

from pathlib import Path

from torch import nn

from gcvit_edu.config import GCViTConfig
from gcvit_edu.metadata import weights_metadata
from gcvit_edu.model import GCViT
from gcvit_edu.weights import TIMM_VARIANTS, convert_state_dict, read_weights, shipped_weights
from gcvit_edu.zoo import VARIANTS, create_model


def variant_of(weights: str | Path) -> str:
    """The variant that weights belong to, by their name or by what a training of ours wrote into the file.

    Raises:
        ValueError: for a file that does not say, or is not there.
    """
    if weights in shipped_weights():
        return shipped_weights()[str(weights)]["variant"]
    if weights in TIMM_VARIANTS:
        return str(weights)
    if variant := weights_metadata(weights).get("model"):
        return variant
    remedy = "there is no such file; correct the name or the path"
    if Path(weights).is_file():
        remedy = "say which variant the file's weights are of, such as model=nano, as the file itself does not"
    names = ", ".join((*shipped_weights(), *TIMM_VARIANTS))
    raise ValueError(f"weights={str(weights)!r} is none of the names {names}; {remedy}")


def image_size_of(weights: str | Path, variant: str) -> int:
    """The side of the pictures that weights were trained with, or else the variant's own, in pixels."""
    return weights_metadata(weights).get("image_size") or config_of(variant).image_size


def config_of(variant: str) -> GCViTConfig:
    """The numbers of a variant.

    Raises:
        ValueError: for an unknown name.
    """
    if variant not in VARIANTS:
        raise ValueError(f"model={variant!r} is no variant of GC ViT; there are {', '.join(VARIANTS)}")
    return VARIANTS[variant]


def pretrained_model(
    weights: str | Path,
    variant: str,
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    drop_path_rate: float | None = None,
) -> GCViT:
    """A GC ViT with weights that were trained before, for other classes and another image size.

    Args:
        weights: a file, or a name (see gcvit_edu.weights.read_weights).
        variant: what the weights are of.
        num_classes: outputs of a new, untrained head; None keeps the head of the weights.
        image_size: windows grow or shrink with it, and tables of relative position bias are resized to them.
        drop_path_rate: stochastic depth of the last block; None keeps the variant's own.

    Raises:
        FileNotFoundError: if there is no such file and no such name.
        ValueError: for a file that is no weights, and for weights of another variant.
        ConnectionError: if weights cannot be downloaded.
    """
    config_of(variant)  # refuses an unknown variant
    state = read_weights(weights)
    model = create_model(
        variant,
        num_classes=len(state.get("head.bias", ())),
        image_size=image_size,
        drop_path_rate=drop_path_rate,
    )
    try:
        model.load_state_dict(convert_state_dict(state, model))
    except ValueError as error:
        raise ValueError(
            f"weights={str(weights)!r} do not fit model={variant!r}, set model to the variant they are of: {error}"
        ) from error
    if num_classes is not None:
        model.reset_classifier(num_classes)
    return model


def freeze_all_but_head(model: nn.Module) -> nn.Module:
    """Take every parameter outside the classifier out of training, in place, and return the model.

    What is frozen gets no gradient, and backward stops at the head. Drop path is the model's matter: build it with
    drop_path_rate=0, or frozen layers feed the head with noise.
    """
    model.requires_grad_(False)
    model.get_classifier().requires_grad_(True)
    return model
