"""What the journal is told: on a real datagram socket, by the native protocol."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskgated.journal import Event, Journal, Priority

REPOSITORY = Path(__file__).resolve().parents[1]


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
    journal.event(Event.FILE_REFUSED, "a\nMESSAGE_ID=b", source="x\ny")
    fields = parse(receiver.recv(65536))
    assert fields["MESSAGE"] == b"a\nMESSAGE_ID=b"
    assert fields["TASKGATE_SOURCE"] == b"x\ny"


def test_what_is_too_long_for_a_datagram_comes_as_a_sealed_file(receiver: socket.socket, journal: Journal) -> None:
    journal.event(Event.FILE_REFUSED, "x" * 5_000_000)
    data, (fd,), _, _ = socket.recv_fds(receiver, 10, 1)
    assert data == b""
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        assert parse(file.read())["MESSAGE"] == b"x" * 5_000_000


def test_a_journal_that_is_gone_or_full_harms_nobody(receiver: socket.socket, journal: Journal) -> None:
    assert journal._native is not None
    journal._native.settimeout(0.001)
    for _ in range(300):
        journal.event(Event.STARTED, "x" * 1000)
    receiver.close()
    journal.event(Event.STARTED, "x")


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
