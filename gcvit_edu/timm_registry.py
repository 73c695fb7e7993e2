"""Making our models known to timm, so that timm.create_model("gcvit_edu_tiny") works."""

from collections.abc import Callable, Sequence

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

from gcvit_edu.config import GCViTConfig
from gcvit_edu.model import GCViT

default_cfgs = {}  # timm looks for this name in the module of an entry


def register_with_timm(name: str, config: GCViTConfig, create: Callable[..., GCViT]) -> None:
    """Register gcvit_edu_<name>.

    timm's arguments are passed on: pretrained, num_classes, in_chans, img_size, drop_path_rate, global_pool,
    features_only and out_indices. Another image size grows or shrinks the windows.

    Args:
        name: of the variant.
        config: of the variant.
        create: makes the model from the name, as zoo.create_model does.
    """
    entry_name = f"gcvit_edu_{name}"

    def build(
        img_size: int | Sequence[int] | None = None,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        num_classes: int | None = None,
        **kwargs: object,
    ) -> GCViT:
        if drop_rate:
            raise ValueError(f"drop_rate={drop_rate}: GC ViT has no dropout; use drop_path_rate")
        if isinstance(img_size, Sequence):
            if len(set(img_size)) != 1:
                raise ValueError(f"img_size={img_size} must be square; images of any other size run all the same")
            img_size = img_size[0]
        model = create(name, image_size=img_size, num_classes=num_classes, **kwargs)
        if global_pool != "avg":
            model.reset_classifier(model.num_classes, global_pool)
        return model

    def entry(pretrained: bool = False, **kwargs: object) -> GCViT:
        # timm builds without weights: ours are loaded when the model is made. Without a number of classes timm fills
        # in 1000, but the weights may have others.
        classes = kwargs.get("num_classes")
        return build_model_with_cfg(
            lambda **given: build(pretrained=pretrained, **{**given, "num_classes": classes}),
            entry_name,
            False,
            feature_cfg={"feature_cls": "getter", "out_indices": tuple(range(len(config.depths)))},
            **kwargs,
        )

    entry.__name__ = entry_name
    default_cfgs.update(generate_default_cfgs({entry_name: _timm_config(config)}))
    register_model(entry)


def _timm_config(config: GCViTConfig) -> dict[str, object]:
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
