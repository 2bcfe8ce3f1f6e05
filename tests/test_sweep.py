"""Finding and killing processes: the parts. That nothing escapes is shown in the tests of workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_env import REPOSITORY
from taskgated.clock import ProcessId
from taskgated.worker import cgroup, kernel, mark, sweep
from taskgated.worker.sweep import Process
from worker_env import alive, reap, wait_until


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    kernel.become_subreaper()
    yield
    try:
        wait_until(lambda: reap() and not sweep.children(os.getpid()), "the last child")
    finally:
        while sweep.kill_descendants():
            reap()
        kernel.become_subreaper(False)


def start(code: str, **options: object) -> subprocess.Popen[bytes]:
    """A Python that runs ``code``; returns once that has written a line."""
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]
    assert process.stdout.readline()
    process.stdout.close()
    return process  # type: ignore[no-any-return]


def identity(pid: int) -> Process:
    entry = sweep.look(pid)
    assert entry is not None
    return entry.process


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen(["true"])
    wait_until(lambda: sweep.look(process.pid) is None, "true to end")
    assert sweep.children(os.getpid()) == [process.pid]  # but it is there until it is reaped
    process.wait()
    assert sweep.children(os.getpid()) == []


def test_a_process_whose_first_thread_has_ended_lives() -> None:
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "print(1, flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    process = start(code)
    stat = Path(f"/proc/{process.pid}/stat")
    wait_until(lambda: ") Z " in stat.read_text(), "the first thread to end")
    assert alive(process.pid)
    sweep.kill_descendants()
    assert process.wait(10) == -signal.SIGKILL


def test_a_signal_is_for_exactly_that_process() -> None:
    process = start("print(1, flush=True); import time; time.sleep(1000)")
    real = identity(process.pid)
    sweep.send(Process(real.pid, real.start + 1), signal.SIGUSR1)  # would end it, before the other does
    sweep.send(Process(2**22 + 1, 1), signal.SIGUSR1)  # beyond the largest pid
    sweep.send(real, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def test_descendants_and_what_bears_a_cookie() -> None:
    code = "import os, time; print(1, flush=True); os.fork(); os.fork(); time.sleep(1000)"
    process = start(code, env={"COOKIE": "a-1"})
    family = wait_until(lambda: len(f := sweep.descendants([os.getpid()])) == 4 and f, "all four")
    assert family
    assert sweep.descendants([process.pid]) == family - {identity(process.pid)}
    assert sweep.bearers(b"COOKIE=a-1", 0) == family
    assert sweep.bearers(b"COOKIE=a-", 0) == set()
    assert sweep.kill_descendants() == family
    process.wait(10)


def test_a_mark_is_borne_by_all_that_is_started() -> None:
    me, other = ProcessId(os.getpid(), 12345, "boot"), ProcessId(2**22 - 1, 2**40 - 1, "boot")
    assert mark.of(me) != mark.of(other) < 2**63
    code = (
        "import os, sys, time; from taskgated.clock import ProcessId; from taskgated.worker import mark\n"
        f"mark.bear(ProcessId({me.pid}, {me.start}, '')); print(1, flush=True)\n"
        "os.fork() or (os.setsid(), os.execve('/bin/sleep', ['sleep', '1000'], {})); time.sleep(1000)"
    )
    process = start(code, env={"PYTHONPATH": str(REPOSITORY)})
    (child,) = wait_until(lambda: sweep.descendants([process.pid]), "its child")
    wait_until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n", "it to run another program")
    assert sweep.bearers(None, mark.of(me)) == {identity(process.pid), child}
    assert sweep.bearers(None, mark.of(other)) == set()
    sweep.kill_descendants()
    process.wait(10)


def test_a_burial_waits_for_what_is_not_reaped() -> None:
    process = start("print(1, flush=True); import time; time.sleep(1000)")
    nobody = ProcessId(2**22 + 1, 1, "")
    burial = sweep.Burial(nobody, None, None, lambda: sweep.children(os.getpid()))
    assert not burial.step()
    wait_until(lambda: not alive(process.pid), "it to die")
    assert not burial.step()  # its zombie could still have left children to us unseen
    process.wait(10)
    assert burial.step()
    assert len(burial.killed) == 1


def test_what_cannot_be_killed_holds_up_no_later_burial(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in state D, or root's where there is no control group. It may be of any worker that died by then."""
    process = start("print(1, flush=True); import time; time.sleep(1000)")
    stubborn, send = identity(process.pid), sweep.send
    monkeypatch.setattr(sweep, "send", lambda who, number: None if who == stubborn else send(who, number))

    def orphans() -> list[int]:
        return sweep.children(os.getpid())

    first = sweep.Burial(ProcessId(2**22 + 1, 1, ""), None, None, orphans)
    assert not first.step()
    assert first.killed == {stubborn}
    late = start("print(1, flush=True); import time; time.sleep(1000)")
    victim = identity(late.pid)
    later = sweep.Burial(ProcessId(2**22 + 2, 1, ""), None, None, orphans, first.killed)
    assert not later.step()
    assert later.killed == {victim}
    late.wait(10)
    assert later.step()
    assert not first.step()
    monkeypatch.undo()
    process.kill()
    process.wait(10)
    assert first.step()


def test_only_groups_of_workers_are_ours() -> None:
    assert cgroup.is_ours("/sys/fs/cgroup/x/taskgate-worker-1.2")
    for path in ("/", "/sys/fs/cgroup", "/sys/fs/cgroup/x/taskgate-worker-1.2/", "/sys/fs/cgroup/other"):
        assert not cgroup.is_ours(path)


def test_mountinfo_is_unescaped() -> None:
    assert cgroup._unescape("/a\\040b\\134c") == "/a b\\c"
