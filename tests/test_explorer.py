"""The explorer's data and its Python side; what a reader sees and does is in test_browser_explorer.py."""

import base64
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _support import images, small_model
from PIL import Image

from gcvit_edu import create_model
from gcvit_edu.capture import AttentionRecord, capture_attention
from gcvit_edu.data import crop_to, emoji_classes, load_photo, normalize
from gcvit_edu.explorer import Explorer, explore
from gcvit_edu.explorer.pack import LEAST_SCALE, blocks_with_heads, describe, packed_size
from gcvit_edu.explorer.page import LIMIT_KB
from gcvit_edu.explorer.quantise import quantise, restored
from gcvit_edu.model import GCViT
from gcvit_edu.viz.style import GLOBAL_MAP, LOCAL_MAP


def data_of(explorer: Explorer) -> dict[str, Any]:
    """What the page's script reads."""
    (text,) = re.findall(r'<script type="application/json">(.*)</script>', explorer._repr_html_())
    return json.loads(text)


def shares_of(block: dict[str, Any]) -> np.ndarray:
    """(window, head, query, key), as the page's script reads them."""
    windows, tokens = block["grid"][0] * block["grid"][1], block["window"] ** 2
    rows = np.frombuffer(base64.b64decode(block["rows"]), dtype=np.uint8).astype(float)
    rows = rows.reshape(windows, block["heads"] if block["everyHead"] else 1, tokens, tokens)
    return rows / rows.sum(-1, keepdims=True)


def records_of(model: GCViT, photo: Image.Image, size: int | tuple[int, int]) -> list[AttentionRecord]:
    with torch.no_grad(), capture_attention(model) as records:
        model(normalize(crop_to(photo, size)))
    return records


@pytest.fixture(scope="module")
def model() -> GCViT:
    return small_model()


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return load_photo("cat")


# ------------------------------------------------------------------------------------------------------ bytes


def some_rows(tokens: int) -> torch.Tensor:
    """Rows of every kind: noise from even to sharp, equal shares, a single one, some exact zeros."""
    generator = torch.Generator().manual_seed(tokens)
    noise = torch.randn(60, tokens, generator=generator) * torch.logspace(-2, 1.5, 60)[:, None]
    rows = torch.cat([noise.softmax(-1), torch.full((1, tokens), 1 / tokens), torch.eye(tokens)[:1]])
    rows[::3, tokens // 2 :] = 0
    return rows / rows.sum(-1, keepdim=True)


@pytest.mark.parametrize("tokens", [4, 16, 49, 196])
def test_every_row_sums_to_one_and_every_share_is_right(tokens: int) -> None:
    rows = some_rows(tokens)
    found = quantise(rows)
    assert found.dtype == np.uint8
    totals = found.sum(-1, dtype=int)
    expected = np.maximum(255, np.floor(255 / rows.double().numpy().max(-1) + 1e-9)).astype(int)
    np.testing.assert_allclose(totals, expected, atol=1)  # 255 / share may fall on either side of a whole number
    assert totals.min() == 255  # a sharp row
    assert totals.max() > 255  # an even one is stored more finely
    errors = np.abs(restored(found) - rows.double().numpy())
    assert (errors < 1 / totals[:, None]).all()
    assert (found[rows.numpy() == 0] == 0).all()


def test_plain_rounding_would_miss_the_sums() -> None:
    rows = some_rows(49).numpy()
    rounded = np.rint(rows * 255)
    assert (rounded.sum(-1) != 255).any()


@pytest.mark.parametrize("row", [[0.0, 0.0], [-0.1, 1.1], [float("nan"), 1.0], [float("inf"), 0.0]])
def test_what_is_no_row_of_shares_is_refused(row: list[float]) -> None:
    with pytest.raises(ValueError, match="no shares"):
        quantise(torch.tensor([row]))


@pytest.mark.parametrize("size", [64, (65, 90)], ids=str)
def test_the_page_holds_the_attention_of_the_model(
    model: GCViT, photo: Image.Image, size: int | tuple[int, int]
) -> None:
    blocks = data_of(explore(model, photo, size=size))["blocks"]
    records = records_of(model, photo, size)
    assert [(block["stage"], block["block"], block["global"]) for block in blocks] == [
        (record.stage, record.block, record.is_global) for record in records
    ]
    for block, record in zip(blocks, records, strict=True):
        assert block["everyHead"]
        assert (tuple(block["grid"]), tuple(block["map"])) == (record.grid, record.map_size)
        assert np.abs(shares_of(block) - record.weights[0].numpy()).max() < 1 / 255


@pytest.mark.parametrize("size", [64, (33, 70)], ids=str)
def test_mean_maps_by_loops(model: GCViT, size: int | tuple[int, int]) -> None:
    """On a scale that ends at the largest share, or at some equal shares where that is more."""
    height, width = (size, size) if isinstance(size, int) else size
    with torch.no_grad(), capture_attention(model) as records:
        model(images(1, height, width))
    for record in records:
        h, w = record.map_size
        found = np.frombuffer(base64.b64decode(describe(record)["seen"]), dtype=np.uint8).reshape(h, w)
        side, columns = record.window, record.grid[1]
        real = [(y, x) for y in range(record.grid[0] * side) for x in range(columns * side) if y < h and x < w]
        windows = {(y, x): (y // side * columns + x // side, y % side * side + x % side) for y, x in real}
        expected = np.zeros((h, w))
        for y, x in real:
            window, key = windows[y, x]
            queries = [query for own, query in windows.values() if own == window]  # padding asks nothing
            expected[y, x] = record.weights[0, window, :, queries, key].mean()
        most = max(expected.max(), LEAST_SCALE / side**2)
        np.testing.assert_allclose(found, 255 * expected / most, atol=0.51)


# -------------------------------------------------------------------------------------------------- the weight


@pytest.mark.parametrize("size", [64, 128])
def test_nano_fits_with_every_head(photo: Image.Image, size: int) -> None:
    explorer = explore(create_model("nano", num_classes=13), photo, size=size, class_names=emoji_classes())
    assert len(explorer._repr_html_().encode()) < LIMIT_KB * 1000 / 4
    assert explorer.note == ""


def test_xxtiny_fits_without_some_heads_and_says_so(photo: Image.Image) -> None:
    explorer = explore(create_model("xxtiny"), photo)
    assert LIMIT_KB * 900 < len(explorer._repr_html_().encode()) <= LIMIT_KB * 1000
    data = data_of(explorer)
    assert explorer.note == data["note"]
    for block in data["blocks"]:
        name = f"{block['stage'] + 1}.{block['block'] + 1}"
        assert block["everyHead"] != bool(re.search(rf"\b{re.escape(name)}\b", explorer.note)), name
    assert sum(block["everyHead"] for block in data["blocks"]) >= 2


def test_fewer_blocks_leave_room_for_their_heads(photo: Image.Image) -> None:
    explorer = explore(create_model("xxtiny"), photo, blocks=[(2, 1), (2, 0)])
    assert [(block["stage"], block["block"]) for block in data_of(explorer)["blocks"]] == [(2, 0), (2, 1)]
    assert explorer.note == ""


def test_what_cannot_fit_is_refused_with_the_sizes(model: GCViT, photo: Image.Image) -> None:
    with pytest.raises(ValueError, match=r"takes \d+ kB even without single heads.*fewer blocks.*limit_kb"):
        explore(model, photo, limit_kb=100)
    assert explore(model, photo, limit_kb=200).note == ""


def test_the_limit_holds_to_the_byte(model: GCViT, photo: Image.Image) -> None:
    records = records_of(model, photo, 64)
    least = sum(packed_size(record.weights[0, :, 0].numel()) for record in records)
    most = sum(packed_size(record.weights[0].numel()) for record in records)
    with pytest.raises(ValueError, match="room"):
        blocks_with_heads(records, least - 1)
    # Blocks of a single head have it for nothing.
    alone = {place for place, record in enumerate(records) if record.weights.shape[2] == 1}
    assert blocks_with_heads(records, least) == alone
    assert blocks_with_heads(records, most) == set(range(len(records)))
    assert len(blocks_with_heads(records, most - 1)) == len(records) - 1


# ------------------------------------------------------------------------------------------------ the function


def test_the_same_picture_gives_the_same_bytes(model: GCViT, photo: Image.Image) -> None:
    assert explore(model, photo)._repr_html_() == explore(model, photo)._repr_html_()


def test_nothing_in_the_html_leads_outside(model: GCViT, photo: Image.Image) -> None:
    text = explore(model, photo, link="page.html#place")._repr_html_()
    assert re.findall(r"https?:|//\w+\.|@import|url\(|\beval\b|innerText", text) == []
    assert explore(model, photo)._repr_html_().count("href") < text.count("href")


def test_colours_are_those_of_the_figures() -> None:
    script = (Path(sys.modules["gcvit_edu.explorer"].__file__).parent / "paint.js").read_text()
    for kind, ramp in (("local", LOCAL_MAP), ("global", GLOBAL_MAP)):
        (stops,) = re.findall(rf"{kind}: (\[\[.*\]\])", script)
        expected = [[round(255 * part) for part in ramp(at)[:3]] for at in (0.0, 1 / 3, 2 / 3, 1.0)]
        assert np.abs(np.array(json.loads(stops)) - expected).max() <= 2


def test_the_model_is_left_as_it_was(photo: Image.Image) -> None:
    model = small_model(drop_path_rate=0.5).train()
    model.stages[0].eval()
    modes = {name: module.training for name, module in model.named_modules()}
    first = explore(model, photo)._repr_html_()
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert explore(model.eval(), photo)._repr_html_() == first  # no block was dropped


def test_names_of_classes_show_the_likeliest(model: GCViT, photo: Image.Image) -> None:
    names = ["a", "b", "</script>", "d", "e"]
    answer = data_of(explore(model, photo, class_names=names))["answer"]
    with torch.no_grad():
        expected = model(normalize(crop_to(photo, 64)))[0].softmax(-1)
    assert [name for name, _ in answer] == [names[place] for place in expected.argsort(descending=True)]
    assert [share for _, share in answer] == pytest.approx(expected.sort(descending=True).values.tolist(), abs=1e-4)


def test_a_title_is_text(model: GCViT, photo: Image.Image, tmp_path: Path) -> None:
    explorer = explore(model, photo, title="$x </script><b>")
    explorer.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>$x &lt;/script&gt;&lt;b&gt;</title>" in page
    assert page.count("<b>") == 0
    assert data_of(explorer)["title"] == "$x </script><b>"


def test_transparent_and_turned_pictures(model: GCViT) -> None:
    white = Image.new("RGB", (80, 80), "white")
    clear = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    assert data_of(explore(model, clear)) == data_of(explore(model, white))
    picture = Image.new("RGB", (60, 90), "white")
    picture.paste("black", (0, 0, 60, 20))
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # turn it by 270 degrees to look at it
    found, expected = data_of(explore(model, turned, size=(96, 64))), data_of(explore(model, picture, size=(96, 64)))
    assert found["blocks"] == expected["blocks"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": torch.zeros(3, 64, 64)}, "the image is a Tensor, not a PIL picture"),
        ({"model": torch.nn.Linear(2, 2)}, "not of a Linear"),
        ({"model": small_model(in_chans=1)}, "1 channels"),
        ({"size": 20}, "20x20 pixels is too small"),
        ({"size": 0}, "0x0 pixels is none"),
        ({"blocks": [(0, 3)]}, r"\[\(0, 3\)\] does not name blocks.*\(0, 0\) or \(3, 1\)"),
        ({"blocks": []}, "does not name blocks"),
        ({"class_names": ["a"]}, "1 class names do not fit a model of 5 classes"),
    ],
)
def test_bad_input_is_refused(model: GCViT, photo: Image.Image, changes: dict[str, Any], message: str) -> None:
    arguments = {"model": model, "image": photo, **changes}
    with pytest.raises(ValueError, match=message):
        explore(arguments.pop("model"), arguments.pop("image"), **arguments)


# ---------------------------------------------------------------------------------------------------- the file


def test_a_page_is_written_whole_or_not_at_all(
    model: GCViT, photo: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            explore(model, photo).save(page)
    assert page.read_text() == "old"
    explore(model, photo).save(str(page))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [page]
    with pytest.raises(FileNotFoundError):
        explore(model, photo).save(tmp_path / "nowhere" / "page.html")


@pytest.mark.parametrize(("link", "kept"), [("11_x.html#y", False), ("https://example.org/b#y", True)])
def test_a_relative_link_stays_in_the_book(
    model: GCViT, photo: Image.Image, tmp_path: Path, link: str, kept: bool
) -> None:
    explorer = explore(model, photo, link=link)
    explorer.save(tmp_path / "page.html")
    assert link in explorer._repr_html_()
    assert (link in (tmp_path / "page.html").read_text(encoding="utf-8")) is kept
