"""What one client, one question or one moment may cost, however large the store and however many ask."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from taskgated.core.capacity import Policy
from taskgated.core.fixed import INTERFACE
from taskgated.core.gate import Gate
from taskgated.core.job import Spec
from taskgated.core.order import FIRST, Lane
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.ledger import Ledger
from taskgated.daemon.roster import Roster
from taskgated.host.journal import Journal
from taskgated.host.loop import Loop
from taskgated.host.paths import Layout
from taskgated.protocol.sockets import connect
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import WOKEN, Addition, Backlog, Filter, Page, Questions
from taskgated.store.placement import claimed
from taskgated.store.reader import Reader
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.turns import Found, all_lanes
from tests.env.gate import GateEnv
from tests.env.until import until

FEW = 12 * 1024**2
"""Bytes: less than what any of these cost, and more than what a daemon needs for itself meanwhile."""


def anonymous(gate: GateEnv) -> int:
    """The daemon's own memory, in bytes (proc(5))."""
    assert gate.process is not None
    for line in Path(f"/proc/{gate.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the daemon is dead")


def frame(method: str, **parameters: object) -> bytes:
    return json.dumps({"method": f"{INTERFACE}.{method}", "parameters": parameters}).encode() + b"\0"


@contextmanager
def clients(gate: GateEnv, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(gate.layout.control_socket)) for _ in range(number)]
        for sock in socks:
            sock.settimeout(30)
        yield socks


@pytest.fixture
def waiting(gate: GateEnv) -> GateEnv:
    """Five hundred jobs that run tomorrow."""
    gate.drop("a.yaml", json.dumps([{"command": "true", "delay": "1d"}] * 500))
    until(lambda: gate.status()["counts"].get("queued") == 500, "the jobs are there")
    return gate


def test_who_hangs_up_waits_no_more(waiting: GateEnv) -> None:
    """Three thousand have waited for these jobs, and left."""
    ids = list(range(1, 501))

    def come_and_go(rounds: int) -> None:
        for _ in range(rounds):
            with clients(waiting, 10) as socks:
                for sock in socks:
                    sock.sendall(frame("Wait", ids=ids))
                assert waiting.call("Status")["ready"]  # it has heard them; else so many as it is behind count, too

    come_and_go(30)  # what a daemon needs once, for the first of them
    before = anonymous(waiting)
    come_and_go(300)
    until(lambda: anonymous(waiting) - before < FEW, "the memory is given back")


def test_what_is_asked_behind_a_call_that_waits(waiting: GateEnv) -> None:
    """It is neither understood nor kept beyond a bound before its turn comes; then it is answered."""
    before = anonymous(waiting)
    bulk = {"ids": [[[[]]] * 25_000]}
    long = json.dumps({"method": f"{INTERFACE}.Show", "parameters": bulk}).encode() + b"\0"
    with clients(waiting, 40) as socks:
        for sock in socks:
            sock.sendall(frame("Wait", ids=[1]))
            try:
                for _ in range(30):
                    sock.sendall(long)
            except OSError:
                pass  # it was too much
        assert waiting.call("Status")["ready"]
        assert anonymous(waiting) - before < 40 * 512 * 1024 + FEW
    with clients(waiting, 1) as (sock,):
        sock.sendall(frame("Wait", ids=[1]) + frame("Show", id=2) * 50)
        waiting.call("Cancel", id=1)
        data = b""
        while data.count(b"\0") < 51:
            data += sock.recv(65536)
        answers = [json.loads(piece)["parameters"] for piece in data.split(b"\0")[:-1]]
    assert answers[0]["jobs"][0]["state"] == "cancelled"
    assert [answer["job"]["id"] for answer in answers[1:]] == [2] * 50


def test_an_answer_may_be_long(gate: GateEnv) -> None:
    """It is what was asked for; only what comes on top of it, unread, has a bound."""
    gate.drop("long.sh", "#!/bin/sh\nexit 0\n" + "# " + "x" * 900_000)
    gate.until_over(1)
    assert len(gate.call("Show", id=1)["spec"]["script"]) > 900_000
    with clients(gate, 1) as (sock,):
        sock.sendall(frame("Show", id=1) * 20)
        assert gate.call("Status")["ready"]
        data = b""
        while data.count(b"\0") < 20:
            piece = sock.recv(1024**2)
            assert piece, "the daemon hung up"
            data += piece


def test_many_expire_at_once(make_gate: Callable[..., GateEnv]) -> None:
    """More than are dealt with at once: one piece follows the other, and nobody has to ask."""
    gate = make_gate("workers: 1\nqueues: {default: {limit: 1}}\n")
    number = 2 * WOKEN + 500
    go = gate.scratch / "go"
    gate.drop("first.yaml", json.dumps({"name": "first", "command": f"until [ -e {go} ]; do sleep 0.05; done"}))
    gate.until_running("first")
    gate.drop("a.yaml", json.dumps([{"command": "true", "expires": "1s"}] * number))
    until(lambda: gate.status()["counts"]["cancelled"] == number, "all of them have expired", 60)
    gate.drop("b.yaml", json.dumps([{"command": "true", "delay": "1s"}] * number))
    until(lambda: gate.status()["counts"]["queued"] == number, "they wait", 60)
    until(lambda: "blocked" in gate.status()["text"] or gate.status()["oldest"], "their time has come", 60)
    go.touch()
    until(lambda: gate.status()["counts"]["succeeded"] > 10, "they run", 60)


def test_earlier_attempts(gate: GateEnv) -> None:
    gate.drop("a.yaml", "command: exit 1\nretry: {attempts: 4, delay: 0s}\n")
    gate.until_over(1)
    shown = gate.call("Show", id=1)
    assert [attempt["number"] for attempt in shown["attempts"]] == [1, 2, 3, 4]
    assert shown["earlier"] is None
    shown = gate.call("Show", id=1, limit=2)
    assert [attempt["number"] for attempt in shown["attempts"]] == [3, 4]
    shown = gate.call("Show", id=1, limit=2, before=shown["earlier"])
    assert [attempt["number"] for attempt in shown["attempts"]] == [1, 2]
    assert (shown["earlier"], shown["job"]["attempt"]) == (None, 4)
    text = gate.ctl("show", "1", "--before", "2").stdout.decode()
    assert text.count("failed") == 2, "the job, and its first attempt"


class SlowStore(SqliteStore):
    """A listing takes until it is let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[str] = []
        self.begun, self.let_go = threading.Event(), threading.Event()

    def list(self, after: int, limit: int, only: Filter) -> Page:
        self.asked.append(f"list {after}")
        self.begun.set()
        assert self.let_go.wait(30)
        return super().list(after, limit, only)

    def backlog(self, always: Sequence[str] = ()) -> Backlog:
        self.asked.append("backlog")
        return super().backlog(always)


Answers = list[Answer[Page] | Answer[Backlog]]
Slow = tuple[Reader, SlowStore, Answers]


def listing(after: int) -> Callable[[Questions], Page]:
    return lambda store: store.list(after, 1, Filter())


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    """A reader with one listing under way."""
    store, answers = SlowStore(tmp_path / "db"), Answers()
    reader = Reader(store, lambda: None)
    reader.start()
    reader.ask(listing(0), answers.append, lane="a")
    assert store.begun.wait(30)
    yield reader, store, answers
    store.let_go.set()
    assert reader.stop(30)


def answered(reader: Reader, answers: Answers, number: int) -> None:
    until(lambda: reader.deliver() or len(answers) >= number, f"{number} answers")


def test_one_listing_is_before_each_question_of_others(slow: Slow) -> None:
    reader, store, answers = slow
    for after in range(1, 21):
        reader.ask(listing(after), answers.append, lane="a")
    reader.ask(lambda store: store.backlog(), answers.append, lane="b")
    store.let_go.set()
    answered(reader, answers, 22)
    assert store.asked[:3] == ["list 0", "list 1", "backlog"]


def test_who_has_left_is_not_answered(slow: Slow) -> None:
    reader, store, answers = slow
    reader.ask(listing(1), answers.append, gone=lambda: True)
    reader.ask(lambda store: store.backlog(), answers.append)
    store.let_go.set()
    answered(reader, answers, 2)
    assert store.asked == ["list 0", "backlog"]


def test_a_stuck_question_is_noticed(slow: Slow) -> None:
    """And that it goes on; whatever waits behind it."""
    reader, store, answers = slow
    assert reader.responsive(), "for it has just begun"
    for after in range(1, 200):
        reader.ask(listing(after), answers.append, lane="a")
    assert not reader.responsive()
    store.let_go.set()
    until(reader.responsive, "it goes on")
    answered(reader, answers, 200)
    until(reader.responsive, "also when nobody asks")


class CountingStore(SqliteStore):
    """It counts how often it is asked for jobs."""

    fetched = 0

    def fetch(self, wanted: Mapping[Lane, int], known: Collection[int] = (), most: int = 1000) -> Found:
        self.fetched += 1
        return super().fetch(wanted, known, most)


def test_an_empty_queue_is_not_asked_again_and_again(tmp_path: Path) -> None:
    """More jobs are ready than one answer has: that says nothing of another lane."""
    layout = Layout.under(tmp_path)
    layout.state.mkdir()
    loop = Loop()
    store = CountingStore(layout.database)
    many = [Spec(command="true", queue="a")] * 1500
    store.add([Addition(claimed("claim"), 0, many, "x.tasks", "alice", 1000)])
    thread = StoreClient(store, loop.wake)
    loop.on_wake(thread.deliver)
    loop.at_end_of_turn(thread.flush)
    gate = Gate(Policy(2, 5000, {"b": 1}), all_lanes(store), lambda: 0.5)
    journal = Journal()
    ledger = Ledger(thread, journal, {})
    clock = store.clock.now
    conductor = Conductor(layout, loop, gate, thread, Roster(loop), ledger, journal, clock, lambda last: None)
    thread.start()
    try:
        loop.post(lambda: conductor.do(gate.reload(Policy(2, 5000, {"b": 1}))))
        while len(gate.ready) < 1500:
            loop.turn()
        asked = store.fetched

        def look(turns: int) -> None:
            thread.ask(lambda store: store.queued(), lambda answer: look(turns - 1) if turns else loop.stop())

        loop.post(lambda: conductor.do(gate.queued(Lane("b", "alice"), FIRST)))
        loop.post(lambda: look(5))
        loop.run()
        assert store.fetched - asked == 1
    finally:
        thread.stop(10)
        loop.close()
