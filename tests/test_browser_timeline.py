"""The timeline in headless Chromium, from disk and offline: the slider changes the maps, and everyone can use it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from _browser import DESKTOP, PHONE, Open, Visit, cannot_run

from gcvit_edu.data import crop_to, load_photo
from gcvit_edu.explorer import Timeline, timeline

pytest_plugins = ("_browser",)

PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title><main><h1>t</h1>HERE</main></html>'


@pytest.fixture(scope="module")
def one() -> Timeline:
    spots = torch.full((3, 2, 4, 4), 0.01)
    for moment in range(3):
        spots[moment, 0, moment, 1] = 0.85
        spots[moment, 1, 3, moment] = 0.85
    pictures = {name: crop_to(load_photo(name), 64) for name in ("cat", "coffee")}
    columns = {"stage 3, local": ("local", spots), "stage 3, global": ("global", spots.flip(0))}
    notes = ["Nothing is learned.", "Half of it.", "All."]
    return timeline(pictures, ["before", "epoch 1", "epoch 2"], columns, notes=notes, title="Growing up")


@pytest.fixture
def opened(one: Timeline, tmp_path: Path, visit: Open) -> Callable[..., Visit]:
    def open_page(**how: Any) -> Visit:
        path = tmp_path / "page.html"
        path.write_text(PAGE.replace("HERE", one._repr_html_() * how.pop("times", 1)), encoding="utf-8")
        visited = visit(path.as_uri(), **how)
        visited.page.context.set_offline(True)
        visited.page.wait_for_function(
            "() => [...document.querySelectorAll('.gcvit-timeline')].every("
            "(host) => host.shadowRoot?.querySelector('canvas[aria-label]'))"
        )
        return visited

    return open_page


def labels(visited: Visit) -> list[str]:
    return visited.page.locator("canvas").evaluate_all("(all) => all.map((one) => one.getAttribute('aria-label'))")


def pictures(visited: Visit) -> list[str]:
    return visited.page.locator("canvas").evaluate_all("(all) => all.map((one) => one.toDataURL())")


def test_the_slider_changes_words_and_pictures_by_keyboard(opened: Callable[..., Visit]) -> None:
    visited = opened()
    assert visited.page.locator(".moment").inner_text() == "before"
    assert visited.page.locator(".sentence").inner_text() == "Nothing is learned."
    assert labels(visited)[0] == "cat, stage 3, local: most in row 1 of 4, column 2: 13.6 times an equal share or more"
    before = pictures(visited)
    visited.page.keyboard.press("Tab")
    visited.page.keyboard.press("ArrowRight")
    assert visited.page.locator(".moment").inner_text() == "epoch 1"
    assert visited.page.locator("input").get_attribute("aria-valuetext") == "epoch 1"
    assert visited.page.locator(".sentence").inner_text() == "Half of it."
    assert "row 2 of 4, column 2" in labels(visited)[0]
    assert "row 4 of 4, column 2" in labels(visited)[2]
    assert all(one != other for one, other in zip(before, pictures(visited), strict=True))
    visited.page.keyboard.press("Home")
    assert pictures(visited) == before
    visited.page.keyboard.press("End")
    assert visited.page.locator(".sentence").inner_text() == "All."
    assert visited.page.locator(".sentence").get_attribute("aria-live") == "polite"
    assert (visited.outside, visited.complaints) == ([], [])


def test_a_map_is_painted_where_it_is_large(opened: Callable[..., Visit]) -> None:
    visited = opened()
    read = """(canvas) => [[1, 0], [2, 2]].map(([x, y]) =>
        [...canvas.getContext('2d').getImageData(64 * x + 32, 64 * y + 32, 1, 1).data])"""
    for place, strong in ((0, 2), (1, 0)):  # blue is local, red is global; the spot is in row 1 and row 3
        canvas = visited.page.locator("canvas").nth(place)
        spot, elsewhere = canvas.evaluate(read)
        if place == 1:
            canvas_rows = canvas.evaluate(read.replace("[[1, 0], [2, 2]]", "[[1, 2], [3, 3]]"))
            spot, elsewhere = canvas_rows
        assert max(spot[:3]) < 110  # dark
        assert spot[strong] == max(spot[:3])
        assert min(elsewhere[:3]) > 90


@pytest.mark.parametrize("width", [DESKTOP, PHONE, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_and_nothing_sticks_out(scheme: str, width: int, opened: Callable[..., Visit]) -> None:
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        cannot_run("axe-playwright-python is not installed; it is in the extra called test")
    visited = opened(scheme=scheme, width=width, times=2)
    assert visited.page.locator(".gcvit-timeline").first.get_attribute("data-mode") == scheme
    violations = Axe().run(visited.page).response["violations"]
    assert [f"{one['id']}: {node['html'][:90]}" for one in violations for node in one["nodes"]] == []
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_there_is_a_word(one: Timeline, browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGE.replace("HERE", one._repr_html_()), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert "Growing up. Maps with a slider stand here." in page.locator("main").inner_text()
    context.close()
