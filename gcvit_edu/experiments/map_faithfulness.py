"""All maps of a network, evaluated on scenes where the pixels of the object are known.

Each scene shows one emoji that training did not see; its class is the target, its pixels are the mask. The file gets
every figure's mean with a 95 % bootstrap interval, baselines and sanity tests included; see summarise for its parts.
The same command writes the same file. A command that was stopped and is given again goes on from the last scene in
FILE.rows. A low deletion is good; of the other figures, high values are.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from gcvit_edu.data import Scenes, normalize
from gcvit_edu.data.emoji import emoji_classes
from gcvit_edu.experiments.results import add_row, read_rows
from gcvit_edu.files import data_folder
from gcvit_edu.maps.attention_map import METHODS, attention_map
from gcvit_edu.maps.faithfulness.baselines import centre_prior, contrast_map, random_map
from gcvit_edu.maps.faithfulness.bootstrap import bootstrap
from gcvit_edu.maps.faithfulness.curves import area, blurred, brightest_first, deletion_and_insertion
from gcvit_edu.maps.faithfulness.sanity import SANITY, sanity, untrained
from gcvit_edu.maps.faithfulness.scores import energy, pointing, rank_correlation
from gcvit_edu.model import GCViT
from gcvit_edu.weights import load_weights
from gcvit_edu.zoo import create_model

FIGURES = ("deletion", "insertion", "pointing", "energy", "gradcam")
OF_SCENES = ("correct", "probability", "probability_blurred", "object_share")
BASELINES = ("centre", "random", "contrast")
REFERENCE_STAGE = 2  # of Grad-CAM, which maps are compared with: the last stage whose map is fine enough for an order


@dataclass(frozen=True)
class Scene:
    """A picture with one emoji.

    Attributes:
        image: (1, 3, size, size), normalised.
        label: class of the emoji.
        mask: (size, size), boolean, the emoji's pixels.
    """

    image: Tensor
    label: int
    mask: Tensor


def single_scenes(count: int, size: int, seed: int) -> Iterator[Scene]:
    """Scenes with one emoji of the test split, from 5/16 to 7/8 of a side; those that show none are left out.

    Args:
        count: scenes with an emoji.
        size: sides of a scene, in pixels.
        seed: another seed, other scenes.
    """
    scenes = Scenes(2 * count, split="test", seed=seed, size=size, most=1, sides=(5 * size // 16, 7 * size // 8))
    shown = ((image, target) for image, target in scenes if len(target["labels"]))
    for image, target in islice(shown, count):
        yield Scene(normalize(F.to_pil_image(image)), int(target["labels"][0]), target["masks"][0].bool())


def candidates(model: GCViT, size: int, methods: Iterable[str] = METHODS) -> dict[str, dict[str, Any]]:
    """{name: options of attention_map} of all maps worth evaluating at an image size, of the last global blocks.

    Where one window covers the map, "windows" and "unwindowed" equal "column", which stands for them. A stage without
    global blocks, of another network than GC ViT, has no "column", and its last block takes their place.

    Args:
        model: its windows and strides decide which maps differ.
        size: sides of the images, in pixels.
        methods: the ones to take, of METHODS.
    """
    found: dict[str, dict[str, Any]] = {}
    for stage, (stride, window) in enumerate(zip(model.config.strides, model.config.window_sizes, strict=True)):
        one_window = math.ceil(size / stride) <= window
        blocks = model.stages[stage].blocks
        is_global = any(block.use_global for block in blocks)
        of_windows = ("column",) if one_window and is_global else ("windows", "unwindowed")
        of_a_block = {} if is_global else {"block": len(blocks) - 1}
        for method in METHODS:
            if method in methods and method in (*of_windows, "rollout", "gradient", "gradcam"):
                block = of_a_block if method in (*of_windows, "gradient") else {}
                found[f"{method} {stage}"] = {"method": method, "stage": stage, **block}
        if "unwindowed" in methods and not one_window:
            found[f"unwindowed {stage}, no bias"] = {
                "method": "unwindowed",
                "stage": stage,
                "bias": False,
                **of_a_block,
            }
    return found


def evaluate_scene(
    model: GCViT, fresh: GCViT, scene: Scene, other: Scene, maps: dict[str, dict[str, Any]], steps: int, seed: int
) -> dict[str, Any]:
    """Every figure of one scene: of the scene itself, and of every map and baseline.

    Curves and correlations are of maps that are interpolated between the tokens; pixels have an order then. For
    pointing and energy each pixel has its token's number: interpolated, the largest of few tokens may be in a corner.

    Args:
        model: a GCViT in eval mode.
        fresh: the same, untrained.
        scene: the scene that is evaluated.
        other: another scene, for the sanity tests.
        maps: from candidates.
        steps: of the curves.
        seed: of whatever is random.
    """
    image, baseline = scene.image, blurred(scene.image)
    with torch.no_grad():
        logits = model(torch.cat([image, baseline]))
    sharp, blind = logits.softmax(1)[:, scene.label].tolist()
    options = {
        name: {**given, "target": scene.label} if given["method"] in ("gradient", "gradcam") else given
        for name, given in maps.items()
    }
    reference = attention_map(model, image, method="gradcam", stage=REFERENCE_STAGE, target=scene.label).to_pixels()[0]
    shown: dict[str, tuple[Tensor, Tensor]] = {}
    for name, given in options.items():
        found = attention_map(model, image, **given)
        shown[name] = found.to_pixels()[0], found.to_pixels(smooth=False)[0]
    baselines = {"centre": centre_prior(image), "random": random_map(image, seed), "contrast": contrast_map(image)}
    shown |= {name: (values[0], values[0]) for name, values in baselines.items()}
    figures = {}
    for name, (smooth, cells) in shown.items():
        order = brightest_first(smooth, seed)
        deletion, insertion = deletion_and_insertion(model, image, baseline, order, scene.label, steps)
        figures[name] = {
            "deletion": area(deletion),
            "insertion": area(insertion),
            "pointing": pointing(cells, scene.mask),
            "energy": energy(cells, scene.mask),
            "gradcam": rank_correlation(smooth, reference),
        }
    return {
        "correct": logits[0].argmax().item() == scene.label,
        "probability": sharp,
        "probability_blurred": blind,
        "object_share": scene.mask.float().mean().item(),
        "maps": figures,
        "sanity": {name: sanity(model, fresh, image, other.image, given, seed) for name, given in options.items()},
    }


def evaluate_maps(
    model: GCViT,
    scenes: Iterable[Scene],
    maps: dict[str, dict[str, Any]],
    *,
    steps: int = 16,
    seed: int = 0,
    first: int = 0,
) -> Iterator[dict[str, Any]]:
    """The figures of each scene, one after another; summarise takes their means.

    Args:
        model: a GCViT in eval mode, with the classes of the scenes.
        scenes: two or more of one size; the next one is the other image of the sanity tests.
        maps: from candidates.
        steps: of the curves.
        seed: of whatever is random.
        first: index of the scene to begin with.

    Raises:
        ValueError: for fewer than two scenes, or steps below one.
    """
    scenes = list(scenes)
    if len(scenes) < 2 or steps < 1:
        raise ValueError(f"{len(scenes)} scenes and steps={steps} are too few; take 2 scenes and 1 step, or more")
    fresh = untrained(model, seed)
    for index in range(first, len(scenes)):
        other = scenes[(index + 1) % len(scenes)]
        yield evaluate_scene(model, fresh, scenes[index], other, maps, steps, seed + index)


def summarise(rows: list[dict[str, Any]], maps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Means over scenes with 95 % intervals, ready for JSON; NaN becomes None.

    Returns:
        "scenes": how many, the share that is classified correctly, the class's probability, also of the blurred
        picture, and the object's share of the picture, which is chance for "pointing" and "energy".
        "maps": for each map and baseline its options, its FIGURES over "all" scenes and over those that the network
        classifies correctly ("correct"), the differences to the centre prior scene by scene ("over_centre"), and for
        maps the correlations of the SANITY tests.
    """
    right = [row for row in rows if row["correct"]]
    result = {}
    for name in (*maps, *BASELINES):
        result[name] = {
            "options": maps.get(name, {}),
            "all": {key: _estimate([row["maps"][name][key] for row in rows]) for key in FIGURES},
            "correct": {key: _estimate([row["maps"][name][key] for row in right]) for key in FIGURES},
            "over_centre": {
                key: _estimate([row["maps"][name][key] - row["maps"]["centre"][key] for row in rows]) for key in FIGURES
            },
        }
        if name in maps:
            result[name]["sanity"] = {key: _estimate([row["sanity"][name][key] for row in rows]) for key in SANITY}
    about = {key: _estimate([float(row[key]) for row in rows]) for key in OF_SCENES}
    return {"scenes": {"n": len(rows), **about}, "maps": result}


def _estimate(values: list[float]) -> dict[str, float | int | None]:
    found = asdict(bootstrap(values))
    return {key: None if math.isnan(value) else round(value, 4) for key, value in found.items()}


def read_faithfulness(path: Path | None = None) -> dict[str, Any]:
    """The results in a file that this module's command wrote; None reads those of the shipped weights.

    Returns:
        "settings", the weights and how they were evaluated, and the parts that summarise describes.

    Raises:
        ValueError: if the file is no such table.
    """
    path = path or data_folder("runs") / "judge.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not {"settings", "scenes", "maps"} <= set(found):
        raise ValueError(
            f"{path.name} is no table of map_faithfulness; "
            "python -m gcvit_edu.experiments map_faithfulness --out FILE writes one"
        )
    return found


def table(maps: dict[str, Any]) -> str:
    """One aligned line per map: its figures over all scenes, with their intervals."""
    rows = [("map", *FIGURES)]
    for name, figures in maps.items():
        rows.append((name, *(_cell(figures["all"][figure]) for figure in FIGURES)))
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cell(estimate: dict[str, Any]) -> str:
    return "-" if estimate["mean"] is None else "{mean:.3f} [{low:.3f}, {high:.3f}]".format(**estimate)


def _identity(weights: str) -> dict[str, str]:
    """The identity of weights: a name, or a file's name and SHA-256, never its folder."""
    path = Path(weights)
    if not path.is_file():
        return {"weights": weights}
    return {"weights": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Evaluate the maps that the command line names, write and print their figures, and return them."""
    parser = argparse.ArgumentParser(prog="python -m gcvit_edu.experiments map_faithfulness", description=__doc__)
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
        first_line = {**settings, "maps": list(maps)}
        rows = read_rows(kept, first_line)
        for row in evaluate_maps(model, scenes, maps, steps=options.steps, seed=options.seed, first=len(rows)):
            rows.append(row)
            add_row(kept, first_line, row)
            print(f"\r{len(rows)} of {options.scenes} scenes", end="", file=sys.stderr)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(file=sys.stderr)
    found = {"settings": settings, **summarise(rows, maps)}
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    kept.unlink()
    about = {name: value if name == "n" else _cell(value) for name, value in found["scenes"].items()}
    print(f"{about['n']} scenes, the object's share {about['object_share']}, classified correctly {about['correct']}")
    print(f"probability of the class {about['probability']}, of the blurred picture {about['probability_blurred']}")
    print(table(found["maps"]))
    return found
