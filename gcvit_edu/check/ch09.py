"""Checkers of chapter 9, Any image size."""

from collections.abc import Callable, Sequence
from functools import cache
from math import ceil, floor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.check.answers import call, numbers, tensor
from gcvit_edu.check.verdict import Verdict, all_right, checker, compare, compare_cases, not_yet
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
        "You also asked that the query fits; here only the windows count.": lambda *sides: (
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

    def by_place(row: Tensor, place: Tensor, how: str = "") -> Tensor:
        """Between the two neighbours of each place; how names a mistake."""
        left = place.long().clamp(max=len(row) - 2)
        part = place - left
        return row[left] * part + row[left + 1] * (1 - part) if how else row[left] * (1 - part) + row[left + 1] * part

    def tried(row: Tensor, window: int) -> Verdict:
        new, last = 2 * window - 1, len(row) - 1
        steps = torch.arange(new)
        place = steps * last / (new - 1)
        mistakes = {
            "That is align_corners=False: the outermost offsets moved.": linear(row, new, False),
            "You took the nearest old number; interpolate between two.": row[place.round().long()],
            "You took the number on the left; interpolate between two.": row[steps * last // (new - 1)],
            "The factor is (v-1)/(w-1), not v/w.": by_place(row, (steps * (last + 2) / (new + 1)).clamp(max=last)),
            "The two neighbours' weights are swapped.": by_place(row, place, "swapped"),
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
    praise = "As many rows above as below, and the mask in the order of the windows."
    for images, height, width, window in ((2, 5, 6, 4), (2, 8, 7, 4), (2, 4, 8, 4), (1, 1, 5, 3), (3, 9, 7, 7)):
        x = torch.arange(1.0, 1 + images * height * width * 3).reshape(images, height, width, 3)
        answer = call(function, x, window)
        if not isinstance(answer, tuple) or len(answer) != 2 or not all(isinstance(a, Tensor) for a in answer):
            return not_yet("Return two tensors, the padded map and the mask.")
        rows, columns = -height % window, -width % window
        top, left = rows // 2, columns // 2

        def padded(top: int, left: int, rows: int = rows, columns: int = columns, x: Tensor = x) -> Tensor:
            return F.pad(x, (0, 0, left, columns - left, top, rows - top))

        right = padded(top, left)
        verdict = compare(
            answer[0],
            right,
            praise,
            {
                "Everything was added at the bottom and on the right.": padded(0, 0),
                "An odd row or column goes below, or right.": padded(rows - top, columns - left),
                "The numbers for rows and for columns are swapped: F.pad begins with the last axis.": F.pad(
                    x, (0, 0, top, rows - top, left, columns - left)
                ),
            },
        )
        if not verdict.right:
            return verdict
        real = tensor(answer[1], "mask as a tensor")
        map_mask = F.pad(torch.ones(1, height, width, 1), (0, 0, left, columns - left, top, rows - top))
        mask = window_partition(map_mask, window).squeeze(-1)
        if real.is_floating_point():
            return not_yet("The mask must be boolean: ~ and masked_fill need it so.")
        verdict = compare(
            real.int(),
            mask.int(),
            praise,
            {
                "The mask is turned round: it is True for real tokens.": 1 - mask.int(),
                "The mask is still a map; cut it into windows, as the tokens are.": map_mask.squeeze(-1).int(),
                "The mask is in the map's order; the windows have another: use window_partition.": map_mask.reshape(
                    -1, window**2
                ).int(),
            },
        )
        if not verdict.right:
            return not_yet(verdict.message.replace("Expected the shape", "For the mask, expected the shape"))
    return Verdict(True, praise)


@checker()
def missing_mask(answer: Sequence[float]) -> Verdict:
    """Exercise 9.6: norms without the mask over norms with it, for 49, 28, 7 and 1 real tokens of 49."""
    if answer is None:
        return not_yet("Measure the four numbers, put them into this cell, then run it again.")
    found = torch.tensor(numbers(answer, 4, "Expected a list of four numbers"))
    right = torch.tensor([49.0, 28, 7, 1]) / 49

    def near(values: Tensor) -> bool:
        return bool(((found - values).abs() <= 0.06 * values.abs() + 1e-3).all())

    if near(right):
        return Verdict(True, "Now answer the question: which rule is this, and why?")
    if near(right.flip(0)):
        return not_yet("The order is turned: begin with 49 real tokens.")
    if near(1 / right):
        return not_yet("That is with the mask divided by without; turn it round.")
    if near(1 - right):
        return not_yet("That is how much is lost; the ratio is what is left.")
    if near(torch.ones(4)):
        return not_yet("Both are the same everywhere: did zeros_only get the maps that do not fit?")
    if abs(found[0] - 1) > 0.01:
        return not_yet("With 49 real tokens nothing is padded, so the first ratio must be 1.")
    return not_yet("The first number is right, the others are not. Did you initialise with layer.apply(init_weights)?")


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
    found = torch.tensor(numbers(answer, 2, "Return two numbers, for padding and for grown windows"))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        grown = create_model("nano", image_size=size).eval()
        grown.load_state_dict(convert_state_dict(model.state_dict(), grown))
        reference = model(normalize(crop_to(photo, 64)))
        larger = normalize(crop_to(photo, size))
        padded_logits, grown_logits = model(larger), grown(larger)
        changes = torch.stack([(logits - reference).norm() for logits in (padded_logits, grown_logits)])
    right = changes / reference.norm()

    def near(values: Tensor) -> bool:
        return bool((found - values).abs().max() <= 1e-3 * values.abs().max())

    if near(right):
        return Verdict(True, "Now try several photographs and sizes, and answer the question.")
    if near(right.flip(0)):
        return not_yet("The two are swapped: the model as it is comes first, the grown one second.")
    if near(changes):
        return not_yet("Divide by the norm of the logits at 64 pixels.")
    if near(right[:1].expand(2)):
        return not_yet("Both numbers are those of the model as it is; the second needs grown windows.")
    if abs(found[0] - right[0]) <= 1e-3 * right[0]:
        return not_yet("The first number is right. Does the grown model have the same weights, and is it in eval mode?")
    return not_yet(f"{found[0]:.3f} and {found[1]:.3f} are not it. Is the reference the logits at 64 pixels?")
