"""timeline(): maps of pictures at several moments, such as the epochs of a training, with a slider."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gcvit_edu.explorer.markup import asset, jpeg, script, to_json
from gcvit_edu.explorer.pack import LEAST_SCALE, text_of
from gcvit_edu.explorer.quantise import LEVELS

Kind = Literal["local", "global"]  # of queries
RARE = 0.01  # share of a column's numbers that may be above its scale
_FILES = ("timeline.css", "timeline.html", ("page.js", "paint.js", "timeline.js"))


@dataclass(frozen=True)
class Timeline:
    """Maps with a slider, made by timeline(). A notebook shows it.

    Attributes:
        title: the text above it.
        moments: names of the moments.
    """

    title: str
    moments: tuple[str, ...]
    _data: dict[str, Any] = field(repr=False)

    def _repr_html_(self) -> str:
        code, build = script(*_FILES)
        return asset("timeline-fragment.html").substitute(
            build=build, title=html.escape(self.title), data=to_json(self._data), script=code
        )


def timeline(
    pictures: Mapping[str, Image.Image],
    moments: Sequence[str],
    columns: Mapping[str, tuple[Kind, Tensor]],
    *,
    notes: Sequence[str] = (),
    title: str,
    start: int = 0,
) -> Timeline:
    """A table of maps over pictures, one row for each picture, and a slider that goes from moment to moment.

    It is one piece of HTML that needs neither a kernel nor a network. A column has one scale for all moments and
    pictures, so that you can see a map sharpen; columns cannot be compared with each other. The scale ends at the
    99th percentile of the numbers, or at four times their mean where that is more; larger numbers look like its end.

    Args:
        pictures: square ones, by name.
        moments: names of the moments, in order.
        columns: by title, whether the queries are local or global, and the maps, (moments, pictures, h, w), none
            negative and not all zero.
        notes: a sentence for each moment, read with its name; none if left out.
        title: the text above it.
        start: index of the moment that is shown first.

    Raises:
        ValueError: if numbers of moments, pictures, notes and maps do not fit each other, there is no moment, a kind is
            neither "local" nor "global", or maps have a negative or infinite number or zeros only.
    """
    if not moments:
        raise ValueError("there are no moments; give the name of one at least, and its maps")
    if notes and len(notes) != len(moments):
        raise ValueError(f"{len(notes)} notes do not fit {len(moments)} moments; give one for each, or none")
    if not 0 <= start < len(moments):
        raise ValueError(f"there is no moment {start}; they are numbered from 0 to {len(moments) - 1}")
    for name, (kind, maps) in columns.items():
        if kind not in get_args(Kind):
            raise ValueError(f"the queries of {name!r} are {kind!r}; say {' or '.join(map(repr, get_args(Kind)))}")
        if maps.ndim != 4 or maps.shape[:2] != (len(moments), len(pictures)) or not _shown(maps):
            raise ValueError(
                f"the maps of {name!r} of shape {tuple(maps.shape)} are not (moments, pictures, h, w) with "
                f"{len(moments)} moments and {len(pictures)} pictures, all finite, none negative and one above 0"
            )
    data = {
        "title": title,
        "moments": list(moments),
        "notes": list(notes),
        "start": start,
        "pictures": [{"name": name, "photo": jpeg(picture)} for name, picture in pictures.items()],
        "columns": [_column(name, kind, maps) for name, (kind, maps) in columns.items()],
    }
    return Timeline(title, tuple(moments), data)


def _shown(maps: Tensor) -> bool:
    """Whether maps have a scale: all numbers finite, none negative, and one above 0."""
    return bool(maps.isfinite().all() and (maps >= 0).all() and maps.any())


def _column(title: str, kind: Kind, maps: Tensor) -> dict[str, Any]:
    """The maps as bytes of one scale, and how many times the mean its upper end is."""
    even = maps.double().mean().item()
    most = max(np.quantile(maps.double().cpu().numpy(), 1 - RARE).item(), LEAST_SCALE * even)
    stored = (maps / most * LEVELS).round().clamp_max(LEVELS).to(torch.uint8).cpu().numpy().tobytes()
    times = round(most / even, 1)
    return {"title": title, "kind": kind, "map": list(maps.shape[2:]), "times": times, "rows": text_of(stored)}
