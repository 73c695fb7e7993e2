"""The page of the package: every public name is on it, its docstring word for word, its source, its chapters."""

import ast
import inspect
import re
from collections.abc import Iterator
from html import unescape
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _mini_book import build, chapter, text_of
from _project import BOOK, CHAPTERS, PACKAGE, ROOT, code_cells, read_notebook
from api_page import addresses, builders_of, escape, public_names, resolve, source_line, to_restructured
from chapters import Chapter, read_chapter

PAGE = (BOOK / "api.md").read_text(encoding="utf-8")
# What other modules of the package use, and readers do not.
# Recipes are commands: `python -m gcvit_edu.train --list` says what each is.
INTERNAL = {"console", "inputs", "moved", "recipes", "timm_contract", "timm_registry", "timm_tracing"}
# What a chapter imports to show how the package works inside; the chapter explains it.
SHOWN = {"check_image", "TimmContract", "random_state", "begin", "validation_batches", "main"}
WINDOWS = """def window_partition(x, window):
    return x"""

# ---------------------------------------------------------------------------------------------- what is public


def modules_on(page: str) -> list[str]:
    return re.findall(r"^gcvit_edu\.(\w+)$", page, re.MULTILINE)


def dotted_modules_on(page: str) -> list[str]:
    """With the modules of subpackages."""
    return re.findall(r"^gcvit_edu\.[\w.]+$", page, re.MULTILINE)


def modules_of_the_package() -> set[str]:
    return {path.stem for path in PACKAGE.glob("[!_]*") if path.suffix == ".py" or (path / "__init__.py").is_file()}


def missing_modules(page: str, package: set[str]) -> set[str]:
    """Modules whose public names the page would lack."""
    return package - INTERNAL - {name.split(".")[1] for name in dotted_modules_on(page)}


def public_of(module: ModuleType) -> Iterator[str]:
    """A module's public names as "module.name"; the package's own first."""
    for name in public_names(module):
        yield f"{PACKAGE.name if name in import_module(PACKAGE.name).__all__ else module.__name__}.{name}"


def test_every_module_is_on_the_page_once() -> None:
    assert missing_modules(PAGE, modules_of_the_package()) == set()
    assert len(set(modules_on(PAGE))) == len(modules_on(PAGE))
    assert missing_modules("gcvit_edu.a\n", {"a", "b", "inputs"}) == {"b"}


def test_every_public_name_is_on_the_page() -> None:
    listed = [address for module in dotted_modules_on(PAGE) for address in addresses(module)]
    assert len(set(listed)) == len(listed)
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    checkers = [f"check.{path.stem}" for path in PACKAGE.glob("check/ch[0-9][0-9].py")]
    for name in ("gcvit_edu", *(f"gcvit_edu.{name}" for name in packages + checkers)):
        for public in public_of(import_module(name)):
            assert {public, f"gcvit_edu.{public.rpartition('.')[2]}"} & set(listed), public
    assert {
        "gcvit_edu.capture.AttentionRecord",
        "gcvit_edu.bench.inference.measure",
        "gcvit_edu.check.ch05.merge",
    } <= set(listed)


def imported_names(notebook: Path) -> set[tuple[str, str]]:
    """(module, name) of the package's functions and classes that a chapter imports."""
    nodes = [node for _, cell in code_cells(read_notebook(notebook)) for node in ast.walk(ast.parse(cell.source))]
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name):
            values = {name.name: getattr(import_module(node.module), name.name, None) for name in node.names}
            found |= {(node.module, n) for n, v in values.items() if inspect.isclass(v) or inspect.isfunction(v)}
    return found


def missing_names(page: str, notebook: Path) -> set[str]:
    """Functions and classes that a chapter imports and the page does not list, under any module."""
    listed = {public_value(address) for one in dotted_modules_on(page) for address in addresses(one)}
    return {
        name
        for module, name in imported_names(notebook)
        if name not in SHOWN and getattr(import_module(module), name) not in listed
    }


def public_value(address: str) -> object:
    """What stands at an address like gcvit_edu.attend."""
    module, _, name = address.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda path: path.stem)
def test_what_chapters_import_is_on_the_page(notebook: Path) -> None:
    assert missing_names(PAGE, notebook) == set()


def test_a_name_that_the_page_lacks_is_seen() -> None:
    fine_tuning, query = BOOK / "14_fine_tuning.ipynb", BOOK / "12_does_the_query_matter.ipynb"
    without = PAGE.replace("gcvit_edu.zoo\n", "").replace("gcvit_edu.experiments.query_ablations\n", "")
    assert "create_model" in missing_names(without, fine_tuning)
    assert "network" in missing_names(without, query)  # pairs has another one


def test_what_is_left_out_is_still_imported_by_a_chapter() -> None:
    assert {name for path in CHAPTERS for _, name in imported_names(path)} >= SHOWN


def test_what_a_module_imports_is_not_public_there() -> None:
    assert "Tensor" not in public_names(import_module("gcvit_edu.windows"))
    assert not [name for name in public_names(import_module("gcvit_edu.weights")) if name.startswith("_")]


# -------------------------------------------------------------------------------------------------- docstrings


def test_a_docstring_is_plain_text_with_sections_and_code() -> None:
    docstring = "(B*N, T) -> T.\n\n    run(*x)\n    more\n\nArgs:\n    dim: C.\n    b_:\n        - 1 or a.\n\n"
    docstring += "Returns:\n    Two: one\n    and two.\n\nAfter."
    assert to_restructured(docstring) == (
        "(B\\*N, \\T) -\\> \\T.\n\n.. code-block:: python\n\n    run(*x)\n    more\n\n"
        "Args:\n    dim: \\C.\n    b\\_:\n        \\- 1 or \\a.\n\nReturns:\n    : Two: one\n    and two.\n\nAfter."
    )


def test_code_in_backticks_stays_code() -> None:
    assert escape("see `a*b` and c*d::") == r"see ``a*b`` and c\*d\::"


# --------------------------------------------------------------------------------------------- links, and back


def test_source_lines_are_those_of_the_definitions() -> None:
    for module, name, words in (
        ("gcvit_edu", "attend", "def attend("),
        ("gcvit_edu", "create_model", "def create_model("),
        ("gcvit_edu", "GCViTConfig", "@dataclass"),
        ("gcvit_edu", "GCViT.forward_head", "def forward_head("),
        ("gcvit_edu", "GCViTConfig.dims", "@property"),
        ("gcvit_edu.viz", "curves", "@styled"),
    ):
        file, line = (source_line(module, name) or "").split("#L")
        assert (ROOT / file).read_text(encoding="utf-8").splitlines()[int(line) - 1].strip().startswith(words), name
    assert source_line("gcvit_edu.viz", "LOCAL") is None


def test_chapters_that_build_a_name_are_found() -> None:
    chapters = [one for path in CHAPTERS if (one := read_chapter(path, path.stem))]
    builders = builders_of(chapters)
    assert [one.number for one in builders["WindowAttention"]] == [5]
    assert [one.number for one in builders["window_partition"]] == [5]
    assert "attend_loop" in builders
    assert "create_model" not in builders


def test_a_draft_builds_nothing() -> None:
    notebook = chapter(
        "# 7. Blocks", ("class Stage:\n    pass", "draft"), (WINDOWS, ""), ("class Block:\n    x = 1", "")
    )
    assert Chapter("book/07", 7, "Blocks", notebook).definitions() == {"window_partition", "Block"}


# ---------------------------------------------------------------------------------------------- the built page


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The real page, in a small book whose chapter 7 builds window_partition and has a `merge` of its own."""
    folder = tmp_path_factory.mktemp("book")
    made = chapter("# 7. Blocks", (WINDOWS, ""), ("def merge(function):\n    pass", ""))
    pages = {"07_blocks.ipynb": made, "notation.md": "# Notation\n", "api.md": PAGE}
    done = build(folder, pages, ["api_page"])
    assert done.returncode == 0, done.stderr
    return (folder / "html" / "book" / "api.html").read_text(encoding="utf-8")


def entry(html: str, address: str) -> str:
    """The HTML of one entry, up to the next one."""
    start = html.index(f'<dt class="sig sig-object py" id="{address}">')
    return html[start : html.find('<dt class="sig sig-object py"', start + 1)]


def first_line(value: Any) -> str:
    """As the page shows it: code without its backticks."""
    return " ".join((inspect.getdoc(value) or "").split("\n")[0].replace("`", "").split())


def missing_lines(html: str) -> list[str]:
    """Public names whose entry does not show the first line of the docstring word for word."""
    missing = []
    for address in [address for module in dotted_modules_on(PAGE) for address in addresses(module)]:
        value = resolve(address)
        documented = inspect.isclass(value) or inspect.isfunction(value)
        if (first_line(value) if documented else repr(value)) not in text_of(entry(html, address)):
            missing.append(address)
    return missing


def test_every_docstring_is_shown_word_for_word(html: str) -> None:
    assert missing_lines(html) == []
    assert "<em>N, T" not in html


def test_a_changed_docstring_would_be_seen(html: str) -> None:
    assert missing_lines(html.replace("(B*N, T, C)", "(B<em>N, T, C)</em>")) == [
        "gcvit_edu.window_partition",
        "gcvit_edu.window_merge",
    ]
    assert "gcvit_edu.Stage" in missing_lines(html.replace("'", "’"))  # smart quotes


def test_sections_and_members_are_shown(html: str) -> None:
    config = text_of(entry(html, "gcvit_edu.GCViTConfig"))
    assert "embed_dim – C, the channels of stage 1; stage s has C * 2**s, counted from 0." in config
    assert "Raises: ValueError – if the numbers do not fit together." in config
    assert "dim – C." in text_of(entry(html, "gcvit_edu.Mlp"))
    assert "C, 2C, 4C, 8C." in text_of(entry(html, "gcvit_edu.GCViTConfig.dims"))
    assert "get_classifier" in html  # of TimmContract, which GCViT inherits
    for foreign in ("load_state_dict", 'gcvit_edu.GCViT.forward"', 'WindowAttention.attend"', "check_inputs"):
        assert foreign not in html
    assert "with capture_attention(model) as records:" in text_of(entry(html, "gcvit_edu.capture_attention"))


def test_entries_link_their_source_and_the_chapters_that_build_them(html: str) -> None:
    partition = entry(html, "gcvit_edu.window_partition")
    assert '<a class="reference internal" href="07_blocks.html">' in partition
    assert "Built in chapter 7, Blocks." in text_of(partition)
    line = source_line("gcvit_edu", "window_partition")
    assert f'href="https://github.com/you/fork/blob/dev/{line}"' in unescape(partition)
    for other in ("gcvit_edu.window_merge", "gcvit_edu.check.ch05.merge"):  # a checker is built by no chapter
        assert "Built in" not in entry(html, other)


def test_an_unknown_type_of_the_package_fails_the_build(tmp_path: Path) -> None:
    entry = ".. py:function:: attend(x: gcvit_edu.Nothing, y: torch.Tensor)\n   :module: gcvit_edu"
    page = f"# P\n\n```{{eval-rst}}\n{entry}\n```\n"
    done = build(tmp_path, {"page.md": page}, ["api_page"])
    assert done.returncode != 0
    assert "gcvit_edu.Nothing" in done.stderr
    assert "torch.Tensor" not in done.stderr
