"""The timeline's data and its Python side; what a reader sees and does is in test_browser_timeline.py."""

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gcvit_edu.explorer import Timeline, timeline
from gcvit_edu.explorer.pack import LEAST_SCALE

PICTURES = {"red": Image.new("RGB", (8, 8), "red"), "blue": Image.new("RGB", (8, 8), "blue")}


def maps(seed: int = 0) -> Tensor:
    return torch.rand(3, 2, 2, 4, generator=torch.Generator().manual_seed(seed)) ** 4


def made(**options: Any) -> Timeline:
    columns = {"near": ("local", maps()), "far": ("global", maps(1))}
    return timeline(PICTURES, ["first", "second", "third"], columns, title="T", **options)


def data_of(one: Timeline) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json">(.*)</script>', one._repr_html_())
    return json.loads(text)


def test_maps_are_stored_in_order_on_one_scale() -> None:
    column = data_of(made())["columns"][1]
    assert (column["title"], column["kind"], column["map"]) == ("far", "global", [2, 4])
    stored = np.frombuffer(base64.b64decode(column["rows"]), dtype=np.uint8).reshape(3, 2, 2, 4)
    most = column["times"] * maps(1).mean()
    shown = torch.from_numpy(stored.copy()) / 255 * most
    torch.testing.assert_close(shown, maps(1).clamp_max(most), rtol=0, atol=0.01)
    assert 0 < (stored == 255).sum() <= 2  # the scale leaves out one number in a hundred, here of 48


def test_the_scale_leaves_out_one_number_in_a_hundred() -> None:
    powers = (torch.arange(600.0) / 600) ** 8  # apart enough that only what is cut off has the largest byte
    now = timeline(PICTURES, ["a", "b", "c"], {"near": ("local", powers.reshape(3, 2, 10, 10))}, title="T")
    assert base64.b64decode(data_of(now)["columns"][0]["rows"]).count(255) == 6 + 1  # and the one at the end itself


def test_an_even_map_stays_pale() -> None:
    even = timeline(PICTURES, ["now"], {"flat": ("local", torch.full((1, 2, 4, 4), 1 / 16))}, title="T")
    column = data_of(even)["columns"][0]
    assert column["times"] == LEAST_SCALE
    assert set(base64.b64decode(column["rows"])) == {round(255 / LEAST_SCALE)}


def test_words_are_kept_and_cannot_close_the_script() -> None:
    one = made(notes=["a", "</script>", "c"], start=2)
    data = data_of(one)
    assert (data["moments"], data["notes"], data["start"]) == (["first", "second", "third"], ["a", "</script>", "c"], 2)
    assert one._repr_html_().count("</script>") == 2
    assert repr(one) == "Timeline(title='T', moments=('first', 'second', 'third'))"
    assert one._repr_html_() == made(notes=["a", "</script>", "c"], start=2)._repr_html_()
    assert not re.search(r"https?://|@import|url\(", one._repr_html_())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"notes": ["only one"]}, "1 notes do not fit 3 moments"),
        ({"start": 3}, "no moment 3"),
        ({"start": -1}, "no moment -1"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**options)


def with_one(value: float) -> Tensor:
    one = maps()
    one[1, 1, 1, 1] = value
    return one


WRONG = {
    "moments": torch.ones(2, 2, 4, 4),
    "pictures": torch.ones(3, 1, 4, 4),
    "dimensions": torch.ones(3, 2, 4),
    "negative": -maps(),
    "nan": with_one(float("nan")),
    "infinite": with_one(float("inf")),
    "zeros": torch.zeros(3, 2, 4, 4),
    "empty": torch.ones(3, 2, 0, 4),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_maps_that_do_not_fit_are_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match=r"the maps of 'near' .* all finite, none negative and one above 0"):
        timeline(PICTURES, ["first", "second", "third"], {"near": ("local", wrong)}, title="T")


def test_no_moments_and_an_unknown_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no moments; give the name of one at least"):
        timeline(PICTURES, [], {"near": ("local", maps()[:0])}, title="T")
    with pytest.raises(ValueError, match="the queries of 'near' are 'glob'; say 'local' or 'global'"):
        timeline(PICTURES, ["first", "second", "third"], {"near": ("glob", maps())}, title="T")
