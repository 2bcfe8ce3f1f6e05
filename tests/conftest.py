"""What every test may use: a gate of its own, and the proof that nothing was left behind. And what holds for every
test: it ends, one way or the other, and cleans up, also when whoever runs it has had enough."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings

from tests.env.gate import GateEnv

LIMIT = 600.0
"""Seconds for each phase of a test (setup, call, teardown), if nothing else is said: far more than any takes."""
LIMITS = {"/test_packages.py": 1800.0, "/system/": 1800.0, "/chaos/": 3600.0}
"""Where packages are built, Debian is installed into a directory, or a machine is emulated instruction by
instruction. What a fixture of a module or of the session does counts for the first test that needs it."""
AGAIN = 60.0
"""Seconds until what hangs while it cleans up is interrupted as well."""

settings.register_profile("same", derandomize=True)
settings.register_profile("others", derandomize=False, print_blob=True)
settings.load_profile("others" if os.environ.get("TASKGATED_RANDOM") else "same")
# A check that says no must say so again when it is run again, so what is drawn at random is the same each time. To
# look for what nobody has found yet is another thing, and done on purpose.


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"limit(seconds): for each phase of a test, instead of {LIMIT:.0f} s")


def in_parallel() -> bool:
    """Whether this process is one of several that share the tests (pytest-xdist)."""
    return "PYTEST_XDIST_WORKER" in os.environ


def group(nodeid: str) -> str:
    """Tests of a group run in one process, in their order.

    A machine of the lab is one group. A file is one, too, because its tests may share what they build. But each trial
    and each test of a whole daemon or of a tool has all that it needs for itself.
    """
    file = nodeid.partition("::")[0]
    if "/system/" in file:
        return f"{file.rpartition('/')[0]} {re.findall(r'bookworm|trixie|$', nodeid)[0]}"
    return nodeid if any(part in file for part in ("/chaos/", "/daemon/", "/tools/")) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick tests first, and the lab last. But of processes that share the tests none shall begin with what takes
    long when all others are done, so there the order is the other way round."""
    slow = ("/chaos/", "/system/")
    if in_parallel():
        slow = ("/daemon/", "/test_packages.py", "/chaos/", "/system/")
    items.sort(key=lambda item: [part in str(item.path) for part in reversed(slow)], reverse=in_parallel())


# -- every test ends -----------------------------------------------------------------------------


class Terminated(KeyboardInterrupt):
    """Asked to end. Not SystemExit: that, in a test, is to pytest a test that failed, and it would go on."""


@contextmanager
def limited(item: pytest.Item) -> Iterator[None]:
    """A phase of a test that hangs fails, and says where. SIGTERM ends the session; its fixtures clean up."""
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else next((LIMITS[part] for part in LIMITS if part in str(item.path)), LIMIT)
    ours = os.getpid()

    def hangs(number: int, frame: FrameType | None) -> None:
        faulthandler.dump_traceback(file=sys.__stderr__)  # all threads; pytest shows it as what the test has said
        pytest.fail(f"not over after {seconds:.0f} s")

    def terminated(number: int, frame: FrameType | None) -> None:
        if os.getpid() != ours:  # a child that was forked: what is here to be cleaned up is its parent's
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: None)  # once is enough: nothing shall interrupt the cleaning up
        raise Terminated("SIGTERM")

    signal.signal(signal.SIGTERM, terminated)  # each time: the daemon's loop, in a test, may have taken it
    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with limited(item):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with limited(item):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with limited(item):
        yield


# -- gates ---------------------------------------------------------------------------------------


@pytest.fixture
def make_gate(tmp_path: Path) -> Iterator[Callable[..., GateEnv]]:
    """Makes gates; at the end all are stopped, whatever one does, and a process that is left fails the test."""
    made: list[GateEnv] = []
    with ExitStack() as stack:

        def make(
            config: str = "workers: 2\n",
            *,
            start: bool = True,
            python: str = sys.executable,
            module: str = "taskgated",
        ) -> GateEnv:
            env = GateEnv(tmp_path / f"gate{len(made)}", config, python, module)
            made.append(env)
            stack.callback(env.clean_up)
            if start:
                env.start()
            return env

        yield make


@pytest.fixture
def gate(make_gate: Callable[..., GateEnv]) -> GateEnv:
    """A running gate with two workers."""
    return make_gate()
