"""A worker that is told of a deadline ends the attempt then, whatever becomes of the daemon."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskgated.core.job import Outcome, Result, Spec, Warn
from taskgated.host.clock import boottime
from taskgated.protocol.messages import DEADLINES
from tests.env.until import until
from tests.env.worker import Env, WorkerPeer, proof

SOON = 300_000
LATER = 10**13
LONG = Spec(command="exec sleep 1000")


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Env]:
    yield from proof(tmp_path)


@pytest.fixture
def worker(env: Env) -> WorkerPeer:
    return env.worker()


def end(worker: WorkerPeer, at: int | None, job: int = 1, attempt: int = 1, **more: object) -> None:
    worker.say(deadline={"job": job, "attempt": attempt, "at": at, **more})


def running(env: Env) -> None:
    """What it has to say is in its log: it runs."""
    until(env.output, "the job runs")


def test_it_says_that_it_knows_what_that_is(worker: WorkerPeer) -> None:
    assert DEADLINES in worker.hello["features"]


def test_it_ends_the_attempt_then(worker: WorkerPeer) -> None:
    at = boottime() + SOON
    worker.start(LONG)
    end(worker, at)
    outcome = worker.outcome()
    assert (outcome.result, outcome.signal) == (Result.TIMED_OUT, 15)
    assert at <= boottime()


def test_as_the_result_that_it_was_told(worker: WorkerPeer) -> None:
    worker.start(LONG)
    end(worker, boottime() + SOON, result="killed")
    assert worker.outcome().result is Result.KILLED


def test_at_once_if_it_has_passed(worker: WorkerPeer) -> None:
    worker.start(LONG)
    end(worker, boottime() - 1)
    assert worker.outcome().result is Result.TIMED_OUT


def test_what_does_not_end_is_killed(env: Env, worker: WorkerPeer) -> None:
    worker.start(Spec(command="trap '' TERM; echo here; while :; do sleep 1000; done", kill_after=0.2))
    running(env)
    end(worker, boottime())
    outcome = worker.outcome()
    assert (outcome.result, outcome.signal) == (Result.TIMED_OUT, 9)


def test_the_last_word_counts(worker: WorkerPeer) -> None:
    worker.start(Spec(command="sleep 0.8"))
    end(worker, boottime() + SOON)
    end(worker, boottime() + LATER)
    assert worker.outcome().result is Result.SUCCEEDED
    worker.start(Spec(command="sleep 0.8"), 2)
    end(worker, boottime() + SOON, 2)
    end(worker, None, 2)
    assert worker.outcome(2).result is Result.SUCCEEDED


def test_it_is_of_that_attempt_alone(worker: WorkerPeer) -> None:
    worker.start(Spec(command="sleep 0.8"), 1, 2)
    end(worker, boottime(), 1, 1)
    end(worker, boottime(), 7, 2)
    assert worker.outcome(1, 2).result is Result.SUCCEEDED
    worker.start(Spec(command="sleep 0.8"), 2)
    end(worker, boottime() + SOON, 1, 2)
    assert worker.outcome(2).result is Result.SUCCEEDED, "nor does one that has ended leave it behind"


def test_no_daemon_need_be_there(env: Env, worker: WorkerPeer) -> None:
    worker.start(LONG)
    end(worker, boottime() + 2 * SOON)
    worker.ack(9, 9)  # behind it, so that it has arrived
    worker.drop()
    back = env.accept()
    assert back.outcome().result is Result.TIMED_OUT


def test_what_its_main_process_left_behind_ends_then_too(env: Env, worker: WorkerPeer) -> None:
    """As with a timeout: that it ended by itself is how it has ended."""
    worker.start(Spec(command="echo here; sleep 1000 & exit 3", linger=1000.0))
    running(env)
    end(worker, boottime() + SOON)
    outcome = worker.outcome()
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, 3)
    assert "left behind" in outcome.message


def test_a_signal_comes_ahead_of_it(env: Env, worker: WorkerPeer) -> None:
    text = "trap 'echo warned; exit 5' USR1; echo here; while :; do sleep 0.05; done"
    worker.start(Spec(command=text, warn=Warn(before=1000.0), timeout=2000.0))
    running(env)
    end(worker, boottime() + LATER)
    end(worker, boottime() + 999_000_000)
    outcome = worker.outcome()
    assert (outcome.result, outcome.exit_code) == (Result.FAILED, 5)
    assert env.output() == b"here\nwarned\n"


def test_the_earlier_of_timeout_and_deadline_decides(worker: WorkerPeer) -> None:
    began = time.monotonic()
    worker.start(Spec(command="exec sleep 1000", timeout=0.3))
    end(worker, boottime() + LATER)
    assert worker.outcome().result is Result.TIMED_OUT
    assert time.monotonic() - began < 100


def test_one_that_could_not_start_until_then_has_ended(env: Env, worker: WorkerPeer) -> None:
    """The host has nothing left for it: it is tried again and again, until its deadline."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.prlimit(worker.id.pid, resource.RLIMIT_NOFILE, (3, hard))
    worker.start(LONG)
    end(worker, boottime() + SOON)
    outcome = worker.outcome()
    assert outcome == Outcome(1, 1, Result.TIMED_OUT, message="it had not started")
    resource.prlimit(worker.id.pid, resource.RLIMIT_NOFILE, before)
    assert worker.run(Spec(command="true"), 2).result is Result.SUCCEEDED
    worker.start(LONG, 3)
    end(worker, boottime() + SOON, 3)
    assert worker.outcome(3).result is Result.TIMED_OUT


def test_one_that_starts_late_has_it_still(env: Env, worker: WorkerPeer) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.prlimit(worker.id.pid, resource.RLIMIT_NOFILE, (3, hard))
    worker.start(LONG)
    end(worker, boottime() + 3_000_000)
    worker.say(ping=1)
    assert worker.expect("pong") == 1, "it has tried, in vain"
    resource.prlimit(worker.id.pid, resource.RLIMIT_NOFILE, before)
    outcome = worker.outcome()
    assert (outcome.result, outcome.signal) == (Result.TIMED_OUT, 15)
