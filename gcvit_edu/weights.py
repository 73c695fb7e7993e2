"""Loading weights, our own and other people's: files, names, safety, averages, licences."""

import argparse
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gcvit_edu.files import data_folder
from gcvit_edu.metadata import weights_metadata
from gcvit_edu.variants import VARIANTS
from gcvit_edu.weight_keys import (
    convert_state_dict,
    few,
    is_average,
    layout_of,
    of_another_network,
    state_dicts_in,
    unnamed_average,
)

TIMM_VARIANTS = ("xxtiny", "xtiny", "tiny", "small", "base")
NVIDIA_LICENCE = (
    "These are NVIDIA's GC ViT weights, licensed CC-BY-NC-SA-4.0: not for commercial use, "
    "share alike, with attribution (Hatamizadeh et al., ICML 2023)."
)
# Files of a folder in which huggingface_hub, timm.models.save_for_hf or accelerate keep the weights of one model.
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def shipped_weights() -> dict[str, dict[str, Any]]:
    """{name: facts} of the weights that come with the package; data/weights/README.md is their card.

    Keys: variant, image_size, classes (in order), sha256, recipe, top1, pictures (held out, of which top1), licence.
    """
    return json.loads((data_folder("weights") / "weights.json").read_text(encoding="utf-8"))


def variant_of(weights: str | Path) -> str:
    """The variant that weights belong to, by their name or by the metadata of this package's training.

    Raises:
        ValueError: for a file without this metadata, or a missing one.
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
    """The side of the pictures that weights were trained with, or else the variant's own, in pixels.

    Args:
        weights: a file or a name; "" for none.
        variant: of GC ViT.

    Raises:
        ValueError: for an unknown variant.
    """
    if variant not in VARIANTS:
        raise ValueError(
            f"model={variant!r} is no variant of GC ViT, whose image size would be known; there are "
            f"{', '.join(VARIANTS)}; or set image_size"
        )
    known = weights_metadata(weights) if weights else {}
    return known.get("image_size") or VARIANTS[variant].image_size


def load_weights(
    model: nn.Module, path_or_name: str | Path, *, sha256: str | None = None, use_ema: bool = True
) -> None:
    """Load weights into a GC ViT, in any form that read_weights reads; nothing changes before everything is checked.

    Args:
        model: a GCViT; its image size may differ from that of the weights.
        path_or_name: as for read_weights.
        sha256: as for read_weights.
        use_ema: as for read_weights.

    Raises:
        ValueError: for weights that do not fit; and the errors of read_weights.
    """
    model.load_state_dict(convert_state_dict(read_weights(path_or_name, sha256=sha256, use_ema=use_ema), model))


def read_weights(path_or_name: str | Path, *, sha256: str | None = None, use_ema: bool = True) -> dict[str, Tensor]:
    """A state dict in our layout, from a file or by name: one that is shipped, or a variant that timm can download.

    NVIDIA's licence is printed with theirs. A file is read by its content, safetensors or PyTorch's own format, and
    its code is not run. See weights_in for the possible contents.

    Args:
        path_or_name: a file; a folder with model.safetensors or pytorch_model.bin; one of shipped_weights(); or
            xxtiny, xtiny, tiny, small or base, which are downloaded.
        sha256: expected SHA-256 of the file, or its first digits. Without it, the digits in the name of a file
            that timm publishes (gcvit_tiny_224_nvidia-ac783954.pth) are checked.
        use_ema: of weights and their moving average in one file, take the average, and print a line about it.

    Raises:
        FileNotFoundError: if there is no such file and no such name.
        ValueError: for a file that holds no weights of GC ViT, or several, or is damaged; for a wrong SHA-256, or a
            SHA-256 beside a name.
        ConnectionError: if a download fails, or arrives damaged.
    """
    shipped, named = path_or_name in shipped_weights(), path_or_name in TIMM_VARIANTS
    if sha256 and (shipped or named):
        raise ValueError(f"sha256={sha256!r} is for files; leave it out for {path_or_name}, which is checked anyway")
    if shipped:
        sha256 = shipped_weights()[str(path_or_name)]["sha256"]
        path_or_name = data_folder("weights") / f"{path_or_name}.safetensors"
    checkpoint = _download(str(path_or_name)) if named else _read(_file(Path(path_or_name)), sha256)
    if named or "nvidia" in Path(path_or_name).name.lower():
        print_licence_once()
    return weights_in(checkpoint, Path(path_or_name).name, use_ema=use_ema)


def _file(path: Path) -> Path:
    if path.is_dir():
        for name in HUB_FILES:
            if (path / name).is_file():
                return path / name
        files = sorted(file.name for file in path.iterdir() if file.is_file())
        raise ValueError(f"{path} is a folder without {' or '.join(HUB_FILES)}; give one of its files: {few(files)}")
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights at {path}; give a file, or one of the names {', '.join((*shipped_weights(), *TIMM_VARIANTS))}"
        )
    return path


def _read(path: Path, sha256: str | None) -> object:
    """The content of a file of weights."""
    in_name = re.fullmatch(r"gcvit_\w+_nvidia-([0-9a-f]{8,64})\.pth", path.name)
    expected = sha256 or (in_name[1] if in_name else "")
    found = hashlib.sha256(path.read_bytes()).hexdigest() if expected else ""
    if not found.startswith(expected.lower()):
        raise ValueError(f"{path.name} has SHA-256 {found}, not {expected}; fetch the file again")
    with path.open("rb") as file:
        begin = file.read(9)
    # The header of safetensors is its length, 8 bytes, and JSON; PyTorch writes a zip archive or, long ago, a pickle.
    if begin[8:] == b"{" or (path.name.endswith(".safetensors") and not begin.startswith((b"PK", b"\x80"))):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path.name} is not a whole safetensors file: {error}") from error
    try:
        # Training scripts store their options as a Namespace, which holds no code.
        with torch.serialization.safe_globals([argparse.Namespace]), path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        culprit = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise ValueError(
            f"{path.name} cannot be read safely as weights; it is damaged, or no file of PyTorch or safetensors, or "
            f"holds other objects than tensors and options{f', such as {culprit[1]}' if culprit else ''}. "
            f"Save the state dict alone, best as .safetensors. ({type(error).__name__})"
        ) from error


def weights_in(checkpoint: object, name: str, *, use_ema: bool = True) -> dict[str, Tensor]:
    """The weights of a GC ViT in the content of a file, in our layout, wherever they are.

    They may be the whole content or in dictionaries of any names ("state_dict", "model"), with the prefixes that
    DistributedDataParallel, torch.compile, FSDP or the module of a training script put before each key.
    NVIDIA's licence is printed with weights in their layout.

    Args:
        checkpoint: the content, a state dict or dictionaries around it.
        name: of the file, for messages.
        use_ema: of weights and their moving average, take the average, with a printed note; False takes the others.

    Raises:
        ValueError: if there are none, several that cannot be told apart, or an average that is not stored by name.
    """
    found = dict(state_dicts_in(checkpoint))
    if not found:
        state_dict = of_another_network(checkpoint, name)
        return convert_state_dict(state_dict)
    averages = [where for where in found if is_average(where, checkpoint)]
    others = [where for where in found if where not in averages]
    if len({tuple(map(id, found[where][0].values())) for where in averages}) == 1:
        averages = averages[:1]  # the same tensors under two names, as in this project's checkpoints
    wanted = averages if use_ema and averages else others
    if use_ema and not averages and (unnamed := unnamed_average(checkpoint)):
        raise ValueError(
            f"{name} holds weights ({others[0]}) and an average of them ({unnamed}) that is not stored by name; "
            "use_ema=False takes the weights, or save the average as a state dict"
        )
    if len(wanted) != 1:
        raise ValueError(
            f"{name} holds {len(wanted)} sets of weights{' that are no average' * (not use_ema)}, of "
            f"{', '.join(where or 'the file itself' for where in found)}; save the one that you mean alone"
        )
    if averages and others and use_ema:
        print(
            f"{name} holds {others[0]} and the average of these weights, {averages[0]}: "
            "the average is taken, with use_ema=False the others"
        )
    state_dict, beside = found[wanted[0]]
    if beside:
        print(f"{name}: {few(beside)} left alone; only {wanted[0]} is GC ViT's")
    wrong = [key for key, value in state_dict.items() if not isinstance(value, Tensor)]
    if wrong:
        raise ValueError(f"{name} holds no state dict: {few(wrong)} should be tensors; save the state dict alone")
    if layout_of(list(state_dict)) == "NVIDIA":
        print_licence_once()
    return convert_state_dict(state_dict)


def _download(name: str) -> dict[str, Tensor]:
    import timm

    with checked_download(name):
        return timm.create_model(f"gcvit_{name}.in1k", pretrained=True).state_dict()


@contextmanager
def checked_download(name: str) -> Iterator[None]:
    """A context in which timm's downloads must have the hash that their name promises, and errors name the remedy.

    Raises:
        ConnectionError: if the download fails, or arrives damaged.
    """
    import timm
    from timm.models import _builder

    before = _builder._CHECK_HASH
    timm.models.set_pretrained_check_hash(True)
    try:
        yield
    except (OSError, RuntimeError) as error:  # no connection; a wrong hash
        if "loading state_dict" in str(error):  # it was downloaded, but does not fit
            raise
        raise ConnectionError(
            f"the weights of {name} could not be downloaded ({error}); connect to the internet and try again, "
            "or fetch the file elsewhere and give its path to load_weights"
        ) from error
    finally:
        timm.models.set_pretrained_check_hash(before)


_licence_printed = False


def print_licence_once() -> None:
    """Print NVIDIA's licence, if this process has not yet."""
    global _licence_printed
    if not _licence_printed:
        print(NVIDIA_LICENCE)
        _licence_printed = True
