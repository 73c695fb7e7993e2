"""ImageNet: its classes, its archives, shards of it, and reading them quickly."""

_IN_CLASSES = ("check_class_order", "imagenet_classes", "imagenet_names", "open_pictures")


def __getattr__(name: str) -> object:
    """Answer for the names that this module had until version 0.2; to be dropped in version 0.3."""
    if name in _IN_CLASSES:
        raise ImportError(f"since version 0.2 {name} is in gcvit_edu.data.imagenet.classes")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
