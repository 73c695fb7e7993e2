"""What holds for all tests."""

import signal
import sys
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, also where pytest itself runs in a shell's background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def path_of_before() -> Iterator[None]:
    """Take the folder of a test's recipe off sys.path: another test's processes would find that recipe there."""
    before = sys.path.copy()
    yield
    sys.path[:] = before
