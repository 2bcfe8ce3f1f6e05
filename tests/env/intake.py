"""What the tests of intake share: a sink on the real store, and an intake at work."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from taskgated.core.job import Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.state import State
from taskgated.daemon.sink import ours
from taskgated.host.names import Names
from taskgated.host.paths import Layout
from taskgated.intake import done
from taskgated.intake.events import Accepted, IntakeEvent
from taskgated.intake.intake import Intake
from taskgated.language.config import Config, QueueConfig
from taskgated.store.contract import Addition, Record
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite.store import SqliteStore
from taskgated.text import to_text
from tests.env.until import until

T = TypeVar("T")

done.FORGET_AFTER = 0.02  # tests wait for the last trace of a file to go, again and again

QUEUES = {
    "default": QueueConfig("default"),
    "lines": QueueConfig("lines", handler=("/bin/consume", "{line}")),
    "data": QueueConfig("data", handler=("/bin/thumb", "{file}")),
}


def config(**changes: object) -> Config:
    values = {"settle_time": 0.3, "rescan_interval": 60.0, "queues": QUEUES} | changes
    return Config(2, 2, **values)  # type: ignore[arg-type]


class StoreSink:
    """The real store without the daemon's threads: what intake asks of it is done at once, in intake's thread."""

    def __init__(self, path: Path, capacity: int = 1_000_000) -> None:
        self.capacity = capacity
        self.calls = 0
        self.waits = False
        self.tell: Callable[[Accepted], object] = lambda event: None
        self.store = SqliteStore(path)
        self._lock = threading.Lock()
        self._look = sqlite3.connect(path, check_same_thread=False)
        self._specs: list[Spec] = []

    def close(self) -> None:
        self._look.close()
        self.store.close()

    @contextmanager
    def _group(self) -> Iterator[SqliteStore]:
        with self._lock:
            self.store.begin("", 1, early=True)  # processes are killed here, not machines
            yield self.store
            self.store.commit()

    # -- the sink --------------------------------------------------------------------------------

    def room(self) -> int:
        with self._lock:
            return self.capacity - self.store.queued()

    def queued_by(self, owner: str) -> int:
        with self._lock:
            return self.store.queued_by(owner)

    def add(self, batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        self.calls += 1
        with self._group() as store:
            store.add(batch)
        for event in accepted:
            self.tell(event)

    def known(self, claim: str) -> int | None:
        with self._lock:
            return self.store.known(claimed(claim))

    def plan(self, claim: str) -> str:
        with self._lock:
            return self.store.plan(claimed(claim))

    def known_to_earlier(self, claim: str) -> bool:
        with self._lock:
            return self.store.known_to_earlier(claimed(claim))

    def keeper(self, claim: str) -> State | None:
        with self._lock:
            return self.store.keeper(claimed(claim))

    def worked_on(self, claim: str) -> Record | None:
        with self._lock:
            return self.store.worked_on(claimed(claim))

    def forget_claims(self, claims: Sequence[str]) -> None:
        with self._group() as store:
            store.forget_claims([claimed(claim) for claim in claims])

    def data_queues(self) -> Sequence[str]:
        with self._lock:
            return self.store.data_queues()

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        with self._group() as store:
            store.keep_data_queues(queues)

    # -- for tests -------------------------------------------------------------------------------

    def _ask(self, sql: str) -> list[bytes]:
        with self._lock:
            return [row[0] for row in self._look.execute(sql)]

    def _all(self) -> list[Spec]:
        """Of all jobs, the oldest first. What was seen once does not change."""
        with self._lock:
            first, last = len(self._specs) + 1, self.store.last_id()
            self._specs += [self.store.show(job).job.spec for job in range(first, last + 1)]
            return self._specs

    @property
    def commands(self) -> list[str]:
        """What each job runs; words are separated by NUL."""
        return [
            spec.script or (spec.command if isinstance(spec.command, str) else "\0".join(spec.command or ()))
            for spec in self._all()
        ]

    @property
    def sources(self) -> list[str]:
        return [to_text(source) for source in self._ask("SELECT source FROM jobs ORDER BY id")]

    @property
    def owners(self) -> list[str]:
        return list(map(str, self._ask("SELECT owner FROM jobs ORDER BY id")))

    @property
    def claims(self) -> list[str]:
        return [str(claim) for claim in self._ask("SELECT claim FROM claims")]

    @property
    def kept(self) -> list[str]:
        return [
            str(c) for c in self._ask("SELECT claim FROM jobs WHERE claim NOT NULL AND state = 'queued' ORDER BY id")
        ]

    def end_jobs(self, number: int = 1_000_000) -> list[str]:
        """The oldest jobs are over; returns the claims of kept files."""
        jobs = self._ask(f"SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT {number}")
        let_go = []
        with self._group() as store:
            for job in map(int, jobs):
                store.start(job, 1, here("{}"))
                let_go.append(store.finish(Outcome(job, 1, Result.SUCCEEDED), Verdict(Verb.SUCCEED)).let_go)
        return ours(claim for claim in let_go if claim)

    def resolve(self) -> None:
        """What follows from the end of jobs that others wait for."""
        with self._group() as store:
            while store.resolve().more:
                pass

    def fail_jobs(self) -> list[str]:
        """The same of all jobs, which did not succeed: those with an even id were cancelled before they started."""
        jobs = self._ask("SELECT id FROM jobs WHERE state = 'queued' ORDER BY id")
        let_go = []
        with self._group() as store:
            for job in map(int, jobs):
                if job % 2:
                    store.start(job, 1, here("{}"))
                    outcome = Outcome(job, 1, Result.FAILED, exit_code=3, message="no pixels")
                    let_go.append(store.finish(outcome, Verdict(Verb.FAIL)).let_go)
                else:
                    let_go.append(store.cancel(job).let_go)
        return ours(claim for claim in let_go if claim)


class Gate:
    """An intake at work on a spool."""

    def __init__(self, root: Path, config: Config, capacity: int = 1_000_000) -> None:
        self.layout = Layout.under(root)
        self.spool = self.layout.spool
        self.spool.mkdir(exist_ok=True)
        for queue in config.queues:
            if queue != "default":
                (self.spool / queue).mkdir(exist_ok=True)
        self.sink = StoreSink(root / "sink.sqlite", capacity)
        self.events: list[IntakeEvent] = []
        self.sink.tell = self.events.append
        self.intake = Intake(self.layout, config, self.sink, self.events.append, Names())

    def start(self) -> None:
        self.intake.start()
        until(lambda: self.intake.watching)

    def stop(self) -> None:
        self.intake.stop()
        if self.intake.ident is not None:
            self.intake.join(10)
            assert not self.intake.is_alive()
        self.sink.close()
        until(lambda: not watchers(), timeout=5)

    def check(self) -> None:
        """Have the watch checked once."""
        asked = self.intake._pulse.question
        until(lambda: self.intake.responsive() and self.intake._pulse.answered > asked)

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
