"""The power goes at random moments, under load, again and again; what had been accepted must all be there.

The guest drops files of every kind by itself, and says over a port, which no power cut undoes, what it knows:
``about`` before a file is dropped, ``synced`` when the file and its name are on stable storage, ``accepted`` when the
file is gone from spool and claims or its jobs can be seen in the store. The last two are promises: from then on it
must not be lost.

Now and then the power goes again while everything is still coming back from the cut before. Those cuts count as the
others do, but they meet a boot, or a daemon that starts, and not much of the load.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import time
from bisect import bisect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import auditor
from tests.chaos.siege import tried
from tests.chaos.table import Row
from tests.chaos.vm import LAB, RECORDS, Vm, missing
from tests.env.packages import deb
from tests.env.until import until

CUTS = 24
LIMIT = 2
LINES = "lines=1"
"""What ``record.py`` is told of the queue with a limit of its own."""
BACKLOG = 30
RECORD = f"/usr/bin/python3 -SE {LAB}/record.py {RECORDS}"
NOTHING = "contents-lost"
"""What a job calls itself that finds nothing in its file: that was dropped without a sync, and had none since."""
CONTENTS = f'exec {RECORD} "$(grep . "$0" || echo {NOTHING})" 0.3 {LIMIT}'
CONFIG = f"""queues:
  files: {{handler: {{command: [/bin/sh, -c, {json.dumps(CONTENTS)}, "{{file}}"]}}}}
  lines: {{limit: 1, handler: {{command: [/bin/sh, -c, 'exec {RECORD} "$0" 0.3 {LIMIT} {LINES}', "{{line}}"]}}}}
"""
AHEAD = 2.0
"""Seconds by which the guest's clock may be ahead of ours."""
JUST_NOW = 5.0
"""Seconds before a cut in which an end may not have reached the store: then the job runs again."""

LOAD = f"""
import glob, json, os, random, sqlite3, time
SPOOL, RECORD = "/var/spool/taskgate", {RECORD!r}
witness = os.open("/dev/virtio-ports/lab.witness", os.O_WRONLY)
store = sqlite3.connect("file:/var/lib/taskgate/jobs.sqlite?mode=ro", uri=True)

def say(*words):
    os.write(witness, (" ".join(words) + "\\n").encode())

def command(name):
    return f"{{RECORD}} {{name}} 0.3 {LIMIT}"

def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

def text(kind, name):
    jobs = [f"{{name}}.{{n}}" for n in range(JOBS[kind])]
    if kind in ("spec", "once"):
        more = ", interrupted: fail" if kind == "once" else ""
        return "".join(f"{{{{name: {{job}}, command: {{command(job)}}{{more}}}}}}" for job in jobs)
    if kind == "many":
        return json.dumps([{{"name": job, "command": command(job)}} for job in jobs])
    if kind == "script":
        return f"#!/bin/sh\\n#TASKGATE name: {{jobs[0]}}\\nexec {{command(jobs[0])}}\\n"
    if kind in ("file", "lines"):
        return "".join(job + "\\n" for job in jobs)
    return "".join(command(job) + "\\n" for job in jobs)

KINDS = {{"spec": ".yaml", "once": ".yaml", "many": ".json", "script": ".sh", "list": ".tasks", "grown": ".txt",
         "file": "", "lines": ""}}
JOBS = {{"spec": 1, "once": 1, "many": 2, "script": 1, "list": 3, "grown": 3, "file": 1, "lines": 2}}
open_ = {{}}
while True:
    for kind, end in KINDS.items():
        name = f"{{kind}}-{{time.time_ns() // 1000000:x}}{{end}}"
        directory = f"{{SPOOL}}/{{dict(file='files', lines='lines').get(kind, '')}}"
        say("about", name, str(JOBS[kind]))
        if kind == "grown":
            for line in text(kind, name).splitlines():
                with open(f"{{directory}}/{{name}}", "a") as file:
                    file.write(line + "\\n")
        else:
            synced = random.random() < 0.25
            with open(f"{{directory}}/.{{name}}.tmp", "w") as file:
                file.write(text(kind, name))
                file.flush()
                if synced:
                    os.fsync(file.fileno())
            os.rename(f"{{directory}}/.{{name}}.tmp", f"{{directory}}/{{name}}")
            if synced:
                sync(directory)
                say("synced", name)
        open_[name] = directory, JOBS[kind]
        while True:
            for name, (directory, jobs) in list(open_.items()):
                gone = not os.path.exists(f"{{directory}}/{{name}}")
                gone = gone and not glob.glob(f"{{SPOOL}}/.claims/*/{{name}}")
                gone = gone and not glob.glob(f"{{SPOOL}}/.claims/*/work/{{name}}")
                (stored,) = store.execute("SELECT count(*) FROM jobs WHERE source = ?", [name.encode()]).fetchone()
                if gone or stored >= jobs:
                    say("accepted", name)
                    del open_[name]
            (waiting,) = store.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()
            if waiting < {BACKLOG}:
                break
            time.sleep(0.1)
        time.sleep(random.expovariate(4))  # the pace of the load
"""
LOAD_UNIT = f"""[Unit]
After=taskgated.service lab-agent.service
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/python3 {LAB}/load.py
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""

LOOK = f"""
import glob, json, os, sqlite3
spool = "/var/spool/taskgate"
# In the order in which a file goes, so that none is missed on its way.
seen = {{"spool": [os.path.basename(p) for p in glob.glob(spool + "/*") + glob.glob(spool + "/[fl]*/*")]}}
claimed = glob.glob(spool + "/.claims/[0-9]*/*") + glob.glob(spool + "/.claims/[0-9]*/work/*")
seen["claims"] = [os.path.basename(p) for p in claimed if os.path.basename(p) not in ("name", "work")]
seen["rejected"] = {{os.path.basename(p): open(p).read() for p in glob.glob(spool + "/rejected/*.reason")}}
seen["left"] = glob.glob("/var/lib/taskgate/*/*")
db = sqlite3.connect("file:/var/lib/taskgate/jobs.sqlite?mode=ro", uri=True)
db.execute("BEGIN")
seen["integrity"] = [row[0] for row in db.execute("PRAGMA integrity_check")]
jobs = db.execute("SELECT source, state, attempt, reason, name, started, finished FROM jobs")
text = lambda value: value.decode() if isinstance(value, bytes) else value
seen["jobs"] = [list(map(text, job)) for job in jobs]
gaps = '''SELECT id FROM jobs LEFT JOIN attempts ON job = id GROUP BY id HAVING count(number) != jobs.attempt
    OR max(number) != jobs.attempt OR min(number) != 1'''
seen["gaps"] = [row[0] for row in db.execute(gaps + " AND jobs.attempt > 0")]
seen["miscounted"] = db.execute('''SELECT * FROM (SELECT state, count(*) AS n FROM jobs GROUP BY state)
    LEFT JOIN (SELECT state, sum(jobs) AS m FROM counts GROUP BY state) USING (state) WHERE n != m''').fetchall()
record = "{RECORDS}/record"
seen["record"] = open(record, errors="replace").read() if os.path.exists(record) else ""
print(json.dumps(seen))
"""


@dataclass(slots=True)
class Trial:
    """One machine whose power is cut again and again, and what is known of it from outside."""

    vm: Vm
    rng: random.Random
    cuts: list[float] = field(default_factory=list)
    """When the power went (the wall clock, which is the guest's as well)."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)

    def said(self, word: str) -> dict[str, str]:
        """Files of which the load said that, with the rest of the line."""
        found = {}
        for line in list(self.vm.witness):
            fields = line.split()
            if fields[0] == word:
                found[fields[1]] = " ".join(fields[2:])
        return found

    def promised(self) -> dict[str, int]:
        """Files that must not be lost any more, and how many jobs each of them is."""
        about = self.said("about")
        return {name: int(about[name]) for name in self.said("synced") | self.said("accepted")}

    # -- the attack ------------------------------------------------------------------------------

    def begin(self) -> None:
        self.vm.boot()
        self.vm.write("/etc/taskgate/conf.d/b-load.yaml", CONFIG)
        self.vm.write(f"{LAB}/load.py", LOAD)
        self.vm.write("/etc/systemd/system/lab-load.service", LOAD_UNIT)
        self.vm.run("systemctl", "restart", "taskgated")
        self.vm.run("systemctl", "enable", "--now", "lab-load")
        self.vm.run("sync")

    def cut(self) -> None:
        """Under load, at a random moment; sometimes again while everything is still coming back."""
        before, some = len(self.said("accepted")), self.rng.randint(1, 15)
        until(lambda: len(self.said("accepted")) >= before + some, "the gate accepts files", 300)
        self._power_off(0.5)
        while self.rng.random() < 0.25:
            self.vm.boot(wait=False)
            self._power_off(6.0)
        self.vm.boot()
        self._until_resumed()
        self.check()

    def _power_off(self, within: float) -> None:
        time.sleep(self.rng.uniform(0.0, within))  # waits for nothing: it makes the moment a random one
        self.vm.cut(self.rng.choice((0.0, 0.3, 0.7, 1.0)))
        self.cuts.append(time.time())

    def _until_resumed(self) -> None:
        """Until a job has started since the last cut; the boot counts as well."""

        def first() -> int:
            lines = [line for line in self.lines(self.look()["record"]) if line.word == "start"]
            return next((line.at for line in lines if line.at / 1e9 > self.vm.powered), 0)

        at = until(first, "a job starts after the boot", 300)
        self.seconds = max(self.seconds, at / 1e9 - self.vm.powered)

    # -- what has become of it -------------------------------------------------------------------

    def look(self) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads(self.vm.run("python3", "-c", LOOK))
        return seen

    def check(self) -> dict[str, Any]:
        """What must hold at any time."""
        about, promised = self.said("about"), self.promised()
        seen = self.look()
        stored = Counter(job[0] for job in seen["jobs"])
        for name, jobs in promised.items():
            here = name in seen["spool"] or name in seen["claims"]
            if stored[name] < jobs and not here and name not in self.missing:
                self.missing.add(name)
                why = seen["rejected"].get(f"{name}.reason", "it is nowhere")
                self.notes.append(
                    f"of {name} {stored[name]} of {jobs} jobs are left after cut {len(self.cuts)}: {why}"
                )
        for name, number in stored.items():
            if name in about and number > int(about[name]):
                self.notes.append(f"{name} was taken in more than once: {number} jobs instead of {about[name]}")
        for what, expected in (("integrity", ["ok"]), ("gaps", []), ("miscounted", [])):
            if seen[what] != expected:
                self.notes.append(f"{what} after cut {len(self.cuts)}: {seen[what]}")
        return seen

    def lines(self, text: str) -> list[auditor.Line]:
        """The record as the auditor reads it. A pid means another process in each boot."""
        with tempfile.TemporaryDirectory() as directory:
            whole = [row for row in text.splitlines() if len(row.split()) == 5]  # a row can be torn by a cut
            (Path(directory) / "record").write_text("".join(row + "\n" for row in whole))
            read = auditor.read(Path(directory))
        boots = [at + AHEAD for at in self.cuts]  # no boot takes so little
        return [
            auditor.Line(line.word, line.name, line.attempt, line.pid + 10**7 * bisect(boots, line.at / 1e9), line.at)
            for line in read
        ]

    def finish(self) -> Row:
        """No more load: everything ends, and nothing is left over."""
        self.vm.run("systemctl", "disable", "--now", "lab-load")

        def over() -> bool:
            seen = self.look()
            busy = [job for job in seen["jobs"] if job[1] in ("queued", "running")]
            queues = {"files", "lines", "rejected", "failed"}
            return not busy and not seen["claims"] and not set(seen["spool"]) - queues

        try:
            until(over, "everything ends and every file is done with", 600)
        except AssertionError:
            self.notes.append("not everything ended in ten minutes after the last cut")
        seen = self.check()
        lines = [line for line in self.lines(seen["record"]) if line.name != NOTHING]
        promised = {name: jobs for name, jobs in self.promised().items() if not name.startswith("once-")}
        expected = [f"{name}.{number}" for name, jobs in promised.items() for number in range(jobs)]
        verdict = auditor.judge(lines, expected, LIMIT, repeats=True)
        self._judge_ends(lines, verdict.again, seen)
        if verdict.gaps:
            self.notes.append(f"attempts' numbers did not grow: {verdict.gaps}")
        if lost := [name for name in verdict.lost if name.startswith("file-")]:
            self.notes.append(f"jobs that found nothing in the file they were to work on: {lost}")
        left = seen["claims"] + seen["left"]
        self.notes += [f"left behind: {name}" for name in left]
        jobs_lost = set(verdict.lost) | {name for name in self.missing if name.startswith("once-")}
        found = (len(jobs_lost), len(verdict.twice), len(verdict.over), len(left))
        return Row("power cut", len(self.cuts), *found, self.seconds, tuple(self.notes))

    def _judge_ends(self, lines: list[auditor.Line], again: tuple[str, ...], seen: dict[str, Any]) -> None:
        for name in again:
            # It ran again after each end but the last; the store did not have that one yet when the power went.
            *unknown, _ = [line.at / 1e9 for line in lines if line.word == "end" and line.name == name]
            if not all(self._cut_between(end, end + JUST_NOW) for end in unknown):
                self.notes.append(f"{name} ran again although it had ended long before a cut")
        starts = Counter(line.name for line in lines if line.word == "start")
        began = {line.name: line.at / 1e9 for line in lines if line.word == "start"}
        for name, number in starts.items():
            if name.startswith("once-") and number > 1:
                self.notes.append(f"{name} was started {number} times although it is not to be run again")
        for source, state, attempt, reason, name, started, finished in seen["jobs"]:
            interrupted = source.startswith("once-") and state == "failed" and attempt == 1
            if state != "succeeded" and not interrupted:
                self.notes.append(f"a job of {source} is {state} after attempt {attempt}: {reason}")
            elif interrupted and not self._cut_between(began.get(name, started / 1e6), finished / 1e6):
                self.notes.append(f"{name} failed although the power stayed while it ran: {reason}")

    def _cut_between(self, since: float, until: float) -> bool:
        """Whether the power went then; the guest's clock may be a little ahead of ours."""
        return any(since <= cut + AHEAD and cut <= until for cut in self.cuts)


def trial(vm: Vm, rng: random.Random, cuts: int) -> Row:
    """At least so many cuts of one machine's power, one after the other."""
    made = Trial(vm, rng)
    made.begin()
    try:
        while len(made.cuts) < cuts:
            made.cut()
        return made.finish()
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:  # what came of the cuts before is not lost
        return Row("power cut", len(made.cuts), len(made.missing), notes=(*made.notes, f"broken off: {error}"))


def attack(rng: random.Random, everything: bool) -> Row:
    if reason := missing():
        return Row("power cut", 0, notes=(f"not tried: {reason}",))
    with tempfile.TemporaryDirectory(prefix="taskgated-vm-") as directory:
        vm = Vm(deb(), Path(directory) / "vm", rng)
        try:
            return tried("power cut", lambda: trial(vm, rng, CUTS if everything else 2))
        finally:
            vm.close()


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    return {"power cut": attack}
