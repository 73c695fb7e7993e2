"""explore(): a network's attention on one picture, to look at by hand."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from PIL import Image
from torch import Tensor

from gcvit_edu.capture import AttentionRecord, capture_attention
from gcvit_edu.console import printable
from gcvit_edu.data.transforms import crop_to, normalize, upright_rgb
from gcvit_edu.explorer.markup import asset, jpeg, script, to_json
from gcvit_edu.explorer.pack import attention_of, blocks_with_heads, describe
from gcvit_edu.files import whole_file
from gcvit_edu.model import GCViT

LIMIT_KB = 1200
MOST_CLASSES = 5
_SHOWN_PIXELS = 512  # of the picture's longer side: sharp on a phone's screen, and about 60 kB
_FILES = ("explorer.css", "explorer.html", ("page.js", "rows.js", "paint.js", "view.js"))


@dataclass(frozen=True)
class Explorer:
    """An attention explorer, made by explore(). A notebook shows it; save() writes it as a page.

    Attributes:
        title: the text above it.
        note: a sentence about the parts left out to keep the page small; empty if there are none.
    """

    title: str
    note: str
    _data: dict[str, Any] = field(repr=False)

    def _repr_html_(self) -> str:
        return _fragment(self._data)

    def save(self, path: str | Path) -> None:
        """Write a whole page that opens from disk; an existing one is replaced only when the new one is complete.

        A relative link to the explanation is left out: it works only beside the book's pages.

        Raises:
            OSError: if the page cannot be written there.
        """
        link = self._data["link"]
        data = {**self._data, "link": link if urlsplit(link or "").scheme else None}
        page = asset("page.html").substitute(title=html.escape(self.title), explorer=_fragment(data))
        with whole_file(Path(path)) as file:
            file.write(page.encode())


def explore(
    model: GCViT,
    image: Image.Image,
    *,
    size: int | tuple[int, int] | None = None,
    blocks: Sequence[tuple[int, int]] | None = None,
    class_names: Sequence[str] = (),
    title: str = "Where the network looks",
    link: str | None = None,
    limit_kb: int = LIMIT_KB,
) -> Explorer:
    """A picture with the attention of every block, to explore with the pointer; needs neither kernel nor internet.

    It shows the weights of the softmax: where a query looks, but not what the network computes from it, nor what its
    answer depends on. Each window has its own softmax, so shares of different windows cannot be compared. In a global
    block the query is a cell of the global query, a summary of the whole picture, and attends to every window; in a
    local block it is a token, and attends to its own window.

    Every share is within 1/255 of the true one. If all heads of all blocks would make the piece of HTML larger than
    limit_kb, the blocks that have no room for single heads show the mean of their heads, and the page has a note about
    it (xxtiny at 224 pixels); fewer blocks leave room for all heads.

    Args:
        model: a GC ViT for colour pictures; it is run once, in eval mode, and left as it was.
        image: any picture; upright_rgb explains the treatment of EXIF orientations, transparency and 16 bits. The
            middle is cut out.
        size: side of the square that the network sees, or (height, width), in pixels; None for the model's own.
        blocks: (stage, block) of those to show, counted from 0; None for all.
        class_names: names of the model's classes in order, to show the five most likely ones; empty shows none.
        title: the text above the explorer.
        link: address of the paragraph that explains the view; None for none.
        limit_kb: most kilobytes (1000 bytes) of the piece of HTML.

    Raises:
        ValueError: for a model that is no GC ViT, something that is no picture, one that upright_rgb refuses, a size
            below 32 pixels, blocks that the model does not have, another number of names than of its classes, or a
            piece of HTML that cannot be kept within the limit.
    """
    if not isinstance(image, Image.Image):
        raise ValueError(f"the image is a {type(image).__name__}, not a PIL picture; use PIL.Image.open or load_photo")
    picture = upright_rgb(image)
    title, class_names = printable(title), [printable(name) for name in class_names]
    probabilities, records, seen_size = _look(model, picture, size)
    records = _chosen(records, blocks)
    height, width = seen_size
    scale = max(1.0, _SHOWN_PIXELS / max(seen_size))
    data: dict[str, Any] = {
        "title": title,
        "link": link,
        "size": [height, width],
        "photo": jpeg(crop_to(picture, (round(height * scale), round(width * scale)))),
        "answer": _answer(probabilities, class_names),
    }
    # All but the bytes of the attention; the longest note.
    data |= {"blocks": [describe(record) for record in records], "note": _note(records, set())}
    with_heads = blocks_with_heads(records, limit_kb * 1000 - len(_fragment(data).encode()))
    for place, (block, record) in enumerate(zip(data["blocks"], records, strict=True)):
        block |= attention_of(record, every_head=place in with_heads)
    data["note"] = _note(records, with_heads)
    return Explorer(title, data["note"], data)


def _look(
    model: GCViT, picture: Image.Image, size: int | tuple[int, int] | None
) -> tuple[Tensor, list[AttentionRecord], tuple[int, int]]:
    """One forward pass: the probabilities of the classes, the attention of every block, the size in pixels."""
    with torch.no_grad(), capture_attention(model) as records:  # refuses what is no GCViT
        if model.config.in_chans != 3:
            raise ValueError(f"the model takes pictures of {model.config.in_chans} channels; the explorer shows RGB")
        wanted = model.config.image_size if size is None else size
        height, width = (wanted, wanted) if isinstance(wanted, int) else wanted
        if min(height, width) < 1:
            raise ValueError(f"a picture of {height}x{width} pixels is none; give a size of 32 or more")
        parameter = next(model.parameters())
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            logits = model(normalize(crop_to(picture, (height, width))).to(parameter))
        finally:
            for module, training in modes:
                module.training = training
    return logits[0].float().softmax(-1), records, (height, width)


def _chosen(records: list[AttentionRecord], blocks: Sequence[tuple[int, int]] | None) -> list[AttentionRecord]:
    if blocks is None:
        return records
    there = {(record.stage, record.block) for record in records}
    unknown = [block for block in blocks if tuple(block) not in there]
    if unknown or not blocks:
        raise ValueError(
            f"blocks={list(blocks)} does not name blocks of this model; "
            f"give pairs (stage, block), counted from 0, such as {sorted(there)[0]} or {sorted(there)[-1]}"
        )
    wanted = {tuple(block) for block in blocks}
    return [record for record in records if (record.stage, record.block) in wanted]


def _answer(probabilities: Tensor, class_names: Sequence[str]) -> list[tuple[str, float]]:
    if not class_names:
        return []
    if len(class_names) != len(probabilities):
        raise ValueError(f"{len(class_names)} class names do not fit a model of {len(probabilities)} classes")
    values, places = probabilities.topk(min(MOST_CLASSES, len(class_names)))
    return [
        (class_names[place], round(value, 4)) for value, place in zip(values.tolist(), places.tolist(), strict=True)
    ]


def _note(records: list[AttentionRecord], with_heads: set[int]) -> str:
    lacking = [
        f"{record.stage + 1}.{record.block + 1}"
        for place, record in enumerate(records)
        if place not in with_heads and record.weights.shape[2] > 1
    ]
    if not lacking:
        return ""
    return f"To keep the page small, these blocks show the mean of their heads only: {', '.join(lacking)}."


# ------------------------------------------------------------------------------------------------------- HTML


def _fragment(data: dict[str, Any]) -> str:
    """The element, with its text for readers without scripts; its data; and the script that makes it interactive."""
    code, build = script(*_FILES)
    link = f' <a href="{html.escape(data["link"])}">How to read it.</a>' if data["link"] else ""
    return asset("fragment.html").substitute(
        build=build, title=html.escape(data["title"]), link=link, data=to_json(data), script=code
    )
