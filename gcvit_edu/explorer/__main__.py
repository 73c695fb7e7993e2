"""The command line: python -m gcvit_edu.explorer PICTURE --out PAGE.html."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from gcvit_edu.console import printable, run_command
from gcvit_edu.data import emoji_classes
from gcvit_edu.data.folder import DECODER_ERRORS
from gcvit_edu.data.transforms import upright_rgb
from gcvit_edu.explorer.page import LIMIT_KB, explore
from gcvit_edu.metadata import weights_metadata
from gcvit_edu.model import GCViT
from gcvit_edu.variants import list_models
from gcvit_edu.weights import load_weights
from gcvit_edu.zoo import create_model

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the page by the command line, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m gcvit_edu.explorer",
        description="Where a GC ViT looks on a picture, as one page that opens without a network.",
        epilog=f"Exits with {BAD_INPUT} for bad input.",
    )
    parser.add_argument("picture", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, required=True, metavar="PAGE.html")
    parser.add_argument(
        "--model", metavar="NAME", help=f"{', '.join(list_models())} (what your own weights say, or else nano)"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="your own; the published ones if left out")
    parser.add_argument(
        "--num-classes", type=int, metavar="N", help="of your own weights (what they say, or else 1000)"
    )
    parser.add_argument(
        "--classes", nargs="+", default=[], metavar="NAME", help="all of them, after the picture (what they say)"
    )
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of what the network sees (the model's own)")
    parser.add_argument("--limit-kb", type=int, default=LIMIT_KB, metavar="KB", help=f"most for the page ({LIMIT_KB})")
    options = parser.parse_args(arguments)
    if options.picture is None:
        taken = f", of which --classes took the last, {options.classes[-1]}, for a class" if options.classes else ""
        parser.error(f"name the picture before all options{taken}")
    try:
        if options.num_classes is not None and not options.weights:
            raise ValueError(
                f"--num-classes {options.num_classes} is of your own weights, and the published ones are taken; "
                "give --weights, or leave it out"
            )
        picture = _read(options.picture)
        if options.weights:
            model, name, names = _own_model(options)
        else:
            name, names = options.model or "nano", options.classes
            model = create_model(name, pretrained=True)
        if not names and not options.weights and model.config.num_classes == len(emoji_classes()):
            names = emoji_classes()
        made = explore(
            model,
            picture,
            size=options.size,
            class_names=names,
            title=printable(f"Where {name} looks on {options.picture.name}"),
            link=None,
            limit_kb=options.limit_kb,
        )
        made.save(options.out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    print(f"{printable(options.out)} has {options.out.stat().st_size / 1000:.0f} kB. {made.note}".rstrip())
    return 0


def _own_model(options: argparse.Namespace) -> tuple[GCViT, str, list[str]]:
    """The model of the user's weights, its variant's name and its classes, from the command line or else the file.

    Raises:
        ValueError: if the two contradict each other.
    """
    said = weights_metadata(options.weights)
    for option, key in (("--model", "model"), ("--num-classes", "num_classes")):
        given = getattr(options, key)
        if given is not None and key in said and given != said[key]:
            raise ValueError(f"{option} {given}, but {options.weights} is of {key}={said[key]}; leave {option} out")
    name = options.model or said.get("model", "nano")
    if options.model is None and name not in list_models():
        raise ValueError(
            f"{options.weights} is of the model {name!r}, which is no variant of GC ViT; the explorer shows "
            f"{', '.join(list_models())}"
        )
    number = said.get("num_classes", 1000) if options.num_classes is None else options.num_classes
    model = create_model(name, num_classes=number, image_size=said.get("image_size"))
    load_weights(model, options.weights)
    return model, name, options.classes or list(map(printable, said.get("classes", [])))


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return upright_rgb(image)
    except FileNotFoundError:
        raise ValueError(f"there is no picture {path}") from None
    except DECODER_ERRORS as error:
        raise ValueError(f"{path} cannot be read as a picture ({error}); give a JPEG, PNG or WebP file") from error


if __name__ == "__main__":
    sys.exit(run_command(main))
