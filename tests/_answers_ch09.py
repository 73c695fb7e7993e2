"""Right and wrong answers to the exercises of chapter 9, with the diagnosis each wrong one must get."""

from collections.abc import Callable
from math import ceil
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from gcvit_edu.check import Verdict, ch09
from gcvit_edu.data import crop_to, normalize
from gcvit_edu.weight_keys import convert_state_dict
from gcvit_edu.windows import window_partition
from gcvit_edu.zoo import create_model

STAGES = ((4, 7), (8, 7), (16, 14), (32, 7))


def whole(height: int, width: int) -> bool:
    return not any(-(-side // stride) % window for side in (height, width) for stride, window in STAGES)


def linear(row: Tensor, window: int, *, corners: bool = True, numbers: int | None = None) -> Tensor:
    size = numbers or 2 * window - 1
    return F.interpolate(row[None, None], size, mode="linear", align_corners=corners)[0, 0]


def by_hand(row: Tensor, window: int) -> Tensor:
    return by_place(row, window, (len(row) - 1) / (2 * window - 2), "linear")


def by_place(row: Tensor, window: int, factor: float, how: str) -> Tensor:
    place = (torch.arange(2 * window - 1) * factor).clamp(max=len(row) - 1)
    if how == "nearest":
        return row[place.round().long()]
    if how == "left":
        return row[(place + 1e-6).long()]
    left = place.long().clamp(max=len(row) - 2)
    part = place - left
    if how == "swapped":
        part = 1 - part
    return row[left] * (1 - part) + row[left + 1] * part


def centred(
    x: Tensor, window: int, *, late: bool = True, one_end: bool = False, mask: str = "windows", axes: str = "right"
) -> tuple[Tensor, Tensor]:
    _, height, width, _ = x.shape
    rows, columns = -height % window, -width % window
    top, left = (0, 0) if one_end else (rows // 2, columns // 2) if late else (-(-rows // 2), -(-columns // 2))
    widths = (0, 0, left, columns - left, top, rows - top)
    if axes == "swapped":
        return F.pad(x, (0, 0, top, rows - top, left, columns - left)), torch.ones(1)
    real = F.pad(torch.ones(1, height, width, 1, dtype=torch.bool), widths, value=False)
    masks = {
        "windows": lambda: window_partition(real, window).squeeze(-1),
        "turned": lambda: ~window_partition(real, window).squeeze(-1),
        "float": lambda: window_partition(real, window).squeeze(-1).float(),
        "map": lambda: real.squeeze(-1),
        "reshaped": lambda: real.reshape(-1, window**2),
        "batch": lambda: window_partition(real.expand(2, -1, -1, -1), window).squeeze(-1),
    }
    return F.pad(x, widths), masks[mask]()


@torch.no_grad()
def drift(model: nn.Module, photo: Image.Image, size: int, *, how: str = "") -> tuple[float, ...]:
    grown = create_model("nano", image_size=size).eval()
    if how == "plain":
        grown.load_state_dict(model.state_dict())
    elif how != "fresh":
        grown.load_state_dict(convert_state_dict(model.state_dict(), grown))
    reference = model(normalize(crop_to(photo, 64)))
    picture = normalize(crop_to(photo, size))
    networks = {"swapped": (grown, model), "same": (model, model), "one": (model,)}.get(how, (model, grown))
    scale = {"absolute": torch.ones(()), "of the larger": model(picture).norm()}.get(how, reference.norm())
    return tuple(((network(picture) - reference).norm() / scale).item() for network in networks)


RIGHT: list[tuple[Callable[[Any], Verdict], Any]] = [
    (ch09.whole_windows, whole),
    (ch09.least_and_most_waste, (416, 256)),
    (ch09.rows_covered, lambda n, w, i: (i * n // w, -(-(i + 1) * n // w) - 1)),
    (ch09.rows_covered, lambda n, w, i: [i * n // w, -(-(i + 1) * n // w) - 1]),
    (ch09.resized_row, by_hand),
    (ch09.centred_padding, centred),
    (ch09.missing_mask, [1.0, 0.57, 0.143, 0.0205]),
    (ch09.drift, drift),
]


WRONG: list[tuple[Callable[[Any], Verdict], Any, str]] = [
    (
        ch09.whole_windows,
        lambda *sides: not any(side // stride % window for side in sides for stride, window in STAGES),
        "Halvings round up: 225 pixels",
    ),
    (ch09.whole_windows, lambda h, w: h % 224 == 0 and w % 224 == 0, "not only multiples of 224"),
    (ch09.whole_windows, lambda h, _: whole(h, h), "height only"),
    (ch09.whole_windows, lambda _, w: whole(w, w), "width only"),
    (ch09.whole_windows, lambda h, w: ceil(h / 4) % 7 == 0 and ceil(w / 4) % 7 == 0, "stage 1 only"),
    (ch09.whole_windows, lambda h, w: ceil(h / 32) % 7 == 0 and ceil(w / 32) % 7 == 0, "stage 4 only"),
    (ch09.whole_windows, lambda h, w: True, "gives True, which is not right"),
    (ch09.whole_windows, lambda h, w: whole(h, w) and h < 225 and w < 225, "that the query fits"),
    (ch09.least_and_most_waste, (256, 416), "other way round"),
    (ch09.least_and_most_waste, (448, 256), "nothing is wasted"),
    (ch09.least_and_most_waste, (416, 400), "multiples of 32"),
    (ch09.least_and_most_waste, (384, 256), "not the least"),
    (ch09.least_and_most_waste, (416, 288), "not the most"),
    (ch09.least_and_most_waste, 416, "Give two sides"),
    (ch09.least_and_most_waste, None, "Put a pair"),
    (ch09.rows_covered, lambda n, w, i: (i * n // w, -(-(i + 1) * n // w)), "one too far"),
    (ch09.rows_covered, lambda n, w, i: (i * n // w, (i + 1) * n // w - 1), "rounded the end down"),
    (ch09.rows_covered, lambda n, w, i: (-(-i * n // w), -(-(i + 1) * n // w) - 1), "rounded the beginning up"),
    (ch09.rows_covered, lambda n, w, i: (i * w // n, -(-(i + 1) * w // n) - 1), "swapped cells and window"),
    (ch09.rows_covered, lambda n, w, i: (i * n // w, i * n // w), "one row for each"),
    (ch09.rows_covered, lambda n, w, i: (i * n // w, ceil((i + 1) * n / w) - 1), "Whole numbers only: / and ceil"),
    (ch09.rows_covered, lambda n, w, i: (int(i * n / w), ceil((i + 1) * n / w) - 1), "Whole numbers only: / loses"),
    (ch09.rows_covered, 7, "Give the function itself"),
    (ch09.resized_row, linear, "used interpolate"),
    (ch09.resized_row, lambda row, window: linear(row, window, corners=False), "align_corners=False"),
    (ch09.resized_row, lambda row, window: by_place(row, window, 0.6, "nearest"), "nearest old number"),
    (ch09.resized_row, lambda row, window: by_place(row, window, 0.6, "left"), "number on the left"),
    (ch09.resized_row, lambda row, window: by_place(row, window, 4 / 6, "linear"), "not v/w"),
    (ch09.resized_row, lambda row, window: by_place(row, window, 0.6, "swapped"), "weights are swapped"),
    (ch09.resized_row, lambda row, window: linear(row, window, numbers=window), "you made w"),
    (ch09.centred_padding, lambda x, w: centred(x, w)[0], "Return two tensors"),
    (ch09.centred_padding, lambda x, w: centred(x, w, one_end=True), "Everything was added at the bottom"),
    (ch09.centred_padding, lambda x, w: centred(x, w, late=False), "An odd row goes below"),
    (ch09.centred_padding, lambda x, w: centred(x, w, axes="swapped"), "F.pad begins with the last axis"),
    (ch09.centred_padding, lambda x, w: centred(x, w, mask="float"), "must be boolean"),
    (ch09.centred_padding, lambda x, w: centred(x, w, mask="turned"), "wrong way round"),
    (ch09.centred_padding, lambda x, w: centred(x, w, mask="map"), "still a map"),
    (ch09.centred_padding, lambda x, w: centred(x, w, mask="reshaped"), "use window_partition"),
    (ch09.centred_padding, lambda x, w: centred(x, w, mask="batch"), "Expected a mask of shape"),
    (ch09.missing_mask, None, "Measure the four numbers"),
    (ch09.missing_mask, "half", "list of four numbers"),
    (ch09.missing_mask, [1.0, 0.5], "you gave 2"),
    (ch09.missing_mask, [1 / 49, 1 / 7, 4 / 7, 1.0], "order is reversed"),
    (ch09.missing_mask, [1.0, 7 / 4, 7.0, 49.0], "the norm with the mask by the norm without"),
    (ch09.missing_mask, [0.0, 3 / 7, 6 / 7, 48 / 49], "how much is lost"),
    (ch09.missing_mask, [1.0, 1.0, 1.0, 1.0], "the same everywhere"),
    (ch09.missing_mask, [0.9, 0.5, 0.1, 0.0], "first ratio must be 1"),
    (ch09.missing_mask, [1.0, 0.8, 0.4, 0.1], "initialise with layer.apply"),
    (ch09.drift, lambda *case: 0.3, "Return two numbers"),
    (ch09.drift, lambda *case: drift(*case, how="plain"), "convert_state_dict"),
    (ch09.drift, lambda *case: drift(*case, how="one"), "you gave 1"),
    (ch09.drift, lambda *case: drift(*case, how="swapped"), "The two are swapped"),
    (ch09.drift, lambda *case: drift(*case, how="absolute"), "Divide by the norm"),
    (ch09.drift, lambda *case: drift(*case, how="same"), "the second needs grown windows"),
    (ch09.drift, lambda *case: drift(*case, how="fresh"), "same weights"),
    (ch09.drift, lambda *case: drift(*case, how="of the larger"), "Is the reference"),
]
