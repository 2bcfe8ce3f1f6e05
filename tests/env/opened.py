"""A directory of a test that other users may enter as well."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def passable() -> Iterator[Path]:
    """Whoever it is may pass through, and what is put there may be opened to them.

    Pytest's own directories lie in one that is for its user alone; whatever is opened there, the next pytest of that
    user closes it when it starts.
    """
    with tempfile.TemporaryDirectory(prefix="taskgated-test-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory
