"""Lost events, dead threads, and a spool that goes: some of the trials, the others with ``tests/chaos``."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from tests.chaos import events
from tests.chaos.disks import can_mount

ATTACKS = events.attacks()


def no_namespaces() -> str:
    """Why there can be no user namespace with limits of its own; empty if there can."""
    if not all(map(shutil.which, ("unshare", "nsenter"))):
        return "unshare(1) and nsenter(1) are not installed"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "true"], capture_output=True, text=True, check=False
    )
    return f"no user namespaces here: {done.stderr.strip()}" if done.returncode else ""


on_disks = pytest.mark.skipif(bool(can_mount()), reason=can_mount() or "it can")
LOST = [
    "events overflow: daemon stopped",
    "observer thread dies",
    "intake thread dies",
    "spool deleted",
    "spool replaced",
    pytest.param("spool unmounted", marks=on_disks),
]


@pytest.mark.parametrize("name", LOST)
def test_lost(name: str) -> None:
    row = ATTACKS[name](random.Random(1), False)
    assert row.clean, row


NO_NAMESPACES = no_namespaces()


@pytest.mark.skipif(bool(NO_NAMESPACES), reason=NO_NAMESPACES or "there are")
def test_nothing_more_can_be_watched() -> None:
    row = ATTACKS["no inotify instances"](random.Random(1), False)
    assert row.clean, row
