"""What holds for all tests."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Read when PyTorch is imported, here and in the processes that tests start. Sums over several threads end in other
# last bits than those of one, and tests compare bytes between processes; two workers of pytest share the processors.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, also where pytest itself runs in a shell's background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Forget a test's recipe with the test: another test's processes would find that one under the same name.

    Not a fixture: one that a whole module shares is set up before a test's own, and loads recipes, too.
    """
    path, modules = sys.path.copy(), set(sys.modules)
    outcome = yield
    sys.path[:] = path
    temporary = item.config._tmp_path_factory.getbasetemp()
    for name in sys.modules.keys() - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(temporary):
            del sys.modules[name]
    return outcome
