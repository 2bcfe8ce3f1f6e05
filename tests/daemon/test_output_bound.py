"""All outputs together take no more of the disk than is configured; the oldest go, and the records stay."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskgated.attempts import outputs, usage
from taskgated.core.job import Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.daemon import outputbound
from taskgated.daemon.outputbound import OutputBound
from taskgated.host.helper import Helper
from taskgated.host.journal import Journal
from taskgated.host.loop import Loop
from taskgated.host.paths import Layout
from taskgated.store.client import StoreClient
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite.questions import SqliteQuestions
from taskgated.store.sqlite.store import SqliteStore
from tests.env.gate import GateEnv
from tests.env.until import until

BLOCK = 64 * 1024
"""Bytes of each output: so many that every file system keeps them in blocks of their own."""


class Bounded:
    """The part on the real store and a real disk, its looks called for by the test."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout.under(root)
        self.layout.state.mkdir(parents=True)
        self.layout.log.mkdir()
        self.store = SqliteStore(self.layout.database)
        self.loop = Loop()
        self.client = StoreClient(self.store, self.loop.wake)
        self.loop.on_wake(self.client.deliver)
        self.loop.at_end_of_turn(self.client.flush)
        self.told: list[str] = []
        self.most: int | None = None
        self.running: list[int] = []
        self.journal = Journal(str(root / "none"))
        self.journal.event = lambda event, text, *_, **__: self.told.append(text)  # type: ignore[method-assign,assignment]
        self.client.start()
        self.helpers: list[Helper] = []
        self.restart()
        self._tick()

    def _tick(self) -> None:
        """A turn of the loop waits for something to happen; the test does not."""
        self.loop.after(0.01, self._tick)

    def restart(self) -> None:
        """What a new daemon has: nothing but the files and the store."""
        self.helper = Helper(self.loop, "bound")
        self.helper.start()
        self.helpers.append(self.helper)
        self.bound = OutputBound(
            self.layout, self.loop, self.client, self.journal, self.helper, lambda: self.most, lambda: self.running
        )

    def add(self, number: int) -> list[int]:
        """New jobs, which wait."""
        claim = f"c{os.urandom(4).hex()}"
        added: list[int] = []
        self.client.submit(
            lambda store: list(
                store.add([Addition(claimed(claim), 0, [Spec(command="true")] * number, "x", "root", 0)]).jobs
            ),
            lambda answer: added.extend(answer.get()),
        )
        self._turn_until(lambda: added)
        return added

    def run(self, job: int, attempt: int = 1, verb: Verb = Verb.SUCCEED, size: int = BLOCK) -> Path:
        """One attempt, from its start to its end."""
        path = self.put(job, attempt, size)
        self.client.submit(lambda store: store.start(job, attempt, here("{}")))
        outcome = Outcome(job, attempt, result=Result.SUCCEEDED, exit_code=0, output=size)
        done: list[bool] = []
        self.client.submit(lambda store: store.finish(outcome, Verdict(verb)), lambda answer: done.append(True))
        self._turn_until(lambda: done)
        return path

    def put(self, job: int, attempt: int = 1, size: int = BLOCK) -> Path:
        path = Path(outputs.path(self.layout.log, job, attempt))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        return path

    def over(self, number: int) -> list[Path]:
        return [self.run(job) for job in self.add(number)]

    def look(self) -> None:
        """From its beginning to its end."""
        self.bound.look()
        self._turn_until(lambda: not self.bound._busy)

    def _turn_until(self, what: Callable[[], object]) -> None:
        def turned() -> object:
            self.loop.turn()
            return what()

        until(turned, "the part has done it")

    def removed(self, job: int) -> int | None:
        reader = SqliteQuestions(self.layout.database)
        try:
            return reader.show(job).output_removed
        finally:
            reader.close()

    def taken(self) -> int:
        return sum(path.stat().st_blocks * 512 for path in self.layout.log.rglob("*.log"))

    def close(self) -> None:
        for helper in self.helpers:
            helper.stop(10)
        assert self.client.stop(10)
        self.loop.close()


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bounded]:
    monkeypatch.setattr(outputbound, "PAUSE", 0.0)
    monkeypatch.setattr(outputbound, "PAGE", 3)
    env = Bounded(tmp_path)
    yield env
    env.close()


def there(paths: list[Path]) -> list[bool]:
    return [path.exists() for path in paths]


def test_the_oldest_go_until_it_is_enough_and_their_records_say_so(env: Bounded) -> None:
    paths = env.over(10)
    env.most = 3 * BLOCK
    env.look()
    assert there(paths) == [False] * 7 + [True] * 3
    assert env.taken() <= env.most
    assert [bool(env.removed(job)) for job in range(1, 11)] == [True] * 7 + [False] * 3
    assert len(env.told) == 1
    assert "the oldest, those of 7 jobs, from job 1 to job 7, went" in env.told[0]
    assert f"{7 * BLOCK} bytes" in env.told[0]
    env.look()
    assert there(paths) == [False] * 7 + [True] * 3
    assert len(env.told) == 1, "nothing is said of a look that changed nothing"


def test_without_a_bound_nothing_is_even_looked_at(env: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = env.over(3)
    monkeypatch.setattr(outputbound, "directories", lambda log: pytest.fail("it looked"))
    env.look()
    assert there(paths) == [True] * 3


def test_who_was_over_first_goes_first_whatever_the_ids(env: Bounded) -> None:
    """A job that has waited or run for a month, and is over now, is not the oldest."""
    slow, *others = env.add(3)
    paths = [env.run(job) for job in (*others, slow)]
    env.most = BLOCK
    env.look()
    assert there(paths) == [False, False, True]


def test_nothing_of_a_job_that_is_not_over_is_removed(env: Bounded) -> None:
    """Also not of an earlier attempt of one that is tried again. It is said, once, that there is too much."""
    tried, running, held, over = env.add(4)
    kept = [env.run(tried, verb=Verb.RETRY), env.run(tried, 2, verb=Verb.RETRY), env.put(running), env.put(held)]
    env.client.submit(lambda store: store.start(running, 1, here("{}")))
    env.client.submit(lambda store: store.hold(held))
    gone = env.run(over)
    env.most = 1
    env.look()
    assert there(kept) == [True] * 4
    assert not gone.exists()
    assert [text for text in env.told if "of jobs that are not over" in text]
    said = len(env.told)
    env.look()
    assert len(env.told) == said
    env.run(tried, 3)
    env.look()
    assert there(kept) == [False, False, True, True], "with its last attempt all of it is over"


def test_a_log_that_grows_is_seen(env: Bounded) -> None:
    """Its directory does not change while a job writes, nor when it is over."""
    old, running = env.add(2)
    paths = [env.run(old), env.put(running)]
    env.client.submit(lambda store: store.start(running, 1, here("{}")))
    env.most = 8 * BLOCK
    env.running = [running]
    env.look()
    assert there(paths) == [True, True]
    with open(paths[1], "ab") as file:
        file.write(b"x" * 7 * BLOCK)
    env.running = []  # it has ended since
    env.look()
    assert there(paths) == [False, True]


def test_what_others_delete_or_add_is_seen(env: Bounded) -> None:
    paths = env.over(4)
    env.most = 4 * BLOCK
    env.look()
    paths[3].unlink()
    env.look()
    assert env.bound.total == env.taken()
    paths += env.over(1)
    env.look()
    assert there(paths) == [True, True, True, False, True]


def test_what_is_changed_behind_its_back_is_seen_in_the_end(env: Bounded) -> None:
    """A file that grows though its job is over changes no directory: one that was measured long ago is, again."""
    for job in (1, 1001, 2001):
        env.put(job)
    env.most = 100 * BLOCK
    env.look()
    with open(outputs.path(env.layout.log, 1001, 1), "ab") as file:
        file.write(b"x" * BLOCK)
    for _ in range(3):
        env.look()
    assert env.bound.total == env.taken() == 4 * BLOCK


def test_a_look_measures_only_what_changed(env: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a million outputs do not cost a million looks at files every minute."""
    for number in range(50):
        env.put(number * 1000 + 1)
    env.most = 1000 * BLOCK
    measured: list[Path] = []
    monkeypatch.setattr(outputbound, "measure", lambda path: measured.append(path) or usage.measure(path))
    env.look()
    assert len(measured) == 50
    env.look()
    assert len(measured) == 51, "one of those in which nothing happened"
    env.put(7002)
    env.look()
    assert len(measured) <= 53
    assert outputs.directory_of(env.layout.log, 7) in measured[51:]


def test_a_kill_between_note_and_removal_leaves_nothing_for_good(
    env: Bounded, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = env.over(4)
    env.most = 2 * BLOCK
    with monkeypatch.context() as patch:
        hangs = threading.Event()
        patch.setattr(outputbound, "remove", lambda log, jobs: hangs.wait(60) and {})
        env.bound.look()
        env._turn_until(lambda: env.removed(1))
        assert there(paths) == [True] * 4
        env.helper._stopped = True  # nothing of it comes back, as after a kill
        hangs.set()
    env.restart()
    env.look()
    assert env.taken() <= env.most
    assert there(paths) == [False, False, True, True], "those go of which the record says so"


def test_after_such_a_kill_no_record_says_what_is_not_so(env: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if there is room now: the bound was raised, or others have deleted something."""
    paths = env.over(8)
    env.client.submit(lambda store: store.note_output([1, 2, 7], removed=True))
    env._turn_until(lambda: env.removed(7))
    env.most = 100 * BLOCK
    env.restart()
    env.look()
    assert there(paths) == [False, False, True, True, True, True, False, True]
    assert env.told == [
        "all outputs together took more than retention.output: the oldest, those of 3 jobs, from job 1 to job 7, went"
        f", which is {3 * BLOCK} bytes; the records stay"
    ]
    asked: list[object] = []
    monkeypatch.setattr(env.client, "ask", lambda *_: asked.append(1))
    env.look()
    assert not asked, "that is looked for once"


def test_what_is_left_after_such_a_kill_and_stays_is_not_said_to_be_gone(
    env: Bounded, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = env.over(2)
    env.client.submit(lambda store: store.note_output([1], removed=True))
    env._turn_until(lambda: env.removed(1))
    env.most = 100 * BLOCK

    def refuses(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "unlink", refuses)
    env.look()
    env._turn_until(lambda: env.removed(1) is None)
    assert there(paths) == [True, True]
    assert "cannot be removed" in env.told[0]


def test_one_that_cannot_be_removed_holds_up_no_other(env: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = env.over(5)
    env.most = 2 * BLOCK
    unlink = os.unlink

    def refuses(path: Path) -> None:
        if path == paths[0]:
            raise PermissionError(1, "Operation not permitted")
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuses)
        env.look()
        env.look()
        assert there(paths) == [True, False, False, False, True]
        assert env.removed(1) is None, "the record does not say what is not so"
        assert len([text for text in env.told if "cannot be removed: " in text]) == 1
        assert "Operation not permitted" in "".join(env.told)
    monkeypatch.setattr(outputbound, "AGAIN", 1)
    env.most = BLOCK
    env.look()
    assert there(paths) == [False, False, False, False, True], "it is tried again now and then"


def test_a_disk_that_hangs_is_told_and_holds_nobody_up(env: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = env.over(2)
    going = threading.Event()
    monkeypatch.setattr(outputbound, "SLOW", 0.1)
    monkeypatch.setattr(outputbound, "directories", lambda log: going.wait(60) and usage.directories(log))
    env.most = BLOCK
    env.bound.look()
    env.bound.look()  # a second does not queue up behind it
    env._turn_until(lambda: env.told)
    assert "does their disk hang?" in env.told[0]
    going.set()
    env._turn_until(lambda: not env.bound._busy)
    assert there(paths) == [False, True]


def test_a_store_that_does_not_answer_is_no_disk_that_hangs(env: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    env.over(2)
    monkeypatch.setattr(outputbound, "SLOW", 0.5)
    asked: list[object] = []
    monkeypatch.setattr(env.client, "ask", lambda *question: asked.append(question))
    env.most = BLOCK
    env.bound.look()
    env._turn_until(lambda: asked)
    end = time.monotonic() + 1.0
    env._turn_until(lambda: time.monotonic() > end)
    assert env.told == []


def test_it_works_in_a_gate_and_people_are_told(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\n", start=False)
    gate.layout.spool.mkdir()
    # The failed attempt of the first is to be tried again; its output stays.
    gate.drop(
        "a.yaml",
        "- {command: [sh, -c, 'head -c 200000 /dev/zero; exit 1'], retry: {attempts: 2, delay: 1h}, priority: 90}\n"
        "- {command: [sh, -c, 'head -c 200000 /dev/zero'], priority: 80}\n"
        "- {command: [sh, -c, 'head -c 100000 /dev/zero'], priority: 70}\n",
    )
    gate.start()
    gate.until_over(2)
    gate.stop()
    gate.configure("workers: 1\nretention: {output: 400K}\n")
    gate.start()
    until(lambda: gate.call("Show", id=2)["output_removed"], "the output of the one that was over first goes")
    left = sorted(path.name for path in gate.layout.log.rglob("*.log"))
    assert left == ["1.1.log", "3.1.log"]
    shown = gate.ctl("show", "2").stdout.decode()
    assert "output  removed at 2" in shown
    assert "all outputs together took more than retention.output" in shown
    assert "succeeded" in shown, "the record stays"
    logs = gate.ctl("logs", "2")
    assert logs.returncode == 0
    assert logs.stdout == b"\n[taskgated: 200000 bytes left out here]\n"
    assert b"taskgatectl: the output of job 2 was removed at 2" in logs.stderr
    assert b"removed" not in gate.ctl("logs", "3").stderr
    assert "output" not in gate.ctl("show", "3").stdout.decode().split("ATTEMPT")[0]
    assert "the oldest, that of job 2 went" in gate.log()
