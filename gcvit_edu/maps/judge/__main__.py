"""Judge all maps of trained weights on scenes: python -m gcvit_edu.maps.judge --weights FILE --out FILE.

Each scene shows one emoji that training did not see; its class is the target, its pixels are the mask. The file gets
every figure's mean with a 95 % bootstrap interval, baselines and sanity tests included; see summarise for its parts.
The same command writes the same file. Stopped and given again, it goes on from the last scene in FILE.rows. Of the
figures, deletion is better low, the others are better high.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gcvit_edu.data import emoji_classes
from gcvit_edu.maps.entry import METHODS
from gcvit_edu.maps.judge.rows import add_row, read_rows
from gcvit_edu.maps.judge.run import FIGURES, candidates, judge, single_scenes, summarise
from gcvit_edu.weights import load_weights
from gcvit_edu.zoo import create_model


def table(maps: dict[str, Any]) -> str:
    """One aligned line per map: its figures over all scenes, with their intervals."""
    rows = [("map", *FIGURES)]
    for name, told in maps.items():
        rows.append((name, *(_cell(told["all"][figure]) for figure in FIGURES)))
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cell(told: dict[str, Any]) -> str:
    return "-" if told["mean"] is None else f"{told['mean']:.3f} [{told['low']:.3f}, {told['high']:.3f}]"


def _identity(weights: str) -> dict[str, str]:
    """Which weights these were: a name, or a file's name and SHA-256, never its folder."""
    path = Path(weights)
    if not path.is_file():
        return {"weights": weights}
    return {"weights": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Judge what the command line asks for, write and print it, and return what was written."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.maps.judge", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JSON file to write")
    parser.add_argument("--weights", required=True, help="a file of weights, or a name that load_weights knows")
    parser.add_argument("--model", default="nano", help="the variant that the weights are of")
    parser.add_argument("--scenes", type=int, default=200, metavar="N", help="how many (200)")
    parser.add_argument("--size", type=int, default=64, metavar="PIXELS", help="their sides (64)")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS, metavar="METHOD")
    parser.add_argument("--steps", type=int, default=16, metavar="N", help="of the deletion and insertion curves (16)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args(arguments)
    kept = options.out.with_name(options.out.name + ".rows")
    try:
        model = create_model(options.model, num_classes=len(emoji_classes())).eval()
        load_weights(model, options.weights)
        named = ("model", "scenes", "size", "steps", "seed")
        settings = _identity(options.weights) | {name: getattr(options, name) for name in named}
        settings |= {"torch": str(torch.__version__)}
        maps = candidates(model, options.size, options.methods)
        scenes = single_scenes(options.scenes, options.size, options.seed)
        told = {**settings, "maps": list(maps)}
        rows = read_rows(kept, told)
        for row in judge(model, scenes, maps, steps=options.steps, seed=options.seed, first=len(rows)):
            rows.append(row)
            add_row(kept, told, row)
            print(f"\r{len(rows)} of {options.scenes} scenes", end="", file=sys.stderr)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(file=sys.stderr)
    found = {"settings": settings, **summarise(rows, maps)}
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    kept.unlink()
    about = {name: told if name == "n" else _cell(told) for name, told in found["scenes"].items()}
    print(f"{about['n']} scenes, the object's share {about['object_share']}, classified correctly {about['correct']}")
    print(f"probability of the class {about['probability']}, of the blurred picture {about['probability_blurred']}")
    print(table(found["maps"]))
    return found


if __name__ == "__main__":
    main()
