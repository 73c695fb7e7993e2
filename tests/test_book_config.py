"""What the strict build of the book does not notice: settings, contents, references, pictures, symbols."""

import configparser
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import jupyter_book
import offline
import pytest
import yaml
from _project import BOOK, ROOT, read_notebook
from chapter_numbers import chapter_of, renumber
from citations import to_roles

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
TOC: dict[str, Any] = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
SOURCES = sorted([*BOOK.glob("*.md"), *BOOK.glob("*.ipynb")])
DRAWINGS = sorted((BOOK / "_static").glob("*.svg"))


def prose(path: Path) -> str:
    """The Markdown of a page or of a chapter's text cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return to_roles("\n\n".join(cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown"))


PROSE = {path.name: prose(path) for path in SOURCES}

# -------------------------------------------------------------------------------------------------- settings

# Jupyter Book's default settings are, in its own words, the master list of allowed keys.
ALLOWED = yaml.safe_load((Path(jupyter_book.__file__).parent / "default_config.yml").read_text(encoding="utf-8"))
FREE = {"sphinx.config", "latex.latex_documents"}  # keys of other programs


def unknown_settings(config: dict[str, Any], allowed: dict[str, Any], above: str = "") -> list[str]:
    """The keys, as dotted paths, that Jupyter Book would ignore without a word."""
    unknown = []
    for key, value in config.items():
        path = f"{above}{key}"
        if key not in allowed:
            unknown.append(path)
        elif path not in FREE and isinstance(value, dict) and isinstance(allowed[key], dict):
            unknown += unknown_settings(value, allowed[key], f"{path}.")
    return unknown


def theme_options() -> set[str]:
    """Every option of the theme and of the theme it is built on, read from their own declarations."""
    names: set[str] = set()
    for theme in ("sphinx_book_theme", "pydata_sphinx_theme"):
        spec = find_spec(theme)
        assert spec is not None
        assert spec.origin is not None
        declared = configparser.ConfigParser(interpolation=None, strict=False)
        declared.optionxform = str  # type: ignore[method-assign,assignment]
        declared.read(Path(spec.origin).parent / "theme" / theme / "theme.conf", encoding="utf-8")
        names |= set(declared["options"])
    return names


LIST_SPHINX_SETTINGS = """
import sys
from jupyter_book.config import get_final_config
from pathlib import Path
from sphinx.application import Sphinx

root, scratch = map(Path, sys.argv[1:])
settings, _ = get_final_config(
    user_yaml=root / "_config.yml", cli_config={"latex_individualpages": False}, sourcedir=root
)
app = Sphinx(root, None, scratch / "out", scratch / "doctrees", "html", confoverrides=settings, status=None)
print(*(value.name for value in app.config))
"""


@pytest.fixture(scope="module")
def sphinx_settings(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The name of every setting that Sphinx and the book's extensions read."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_SPHINX_SETTINGS, str(ROOT), str(tmp_path_factory.mktemp("sphinx"))],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_every_setting_is_one_that_jupyter_book_reads() -> None:
    assert unknown_settings(CONFIG, ALLOWED) == []


def test_a_misspelt_setting_is_found() -> None:
    wrong = {"titel": "x", "html": {"favicn": "x", "favicon": "y"}, "sphinx": {"config": {"anything": 1}}}
    assert unknown_settings(wrong, ALLOWED) == ["titel", "html.favicn"]


def test_every_sphinx_setting_is_one_that_something_reads(sphinx_settings: set[str]) -> None:
    assert set(CONFIG["sphinx"]["config"]) <= sphinx_settings
    assert "mathjx_path" not in sphinx_settings  # it would be found
    assert "mathjax_path" in sphinx_settings


def test_every_theme_option_is_one_that_the_theme_reads() -> None:
    assert set(CONFIG["sphinx"]["config"]["html_theme_options"]) <= theme_options()
    assert "navbar_persistant" not in theme_options()  # it would be found


def test_files_that_the_settings_name_exist() -> None:
    settings = CONFIG["sphinx"]["config"]
    static = ROOT / settings["html_static_path"][0]
    named = [
        ROOT / CONFIG["logo"],
        ROOT / CONFIG["html"]["favicon"],
        ROOT / settings["bibtex_bibfiles"][0],
        static / settings["mathjax_path"],
        *(static / name for name in settings["html_css_files"] + settings["html_js_files"]),
        *(ROOT / path / f"{name}.py" for name, path in CONFIG["sphinx"]["local_extensions"].items()),
    ]
    assert [path for path in named if not path.is_file()] == []


def test_mathjax_is_the_whole_one_and_comes_with_its_licence() -> None:
    # The smaller builds fetch parts of TeX over the network: one \boldsymbol, and no formula is rendered.
    folder = BOOK / "_static" / "mathjax"
    assert CONFIG["sphinx"]["config"]["mathjax_path"] == "mathjax/tex-svg-full.js"
    script = (folder / "tex-svg-full.js").read_text(encoding="utf-8")
    assert '"3.2.2"' in script
    assert "boldsymbol" in script
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------- extensions


def test_figures_are_numbered_by_chapter() -> None:
    assert chapter_of("5. Window attention") == 5
    assert chapter_of("16. Fast and deployable") == 16
    assert chapter_of("A. Other people's weights") == "A"
    assert chapter_of("Notation") is None
    titles = {"index": "Welcome", "five": "5. Window attention", "notation": "Notation"}
    numbers = {
        "index": {"figure": {"a": (1,)}},
        "five": {"figure": {"c": (3,), "b": (2,)}, "displaymath": {"e": (1,)}},
        "notation": {"figure": {"d": (4,)}},
    }
    env = SimpleNamespace(
        toc_fignumbers=numbers,
        titles={name: SimpleNamespace(astext=lambda title=title: title) for name, title in titles.items()},
    )
    assert renumber(SimpleNamespace(), env) == []  # type: ignore[arg-type]
    assert numbers == {
        "index": {"figure": {"a": (1,)}},
        "five": {"figure": {"b": (5, 1), "c": (5, 2)}, "displaymath": {"e": (5, 1)}},
        "notation": {"figure": {"d": (2,)}},
    }


def test_thebe_is_disconnected_and_nothing_else() -> None:
    thebe = SimpleNamespace(handler=SimpleNamespace(__module__="sphinx_thebe"))
    other = SimpleNamespace(handler=SimpleNamespace(__module__="sphinx_thebes"))
    app = SimpleNamespace(
        events=SimpleNamespace(listeners={"builder-inited": [thebe, other], "doctree-resolved": [thebe]}),
        registry=SimpleNamespace(css_files=[("sphinx-thebe.css", {}), ("custom.css", {})]),
    )
    offline.drop_unwanted(app, SimpleNamespace())  # type: ignore[arg-type]
    assert app.events.listeners == {"builder-inited": [other], "doctree-resolved": []}
    assert app.registry.css_files == [("custom.css", {})]


# --------------------------------------------------------------------------------------------------- contents


def toc_entries(toc: dict[str, Any]) -> list[str]:
    """Every page of the table of contents, in order."""
    found = [toc[key] for key in ("root", "file") if key in toc]
    for key in ("parts", "chapters", "sections"):
        for entry in toc.get(key, []):
            found += toc_entries(entry)
    return found


def contents_problems(toc: dict[str, Any], pages: list[str]) -> list[str]:
    """Pages that no reader would find, entries without a page, and entries given twice."""
    entries = Counter(toc_entries(toc))
    return [
        *(f"{page} is not in _toc.yml" for page in pages if page not in entries),
        *(f"_toc.yml names {entry}, which is no page" for entry in entries if entry not in pages),
        *(f"_toc.yml names {entry} {times} times" for entry, times in entries.items() if times > 1),
    ]


def chapter_titles(text: str) -> list[str]:
    return re.findall(r"^# (.+)$", text, re.MULTILINE)


def test_contents_and_pages_agree() -> None:
    pages = [path.relative_to(ROOT).with_suffix("").as_posix() for path in SOURCES]
    assert contents_problems(TOC, pages) == []


def test_a_page_missing_from_the_contents_is_found() -> None:
    toc = {"root": "book/index", "parts": [{"chapters": [{"file": "book/a"}, {"file": "book/a"}]}]}
    assert contents_problems(toc, ["book/index", "book/b"]) == [
        "book/b is not in _toc.yml",
        "_toc.yml names book/a, which is no page",
        "_toc.yml names book/a 2 times",
    ]


@pytest.mark.parametrize("path", sorted(BOOK.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_chapter_title_carries_the_number_of_its_file(path: Path) -> None:
    # One title a page; a second one would become a second entry in the contents.
    (title,) = chapter_titles(re.sub(r"```.*?```", "", PROSE[path.name], flags=re.DOTALL))
    assert chapter_of(title) == int(path.name.split("_")[0])


def welcome_problems(welcome: str, chapters: list[str]) -> list[str]:
    """The welcome page's table links every chapter that exists, and every other chapter it calls planned."""
    table = [line for line in welcome.splitlines() if line.startswith("|")][2:]
    linked = [name for line in table for name in re.findall(r"\{doc\}`(\w+)`", line)]
    neither = [line for line in table if ("{doc}" in line) == ("*(planned)*" in line)]
    numbers = [int(number) for line in table for number in re.findall(r"(?:`|\| )(\d+)[._]", line)]
    return [
        *(f"{name} exists but is not linked" for name in chapters if name not in linked),
        *(f"{name} is linked but does not exist" for name in linked if name not in chapters),
        *(f"neither linked nor planned: {line}" for line in neither),
        *(["the chapters are out of order"] if numbers != list(range(len(table))) else []),
    ]


def test_welcome_page_says_which_chapters_exist() -> None:
    assert welcome_problems(PROSE["index.md"], [path.stem for path in sorted(BOOK.glob("[0-9]*.ipynb"))]) == []


def test_a_wrong_table_on_the_welcome_page_is_found() -> None:
    table = "| Part | Chapter |\n|---|---|\n| I | {doc}`01_a` |\n| | 3. B *(planned)* |\n| | 2. C |\n"
    assert welcome_problems(table, ["04_d"]) == [
        "04_d exists but is not linked",
        "01_a is linked but does not exist",
        "neither linked nor planned: | | 2. C |",
        "the chapters are out of order",
    ]


# ------------------------------------------------------------------------------------------------- references

CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
ENTRY = re.compile(r"^@(\w+)\{([^,\s]+),(.*?)^\}", re.MULTILINE | re.DOTALL)


def bibliography(text: str) -> list[tuple[str, set[str]]]:
    """[(key, names of its fields)] of a BibTeX file."""
    return [(key, set(re.findall(r"^\s*(\w+)\s*=", fields, re.MULTILINE))) for _, key, fields in ENTRY.findall(text)]


def reference_problems(bibtex: str, pages: dict[str, str]) -> list[str]:
    """Citations without an entry, entries that nobody cites, entries without what a reader needs."""
    entries = bibliography(bibtex)
    keys = Counter(key for key, _ in entries)
    cited = {
        (key.strip(), page)
        for page, text in pages.items()
        for group in CITATION.findall(text)
        for key in group.split(",")
    }
    return [
        *(f"{page} cites {key}, which is no entry" for key, page in sorted(cited) if key not in keys),
        *(f"nobody cites {key}" for key in keys if key not in {one for one, _ in cited}),
        *(f"{key} is there {times} times" for key, times in keys.items() if times > 1),
        *(
            f"{key} has no {field}"
            for key, fields in entries
            for field in ("author", "title", "year", "url")
            if field not in fields
        ),
    ]


def test_references_are_complete_and_cited() -> None:
    assert reference_problems((BOOK / "references.bib").read_text(encoding="utf-8"), PROSE) == []


def test_a_wrong_reference_is_found() -> None:
    bibtex = "@misc{a,\n  author = {A},\n  title = {T},\n  year = {2000}\n}\n\n@misc{b,\n  url = {u}\n}\n"
    assert reference_problems(bibtex, {"page.md": "See {cite:p}`a, c` and {cite:t}`d`."}) == [
        "page.md cites c, which is no entry",
        "page.md cites d, which is no entry",
        "nobody cites b",
        "a has no url",
        "b has no author",
        "b has no title",
        "b has no year",
    ]


# --------------------------------------------------------------------------------------------------- pictures

MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")
PICTURE_DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?:figure|image)\}(?P<body>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)


def pictures_without_alt(text: str) -> list[str]:
    """The pictures of a Markdown text that say nothing to a reader who cannot see them."""
    return [
        *(target for alt, target in MARKDOWN_IMAGE.findall(text) if not alt.strip()),
        *(
            found["body"].split("\n")[0].strip()
            for found in PICTURE_DIRECTIVE.finditer(text)
            if not re.search(r"^:alt: *\S", found["body"], re.MULTILINE)
        ),
        *(tag for tag in HTML_IMAGE.findall(text) if not re.search(r"""\balt=["'][^"']*\w""", tag)),
    ]


def drawing_problems(svg: str) -> list[str]:
    """What a drawing must have, and what it must not load."""
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    problems = [] if "viewBox" in root.attrib else ["no viewBox: it cannot be scaled"]
    for name in ("title", "desc"):
        element = root.find(f"{space}{name}")
        if element is None or not (element.text or "").strip():
            problems.append(f"no {name}")
        elif element.get("id") not in root.get("aria-labelledby", "").split():
            problems.append(f"the {name} is not named by aria-labelledby")
    for element in root.iter():
        if element.tag in {f"{space}script", f"{space}foreignObject", f"{space}image"}:
            problems.append(f"it holds a {element.tag.removeprefix(space)}")
        texts = [*element.attrib.values(), element.text or ""]
        problems += [
            f"it names {address}"
            for text in texts
            for address in re.findall(r"(?:https?:)?//[^\s\"')]+|@import[^;]*|url\((?!#)[^)]*\)", text)
        ]
    return problems


@pytest.mark.parametrize("name", sorted(PROSE))
def test_every_picture_has_an_alt_text(name: str) -> None:
    assert pictures_without_alt(PROSE[name]) == []


def test_a_picture_without_alt_text_is_found() -> None:
    text = (
        "![](a.png) ![what it shows](b.png)\n<img src='c.png'> <img src='d.png' alt='D'>\n"
        ":::{figure} e.svg\n:name: e\n\nCaption\n:::\n\n```{image} f.svg\n:alt: F\n```\n"
    )
    assert pictures_without_alt(text) == ["a.png", "e.svg", "<img src='c.png'>"]


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_drawing_is_described_and_loads_nothing(path: Path) -> None:
    assert drawing_problems(path.read_text(encoding="utf-8")) == []


def test_a_bad_drawing_is_found() -> None:
    bad = (
        '<svg xmlns="http://www.w3.org/2000/svg" aria-labelledby="t"><title id="t">T</title><desc>D</desc>'
        '<image href="https://example.org/a.png"/><style>@import "b.css";</style></svg>'
    )
    assert drawing_problems(bad) == [
        "no viewBox: it cannot be scaled",
        "the desc is not named by aria-labelledby",
        "it holds a image",
        "it names https://example.org/a.png",
        'it names @import "b.css"',
    ]


# ------------------------------------------------------------------------------- the drawing of the architecture


def circles_and_squares(svg: str) -> list[tuple[int, int]]:
    """[(local blocks, global blocks)] of each stage of the welcome page's drawing."""
    stages = re.split(r"<!-- stage \d -->", svg.split("<!-- head -->")[0])[1:]
    return [
        (len(re.findall(r'<rect class="local"', stage)), len(re.findall(r'<circle class="global"', stage)))
        for stage in stages
    ]


def test_drawing_of_the_architecture_is_gc_vit_tiny() -> None:
    from gcvit_edu import GCViTConfig

    config = GCViTConfig()
    drawing = (BOOK / "_static" / "architecture.svg").read_text(encoding="utf-8")
    assert circles_and_squares(drawing) == [((depth + 1) // 2, depth // 2) for depth in config.depths]
    words = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", drawing))
    halvings = ["no halving" if halvings == 0 else f"{halvings} halvings" for halvings in config.halvings]
    for stage, (side, window, depth) in enumerate(
        zip((56, 28, 14, 7), config.window_sizes, config.depths, strict=True), start=1
    ):
        count = (side // window) ** 2
        width = "C" if stage == 1 else f"{2 ** (stage - 1)}C"
        assert (
            f"Stage {stage} {side} × {side} × {width} {count} window{'s' * (count > 1)} of {window} × {window} "
            f"{depth} blocks query generator, {halvings[stage - 1]} {window} × {window} query"
        ) in words


# ---------------------------------------------------------------------------------------------------- symbols

FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$([^$\n]+?)\$(?![\w$])", re.DOTALL)
NAMED = re.compile(r"\\(?:operatorname|text|mathrm|begin|end|label)\*?\{[^}]*\}")
OWN_MACRO = re.compile(r"\\(?:newcommand|renewcommand|def|DeclareMathOperator)\b")
GREEK = re.compile(
    "alpha|beta|gamma|delta|(?:var)?epsilon|eta|kappa|lambda|mu|nu|pi|rho|sigma|tau|theta|(?:var)?phi|psi|omega",
    re.IGNORECASE,
)
SYMBOL = re.compile(
    r"\\(?P<style>mathbf|boldsymbol|mathcal) ?\{?(?P<styled>\\?[A-Za-z]+)\}?"
    r"|\\(?P<command>[A-Za-z]+)|(?P<letter>[A-Za-z])"
)
# Letters that a chapter may use for itself, next to where it says what they are.
LOCAL_LETTERS = set("abcfijklmnpqtuvxyzO") | {rf"\mathbf{{{letter}}}" for letter in "aekqvxy"}


def symbols(text: str) -> set[str]:
    """The letters of all formulas: single letters, bold letters, Greek letters."""
    found: set[str] = set()
    for display, inline in FORMULA.findall(re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)):
        formula = NAMED.sub(" ", display or inline)
        for symbol in SYMBOL.finditer(formula):
            if symbol["styled"]:
                found.add(rf"\{symbol['style']}{{{symbol['styled']}}}")
            elif symbol["command"] and GREEK.fullmatch(symbol["command"]):
                found.add(rf"\{symbol['command']}")
            elif symbol["letter"]:
                found.add(symbol["letter"])
    return found


def undefined_symbols(text: str, notation: str) -> set[str]:
    """Letters of a text that the notation page does not have and that are no chapter's own."""
    return symbols(text) - symbols(notation) - LOCAL_LETTERS


@pytest.mark.parametrize("name", sorted(set(PROSE) - {"notation.md"}))
def test_letters_are_those_of_the_notation_page(name: str) -> None:
    assert undefined_symbols(PROSE[name], PROSE["notation.md"]) == set()


@pytest.mark.parametrize("name", sorted(PROSE))
def test_no_page_defines_its_own_tex_macros(name: str) -> None:
    assert OWN_MACRO.findall(PROSE[name]) == []  # Colab would not know them
    assert OWN_MACRO.findall(r"\newcommand{\x}{y}")


def test_a_letter_without_a_meaning_is_found() -> None:
    notation = r"$H \times W$, $\mathbf{Q}$, $$\operatorname{softmax}(\mathbf{b})$$"
    text = r"$\mathbf Q + \mathbf{Z}$ costs 3\$ or `$M$`, $\lambda$, $$\frac{H}{G}$$"
    assert undefined_symbols(text, notation) == {r"\mathbf{Z}", r"\lambda", "G"}


# --------------------------------------------------------------------------------------------------- glossary


def glossary_terms(text: str) -> list[str]:
    body = text.split("```{glossary}\n")[1].split("\n```")[0]
    return [line for line in body.splitlines() if line and not line.startswith(" ")]


def test_glossary_is_in_order_and_has_what_a_newcomer_meets() -> None:
    terms = glossary_terms(PROSE["glossary.md"])
    assert terms == sorted(set(terms), key=str.lower)
    needed = {"token", "window", "head", "attention", "query", "key", "value", "softmax", "logits", "stride"}
    assert needed | {"global query", "relative position bias", "mask", "padding", "fused MBConv"} <= set(terms)


def test_a_glossary_out_of_order_is_seen() -> None:
    assert glossary_terms("```{glossary}\nb\n  B\n\na\n  A\n```\n") == ["b", "a"]
