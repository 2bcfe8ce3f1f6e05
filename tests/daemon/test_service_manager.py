"""Speaking to the service manager: on real datagram sockets, with the real daemon."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskgated.host.systemd import Systemd
from taskgated.store.sqlite.sqlfiles import migrations
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]


class Manager:
    """The manager's end: collects what it is told."""

    def __init__(self, address: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.sock.setblocking(False)
        self.env = {"NOTIFY_SOCKET": address}
        self.heard: list[dict[str, str]] = []

    def listen(self) -> list[dict[str, str]]:
        while True:
            try:
                data = self.sock.recv(65536).decode()
            except BlockingIOError:
                return self.heard
            self.heard.append(dict(line.split("=", 1) for line in data.splitlines()))

    def count(self, key: str) -> int:
        return sum(key in message for message in self.listen())

    def until(self, key: str, times: int = 1) -> None:
        try:
            until(lambda: self.count(key) >= times, f"{key} is said {times} times")
        except AssertionError as error:
            raise AssertionError(f"{error}; heard {self.heard}") from None


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@taskgated-test-{os.getpid()}"
    made = Manager(address)
    yield made
    made.sock.close()


def test_the_whole_life(make_gate: MakeGate, manager: Manager) -> None:
    gate = make_gate(start=False)
    # Within one interval each part has to answer, or the status says that it does not: long enough for a busy host.
    gate.start({**manager.env, "WATCHDOG_USEC": "2000000"})
    manager.until("READY")
    ready = next(message for message in manager.heard if "READY" in message)
    assert re.fullmatch(r"running 0 of 2, 0 queued", ready["STATUS"])
    manager.until("WATCHDOG", 3)
    go = gate.root / "go"
    gate.drop("a.yaml", f"name: a\ncommand: [sh, -c, 'until [ -e {go} ]; do sleep 0.05; done']\n")
    gate.until_running("a")
    until(lambda: any("running 1 of 2" in m.get("STATUS", "") for m in manager.listen()), "the status tells")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    gate.signal(signal.SIGHUP)
    manager.until("RELOADING")
    reloading = next(message for message in manager.heard if "RELOADING" in message)
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.until("READY", 2)
    gate.signal(signal.SIGTERM)
    manager.until("STOPPING")
    manager.until("EXTEND_TIMEOUT_USEC")
    pings = manager.count("WATCHDOG")
    manager.until("WATCHDOG", pings + 1)
    go.touch()
    assert gate.wait() == 0


def test_not_ready_before_workers_are_up(make_gate: MakeGate, manager: Manager) -> None:
    gate = make_gate(start=False)
    broken = gate.root / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys, time\nif 'taskgated.worker' in ' '.join(sys.orig_argv): time.sleep(1.5)\n"
    )
    path = f"{broken}:{REPOSITORY}"
    gate.launch({**manager.env, "PYTHONPATH": path})
    until(lambda: gate.status()["workers"] == [] and gate.layout.control_socket.exists(), "it serves control")
    assert manager.count("READY") == 0
    assert gate.ctl("status").returncode == 1
    manager.until("READY")
    assert gate.status()["workers"]


IMPATIENT = """\
import sys
if "taskgated" in sys.orig_argv:
    from taskgated.daemon import starting
    from taskgated.store.sqlite import database
    starting.PATIENCE = 2.0
    database.OPERATIONS = 1000
"""


class TestAStartThatTakesLong:
    """Whoever started the gate is not kept waiting for ever, whatever the gate waits for."""

    @pytest.fixture
    def impatient(self, tmp_path: Path, manager: Manager) -> dict[str, str]:
        directory = tmp_path / "hook"
        directory.mkdir()
        (directory / "sitecustomize.py").write_text(IMPATIENT)
        path = f"{directory}:{REPOSITORY}"
        return {**manager.env, "WATCHDOG_USEC": "400000", "PYTHONPATH": path}

    def test_a_database_of_an_earlier_version_has_the_time_that_it_takes(
        self, make_gate: MakeGate, manager: Manager, impatient: dict[str, str]
    ) -> None:
        gate = make_gate(start=False)
        gate.layout.state.mkdir(0o700)
        with sqlite3.connect(gate.layout.database) as db:
            db.executescript(migrations()[0][1])
            db.execute("PRAGMA user_version = 1")
            db.executemany(
                "INSERT INTO jobs (state, queue, priority, name, source, owner, submitted, finished, spec)"
                " VALUES ('failed', 'default', 50, x'61', x'61', 0, 5, ?, '{}')",
                [(n,) for n in range(1000)],
            )
        db.close()
        gate.start(impatient)
        manager.until("READY")
        assert manager.heard[0] == {"EXTEND_TIMEOUT_USEC": "60000000"}
        assert "the database is being brought up to date" in manager.heard[1]["STATUS"]

    def test_it_is_over_and_the_gate_goes_on_trying(
        self, make_gate: MakeGate, manager: Manager, impatient: dict[str, str]
    ) -> None:
        gate = make_gate(start=False)
        gate.layout.spool.mkdir()
        gate.layout.claims.touch()  # a file where a directory is to be: nothing can be taken in
        gate.launch(impatient)
        manager.until("READY")
        (ready,) = [message for message in manager.heard if "READY" in message]
        assert ready["STATUS"].startswith("started, but not ready; ")
        assert ".claims" in ready["STATUS"]
        assert manager.count("EXTEND_TIMEOUT_USEC") > 1, "it asked for time until then"
        before = manager.count("EXTEND_TIMEOUT_USEC")
        status = gate.status()
        assert (status["ready"], gate.ctl("status").returncode) == (False, 1)
        assert ".claims" in " ".join(status["problems"])
        pings = manager.count("WATCHDOG")
        manager.until("WATCHDOG", pings + 3)
        assert manager.count("EXTEND_TIMEOUT_USEC") == before
        assert manager.count("READY") == 1
        gate.layout.claims.unlink()
        manager.until("READY", 2)
        assert gate.status()["ready"], "by itself"
        gate.signal(signal.SIGHUP)
        manager.until("RELOADING")
        manager.until("READY", 3)

    def test_it_says_what_is_missing_where_nothing_is_wrong(
        self, make_gate: MakeGate, manager: Manager, impatient: dict[str, str]
    ) -> None:
        gate = make_gate(start=False)
        hook = Path(impatient["PYTHONPATH"].partition(":")[0]) / "sitecustomize.py"
        go = gate.root / "go"
        slow = (
            "import os, time\nwhile 'taskgated.worker' in sys.orig_argv and not os.path.exists(os.environ['GO']):\n"
        )
        hook.write_text(f"{IMPATIENT}{slow}    time.sleep(0.05)\n")
        gate.launch({**impatient, "GO": str(go), "WATCHDOG_USEC": "6000000"})
        manager.until("READY")
        assert "no worker has come yet" in " ".join(gate.status()["problems"])
        go.touch()
        until(lambda: gate.status()["ready"], "it is ready")
        assert gate.status()["problems"] == []


def test_no_ping_for_a_worker_server_that_hangs(make_gate: MakeGate, manager: Manager) -> None:
    """It is said, it is replaced, and the pings come back."""
    gate = make_gate(start=False)
    gate.start({**manager.env, "WATCHDOG_USEC": "400000"})
    manager.until("WATCHDOG", 2)
    server = gate.server()
    os.kill(server, signal.SIGSTOP)
    until(lambda: "worker server does not answer" in gate.log(), "it is noticed")
    until(lambda: "starting another" in gate.log(), "it is replaced")
    pings = manager.count("WATCHDOG")
    manager.until("WATCHDOG", pings + 2)
    assert gate.server() != server


def test_the_watchdog_of_another_process(make_gate: MakeGate, manager: Manager) -> None:
    gate = make_gate(start=False)
    gate.start({**manager.env, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    gate.drop("a.yaml", "command: sleep 1\n")
    gate.until_over(1)
    assert manager.count("WATCHDOG") == 0


def test_jobs_and_workers_know_nothing_of_it(make_gate: MakeGate, manager: Manager) -> None:
    gate = make_gate(start=False)
    gate.start({**manager.env, "WATCHDOG_USEC": "30000000"})
    gate.drop("a.yaml", "name: a\ncommand: env; sleep 2\n")
    gate.until_running("a")
    daemon = gate.process
    assert daemon
    for pid in gate.processes():
        if pid != daemon.pid:
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
            assert b"WATCHDOG" not in Path(f"/proc/{pid}/environ").read_bytes()


class TestMessenger:
    def test_any_text_survives(self, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
        """The library encodes latin-1 and swallows the error: a message with a dash would vanish whole."""
        monkeypatch.setenv("NOTIFY_SOCKET", manager.env["NOTIFY_SOCKET"])
        Systemd().ready("läuft – \U0001f600\nzweite Zeile")
        assert manager.listen() == [{"READY": "1", "STATUS": "läuft – \U0001f600\\nzweite Zeile"}]

    def test_a_full_queue_blocks_nobody(self, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.env["NOTIFY_SOCKET"])
        monkeypatch.setattr("taskgated.host.systemd.TIMEOUT", 0.001)
        systemd = Systemd()
        for _ in range(1000):
            systemd.extend(1)
        assert 0 < len(manager.listen()) < 1000

    def test_what_it_had_no_room_for_is_said_as_soon_as_it_has(
        self, manager: Manager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The manager waits for some of it; of a kind the last word is what counts."""
        monkeypatch.setenv("NOTIFY_SOCKET", manager.env["NOTIFY_SOCKET"])
        monkeypatch.setattr("taskgated.host.systemd.TIMEOUT", 0.001)
        systemd = Systemd()
        for _ in range(1000):
            systemd.extend(1)
        systemd.ready("one")
        systemd.reloading()
        systemd.ready("two")
        systemd.status("three")
        systemd.alive()
        manager.listen()
        manager.heard.clear()
        systemd.status("three")
        said = [sorted(message) for message in manager.listen()]
        assert said == [["MONOTONIC_USEC", "RELOADING"], ["READY", "STATUS"], ["STATUS"]]
        assert [message.get("STATUS") for message in manager.heard] == [None, "two", "three"]
        systemd.status("three")
        assert len(manager.listen()) == 3, "each of it once"

    def test_a_manager_that_is_busy_hears_that_the_gate_is_ready(self, make_gate: MakeGate, manager: Manager) -> None:
        gate = make_gate(start=False)
        noise = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        noise.setblocking(False)
        noise.connect(manager.sock.getsockname())
        with noise, pytest.raises(BlockingIOError):
            while True:
                noise.send(b"NOISE=1")
        gate.start({**manager.env, "WATCHDOG_USEC": "400000"})
        manager.until("READY")
        manager.until("WATCHDOG", 2)
        assert manager.count("READY") == 1

    def test_nobody_there(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
        Systemd().ready("x")
        monkeypatch.delenv("NOTIFY_SOCKET")
        assert not Systemd().managed
