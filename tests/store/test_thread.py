"""The thread of the store: what arrives together shares a sync, and what cannot be done harms nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from taskgated.core.after import Condition
from taskgated.core.job import Outcome, Result, Spec
from taskgated.core.lifecycle import LastFailure, Verb, Verdict
from taskgated.core.state import State
from taskgated.errors import DiskTrouble, IllegalTransition, Impossible, InDoubt, Lost, NoSuchJob, NotYours
from taskgated.store.after import Resolved
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient, ignore
from taskgated.store.contract import Added, Ended, Questions, Store
from taskgated.store.groups import ALONE
from taskgated.store.placement import here
from taskgated.store.sqlite.store import SqliteStore
from tests.env.until import until
from tests.store.jobs import SUCCEED, addition, spec


def adding(claim: str, *specs: Spec) -> Callable[[Store], Added]:
    return lambda store: store.add([addition(claim, *(specs or [spec()]))])


def counts(store: Questions) -> Mapping[str, Mapping[State, int]]:
    return store.counts()


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
            raise DiskTrouble("database or disk is full")
        self.commits += 1
        super().commit()


class TestThread:
    @pytest.fixture
    def thread(self, tmp_path: Path) -> Iterator[tuple[StoreClient, BlockedStore]]:
        store = BlockedStore(tmp_path / "db")
        thread = StoreClient(store, lambda: None)
        thread.start()
        yield thread, store
        store.gate.set()
        assert thread.stop(10)

    def test_verbs_that_arrive_together_share_a_sync(self, thread: tuple[StoreClient, BlockedStore]) -> None:
        threaded, store = thread
        store.gate.clear()
        threaded.submit(adding("first"))
        threaded.flush()
        assert store.entered.wait(10)
        for n in range(100):
            threaded.submit(adding(f"c{n}"))
            threaded.flush()
        store.gate.set()
        threaded.question(counts)
        assert store.commits <= 3

    def test_nothing_is_answered_before_the_commit(self, thread: tuple[StoreClient, BlockedStore]) -> None:
        threaded, store = thread
        answers: list[Any] = []
        store.gate.clear()
        threaded.submit(adding("c"), done=answers.append)
        threaded.flush()
        assert store.entered.wait(10)
        threaded.deliver()
        assert answers == []
        store.gate.set()
        threaded.question(counts)
        threaded.deliver()
        assert len(answers) == 1

    @pytest.mark.parametrize("error", [NotYours("another host has the gate"), Lost("the disk failed to sync")])
    def test_what_is_final_is_not_tried_again(
        self, thread: tuple[StoreClient, BlockedStore], monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        threaded, store = thread
        tries: list[str] = []

        def refuse(who: str, number: int, *, early: bool = False) -> bool:
            tries.append(who)
            raise error

        monkeypatch.setattr(store, "begin", refuse)
        answers: list[Any] = []
        threaded.submit(adding("c"), done=answers.append)
        threaded.flush()
        until(lambda: not threaded.alive, "the thread ends")
        threaded.deliver()
        assert (tries, answers, threaded.ended) == ([ALONE], [], str(error))
        assert not threaded.damage, "nothing is wrong with the database"

    def test_no_answer_is_given_of_a_group_that_somebody_else_has_committed(
        self, thread: tuple[StoreClient, BlockedStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threaded, store = thread
        monkeypatch.setattr(store, "begin", lambda who, number, early: False)
        answers: list[Any] = []
        threaded.submit(adding("c"), done=answers.append)
        threaded.flush()
        until(lambda: not threaded.alive, "the thread ends")
        threaded.deliver()
        assert answers == []
        assert "somebody else has committed group 1" in threaded.ended

    def test_what_no_request_is_to_blame_for_all_of_the_group_are_told(
        self, thread: tuple[StoreClient, BlockedStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threaded, store = thread

        def refuse() -> None:
            raise Impossible("that cannot be committed")

        with monkeypatch.context() as patch:
            patch.setattr(store, "commit", refuse)
            answers: list[Answer[Any]] = []
            threaded.submit(adding("c"), done=answers.append, early=True)
            threaded.submit(adding("d"), done=answers.append)
            threaded.flush()
            until(lambda: not threaded.deliver() and len(answers) == 2, "both are told")
        assert [str(answer.error) for answer in answers] == ["that cannot be committed"] * 2
        threaded.call(adding("e"))
        assert threaded.question(counts) == {"default": {State.QUEUED: 1}}, "and others go on"

    def test_what_was_told_and_cannot_be_done_again_ends_it(
        self, thread: tuple[StoreClient, BlockedStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An early start whose sync was in doubt, and that is lost: meanwhile somebody has cancelled the job."""
        threaded, store = thread
        monkeypatch.setattr("taskgated.store.thread.RETRY", 0)
        (job,) = threaded.call(adding("c")).jobs

        def lose() -> None:
            store._db.execute("UPDATE jobs SET state = 'cancelled'")  # of which the start knew nothing
            raise InDoubt("no connection")

        monkeypatch.setattr(store, "sync", lose)
        answers: list[Answer[int]] = []
        threaded.submit(lambda store: store.start(job, 1, here("{}")), done=answers.append, early=True)
        threaded.flush()
        until(lambda: not threaded.alive, "the thread ends")
        threaded.deliver()
        assert [answer.error for answer in answers] == [None], "it was told once"
        assert "cannot be done again" in threaded.ended

    def test_an_error_reaches_only_who_asked(self, thread: tuple[StoreClient, BlockedStore]) -> None:
        threaded, _ = thread
        with pytest.raises(NoSuchJob):
            threaded.question(lambda store: store.show(5))
        assert threaded.question(counts) == {}

    def test_a_disk_that_refuses_is_tried_until_it_takes_it(
        self, thread: tuple[StoreClient, BlockedStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threaded, store = thread
        monkeypatch.setattr("taskgated.store.thread.RETRY", 0.01)
        troubles: list[str] = []
        monkeypatch.setattr(threaded._thread, "_wake", lambda: troubles.append(threaded.trouble))
        store.failures = 3
        threaded.call(adding("c"))
        assert "disk is full" in troubles[0]
        assert threaded.trouble == ""
        assert threaded.question(counts) == {"default": {State.QUEUED: 1}}

    def test_what_cannot_be_kept_harms_nobody_else(self, thread: tuple[StoreClient, BlockedStore]) -> None:
        """Neither the thread nor the verbs of the same transaction; and it is not tried for ever."""
        threaded, _ = thread
        answers: list[Answer[Ended] | Answer[int]] = []
        threaded.call(adding("c", spec(), spec(), spec()))
        for id_ in (1, 2, 3):
            threaded.call(lambda store, job=id_: store.start(job, 1, here("{}")))
        for id_, reason in ((1, "good"), (2, "\udcff"), (3, "good")):
            outcome = Outcome(id_, 1, Result.FAILED, finished=2**70 if id_ == 2 else 5)
            verdict = Verdict(Verb.FAIL, cause=LastFailure(reason))
            threaded.submit(lambda store, o=outcome, v=verdict: store.finish(o, v), done=answers.append)
        threaded.submit(lambda store: store.start(1, 2, here("{}")), done=answers.append)  # an illegal one, beside it
        threaded.flush()
        assert threaded.question(counts) == {"default": {State.FAILED: 2, State.RUNNING: 1}}
        threaded.deliver()
        assert [answer.error is None for answer in answers] == [True, False, True, False]
        assert isinstance(answers[1].error, Impossible)
        assert "the store cannot do that" in str(answers[1].error)
        assert isinstance(answers[3].error, IllegalTransition)
        assert threaded.alive
        assert threaded.trouble == ""

    def test_what_follows_from_an_end_is_done_with_it_and_told_behind_it(
        self, thread: tuple[StoreClient, BlockedStore]
    ) -> None:
        """Also if the disk refuses it at first, and nobody asks for it."""
        threaded, store = thread
        told: list[Answer[Resolved] | Answer[Ended]] = []
        threaded.resolved.add(told.append)
        one, other = threaded.call(adding("c", spec(), spec(after=(Condition("x", part=0),)))).jobs
        threaded.call(lambda store: store.start(one, 1, here("{}")))
        before, store.failures = store.commits, 1
        threaded.submit(lambda store: store.finish(Outcome(one, 1, Result.SUCCEEDED), SUCCEED), done=told.append)
        threaded.flush()
        threaded.question(counts)  # perhaps in that group, before what follows
        assert threaded.question(lambda store: store.show(other).after) == []
        threaded.deliver()
        assert store.commits == before + 1
        assert [type(answer.get()) for answer in told] == [Ended, Resolved]

    def test_what_is_much_is_done_in_as_many_groups(
        self, thread: tuple[StoreClient, BlockedStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever writes anything moves it on: it is in nobody's hands alone."""
        threaded, _ = thread
        monkeypatch.setattr("taskgated.store.after.RESOLVED", 2)
        dependants = [spec(after=(Condition("x", part=0),)) for _ in range(5)]
        first, *others = threaded.call(adding("c", spec(), *dependants)).jobs
        threaded.call(lambda store: store.cancel(first))
        for left in (3, 1, 0, 0):
            assert sum(bool(threaded.question(lambda store, job=job: store.waits_for(job))) for job in others) == left
            threaded.call(ignore)

    def test_a_wedged_store_is_noticed(self, thread: tuple[StoreClient, BlockedStore]) -> None:
        threaded, store = thread
        assert threaded.responsive()
        store.gate.clear()
        store.entered.clear()
        threaded.submit(lambda store: store.hold(1))
        threaded.submit(adding("c"))
        threaded.flush()
        assert store.entered.wait(10)
        threaded.responsive()
        assert not threaded.responsive()
        assert not threaded.responsive()
        store.gate.set()
        threaded.question(counts)
        assert threaded.responsive()

    def test_an_idle_thread_answers_the_watchdog(self, thread: tuple[StoreClient, BlockedStore]) -> None:
        threaded, store = thread
        before = store.commits
        for _ in range(3):
            threaded.question(ignore)
            assert threaded.responsive()
        assert store.commits == before, "an idle daemon leaves its database alone"
