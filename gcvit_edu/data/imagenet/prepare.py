"""Shards from a folder or the official archives: python -m gcvit_edu.data.imagenet.prepare SOURCE --out DIR.

SOURCE has train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, or ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and
ILSVRC2012_devkit_t12.tar.gz. The shards go to DIR/train or DIR/val. A run that was stopped goes on when it is started
again with the same settings.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gcvit_edu.console import printable, run_command
from gcvit_edu.data.imagenet.classes import open_pictures
from gcvit_edu.data.imagenet.packing import BAD_IMAGES, Settings, prepare
from gcvit_edu.data.imagenet.shards import SPLITS, read_manifest, verify

DAMAGED, BAD_INPUT = 1, 2
EXIT_CODES = (
    f"Exits with {DAMAGED} if --verify finds damage, {BAD_INPUT} for bad input and pictures that cannot be read."
)


CLASSES = "of ImageNet's, whose pictures stay as they are stored (1000); 0: your own pictures, turned upright"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gcvit_edu.data.imagenet.prepare", description=__doc__, epilog=EXIT_CODES
    )
    parser.add_argument("source", type=Path, nargs="?", help="folder with the pictures; left out with --verify")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the shards")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--shard-size", type=int, default=10_000, metavar="N", help="pictures in a shard (10000)")
    parser.add_argument("--short-side", type=int, default=0, metavar="PIXELS", help="make larger pictures this small")
    parser.add_argument("--quality", type=int, metavar="Q", help="of the JPEG files made smaller, 1 to 95 (90)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--classes", type=int, default=1000, metavar="N", help=CLASSES)
    parser.add_argument("--bad-images", choices=BAD_IMAGES, default="raise")
    parser.add_argument("--verify", action="store_true", help="only compare the shards in DIR with their manifest")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare or verify shards by the command line, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.source is None) != options.verify:
        parser.error("give SOURCE to make shards, or --verify to check those in --out")
    folder = options.out / options.split
    try:
        return _verify(folder) if options.verify else _prepare(options, folder)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def _prepare(options: argparse.Namespace, folder: Path) -> int:
    if options.source.resolve() == options.out.resolve():
        raise ValueError(
            f"--out {options.out} is SOURCE itself, where shards would be taken for its pictures; choose another --out"
        )
    quality = options.quality if options.quality is not None else 90 if options.short_side else 0
    settings = Settings(options.split, options.shard_size, options.short_side, quality, options.bad_images)
    source = open_pictures(options.source, options.split, num_classes=options.classes)
    print(printable(f"{options.split}: {source.about}"))
    manifest = prepare(source, folder, settings, workers=options.workers, info=print)
    for message in manifest["skipped"]:
        print(f"left out: {printable(message)}")
    if empty := [name for name, count in zip(source.classes, manifest["count_per_class"], strict=True) if not count]:
        print(printable(f"no picture is left of {', '.join(empty)}"))
    print(f"{manifest['count']} pictures of {len(manifest['classes'])} classes in {len(manifest['shards'])} shards")
    return 0


def _verify(folder: Path) -> int:
    problems = verify(folder)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} of {len(read_manifest(folder)['shards'])} shards in {printable(folder)} are damaged")
    return DAMAGED if problems else 0


if __name__ == "__main__":
    sys.exit(run_command(main))
