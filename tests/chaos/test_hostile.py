"""A selection of what hostile people do, as tests; the rest is for the table."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.core.fixed import INTERFACE
from taskgated.host.processes import ProcessId
from taskgated.protocol.sockets import connect
from taskgated.protocol.varlink import CLIENTS
from tests.chaos import attacker, hostile, races
from tests.chaos.hostile_clients import connections, sockets, tell
from tests.chaos.hostile_files import tiny_files
from tests.chaos.hostile_handlers import mess_and_kills
from tests.chaos.impostors import impostors, strangers, victim
from tests.chaos.stage import PATIENCE, Stage, siege
from tests.chaos.table import Row
from tests.env.gate import GateEnv
from tests.env.until import until

SEED = 4711
impossible = races.impossible()
needs_users = pytest.mark.skipif(bool(impossible), reason=impossible)


def clean(row: Row) -> None:
    assert row.clean, "\n".join((str(row), *row.notes))


def test_files() -> None:
    """All but the tiny ones, of which there are too many for a test."""
    kinds = [kind for kind in hostile.FILES if kind is not tiny_files]
    clean(siege("hostile files", kinds, random.Random(SEED), False))


def test_a_mess_and_kills() -> None:
    clean(mess_and_kills(random.Random(SEED), False))


def test_clients() -> None:
    kinds = [kind for kind in hostile.CLIENTS if kind not in (impostors, strangers)]
    clean(siege("hostile clients", kinds, random.Random(SEED), False))


def test_impostors() -> None:
    clean(siege("hostile clients", [impostors], random.Random(SEED), False))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_strangers() -> None:
    clean(siege("hostile clients", [strangers], random.Random(SEED), False))


@needs_users
@pytest.mark.parametrize("lease", [True, False])
def test_races(lease: bool) -> None:
    clean(races.race(random.Random(SEED), 500, lease))


@needs_users
@pytest.mark.parametrize("early", attacker.SQUATS)
def test_names_taken_early(early: Callable[[Path, Path], None]) -> None:
    clean(races.squat(early))


# -- what was found, each by itself --------------------------------------------------------------


def test_garbage_behind_a_call_that_waits(gate: GateEnv) -> None:
    """It is read when the call before it is answered, by whoever answers that; the daemon must not die of it."""
    gate.drop("a.yaml", "command: sleep 0.5\n")
    until(gate.jobs, "the job is there")
    with connect(gate.layout.control_socket) as sock:
        tell(sock, json.dumps({"method": f"{INTERFACE}.Wait", "parameters": {"ids": [1]}}).encode() + b"\0{}\0")
        sock.settimeout(PATIENCE)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert json.loads(answer.rstrip(b"\0"))["parameters"]["jobs"][0]["id"] == 1
    assert gate.status()["ready"]


@pytest.mark.parametrize("name", [[], {}, 7])
def test_an_interface_that_is_no_name(gate: GateEnv, name: object) -> None:
    with connect(gate.layout.control_socket) as sock:
        ask = {"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": name}}
        tell(sock, json.dumps(ask).encode() + b"\0")
        sock.settimeout(PATIENCE)
        assert b"InterfaceNotFound" in sock.recv(65536)
    assert gate.status()["ready"]


def test_whoever_holds_all_connections_keeps_nobody_out(gate: GateEnv) -> None:
    """Silent ones go first; who waits for an answer stays."""
    gate.drop("a.yaml", "command: sleep 1\n")
    until(gate.jobs, "the job is there")
    with connect(gate.layout.control_socket) as waiting:
        tell(waiting, json.dumps({"method": f"{INTERFACE}.Wait", "parameters": {"ids": [1]}}).encode() + b"\0")
        assert gate.call("Status")["ready"], "and so the call before has been read"
        with connections(gate.layout.control_socket, 2 * CLIENTS):
            for _ in range(10):
                assert gate.call("Status")["ready"]
        waiting.settimeout(PATIENCE)
        assert b"jobs" in waiting.recv(65536)


@needs_users
def test_only_its_own_user_is_a_worker_not_even_root() -> None:
    """And whoever may use the control socket may not what the service's user and root may."""
    arena = races.Arena(True)
    try:
        arena.start()
        with connect(arena.layout.worker_socket) as sock:
            own = ProcessId.own()
            hello = {"protocol": 1, "pid": own.pid, "start": own.start, "boot": own.boot}
            tell(sock, json.dumps({"hello": hello}).encode() + b"\0")
            try:
                assert sock.recv(1) == b""
            except ConnectionResetError:
                pass  # it was not even read
        assert own.pid not in [worker["pid"] for worker in arena.gate.status()["workers"]]
        assert "notes" in arena.gate.call("Reload"), "root may"
        assert arena.verdict() == []
    finally:
        assert arena.close() == []


# -- that the trials can fail --------------------------------------------------------------------


@needs_users
def test_a_secret_that_was_read_is_found() -> None:
    arena = races.Arena(True)
    try:
        arena.start()
        assert arena.verdict() == []
        (arena.layout.log / "1.out").write_text(f"it says {races.TOKEN}")
        os.link(arena.secrets[0], arena.layout.rejected / "linked")
        (arena.layout.rejected / "linked").read_bytes()
        os.listdir(arena.outside)
        arena.secrets[1].unlink()
        found = "\n".join(arena.verdict())
    finally:
        left = arena.close()
    assert "secret was read: log/1.out" in found
    assert "secret was linked: spool/rejected/linked" in found
    assert "refused without a reason: linked.reason" in found
    assert "outside the spool has changed" in found
    for touched in ("secret was opened", "secret was read", "outside was opened", "secret.tasks was deleted"):
        assert f"outside the spool {touched}" in found
    assert left == ["log/1.out"]


@needs_users
def test_a_race_in_which_the_gate_meets_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacker, "WAYS", (lambda *_: None,) * len(attacker.WAYS))
    row = races.race(random.Random(SEED), 5, True)
    assert "the gate has met none of the attacker's" in " ".join(row.notes)


def test_a_daemon_that_dies_is_found() -> None:
    def murder(stage: Stage) -> None:
        stage.gate.kill()
        stage.honest()

    row = siege("murder", [murder, lambda stage: None], random.Random(SEED), False)
    assert row.tries == 2
    assert any("the daemon died" in note for note in row.notes)
    assert not row.lost, "what was accepted runs in the next daemon"


def test_what_happens_to_a_victim_is_found() -> None:
    def cancel(stage: Stage) -> None:
        with victim(stage, "cancelled") as job:
            stage.gate.call("Cancel", id=job.id)
            until(lambda: stage.gate.call("Show", id=job.id)["job"]["state"] == "cancelled", "it is cancelled")

    def help_out(stage: Stage) -> None:
        with victim(stage, "ended") as job:
            job.release()
            until(lambda: job.words() == ["start", "end"], "it has ended")
            stage.gate.call("Wait", ids=[job.id])

    row = siege("victims", [cancel, help_out], random.Random(SEED), False)
    assert [note.partition(":")[0] for note in row.notes] == ["cancel", "help out"], row.notes


def test_what_is_left_and_what_goes_wrong_is_in_the_row() -> None:
    def leave(stage: Stage) -> None:
        (stage.gate.layout.outcomes / "1.1").touch()
        (stage.gate.layout.rejected / "nobody").touch()
        (stage.gate.layout.run / "socket").touch()

    def stumble(stage: Stage) -> None:
        raise KeyError("stumbled")

    row = siege("left", [leave, stumble], random.Random(SEED), False)
    assert row.left == 3
    found = "\n".join(row.notes)
    for path in ("state/outcomes/1.1", "spool/rejected/nobody", "run/socket"):
        assert f"left behind: {path}" in found
    assert "KeyError: 'stumbled'" in found


def test_a_gate_that_does_not_start_is_a_row() -> None:
    class Broken(Stage):
        def start(self) -> None:
            self.gate.configure("wurkers: 2\n")
            self.gate.launch()
            assert not self.gate.wait(), "it does not start"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.chaos.stage.Stage", Broken)
        row = siege("broken", hostile.FILES, random.Random(SEED), False)
    assert "it does not start" in row.notes[0]


def test_all_sockets_are_attacked() -> None:
    stage = Stage(random.Random(SEED), False)
    try:
        stage.start()
        assert sorted(stage.gate.layout.run.iterdir()) == sorted(sockets(stage))
    finally:
        stage.close()
