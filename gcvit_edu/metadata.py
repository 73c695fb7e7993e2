"""The metadata that a training writes into its weights: their variant, image size and classes."""

import json
from pathlib import Path
from typing import Any

import torch


def weights_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata of weights in a file that a training of this package wrote.

    Args:
        path: a .safetensors file, or a checkpoint (.pt); code in it is not run.

    Returns:
        model (the variant's name), image_size, num_classes and, where the classes had names, classes (in order). Of
        another file, only the entries that it has; none if it is no such file.
    """
    path = Path(path)
    if not path.is_file():
        return {}
    found = _safetensors_metadata(path) if path.suffix == ".safetensors" else _checkpoint_metadata(path)
    known: dict[str, Any] = {}
    for name, convert in (("model", str), ("image_size", int), ("num_classes", int), ("classes", list)):
        if found.get(name) is not None:
            known[name] = convert(found[name])
    return known


def _safetensors_metadata(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            found = dict(file.metadata() or {})
        if "classes" in found:
            found["classes"] = json.loads(found["classes"])
        sizes = (found.get(name, "0") for name in ("image_size", "num_classes"))
    except (SafetensorError, OSError, ValueError):
        return {}
    if not all(size.isdecimal() for size in sizes) or not isinstance(found.get("classes", []), list):
        return {}  # another program's keys of the same names
    return found


def _checkpoint_metadata(path: Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        config, identity = checkpoint["config"], checkpoint.get("identity") or {}
        found = {name: config[name] for name in ("model", "image_size", "num_classes")}
        classes = identity.get("classes")
        ours = [type(value) for value in found.values()] == [str, int, int] and isinstance(classes, list | None)
        return {**found, "classes": classes} if ours else {}  # another program's keys of the same names
    except Exception:  # other people's files can raise nearly any error; reading the weights reports it
        return {}
