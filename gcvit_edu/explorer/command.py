"""The command line: python -m gcvit_edu.explore PICTURE --out PAGE.html."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from gcvit_edu.data import emoji_classes
from gcvit_edu.data.folder import DECODER_ERRORS
from gcvit_edu.data.transforms import upright_rgb
from gcvit_edu.data.words import printable
from gcvit_edu.explorer.page import LIMIT_KB, explore
from gcvit_edu.weights import load_weights
from gcvit_edu.zoo import create_model, list_models

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the page that the command line asks for, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m gcvit_edu.explore",
        description="Where a GC ViT looks on a picture, as one page that opens without a network.",
        epilog=f"Exits with {BAD_INPUT} for bad input.",
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("--out", type=Path, required=True, metavar="PAGE.html")
    parser.add_argument("--model", default="nano", metavar="NAME", help=f"{', '.join(list_models())} (nano)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="your own; the published ones if left out")
    parser.add_argument("--num-classes", type=int, metavar="N", help="of your own weights (1000)")
    parser.add_argument("--classes", nargs="+", default=[], metavar="NAME", help="to show the likeliest")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of what the network sees (the model's own)")
    parser.add_argument("--limit-kb", type=int, default=LIMIT_KB, metavar="KB", help=f"most for the page ({LIMIT_KB})")
    options = parser.parse_args(arguments)
    try:
        if options.num_classes is not None and not options.weights:
            raise ValueError(
                f"--num-classes {options.num_classes} is of your own weights, and the published ones are taken; "
                "give --weights, or leave it out"
            )
        picture = _read(options.picture)
        if options.weights:
            model = create_model(
                options.model, num_classes=1000 if options.num_classes is None else options.num_classes
            )
            load_weights(model, options.weights)
        else:
            model = create_model(options.model, pretrained=True)
        names = options.classes
        if not names and not options.weights and model.config.num_classes == len(emoji_classes()):
            names = emoji_classes()
        made = explore(
            model,
            picture,
            size=options.size,
            class_names=names,
            title=f"Where {options.model} looks on {options.picture.name}",
            link=None,
            limit_kb=options.limit_kb,
        )
        made.save(options.out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    print(f"{printable(options.out)} has {options.out.stat().st_size / 1000:.0f} kB. {made.note}".rstrip())
    return 0


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return upright_rgb(image)
    except FileNotFoundError:
        raise ValueError(f"there is no picture {path}") from None
    except DECODER_ERRORS as error:
        raise ValueError(f"{path} cannot be read as a picture ({error}); give a JPEG, PNG or WebP file") from error
