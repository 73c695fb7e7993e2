"""The spelling of all prose: no common misspellings, and British throughout ("colour", "normalised")."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import codespell_lib
import pytest
from _project import BOOK, CHAPTERS, PACKAGE, ROOT, read_notebook

# "vermillion" is how the palette of Okabe and Ito spells its colour; Pinter is an author.
CORRECT = {"vermillion", "Pinter"}
# American entries of codespell's list that are good British, too: a story is told, a license may be a verb's.
BRITISH_TOO = {
    *("analog", "artifact", "artifacts", "biased", "focused", "focuses", "focusing", "judgment", "licensed"),
    *("licensing", "meter", "meters", "practice", "practices", "program", "refocused", "refocuses", "routing"),
    *("stories", "story", "writable", "overwritable"),
}
# What is no prose: code, formulas, addresses, targets of links, options and roles of MyST, names in capitals and those
# of arguments.
NO_PROSE = re.compile(
    r"^(`{3,}|~{3,})[^{\n]*$.*?^\1|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]+\$|https?://\S+|\]\([^)]*\)|^:(?!alt)\w+:.*$|<[^>]+>"
    r"|\{[\w:]+\}|\b[A-Z]{3,}\b|^ {4}\w+:(?= )",
    re.MULTILINE | re.DOTALL,
)


def prose(text: str) -> str:
    """The text with what is no prose left out, its lines unchanged in number."""
    return NO_PROSE.sub(lambda found: " " + "\n" * found[0].count("\n"), text)


def words_of_python(source: str) -> str:
    """Docstrings and comments."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return "\n".join([*docstrings, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


def words_of_chapter(path: Path) -> Iterator[str]:
    """Text cells, what is said of figures, and the comments and docstrings of the code."""
    for cell in read_notebook(path).cells:
        if cell.cell_type == "markdown":
            yield cell.source
        else:
            shown = cell.metadata.get("mystnb", {})
            yield shown.get("image", {}).get("alt", "")
            yield words_of_python(cell.source)


def texts() -> dict[str, str]:
    """{file: its prose} of the whole project."""
    found = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(BOOK.glob("*.md")))}
    found |= {path.name: "\n\n".join(words_of_chapter(path)) for path in CHAPTERS}
    for path in sorted([*PACKAGE.rglob("*.py"), *(BOOK / "_ext").glob("*.py")]):
        found[path.relative_to(ROOT).as_posix()] = words_of_python(path.read_text(encoding="utf-8"))
    return {name: prose(text) for name, text in found.items()}


def misspelt(texts: dict[str, str], folder: Path) -> list[str]:
    """What codespell says of the texts, as "file: wrong ==> right"."""
    names = {}
    for place, (name, text) in enumerate(texts.items()):
        names[str(folder / f"{place}.txt")] = name
        (folder / f"{place}.txt").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", "--builtin", "clear,rare", "-L", ",".join(CORRECT), *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    lines = [re.fullmatch(r"(.+?):\d+: (.+)", line) for line in done.stdout.splitlines()]
    return [f"{names[found[1]]}: {found[2]}" for found in lines if found]


def american() -> dict[str, str]:
    """{American spelling: British} from the list that codespell brings along, which is the other way round."""
    file = Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
    pairs = [line.split("->") for line in file.read_text(encoding="utf-8").split("\n") if line]
    found = {word.strip(): british for british, words in pairs for word in words.split(",") if word.strip()}
    return {word: british for word, british in found.items() if word not in BRITISH_TOO}


def americanisms(texts: dict[str, str]) -> list[str]:
    """Words of the texts that are spelt the American way, as "file: wrong ==> right"."""
    british = american()
    return [
        f"{name}: {word} ==> {british[word.lower()]}"
        for name, text in texts.items()
        for word in re.findall(r"[A-Za-z]+", text)
        if word.lower() in british
    ]


@pytest.fixture(scope="module")
def project() -> dict[str, str]:
    return texts()


def test_all_prose_is_looked_at(project: dict[str, str]) -> None:
    assert {"README.md", "index.md", "01_first_look.ipynb", "gcvit_edu/model.py", "book/_ext/offline.py"} <= set(
        project
    )
    assert "windows of side 4" in project["05_window_attention.ipynb"]  # the caption of a figure


def test_nothing_is_misspelt(project: dict[str, str], tmp_path: Path) -> None:
    assert misspelt(project, tmp_path) == []


def test_spelling_is_british(project: dict[str, str]) -> None:
    assert americanisms(project) == []


def test_a_misspelt_word_is_found(tmp_path: Path) -> None:
    texts = {
        "a.md": prose("The `teh` is code.\nRecieve teh vermillion."),
        "b.py": words_of_python("# seperate\nx = 1\n"),
    }
    assert misspelt(texts, tmp_path) == [
        "a.md: Recieve ==> Receive",
        "a.md: teh ==> the",
        "b.py: seperate ==> separate",
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("the color of its neighbor", ["color ==> colour", "neighbor ==> neighbour"]),
        ("Normalized", ["Normalized ==> normalised"]),
        ("a story of biased practice", []),
        ("`color`, $color$, [it](color.md), LICENSE\n:align: center\n", []),
        ("```python\ncolor = 1\n```\n```{note}\nin color\n```", ["color ==> colour"]),
    ],
)
def test_american_spelling_is_found(text: str, wrong: list[str]) -> None:
    assert americanisms({"a.md": prose(text)}) == [f"a.md: {found}" for found in wrong]
