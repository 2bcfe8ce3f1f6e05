"""What limits how many jobs run at once, beside the limit of a queue: audited from what the jobs themselves wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop files of several users")

NOBODY, ANOTHER = 65534, 12345
MEETS = "echo + $TASKGATE_JOB_NAME >> {0}/log; sleep 0.2; echo - $TASKGATE_JOB_NAME >> {0}/log"


def drop(gate: GateEnv, name: str, jobs: int, owner: int, queue: str = "default") -> None:
    one = f"{{name: {name}, queue: {queue}, command: '{MEETS.format(gate.scratch)}'}}\n"
    staged = gate.root / f"{name}.yaml"
    staged.write_text("".join(f"- {one}" for _ in range(jobs)))
    os.chown(staged, owner, owner)
    os.rename(staged, gate.layout.spool / staged.name)


def most(gate: GateEnv, *names: str) -> int:
    """How many jobs of these names ran at once, at most."""
    running, found = Counter[str](), 0
    for line in gate.lines("log"):
        sign, name = line.split()
        running[name] += 1 if sign == "+" else -1
        found = max(found, sum(running[name] for name in names))
    return found


def test_a_user_runs_so_many_at_once_and_no_more(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 4\nuser_limit: 2\nusers: {nobody: {limit: 1}}\n")
    drop(gate, "mine", 5, ANOTHER)
    drop(gate, "theirs", 3, 65534)
    gate.until_over(8)
    assert (most(gate, "mine"), most(gate, "theirs")) == (2, 1)


def test_those_of_others_go_before_one_that_must_wait(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\nready_queue: 1\nuser_limit: 1\n")
    drop(gate, "mine", 200, ANOTHER)
    until(lambda: gate.job("mine"), "they are taken in")
    drop(gate, "theirs", 1, NOBODY)
    until(lambda: any(job["name"] == "theirs" and job["state"] == "succeeded" for job in gate.jobs()), "it has run")
    assert most(gate, "mine", "theirs") == 2
    assert len(gate.lines("log")) < 60, "it did not wait for those that came before"


def test_a_queue_has_a_limit_for_each_user_and_all_queues_have_one(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 6\nlimit: 3\nqueues: {etl: {user_limit: 1}}\n")
    (gate.layout.spool / "etl").chmod(0o1777)
    drop(gate, "mine", 4, ANOTHER, "etl")
    drop(gate, "theirs", 4, NOBODY, "etl")
    drop(gate, "others", 6, ANOTHER)
    gate.until_over(14)
    assert (most(gate, "mine"), most(gate, "theirs"), most(gate, "mine", "theirs", "others")) == (1, 1, 3)


def test_it_says_why_and_a_reload_lets_it_go(make_gate: Callable[..., GateEnv]) -> None:
    limits = "user_limit: 1\nlimit: 2\nqueues: {default: {user_limit: 1}}\n"
    gate = make_gate(f"workers: 3\n{limits}")
    waits = f"{{name: NAME, command: 'until [ -e {gate.scratch}/go ]; do sleep 0.05; done'}}"
    for name in ("first", "second"):
        gate.drop(f"{name}.yaml", waits.replace("NAME", name))
        until(lambda name=name: gate.job(name), "it is taken in")  # type: ignore[misc]
    gate.until_running("first")
    assert [reason["text"] for reason in gate.call("Show", id=2)["waits_for"]] == [
        "root runs 1 of at most 1 in queue default",
        "root runs 1 of at most 1, over all queues",
    ]
    reasons = gate.ctl_json("why", "2")["reasons"]
    assert [(reason["kind"], reason.get("queue")) for reason in reasons] == [
        ("user_limit", "default"),
        ("user_limit", None),
    ]
    gate.configure("workers: 3\nlimit: 1\n")
    notes = gate.call("Reload")["notes"]
    assert "the user_limit of 1 is lifted, as it is not in the configuration any more" in notes
    (reason,) = gate.ctl_json("why", "2")["reasons"]
    assert (reason["kind"], reason["running"], reason["limit"]) == ("limit", 1, 1)
    gate.configure("workers: 3\n")
    gate.call("Reload")
    gate.until_running("second")
    (gate.scratch / "go").touch()
    gate.until_over(2)


def test_a_user_of_whom_the_host_does_not_know_is_told_of(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 1\nusers: {no-such-user: {limit: 1}, root: {limit: 1}, '4321': {limit: 1}}\n")
    told = "users: no-such-user: this host knows no such user; what is said here holds as soon as it does"
    assert told in gate.status()["notes"]
    assert gate.call("Reload")["notes"] == [told]
    check = [sys.executable, "-m", "taskgated", "--root", str(gate.root), "--check"]
    assert f"note: {told}\n" in subprocess.run(check, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("strict", [False, True])
def test_a_strict_queue_keeps_its_order(make_gate: Callable[..., GateEnv], *, strict: bool) -> None:
    gate = make_gate(f"workers: 3\nuser_limit: 1\nqueues: {{default: {{strict: {str(strict).lower()}}}}}\n")
    gate.drop("a.yaml", f"{{name: first, command: 'until [ -e {gate.scratch}/go ]; do sleep 0.05; done'}}")
    gate.until_running("first")
    gate.drop("b.yaml", f"{{name: kept, command: 'echo kept >> {gate.scratch}/ran'}}")
    until(lambda: gate.job("kept"), "it is taken in")
    staged = gate.root / "c.yaml"
    staged.write_text(f"{{name: behind, command: 'echo behind >> {gate.scratch}/ran'}}")
    os.chown(staged, ANOTHER, ANOTHER)
    os.rename(staged, gate.layout.spool / "c.yaml")
    if strict:
        until(lambda: gate.job("behind"), "it is taken in")
        (reason, *_) = (one for one in gate.ctl_json("why", "3")["reasons"] if "job" in one)
        assert (reason["kind"], reason["job"], reason["queue"]) == ("order", 2, "default")
    else:
        gate.until_over(1)
    (gate.scratch / "go").touch()
    gate.until_over(3)
    began = [f"job {job} ({name}, attempt 1): st" for job, name in ((2, "kept"), (3, "behind"))]
    until(lambda: all(line in gate.log() for line in began), "it is told that both began")  # a moment later
    assert (gate.log().index(began[0]) < gate.log().index(began[1])) is strict
