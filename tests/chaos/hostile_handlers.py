"""What a handler leaves beside the file that it works on. Nothing of it is a job, and all of it goes away."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

from tests.chaos.stage import PATIENCE, Stage, said
from tests.chaos.table import Row
from tests.env.until import until

JOBS = 15_000
"""In a spec that intake reads for some seconds."""
MESS = """\
import os, sys
os.chdir(os.path.dirname(sys.argv[1]))
script = "#!/bin/sh\\ntouch {ran}\\n"
for name in ("0", "a.tasks", "zz", "\\u00ff"):
    with open(name, "w") as file:
        file.write(script)
os.symlink("{outside}", "link")
os.symlink("{outside}", "zz.yaml")
os.mkfifo("fifo")
for name in ("closed", "read-only"):
    os.mkdir(name)
    os.mkdir(name + "/inside")
os.chmod("closed", 0)
os.chmod("read-only/inside", 0o500)
os.chmod("read-only", 0o500)
os.mkdir("many")
for number in range({many}):
    open(f"many/{{number}}", "w").close()
    os.mkdir(f"many/{{number}}.d")
for number in range({deep}):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
"""


def mess(stage: Stage, scale: int) -> Path:
    """What the queue ``files`` runs for each file; returns a directory that nothing of it may touch."""
    outside = stage.gate.root / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "file").write_text("untouched")
    ran = stage.gate.scratch / "ran"
    stage.handler.write_text(MESS.format(ran=ran, outside=outside, many=1000 * scale, deep=100 * scale))
    return outside


def cleaned(stage: Stage) -> None:
    """Nothing is left of it, none of it ran, and what its links lead to is as it was."""
    claims = stage.gate.layout.claims
    until(lambda: sum(len(files) + len(names) for _, names, files in os.walk(claims)) == len(os.listdir(claims)),
          "what handlers left is gone", PATIENCE)  # fmt: skip
    assert (stage.gate.root / "outside" / "file").read_text() == "untouched", "a link was followed"
    assert not stage.gate.lines("ran") and not (stage.gate.scratch / "ran").exists(), "what a handler left was run"


def messy_handlers(stage: Stage) -> None:
    mess(stage, 10 if stage.everything else 2)
    over = stage.gate.status()["counts"]["succeeded"]
    for number in range(3):
        stage.drop(f"data{number}", "data", "files")
    stage.honest()

    def ended() -> bool:
        return bool(stage.gate.status()["counts"]["succeeded"] >= over + 4)

    until(ended, "the handlers have made their mess", PATIENCE)
    stage.honest("while it is cleaned up")
    stage.until_done()
    cleaned(stage)


def handler_taken_away(stage: Stage) -> None:
    """The handler of a queue goes from the configuration, in the midst of a list and of uploads; and comes back. What
    is dropped there says of itself whether it was run."""
    gate = stage.gate
    configuration = gate.layout.config_file.read_text()
    without = "".join(line for line in configuration.splitlines(True) if "witnesses" not in line)
    witness = gate.root / "was-run"
    number = 5000 if stage.everything else 300
    lines = f"touch {witness}\n" * number
    before = gate.status()["counts"]["succeeded"]
    try:
        stage.drop("long.tasks", lines, "witnesses")
        until(lambda: gate.status()["counts"]["succeeded"] > before, "the list is under way", PATIENCE)
        gate.configure(without)
        gate.call("Reload")
        stage.drop("late.tasks", lines, "witnesses")
        stage.drop("late", f"#!/bin/sh\n{lines}", "witnesses")
        until(
            lambda: "queue witnesses wait" in str(gate.status()["problems"]), "it is said that files wait", PATIENCE
        )
        stage.honest()
        assert not witness.exists(), "data were run"
    finally:
        gate.configure(configuration)
        gate.call("Reload")
    until(lambda: gate.status()["counts"]["succeeded"] >= before + 3 * number, "all data are worked on", PATIENCE * 3)
    assert not witness.exists(), "data were run"


def mess_and_kills(random_: random.Random, everything: bool) -> Row:
    """The daemon is killed while it reads a large spec and a handler's job ends; and again while it reads the next,
    claimed when what the handler left goes away."""
    stage = Stage(random_, everything)
    try:
        stage.start()
        stage.tries = 2
        mess(stage, 1)
        stage.drop("data", "data", "files")
        until(lambda: _state(stage), "its job is there", PATIENCE)
        _kill_while_reading(stage, "first.yaml")
        assert _state(stage) == "succeeded", "the handler's job did not end"
        _kill_while_reading(stage, "second.yaml")
        until(
            lambda: stage.gate.status()["counts"]["queued"] == 2 * JOBS, "all jobs of both specs are there", PATIENCE
        )
        stage.honest("afterwards")
        stage.until_done()
        cleaned(stage)
    except Exception as error:
        stage.notes.append(said(error))
    finally:
        stage.close()
    return stage.row("a handler's mess, and kills")


def _kill_while_reading(stage: Stage, name: str) -> None:
    stage.drop(name, "- command: 'true'\n" * JOBS, "parked")
    until(lambda: not (stage.gate.layout.spool / "parked" / name).exists(), f"{name} is claimed", PATIENCE)
    until(lambda: _state(stage) in ("succeeded", "failed"), "the job of the handler is over", PATIENCE)
    os.kill(stage.pid, signal.SIGKILL)
    stage.gate.wait()
    stage.gate.start()


def _state(stage: Stage) -> str:
    """Of the handler's job."""
    return next((str(job["state"]) for job in stage.gate.jobs() if job["queue"] == "files"), "")
