"""Numbers that a chapter's prose gives where no cell prints them."""

import re
from collections import Counter
from contextlib import nullcontext
from statistics import mean

import torch
from _project import BOOK, read_notebook
from nbformat import NotebookNode
from torch import Tensor

from gcvit_edu import create_model
from gcvit_edu.data import normalize
from gcvit_edu.data.augment import on_colour
from gcvit_edu.data.emoji import Emoji
from gcvit_edu.experiments.input_sizes import WAYS, first_cells, held_out, network, read_sizes


def cell_with(text: str, notebook: NotebookNode) -> NotebookNode:
    return next(cell for cell in notebook.cells if text in cell.source)


def test_half_of_the_first_drawings_are_named_rightly() -> None:
    notebook = read_notebook(BOOK / "01_first_look.ipynb")
    assert "Half of the eight above are right" in cell_with("of the eight above", notebook).source
    shown = cell_with('"in truth"', notebook).outputs[0].data["text/plain"]
    rows = re.findall(r"^ +\d  (\w+) +\d+%  (\w+)$", shown, re.MULTILINE)
    assert len(rows) == 8
    assert sum(guess == truth for guess, truth in rows) == 4


def clustered_deviation(right: Tensor, emoji: list[str]) -> float:
    """The standard deviation of the mean of `right`, whose values are independent between emoji only."""
    off = (right - right.mean()).tolist()
    sums: Counter[str] = Counter()
    for code, value in zip(emoji, off, strict=True):
        sums[code] += value
    return sum(value**2 for value in sums.values()) ** 0.5 / len(right)


def test_how_sure_the_accuracy_of_the_shipped_network_is() -> None:
    text = cell_with("The shipped network has", read_notebook(BOOK / "10_training.ipynb")).source
    said = re.search(r"has (\S+) points instead of (\S+): (\S+) times as much. \((\d+) of the (\d+) emoji", text)
    all_or_nothing = re.search(r"answers would give (\S+) times here", text)

    held_out = Emoji("test")
    images = torch.cat([normalize(on_colour(picture)) for picture, _ in held_out])
    labels = torch.tensor([drawing.label for drawing in held_out.drawings])
    emoji = [drawing.code for drawing in held_out.drawings]
    model = create_model("nano", pretrained=True).eval()
    with torch.no_grad():
        guesses = torch.cat([model(part) for part in images.split(128)]).argmax(1)
    right = (guesses == labels).double()
    simple = (right.mean() * (1 - right.mean()) / len(right)).sqrt().item()
    clustered = clustered_deviation(right, emoji)
    counts = Counter(emoji)

    assert said is not None
    assert all_or_nothing is not None
    numbers = (f"{100 * clustered:.1f}", f"{100 * simple:.1f}", f"{clustered / simple:.1f}")
    drawings = (str(sum(count == 2 for count in counts.values())), str(len(counts)))
    assert said.groups() == numbers + drawings
    # All or nothing: the sum over an emoji is its number of drawings times one drawing's.
    together = (sum(count**2 for count in counts.values()) / len(right)) ** 0.5
    assert all_or_nothing[1] == f"{together:.2f}"


def test_how_the_shares_at_other_sizes_differ() -> None:
    text = cell_with("standard error of such a share", read_notebook(BOOK / "09_any_image_size.ipynb")).source
    ahead = re.search(r"about half a point at most, and at 112 the whole query is ahead by (\S+) points", text)
    behind = re.search(r"more than (\d) points behind padding at 66 pixels and more than (\d) at 72", text)
    assert ahead is not None
    assert behind is not None

    lines = [line for line in read_sizes() if line["kind"] == "accuracy"]
    points = {(line["way"], line["size"]): 100 * line["right"] / line["pictures"] for line in lines}
    gained = {size: points["pooled", size] - points["first cells", size] for size in (66, 72, 80, 96, 112)}
    lost = {size: points["pooled", size] - points["grown", size] for size in (66, 72)}
    assert f"{gained[112]:.1f}" == ahead[1]
    assert max(abs(gained[size]) for size in (66, 72, 80, 96)) < 0.6
    assert [int(loss) for loss in lost.values()] == [int(number) for number in behind.groups()]


@torch.no_grad()
def right_at(size: int, way: str) -> Tensor:
    """For each held-out drawing at a size, 1 if the shipped network names it rightly, else 0."""
    pictures, labels = held_out(size)
    model = network(way, size)
    with first_cells() if way == "first cells" else nullcontext():
        guesses = torch.cat([model(part).argmax(1) for part in pictures.split(128)])
    return (guesses == labels).double()


def test_how_sure_the_shares_at_other_sizes_are() -> None:
    """At 66 pixels, the cheapest size with thin windows; the log has no single drawings."""
    text = cell_with("standard error of such a share", read_notebook(BOOK / "09_any_image_size.ipynb")).source
    said = re.search(
        r"share is about (\S+) points.* to half a point for the first two columns, to (\S+) to (\S+) points", text
    )
    assert said is not None

    emoji = [drawing.code for drawing in Emoji("test").drawings]
    first, pooled, grown = (right_at(66, way) for way in WAYS)
    each = [100 * clustered_deviation(right, emoji) for right in (first, pooled, grown)]
    assert f"{mean(each):.1f}" == said[1]
    assert f"{100 * clustered_deviation(first - pooled, emoji):.1f}" == "0.5"
    paired = round(100 * clustered_deviation(grown - pooled, emoji), 1)
    assert float(said[2]) <= paired <= float(said[3])
