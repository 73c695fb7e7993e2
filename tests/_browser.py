"""Headless Chromium without a network, for the tests that look at pages.

A test module takes these fixtures with `pytest_plugins = ("_browser",)`. Without Chromium its tests are skipped, or
fail if GCVIT_EDU_REQUIRE_BROWSER=1. Nothing is asserted here: PYTEST_DONT_REWRITE.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

DESKTOP, PHONE = 1280, 390
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READY = "() => Promise.resolve(window.MathJax?.startup?.promise).then(() => true)"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing about it."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Path], str]]:
    """A function that serves a folder on this machine and returns its address."""
    servers: list[tuple[ThreadingHTTPServer, Thread]] = []

    def start(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def cannot_run(reason: str) -> NoReturn:
    if os.environ.get("GCVIT_EDU_REQUIRE_BROWSER") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for path in map(shutil.which, names) if path), None)
    if chromium is None:
        cannot_run("Chromium is not installed (Debian's package is called chromium)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@dataclass
class Visit:
    """A page that was opened, and what it did meanwhile."""

    page: Any
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """A function that opens an address or a file: visit(url, width=1280, scheme="light", touch=False)."""
    contexts = []

    def open_page(url: str, width: int = DESKTOP, scheme: str = "light", touch: bool = False) -> Visit:
        viewport = {"width": width, "height": 900}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=touch)
        contexts.append(context)
        result = Visit(context.new_page())

        def guard(route: Any) -> None:
            address = urlsplit(route.request.url)
            if address.hostname == "127.0.0.1" or address.scheme == "file":
                route.continue_()
            else:
                result.outside.append(route.request.url)
                route.abort()

        def listen(message: Any) -> None:
            if message.type in ("error", "warning"):
                result.complaints.append(message.text)

        context.route("**/*", guard)
        result.page.on("console", listen)
        result.page.on("pageerror", lambda error: result.complaints.append(str(error)))
        result.page.goto(url, wait_until="load")
        result.page.wait_for_function(READY)
        return result

    yield open_page
    for context in contexts:
        context.close()
