"""What a SQLite store keeps of its clocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskgated.host.clock import MICROSECONDS, wall
from taskgated.store.sqlite.store import SqliteStore
from tests.store.jobs import add, first, spec


class TestClock:
    """Of a host that comes up with a clock that is a day slow; one that is fast nobody can tell from a long night."""

    DAY = 86400 * MICROSECONDS

    def reboot(self, path: Path, monkeypatch: pytest.MonkeyPatch, shift: int) -> SqliteStore:
        now = wall()
        monkeypatch.setattr("taskgated.store.sqlite.questions.boot_id", lambda: f"boot {now}")
        monkeypatch.setattr("taskgated.host.clock.wall", lambda: now + shift)
        return SqliteStore(path)

    def test_a_slow_one_makes_nobody_wait(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SqliteStore(tmp_path / "db")
        monkeypatch.setattr("taskgated.store.sqlite.store.KEEP_CLOCK", 0)
        store.begin("", 1)
        add(store, spec(delay=60))
        store.commit()
        store.close()
        later = self.reboot(tmp_path / "db", monkeypatch, -self.DAY)
        due = later.wake().coming.steady
        assert due is not None
        assert 50 * MICROSECONDS < due - later.clock.now() <= 60 * MICROSECONDS
        later.close()

    def test_one_that_is_right_counts_the_time_that_it_was_off(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = SqliteStore(tmp_path / "db")
        add(store, spec(delay=3600))
        store.close()
        later = self.reboot(tmp_path / "db", monkeypatch, self.DAY)
        assert later.wake().best == first(later, 1)
        later.close()

    def test_it_is_written_down_now_and_then(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SqliteStore(tmp_path / "db")
        writes: list[int] = []
        monkeypatch.setattr(store, "tick", lambda: writes.append(store.clock.now()))
        store.begin("", 1)
        store.commit()
        assert writes == []
        monkeypatch.setattr("taskgated.store.sqlite.store.KEEP_CLOCK", 0)
        store.begin("", 1)
        store.commit()
        assert len(writes) == 1
        store.close()
