"""A selection of what hostile people do, as tests; the rest is for the table."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import hostile
import races
from gate_env import GateEnv, until
from hostile import PATIENCE, connect, tell
from table import Row
from taskgated.control.gate import INTERFACE
from taskgated.control.varlink import CLIENTS

SEED = 4711
needs_users = pytest.mark.skipif(
    not races.attacks(), reason="needs root, setpriv, setfacl and a python for all users"
)


def clean(row: Row) -> None:
    assert row.clean, "\n".join((str(row), *row.notes))


def test_files() -> None:
    """All but the tiny ones, of which there are too many for a test."""
    kinds = [kind for kind in hostile.FILES if kind is not hostile.tiny_files]
    clean(hostile.siege("hostile files", kinds, random.Random(SEED), False))


def test_clients() -> None:
    kinds = [kind for kind in hostile.CLIENTS if kind is not hostile.impostors]
    clean(hostile.siege("hostile clients", kinds, random.Random(SEED), False))


def test_impostors() -> None:
    clean(hostile.siege("hostile clients", [hostile.impostors], random.Random(SEED), False))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_strangers() -> None:
    clean(hostile.siege("hostile clients", [hostile.strangers], random.Random(SEED), False))


@needs_users
@pytest.mark.parametrize("lease", [True, False])
def test_races(lease: bool) -> None:
    clean(races.race(random.Random(SEED), 500, lease))


@needs_users
@pytest.mark.parametrize("early", races.SQUATS)
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
        with hostile.connections(gate.layout.control_socket, 2 * CLIENTS):
            for _ in range(10):
                assert gate.call("Status")["ready"]
        waiting.settimeout(PATIENCE)
        assert b"jobs" in waiting.recv(65536)


# -- that the trials can fail --------------------------------------------------------------------


@needs_users
def test_a_secret_that_was_read_is_found() -> None:
    arena = races.Arena(True)
    try:
        assert arena.notes() == []
        (arena.layout.log / "1.out").write_text(f"it says {races.TOKEN}")
        os.link(arena.secrets[0], arena.layout.rejected / "linked")
        arena.secrets[1].unlink()
        found = " ".join(arena.notes())
    finally:
        assert arena.close() == []
    assert "secret was read: log/1.out" in found
    assert "secret was linked: spool/rejected/linked" in found
    assert "outside the spool has changed" in found


def test_a_daemon_that_dies_is_found() -> None:
    def murder(stage: hostile.Stage) -> None:
        stage.gate.kill()
        stage.honest()

    row = hostile.siege("murder", [murder, lambda stage: None], random.Random(SEED), False)
    assert row.tries == 2
    assert any("the daemon died" in note for note in row.notes)
    assert not row.lost, "what was accepted runs in the next daemon"
