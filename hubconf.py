"""The variants of GC ViT for torch.hub: torch.hub.load(FOLDER, "nano", source="local", pretrained=True)."""

import inspect as _inspect
from collections.abc import Callable as _Callable

from gcvit_edu import zoo as _zoo
from gcvit_edu.model import GCViT as _GCViT

dependencies = ["torch", "torchvision", "timm", "einops", "safetensors"]


def _entry(name: str) -> _Callable[..., _GCViT]:
    def entry(pretrained: bool | str = False, **options: object) -> _GCViT:
        return _zoo.create_model(name, pretrained=pretrained, **options)

    about = _inspect.getdoc(_zoo.create_model).partition("\n")[2]
    entry.__name__ = name
    entry.__doc__ = f"GC ViT {name}; the name is given.\n{about}"
    return entry


for _name in _zoo.list_models():  # torch.hub lists every name here that can be called and has no underscore
    globals()[_name] = _entry(_name)
