"""All maps of a network judged on scenes, where it is known which pixels are the object's."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from gcvit_edu.data import Scenes, normalize
from gcvit_edu.maps.entry import METHODS, attention_map
from gcvit_edu.maps.judge.baselines import centre_prior, contrast_map, random_map
from gcvit_edu.maps.judge.curves import area, blurred, brightest_first, deletion_and_insertion
from gcvit_edu.maps.judge.estimate import bootstrap
from gcvit_edu.maps.judge.sanity_tests import SANITY, sanity, untrained
from gcvit_edu.maps.judge.scores import energy, pointing, rank_correlation
from gcvit_edu.model import GCViT

FIGURES = ("deletion", "insertion", "pointing", "energy", "gradcam")
OF_SCENES = ("correct", "probability", "probability_blurred", "object_share")
BASELINES = ("centre", "random", "contrast")
REFERENCE_STAGE = 2  # agreement is with Grad-CAM there: the last stage whose map is not too coarse to have an order


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
    """Scenes with one emoji of the test split, from 5/16 to 7/8 of a side; those that show none are left out."""
    scenes = Scenes(2 * count, split="test", seed=seed, size=size, most=1, sides=(5 * size // 16, 7 * size // 8))
    shown = ((image, target) for image, target in scenes if len(target["labels"]))
    for image, target in islice(shown, count):
        yield Scene(normalize(F.to_pil_image(image)), int(target["labels"][0]), target["masks"][0].bool())


def candidates(model: GCViT, size: int, methods: Iterable[str] = METHODS) -> dict[str, dict[str, Any]]:
    """{name: options of attention_map} of all maps worth judging at an image size, of the last global blocks.

    Where one window covers the map, "windows" and "unwindowed" equal "column", which stands for them. A stage without
    global blocks, of another network than GC ViT, has no "column", and its last block takes their place.
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


def judge_scene(
    model: GCViT, fresh: GCViT, scene: Scene, other: Scene, maps: dict[str, dict[str, Any]], steps: int, seed: int
) -> dict[str, Any]:
    """Every figure of one scene: of the scene itself, and of every map and baseline.

    Curves and correlations are of maps that are interpolated between the tokens; pixels have an order then. For
    pointing and energy each pixel has its token's number: interpolated, the largest of few tokens may lie in a corner.

    Args:
        model: a GCViT in eval mode.
        fresh: the same, untrained.
        scene: what is looked at.
        other: another one, for the sanity tests.
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


def judge(
    model: GCViT,
    scenes: Iterable[Scene],
    maps: dict[str, dict[str, Any]],
    *,
    steps: int = 16,
    seed: int = 0,
    first: int = 0,
) -> Iterator[dict[str, Any]]:
    """The figures of each scene, one after another; summarise takes them together.

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
        yield judge_scene(model, fresh, scenes[index], other, maps, steps, seed + index)


def summarise(rows: list[dict[str, Any]], maps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Means over scenes with 95 % intervals, ready for JSON; NaN becomes None.

    Returns:
        "scenes": how many, the share that is classified correctly, the class's probability, also of the blurred
        picture, and the object's share of the picture, which is chance for "pointing" and "energy".
        "maps": for each map and baseline its options, its FIGURES over "all" scenes and over those whose class the
        network gets "correct", the differences to the centre prior scene by scene ("over_centre"), and for maps the
        correlations of the SANITY tests.
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
