"""Figures: each draws what it was given, and leaves matplotlib as it was."""

from collections.abc import Iterator
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from gcvit_edu import viz


@pytest.fixture(autouse=True)
def no_screen() -> Iterator[None]:
    plt.switch_backend("agg")
    yield
    plt.close("all")


def titles() -> list[str]:
    return [ax.get_title() for ax in plt.gcf().axes if ax.get_title()]


def test_settings_are_left_alone_also_after_an_error() -> None:
    before = dict(plt.rcParams)
    viz.bars({"a": 1.0, "b": 2.0}, label="things")
    with pytest.raises(AttributeError):
        viz.pictures({"not a picture": None}.values())
    assert dict(plt.rcParams) == before


def test_number_grids_write_every_number_and_tint_groups() -> None:
    grid = torch.arange(6).reshape(2, 3)
    viz.number_grids({"one": grid, "two": grid}, groups=[torch.tensor([[0, 0, 1], [1, -1, -1]]), None])
    assert titles() == ["one", "two"]
    left = plt.gcf().axes[0]
    assert [text.get_text() for text in left.texts] == ["0", "1", "2", "3", "4", "5"]
    tint = left.images[0].get_array()
    assert np.array_equal(tint[0, 0], tint[0, 1])
    assert not np.array_equal(tint[0, 0], tint[0, 2])
    assert np.ptp(tint[1, 1]) == 0  # grey


def test_rearranged_arrays_have_cells_of_one_size_and_an_arrow_between() -> None:
    before, heads = torch.arange(6).reshape(3, 2), torch.arange(6).reshape(2, 3, 1)
    groups = [torch.tensor([0, 1]).expand(3, 2), torch.tensor([0, -1])[:, None, None].expand(2, 3, 1)]
    viz.rearranged({"tokens": before}, {"two heads": heads}, groups=groups)
    (ax,) = plt.gcf().axes
    words = [text.get_text() for text in ax.texts if text.get_text()]  # the arrow is a text without words
    assert words == [*"012345", "tokens", *"012345", "two heads"]
    cells = ax.patches
    assert {(cell.get_width(), cell.get_height()) for cell in cells} == {(1, 1)}
    edges = [cell.get_x() for cell in cells]
    (arrow,) = set(ax.texts) - {text for text in ax.texts if text.get_text()}
    assert max(edges[:6]) + 1 < arrow.xyann[0] < arrow.xy[0] < min(edges[6:])
    assert edges[6] == edges[7] < edges[9]  # the heads stand side by side
    tints = [cell.get_facecolor() for cell in cells]
    assert tints[0] == tints[6] != tints[1]
    assert len(set(tints[9][:3])) == 1  # grey


def test_windows_are_drawn_where_they_are() -> None:
    image = Image.new("RGB", (56, 56))
    viz.windows_on_photo(image, {"four windows": (4, 7)})
    lines = plt.gcf().axes[0].lines
    white = [line for line in lines if line.get_color() == "white"]
    assert sorted({float(line.get_xdata()[0]) for line in white if line.get_ydata()[0] == 0}) == [0, 28, 56]
    assert len(lines) - len(white) == 2 * 8  # seven tokens have eight borders in each direction


def test_attention_is_laid_over_the_right_tokens() -> None:
    weights = torch.zeros(4, 4)
    weights[2, 3] = 1.0
    viz.attention_on_photo(Image.new("RGB", (32, 32)), {"one": (weights, (3, 3))}, window=2)
    ax = plt.gcf().axes[0]
    alpha = np.asarray(ax.images[1].get_array())[..., 3]
    assert np.argwhere(alpha > 0).tolist() == [[2, 3]]
    window, token = (patch.get_bbox().bounds for patch in ax.patches)
    assert window == (16, 16, 16, 16)
    assert token == (24, 24, 8, 8)


def test_local_and_global_cells() -> None:
    viz.local_and_global(Image.new("RGB", (56, 56)), stride=2, window=7)
    left, right = plt.gcf().axes
    assert len(left.patches) == 49
    assert len(right.patches) == 50  # and the frame of the same window
    assert left.patches[0].get_width() == 2
    assert right.patches[0].get_width() == 8


def test_curves_and_bars_show_their_values() -> None:
    viz.curves([1, 10], {"up": [1, 2], "down": [2, 1]}, labels=("x", "y"), log="x")
    ax = plt.gca()
    assert ax.get_xscale() == "log"
    assert ax.get_yscale() == "linear"
    assert {text.get_text() for text in ax.texts} == {"up", "down"}
    viz.bars({"a": 1.0, "b": 2.5}, label="things")
    assert [text.get_text() for text in plt.gca().texts] == ["1", "2.5"]
    assert [patch.get_width() for patch in plt.gca().patches] == [1.0, 2.5]


def test_more_lines_than_can_be_told_apart_are_refused() -> None:
    lines = {str(number): [1.0, 2.0] for number in range(8)}
    with pytest.raises(ValueError, match=r"8 lines \(0, 1, .*\), but only 7 can be told apart; draw fewer"):
        viz.curves([1, 2], lines, labels=("x", "y"))
    with pytest.raises(ValueError, match=r"2 lines .* only 1"):
        viz.curves([1, 2], {"a": [1, 2], "b": [1, 2]}, labels=("x", "y"), colours=("red",))
    intervals = {"panel": {name: [(1, 0, 2), (1, 0, 2)] for name in lines}}
    with pytest.raises(ValueError, match="8 lines"):
        viz.interval_curves([1, 2], intervals, labels=("x", "y"))
    with pytest.raises(ValueError, match=r"4 lines .* only 3"):
        viz.seeds({name: {"a": [1.0]} for name in "abcd"}, label="%")
    with pytest.raises(ValueError, match="8 lines"):
        viz.learning_curves(dict.fromkeys(lines, "run"))


def test_bfloat16_can_be_drawn() -> None:
    viz.maps({"a": torch.ones(4, 4, dtype=torch.bfloat16)})


def test_names_of_lines_that_end_together_do_not_overlap() -> None:
    viz.curves([1, 2], {"one": [1, 2], "same": [1, 2], "far": [1, 9]}, labels=("x", "y"))
    plt.gcf().canvas.draw()
    boxes = sorted((text.get_window_extent() for text in plt.gca().texts), key=lambda box: box.y0)
    assert all(upper.y0 >= lower.y1 - 1 for lower, upper in pairwise(boxes))


def test_fields_leave_the_photograph_where_the_gradient_is_zero() -> None:
    field = torch.zeros(8, 8)
    field[2, 3], field[4, 4] = 1.0, 1e-3
    viz.fields_on_photo(Image.new("RGB", (8, 8)), {"one": field}, columns=1)
    shade = np.asarray(plt.gcf().axes[0].images[1].get_array())
    assert np.argwhere(shade[..., 3] > 0).tolist() == [[2, 3], [4, 4]]
    assert shade[2, 3, :3].sum() < shade[4, 4, :3].sum()  # the larger, the darker


def test_maps_over_a_photo_have_a_scale_each() -> None:
    small = torch.zeros(8, 8)
    small[2, 3], small[4, 4] = 1e-3, 0.5e-3
    viz.maps_on_photo(Image.new("RGB", (8, 8)), {"small": small, "large": 1000 * small, "none": torch.zeros(8, 8)})
    shades = [np.asarray(ax.images[1].get_array()) for ax in plt.gcf().axes[:3]]
    assert np.allclose(shades[0], shades[1])
    assert np.argwhere(shades[0][..., 3] > 0).tolist() == [[2, 3], [4, 4]]
    assert shades[0][2, 3, 3] > shades[0][4, 4, 3]
    assert shades[0][2, 3, :3].sum() < shades[0][4, 4, :3].sum()  # the larger, the darker
    assert not shades[2][..., 3].any()


def test_maps_of_local_blocks_are_blue() -> None:
    full = torch.ones(8, 8)
    viz.maps_on_photo(Image.new("RGB", (8, 8)), {"here": full, "there": full}, local=["here"])
    here, there = (ax.images[1].get_array()[0, 0] for ax in plt.gcf().axes[:2])
    assert here[2] > here[0]
    assert there[0] > there[2]


def test_intervals_stand_at_their_numbers() -> None:
    rows = {"a": (0.5, 0.4, 0.6), "b": (0.2, 0.1, 0.4)}
    viz.intervals({"one": rows, "two": rows}, colours={"a": viz.GLOBAL}, lines={"two": 0.3})
    one, two = plt.gcf().axes
    assert [label.get_text() for label in one.get_yticklabels()] == ["a", "b"]
    bar, dot, *others = one.lines
    assert (list(bar.get_xdata()), list(bar.get_ydata())) == ([0.4, 0.6], [0, 0])
    assert (list(dot.get_xdata()), bar.get_color(), others[0].get_color()) == ([0.5], viz.GLOBAL, viz.GREY)
    assert one.yaxis_inverted()  # the first row is on top
    assert len(two.lines) == len(one.lines) + 1
    assert list(two.lines[-1].get_xdata()) == [0.3, 0.3]


def test_interval_curves_stand_at_their_numbers() -> None:
    lines = {"a": [(0.5, 0.4, 0.6), (0.3, 0.2, 0.4)], "b": [(0.2, 0.1, 0.4), (0.1, 0.0, 0.2)]}
    viz.interval_curves([16, 32], {"one": lines, "two": lines}, labels=("pixels", "share"), colours=("red", "blue"))
    one, two = plt.gcf().axes
    assert titles() == ["one", "two"]
    assert [(line.get_label(), list(line.get_ydata())) for line in one.lines] == [("a", [0.5, 0.3]), ("b", [0.2, 0.1])]
    assert [line.get_color() for line in two.lines] == ["red", "blue"]
    assert [segment.tolist() for segment in one.collections[0].get_segments()] == [
        [[16, 0.4], [16, 0.6]],
        [[32, 0.2], [32, 0.4]],
    ]
    assert one.get_ylim()[0] == 0
    assert (one.get_ylabel(), one.get_xlabel(), two.get_ylabel(), two.get_xlabel()) == ("share", "pixels", "", "pixels")


def test_pictures_fill_a_grid() -> None:
    viz.pictures({name: torch.zeros(2, 2, 3) for name in "abc"}, columns=2)
    figure = plt.gcf()
    assert titles() == ["a", "b", "c"]
    assert not figure.axes[3].axison  # the spare panel is blank


def test_maps_with_negative_values_have_zero_in_the_middle() -> None:
    viz.maps({"signed": torch.tensor([[-1.0, 3.0]]), "positive": torch.tensor([[1.0, 3.0]])})
    signed, positive = (ax.images[0].get_clim() for ax in plt.gcf().axes[:2])
    assert signed == (-3.0, 3.0)
    assert positive == (0.0, 3.0)


def test_bar_panels_share_names_and_scale() -> None:
    viz.bar_panels({"one": {"a": 1.0, "b": 2.0}, "two": {"a": 3.0, "b": 4.0}}, label="things", fmt="{:.1f}")
    left, right = plt.gcf().axes
    assert titles() == ["one", "two"]
    assert [text.get_text() for text in right.texts] == ["3.0", "4.0"]
    assert left.get_xlim() == right.get_xlim()
    assert left.patches[0].get_width() == 1.0


def test_padding_is_drawn_up_to_whole_windows() -> None:
    viz.padding_on_photo({"odd": (Image.new("RGB", (30, 20)), 4, 3)}, columns=1)
    padded, mapped = plt.gca().patches
    assert (padded.get_width(), padded.get_height()) == (36, 24)  # three and two windows of 12 pixels
    assert (mapped.get_width(), mapped.get_height()) == (32, 20)  # whole tokens of 4 pixels


def test_cells_of_a_query_cover_their_parts_and_the_middle_is_framed() -> None:
    viz.cells_on_photo({"one": (Image.new("RGB", (30, 30)), [(0, 10), (10, 20), (20, 30)], [(0, 30)])}, columns=1)
    *cells, middle = plt.gca().patches
    assert [cell.get_bbox().bounds for cell in cells] == [(0, 0, 30, 10), (0, 10, 30, 10), (0, 20, 30, 10)]
    assert middle.get_bbox().bounds == (0, 10, 30, 10)
    assert not middle.get_fill()


def test_confusion_writes_what_is_not_zero_and_shades_by_row() -> None:
    viz.confusion([[8, 2], [0, 1]], ["cat", "dog"])
    ax = plt.gca()
    assert [text.get_text() for text in ax.texts] == ["8", "2", "1"]
    assert np.allclose(ax.images[0].get_array(), [[0.8, 0.2], [0, 1]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog"]


def test_seeds_show_every_run_and_their_mean() -> None:
    viz.seeds({"weights": {"a": [1.0, 3.0]}, "average": {"a": [5.0, 6.0]}}, label="%", line=("other", 2.0))
    ax = plt.gca()
    runs, mean, _, more, *_ = ax.lines
    assert list(runs.get_ydata()) == [1.0, 3.0]
    assert list(mean.get_ydata()) == [2.0, 2.0]
    assert more.get_xdata()[0] > runs.get_xdata()[0]  # side by side
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["weights", "average", "other"]


def test_points_of_a_family_are_joined_and_others_stand_apart() -> None:
    viz.points({"b": (2.0, 5.0), "a": (1.0, 7.0), "x": (3.0, 6.0)}, labels=("speed", "top-1"), others=("x",))
    ax = plt.gca()
    family, other = ax.lines
    assert list(family.get_xdata()) == [1.0, 2.0]  # from left to right
    assert family.get_linestyle() == "-"
    assert list(other.get_ydata()) == [6.0]
    assert [text.get_text() for text in ax.texts] == ["b", "a", "x"]
    viz.points({"b": (2.0, 5.0)}, labels=("", ""), joined=False)
    assert plt.gca().lines[0].get_linestyle() == "None"
    with pytest.raises(ValueError, match="no point for 'y'"):
        viz.points({"b": (2.0, 5.0)}, labels=("", ""), others=("y",))
