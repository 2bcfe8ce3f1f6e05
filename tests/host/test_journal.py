"""What the journal is told: on a real datagram socket, by the native protocol."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from taskgated.events import Event
from taskgated.host.journal import PATIENCE, Journal, Priority
from taskgated.host.outlet import BOUND
from taskgated.worker import worker
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "socket"))
    sock.settimeout(5)
    yield sock
    sock.close()


@pytest.fixture
def journal(receiver: socket.socket) -> Iterator[Journal]:
    made = Journal(receiver.getsockname())
    yield made
    made.close()


def parse(data: bytes) -> dict[str, bytes]:
    """The native protocol: ``NAME=value`` lines, or name, length and value."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
            data = rest
        else:
            name = line
            (length,) = struct.unpack("<Q", rest[:8])
            value, data = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[name.decode()] = value
    return fields


def test_the_fields_of_an_event(receiver: socket.socket, journal: Journal) -> None:
    journal.event(
        Event.JOB_FAILED, "job 42 failed", Priority.WARNING,
        job_id=42, job_name="n\udcff", queue="etl", attempt=2, outcome="failed", signal=None,
    )  # fmt: skip
    journal.flush()
    assert parse(receiver.recv(65536)) == {
        "MESSAGE": b"job 42 failed",
        "PRIORITY": b"4",
        "MESSAGE_ID": Event.JOB_FAILED.value.encode(),
        "SYSLOG_IDENTIFIER": b"taskgated",
        "TASKGATE_JOB_ID": b"42",
        "TASKGATE_JOB_NAME": b"n\xff",
        "TASKGATE_QUEUE": b"etl",
        "TASKGATE_ATTEMPT": b"2",
        "TASKGATE_OUTCOME": b"failed",
    }


def test_several_lines(receiver: socket.socket, journal: Journal) -> None:
    journal.event(Event.FILE_REFUSED, "a\nMESSAGE_ID=b", more=["c\n", "d"], source="x\ny")
    journal.flush()
    fields = parse(receiver.recv(65536))
    assert fields["MESSAGE"] == b"a\\nMESSAGE_ID=b\nc\\n\nd", "only what is ours ends a line"
    assert fields["TASKGATE_SOURCE"] == b"x\ny"


def test_what_is_too_long_for_a_datagram_comes_as_a_sealed_file(receiver: socket.socket, journal: Journal) -> None:
    journal.event(Event.FILE_REFUSED, "x" * 5_000_000)
    journal.flush()
    data, (fd,), _, _ = socket.recv_fds(receiver, 10, 1)
    assert data == b""
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        assert parse(file.read())["MESSAGE"] == b"x" * 5_000_000


def tell(journal: Journal, numbers: Iterable[int], size: int = 0) -> None:
    """Events with a number; not one of them is waited for."""
    began = time.monotonic()
    for number in numbers:
        journal.event(Event.STARTED, f"{number} {'x' * size}", job_id=number)
        journal.flush()
    assert time.monotonic() - began < 10, "who tells has to wait"


def heard(receiver: socket.socket, last: int) -> list[int]:
    """The numbers of the events as they come, until that one; and those that are missing, as one negative number."""
    found: list[int] = []
    while last not in found and (not found or found[-1] >= 0):
        fields = parse(receiver.recv(1 << 20))
        if fields["MESSAGE_ID"] == Event.EVENTS_MISSING.value.encode():
            found.append(-int(fields["MESSAGE"].split()[0]))
        else:
            found.append(int(fields["TASKGATE_JOB_ID"]))
    return found


def test_a_journal_that_hangs_keeps_nobody_waiting(receiver: socket.socket, journal: Journal) -> None:
    """And gets all of it when it goes on, in order."""
    tell(journal, range(5000))
    assert heard(receiver, 4999) == list(range(5000))


def test_what_a_journal_that_hangs_makes_us_drop_is_counted(receiver: socket.socket, journal: Journal) -> None:
    size = 10_000
    told = 4 * BOUND // size
    tell(journal, range(told), size)
    assert journal._to_journal is not None and journal._to_journal._size <= BOUND
    at = 0
    came: list[int] = []
    while at < told:  # there is more than one gap where the first events went out while the last ones came
        for number in heard(receiver, told - 1):
            assert number < 0 or number == at, "each has come, or is counted, in order"
            at += 1 if number >= 0 else -number
            came.append(number)
    assert at == told
    assert min(came) < 0
    assert len(came) * size > BOUND / 2
    tell(journal, [told])
    assert heard(receiver, told) == [told]


def test_without_room_for_a_thread_the_journal_hears_it_later(
    receiver: socket.socket, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that forks without end takes all processes (pids.max); the daemon must not end for what it tells."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        tell(journal, [0])
    tell(journal, [1])
    assert heard(receiver, 1) == [0, 1]


def test_a_journal_that_is_started_again_has_missed_nothing(tmp_path: Path, journal: Journal) -> None:
    receiver_path = tmp_path / "socket"
    receiver_path.unlink()
    tell(journal, range(100))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another:
        another.bind(str(receiver_path))
        another.settimeout(30)
        assert heard(another, 99) == list(range(100))


def test_the_end_does_not_wait_for_a_journal_that_hangs(receiver: socket.socket) -> None:
    journal = Journal(receiver.getsockname())
    tell(journal, range(5000))
    began = time.monotonic()
    journal.close()
    assert PATIENCE / 2 < time.monotonic() - began < PATIENCE + 20, "it is given some time"
    heard(receiver, 0)


def test_a_standard_error_that_nobody_reads_holds_nothing_up(make_gate: MakeGate) -> None:
    """It is a pipe, and full. What was said comes when somebody reads it; the end does not wait for that."""
    gate = make_gate("workers: 2\n", start=False)
    os.mkfifo(gate.root / "daemon.log")
    reader = os.open(gate.root / "daemon.log", os.O_RDONLY | os.O_NONBLOCK)
    gate.start()
    gate.drop("a.tasks", "true\n" * 600)
    gate.until_over(600)
    assert gate.status()["ready"]
    said = b""

    def all_said() -> bool:
        nonlocal said
        while True:
            try:
                said += os.read(reader, 65536)
            except BlockingIOError:
                return said.count(b": succeeded after") == 600

    until(all_said, "all that was said is there")
    assert said.count(b": started on worker") == 600
    gate.drop("b.tasks", "true\n" * 600)
    gate.until_over(1200)
    assert gate.stop() == 0
    os.close(reader)


def test_a_standard_error_that_is_closed_harms_nobody(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 2\n", start=False)
    os.mkfifo(gate.root / "daemon.log")
    reader = os.open(gate.root / "daemon.log", os.O_RDONLY | os.O_NONBLOCK)
    gate.start()
    os.close(reader)
    gate.drop("a.tasks", "true\n" * 100)
    gate.until_over(100)
    assert gate.stop() == 0


def test_a_worker_does_not_wait_to_say_something() -> None:
    """Who looks after a job has no time for a pipe that is full."""
    reader, writer = os.pipe()
    stderr = os.dup(2)
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    os.dup2(writer, 2)
    try:
        worker._say("not heard")
        os.read(reader, 65536)
        worker._say("heard")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read()
    assert said.endswith(b": heard\n") and b"not heard" not in said


def test_plain_lines_without_a_journal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    journal = Journal(str(tmp_path / "none"))
    journal.event(Event.STARTED, "name \x1b[31m\udcff ends")
    journal.event(Event.STARTED, "second")
    journal.close()
    lines = os.fsencode(capfd.readouterr().err).splitlines()
    assert len(lines) == 2
    assert b"\x1b" not in lines[0]
    assert rb"\x1b[31m" in lines[0]


@pytest.mark.parametrize("same", [False, True])
def test_said_once_where_standard_error_is_the_journal(
    receiver: socket.socket, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], same: bool
) -> None:
    status = os.fstat(2)
    stream = f"{status.st_dev}:{status.st_ino}" if same else "1:2"
    monkeypatch.setenv("JOURNAL_STREAM", stream)
    journal = Journal(receiver.getsockname())
    journal.event(Event.STARTED, "hello")
    journal.close()
    assert parse(receiver.recv(65536))["MESSAGE"] == b"hello"
    assert ("hello" in capfd.readouterr().err) is not same


def test_every_event_has_its_entry_in_the_catalog() -> None:
    text = (REPOSITORY / "systemd" / "taskgated.catalog").read_text()
    entries = re.findall(
        r"^-- ([0-9a-f]{32})\nSubject: .+\nDefined-By: taskgated\nSupport: \S+\n\n\S", text, re.MULTILINE
    )
    assert sorted(entries) == sorted(event.value for event in Event)
    assert len(set(entries)) == len(entries)
