"""A job's output on its way to the journal, over a real datagram socket."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.job import Output, Spec
from taskgated.events import Event
from taskgated.worker.tojournal import LONGEST, Lines, lines_of
from tests.host.test_journal import parse


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Journal:
    """The other end."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.sock.setblocking(False)
        self.entries: list[dict[str, bytes]] = []

    def listen(self) -> list[dict[str, bytes]]:
        while True:
            try:
                self.entries.append(parse(self.sock.recv(1 << 20)))
            except BlockingIOError:
                return self.entries

    def lines(self) -> list[bytes]:
        return [entry["MESSAGE"] for entry in self.listen() if "MESSAGE_ID" not in entry]

    def dropped(self) -> list[int]:
        texts = [e["MESSAGE"].decode() for e in self.listen() if e.get("MESSAGE_ID") == Event.OUTPUT_DROPPED.encode()]
        return [int(found[1]) for text in texts if (found := re.search(r": (\d+) lines", text))]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(str(tmp_path / "socket"))
    yield made
    made.sock.close()


def spec(rate: int = 100) -> Spec:
    return Spec(command="x", name="näme", queue="etl", output=Output(journal=True, journal_rate=rate))


def feed(lines: Lines, journal: Journal, line: bytes, times: int) -> None:
    """With somebody who listens: the socket's queue may be short (net.unix.max_dgram_qlen)."""
    for _ in range(times):
        lines.write(line)
        journal.listen()


def test_lines_with_the_fields_of_their_job(journal: Journal) -> None:
    lines = Lines(42, 3, spec(), journal.path)
    lines.write(b"one\ntw")
    lines.write(b"o\n\n\xff\x1b[1m")
    lines.finish()
    assert journal.lines() == [b"one", b"two", b"", b"\xff\x1b[1m"]
    assert journal.entries[0] == {
        "PRIORITY": b"6",
        "MESSAGE": b"one",
        "SYSLOG_IDENTIFIER": b"job-42",
        "TASKGATE_JOB_ID": b"42",
        "TASKGATE_JOB_NAME": "näme".encode(),
        "TASKGATE_QUEUE": b"etl",
        "TASKGATE_ATTEMPT": b"3",
    }


@given(chunks=st.lists(st.binary(max_size=3 * LONGEST), max_size=8))
def test_nothing_is_lost_or_made_up(chunks: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    journal = Journal(str(tmp_path_factory.mktemp("j") / "s"))
    try:
        lines = Lines(1, 1, spec(10_000), journal.path)
        seen: list[bytes] = []
        for chunk in chunks:
            lines.write(chunk)
            journal.listen()
        lines.finish()
        seen = journal.lines()
        assert all(len(line) <= LONGEST for line in seen)
        assert b"".join(seen) == b"".join(chunks).replace(b"\n", b"")
    finally:
        journal.sock.close()


def test_a_rate_with_a_burst_and_every_drop_is_told(journal: Journal) -> None:
    clock = Clock()
    lines = Lines(1, 1, spec(2), journal.path, clock)
    feed(lines, journal, b"a\n", 50)
    assert len(journal.lines()) == 20, "ten seconds' worth at once"
    assert journal.dropped() == []
    clock.now += 3
    feed(lines, journal, b"b\n", 10)
    assert journal.lines()[20:] == [b"b"] * 6
    assert journal.dropped() == [], "not after each gap: now and then"
    clock.now += 60
    feed(lines, journal, b"c\n", 10)
    assert journal.lines()[26:] == [b"c"] * 10
    assert journal.dropped() == [34]
    feed(lines, journal, b"d\n", 15)
    lines.finish()
    assert journal.dropped() == [34, 5]
    assert sum(journal.dropped()) + len(journal.lines()) == 85


def test_a_journal_that_hangs_holds_up_nobody(journal: Journal) -> None:
    """Its queue is full after a while; each second costs the job a tenth of one at most."""
    clock = Clock()
    lines = Lines(1, 1, spec(10_000), journal.path, clock)
    lines.write(b"x" * 1000 + b"\n")
    lines.write((b"x" * 1000 + b"\n") * 5000)
    heard = len(journal.listen())
    assert 0 < heard < 5000
    clock.now += 11
    lines.write(b"again\n")
    lines.finish()
    assert journal.lines()[-1] == b"again"
    assert sum(journal.dropped()) + len(journal.lines()) == 5002


def test_without_a_journal(tmp_path: Path) -> None:
    lines = Lines(1, 1, spec(), str(tmp_path / "none"))
    lines.write(b"x\n")
    lines.finish()


def test_without_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job starts all the same."""

    def none(*args: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("taskgated.worker.tojournal.socket.socket", none)
    lines = Lines(1, 1, spec())
    lines.write(b"x\n")
    lines.finish()


def test_only_for_those_who_ask() -> None:
    assert lines_of(1, 1, Spec(command="x")) is None
