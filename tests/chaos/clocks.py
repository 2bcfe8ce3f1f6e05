"""The wall clock steps by a day, forwards and backwards, in a machine of its own; durations and ages must not notice.

How long something takes is read off a clock that no step changes (``CLOCK_BOOTTIME``), and by the jobs themselves.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.siege import tried
from tests.chaos.table import Row
from tests.chaos.vm import RECORDS, Vm, missing
from tests.env.packages import deb
from tests.env.until import until
from tests.system.gate import SPOOL, Gate
from tests.system.machine import UNIT

DAY = 86400
SLACK = 25.0
"""Seconds by which something may be late: a machine without KVM is slow. Being early is never right."""
WALL_CHECK = 30.0
"""The gate's own: how long a step of the wall clock may go unnoticed by what does follow it."""
WATCHDOG = 10
LOOKS = 5.0
"""Seconds after a start until retention has looked, more than that."""
CONFIG = """\
workers: 3
retention: {age: 12h}  # less than any step: what is over must not be forgotten for one
queues: {blocked: {limit: 1}}
"""
SAY = f"""read up rest </proc/uptime; echo "$0 $TASKGATE_ATTEMPT $up" >>{RECORDS}/clock"""
DURATIONS = {
    "delay": "delay: 20s",
    # Its first attempt is in time, whatever becomes of it.
    "retry": "retry: {attempts: 2, delay: 20s, jitter: 0}\nexpires: 15s",
    "timeout": "timeout: 20s",
    "expires": "queue: blocked\nexpires: 20s",
}


@dataclass(slots=True)
class Trial:
    """``checks``: how many things were looked at. ``notes``: what was not right."""

    vm: Vm
    checks: int = 0
    notes: list[str] = field(default_factory=list)
    gate: Gate = field(init=False)
    _number: int = 0

    def __post_init__(self) -> None:
        self.gate = Gate(self.vm)

    def begin(self) -> None:
        self.vm.boot()
        self.vm.write("/etc/taskgate/conf.d/b-test.yaml", CONFIG)
        self.vm.write(f"/etc/systemd/system/{UNIT}.d/test.conf", f"[Service]\nWatchdogSec={WATCHDOG}s\n")
        self.vm.run("systemctl", "daemon-reload")
        self.vm.run("systemctl", "restart", UNIT)
        self.gate.make_ready()

    # -- what is seen ----------------------------------------------------------------------------

    def check(self, holds: bool, what: str) -> None:
        self.checks += 1
        if not holds:
            self.notes.append(what)

    def uptime(self) -> float:
        return float(self.vm.run("cat", "/proc/uptime").split()[0])

    def said(self, name: str) -> list[float]:
        """When the attempts of that job began, in seconds since the boot."""
        rows = [row.split() for row in self.vm.read(f"{RECORDS}/clock").splitlines()]
        return [float(row[2]) for row in rows if row[0] == name]

    def step(self, seconds: int) -> None:
        self.vm.run("date", "-s", f"@{int(self.vm.run('date', '+%s')) + seconds}")

    def drop(self, name: str, then: str, more: str) -> None:
        command = json.dumps(["/bin/sh", "-c", f"{SAY}; {then}", name])
        # Under a name that is left alone, and then renamed: so no file waits for its writer.
        spec = f"name: {name}\ncommand: {command}\n{more}\n"
        script = f"cat >{SPOOL}/$0.tmp && mv {SPOOL}/$0.tmp {SPOOL}/$0.yaml"
        self.vm.run("/bin/sh", "-c", script, name, input=spec)

    def over(self, name: str, within: float = 120.0) -> dict[str, Any]:
        """The job when it is over; what there is of it when that takes too long, which is noted."""

        def ended() -> dict[str, Any]:
            job = self.gate.job(name)
            return job if job.get("state") in ("succeeded", "failed", "cancelled") else {}

        self.checks += 1
        try:
            return until(ended, f"{name} is over", within)
        except AssertionError as error:
            self.notes.append(str(error))
            return self.gate.job(name)

    # -- what is done ----------------------------------------------------------------------------

    def durations(self, seconds: int, restart: bool) -> int:
        """All kinds of durations run while the clock steps; with ``restart`` the daemon is a new one afterwards.
        Returns the pid of the one that shall be there."""
        self._number += 1
        how = f"{'after' if seconds > 0 else 'before'}-{self._number}"
        names = {kind: f"{kind}-{how}" for kind in [*DURATIONS, "blocker"]}
        self.drop(names["blocker"], "exec sleep 600", "queue: blocked")
        until(lambda: self.said(names["blocker"]), "what blocks the queue runs")
        since = {}
        for kind, more in DURATIONS.items():
            since[kind] = self.uptime()
            self.drop(names[kind], {"retry": "exit 1", "timeout": "exec sleep 300"}.get(kind, "exit 0"), more)
        until(lambda: self.said(names["retry"]), "the first attempt of what is retried")
        until(lambda: self.gate.job(names["retry"]).get("state") in ("queued", "failed"), "its failure is known")
        until(lambda: self.said(names["timeout"]), "what has a timeout runs")
        since["retry"], since["timeout"] = self.said(names["retry"])[0], self.said(names["timeout"])[0]
        self.step(seconds)
        stepped = self.uptime()
        pid = self.gate.daemon()
        if restart:
            self.vm.run("systemctl", "restart", UNIT)
            old, pid = pid, self.gate.daemon()
            self.check(old != pid, "a restart of the service left the daemon that was there")
        what = f"when the clock stepped by {seconds / DAY:+g} d{' and the daemon was restarted' if restart else ''}"
        self._judge(names, since, stepped, what)
        self.vm.run("taskgatectl", "cancel", str(self.gate.job(names["blocker"])["id"]))
        self.over(names["blocker"])
        return pid

    def _judge(self, names: dict[str, str], since: dict[str, float], stepped: float, what: str) -> None:
        ended = {}
        for kind in ("expires", "timeout", "delay", "retry"):
            job = self.over(names[kind])
            began = self.said(names[kind])
            ended[kind] = self.uptime() if kind in ("expires", "timeout") else (began or [0.0])[-1]
            took = ended[kind] - since[kind]
            self.check(took >= 20.0, f"{kind} of 20 s came to {took:.1f} s {what}")
            self.check(
                took <= 20.0 + SLACK + max(0.0, stepped - since[kind] - 20), f"{kind} took {took:.1f} s {what}"
            )
            if kind == "timeout" and job.get("started") and job.get("finished"):
                started, finished = (datetime.fromisoformat(job[key]) for key in ("started", "finished"))
                told = (finished - started).total_seconds()
                self.check(19.0 <= told <= took + 1, f"timeout: it is said to have run for {told:.1f} s {what}")
            expected = {"expires": ("cancelled", 0), "timeout": ("failed", 1), "delay": ("succeeded", 1)}
            state, attempts = expected.get(kind, ("failed", 2))
            self.check(
                (job.get("state"), len(began)) == (state, attempts),
                f"{kind} is {job.get('state')} after {len(began)} attempts {what}",
            )

    def not_before(self) -> None:
        """The one that follows the wall clock: not due in an hour, due when the clock has stepped beyond it."""
        date = self.vm.run("date", "-u", "-d", "+1 hour", "+%Y-%m-%dT%H:%M:%SZ")
        self.drop("not-before", "exit 0", f"not_before: {date}")
        until(lambda: self.gate.job("not-before"), "it is taken in")
        self.step(-DAY)
        self.durations(DAY // 2, restart=False)  # still twelve hours too early
        self.check(self.said("not-before") == [], "not_before: it ran before its date")
        self.step(DAY)
        stepped = self.uptime()
        self.over("not-before", WALL_CHECK + SLACK)
        late = [began - stepped for began in self.said("not-before")]
        self.check(len(late) == 1, f"not_before: it ran {len(late)} times")
        self.check(all(-5 < s < WALL_CHECK + SLACK for s in late), f"not_before: noticed {late} s after the step")

    def remembered(self) -> None:
        """No step has made anything old. Retention looks soon after a start of the daemon."""
        before = {job["id"] for job in self.gate.jobs()}
        self.vm.run("systemctl", "restart", UNIT)
        self.gate.make_ready()
        uptime = self.uptime()
        until(lambda: self.uptime() > uptime + LOOKS, "retention has looked", SLACK + LOOKS)
        after = {job["id"] for job in self.gate.jobs()}
        self.check(bool(before) and before <= after, f"forgotten for a step of the clock: {before - after}")
        self.check(min(before, default=0) == 1, "forgotten for a step of the clock: the first job")

    def service(self, pid: int) -> None:
        """Pings went on: a round takes longer than the watchdog waits, and nobody has started the service again.
        ``pid``: of the daemon when the round began, or when a restart that was asked for was done."""
        shown = self.vm.show("NRestarts", "MainPID", "ActiveState", "Result")
        self.check(shown["NRestarts"] == "0", f"systemd started the service again: {shown}")
        self.check((int(shown["MainPID"]), shown["ActiveState"]) == (pid, "active"), f"the service changed: {shown}")


def trial(vm: Vm, steps: tuple[tuple[int, bool], ...]) -> Row:
    """``steps``: by how many seconds, and whether a restart of the daemon follows."""
    made = Trial(vm)
    made.begin()
    for seconds, restart in steps:
        pid = made.gate.daemon()
        after = made.durations(seconds, restart)
        made.service(after if restart else pid)
    pid = made.gate.daemon()
    made.not_before()
    made.service(pid)
    made.remembered()
    return Row("clock steps", made.checks, notes=tuple(made.notes))


STEPS = ((DAY, False), (-DAY, True))
ALL_STEPS = (*STEPS, (-DAY, False), (DAY, True), (2 * DAY, False), (-3 * DAY, False))


def attack(rng: random.Random, everything: bool) -> Row:
    if reason := missing():
        return Row("clock steps", 0, notes=(f"not tried: {reason}",))
    with tempfile.TemporaryDirectory(prefix="taskgated-vm-") as directory:
        vm = Vm(deb(), Path(directory) / "vm", rng)
        try:
            return tried("clock steps", lambda: trial(vm, ALL_STEPS if everything else STEPS))
        finally:
            vm.close()


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    return {"clock steps": attack}
