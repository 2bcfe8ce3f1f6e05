"""The command speaks with a daemon of the first version, which leaves out what was added later. What is no daemon of
ours it does not take for one."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskgated.ctl import __main__ as ctl
from taskgated.ctl import show
from taskgated.ctl.verb import Exit
from taskgated.errors import ProtocolError
from taskgated.host.paths import Layout
from taskgated.protocol.replies import ShownJob

Answering = Callable[[dict[str, object]], None]

JOB: ShownJob = {
    "id": 7,
    "name": "a",
    "queue": "default",
    "state": "failed",
    "priority": 50,
    "attempt": 0,
    "failures": 0,
    "exit_code": 3,
    "signal": None,
    "result": None,
    "reason": "",
    "source": "a.yaml",
    "owner": 0,
    "submitted": "2026-01-01T00:00:00.000000Z",
    "started": None,
    "finished": None,
    "due": None,
}


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answering]:
    """A daemon that has one reply, to all that it is asked on one connection."""
    path = Layout.under(tmp_path).control_socket
    path.parent.mkdir(parents=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(10)
    threads: list[threading.Thread] = []

    def serve(reply: dict[str, object]) -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(65536):
                connection.sendall(json.dumps(reply).encode() + b"\0")

    def answer(reply: dict[str, object]) -> None:
        threads.append(threading.Thread(target=serve, args=[reply]))
        threads[-1].start()

    yield answer
    for thread in threads:
        thread.join()
    listener.close()


@pytest.mark.parametrize(
    ("argv", "reply", "said"),
    [
        (
            ["status"],
            {
                "ready": True, "text": "idle", "version": "0.1.0", "pid": 1, "counts": {}, "workers": [],
                "queues": [], "ready_queue": [], "oldest": None, "problems": [],
            },
            "taskgated 0.1.0 (pid 1): ready",
        ),
        (["show", "7"], {"job": JOB, "attempts": [], "spec": None, "waits_for": []}, "(not yours to see)"),
        (["logs", "-f", "7"], {"attempt": 1, "data": "", "next": 0, "over": True}, ""),
        (["reload"], {}, "configuration reloaded"),
    ],
)  # fmt: skip
def test_what_was_added_later_is_not_missed(
    tmp_path: Path,
    answering: Answering,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    reply: dict[str, object],
    said: str,
) -> None:
    answering({"parameters": reply})
    assert ctl.main(["--root", str(tmp_path), *argv]) == Exit.OK
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("reply", [{"parameters": {"jobs": []}}, {"parameters": []}, {"parameters": None}, {}])
def test_what_is_no_reply_is_refused(tmp_path: Path, answering: Answering, reply: dict[str, object]) -> None:
    answering(reply)
    with pytest.raises(ProtocolError):
        ctl.main(["--root", str(tmp_path), "list"])


@pytest.mark.parametrize(
    ("said", "shown"), [({}, "uid 7"), ({"user": "7"}, "uid 7"), ({"user": "alice"}, "alice (uid 7)")]
)
def test_whose_a_job_is_also_of_a_daemon_that_has_no_names(said: ShownJob, shown: str) -> None:
    assert show._whose({**JOB, **said, "owner": 7}) == shown
