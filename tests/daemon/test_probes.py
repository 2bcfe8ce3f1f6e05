"""Probes of a real gate: when they are asked, what follows, and that a bad one holds up nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from taskgated.host import processes
from tests.env.gate import GateEnv
from tests.env.hung_mount import hung_mount
from tests.env.processes import named
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
# Notes that it was asked, and says what a file has it say: exit status, then text.
OBEDIENT = """#!/bin/sh
echo asked >> "$0.asked"
read status < "$0.says"
tail -n +2 "$0.says"
exit $status
"""


def gate_with(make_gate: MakeGate, options: str = "every: 200ms", queues: str = "etl: {probe: p}") -> GateEnv:
    """A gate whose probe ``p`` says what ``say`` has it say; up to then it fails."""
    gate = make_gate("", start=False)
    script = gate.scratch / "probe"
    script.write_text(OBEDIENT)
    script.chmod(0o755)
    gate.configure(f"workers: 4\nprobes: {{p: {{command: [{script}], {options}}}}}\nqueues: {{{queues}}}\n")
    return gate


def say(gate: GateEnv, status: int, text: str = "") -> None:
    new = gate.scratch / "new"
    new.write_text(f"{status}\n{text}\n")
    new.rename(gate.scratch / "probe.says")


def asked(gate: GateEnv) -> int:
    file = gate.scratch / "probe.asked"
    return file.read_text().count("asked") if file.exists() else 0


def shown(gate: GateEnv, name: str = "p") -> Mapping[str, Any]:
    return next(probe for probe in gate.status()["probes"] if probe["name"] == name)


def add(gate: GateEnv, name: str, queue: str = "etl", command: str = "true") -> None:
    gate.drop(f"{name}.yaml", f"{{name: {name}, command: '{command}'}}", queue)
    until(lambda: gate.job(name), f"{name} is taken in")


def state(gate: GateEnv, name: str) -> str:
    return str((gate.job(name) or {})["state"])


def reasons(gate: GateEnv, name: str) -> list[Mapping[str, Any]]:
    job = gate.job(name)
    assert job is not None
    answer: list[Mapping[str, Any]] = gate.call("Why", id=job["id"])["reasons"]
    return [reason for reason in answer if reason["kind"] == "probe"]


def over(gate: GateEnv, name: str) -> None:
    until(lambda: state(gate, name) == "succeeded", f"{name} has run")


def probers(gate: GateEnv) -> list[int]:
    assert gate.process is not None
    return named(gate.process.pid, "taskgate-prober")


def test_a_job_waits_while_its_probe_says_closed_and_says_so(make_gate: MakeGate) -> None:
    gate = gate_with(make_gate)
    say(gate, 1, "12 applications are pending")
    gate.start()
    add(gate, "a")
    add(gate, "b", "")
    over(gate, "b")
    until(lambda: shown(gate)["answer"], "an answer")
    assert state(gate, "a") == "queued"
    (reason,) = reasons(gate, "a")
    assert reason["text"].startswith("probe p says closed: 12 applications are pending (")
    assert (reason["probe"], reason["answer"], reason["words"]) == ("p", "closed", "12 applications are pending")
    assert (shown(gate)["state"], shown(gate)["queues"]) == ("closed", ["etl"])
    assert "12 applications are pending" in gate.ctl("status").stdout.decode()
    say(gate, 0)
    over(gate, "a")
    told = [line for line in gate.log().splitlines() if "probe p says" in line]
    assert len(told) == 1 and told[0].endswith("probe p says closed: 12 applications are pending; queue etl: shut")


def test_a_probe_is_asked_only_while_a_job_waits_for_it(make_gate: MakeGate) -> None:
    gate = gate_with(make_gate)
    say(gate, 1)
    gate.start()
    add(gate, "a", "", "sleep 0.5")  # several times as long as an answer holds
    over(gate, "a")
    assert asked(gate) == 0
    add(gate, "b")
    until(lambda: asked(gate) > 2, "it is asked again and again")
    gate.ctl("cancel", str((gate.job("b") or {})["id"]))
    until(lambda: shown(gate)["state"] == "unknown", "it is left alone")
    before = asked(gate)
    add(gate, "c", "", "sleep 0.5")
    over(gate, "c")
    assert asked(gate) == before
    say(gate, 0)
    add(gate, "d")
    over(gate, "d")
    assert asked(gate) == before + 1


def test_what_it_said_long_ago_starts_nothing(make_gate: MakeGate) -> None:
    """Somebody asks it anew when a job comes, and the job waits for that answer."""
    gate = gate_with(make_gate)
    say(gate, 0)
    gate.start()
    add(gate, "a")
    over(gate, "a")
    until(lambda: shown(gate)["state"] == "unknown", "the answer is too old")
    say(gate, 1)
    count = asked(gate)
    add(gate, "b")
    until(lambda: asked(gate) > count, "it is asked")
    until(lambda: shown(gate)["state"] == "closed", "its answer")
    assert state(gate, "b") == "queued"


def test_a_number_says_how_many_may_start_over_all_queues_that_share_it(make_gate: MakeGate) -> None:
    gate = gate_with(make_gate, "every: 1h", "etl: {probe: p}, other: {probe: p}")
    say(gate, 0, "3\n3 of 10 are free")
    gate.start()
    for number in range(4):
        for queue in ("etl", "other"):
            add(gate, f"{queue}{number}", queue)

    def done() -> int:
        return sum(job["state"] == "succeeded" for job in gate.jobs())

    until(lambda: done() == 3, "three have run")
    waiting = [job["name"] for job in gate.jobs() if job["state"] == "queued"]
    until(lambda: reasons(gate, waiting[0]), "a reason")
    for name in waiting:
        (reason,) = reasons(gate, name)
        assert reason["text"].startswith("probe p let 3 more jobs start, which has been done: 3 of 10 are free ("), (
            reason
        )
    assert (done(), asked(gate), shown(gate)["allowance"]) == (3, 1, 3)


def test_after_a_restart_nothing_starts_before_it_has_answered(make_gate: MakeGate) -> None:
    gate = gate_with(make_gate, "every: 1h")
    say(gate, 1)
    gate.start()
    add(gate, "a")
    until(lambda: shown(gate)["answer"] == "closed", "it has answered")
    gate.kill()
    say(gate, 0)
    gate.start()
    over(gate, "a")
    assert asked(gate) == 2


def test_another_command_is_asked_anew(make_gate: MakeGate) -> None:
    gate = gate_with(make_gate, "every: 1h")
    say(gate, 1)
    gate.start()
    add(gate, "a")
    until(lambda: shown(gate)["answer"] == "closed", "it has answered")
    gate.configure("probes: {p: {command: [/bin/true], every: 1h}}\nqueues: {etl: {probe: p}}\n")
    gate.call("Reload")
    over(gate, "a")


def test_a_queue_that_names_none_any_more_is_open(make_gate: MakeGate) -> None:
    gate = gate_with(make_gate, "every: 1h")
    say(gate, 1)
    gate.start()
    add(gate, "a")
    until(lambda: shown(gate)["answer"] == "closed", "it has answered")
    gate.configure("queues: {etl: {}}\n")
    gate.call("Reload")
    over(gate, "a")
    assert gate.status()["probes"] == []


@pytest.mark.parametrize(("on_error", "runs"), [("open", True), ("closed", False)])
def test_one_that_fails_counts_as_it_is_told_to(make_gate: MakeGate, on_error: str, runs: bool) -> None:
    gate = make_gate(f"""
probes: {{p: {{command: "echo no route >&2; exit 7", every: 200ms, on_error: {on_error}}}}}
queues: {{etl: {{probe: p}}}}
""")
    add(gate, "a")
    until(lambda: shown(gate)["answer"] == "error", "its answer")
    if runs:
        over(gate, "a")
    else:
        (reason,) = reasons(gate, "a")
        assert reason["text"].startswith("probe p failed: exit code 7; no route (")
        assert state(gate, "a") == "queued"


HOSTILE = {
    "hangs": "sleep 1000",
    "stops itself": "kill -STOP $$; sleep 1000",
    "floods": "yes",
    "is deaf": "trap '' TERM; while :; do sleep 1000; done",
    "forks away": "setsid sleep 1000 & setsid setsid sleep 1000 & exit 1",
    "cannot be started": "exec /no/such/file",
}


@pytest.mark.skipif(not shutil.which("flock"), reason="flock(1) is missing")
@pytest.mark.parametrize("command", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_bad_probe_is_ended_asked_once_at_a_time_and_in_nobodys_way(make_gate: MakeGate, command: str) -> None:
    gate = make_gate("", start=False)
    lock, twice, count = (gate.scratch / name for name in ("lock", "twice", "count"))
    count.touch()
    # As long as a process of a look lives, it has the lock.
    script = gate.scratch / "script"
    script.write_text(f"exec 9> {lock}\nflock -n 9 || touch {twice}\necho >> {count}\n{command}\n")
    gate.configure(f"""
workers: 2
probes:
  p: {{command: [/bin/sh, {script}], every: 100ms, timeout: 200ms}}
  good: {{command: [/bin/true], every: 100ms}}
queues: {{etl: {{probe: p}}, other: {{probe: good}}}}
""")
    gate.start()
    add(gate, "a")
    for number in range(3):
        add(gate, f"b{number}", "other")
        over(gate, f"b{number}")
        until(lambda: len(count.read_text()) > number, "it is asked again")  # noqa: B023
        assert len(probers(gate)) <= 2
    assert state(gate, "a") == "queued"
    assert shown(gate)["answer"] in ("error", "closed")
    gate.stop()
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not twice.exists()


def test_a_prober_that_is_stopped_or_killed_is_replaced(make_gate: MakeGate) -> None:
    gate = gate_with(make_gate, "every: 100ms, timeout: 1s")
    (gate.scratch / "probe").write_text("#!/bin/sh\nsleep 1000\n")
    gate.start()
    add(gate, "a")
    for number in (signal.SIGKILL, signal.SIGSTOP):
        (prober,) = until(lambda: found if len(found := probers(gate)) == 1 else None, "a prober alone")
        below = until(lambda: processes.descendants([prober]), "its command")  # noqa: B023
        os.kill(prober, number)
        until(lambda: not any(map(processes.lives, below)), "the end of its command", 30)  # noqa: B023
        until(lambda: probers(gate) not in ([], [prober]), "another prober", 30)  # noqa: B023
    assert state(gate, "a") == "queued"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount what does not answer")
def test_a_probe_that_waits_for_a_device_for_ever_is_not_asked_again_and_holds_nothing_up(
    make_gate: MakeGate, tmp_path: Path
) -> None:
    with hung_mount(tmp_path / "hung") as hung:
        gate = make_gate(f"""
workers: 2
probes: {{p: {{command: [/usr/bin/stat, {hung}/x], every: 100ms, timeout: 300ms}}}}
queues: {{etl: {{probe: p}}}}
""")
        add(gate, "a")
        until(lambda: any("probe p cannot be killed" in text for text in gate.status()["problems"]), "a problem", 40)
        (stuck,) = stats_of(hung)
        assert shown(gate)["answer"] == "error"
        add(gate, "b", "")
        over(gate, "b")
        for restart in (gate.kill, gate.stop):
            restart()
            gate.start()  # it is found again, and holds up neither the start nor other jobs
            add(gate, f"after{restart.__name__}", "")
            over(gate, f"after{restart.__name__}")
            assert stats_of(hung) == [stuck]
        assert state(gate, "a") == "queued"
    until(lambda: shown(gate)["answer"] == "closed", "it is asked again when that is gone", 40)


def stats_of(where: Path) -> list[int]:
    """Processes of stat(1) that look at something there."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:  # gone
            continue
        if words[0] == b"/usr/bin/stat" and words[1].startswith(os.fsencode(where)):
            found.append(pid)
    return found
