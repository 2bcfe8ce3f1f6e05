"""Who may see and end whose jobs over the control socket: decided by the uid that the kernel gives."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskgated.ctl.client import CallError, Client
from tests.env import gate as gate_env
from tests.env.gate import GateEnv
from tests.env.opened import passable
from tests.env.until import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")

OWNER, OTHER = 65501, 65502
DENIED = "PermissionDenied"


def as_user(uid: int, gate: GateEnv, method: str, **parameters: Any) -> Any:
    """What that user is answered: the reply, or the error's name."""

    def call() -> Any:
        with Client(gate.layout.control_socket) as client:
            try:
                return client.call(method, **parameters)
            except CallError as error:
                return error.kind

    return gate_env.as_user(uid, call)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """For gates that other users have a way to."""
    with passable() as directory:
        yield directory


@pytest.fixture
def shared(make_gate: Callable[..., GateEnv]) -> Callable[[str], GateEnv]:
    """Makes a gate whose socket everybody may use, with one job of OWNER's that is over and one that runs."""

    def make(config: str) -> GateEnv:
        gate = make_gate(f"workers: 2\n{config}")
        gate.layout.control_socket.chmod(0o666)
        for name, command in (("over", "echo secret"), ("runs", "sleep 100")):
            staged = gate.root / "staged"
            staged.write_text(f"name: {name}\ncommand: {command}\n")
            os.chown(staged, OWNER, OWNER)
            staged.rename(gate.layout.spool / f"{name}.yaml")
            until(lambda name=name: gate.job(name), f"{name} is taken in")  # type: ignore[misc]
        gate.until_over(1)
        gate.until_running("runs")
        return gate

    return make


def number(gate: GateEnv, name: str) -> int:
    job = gate.job(name)
    assert job
    return int(job["id"])


def test_by_default_only_its_owner_and_root(shared: Callable[[str], GateEnv]) -> None:
    gate = shared("")
    over, runs = number(gate, "over"), number(gate, "runs")
    for uid, mine in ((OWNER, True), (OTHER, False), (0, True)):
        shown = as_user(uid, gate, "Show", id=over)
        assert (shown["spec"] is not None) is mine
        assert shown["job"]["owner"] == OWNER, "that it is there, everybody may know"
        logs = as_user(uid, gate, "Logs", id=over)
        assert (logs["data"] if mine else logs) == ("c2VjcmV0Cg==" if mine else DENIED)
        assert as_user(uid, gate, "Wait", ids=[over])["jobs"][0]["state"] == "succeeded"
    assert as_user(OTHER, gate, "Cancel", id=runs) == DENIED
    assert as_user(OTHER, gate, "Cancel", id=over) == DENIED
    running = gate.job("runs")
    assert running and running["state"] == "running"
    assert as_user(OWNER, gate, "Cancel", id=runs)["job"]["id"] == runs
    gate.until_over(2)
    assert as_user(OTHER, gate, "Cancel", id=99) == "NoSuchJob"


def test_what_a_job_has_written_of_what_it_waits_for_is_not_for_others(shared: Callable[[str], GateEnv]) -> None:
    gate = shared("")
    waits = "command: sleep 100\nlocks: {exclusive: [secret-lock]}\nkey: secret-key\n"
    secrets = {
        "has": waits,
        "waits": waits,
        "there": "command: 'true'\nrequires: {command: 'echo secret >&2; exit 3'}\n",
    }
    for name, text in secrets.items():
        staged = gate.root / "staged"
        staged.write_text(f"name: {name}\n{text}")
        os.chown(staged, OWNER, OWNER)
        staged.rename(gate.layout.spool / f"{name}.yaml")
        until(lambda name=name: gate.job(name), f"{name} is taken in")  # type: ignore[misc]
    for name in ("waits", "there"):
        job = number(gate, name)
        until(lambda job=job: "secret" in str(gate.call("Why", id=job)), "it is known what it waits for")  # type: ignore[misc]
        for uid, mine in ((OWNER, True), (OTHER, False), (0, True)):
            for answer in (as_user(uid, gate, "Why", id=job), as_user(uid, gate, "Show", id=job)):
                assert ("secret" in str(answer)) is mine, answer
                assert ("(not yours to see)" in str(answer)) is not mine, answer
                kinds = {one["kind"] for one in answer.get("reasons") or answer["waits_for"]}
                assert kinds >= ({"lock", "key"} if name == "waits" else {"requires"}), "that, everybody may know"


def test_the_words_of_a_failure_are_not_for_others(shared: Callable[[str], GateEnv]) -> None:
    """They quote the program, the directory, and the first line of the script."""
    gate = shared("")
    secrets = {
        "program": "command: [/opt/secret/program]\n",
        "directory": "command: 'true'\ncwd: /opt/secret\n",
        "script": "script: '#!/opt/secret/interpreter'\n",
    }
    for name, text in secrets.items():
        staged = gate.root / "staged"
        staged.write_text(f"name: {name}\n{text}")
        os.chown(staged, OWNER, OWNER)
        staged.rename(gate.layout.spool / f"{name}.yaml")
    gate.until_over(1 + len(secrets))
    for name in secrets:
        job = number(gate, name)
        for uid, mine in ((OWNER, True), (OTHER, False)):
            answers = [
                as_user(uid, gate, "Show", id=job),
                as_user(uid, gate, "List", after=job - 1, limit=1),
                as_user(uid, gate, "Wait", ids=[job]),
            ]
            for answer in answers:
                assert ("/opt/secret" in str(answer)) is mine, answer
            shown = answers[0]
            assert shown["job"]["state"] == "failed"
            assert shown["job"]["exit_code"] in (126, 127), "how it ended, everybody may know"
            if not mine:
                assert shown["job"]["reason"] == shown["attempts"][0]["message"] == "(not yours to see)"


def test_cancel_answers_by_the_same_rule(shared: Callable[[str], GateEnv]) -> None:
    gate = shared("access: {cancel: members}\n")
    cancelled = as_user(OTHER, gate, "Cancel", id=number(gate, "runs"))["job"]
    assert cancelled["owner"] == OWNER
    gate.until_over(2)
    assert as_user(OTHER, gate, "Show", id=cancelled["id"])["job"]["reason"] == "cancelled while it was running"


@pytest.mark.parametrize(
    ("verb", "parameters", "before", "state"),
    [
        ("Hold", {}, "", "held"),
        ("Release", {}, "Hold", "queued"),
        ("Retry", {}, "Cancel", "queued"),
        ("Move", {"queue": "default"}, "", "queued"),
        ("Prioritize", {"priority": 60}, "", "queued"),
    ],
)
def test_what_is_done_by_hand_is_for_whoever_may_end_it(
    shared: Callable[[str], GateEnv], verb: str, parameters: dict[str, object], before: str, state: str
) -> None:
    gate = shared("")
    staged = gate.root / "staged"
    staged.write_text("name: waits\ncommand: 'true'\ndelay: 1h\n")
    os.chown(staged, OWNER, OWNER)
    staged.rename(gate.layout.spool / "waits.yaml")
    job = until(lambda: gate.job("waits"), "it is taken in")["id"]
    gate.call("Pause")
    gate.layout.spool.chmod(0o777)
    if before:
        gate.call(before, id=job)
    assert as_user(OTHER, gate, verb, id=job, **parameters) == DENIED
    assert as_user(OWNER, gate, verb, id=job, **parameters)["job"]["state"] == state
    gate.configure("access: {cancel: members}\n")
    gate.call("Reload")
    assert as_user(OTHER, gate, verb, id=job, **parameters) != DENIED
    assert as_user(OTHER, gate, verb, id=99, **parameters) == "NoSuchJob"


def test_a_job_is_moved_where_its_owner_may_drop(shared: Callable[[str], GateEnv]) -> None:
    """Or by root, who knows."""
    gate = shared("queues: {closed: {}, open: {}}\n")
    gate.call("Pause")
    for queue, mode in (("closed", 0o755), ("open", 0o777)):
        (gate.layout.spool / queue).chmod(mode)
    staged = gate.root / "staged"
    staged.write_text("name: waits\ncommand: 'true'\n")
    os.chown(staged, OWNER, OWNER)
    staged.rename(gate.layout.spool / "waits.yaml")
    job = until(lambda: gate.job("waits"), "it is taken in")["id"]
    assert as_user(OWNER, gate, "Move", id=job, queue="closed") == "NotPossible"
    assert as_user(OWNER, gate, "Move", id=job, queue="open")["job"]["queue"] == "open"
    assert as_user(OWNER, gate, "Move", id=job, queue="none") == "NoSuchQueue"
    assert as_user(0, gate, "Move", id=job, queue="closed")["job"]["queue"] == "closed"


def test_members_where_the_configuration_says_so(shared: Callable[[str], GateEnv]) -> None:
    gate = shared("access: {see: members}\n")
    over, runs = number(gate, "over"), number(gate, "runs")
    assert as_user(OTHER, gate, "Logs", id=over)["data"] == "c2VjcmV0Cg=="
    assert as_user(OTHER, gate, "Show", id=over)["spec"] is not None
    assert as_user(OTHER, gate, "Cancel", id=runs) == DENIED
    gate.configure("access: {cancel: members}\n")
    assert as_user(0, gate, "Reload") == {"notes": []}
    assert as_user(OTHER, gate, "Logs", id=over) == DENIED
    assert as_user(OTHER, gate, "Cancel", id=runs)["job"]["id"] == runs


def test_what_operators_do_is_for_root(shared: Callable[[str], GateEnv]) -> None:
    gate = shared("")
    for method in ("Reload", "Pause", "Resume", "Limit"):
        assert as_user(OWNER, gate, method) == DENIED
    assert str(CallError("Reload", f"org.varlink.service.{DENIED}", {})).endswith("the user as whom taskgated runs")
    gate.configure("wurkers: 1\n")
    assert as_user(0, gate, "Reload") == "BadConfiguration"
    done = gate.ctl("reload")
    assert done.returncode == 1
    assert b"did you mean 'workers'?" in done.stderr
    assert not gate.status()["ready"], "what lies on disk would not start: that is a problem"
    gate.configure("workers: 1\n")
    assert gate.ctl("reload").returncode == 0
    assert gate.status()["ready"]


def test_a_signal_reloads_as_well_and_says_what_is_wrong(shared: Callable[[str], GateEnv]) -> None:
    gate = shared("")
    gate.configure("wurkers: 1\n")
    gate.signal(signal.SIGHUP)
    until(lambda: "did you mean 'workers'?" in gate.log(), "it is said")
    assert gate.status()["workers"]


def test_an_array_is_ended_by_the_same_rule_as_its_jobs(shared: Callable[[str], GateEnv]) -> None:
    gate = shared("")
    staged = gate.root / "staged"
    staged.write_text("name: many\ncommand: 'true'\ndelay: 1h\narray: {to: 3}\n")
    os.chown(staged, OWNER, OWNER)
    staged.rename(gate.layout.spool / "many.yaml")
    array = until(lambda: gate.job("many"), "it is taken in")["id"]
    assert as_user(OTHER, gate, "CancelArray", array=array) == DENIED
    assert gate.status()["counts"]["queued"] == 3
    assert as_user(OWNER, gate, "CancelArray", array=array) == {"cancelled": 3, "ending": 0, "coming": 0}
