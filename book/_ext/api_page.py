"""The directive `api`: names modules of the package, and documents their public names from the docstrings.

Sphinx's autodoc reads the code, and napoleon the sections of docstrings (`Args:`, `Returns:`, `Raises:`). The rest of
a docstring is plain text, so every character is shown as it is written: "(B*N, T, C)" has no emphasis, and the "H'" of
a shape no quotation mark. Each entry links its source, and the chapters that build it.
"""

import inspect
import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from chapters import Chapter, chapters_of_the_book

PACKAGE = "gcvit_edu"
# Characters that mean something; and places where "C." would begin a list, or "- 1" another.
MARKUP = re.compile(r"[\\*`|<>\[\]]|_(?!\w)|:(?=:)|(?<!\S)(?=[-+] |\(?(\w|\d+|[ivxlcdm]+)[.)](\s|$))", re.IGNORECASE)
RETURNS = re.compile(r"^Returns:\n +", re.MULTILINE)
NO_TYPE = ": "  # napoleon takes what stands before the first colon of a property or a result for its type
LITERAL = re.compile(r"`([^`]+)`")


def public_names(module: ModuleType) -> list[str]:
    """The names of `__all__`, or the classes and functions that the module defines, in its own order.

    A command's `main` is left out: `--help` explains it.
    """
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name != "main"
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def addresses(module: str) -> list[str]:
    """The addresses that a module's public names are imported from: the package itself if it has them."""
    package, own = import_module(PACKAGE), import_module(module)
    return [f"{PACKAGE if name in package.__all__ else module}.{name}" for name in public_names(own)]


def resolve(address: str) -> Any:
    """The object at an address: "gcvit_edu.attend" -> the function."""
    module, name = address.rsplit(".", 1)
    return getattr(import_module(module), name)


# -------------------------------------------------------------------------------------------------- docstrings


def escape(text: str) -> str:
    """Plain text as reStructuredText: only `code` in single backticks is more than its characters."""
    parts = LITERAL.split(text)  # text, code, text, code, ...
    parts[::2] = [MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)


def to_restructured(docstring: str) -> str:
    """A plain docstring with sections as napoleon expects it; an indented paragraph is Python."""
    paragraphs = [
        f".. code-block:: python\n\n{paragraph}" if paragraph.startswith(" ") else escape(paragraph)
        for paragraph in docstring.split("\n\n")
    ]
    return RETURNS.sub(rf"\g<0>{NO_TYPE}", "\n\n".join(paragraphs))


def process_docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Called by autodoc for each entry, before napoleon."""
    docstring = to_restructured("\n".join(lines))
    lines[:] = (NO_TYPE + docstring if what in ("attribute", "property") else docstring).split("\n")
    builders = app.env.temp_data.get("api_builders", {}).get(name.rpartition(".")[2], [])
    is_checker = name.startswith(f"{PACKAGE}.check.")  # one may be called like something in another chapter
    if what in ("class", "function") and builders and not is_checker:
        links = [f":doc:`{one.place}, {one.name} </{one.docname}>`" for one in builders]
        lines += ["", f"Built in {' and '.join(links)}.", ""]


def skip_member(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Called by autodoc for each member: True skips it.

    A module's function that a class holds has an entry of its own already; what a class of another library
    brings along is that library's to explain.
    """
    function = getattr(obj, "__func__", obj)
    if not inspect.isfunction(function):
        return None
    ours = function.__module__.split(".")[0] == PACKAGE
    return None if ours and "." in function.__qualname__ else True


def builders_of(chapters: list[Chapter]) -> dict[str, list[Chapter]]:
    """{name: the chapters that build it}."""
    found: dict[str, list[Chapter]] = defaultdict(list)
    for chapter in chapters:
        for name in chapter.definitions():
            found[name].append(chapter)
    return dict(found)


# ------------------------------------------------------------------------------------------------ source lines


def source_line(module: str, name: str) -> str | None:
    """The file below the repository's root and the line that define a name; None for anything but code."""
    obj: Any = import_module(module)
    for part in name.split("."):
        obj = inspect.getattr_static(obj, part, None) or getattr(obj, part)
    obj = inspect.unwrap(getattr(obj, "fget", None) or getattr(obj, "__func__", obj))
    if not (inspect.isclass(obj) or inspect.isfunction(obj)):
        return None
    root = Path(import_module(PACKAGE).__file__ or "").parents[1]
    file = Path(inspect.getsourcefile(obj) or "").relative_to(root)
    return f"{file.as_posix()}#L{inspect.getsourcelines(obj)[1]}"


def configure(app: Sphinx, config: Config) -> None:
    """Tell linkcode the repository that _config.yml names, and napoleon to show attributes as arguments."""
    config.napoleon_numpy_docstring = False  # type: ignore[attr-defined]
    config.napoleon_custom_sections = [("Attributes", "Args")]  # type: ignore[attr-defined]
    theme = config.html_theme_options
    blob = f"{theme['repository_url']}/blob/{theme.get('repository_branch', 'main')}"

    def address_of(domain: str, info: dict[str, str]) -> str | None:
        line = source_line(info["module"], info["fullname"])
        return f"{blob}/{line}" if line else None

    config.linkcode_resolve = address_of  # type: ignore[attr-defined]


# --------------------------------------------------------------------------------------------------- directive


class Api(SphinxDirective):
    """Documents every public name of the modules that its lines name."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Hand one autodoc directive per name to Sphinx."""
        self.env.temp_data["api_builders"] = builders_of(list(chapters_of_the_book(self.env)))
        for module in (PACKAGE, *self.content):  # autodoc itself watches the files of the entries
            self.env.note_dependency(import_module(module).__file__ or "")
        lines = ["````{eval-rst}"]
        for address in [address for module in self.content for address in addresses(module)]:
            value = resolve(address)
            if inspect.isclass(value):
                # What torch.nn.Module brings along is PyTorch's to explain.
                lines += [f".. autoclass:: {address}", "   :members:", "   :inherited-members: Module", ""]
            elif inspect.isfunction(value):
                lines += [f".. autofunction:: {address}", ""]
            else:
                module, _, name = address.rpartition(".")
                lines += [f".. py:data:: {name}", f"   :module: {module}", f"   :value: {value!r}", ""]
        holder = nodes.Element()
        self.state.nested_parse(StringList([*lines, "````"], "api"), self.content_offset, holder)
        for dash in [text for text in holder.findall(nodes.Text) if text == " -- "]:
            dash.parent.replace(dash, nodes.Text(" – "))  # between a parameter and what it is
        for entry in holder:
            entry["support_smartquotes"] = False  # "..." and "'" stay what they are
        return list(holder)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.setup_extension("sphinx.ext.linkcode")
    app.add_directive("api", Api)
    app.connect("config-inited", configure)
    app.connect("autodoc-process-docstring", process_docstring, priority=400)  # napoleon's is 500
    app.connect("autodoc-skip-member", skip_member)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
