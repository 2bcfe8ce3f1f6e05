"""With which status a daemon exits, and whether it waits at its end for what is under way; without processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from taskgated.daemon.in_force import InForce
from taskgated.daemon.life import Life
from taskgated.daemon.reload import Reload
from taskgated.host import directories
from taskgated.host.paths import Layout
from taskgated.language.configfiles import load


class Scene:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.stopped = 0
        loop: Any = SimpleNamespace(stop=self.stop)
        journal: Any = SimpleNamespace(event=lambda event, text, *args: self.told.append(text))
        self.life = Life(loop, journal)

    def stop(self) -> None:
        self.stopped += 1


def test_without_workers_it_ends_in_order() -> None:
    """The store is well: intake may finish what it has in hand."""
    scene = Scene()
    scene.life.no_workers("no memory")
    assert (scene.life.status, scene.life.given_up, scene.stopped) == (os.EX_UNAVAILABLE, False, 1)


def test_what_is_given_up_waits_for_nothing_and_the_first_reason_counts() -> None:
    scene = Scene()
    scene.life.give_up("the store's thread has ended")
    scene.life.no_workers("no memory")
    assert (scene.life.status, scene.life.given_up, scene.stopped) == (os.EX_IOERR, True, 1)
    assert scene.told == ["giving up: the store's thread has ended"]


def test_a_reload_by_signal_that_fails_half_way_ends_the_daemon_with_its_status(tmp_path: Path) -> None:
    """As one over the socket does, where the exception is the answer."""
    scene = Scene()
    layout = Layout.under(tmp_path)
    journal: Any = SimpleNamespace(event=lambda *args, **more: None)
    directories.make(layout, [])
    in_force = InForce(layout, None, load(layout), journal)
    in_force.changed.add(lambda config: 1 / 0)
    start: Any = SimpleNamespace(announced=False)
    members: Any = SimpleNamespace(notes=[])
    status: Any = SimpleNamespace()
    reload = Reload(in_force, members, scene.life, start, status, status, journal)
    reload.by_signal(signal.SIGHUP)
    assert scene.life.status == os.EX_IOERR
    assert "could not be put in force" in scene.told[0]
