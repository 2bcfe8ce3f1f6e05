"""Jobs of a real gate that wait until what they require is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from taskgated.daemon.requirements import AT_ONCE, OF_ONE_USER
from tests.env.gate import GateEnv
from tests.env.hung_mount import hung_mount
from tests.env.processes import named
from tests.env.until import until

MakeGate = Callable[..., GateEnv]


def add(gate: GateEnv, name: str, requires: str = "", **more: str) -> None:
    keys = {"name": name, "command": "'true'", **({"requires": requires} if requires else {}), **more}
    gate.drop(f"{name}.yaml", "".join(f"{key}: {value}\n" for key, value in keys.items()))
    until(lambda: gate.job(name), f"{name} is taken in")


def state(gate: GateEnv, name: str) -> str:
    return str((gate.job(name) or {})["state"])


def reasons(gate: GateEnv, name: str) -> list[Mapping[str, Any]]:
    answer: list[Mapping[str, Any]] = gate.call("Why", id=(gate.job(name) or {})["id"])["reasons"]
    return answer


def over(gate: GateEnv, name: str) -> None:
    until(lambda: state(gate, name) == "succeeded", f"{name} has run")


def probers(gate: GateEnv) -> list[int]:
    assert gate.process is not None
    return named(gate.process.pid, "taskgate-prober")


def test_a_job_waits_for_what_it_requires_and_holds_nothing(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\nqueues: {default: {limit: 1}}\n")
    file = gate.scratch / "data"
    add(gate, "a", f'{{command: "test -e {file} || {{ echo not yet; exit 1; }}", every: 1s}}')
    for number in range(3):
        add(gate, f"b{number}")
        over(gate, f"b{number}")
    until(lambda: reasons(gate, "a")[0]["age"] is not None, "it was looked")
    (reason,) = reasons(gate, "a")
    assert reason["kind"] == "requires" and reason["words"] == "not yet"
    assert reason["text"].startswith("what it requires is not there: not yet (")
    assert state(gate, "a") == "queued"
    file.touch()
    over(gate, "a")


def test_it_looks_where_the_job_runs_and_with_what_that_finds(make_gate: MakeGate) -> None:
    gate = make_gate()
    (gate.scratch / "in").mkdir()
    look = 'test "$PWD" = "$WHERE" && test "$TASKGATE_JOB_NAME" = a && test "$TASKGATE_QUEUE" = default'
    where = str(gate.scratch / "in")
    add(gate, "a", f"{{command: '{look}'}}", cwd=where, env=f"{{WHERE: {where}}}")
    over(gate, "a")


def test_a_script_with_files_and_an_array_require_as_well(make_gate: MakeGate) -> None:
    gate = make_gate()
    text = f"""#!/bin/sh
#TASKGATE requires: {{command: [test, -e, {gate.scratch}/go], every: 1s}}
#TASKGATE stdout: {gate.scratch}/out
echo done
"""
    gate.drop("s", text)
    requires = f"{{command: [test, -e, '{gate.scratch}/{{index}}'], every: 1s}}"
    gate.drop("array.yaml", f"command: 'true'\nname: 'e{{index}}'\narray: {{to: 2}}\nrequires: {requires}\n")
    until(lambda: gate.job("e2"), "the array is there")
    (gate.scratch / "2").touch()
    over(gate, "e2")
    assert state(gate, "e1") == state(gate, "s") == "queued"
    (gate.scratch / "1").touch()
    (gate.scratch / "go").touch()
    over(gate, "e1")
    over(gate, "s")
    assert (gate.scratch / "out").read_text() == "done\n"


def test_a_queue_may_require_something_for_all_its_jobs_and_a_job_nothing(make_gate: MakeGate) -> None:
    gate = make_gate("queues: {default: {defaults: {requires: {command: [/bin/false]}}}}\n")
    add(gate, "a")
    add(gate, "b", "none")
    over(gate, "b")
    assert state(gate, "a") == "queued"


@pytest.mark.parametrize("end", [GateEnv.kill, GateEnv.stop])
def test_who_waits_goes_on_to_wait_after_a_restart(make_gate: MakeGate, end: Callable[[GateEnv], object]) -> None:
    gate = make_gate()
    file = gate.scratch / "data"
    add(gate, "a", f"{{command: [test, -e, {file}], every: 1s}}")
    until(lambda: reasons(gate, "a")[0]["age"] is not None, "it was looked")
    end(gate)
    gate.start()
    assert state(gate, "a") == "queued"
    file.touch()
    over(gate, "a")


def test_many_are_looked_after_in_turn_and_few_at_once(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n")
    go, now, seen, at_once = (gate.scratch / name for name in ("go", "now", "seen", "at_once"))
    now.mkdir()
    seen.mkdir()
    look = gate.scratch / "look"
    look.write_text(
        f"#!/bin/sh\ntouch {now}/$TASKGATE_JOB_ID {seen}/$TASKGATE_JOB_ID\nls {now} | wc -l >> {at_once}\nsleep 0.1\n"
        f"rm {now}/$TASKGATE_JOB_ID\ntest -e {go}\n"
    )
    look.chmod(0o755)
    count = 60
    gate.drop("many.yaml", f"command: 'true'\narray: {{to: {count}}}\nrequires: {{command: [{look}], every: 1s}}\n")
    until(lambda: len(list(seen.iterdir())) == count, "each was looked at")
    assert 2 <= max(map(int, at_once.read_text().split())) <= AT_ONCE
    assert {job["state"] for job in gate.jobs()} == {"queued"}
    go.touch()
    gate.until_over(count)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_looks_of_one_user_that_take_long_are_no_matter_of_others(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 1\n")
    file = gate.root / "long"
    file.write_text("command: 'true'\narray: {to: 50}\nrequires: {command: sleep 1000, timeout: 10min}\n")
    os.chown(file, 65534, 65534)
    os.rename(file, gate.layout.spool / "long.yaml")
    until(lambda: len(probers(gate)) == OF_ONE_USER, "it is looked for as many of them as may be")
    add(gate, "good", "{command: [/bin/true]}")
    over(gate, "good")
    assert len(probers(gate)) == OF_ONE_USER


def test_between_looks_there_is_no_process(make_gate: MakeGate) -> None:
    gate = make_gate()
    add(gate, "a", "{command: [/bin/false], every: 1h}")
    until(lambda: reasons(gate, "a")[0]["age"] is not None, "it was looked")
    until(lambda: not probers(gate), "its prober is gone")
    assert state(gate, "a") == "queued"


@pytest.mark.parametrize(
    "look", ["sleep 1000", "kill -STOP $$", "yes", "setsid sleep 1000 & exit 1", "exec /no/such/file"]
)
def test_a_bad_look_keeps_its_own_job_waiting_and_no_other(make_gate: MakeGate, look: str) -> None:
    gate = make_gate()
    add(gate, "bad", f"{{command: '{look}', every: 1s, timeout: 200ms}}")
    add(gate, "good", "{command: [/bin/true]}")
    over(gate, "good")
    until(lambda: reasons(gate, "bad")[0]["age"] is not None, "it was looked")
    assert state(gate, "bad") == "queued"


def test_a_job_that_is_cancelled_is_not_looked_after_any_more(make_gate: MakeGate) -> None:
    gate = make_gate()
    count = gate.scratch / "count"
    count.touch()
    add(gate, "a", f"{{command: 'echo >> {count}; exit 1', every: 1s}}")
    until(lambda: len(count.read_text()) > 1, "it is looked again")
    gate.ctl("cancel", str((gate.job("a") or {})["id"]))
    before = count.read_text()
    add(gate, "b", "{command: 'sleep 1.5'}", command="sleep 1")
    over(gate, "b")
    assert len(count.read_text()) <= len(before) + 1, "one may have been under way"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount what does not answer")
def test_looks_that_cannot_be_killed_leave_room_for_others_and_are_told_of(
    make_gate: MakeGate, tmp_path: Path
) -> None:
    with hung_mount(tmp_path / "hung") as hung:
        gate = make_gate()
        stuck = f"{{command: [/usr/bin/stat, {hung}/x], every: 1s, timeout: 200ms}}"
        for number in range(3):
            add(gate, f"stuck{number}", stuck)
        until(lambda: any("cannot be killed" in text for text in gate.status()["problems"]), "a problem", 40)
        add(gate, "good", "{command: [/bin/true]}")
        over(gate, "good")
        (reason,) = reasons(gate, "stuck0")
        assert reason["words"] == "it had to end, and does not"
        gate.kill()
        gate.start()
        add(gate, "good2", "{command: [/bin/true]}")
        over(gate, "good2")
        assert len([pid for pid in os.listdir("/proc") if pid.isdigit() and looks_at(int(pid), hung)]) == 3


def looks_at(pid: int, where: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/usr/bin/stat\0" + os.fsencode(where))
    except OSError:
        return False
