"""Checkers of chapter 9, Any image size."""

from collections.abc import Callable, Sequence
from functools import cache
from math import ceil, floor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.check.answers import call, numbers, tensors
from gcvit_edu.check.verdict import Verdict, all_right, checker, compare, compare_cases, compare_numbers, not_yet
from gcvit_edu.data import crop_to, load_photo, normalize
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.windows import window_partition
from gcvit_edu.zoo import create_model

_STAGES = ((4, 7), (8, 7), (16, 14), (32, 7))  # stride and window of tiny


@checker()
def whole_windows(function: Callable[[int, int], bool]) -> Verdict:
    """Exercise 9.1: function(height, width) says whether tiny cuts the picture into whole windows everywhere."""
    cases = [(224, 224), (221, 223), (220, 224), (225, 224), (224, 225), (448, 224), (252, 252), (200, 200), (240, 240)]
    cases += [(445, 447), (442, 448), (672, 224), (669, 671), (668, 672), (112, 224), (1, 1)]

    def right(height: int, width: int) -> bool:
        return all(ceil(pixels / stride) % window == 0 for pixels in (height, width) for stride, window in _STAGES)

    def of_stage(number: int) -> Callable[[int, int], bool]:
        stride, window = _STAGES[number]
        return lambda *sides: all(ceil(pixels / stride) % window == 0 for pixels in sides)

    mistakes = {
        "You also required that the query fits; here only the windows count.": lambda *sides: (
            right(*sides) and max(sides) <= 224
        ),
        "Halvings round up: 225 pixels give 57 tokens in stage 1, not 56.": lambda *sides: all(
            pixels // stride % window == 0 for pixels in sides for stride, window in _STAGES
        ),
        "Halvings round up, so 221 pixels have the same maps as 224; not only multiples of 224 fit.": lambda *sides: (
            all(pixels % 224 == 0 for pixels in sides)
        ),
        "You looked at the height only.": lambda height, _: right(height, height),
        "You looked at the width only.": lambda _, width: right(width, width),
        "You looked at stage 1 only; at 252 pixels it fits, and the others do not.": of_stage(0),
        "You looked at stage 4 only; at 200 pixels it fits, and the others do not.": of_stage(3),
    }
    return compare_cases(function, cases, right, mistakes, "Sides of 221 to 224 pixels, and their doubles, fit.")


@checker()
def least_and_most_waste(answer: tuple[int, int]) -> Verdict:
    """Exercise 9.2: the sides between 224 and 448 at which stage 3 of tiny pads least and most."""
    if answer is None:
        return not_yet("Put a pair of sides in this cell, then run it again.")
    answer = numbers(answer, 2, "Give two sides: the one with the least waste, then the one with the most")
    least, most = answer
    if (least, most) == (416, 256):
        return Verdict(True, "The windows hold 28 x 28 tokens at all of them; only the real ones differ.")
    if (least, most) == (256, 416):
        return not_yet("The other way round: least waste first. At 256 pixels two thirds are padding.")
    if 224 in answer or 448 in answer:
        return not_yet("At 224 and 448 pixels nothing is wasted; look between them.")
    if any(side % 32 or not 224 < side < 448 for side in answer):
        return not_yet("Give multiples of 32 between 224 and 448.")
    wrong, word = (least, "least") if least != 416 else (most, "most")
    share = 1 - (ceil(wrong / 16) / 28) ** 2
    return not_yet(f"At {wrong:.0f} pixels {share:.0%} of the tokens are padding; that is not the {word}.")


@checker()
def rows_covered(function: Callable[[int, int, int], tuple[int, int]]) -> Verdict:
    """Exercise 9.3: function(cells, window, i) gives the first and the last row that become row i."""
    cases = [(cells, 7, i) for cells in (7, 8, 10, 12, 14, 6, 3) for i in range(7)]
    cases += [(cells, window, i) for cells, window in ((9, 4), (5, 3), (28, 14), (16, 5)) for i in range(window)]
    cases += [(10**17 + 3, 7, i) for i in (2, 5)]
    mistakes: dict[str, Callable[[int, int, int], Any]] = {
        "The last row is one too far: the end, rounded up, is not touched any more.": lambda n, w, i: (
            i * n // w,
            -(-(i + 1) * n // w),
        ),
        "You rounded the end down; a row that is touched in part counts too.": lambda n, w, i: (
            i * n // w,
            (i + 1) * n // w - 1,
        ),
        "You rounded the beginning up; a row that is touched in part counts too.": lambda n, w, i: (
            -(-i * n // w),
            -(-(i + 1) * n // w) - 1,
        ),
        "You swapped cells and window: the map's rows become the window's.": lambda n, w, i: (
            i * w // n,
            -(-(i + 1) * w // n) - 1,
        ),
        "You gave one row for each; where the map is larger, several are averaged.": lambda n, w, i: (
            i * n // w,
            i * n // w,
        ),
        "Whole numbers only: / and ceil lose the last digits of large numbers; -(-a // b) rounds up.": lambda n, w, i: (
            i * n // w,
            ceil((i + 1) * n / w) - 1,
        ),
        "Whole numbers only: / loses the last digits of large numbers; // rounds down and -(-a // b) up.": (
            lambda n, w, i: (floor(i * n / w), ceil((i + 1) * n / w) - 1)
        ),
    }

    def right(n: int, w: int, i: int) -> tuple[int, int]:
        return i * n // w, -(-(i + 1) * n // w) - 1

    return compare_cases(function, cases, right, mistakes, "Every row is in some cell, so nothing is lost.")


@checker(without=("torch.interpolate", "torch.upsample_linear1d"))
def resized_row(function: Callable[[Tensor, int], Tensor]) -> Verdict:
    """Exercise 9.4: function(row, window) is linear interpolation with aligned corners."""

    def linear(values: Tensor, new: int, corners: bool) -> Tensor:
        return F.interpolate(values[None, None], new, mode="linear", align_corners=corners)[0, 0]

    def by_place(row: Tensor, place: Tensor, *, swapped: bool = False) -> Tensor:
        left = place.long().clamp(max=len(row) - 2)
        part = 1 - (place - left) if swapped else place - left
        return row[left] * (1 - part) + row[left + 1] * part

    def tried(row: Tensor, window: int) -> Verdict:
        new, last = 2 * window - 1, len(row) - 1
        steps = torch.arange(new)
        place = steps * last / (new - 1)
        mistakes = {
            "That is align_corners=False: the outermost offsets moved.": linear(row, new, False),
            "You took the nearest old number; interpolate between two.": row[place.round().long()],
            "You took the number on the left; interpolate between two.": row[steps * last // (new - 1)],
            "The factor is (v-1)/(w-1), not v/w.": by_place(row, (steps * (last + 2) / (new + 1)).clamp(max=last)),
            "The two neighbours' weights are swapped.": by_place(row, place, swapped=True),
            "The new row has 2w-1 numbers; you made w.": linear(row, window, True),
        }
        praise = "The outermost offsets and the middle kept their numbers."
        return compare(call(function, row, window), linear(row, new, True), praise, mistakes)

    row = torch.tensor([3.0, -1.0, 4.0, 1.0, -5.0, 9.0, 2.0])  # v = 4
    cases = ((row, 6), (row, 3), (row, 4), (row[:3], 5), (row[:5].double(), 2), (row.repeat(2)[:13], 14))
    return all_right(tried(*case) for case in cases)


@checker()
def centred_padding(function: Callable[[Tensor, int], tuple[Tensor, Tensor]]) -> Verdict:
    """Exercise 9.5: function(x, window) pads on all sides and gives the mask by windows."""
    cases = ((2, 5, 6, 4), (2, 8, 7, 4), (2, 4, 8, 4), (1, 1, 5, 3), (3, 9, 7, 7))
    return all_right(_padded_and_masked(function, *case) for case in cases)


def _padded_and_masked(function: Callable[..., Any], images: int, height: int, width: int, window: int) -> Verdict:
    x = torch.arange(1.0, 1 + images * height * width * 3).reshape(images, height, width, 3)
    found, real = tensors(call(function, x, window), 2, "Return two tensors, the padded map and the mask")
    rows, columns = -height % window, -width % window
    top, left = rows // 2, columns // 2

    def padded(top: int, left: int) -> Tensor:
        return F.pad(x, (0, 0, left, columns - left, top, rows - top))

    praise = "As many rows above as below, and the mask in the order of the windows."
    mistakes = {
        "Everything was added at the bottom and on the right.": padded(0, 0),
        "An odd row goes below, an odd column to the right.": padded(rows - top, columns - left),
        "The numbers for rows and for columns are swapped: F.pad begins with the last axis.": F.pad(
            x, (0, 0, top, rows - top, left, columns - left)
        ),
    }
    verdict = compare(found, padded(top, left), praise, mistakes)
    if not verdict:
        return verdict
    if real.dtype != torch.bool:
        return not_yet("The mask must be boolean: ~ and masked_fill need that.")
    map_mask = F.pad(torch.ones(1, height, width, 1), (0, 0, left, columns - left, top, rows - top))
    mask = window_partition(map_mask, window).squeeze(-1)
    mistakes = {
        "The mask is the wrong way round: it is True for real tokens.": 1 - mask,
        "The mask is still a map; cut it into windows, as the tokens are.": map_mask.squeeze(-1),
        "The mask is in the map's order; the windows have another: use window_partition.": map_mask.reshape(
            -1, window**2
        ),
    }
    return compare(real, mask, praise, mistakes, name="mask")


@checker()
def missing_mask(answer: Sequence[float]) -> Verdict:
    """Exercise 9.6: norms without the mask over norms with it, for 49, 28, 7 and 1 real tokens of 49."""
    if answer is None:
        return not_yet("Measure the four numbers, put them into this cell, then run it again.")
    found = numbers(answer, 4, "Expected a list of four numbers")
    right = [49 / 49, 28 / 49, 7 / 49, 1 / 49]
    mistakes = {
        "The order is reversed: begin with 49 real tokens.": right[::-1],
        "You divided the norm with the mask by the norm without it; invert it.": [1 / ratio for ratio in right],
        "That is how much is lost; the ratio is what is left.": [1 - ratio for ratio in right],
        "Both are the same everywhere: did zeros_only get the maps that do not fit?": [1.0] * 4,
    }
    otherwise = (
        "With 49 real tokens nothing is padded, so the first ratio must be 1."
        if abs(found[0] - 1) > 0.01
        else "The first number is right, the others are not. Did you initialise with layer.apply(init_weights)?"
    )
    praise = "Now answer the question: which rule is this, and why?"
    return compare_numbers(found, right, praise, mistakes, otherwise, relative=0.06, absolute=2e-3)


@checker()
def drift(function: Callable[[nn.Module, Any, int], tuple[float, float]]) -> Verdict:
    """Exercise 9.7: function(model, photo, size) is the relative change of nano's logits, padded and grown."""
    return all_right(_drifted(function, photo, size) for photo, size in (("coffee", 80), ("cat", 96)))


@cache
def _model() -> nn.Module:
    """A nano with weights that matter."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = create_model("nano").eval()
        for name, parameter in model.named_parameters():
            if name.endswith("table"):
                parameter.normal_()
            elif parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
    return model


def _drifted(function: Callable[..., Any], name: str, size: int) -> Verdict:
    model, photo = _model(), load_photo(name)
    answer = call(
        function,
        model,
        photo,
        size,
        errors={
            "size mismatch": "The weights do not fit: the tables of the position bias have another size in the "
            "grown model. Load convert_state_dict(model.state_dict(), grown) into it, which resizes them."
        },
    )
    found = numbers(answer, 2, "Return two numbers, for padding and for grown windows")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        grown = create_model("nano", image_size=size).eval()
        grown.load_state_dict(convert_state_dict(model.state_dict(), grown))
        reference = model(normalize(crop_to(photo, 64)))
        larger = normalize(crop_to(photo, size))
        padded_logits, grown_logits = model(larger), grown(larger)
        changes = [(logits - reference).norm().item() for logits in (padded_logits, grown_logits)]
        scale = reference.norm().item()
    padded, grown_windows = (change / scale for change in changes)
    mistakes = {
        "The two are swapped: the model as it is comes first, the grown one second.": (grown_windows, padded),
        "Divide by the norm of the logits at 64 pixels.": changes,
        "Both numbers are those of the model as it is; the second needs grown windows.": (padded, padded),
    }
    otherwise = (
        "The first number is right. Does the grown model have the same weights, and is it in eval mode?"
        if abs(found[0] - padded) <= 1e-3 * padded
        else f"{found[0]:.3g} and {found[1]:.3g} are not right. Is the reference the logits at 64 pixels?"
    )
    praise = "Now try several photographs and sizes, and answer the question."
    return compare_numbers(found, (padded, grown_windows), praise, mistakes, otherwise, relative=1e-3)
