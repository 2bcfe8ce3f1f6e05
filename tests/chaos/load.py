"""What a trial drops: some thirty jobs of every format, each with a name of its own that its record bears."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

RECORD = Path(__file__).with_name("record.py")
WORKERS = 2
QUEUES = ("narrow", "files", "lines")
NARROW = "narrow=1"
LINES = "lines=1"


@dataclass(slots=True)
class Load:
    """Files to drop, in order, as (queue, name, content), and what their jobs shall come to: by name the state
    (``succeeded`` or ``failed``), and how many attempts shall come to their end when nothing is killed.
    ``seconds``: how long a job takes, beside its start. ``sturdy``: those whose processes may be killed."""

    record: Path
    seconds: float = 0.05
    files: list[tuple[str, str, str]] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    limited: dict[str, set[str]] = field(default_factory=lambda: {"narrow": set(), "lines": set()})
    refused: set[str] = field(default_factory=set)
    sturdy: set[str] = field(default_factory=set)

    @property
    def config(self) -> str:
        """The configuration; its handlers know where the record is."""
        script = f'exec {shlex.join(self.argv())} "$(basename "$1")" {self.seconds} {WORKERS}'
        return (
            f"workers: {WORKERS}\n"
            "stop_timeout: 20s\n"
            "queues:\n"
            "  narrow: {limit: 1}\n"
            "  marked: {require: {marker: .done}}\n"
            f"  files: {{handler: {{command: {json.dumps(['/bin/sh', '-c', script, 'sh', '{file}'])}}}}}\n"
            f"  lines: {{limit: 1, handler: {{command: {json.dumps(self.argv('{line}', WORKERS, LINES))}}}}}\n"
        )

    def argv(self, name: str = "", *limits: int | str) -> list[str]:
        """The command of one job."""
        rest = [name, str(self.seconds), *map(str, limits)] if name else []
        # Without site and user directories the interpreter starts in half the time.
        return [sys.executable, "-S", "-I", str(RECORD), str(self.record), *rest]

    def new(self, state: str = "succeeded", ends: int = 1, queue: str = "") -> str:
        """The name of one more job."""
        name = f"job-{len(self.states)}"
        self.states[name] = state
        self.ends[name] = ends
        if queue in self.limited:
            self.limited[queue].add(name)
        return name

    def shell(self, name: str) -> str:
        return shlex.join(self.argv(name, WORKERS))

    # -- one file of each format -----------------------------------------------------------------

    def yaml(self, number: int, *, queue: str = "") -> None:
        """Several documents."""
        limits: list[int | str] = [WORKERS, *([NARROW] if queue == "narrow" else [])]
        documents = []
        for _ in range(number):
            name = self.new(queue=queue)
            command = json.dumps(self.argv(name, *limits))
            documents.append(f"name: {name}\ncommand: {command}\n")
        self._add("---\n".join(documents), ".yaml", queue)

    def json(self, number: int) -> None:
        """A list; the jobs are for the queue with a limit, which their file does not lie in."""
        names = [self.new(queue="narrow") for _ in range(number)]
        jobs = [{"name": n, "queue": "narrow", "command": self.argv(n, WORKERS, NARROW)} for n in names]
        self._add(json.dumps(jobs), ".json")

    def script(self) -> None:
        name = self.new()
        self._add(f"#!/bin/sh\n#TASKGATE name: {name}\nexec {self.shell(name)}\n", "")

    def tasks(self, number: int) -> None:
        lines = ["# a list", *(self.shell(self.new()) for _ in range(number))]
        self._add("\n".join(lines) + "\n", ".tasks")

    def marked(self) -> None:
        """A list that is taken only when its marker is there, which comes behind it."""
        self._add(f"{self.shell(self.new())}\n", ".tasks", "marked")
        self.files.append(("marked", f"{self.files[-1][1]}.done", ""))

    def file(self) -> None:
        """For the handler that gets the file, which has the name of the job."""
        name = self.new()
        self.files.append(("files", name, "data"))

    def lines(self, number: int) -> None:
        self._add("\n".join(self.new(queue="lines") for _ in range(number)) + "\n", ".data", "lines")

    def failing(self) -> None:
        name = self.new("failed")
        self._add(f"name: {name}\ncommand: {json.dumps(f'{self.shell(name)}; exit 3')}\n", ".yaml")

    def retried(self) -> None:
        """Fails when it has come to its end the first time, and not again."""
        name = self.new(ends=2)
        flag = shlex.quote(str(self.record / f"{name}.flag"))
        command = f"{self.shell(name)}; test -e {flag} || {{ touch {flag}; exit 1; }}"
        retry = "retry: {attempts: 3, delay: 100ms}"
        self._add(f"name: {name}\n{retry}\ncommand: {json.dumps(command)}\n", ".yaml")

    def tough(self) -> None:
        """Takes a while, and is tried again whenever it is killed."""
        name = self.new()
        self.sturdy.add(name)
        seconds, self.seconds = self.seconds, 1.0
        command = json.dumps(self.argv(name, WORKERS))
        self.seconds = seconds
        self._add(f"name: {name}\nretry: {{attempts: 20, delay: 0}}\ncommand: {command}\n", ".yaml")

    def delayed(self) -> None:
        name = self.new()
        self._add(f"name: {name}\ndelay: 500ms\ncommand: {json.dumps(self.argv(name, WORKERS))}\n", ".yaml")

    def bad(self) -> None:
        """To be refused."""
        self._add("name: x\npriorty: 3\n", ".yaml")
        self.refused.add(self.files[-1][1])

    def _add(self, content: str, suffix: str, queue: str = "") -> None:
        self.files.append((queue, f"file-{len(self.files)}{suffix}", content))


def every_format(record: Path, seconds: float = 0.05) -> Load:
    """Thirty jobs."""
    load = Load(record, seconds)
    load.delayed()
    load.retried()
    load.yaml(3)
    load.tasks(5)
    load.script()
    load.json(4)
    load.bad()
    for _ in range(3):
        load.file()
    load.lines(4)
    load.failing()
    load.yaml(2, queue="narrow")
    load.script()
    load.tasks(2)
    load.json(1)
    load.marked()
    return load
