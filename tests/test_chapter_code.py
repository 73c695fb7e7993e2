"""A class or function that a chapter builds is, word for word, the one in the package.

Docstrings, comments, annotations and layout may differ. A cell tagged `draft` (a naive first version, the
stub of an exercise) opts out.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from _project import CHAPTERS, PACKAGE, code_cells, read_notebook, tags
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Bare(ast.NodeTransformer):
    """Removes what only a reader sees: docstrings and annotations."""

    def _with_body(self, node: Definition) -> Definition:
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        node.body = node.body or [ast.Pass()]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Definition:
        return self._with_body(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Definition:
        node.returns = None
        return self._with_body(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Definition:
        node.returns = None
        return self._with_body(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """`x: int = 1` says what `x = 1` says; the field `x: int` of a dataclass stays, without its type."""
        self.generic_visit(node)
        if node.value is not None:
            return ast.Assign(targets=[node.target], value=node.value)
        node.annotation = ast.Constant(None)
        return node


def bare(node: Definition) -> str:
    """A definition as text in one layout, without docstrings, comments and annotations."""
    copied = ast.parse(ast.unparse(node)).body[0]
    return ast.unparse(ast.fix_missing_locations(Bare().visit(copied)))


def definitions(sources: Iterable[str]) -> dict[str, list[Definition]]:
    """{name: its definitions} at the top level of some Python sources."""
    found: dict[str, list[Definition]] = defaultdict(list)
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, DEFINITIONS):
                found[node.name].append(node)
    return dict(found)


def different_definitions(notebook: NotebookNode, package: dict[str, list[Definition]]) -> list[str]:
    """Names that the chapter and the package define in different words."""
    chapter = definitions(cell.source for _, cell in code_cells(notebook) if "draft" not in tags(cell))
    return [
        f"{name} differs from the package's; make them equal, or tag the cell `draft`:\n{bare(node)}"
        for name, nodes in chapter.items()
        if name in package
        for node in nodes
        if bare(node) not in map(bare, package[name])
    ]


@pytest.fixture(scope="module")
def package() -> dict[str, list[Definition]]:
    # Not the checkers: they are named after the exercises, and no chapter builds them.
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "check"]
    return definitions(path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_and_package_agree(path: Path, package: dict[str, list[Definition]]) -> None:
    assert different_definitions(read_notebook(path), package) == []


# -------------------------------------------------------------------------------- the rule, shown on examples

IN_PACKAGE = '''
@dataclass
class Mlp(nn.Module):
    """Two layers."""

    width: int
    ratio: float = 4.0

    def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        hidden: Tensor = self.fc1(x)  # widen
        return self.fc2(hidden) * scale


class Empty(nn.Module):
    """Nothing but a docstring."""
'''

SAME = """
@dataclass
class Mlp(nn.Module):
    width: "anything"
    ratio = 4.0

    def forward(self, x, *, scale=1.0):
        # another comment
        hidden = self.fc1(
            x
        )
        return self.fc2(hidden) * scale


class Empty(nn.Module):
    pass


def of_the_chapter_only(x):
    return x
"""


def verdict(source: str, *cell_tags: str) -> list[str]:
    notebook = new_notebook(cells=[new_code_cell(source, metadata={"tags": list(cell_tags)})])
    return different_definitions(notebook, definitions([IN_PACKAGE]))


def test_docstrings_comments_annotations_and_layout_may_differ() -> None:
    assert verdict(SAME) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* scale\n", "+ scale\n"),
        ("scale=1.0", "scale=2.0"),
        ("ratio = 4.0", "ratio = 3.0"),
        ('    width: "anything"\n', ""),
        ("@dataclass\n", ""),
        ("hidden = self", "h = self"),
        ("(nn.Module):\n    pass", "(nn.Module):\n    x = 1"),
    ],
)
def test_another_word_is_found(old: str, new: str) -> None:
    assert old in SAME
    assert len(verdict(SAME.replace(old, new))) == 1


def test_draft_opts_out() -> None:
    assert verdict("def Mlp(): return None") != []
    assert verdict("def Mlp(): return None", "draft") == []
