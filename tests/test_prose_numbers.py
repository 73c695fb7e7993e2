"""Numbers that a chapter's prose gives where no cell prints them."""

import re
from collections import Counter

import torch
from _project import BOOK, read_notebook
from nbformat import NotebookNode
from torch import Tensor

from gcvit_edu import create_model
from gcvit_edu.data import normalize
from gcvit_edu.data.augment import on_colour
from gcvit_edu.data.emoji import Emoji


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
