"""One conformance suite for every store, and what is special about SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from taskgated import clock
from taskgated.clock import MICROSECONDS, wall
from taskgated.core.job import Clock, Interrupted, Outcome, Output, Result, Retry, Spec, State
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.errors import IllegalTransition, NoSuchJob, StoreError
from taskgated.store.contract import Addition, Filter, Store
from taskgated.store.sqlite import SqliteStore
from taskgated.store.thread import StoreThread

STORES: dict[str, Callable[[Path], Store]] = {"sqlite": lambda path: SqliteStore(path / "jobs.sqlite")}
SUCCEED = Verdict(Verb.SUCCEED)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = STORES[request.param](tmp_path)
    yield opened
    opened.close()


def spec(**values: Any) -> Spec:
    return Spec(**{"command": "true", **values})


def addition(claim: str, *specs: Spec, first: int = 0, keep: bool = False) -> Addition:
    return Addition(claim, first, specs, "x.yaml", 1000, keep)


def add(store: Store, *specs: Spec, claim: str = "c") -> list[int]:
    return list(store.add([addition(claim, *specs)]).jobs)


def run(store: Store, job: int, attempt: int = 1, verdict: Verdict = SUCCEED, **values: Any) -> None:
    store.start(job, attempt, '{"pid":1}')
    store.finish(Outcome(job, attempt, **{"result": Result.SUCCEEDED, "exit_code": 0, **values}), verdict)


def passes(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time, while the host is up."""
    before = clock.boottime
    monkeypatch.setattr(clock, "boottime", lambda: before() + int(seconds * MICROSECONDS))


class TestAdd:
    def test_adding_the_same_again_adds_nothing(self, store: Store) -> None:
        assert len(store.add([addition("c", spec(), spec())]).jobs) == 2
        assert store.add([addition("c", spec(), spec())]).jobs == []
        assert store.known("c") == 2

    def test_a_file_that_grew_brings_only_what_is_new(self, store: Store) -> None:
        store.add([addition("c", spec(name="1"), spec(name="2"))])
        grown = store.add([addition("c", spec(name="2"), spec(name="3"), first=1)])
        assert [job.spec.name for job in grown.fresh] == ["3"]

    def test_a_settled_file_is_forgotten(self, store: Store) -> None:
        store.add([addition("c", spec())])
        store.settle(["c"])
        assert store.known("c") is None

    def test_a_kept_file_has_a_keeper(self, store: Store) -> None:
        (job,) = store.add([addition("c", spec(), keep=True)]).jobs
        assert store.keeper("c") is State.QUEUED
        store.start(job, 1, "{}")
        assert store.keeper("c") is State.RUNNING
        ended = store.finish(Outcome(job, 1, Result.SUCCEEDED), SUCCEED)
        assert ended.released == "c"
        assert store.keeper("c") is State.SUCCEEDED
        assert store.keeper("d") is None

    def test_queues_that_take_data_are_remembered(self, store: Store) -> None:
        assert list(store.data_queues()) == []
        store.keep_data_queues(["lines", "data"])
        store.keep_data_queues(["lines", "files"])
        assert list(store.data_queues()) == ["lines", "files"]

    def test_few_new_jobs_come_back_as_they_would_be_fetched(self, store: Store) -> None:
        added = store.add([addition("c", spec(priority=7), spec(delay=5)), addition("d", spec(), keep=True)])
        assert sorted(added.fresh, key=lambda job: job.rank) == store.fetch({"default": 9})
        assert (added.best, added.timed, store.queued()) == ({"default": 50}, True, 3)
        assert list(store.add([addition("e", *[spec()] * 500)]).fresh) == []

    def test_ids_only_grow(self, store: Store) -> None:
        first = add(store, spec(), claim="a")
        run(store, first[0])
        store.prune(store.prunable(-10, 0, 10))
        assert add(store, spec(), claim="b")[0] > first[0]

    def test_only_what_differs_is_written(self) -> None:
        """A worker of an earlier version does not know what came later, and need not where nobody uses it."""
        some = spec(output=Output(max_size=5), retry=Retry(attempts=3))
        assert some.to_json() == {"command": "true", "output": {"max_size": 5}, "retry": {"attempts": 3}}
        assert Spec.from_json(some.to_json()) == some

    def test_everything_of_a_spec_survives(self, store: Store) -> None:
        full = Spec(
            command=("a", "b \udcff\n"), name="n\udcfe", queue="q", env={"A": "ä\udcff"}, cwd="/tmp", priority=7,
            timeout=1.5, kill_after=2.0, retry=Retry(3, 1.0, 3.0, 9.0, 0.5), success_exit_codes=(0, 7),
            expires=99.0, interrupted=Interrupted.FAIL, output=Output(5), file="/x/\udcff",
        )  # fmt: skip
        (job,) = add(store, full)
        (fetched,) = store.fetch({"q": 5})
        assert (fetched.id, fetched.spec) == (job, full)
        assert store.show(job).record.name == "n\udcfe"


class TestBounds:
    """What costs more than a piece is done, or shown, a piece at a time."""

    def test_of_many_whose_time_has_come_some_at_a_time(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskgated.store.sqlite.WOKEN", 3)
        add(store, *[spec(delay=0.000001)] * 4, *[spec(expires=0.000001)] * 4)
        first = store.wake(wall())
        assert len(first.expired) == 3
        assert len(store.fetch({"default": 9})) == 3
        assert first.next_steady is not None
        assert first.next_steady <= store.clock.now(), "so it is asked again at once"
        assert len(store.wake(wall()).expired) == 1
        assert len(store.fetch({"default": 9})) == 4
        assert store.wake(wall()).next_steady is None

    def test_a_listing_looks_at_so_many(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskgated.store.sqlite.SCANNED", 10)
        ids = add(store, *[spec()] * 35)
        store.cancel(ids[-1])
        only = Filter(states=[State.CANCELLED])
        pages = [store.list(0, 5, only)]
        while (after := pages[-1].next) is not None:
            pages.append(store.list(after, 5, only))
        assert [len(page.records) for page in pages] == [0, 0, 0, 1]
        page = store.list(0, 5, Filter())
        assert ([record.id for record in page.records], page.next) == (ids[:5], ids[4])
        assert store.list(ids[-1], 5, Filter()).next is None

    def test_a_gap_in_the_ids_costs_nothing(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskgated.store.sqlite.SCANNED", 10)
        ids = add(store, *[spec()] * 100)
        for job in ids[:90]:
            store.cancel(job)
        store.prune(ids[:90])
        assert [record.id for record in store.list(0, 50, Filter()).records] == ids[90:]

    def test_attempts_from_the_last(self, store: Store) -> None:
        (job,) = add(store, spec())
        for attempt in range(1, 6):
            run(store, job, attempt, Verdict(Verb.REQUEUE))
        assert [a.number for a in store.show(job, limit=2).attempts] == [4, 5]
        assert [a.number for a in store.show(job, 4, 2).attempts] == [2, 3]
        assert [a.number for a in store.show(job).attempts] == [1, 2, 3, 4, 5]

    def test_the_best_of_many_queues(self, store: Store) -> None:
        ids = add(store, *(spec(queue=f"q{n % 20}", priority=n) for n in range(100)))
        found = store.fetch({f"q{n}": 5 for n in range(20)}, ids[-2:], 10)
        assert [job.id for job in found] == ids[-3:-13:-1]
        assert len(store.fetch({f"q{n}": 5 for n in range(20)})) == 100
        few = store.fetch({f"q{n}": 5 for n in range(25)}, (), 3)
        assert [job.id for job in few] == ids[-1:-4:-1], "also where there are more queues than jobs wanted"
        rest = store.fetch({f"q{n}": 5 for n in range(25)}, ids[-20:], 3)
        assert [job.id for job in rest] == ids[-21:-24:-1], "what the caller knows takes no place of others"

    def test_queues_with_most_to_do(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskgated.store.sqlite.QUEUES", 2)
        names = [f"q{n}" for n in range(9) for _ in range(n + 1)]
        ids = add(store, *(spec(queue=name) for name in names))
        store.start(ids[0], 1, "{}")
        backlog = store.backlog(["q4"])
        assert backlog.counts == {
            "q0": {State.RUNNING: 1}, "q4": {State.QUEUED: 5}, "q8": {State.QUEUED: 9},
        }  # fmt: skip
        assert (backlog.others, backlog.totals) == (6, {State.QUEUED: 44, State.RUNNING: 1})


class TestFetch:
    def test_priority_then_arrival_of_the_queues_asked_for(self, store: Store) -> None:
        a, b, c, _ = add(store, spec(), spec(priority=90), spec(), spec(queue="other"))
        assert [j.id for j in store.fetch({"default": 9})] == [b, a, c]
        assert [j.id for j in store.fetch({"default": 1})] == [b]

    def test_what_is_not_due_is_not_there(self, store: Store) -> None:
        add(store, spec(delay=1000), spec(not_before=wall() + 10**9))
        assert store.fetch({"default": 9}) == []
        assert store.wake(wall()).best == {}

    def test_due_jobs_appear_each_by_its_clock(self, store: Store) -> None:
        later, at = add(store, spec(delay=0.000001, priority=53), spec(not_before=wall() + 10**9))
        woken = store.wake(wall())
        assert woken.best == {"default": 53}
        assert [j.id for j in store.fetch({"default": 9})] == [later]
        assert woken.next_wall is not None
        store.wake(wall() + 2 * 10**9)  # the wall clock was stepped
        assert [j.id for j in store.fetch({"default": 9})] == [later, at]

    def test_expired_jobs_never_start(self, store: Store) -> None:
        (job,) = add(store, spec(expires=0.000001))
        assert store.fetch({"default": 9}) == []
        woken = store.wake(wall())
        assert [id_ for id_, _, _ in woken.expired] == [job]
        assert store.show(job).record.state is State.CANCELLED
        assert "expired" in store.show(job).record.reason

    @pytest.mark.parametrize("backlog", [1_000, 100_000])
    def test_the_next_job_is_found_by_an_index(self, tmp_path: Path, backlog: int) -> None:
        """Not by time, which machines share, but by the plan: no scan, no sorting, at any size."""
        store = SqliteStore(tmp_path / "big.sqlite")
        store.begin()
        store.add([addition("c", *[spec(priority=i % 101) for i in range(backlog)])])
        store.commit()
        db = sqlite3.connect(tmp_path / "big.sqlite")
        values = {"queue": "default", "steady": 0, "limit": 1}
        plan = " ".join(row[3] for row in db.execute("EXPLAIN QUERY PLAN " + store._sql["fetch"], values))
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        db.set_progress_handler(step, 1)
        db.execute(store._sql["fetch"], values).fetchall()
        store.close()
        db.close()
        assert "SEARCH" in plan
        assert "USING INDEX jobs_ready" in plan
        assert "TEMP B-TREE" not in plan
        assert steps < 100, "the virtual machine's instructions must not grow with the backlog"


class TestAttempts:
    def test_numbers_grow_by_one(self, store: Store) -> None:
        (job,) = add(store, spec())
        with pytest.raises(IllegalTransition):
            store.start(job, 2, "{}")
        store.start(job, 1, "{}")
        with pytest.raises(IllegalTransition):
            store.start(job, 2, "{}")
        store.finish(Outcome(job, 1, Result.FAILED), Verdict(Verb.REQUEUE))
        with pytest.raises(IllegalTransition):
            store.start(job, 1, "{}")
        store.start(job, 2, "{}")

    def test_a_late_report_changes_nothing(self, store: Store) -> None:
        (job,) = add(store, spec())
        run(store, job, 1, Verdict(Verb.REQUEUE), result=Result.LOST)
        store.start(job, 2, "{}")
        before = store.show(job)
        with pytest.raises(IllegalTransition, match="attempt 1"):
            store.finish(Outcome(job, 1, Result.SUCCEEDED), SUCCEED)
        assert store.show(job) == before

    def test_an_attempt_ends_once(self, store: Store) -> None:
        (job,) = add(store, spec())
        run(store, job)
        with pytest.raises(IllegalTransition, match="succeeded"):
            store.finish(Outcome(job, 1, Result.FAILED), Verdict(Verb.FAIL))

    def test_everything_of_an_outcome_is_kept(self, store: Store) -> None:
        (job,) = add(store, spec())
        store.start(job, 1, "W")
        store.finish(
            Outcome(job, 1, Result.FAILED, None, 9, 100, 200, 1.5, 0.5, 4096, 77, 7, "why"),
            Verdict(Verb.RETRY, 60.0, 1, 0, "again"),
        )
        details = store.show(job)
        (attempt,) = details.attempts
        assert (attempt.signal, attempt.started, attempt.finished) == (9, 100, 200)
        assert (attempt.user, attempt.system, attempt.max_rss) == (1.5, 0.5, 4096)
        assert (attempt.output, attempt.omitted, attempt.message, attempt.worker) == (77, 7, "why", "W")
        assert details.record.state is State.QUEUED
        assert details.record.finished is None
        assert details.job.failures == 1
        assert details.job.due is not None
        assert details.job.due_clock is Clock.STEADY

    def test_before(self, store: Store) -> None:
        a, b = add(store, spec(), spec())
        store.start(a, 1, "W")
        store.cancel(a)
        (entry,) = store.before()
        assert (entry.job.id, entry.job.attempt, entry.worker, entry.cancelled) == (a, 1, "W", True)
        assert b not in [e.job.id for e in store.before()]


class TestStates:
    def test_hold_and_release(self, store: Store) -> None:
        (job,) = add(store, spec(priority=3))
        store.hold(job)
        assert store.fetch({"default": 1}) == []
        assert store.release(job) == ("default", 3)
        assert store.fetch({"default": 1})

    def test_cancel(self, store: Store) -> None:
        queued, running, over = add(store, spec(), spec(), spec())
        run(store, over)
        store.start(running, 1, "{}")
        assert store.cancel(queued).state is State.CANCELLED
        assert store.cancel(running).state is State.RUNNING
        assert store.show(running).cancelled
        with pytest.raises(IllegalTransition):
            store.cancel(over)
        with pytest.raises(NoSuchJob):
            store.cancel(99)

    def test_counts(self, store: Store) -> None:
        a, _, c = add(store, spec(), spec(), spec(queue="q"))
        run(store, a)
        store.start(c, 1, "{}")
        assert store.counts() == {"default": {State.QUEUED: 1, State.SUCCEEDED: 1}, "q": {State.RUNNING: 1}}
        assert store.queues() == ["default"]


class TestCancel:
    @pytest.mark.parametrize("verb", [Verb.RETRY, Verb.REQUEUE])
    def test_it_holds_whatever_was_decided_before_it_was_known(self, store: Store, verb: Verb) -> None:
        (job,) = store.add([addition("c", spec(), keep=True)]).jobs
        store.start(job, 1, "{}")
        assert store.cancel(job).state is State.RUNNING
        ended = store.finish(Outcome(job, 1, Result.FAILED, exit_code=1), Verdict(verb, 5.0, 1, 0, "failure 1 of 3"))
        assert (ended.state, ended.released) == (State.CANCELLED, "c")
        record = store.show(job).record
        assert (record.state, record.reason) == (State.CANCELLED, "cancelled while it was running")
        assert record.finished is not None
        assert record.due is None
        assert store.wake(2**62).next_steady is None
        assert store.fetch({"default": 5}) == []

    def test_who_had_succeeded_has_succeeded(self, store: Store) -> None:
        (job,) = add(store, spec())
        store.start(job, 1, "{}")
        store.cancel(job)
        assert store.finish(Outcome(job, 1, Result.SUCCEEDED, exit_code=0), SUCCEED).state is State.SUCCEEDED


class TestListing:
    def test_pages_oldest_first(self, store: Store) -> None:
        ids = add(store, *[spec() for _ in range(5)])
        first = store.list(0, 2, Filter()).records
        assert [r.id for r in first] == ids[:2]
        assert [r.id for r in store.list(first[-1].id, 9, Filter()).records] == ids[2:]

    def test_filters(self, store: Store) -> None:
        a, b, _ = add(store, spec(), spec(queue="q"), spec())
        run(store, a)
        assert [r.id for r in store.list(0, 9, Filter(states=[State.SUCCEEDED])).records] == [a]
        assert [r.id for r in store.list(0, 9, Filter(queues=["q"])).records] == [b]


class TestPrune:
    def test_by_age(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        old, new, waiting = add(store, spec(), spec(), spec())
        run(store, old)
        passes(500, monkeypatch)
        run(store, new, finished=0)
        assert list(store.prunable(500, 10, 10)) == [old]
        store.prune([old, waiting])
        assert [r.id for r in store.list(0, 9, Filter()).records] == [new, waiting]
        with pytest.raises(NoSuchJob):
            store.show(old)

    def test_by_number_the_oldest_first_in_slices(self, store: Store) -> None:
        ids = add(store, *[spec() for _ in range(6)])
        for n, id_ in enumerate(ids):
            run(store, id_, finished=wall() - n)
        assert list(store.prunable(10**6, 2, 3)) == ids[:3]
        store.prune(ids[:3])
        assert list(store.prunable(10**6, 2, 3)) == ids[3:4]
        store.prune(ids[3:4])
        assert list(store.prunable(10**6, 2, 3)) == []


class TestGroups:
    def test_an_error_changes_nothing_and_stops_nobody(self, store: Store) -> None:
        (job,) = add(store, spec())
        store.begin()
        with pytest.raises(IllegalTransition):
            store.start(job, 5, "{}")
        store.hold(job)
        store.commit()
        assert store.show(job).record.state is State.HELD

    def test_rollback(self, store: Store) -> None:
        store.begin()
        add(store, spec())
        store.rollback()
        assert store.counts() == {}


class StoreMachine(RuleBasedStateMachine):
    """Random verbs against a model of a few lines: the same answers, the same states."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.directory = tempfile.TemporaryDirectory()
        self.store = SqliteStore(Path(self.directory.name) / "db")
        self.model: dict[int, tuple[State, int]] = {}
        self.claims = 0

    @rule(n=st.integers(1, 3))
    def add(self, n: int) -> None:
        self.claims += 1
        for id_ in add(self.store, *[spec() for _ in range(n)], claim=str(self.claims)):
            self.model[id_] = (State.QUEUED, 0)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), verb=st.sampled_from(list(Verb)), late=st.integers(0, 1))
    def move(self, data: st.DataObject, verb: Verb, late: int) -> None:
        from taskgated.core.lifecycle import TRANSITIONS

        id_ = data.draw(st.sampled_from(sorted(self.model)))
        state, attempt = self.model[id_]
        after = TRANSITIONS.get((state, verb))
        try:
            if verb is Verb.START:
                self.store.start(id_, attempt + 1 + late, "{}")
                after = None if late else after
            elif verb is Verb.HOLD:
                self.store.hold(id_)
            elif verb is Verb.RELEASE:
                self.store.release(id_)
            elif verb is Verb.CANCEL and state is not State.RUNNING:
                self.store.cancel(id_)
            else:
                self.store.finish(Outcome(id_, attempt - late, Result.FAILED), Verdict(verb))
                after = None if late else after
        except IllegalTransition:
            assert after is None or late, f"{verb} of {state} was refused"
        else:
            assert after is not None, f"{verb} of {state} was allowed"
            self.model[id_] = (after, attempt + (verb is Verb.START))

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "store"):
            return
        listed = {r.id: (r.state, r.attempt) for r in self.store.list(0, 10**6, Filter()).records}
        assert listed == self.model
        totals: dict[State, int] = {}
        for state, _ in self.model.values():
            totals[state] = totals.get(state, 0) + 1
        assert self.store.counts().get("default", {}) == totals

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.directory.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class TestSqlite:
    def test_survives_closing(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "db")
        (job,) = add(store, spec(name="kept"))
        clock = store.clock
        store.close()
        again = SqliteStore(tmp_path / "db")
        assert again.show(job).record.name == "kept"
        assert again.clock == clock, "the steady clock is the same for every daemon of one boot"
        again.close()

    def test_durable_by_its_settings(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "db")
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        store.close()

    def test_a_newer_database_is_refused(self, tmp_path: Path) -> None:
        SqliteStore(tmp_path / "db").close()
        with sqlite3.connect(tmp_path / "db") as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
        with pytest.raises(StoreError, match="newer taskgated"):
            SqliteStore(tmp_path / "db")

    def test_not_a_database(self, tmp_path: Path) -> None:
        (tmp_path / "db").write_text("no database at all, but long enough to be looked at" * 100)
        with pytest.raises(StoreError, match="is damaged: file is not a database"):
            SqliteStore(tmp_path / "db")

    def test_a_failed_migration_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from taskgated.store import database

        good = database.migrations()
        monkeypatch.setattr(database, "migrations", lambda: [(1, good[0][1] + "\nCREATE TABLE jobs (x);\n")])
        with pytest.raises(StoreError):
            SqliteStore(tmp_path / "db")
        monkeypatch.undo()
        SqliteStore(tmp_path / "db").close()

    def test_one_running_attempt_a_job_is_physical(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path / "db")
        (job,) = add(store, spec())
        store.start(job, 1, "{}")
        with pytest.raises(sqlite3.IntegrityError):
            store._db.execute("INSERT INTO attempts (job, number, worker, started) VALUES (?, 2, '', 0)", (job,))
        store.close()

    def test_a_reader_sees_what_is_committed_and_writes_nothing(self, tmp_path: Path) -> None:
        store, reader = SqliteStore(tmp_path / "db"), SqliteStore(tmp_path / "db", read_only=True)
        store.begin()
        add(store, spec())
        assert reader.list(0, 9, Filter()).records == []
        store.commit()
        assert len(reader.list(0, 9, Filter()).records) == 1
        with pytest.raises(sqlite3.OperationalError):
            reader.hold(1)
        reader.close()
        store.close()

    def test_every_statement_is_used_and_explained(self) -> None:
        from importlib import resources

        from taskgated.store.sqlfiles import statements

        package = resources.files("taskgated.store")
        code = package.joinpath("sqlite.py").read_text() + package.joinpath("check.py").read_text()
        assert not [name for name in statements() if f'"{name}"' not in code]
        text = package.joinpath("sql/queries.sql").read_text().splitlines()
        for number, line in enumerate(text):
            if line.startswith("-- name:"):
                assert text[number + 1].startswith("-- "), f"{line} has no sentence"


class TestClock:
    """Of a host that comes up with a clock that is a day slow; one that is fast nobody can tell from a long night."""

    DAY = 86400 * MICROSECONDS

    def reboot(self, path: Path, monkeypatch: pytest.MonkeyPatch, shift: int) -> SqliteStore:
        now = wall()
        monkeypatch.setattr("taskgated.store.sqlite.boot_id", lambda: f"boot {now}")
        monkeypatch.setattr("taskgated.clock.wall", lambda: now + shift)
        return SqliteStore(path)

    def test_a_slow_one_makes_nobody_wait(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SqliteStore(tmp_path / "db")
        monkeypatch.setattr("taskgated.store.sqlite.KEEP_CLOCK", 0)
        store.begin()
        add(store, spec(delay=60))
        store.commit()
        store.close()
        later = self.reboot(tmp_path / "db", monkeypatch, -self.DAY)
        due = later.wake(0).next_steady
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
        assert later.wake(0).best == {"default": 50}
        later.close()

    def test_it_is_written_down_now_and_then(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SqliteStore(tmp_path / "db")
        writes: list[int] = []
        monkeypatch.setattr(store, "tick", lambda: writes.append(store.clock.now()))
        store.begin()
        store.commit()
        assert writes == []
        monkeypatch.setattr("taskgated.store.sqlite.KEEP_CLOCK", 0)
        store.begin()
        store.commit()
        assert len(writes) == 1
        store.close()


class BlockedStore(SqliteStore):
    """The real store, which can be made to wait before a commit, or to fail it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.failures = 0
        self.commits = 0

    def commit(self) -> None:
        self.entered.set()
        assert self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("database or disk is full")
        self.commits += 1
        super().commit()


class TestThread:
    @pytest.fixture
    def thread(self, tmp_path: Path) -> Iterator[tuple[StoreThread, BlockedStore]]:
        store = BlockedStore(tmp_path / "db")
        thread = StoreThread(store, lambda: None)
        thread.start()
        yield thread, store
        store.gate.set()
        assert thread.stop(10)

    def test_verbs_that_arrive_together_share_a_sync(self, thread: tuple[StoreThread, BlockedStore]) -> None:
        threaded, store = thread
        store.gate.clear()
        threaded.submit("add", [addition("first", spec())])
        threaded.flush()
        assert store.entered.wait(10)
        for n in range(100):
            threaded.submit("add", [addition(f"c{n}", spec())])
            threaded.flush()
        store.gate.set()
        threaded.call("counts")
        assert store.commits <= 3

    def test_nothing_is_answered_before_the_commit(self, thread: tuple[StoreThread, BlockedStore]) -> None:
        threaded, store = thread
        answers: list[Any] = []
        store.gate.clear()
        threaded.submit("add", [addition("c", spec())], done=answers.append)
        threaded.flush()
        assert store.entered.wait(10)
        threaded.deliver()
        assert answers == []
        store.gate.set()
        threaded.call("counts")
        threaded.deliver()
        assert len(answers) == 1

    def test_an_error_reaches_only_who_asked(self, thread: tuple[StoreThread, BlockedStore]) -> None:
        threaded, _ = thread
        with pytest.raises(NoSuchJob):
            threaded.call("show", 5)
        assert threaded.call("counts") == {}

    def test_a_disk_that_refuses_is_tried_until_it_takes_it(
        self, thread: tuple[StoreThread, BlockedStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threaded, store = thread
        monkeypatch.setattr("taskgated.store.thread.RETRY", 0.01)
        troubles: list[str] = []
        monkeypatch.setattr(threaded, "_wake", lambda: troubles.append(threaded.trouble))
        store.failures = 3
        threaded.call("add", [addition("c", spec())])
        assert "disk is full" in troubles[0]
        assert threaded.trouble == ""
        assert threaded.call("counts") == {"default": {State.QUEUED: 1}}

    def test_what_cannot_be_kept_harms_nobody_else(self, thread: tuple[StoreThread, BlockedStore]) -> None:
        """Neither the thread nor the verbs of the same transaction; and it is not tried for ever."""
        threaded, _ = thread
        add_, answers = [addition("c", spec(), spec(), spec())], list[Any]()
        threaded.call("add", add_)
        for id_ in (1, 2, 3):
            threaded.call("start", id_, 1, "{}")
        for id_, reason in ((1, "good"), (2, "\udcff"), (3, "good")):
            outcome = Outcome(id_, 1, Result.FAILED, finished=2**70 if id_ == 2 else 5)
            threaded.submit("finish", outcome, Verdict(Verb.FAIL, reason=reason), done=answers.append)
        threaded.submit("start", 1, 2, "{}", done=answers.append)  # an illegal one, beside it
        threaded.flush()
        assert threaded.call("counts") == {"default": {State.FAILED: 2, State.RUNNING: 1}}
        threaded.deliver()
        assert [answer.error is None for answer in answers] == [True, False, True, False]
        assert "the store cannot finish that" in str(answers[1].error)
        assert isinstance(answers[3].error, IllegalTransition)
        assert threaded.alive
        assert threaded.trouble == ""

    def test_a_wedged_store_is_noticed(self, thread: tuple[StoreThread, BlockedStore]) -> None:
        threaded, store = thread
        assert threaded.responsive()
        store.gate.clear()
        store.entered.clear()
        threaded.submit("hold", 1)
        threaded.submit("add", [addition("c", spec())])
        threaded.flush()
        assert store.entered.wait(10)
        threaded.responsive()
        assert not threaded.responsive()
        assert not threaded.responsive()
        store.gate.set()
        threaded.call("counts")
        assert threaded.responsive()

    def test_an_idle_thread_answers_the_watchdog(self, thread: tuple[StoreThread, BlockedStore]) -> None:
        threaded, store = thread
        before = store.commits
        for _ in range(3):
            threaded.call("")
            assert threaded.responsive()
        assert store.commits == before, "an idle daemon leaves its database alone"


def test_outcomes_are_whole_or_not_there(tmp_path: Path) -> None:
    from taskgated.outcomes import Outcomes

    outcomes = Outcomes(tmp_path)
    kept = Outcome(4, 2, Result.FAILED, exit_code=3, message="x\udcff")
    outcomes.write(kept)
    assert outcomes.read(4, 2) == replace(kept, message="x\\udcff"), "what no store could keep is spelled out"
    assert outcomes.read(4, 3) is None
    (tmp_path / "4.2.json").write_text('{"job": 4')
    assert outcomes.read(4, 2) is None
    outcomes.forget(4, 2)
    outcomes.forget(4, 2)
    assert list(tmp_path.iterdir()) == []
    assert replace(kept, job=5) != kept
