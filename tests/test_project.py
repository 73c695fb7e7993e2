"""The project holds together: dependencies, address, files, and imports that point down only."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from _project import PACKAGE, ROOT, project_files
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import gcvit_edu
from gcvit_edu.moved import MOVED

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]

# ------------------------------------------------------------------------------------------------ dependencies

# Colab's image of August 2026. A chapter must not replace what is installed there.
COLAB = {
    "torch": "2.11.0",
    "torchvision": "0.26.0",
    "timm": "1.0.28",
    "einops": "0.8.2",
    "matplotlib": "3.10.0",
    "numpy": "2.1.3",
    "pillow": "11.3.0",
    "safetensors": "0.8.0",
}
LOCK_LINE = re.compile(r"[a-z0-9.-]+==[\w.!+]+(?: ; [\w.'\"<>=!() ]+)?")


def core_requirements() -> list[Requirement]:
    return [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]


def all_requirements() -> list[Requirement]:
    return core_requirements() + [Requirement(line) for lines in EXTRAS.values() for line in lines]


def locked() -> dict[str, list[Requirement]]:
    """{package: its lines}; there are two where an old Python needs another version."""
    lines: dict[str, list[Requirement]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            assert LOCK_LINE.fullmatch(line), line  # a version and a marker: no address, no path, no option
            lines.setdefault(canonicalize_name(Requirement(line).name), []).append(Requirement(line))
    return lines


def test_lock_pins_every_dependency_within_its_bounds() -> None:
    lines = locked()
    for wanted in all_requirements():
        assert canonicalize_name(wanted.name) in lines, f"{wanted} is not in requirements.lock: make lock"
        for pinned in lines[canonicalize_name(wanted.name)]:
            (pin,) = pinned.specifier
            assert wanted.specifier.contains(pin.version), f"{pinned} does not satisfy {wanted}: make lock"


@pytest.mark.parametrize("python", ["3.11.0", "3.11.9", "3.12.1", "3.13.0"])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_lock_names_each_package_at_most_once_on_a_platform(python: str, platform: str) -> None:
    place = {"python_full_version": python, "python_version": python.rsplit(".", 1)[0], "sys_platform": platform}
    for name, lines in locked().items():
        applying = [line for line in lines if line.marker is None or line.marker.evaluate(place)]
        assert len(applying) <= 1, name


def test_what_colab_has_satisfies_the_package() -> None:
    wanted = {canonicalize_name(requirement.name): requirement for requirement in core_requirements()}
    assert set(wanted) == set(COLAB)
    for name, version in COLAB.items():
        assert wanted[name].specifier.contains(version), f"Colab has {name} {version}"


def test_conda_installs_the_same_extras() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == [f"-e .[{','.join(sorted(EXTRAS))}]"]
    assert f"python{PYPROJECT['project']['requires-python']}" in environment["dependencies"]


def test_versions_agree() -> None:
    """The package says its version once; what is built from it and what cites it say the same."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(Version(gcvit_edu.__version__)) == gcvit_edu.__version__
    assert citation["version"] == gcvit_edu.__version__
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["hatch"]["version"] == {"path": "gcvit_edu/__init__.py"}


# ------------------------------------------------------------------------------------------------------- files

TOP_LEVEL = {
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "LICENSE-text",
    "Makefile",
    "README.md",
    "_config.yml",
    "_toc.yml",
    "book",
    "data",
    "environment.yml",
    "gcvit_edu",
    "hubconf.py",
    "pyproject.toml",
    "requirements.lock",
    "tests",
}
VENDORED = Path("book/_static/mathjax")
# In two parts, so that this file does not name what it forbids.
REGISTRY = re.compile(r"(?:pypi|python" + r"hosted|npm" + r"js|debian|anaconda)\.(?:org|com)\b|--(?:extra-)?index-url")
HOME = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/[\w.-]+")


def foreign_words(text: str) -> list[str]:
    """Package registries' hosts and folders of one machine."""
    return [found[0] for pattern in (REGISTRY, HOME) for found in pattern.finditer(text)]


def test_only_the_planned_entries_stand_at_the_top() -> None:
    assert {path.parts[0] for path in project_files()} <= TOP_LEVEL


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    for path in project_files():
        if VENDORED in path.parents or b"\0" in (ROOT / path).read_bytes():
            continue
        assert foreign_words((ROOT / path).read_text(encoding="utf-8")) == [], path


@pytest.mark.parametrize("text", ["see npm" + "js.com/x", "pip install --index" + "-url X", "in /home" + "/me/book"])
def test_a_foreign_word_is_found(text: str) -> None:
    assert foreign_words(text) != []


# ----------------------------------------------------------------------------------------------------- imports

# A module imports from its own level or from a lower one. The package's __init__ names what users need.
LEVELS = {
    "config": 0,
    "windows": 0,
    "position": 0,
    "layers": 0,
    "inputs": 0,
    "files": 0,
    "console": 0,
    "metadata": 0,
    "hardware": 0,
    "moved": 0,
    "attention": 1,
    "query": 1,
    "stem": 1,
    "timm_contract": 1,
    "variants": 1,
    "weight_keys": 1,
    "model": 2,
    "counting": 2,
    "weights": 2,  # below the zoo, which loads pretrained weights
    "timm_registry": 3,
    "timm_tracing": 3,
    "zoo": 3,
    "mixers": 3,
    "interventions": 3,
    "capture": 4,
    "data": 4,
    "maps": 4,
    "train": 5,
    "recipes": 6,
    "bench": 6,
    "viz": 6,
    "explorer": 6,
    "check": 6,
    "experiments": 7,  # imported by nothing but the book and the tests
}
CORE = ("config", "windows", "position", "layers", "attention", "query", "stem", "model", "zoo")
MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_THE_CORE = 900


def modules_used(source: str, package: str = "gcvit_edu") -> set[str]:
    """Modules of gcvit_edu that a file imports, wherever in the file; `package` is the folder it lies in.

    A name that is no module, as in `from gcvit_edu import create_model`, comes from the package's __init__.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    ours = [name.split(".") for name in names if name.split(".")[0] == "gcvit_edu"]
    return {parts[1] if len(parts) > 1 and parts[1] in LEVELS else "__init__" for parts in ours}


def upward_imports(source: str, own: str, package: str = "gcvit_edu") -> list[str]:
    """What a file of the module `own` imports from above; the package's __init__ is above everything."""
    top = max(LEVELS.values()) + 1
    return sorted(name for name in modules_used(source, package) if LEVELS.get(name, top) > LEVELS[own])


def package_files() -> list[Path]:
    """The package's Python files but its __init__, which names what users need, whatever its level."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def own_module(path: Path) -> str:
    """gcvit_edu/train/loop.py -> train."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    assert own_module(path) in LEVELS, "give the new module a level here and in the README"
    package = ".".join(path.relative_to(ROOT).parts[:-1])
    assert upward_imports(path.read_text(encoding="utf-8"), own_module(path), package) == []


def test_no_room_imports_in_a_circle() -> None:
    """Rooms of one level may import each other, but not both ways, also by way of others."""
    graph: dict[str, set[str]] = {}
    for path in package_files():
        package = ".".join(path.relative_to(ROOT).parts[:-1])
        used = modules_used(path.read_text(encoding="utf-8"), package)
        graph.setdefault(own_module(path), set()).update(used - {own_module(path), "__init__"})
    assert circle_in(graph) == []
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """What is left when nodes that lead nowhere are taken away, again and again."""
    left = {node: set(targets) for node, targets in graph.items()}
    while ends := [node for node, targets in left.items() if not targets & left.keys()]:
        for node in ends:
            del left[node]
    return sorted(left)


def test_experiments_are_imported_by_the_book_and_the_tests_only() -> None:
    importers = {
        own_module(path)
        for path in package_files()
        if "experiments" in modules_used(path.read_text(encoding="utf-8"), ".".join(path.relative_to(ROOT).parts[:-1]))
    }
    assert importers <= {"experiments"}


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_module_answers_with_the_new_one(old: str, new: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=re.escape(new)):
        import_module(old)
    parent, _, child = old.rpartition(".")
    if not hasattr(import_module(parent), child):  # gcvit_edu.explore is a function as well
        with pytest.raises(ImportError, match=re.escape(new)):
            exec(f"from {parent} import {child}")
    (named, *_) = re.findall(r"gcvit_edu[\w.]*", new)
    import_module(named)


@pytest.mark.parametrize(
    ("source", "own", "package", "found"),
    [
        ("from gcvit_edu.config import GCViTConfig", "model", "gcvit_edu", []),
        ("from gcvit_edu.windows import pad", "position", "gcvit_edu", []),
        ("from gcvit_edu.zoo import create_model", "model", "gcvit_edu", ["zoo"]),
        ("def f():\n    import gcvit_edu.viz as viz", "capture", "gcvit_edu", ["viz"]),
        ("from gcvit_edu import model", "config", "gcvit_edu", ["model"]),
        ("from gcvit_edu import create_model", "bench", "gcvit_edu", ["__init__"]),
        ("from .model import GCViT", "layers", "gcvit_edu", ["model"]),
        ("from ..viz import show", "train", "gcvit_edu.train", ["viz"]),
        ("from .loop import run", "train", "gcvit_edu.train", []),
        ("import torch", "config", "gcvit_edu", []),
    ],
)
def test_an_import_that_points_up_is_found(source: str, own: str, package: str, found: list[str]) -> None:
    assert upward_imports(source, own, package) == found


def test_matplotlib_is_imported_by_viz_only() -> None:
    importers = {
        own_module(path)
        for path in package_files()
        if re.search(r"^\s*(?:import|from) matplotlib", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert importers <= {"viz"}


def test_importing_the_package_imports_torch_and_einops_only() -> None:
    heavy = ("timm", "torchvision", "matplotlib", "PIL", "safetensors", "webdataset", "tensorboard")
    source = f"import sys, gcvit_edu; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_files_stay_small() -> None:
    long = {str(path): count_lines(path) for path in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FILE} == {}
    assert sum(count_lines(PACKAGE / f"{name}.py") for name in CORE) < MOST_LINES_OF_THE_CORE


def test_example_of_the_readme_runs() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert done.stdout == "torch.Size([1, 1000]) torch.Size([1, 64, 2, 49, 49])\n", done.stderr
