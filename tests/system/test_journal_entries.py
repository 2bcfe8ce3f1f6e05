"""What journalctl and systemctl status tell of jobs, on the real journal."""

from __future__ import annotations

import re

from tests.env.until import until
from tests.system.gate import Gate
from tests.system.machine import UNIT


def test_one_jobs_life_by_its_id(gate: Gate) -> None:
    gate.configure("queues: {etl: {limit: 1}}\n")
    gate.drop("fails.yaml", "name: fails\nqueue: etl\ncommand: exit 3\n")
    job = gate.until_state("fails", "failed")
    entries = until(
        lambda: [e for e in gate.machine.journal(f"TASKGATE_JOB_ID={job['id']}") if e.get("TASKGATE_OUTCOME")],
        "the end is in the journal",
    )
    (end,) = entries
    assert (end["TASKGATE_JOB_NAME"], end["TASKGATE_QUEUE"], end["TASKGATE_ATTEMPT"]) == ("fails", "etl", "1")
    assert (end["TASKGATE_OUTCOME"], end["TASKGATE_EXIT_CODE"], end["PRIORITY"]) == ("failed", "3", "4")
    assert end["_SYSTEMD_UNIT"] == UNIT
    ids = {entry["TASKGATE_JOB_ID"] for entry in gate.machine.journal("TASKGATE_QUEUE=etl", "-p", "warning")}
    assert str(job["id"]) in ids


def test_the_catalog_explains(gate: Gate) -> None:
    gate.drop("refused.yaml", "{")

    def found() -> str:
        done = gate.machine.try_("journalctl", "-u", UNIT, "-x", "--no-pager", "-g", "refused.yaml is refused")
        return "" if done.returncode else done.stdout

    assert "Subject: A file was refused" in until(found, "the refusal is in the journal")


def test_nothing_is_said_twice(gate: Gate) -> None:
    """Standard error is the journal already; the daemon's own connection must be the only way."""
    gate.drop("once.yaml", "name: once\ncommand: 'true'\n")
    job = gate.until_state("once", "succeeded")
    texts = gate.machine.messages("-u", UNIT, f"TASKGATE_JOB_ID={job['id']}")
    assert len(texts) == len(set(texts)) == 2
    assert len([m for m in gate.machine.messages("-u", UNIT) if m.startswith(f"job {job['id']} ")]) == 2


def test_output_under_the_same_fields(gate: Gate) -> None:
    gate.drop("says.yaml", "name: says\ncommand: echo one; echo two >&2; printf three\noutput: {journal: true}\n")
    job = gate.until_state("says", "succeeded")

    def output() -> list[str]:
        entries = gate.machine.journal("-u", UNIT, f"TASKGATE_JOB_ID={job['id']}")
        return [e["MESSAGE"] for e in entries if e["SYSLOG_IDENTIFIER"] == f"job-{job['id']}"]

    until(lambda: output() == ["one", "two", "three"], "its lines are there")
    gate.drop("quiet.yaml", "name: quiet\ncommand: echo hidden\n")
    gate.until_state("quiet", "succeeded")
    assert "hidden" not in gate.machine.messages("-u", UNIT)


def test_a_chatty_job_pushes_nobody_out(gate: Gate) -> None:
    since = gate.machine.now()
    gate.drop(
        "chatty.yaml",
        "name: chatty\ncommand: yes | head -300000\noutput: {journal: true, journal_rate: 10}\n",
    )
    gate.drop("modest.yaml", "name: modest\ncommand: 'echo modest was here'\noutput: {journal: true}\n")
    chatty, modest = gate.until_state("chatty", "succeeded"), gate.until_state("modest", "succeeded")
    entries = gate.machine.journal("-u", UNIT, since=since)
    lines = [entry for entry in entries if entry["MESSAGE"] == "y"]
    took = 3 + max(0.0, float(entries[-1]["__REALTIME_TIMESTAMP"]) - float(entries[0]["__REALTIME_TIMESTAMP"])) / 1e6
    assert 10 <= len(lines) <= 100 + 10 * took
    dropped = [entry for entry in entries if "were not passed on" in entry["MESSAGE"]]
    assert 1 <= len(dropped) <= 1 + took / 10
    assert {(entry["TASKGATE_JOB_ID"], entry["PRIORITY"]) for entry in dropped} == {(str(chatty["id"]), "4")}
    numbers = [re.search(r": (\d+) lines of its output", entry["MESSAGE"]) for entry in dropped]
    assert sum(int(number[1]) for number in numbers if number) + len(lines) == 300000
    assert "modest was here" in [entry["MESSAGE"] for entry in entries]
    for job in (chatty, modest):
        assert any(e.get("TASKGATE_OUTCOME") for e in entries if e.get("TASKGATE_JOB_ID") == str(job["id"]))
    assert not [e for e in entries if "Suppressed" in e["MESSAGE"]]
    assert len(gate.ctl("logs", str(chatty["id"])).stdout) == 600000, "the file has it all"


def test_the_status_is_worth_reading(gate: Gate) -> None:
    gate.configure("queues: {etl: {limit: 1}}\n")
    for number in range(3):
        gate.drop(f"s{number}.yaml", f"name: s{number}\nqueue: etl\ncommand: sleep 600\n")
    gate.drop("later.yaml", "name: later\ncommand: sleep 600\ndelay: 1h\n")
    gate.until_state("s0", "running")
    gate.until_state("later", "queued")

    def said() -> str:
        return gate.machine.property("StatusText")

    until(
        lambda: re.fullmatch(r"running 1 of 2, 3 queued \(3 blocked\), oldest waits \d+ s", said()),
        f"it says {said()}",
    )
    shown = gate.machine.run("systemctl", "status", "--no-pager", "--full", UNIT)
    tree = shown.partition("CGroup: ")[2]
    assert re.search(r"supervisor\n.*python3 /usr/bin/taskgated\n.*-m taskgated\.worker /var/lib/taskgate\n", tree)
    assert re.search(r"taskgate-worker-\S+\n.*taskgated\.worker /var/lib/taskgate\n.*sleep 600", tree)
    for name in ("s0", "s1", "s2", "later"):
        gate.ctl("cancel", str(gate.job(name)["id"]))
        gate.until_state(name, "cancelled")


def test_a_day_without_trouble_has_no_warning(gate: Gate) -> None:
    since = gate.machine.now()
    gate.drop("fine.tasks", "echo 1\necho 2\n")
    until(lambda: [j["state"] for j in gate.jobs() if j["source"] == "fine.tasks"] == ["succeeded"] * 2, "both ran")
    gate.configure("workers: 1\n")
    gate.machine.run("systemctl", "restart", UNIT)
    gate.make_ready()
    # Ours, that is: systemd itself remarks on workers that outlive the daemon they were started by.
    warnings = gate.machine.journal("-u", UNIT, "-p", "warning", since=since)
    assert [entry["MESSAGE"] for entry in warnings if entry["_SYSTEMD_UNIT"] == UNIT] == []
