"""One rule for all docstrings of the package."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from _project import ROOT

FILES = sorted((ROOT / "gcvit_edu").rglob("*.py"))
# A docstring names its object; these words begin a sentence that does not.
NO_NOUNS = {"Of", "Those", "What", "How", "Where", "Which"}
Documented = ast.FunctionDef | ast.ClassDef | ast.Module


def documented(tree: ast.Module) -> Iterator[tuple[str, Documented, str]]:
    """Name, node and docstring of the module, and of every class and function in it."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield getattr(node, "name", "the module"), node, text


def is_dataclass(node: Documented) -> bool:
    return isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(one) for one in node.decorator_list)


def parameters(node: Documented) -> list[str]:
    """The names that a caller gives."""
    if not isinstance(node, ast.FunctionDef):
        return []
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [one.arg for one in named if one.arg not in ("self", "cls")]


def problems(source: str) -> list[str]:
    """One line for every docstring that breaks the rule."""
    found = []
    for name, node, text in documented(ast.parse(source)):
        if text.split(maxsplit=1)[0].strip(",:") in NO_NOUNS:
            found.append(f"{name} begins with {text.split()[0]!r}")
        if is_dataclass(node) and "\nArgs:" in text:
            found.append(f"{name} is a dataclass: its fields stand under Attributes")
        if not name.startswith("_") and len(parameters(node)) >= 3 and "\nArgs:" not in text:
            found.append(f"{name} has {len(parameters(node))} parameters and no Args")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_keep_the_rule(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []


def test_a_broken_rule_is_seen() -> None:
    fields = '@dataclass\nclass A:\n    """A.\n\n    Args:\n        b: c.\n    """'
    source = f'"""Of a file."""\n{fields}\ndef f(a, b, c):\n    """F."""'
    assert len(problems(source)) == 3
    assert problems('def f(self, a, b):\n    """What, then."""') == ["f begins with 'What,'"]
