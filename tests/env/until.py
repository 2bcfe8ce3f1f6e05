"""Waiting on a condition: the one way in which tests, trials and benchmarks wait for something to happen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(what: Callable[[], T], description: str = "", timeout: float = 60.0) -> T:
    """Wait until ``what`` returns something true, and return that; say what it last returned if it never does.

    It is asked every five milliseconds at first, later ever less often, so that what takes long costs little.
    """
    begin = time.monotonic()
    while not (last := what()):
        if (passed := time.monotonic() - begin) > timeout:
            that = f" that {description}" if description else ""
            raise AssertionError(f"in {timeout} s it did not happen{that}; last seen: {last!r}")
        time.sleep(min(0.1, max(0.005, passed / 50)))
    return last
