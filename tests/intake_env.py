"""What the tests of intake share: a sink that keeps everything in a file, and an intake at work."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from taskgated.config import Config, QueueConfig
from taskgated.core.job import State, to_text
from taskgated.intake import take
from taskgated.intake.events import Accepted, IntakeEvent
from taskgated.intake.intake import Intake
from taskgated.paths import Layout
from taskgated.store.contract import Addition

T = TypeVar("T")

take.SETTLE_AFTER = 0.02  # tests wait for the last trace of a file to go, again and again

QUEUES = {
    "default": QueueConfig("default"),
    "lines": QueueConfig("lines", handler=("/bin/consume", "{line}")),
    "data": QueueConfig("data", handler=("/bin/thumb", "{file}")),
}


def config(**changes: object) -> Config:
    values = {"settle_time": 0.3, "rescan_interval": 60.0, "queues": QUEUES} | changes
    return Config(2, 2, **values)  # type: ignore[arg-type]


def until(what: Callable[[], T], seconds: float = 10.0) -> T:
    """Wait for ``what`` to be true; says what it last was when that never comes."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, f"waited {seconds} s, last saw {value!r}"
        time.sleep(0.005)
    return value


class FileSink:
    """The store's promises about additions and claims, and nothing else, in a file that outlives us."""

    def __init__(self, path: Path, capacity: int = 1_000_000) -> None:
        self.capacity = capacity
        self.calls = 0
        self.tell: Callable[[Accepted], object] = lambda event: None
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"  # processes are killed here, not machines
            "CREATE TABLE IF NOT EXISTS data_queues (queue TEXT);"
            "CREATE TABLE IF NOT EXISTS claims (claim TEXT PRIMARY KEY, parts INT);"
            "CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, claim TEXT, part INT, source BLOB,"
            " queue TEXT, command BLOB, owner INT, keep INT, over INT DEFAULT 0);"
        )

    def close(self) -> None:
        self._db.close()

    def _ask(self, sql: str, *args: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._db.execute(sql, args).fetchall()

    # -- the sink --------------------------------------------------------------------------------

    def room(self) -> int:
        return self.capacity - len(self._ask("SELECT 1 FROM jobs WHERE NOT over"))

    def queued_by(self, owner: int) -> int:
        return len(self._ask("SELECT 1 FROM jobs WHERE NOT over AND owner = ?", owner))

    def add(self, batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        self.calls += 1
        with self._lock:
            self._db.execute("BEGIN")
            for addition in batch:
                self._add(addition)
            self._db.execute("COMMIT")
        for event in accepted:
            self.tell(event)

    def _add(self, addition: Addition) -> None:
        row = self._db.execute("SELECT parts FROM claims WHERE claim = ?", [addition.claim]).fetchone()
        parts = row[0] if row else 0
        assert addition.first <= parts, "a part was left out"
        for part, spec in enumerate(addition.specs, addition.first):
            if part < parts:
                continue
            command = spec.command if isinstance(spec.command, str) else "\0".join(spec.command or ())
            parts = part + 1
            self._db.execute(
                "INSERT INTO jobs (claim, part, source, queue, command, owner, keep) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    addition.claim,
                    part,
                    addition.source.encode("utf-8", "surrogateescape"),
                    spec.queue,
                    (command or spec.script or "").encode("utf-8", "surrogateescape"),
                    addition.owner,
                    addition.keep,
                ],
            )
        self._db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", [addition.claim, parts])

    def known(self, claim: str) -> int | None:
        rows = self._ask("SELECT parts FROM claims WHERE claim = ?", claim)
        return rows[0][0] if rows else None  # type: ignore[return-value]

    def keeper(self, claim: str) -> State | None:
        rows = self._ask("SELECT over FROM jobs WHERE claim = ? AND keep", claim)
        return (State.SUCCEEDED if rows[0][0] else State.QUEUED) if rows else None

    def settle(self, claims: Sequence[str]) -> None:
        for claim in claims:
            self._ask("DELETE FROM claims WHERE claim = ?", claim)

    def data_queues(self) -> Sequence[str]:
        return [str(row[0]) for row in self._ask("SELECT queue FROM data_queues")]

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        with self._lock:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM data_queues")
            self._db.executemany("INSERT INTO data_queues VALUES (?)", [(queue,) for queue in queues])
            self._db.execute("COMMIT")

    # -- for tests -------------------------------------------------------------------------------

    @property
    def commands(self) -> list[str]:
        return [to_text(row[0]) for row in self._ask("SELECT command FROM jobs ORDER BY id")]  # type: ignore[arg-type]

    @property
    def sources(self) -> list[str]:
        return [to_text(row[0]) for row in self._ask("SELECT source FROM jobs ORDER BY id")]  # type: ignore[arg-type]

    @property
    def claims(self) -> list[str]:
        return [str(row[0]) for row in self._ask("SELECT claim FROM claims")]

    @property
    def kept(self) -> list[str]:
        return [str(row[0]) for row in self._ask("SELECT claim FROM jobs WHERE keep AND NOT over")]

    def end_jobs(self, number: int = 1_000_000) -> list[str]:
        """The oldest jobs are over; returns the claims of kept files."""
        rows = self._ask("SELECT id, claim, keep FROM jobs WHERE NOT over ORDER BY id LIMIT ?", number)
        for row in rows:
            self._ask("UPDATE jobs SET over = 1 WHERE id = ?", row[0])
        return [str(row[1]) for row in rows if row[2]]


class Gate:
    """An intake at work on a spool."""

    def __init__(self, root: Path, config: Config, capacity: int = 1_000_000) -> None:
        self.layout = Layout.under(root)
        self.spool = self.layout.spool
        self.spool.mkdir(exist_ok=True)
        for queue in config.queues:
            if queue != "default":
                (self.spool / queue).mkdir(exist_ok=True)
        self.sink = FileSink(root / "sink.sqlite", capacity)
        self.events: list[IntakeEvent] = []
        self.sink.tell = self.events.append
        self.intake = Intake(self.layout, config, self.sink, self.events.append)

    def start(self) -> None:
        self.intake.start()
        until(lambda: self.intake.watching)

    def stop(self) -> None:
        self.intake.stop()
        if self.intake.ident is not None:
            self.intake.join(10)
            assert not self.intake.is_alive()
        self.sink.close()
        until(lambda: not watchers(), 5)

    def check(self) -> None:
        """Have the watch checked once."""
        asked = self.intake._asked
        until(lambda: self.intake.responsive() and self.intake._answered > asked)

    def drop(self, name: str | bytes, text: str | bytes) -> None:
        """The polite way: written elsewhere, renamed in."""
        name = name if isinstance(name, bytes) else os.fsencode(name)
        data = text if isinstance(text, bytes) else text.encode()
        hidden = os.fsencode(self.spool) + b"/.drop"
        with open(hidden, "wb") as file:
            file.write(data)
        os.rename(hidden, os.fsencode(self.spool) + b"/" + name)

    def told(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def rejected(self) -> list[str]:
        return sorted(os.listdir(self.layout.rejected)) if self.layout.rejected.exists() else []

    def idle(self) -> bool:
        """Nothing is left of what was taken in: no claim, here or in the store."""
        try:
            claims = list(self.layout.claims.iterdir())
            spare = [path for path in claims if path.name.startswith("done.") and not any(path.iterdir())]
        except FileNotFoundError:  # one of them has just gone
            return False
        return claims == spare and not self.sink.claims


def watchers() -> list[threading.Thread]:
    """Threads of observers that still run."""
    return [t for t in threading.enumerate() if type(t).__name__ in ("Emitter", "BaseObserver")]


@contextmanager
def running(root: Path, capacity: int = 1_000_000, **changes: object) -> Iterator[Gate]:
    gate = Gate(root, config(**changes), capacity)
    try:
        gate.start()
        yield gate
    finally:
        gate.stop()
