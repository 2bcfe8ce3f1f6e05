"""A job is told where its file lay, by every way that leads to one; what is not known is not told."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from taskgated.intake.claim import Claims
from taskgated.language.kinds import Kind
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]

SAYS = "$TASKGATE_SOURCE $TASKGATE_SUBMIT_DIR $TASKGATE_SUBMIT_HOST"
HANDLER = "[sh, -c, 'echo $0; echo {says}', '{file}']".replace("{says}", SAYS)
CONFIG = f"workers: 2\nqueues: {{etl: {{}}, data: {{handler: {{command: {HANDLER}}}}}}}\n"


def told(gate: GateEnv, job: int) -> list[bytes]:
    return gate.ctl("logs", str(job)).stdout.split()


def place(gate: GateEnv, *parts: str) -> list[bytes]:
    path = gate.layout.spool.joinpath(*parts)
    return [os.fsencode(path), os.fsencode(path.parent), os.fsencode(os.uname().nodename)]


def test_it_is_the_path_at_which_it_was_dropped(make_gate: MakeGate) -> None:
    gate = make_gate(CONFIG)
    for queue in ("etl", "data", "default"):
        (gate.layout.spool / queue).mkdir(exist_ok=True)
    script, spec = f"#!/bin/sh\necho {SAYS}\n", f"command: echo {SAYS}\n"
    drops = [
        ("a.sh", "", script),
        ("b.yaml", "", f"queue: etl\n{spec}"),  # its queue is another than that of its directory
        ("c.tasks", "etl", f"echo {SAYS}\n" * 2),
        ("d.sh", "default", script),
        ("e.yaml", "default", spec),
    ]
    over = 0
    for name, queue, text in drops:
        gate.drop(name, text, queue)
        before, over = over, over + (2 if name == "c.tasks" else 1)
        gate.until_over(over)
        for job in range(before + 1, over + 1):
            assert told(gate, job) == place(gate, queue, name), name
    gate.drop("image.png", "x", "data")
    gate.until_over(over + 1)
    lies, *rest = told(gate, over + 1)
    assert rest == place(gate, "data", "image.png")
    assert lies.startswith(os.fsencode(gate.layout.claims))
    gate.drop(b"\xff.sh", script)
    gate.until_over(over + 2)
    assert told(gate, over + 2)[0] == os.fsencode(gate.layout.spool) + b"/\xff.sh"


def test_a_queue_that_is_not_that_of_the_directory_is_not_taken_for_it(make_gate: MakeGate) -> None:
    """A directory of the default queue's name takes specs for any queue, as the spool does."""
    gate = make_gate(CONFIG)
    (gate.layout.spool / "default").mkdir()
    gate.drop("a.yaml", "queue: etl\ncommand: env\n", "default")
    gate.until_over(1)
    assert b"TASKGATE_QUEUE=etl" in told(gate, 1)
    assert not any(line.startswith((b"TASKGATE_SOURCE=", b"TASKGATE_SUBMIT_DIR=")) for line in told(gate, 1))


def test_it_is_known_after_a_crash(make_gate: MakeGate) -> None:
    """Of what was claimed alone, and of what waits in the store."""
    gate = make_gate("workers: 1\n")
    (gate.layout.spool / "default").mkdir()
    gate.drop("first.yaml", "command: sleep 100\n")
    gate.until_running("sleep")
    gate.drop("stored.sh", f"#!/bin/sh\necho {SAYS}\n")
    until(lambda: len(gate.jobs()) == 2)
    gate.kill()
    claims = Claims(bytes(gate.layout.claims), lambda path, why: None)
    claim = claims.make("default", Kind.SCRIPT, b"in.sh", nested=True)
    claims.close()
    (gate.layout.claims / claim / "in.sh").write_text(f"#!/bin/sh\necho {SAYS}\n")
    gate.start()
    until(lambda: len(gate.jobs()) == 3)
    gate.ctl("cancel", "1")
    gate.until_over(3)
    assert told(gate, 2) == place(gate, "stored.sh")
    assert told(gate, 3) == place(gate, "default", "in.sh")


def test_what_an_earlier_version_took_in_is_not_guessed_at(make_gate: MakeGate) -> None:
    gate = make_gate(start=False)
    gate.start()
    gate.drop("a.yaml", "command: env\ndelay: 1d\n")
    until(gate.jobs)
    gate.stop()
    with sqlite3.connect(gate.layout.database) as db:
        db.execute("UPDATE jobs SET nested = NULL, due = NULL, due_clock = NULL")
    db.close()
    gate.start()
    gate.until_over(1)
    assert not any(line.startswith((b"TASKGATE_SOURCE=", b"TASKGATE_SUBMIT_DIR=")) for line in told(gate, 1))
