"""The explorer in headless Chromium, from disk and offline: what it shows is the model's, and everyone can use it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from _browser import DESKTOP, PHONE, Open, Visit, cannot_run
from _support import small_model

from gcvit_edu.capture import AttentionRecord, capture_attention
from gcvit_edu.data import crop_to, load_photo, normalize
from gcvit_edu.explorer import Explorer, explore
from gcvit_edu.model import GCViT

pytest_plugins = ("_browser",)

SIZE = 64
ODD = (65, 90)  # the last row of tokens is nearly outside, and there is padding in both directions
NAMES = ["ant", "bee", "cow", "dog", "eel"]


@pytest.fixture(scope="module")
def model() -> GCViT:
    return small_model()


@pytest.fixture(scope="module")
def explorer(model: GCViT) -> Explorer:
    return explore(model, load_photo("cat"), class_names=NAMES, link="https://example.org/#why")


@pytest.fixture(scope="module")
def odd(model: GCViT) -> Explorer:
    return explore(model, load_photo("coffee"), size=ODD, title="An odd size", link="page.html#place")


def records_of(model: GCViT, photo: str, size: int | tuple[int, int]) -> list[AttentionRecord]:
    with torch.no_grad(), capture_attention(model) as records:
        model(normalize(crop_to(load_photo(photo), size)))
    return records


@pytest.fixture
def opened(tmp_path: Path, visit: Open) -> Callable[..., Visit]:
    """A function that opens explorers from disk: one as save() writes it, several or in a frame of one's own."""

    def open_page(*explorers: Explorer, frame: str = "", **how: Any) -> Visit:
        path = tmp_path / "page.html"
        if frame or len(explorers) > 1:
            page = frame or PLAIN
            path.write_text(page.replace("HERE", "\n".join(one._repr_html_() for one in explorers)), encoding="utf-8")
        else:
            explorers[0].save(path)
        visited = visit(path.as_uri(), **how)
        visited.page.context.set_offline(True)
        visited.page.locator(".map").last.wait_for()
        visited.page.wait_for_function(PAINTED)
        return visited

    return open_page


PLAIN = '<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title><main><h1>t</h1>HERE</main></html>'
PAINTED = """() => [...document.querySelectorAll(".gcvit-explorer")].every(
    (host) => host.shadowRoot?.querySelector(".thumbs button[aria-pressed='true']"))"""
FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def settle(visited: Visit) -> None:
    visited.page.evaluate(FRAME)


def sentence(visited: Visit, side: int) -> str:
    settle(visited)
    return visited.page.locator(".sentence").nth(side).inner_text().replace("\u00a0", " ")


def picture(visited: Visit, side: int) -> str:
    settle(visited)
    return visited.page.locator(".map canvas").nth(side).evaluate("(canvas) => canvas.toDataURL()")


def token(visited: Visit, side: int = 0) -> tuple[int, int]:
    """Row and column that the sentence of a local block names, from 1."""
    found = re.match(r"The token in row (\d+), column (\d+)", sentence(visited, side))
    assert found, sentence(visited, side)
    return int(found[1]), int(found[2])


def choose(visited: Visit, side: int, block: str, head: int = -1) -> None:
    """Head -1 is the mean."""
    visited.page.locator("select.block").nth(side).select_option(label=f"Block {block}")
    visited.page.locator("select.head").nth(side).select_option(value=str(head))


def point_at(visited: Visit, side: int, row: int, column: int, rows: float, columns: float, click: bool = True) -> None:
    """To a token, counted from 1, of a map whose picture is so many tokens high and wide."""
    canvas = visited.page.locator(".map canvas").nth(side)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + (column - 0.5) / columns * box["width"], box["y"] + (row - 0.5) / rows * box["height"]
    (visited.page.mouse.click if click else visited.page.mouse.move)(x, y)
    settle(visited)


def numbers(visited: Visit, side: int) -> list[float | None]:
    """The table of the selected row, key by key; None for padding."""
    details = visited.page.locator("details").nth(side)
    if details.get_attribute("open") is None:
        details.locator("summary").click()
        details.locator("table").wait_for()
    settle(visited)
    read = "(cells) => cells.map((cell) => cell.querySelector('data')?.value ?? null)"
    found = details.locator("th[scope=row] ~ td").evaluate_all(read)
    return [None if value is None else float(value) for value in found]


# --------------------------------------------------------------------------------------------- what it shows


def test_opens_from_disk_without_a_network_and_says_nothing(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    visited.page.mouse.wheel(0, 5000)
    choose(visited, 0, "3.1 · local", 1)
    point_at(visited, 1, 3, 3, 16, 16)
    numbers(visited, 0)
    settle(visited)
    assert (visited.outside, visited.complaints) == ([], [])


@pytest.mark.parametrize(
    ("block", "head"),
    [
        ("1.2 · global", -1),
        ("2.1 · local", -1),
        ("2.1 · local", 1),
        ("3.2 · global", 0),
        ("3.2 · global", -1),
        ("4.1 · local", 3),
    ],
)
def test_the_numbers_are_the_attention_of_the_model(
    block: str, head: int, model: GCViT, odd: Explorer, opened: Callable[..., Visit]
) -> None:
    stage, place = int(block[0]) - 1, int(block[2]) - 1
    record = next(one for one in records_of(model, "coffee", ODD) if (one.stage, one.block) == (stage, place))
    visited = opened(odd)
    choose(visited, 0, block, head)
    (height, width), side = record.map_size, record.window
    for row, column in [(1, 1), (height, 1), ((height + 1) // 2, width)]:
        visited.page.locator(".map").nth(0).focus()
        for key, count in (("ArrowUp", height), ("ArrowLeft", width)):
            for _ in range(count):
                visited.page.keyboard.press(key)
        for key, count in (("ArrowDown", row - 1), ("ArrowRight", column - 1)):
            for _ in range(count):
                visited.page.keyboard.press(key)
        found = numbers(visited, 0)
        window = (row - 1) // side * record.grid[1] + (column - 1) // side
        query = (row - 1) % side * side + (column - 1) % side
        weights = record.weights[0, window, :, query]
        expected = weights.mean(0) if head < 0 else weights[head]
        assert sum(share for share in found if share is not None) == pytest.approx(1, abs=1 / 255)
        for key, share in enumerate(found):
            y, x = (row - 1) // side * side + key // side, (column - 1) // side * side + key % side
            assert (share is None) == (y >= height or x >= width), (row, column, key)
            if share is not None:
                assert share == pytest.approx(expected[key].item(), abs=1 / 255)


def test_the_sentence_names_the_largest_share(model: GCViT, explorer: Explorer, opened: Callable[..., Visit]) -> None:
    local, remote = records_of(model, "cat", SIZE)[:2]
    visited = opened(explorer)
    point_at(visited, 0, 7, 10, 16, 16)  # window (2, 3), place (3, 2) in it
    window, query = 1 * 4 + 2, 2 * 4 + 1
    for side, record in enumerate((local, remote)):
        row = record.weights[0, window, 0, query]
        top = row.argmax().item()
        said = sentence(visited, side)
        assert float(re.findall(r"([\d.]+) %", said)[0]) / 100 == pytest.approx(row.max().item(), abs=1 / 255)
        goal = (4 + top // 4 + 1, 8 + top % 4 + 1)
        itself = "itself" if side == 0 else "the selected token"
        assert f"goes to {itself if goal == (7, 10) else f'row {goal[0]}, column {goal[1]}'}." in said
        half = int((row.sort(descending=True).values.cumsum(0) < 0.5).sum()) + 1
        assert f"{half} of 16 tokens" in said
    assert sentence(visited, 0).startswith(
        "The token in row 7, column 10 of 16 × 16 asks its own window (row 2, column 3"
    )
    assert sentence(visited, 1).startswith("The cell in row 3, column 2 of the 4 × 4 global query")


def test_windows_that_are_partly_on_the_map(odd: Explorer, opened: Callable[..., Visit]) -> None:
    """A map of 17 x 23 tokens in 5 x 6 windows of 4 x 4: the last row of windows has one row, the last column three."""
    visited = opened(odd)
    size = ODD[0] / 4, ODD[1] / 4
    point_at(visited, 0, 2, 4, *size)  # row 2, column 4 of its window: a place that the last windows do not have
    assert "asks 20 windows, in each as the query" in sentence(visited, 1)
    point_at(visited, 0, 1, 1, *size)
    assert "asks all 30 windows" in sentence(visited, 1)
    point_at(visited, 0, 1, 22, *size)
    said = sentence(visited, 1)
    assert said.startswith("The cell in row 1, column 2 of the 4 × 3 global query, pooled to the part of its window")


def test_windows_are_said_to_be_incomparable_where_there_are_several(
    explorer: Explorer, opened: Callable[..., Visit]
) -> None:
    visited = opened(explorer)
    apart = visited.page.locator(".apart")
    assert [apart.nth(side).is_visible() for side in (0, 1)] == [False, True]
    assert "different windows cannot be compared" in " ".join(apart.nth(1).inner_text().split())
    visited.page.locator(".stages input").nth(2).check(force=True)  # one window covers its map
    assert [apart.nth(side).is_visible() for side in (0, 1)] == [False, False]


def test_where_attention_is_painted(model: GCViT, explorer: Explorer, opened: Callable[..., Visit]) -> None:
    """With the colours at full strength, only the token's window is blue; every window gets vermillion."""
    visited = opened(explorer)
    visited.page.locator(".strength input").fill("100")
    point_at(visited, 0, 6, 6, 16, 16)
    read = """(canvas) => { const pen = canvas.getContext("2d"), found = [];
        for (let row = 0; row < 16; row++) for (let column = 0; column < 16; column++) {
            const x = Math.round((column + 0.3) / 16 * canvas.width), y = Math.round((row + 0.3) / 16 * canvas.height);
            const [r, g, b] = pen.getImageData(x, y, 1, 1).data;
            found.push(Math.abs(r - b) > 12);
        } return found; }"""
    painted = [visited.page.locator(".map canvas").nth(side).evaluate(read) for side in (0, 1)]
    windows = [{i // 16 // 4 * 4 + i % 16 // 4 for i, on in enumerate(one) if on} for one in painted]
    assert windows[0] == {5}
    assert windows[1] == set(range(16))


# ---------------------------------------------------------------------------------------- pointing, keys, touch


def test_pointing_clicking_and_letting_go(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    before = [picture(visited, side) for side in (0, 1)]
    point_at(visited, 0, 2, 3, 16, 16, click=False)
    assert token(visited) == (2, 3)
    after = [picture(visited, side) for side in (0, 1)]
    assert before[0] != after[0]
    assert before[1] != after[1]
    point_at(visited, 0, 2, 3, 16, 16)
    point_at(visited, 1, 12, 12, 16, 16, click=False)
    assert token(visited) == (2, 3)  # held
    point_at(visited, 1, 12, 12, 16, 16)
    assert token(visited) == (12, 12)
    point_at(visited, 1, 12, 12, 16, 16)  # and let go
    point_at(visited, 0, 1, 16, 16, 16, click=False)
    assert token(visited) == (1, 16)


def test_arrow_keys_move_the_token_and_stop_at_the_edge(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    visited.page.evaluate("document.addEventListener('keydown', (event) => (window.heard = event.key))")
    visited.page.locator(".map").nth(0).focus()
    row, column = token(visited)
    before = picture(visited, 0)
    visited.page.keyboard.press("ArrowRight")
    visited.page.keyboard.press("ArrowDown")
    assert token(visited) == (row + 1, column + 1)
    assert picture(visited, 0) != before
    visited.page.keyboard.press("Shift+ArrowUp")
    assert token(visited) == (row + 1 - 4, column + 1)
    for _ in range(20):
        visited.page.keyboard.press("ArrowLeft")
    assert token(visited) == (row + 1 - 4, 1)
    assert visited.page.evaluate("window.heard") == "Shift"  # a page that turns at arrow keys hears none
    visited.page.keyboard.press("x")
    assert visited.page.evaluate("window.heard") == "x"


def test_a_tap_selects(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer, width=PHONE, touch=True)
    canvas = visited.page.locator(".map canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    visited.page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    assert token(visited) == (2, 15)


# ------------------------------------------------------------------------------------------------- choosing


def test_stage_block_and_head_change_the_view(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    seen = {picture(visited, 0)}
    visited.page.locator(".stages label").nth(2).click()
    assert "of 4 × 4" in sentence(visited, 0)
    assert visited.page.locator("select.block").nth(0).input_value() == "5"
    for block, head in [("3.1 · local", 0), ("3.1 · local", 1), ("3.3 · local", -1)]:
        choose(visited, 0, block, head)
        seen.add(picture(visited, 0))
    assert len(seen) == 4


def test_any_two_blocks_can_be_compared(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    assert visited.page.locator(".stages input").nth(0).is_checked()
    choose(visited, 1, "2.1 · local")
    point_at(visited, 0, 16, 16, 16, 16)
    assert token(visited, 0) == (16, 16)
    assert token(visited, 1) == (8, 8)
    assert visited.page.locator(".stages input:checked").count() == 0
    pressed = visited.page.locator(".thumbs button[aria-pressed=true]")
    assert pressed.all_inner_texts() == ["1.1 local", "2.1 local"]
    choose(visited, 1, "1.1 · local")
    assert sentence(visited, 0) == sentence(visited, 1)
    assert picture(visited, 0) == picture(visited, 1)


def test_thumbnails_open_their_block_beside_its_partner(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    thumbs = visited.page.locator(".thumbs button")
    assert thumbs.count() == 10
    for clicked, shown in [(8, ["8", "9"]), (3, ["3", "4"]), (2, ["2", "1"])]:  # the last has a partner before it
        thumbs.nth(clicked).click()
        chosen = visited.page.locator("select.block")
        assert [chosen.nth(side).input_value() for side in (0, 1)] == shown
    drawn = thumbs.locator("canvas").evaluate_all("(all) => new Set(all.map((one) => one.toDataURL())).size")
    assert drawn == 10


def test_without_colours_the_photograph_is_left(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    read = """(canvas) => { const data = canvas.getContext("2d").getImageData(5, 5, 60, 60).data; let most = 0;
        for (let i = 0; i < data.length; i += 4) most = Math.max(most, Math.abs(data[i] - data[i + 2]));
        return most; }"""
    canvas = visited.page.locator(".map canvas").nth(0)
    visited.page.locator(".strength input").fill("0")
    assert canvas.evaluate(read) > 20
    visited.page.locator(".strength input").fill("100")
    assert canvas.evaluate(read) < 3  # grey, far from the token's window


def test_the_answer_and_the_link(explorer: Explorer, odd: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    answer = visited.page.locator(".answer li")
    assert sorted(text.split("\n")[0] for text in answer.all_inner_texts()) == NAMES
    assert visited.page.locator(".about a").get_attribute("href") == "https://example.org/#why"
    visited = opened(odd)
    assert not visited.page.locator(".answer").is_visible()
    assert visited.page.locator(".about a").count() == 0  # a relative link is left out of a saved page


# --------------------------------------------------------------------------------------- among other things


def test_explorers_on_one_page_leave_each_other_alone(
    explorer: Explorer, odd: Explorer, opened: Callable[..., Visit]
) -> None:
    visited = opened(explorer, odd, explorer)
    assert visited.page.locator(".explorer").count() == 3
    before = [(sentence(visited, side), picture(visited, side)) for side in range(6)]
    point_at(visited, 2, 1, 1, ODD[0] / 4, ODD[1] / 4)
    visited.page.locator(".explorer").nth(1).locator(".stages label").nth(1).click()
    after = [(sentence(visited, side), picture(visited, side)) for side in range(6)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False, False, True, True]
    assert visited.complaints == []


# As JupyterLab puts an output into the page: scripts that innerHTML brings do not run, so each is made anew.
INSERT = """(html) => {
    const place = document.createElement("div");
    place.innerHTML = html;
    document.querySelector("main").append(place);
    for (const script of place.querySelectorAll("script")) {
        const again = document.createElement("script");
        for (const { name, value } of script.attributes) again.setAttribute(name, value);
        again.textContent = script.textContent;
        script.replaceWith(again);
    }
}"""


def test_works_where_a_notebook_inserts_it(explorer: Explorer, odd: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    before = picture(visited, 0)
    visited.page.evaluate(INSERT, odd._repr_html_())
    visited.page.wait_for_function(PAINTED)
    assert visited.page.locator(".title").all_inner_texts() == ["Where the network looks", "An odd size"]
    point_at(visited, 2, 1, 2, ODD[0] / 4, ODD[1] / 4)
    assert token(visited, 2) == (1, 2)
    # JupyterLab leaves keys alone that are pressed in an element with this attribute.
    hosts = visited.page.locator(".gcvit-explorer[data-lm-suppress-shortcuts=true]")
    assert hosts.count() == 2
    assert picture(visited, 0) == before
    assert visited.complaints == []


FOREIGN = """<!doctype html><html lang="en" {html}><head><meta charset="utf-8"><title>t</title><style>
body {{ color: red; font: italic 40px serif; line-height: 3; text-transform: uppercase; background: {ground} }}
table, p, button, canvas, label, div.side {{ border: 9px solid red !important; float: right; width: 10px !important }}
</style></head><body {body}><main><h1>t</h1>HERE<p id="outer">t</p></main></body></html>"""


LOOKS = """() => [...document.querySelector(".gcvit-explorer").shadowRoot.querySelectorAll("*")].map((element) => {
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    const names = ["color", "font", "lineHeight", "textTransform", "borderWidth", "float", "backgroundColor"];
    return [element.tagName, box.width.toFixed(1), box.height.toFixed(1), ...names.map((name) => style[name])].join();
})"""


def test_the_page_s_style_stays_outside(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    foreign = FOREIGN.format(html="", body="", ground="#fff")
    visits = [opened(explorer, frame=page) for page in (foreign.replace("style>", "template>"), foreign)]
    floats = [one.page.locator("#outer").evaluate("(p) => getComputedStyle(p).float") for one in visits]
    assert floats == ["none", "right"]
    looks = [one.page.evaluate(LOOKS) for one in visits]
    assert looks[0] == looks[1]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("html", "body"),
    [
        ('data-theme="{}"', ""),  # the book
        ("", 'data-jp-theme-light="{not_dark}"'),  # JupyterLab
        ('theme="{}"', ""),  # Colab
        ("", 'data-vscode-theme-kind="vscode-{}"'),
    ],
)
def test_follows_the_theme_of_its_page(
    html: str, body: str, dark: bool, explorer: Explorer, opened: Callable[..., Visit]
) -> None:
    theme, not_dark = ("dark", "false") if dark else ("light", "true")
    attributes = {name: text.format(theme, not_dark=not_dark) for name, text in (("html", html), ("body", body))}
    other = "light" if dark else "dark"  # the reader's system says the opposite
    visited = opened(explorer, frame=FOREIGN.format(ground="#fff", **attributes), scheme=other)
    ground = visited.page.locator(".explorer").evaluate("(element) => getComputedStyle(element).backgroundColor")
    assert ground == ("rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")


def test_follows_a_theme_that_changes(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    host = visited.page.locator(".gcvit-explorer")
    assert host.get_attribute("data-mode") == "light"
    visited.page.emulate_media(color_scheme="dark")
    settle(visited)
    assert host.get_attribute("data-mode") == "dark"
    visited.page.evaluate("document.documentElement.dataset.theme = 'light'")
    settle(visited)
    assert host.get_attribute("data-mode") == "light"


def test_without_scripts_there_is_a_word_and_a_link(explorer: Explorer, browser: Any, tmp_path: Path) -> None:
    explorer.save(tmp_path / "page.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert "It needs JavaScript" in page.locator("main").inner_text()
    assert page.get_by_role("link", name="How to read it").is_visible()
    context.close()


# ------------------------------------------------------------------------------------------------ for everyone


def axe_problems(visited: Visit) -> list[str]:
    """What axe-core finds wrong: rule, element, and why."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        cannot_run("axe-playwright-python is not installed; it is in the extra called test")
    violations = Axe().run(visited.page).response["violations"]
    return [f"{one['id']}: {node['html'][:90]}" for one in violations for node in one["nodes"]]


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong(scheme: str, width: int, explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer, scheme=scheme, width=width)
    choose(visited, 1, "3.2 · global")
    numbers(visited, 0)
    numbers(visited, 1)
    assert axe_problems(visited) == []


def test_axe_finds_nothing_wrong_with_several(explorer: Explorer, odd: Explorer, opened: Callable[..., Visit]) -> None:
    assert axe_problems(opened(explorer, odd, explorer)) == []


@pytest.mark.parametrize(
    ("harm", "rule"),
    [
        ("find('.title').style.color = '#bbb'", "color-contrast"),
        ("find('select').parentElement.replaceWith(find('select'))", "select-name"),
        ("find('.map').setAttribute('role', 'nonsense')", "aria-roles"),
    ],
)
def test_axe_looks_into_the_explorer(harm: str, rule: str, explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    visited.page.evaluate(
        f"() => {{ const find = (s) => document.querySelector('.gcvit-explorer').shadowRoot.querySelector(s); {harm} }}"
    )
    assert any(problem.startswith(rule) for problem in axe_problems(visited))


STICKING_OUT = """() => {
    const width = document.documentElement.clientWidth, found = [];
    const all = document.querySelector(".gcvit-explorer").shadowRoot.querySelectorAll(".explorer, .explorer *");
    for (const element of all) {
        const box = element.getBoundingClientRect();
        const out = box.width && box.right > width + 1 && !element.closest(".scroll *");
        if (out) found.push(element.outerHTML.slice(0, 80));
    }
    if (document.documentElement.scrollWidth > width) found.push("the page");
    return found;
}"""


@pytest.mark.parametrize("width", [DESKTOP, PHONE, 320])
def test_nothing_sticks_out(width: int, explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer, width=width)
    numbers(visited, 0)
    assert visited.page.evaluate(STICKING_OUT) == []
    visited.page.evaluate(
        "() => (document.querySelector('.gcvit-explorer').shadowRoot.querySelector('.about').style.width = '2000px')"
    )
    assert visited.page.evaluate(STICKING_OUT) != []


# The element with the focus, within the shadow root; what shows the focus of a radio button is its label.
FOCUSED = """() => {
    const element = document.activeElement.shadowRoot?.activeElement;
    if (!element) return null;
    const shown = element.type === "radio" ? element.parentElement : element, style = getComputedStyle(shown);
    const name = element.className || element.type || element.tagName;
    return [name, style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2];
}"""


def test_everything_is_reached_by_tab_and_shows_it(explorer: Explorer, opened: Callable[..., Visit]) -> None:
    visited = opened(explorer)
    numbers(visited, 0)
    visited.page.locator("h1").evaluate("(h1) => (h1.tabIndex = -1, h1.focus())")  # before everything
    reached = []
    for _ in range(40):
        visited.page.keyboard.press("Tab")
        focused = visited.page.evaluate(FOCUSED)
        if focused is None:
            break
        reached.append(tuple(focused))
    side = ["block", "head", "map", "SUMMARY"]
    names = ["radio", "range", *side, "scroll", *side, *["button"] * 10, "A"]
    assert reached == [(name, True) for name in names]
