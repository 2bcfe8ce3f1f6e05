"""Reading outputs beside the main loop: what hangs there, and what is no output, holds up nobody else."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.attempts import outputs
from taskgated.control import reading
from taskgated.control.reading import HUNG, Outputs
from taskgated.ctl.client import CallError
from taskgated.host.loop import Loop
from taskgated.store.answer import Answer
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until


def test_a_read_that_hangs_is_answered_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.2)
    loop = Loop()
    reads = Outputs(loop)
    reads.start()
    hangs = threading.Event()
    answers: list[Answer] = []

    def hang() -> tuple[bytes, int]:
        hangs.wait(60)
        return b"late", 4

    def turn_until(what: Callable[[], object]) -> None:
        loop.after(60, lambda: pytest.fail("that takes too long"))
        while not what():
            loop.turn()

    def no_file() -> tuple[bytes, int]:
        raise OSError("it is no file")

    reads.ask(lambda: (b"x", 1), answers.append, lambda: False)
    turn_until(lambda: answers)
    assert answers.pop().get() == (b"x", 1)
    reads.ask(no_file, answers.append, lambda: False)
    turn_until(lambda: answers)
    assert "cannot be read: it is no file" in str(answers.pop().error)
    assert not reads.trouble
    reads.ask(hang, answers.append, lambda: False)
    reads.ask(lambda: (b"y", 1), answers.append, lambda: False)
    turn_until(lambda: len(answers) == 2)
    assert [str(answer.error) for answer in answers] == [HUNG, HUNG], "who waits behind it as well"
    until(lambda: reads.trouble == HUNG, "it is named")
    reads.ask(lambda: (b"z", 1), answers.append, lambda: False)
    assert str(answers.pop().error) == HUNG, "at once: nothing piles up"
    hangs.set()
    until(lambda: not reads.trouble, "it goes on")
    answers.clear()
    reads.ask(lambda: (b"gone", 1), answers.append, lambda: True)
    reads.ask(lambda: (b"x", 1), answers.append, lambda: False)
    turn_until(lambda: answers)
    turn_until(lambda: len(answers) == 2)
    assert answers[1].get() == (b"x", 1), "what came late was nobody's any more"
    assert answers[0].error, "nobody hears it"
    reads.stop(10)


def answer(gate: GateEnv, job: int) -> str:
    try:
        return str(gate.call("Logs", id=job)["data"])
    except CallError as error:
        return f"{error.kind}: {error}"


def test_a_fifo_as_an_output_hangs_nobody(gate: GateEnv) -> None:
    gate.drop("a.tasks", "echo x\n" * 3)
    gate.until_over(3)
    first, second, third = (Path(gate.call("Show", id=job)["attempts"][0]["log"]) for job in (1, 2, 3))
    first.unlink()
    os.mkfifo(first)
    second.unlink()
    second.symlink_to(first)
    assert "is not a regular file" in answer(gate, 1)
    assert answer(gate, 2).startswith("Unavailable: the output cannot be read")
    assert answer(gate, 3) == "eAo="
    third.parent.rename(third.parent.with_name("elsewhere"))
    third.parent.symlink_to("elsewhere")
    assert answer(gate, 3).startswith("Unavailable: the output cannot be read"), "nor a link to a directory"
    assert gate.status()["ready"]


def test_a_hung_disk_of_the_outputs_is_named_and_all_else_goes_on(gate: GateEnv) -> None:
    gate.drop("a.yaml", "command: echo x\n")
    gate.until_over(1)
    assert gate.process
    directory = str(Path(outputs.path(gate.layout.log, 1, 1)).parent)
    calls = "openat,newfstatat,statfs,mkdir"
    delayed = ["-e", f"trace={calls}", "-e", f"inject={calls}:delay_enter=15s"]
    delayed += ["-P", directory, "-P", str(gate.layout.log)]
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-o", str(gate.root / "strace"), *delayed, "-p", str(gate.process.pid)]
    )
    try:
        tasks = Path(f"/proc/{gate.process.pid}/task")
        until(lambda: all("TracerPid:\t0" not in (t / "status").read_text() for t in tasks.iterdir()), "it is traced")
        assert answer(gate, 1) == f"Unavailable: {HUNG}"
        until(lambda: HUNG in gate.status()["problems"], "status says so")
        until(lambda: HUNG in gate.log(), "and the log")
        assert answer(gate, 1) == f"Unavailable: {HUNG}"
        gate.configure("workers: 2\nqueues: {fresh: {}}\n")
        asked = time.monotonic()
        assert gate.call("Reload") is not None
        assert time.monotonic() - asked < 10, "a reload looks at what it changes"
        gate.drop("b.yaml", "command: 'true'\n", "fresh")
        gate.until_over(2)
    finally:
        tracer.terminate()
        tracer.wait(60)
    until(lambda: gate.status()["ready"], "it is well again")
    assert answer(gate, 1) == "eAo="
    until(lambda: "answers again" in gate.log(), "it is said")


ENDING = """\
import sys
if "taskgated" in sys.orig_argv:
    from taskgated.daemon import retention
    from taskgated.control import logs
    def want(*args):
        raise MemoryError
    if %r == "removes":
        retention.remove, retention.EVERY = want, 0.2
    else:
        logs.read = want
"""


@pytest.mark.parametrize("what", ["reads", "removes"])
def test_a_thread_that_has_ended_is_not_passed_over(make_gate: Callable[..., GateEnv], what: str) -> None:
    """It does not come back (for want of memory, say), and nothing would tell of that; the next daemon has one."""
    gate = make_gate("workers: 1\nretention: {count: 0}\n" if what == "removes" else "workers: 1\n", start=False)
    hook = gate.scratch / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(ENDING % what)
    gate.start({"PYTHONPATH": f"{hook}:{REPOSITORY}", "WATCHDOG_USEC": "400000"})
    gate.drop("a.yaml", "name: a\ncommand: echo x\n")
    if what == "reads":
        gate.until_over(1)
        gate.ctl("logs", "1")
    assert gate.wait(120) == os.EX_IOERR
    assert "a thread that reads or removes outputs has ended" in gate.log()
