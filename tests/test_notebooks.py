"""What is stored in the chapters: complete, in one form, readable by everyone, and free of this machine."""

import copy
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from _project import CHAPTERS, ROOT, code_cells, read_notebook, tags
from address import read_address, read_branch, setup_cell
from execute import normalise, to_text
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

MOST_BYTES = 1_500_000
SETUP = setup_cell(read_address(ROOT), read_branch(ROOT))

PICTURE_KINDS = ("image/png", "image/jpeg", "image/svg+xml")
LOCAL_PATH = re.compile(r"(?<![\w/.])(?:/home/|/root/|/tmp/|/work/|/Users/|/var/folders/|[A-Z]:\\\\?)[\w.-]+")
MEMORY_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
HTML_ALT = re.compile(r"""\balt\s*=\s*(?:"[^"]*\w[^"]*"|'[^']*\w[^']*')""", re.IGNORECASE)
HTML_SVG = re.compile(r"<svg\b[^>]*>", re.IGNORECASE)
SVG_LABEL = re.compile(r"""\b(?:aria-label(?:ledby)?\s*=\s*["'][^"']*\w|aria-hidden\s*=\s*["']true)""", re.IGNORECASE)
MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\(")
DIRECTIVE_IMAGE = re.compile(r"^[ >]*(?P<fence>:{3,}|`{3,})\{(?:image|figure)\}.*?^[ >]*(?P=fence)\s*$", re.M | re.S)
DIRECTIVE_ALT = re.compile(r"^[ >]*:alt:\s*\S", re.MULTILINE)


def is_run(notebook: NotebookNode) -> list[str]:
    """Every code cell was run once, from the first to the last, without an unexpected error."""
    problems = []
    for number, (place, cell) in enumerate(code_cells(notebook), start=1):
        if cell.execution_count != number:
            problems.append(f"cell {place} has execution count {cell.execution_count}, not {number}")
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                problems.append(f"cell {place} stores an error: {output.ename}")
    if not any(cell.outputs for _, cell in code_cells(notebook)):
        problems.append("no outputs are stored")
    return problems


def is_quiet(notebook: NotebookNode) -> list[str]:
    """No warnings, no progress bars."""
    problems = []
    for place, cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                problems.append(f"cell {place} stores stderr: {output.text[:80]!r}")
            if any(mark in text for text in texts(output) for mark in ("\r", "\b")):
                problems.append(f"cell {place} stores a progress bar: print a line per step instead")
    return problems


def is_of_no_machine(notebook: NotebookNode) -> list[str]:
    """Nothing in the text, the code or the outputs names a folder or a memory address of one machine."""
    problems = []
    for place, cell in enumerate(notebook.cells):
        for text in (cell.source, *(text for output in cell.get("outputs", []) for text in texts(output))):
            for pattern in (LOCAL_PATH, MEMORY_ADDRESS):
                found = pattern.search(text)
                if found:
                    problems.append(f"cell {place} names {found[0]!r}")
    return problems


def has_alt_texts(notebook: NotebookNode) -> list[str]:
    """Every picture says in words what it shows."""
    problems = []
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            problems += [f"cell {place}: {problem}" for problem in markdown_without_alt(cell.source)]
            continue
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            if any(kind in data for kind in PICTURE_KINDS) and not alt.strip():
                problems.append(f"cell {place} draws a picture; give the cell the metadata mystnb.image.alt")
            problems += [f"cell {place}: {problem}" for problem in html_without_alt(data.get("text/html", ""))]
    return problems


def markdown_without_alt(text: str) -> list[str]:
    """Pictures without alt text in Markdown: ![](), MyST's image and figure directives, HTML."""
    text = re.sub(r"`[^`\n]+`", "", text)
    empty = [found[0] for found in MARKDOWN_IMAGE.finditer(text) if not found[1].strip()]
    problems = [f"image {image!r} has no alt text" for image in empty]
    for found in DIRECTIVE_IMAGE.finditer(text):
        if not DIRECTIVE_ALT.search(found[0]):
            problems.append(f"directive {found[0].splitlines()[0]!r} has no :alt:")
    return problems + html_without_alt(text)


def html_without_alt(text: str) -> list[str]:
    """Pictures without alt text in HTML; a drawing may be labelled or hidden from screen readers."""
    problems = [f"{tag[:60]!r} has no alt text" for tag in HTML_IMAGE.findall(text) if not HTML_ALT.search(tag)]
    return problems + [f"{tag[:60]!r} has no aria-label" for tag in HTML_SVG.findall(text) if not SVG_LABEL.search(tag)]


def has_setup_cell(notebook: NotebookNode) -> list[str]:
    """The first code cell makes the package importable, in the same words in every chapter, and is hidden."""
    place, cell = code_cells(notebook)[0]
    problems = []
    if cell.source != SETUP:
        problems.append(f"cell {place}, the first code cell, is not the set-up cell of book/_ext/address.py")
    if "hide-cell" not in tags(cell):
        problems.append(f"cell {place}, the set-up cell, lacks the tag hide-cell")
    if cell.outputs:
        problems.append(f"cell {place}, the set-up cell, prints something")
    return problems


def is_normal(notebook: NotebookNode) -> list[str]:
    """The form that book/_ext/execute.py writes: unique ids, plain kernel, no timings, no editor's notes."""
    ids = [cell.get("id") for cell in notebook.cells]
    problems = [f"the cell id {name!r} is there {count} times" for name, count in Counter(ids).items() if count > 1]
    if None in ids:
        problems.append("a cell has no id")
    tidy = normalise(notebook)
    if notebook.metadata != tidy.metadata:
        problems.append(f"the notebook's metadata are {dict(notebook.metadata)}, not those of a plain python3")
    for place, (cell, other) in enumerate(zip(notebook.cells, tidy.cells, strict=True)):
        if cell.metadata != other.metadata:
            problems.append(f"cell {place} carries metadata of an editor or of a run: {sorted(cell.metadata)}")
    if not problems and to_text(notebook) != to_text(tidy):
        problems.append("it is not in the form that `make notebooks` writes")
    return problems


CHECKS = (is_run, is_quiet, is_of_no_machine, has_alt_texts, has_setup_cell, is_normal)


def texts(output: NotebookNode) -> list[str]:
    """Everything in an output that is text: streams, errors, and data that are no encoded pictures."""
    data = output.get("data", {})
    found = [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    for kind, value in data.items():
        if kind not in ("image/png", "image/jpeg"):
            found.append(value if isinstance(value, str) else json.dumps(value))
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_chapter(path: Path, check: Callable[[NotebookNode], list[str]]) -> None:
    assert check(read_notebook(path)) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_file(path: Path) -> None:
    """The bytes on disk: small enough, and in the order and with the indent that `make notebooks` writes."""
    assert path.stat().st_size <= MOST_BYTES
    assert path.read_text(encoding="utf-8") == to_text(read_notebook(path))


# ------------------------------------------------------------- each check, once seen to pass and once to fail


def good_notebook() -> NotebookNode:
    text = new_output("stream", name="stdout", text="(1, 49, 64)\n")
    picture = new_output("display_data", data={"image/png": "iVBORw0=", "text/plain": "<Figure>"})
    html = new_output("display_data", data={"text/html": '<img src="data:," alt="a cat"><svg aria-label="b"></svg>'})
    alt = {"mystnb": {"image": {"alt": "A grey square."}}}
    return normalise(
        new_notebook(
            cells=[
                new_markdown_cell("# A chapter\n\n![A cat](cat.png)\n\n:::{figure} cat.png\n:alt: A cat\n:::"),
                new_code_cell(SETUP, metadata={"tags": ["hide-cell"]}, execution_count=1),
                new_code_cell("print(x.shape)", outputs=[text], execution_count=2),
                new_code_cell("draw()", metadata=alt, outputs=[picture, html], execution_count=3),
            ]
        )
    )


def spoil_count(notebook: NotebookNode) -> None:
    notebook.cells[2].execution_count = 7


def spoil_run(notebook: NotebookNode) -> None:
    for _, cell in code_cells(notebook):
        cell.update(outputs=[], execution_count=None)


def spoil_error(notebook: NotebookNode) -> None:
    notebook.cells[2].outputs = [new_output("error", ename="ValueError", evalue="bad", traceback=[])]


def spoil_stderr(notebook: NotebookNode) -> None:
    notebook.cells[2].outputs[0].name = "stderr"


def spoil_progress(notebook: NotebookNode) -> None:
    notebook.cells[2].outputs[0].text = " 10%\r 20%"


def spoil_path(notebook: NotebookNode) -> None:
    notebook.cells[2].outputs[0].text = "saved to /home/" + "someone/model.pt"


def spoil_windows_path(notebook: NotebookNode) -> None:
    notebook.cells[2].source = r"open('C:\Users\someone')"


def spoil_address(notebook: NotebookNode) -> None:
    notebook.cells[2].outputs[0].text = "<object object at 0x7f3a21b0c0d0>"


def spoil_figure_alt(notebook: NotebookNode) -> None:
    notebook.cells[3].metadata = NotebookNode()


def spoil_markdown_alt(notebook: NotebookNode) -> None:
    notebook.cells[0].source = "![ ](cat.png)"


def spoil_directive_alt(notebook: NotebookNode) -> None:
    notebook.cells[0].source = "```{image} cat.png\n:width: 300px\n```"


def spoil_html_alt(notebook: NotebookNode) -> None:
    notebook.cells[3].outputs[1].data["text/html"] = '<img src="data:," alt="">'


def spoil_svg_label(notebook: NotebookNode) -> None:
    notebook.cells[3].outputs[1].data["text/html"] = '<svg viewBox="0 0 1 1"></svg>'


def spoil_setup(notebook: NotebookNode) -> None:
    notebook.cells[1].source += "\n"


def spoil_setup_tag(notebook: NotebookNode) -> None:
    notebook.cells[1].metadata.tags = []


def spoil_timing(notebook: NotebookNode) -> None:
    notebook.cells[2].metadata["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00Z"}


def spoil_kernel(notebook: NotebookNode) -> None:
    notebook.metadata.kernelspec.name = "my-env"


def spoil_id(notebook: NotebookNode) -> None:
    notebook.cells[2].id = notebook.cells[1].id


def spoil_output_metadata(notebook: NotebookNode) -> None:
    notebook.cells[3].outputs[0].metadata = {"needs_background": "light"}


FAULTS = (
    (is_run, spoil_count),
    (is_run, spoil_run),
    (is_run, spoil_error),
    (is_quiet, spoil_stderr),
    (is_quiet, spoil_progress),
    (is_of_no_machine, spoil_path),
    (is_of_no_machine, spoil_windows_path),
    (is_of_no_machine, spoil_address),
    (has_alt_texts, spoil_figure_alt),
    (has_alt_texts, spoil_markdown_alt),
    (has_alt_texts, spoil_directive_alt),
    (has_alt_texts, spoil_html_alt),
    (has_alt_texts, spoil_svg_label),
    (has_setup_cell, spoil_setup),
    (has_setup_cell, spoil_setup_tag),
    (is_normal, spoil_timing),
    (is_normal, spoil_kernel),
    (is_normal, spoil_id),
    (is_normal, spoil_output_metadata),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_good_notebook_passes(check: Callable[[NotebookNode], list[str]]) -> None:
    assert check(good_notebook()) == []


@pytest.mark.parametrize(("check", "spoil"), FAULTS, ids=lambda function: function.__name__)
def test_fault_is_found(check: Callable[[NotebookNode], list[str]], spoil: Callable[[NotebookNode], None]) -> None:
    notebook = good_notebook()
    spoil(notebook)
    assert check(notebook) != []


def test_normalising_twice_changes_nothing() -> None:
    once = good_notebook()
    assert to_text(normalise(once)) == to_text(once)


def test_missing_and_double_ids_are_made_the_same_way_every_time() -> None:
    notebook = good_notebook()
    for cell in notebook.cells[:2]:
        del cell["id"]
    notebook.cells[3].id = notebook.cells[2].id
    first, second = normalise(copy.deepcopy(notebook)), normalise(notebook)
    assert [cell.id for cell in first.cells] == [cell.id for cell in second.cells]
    assert len({cell.id for cell in first.cells}) == len(first.cells)
