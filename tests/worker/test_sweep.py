"""Burials of workers: the parts. That nothing escapes is shown in the tests of the worker server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskgated.host import processes
from taskgated.host.processes import ProcessId
from taskgated.worker import cgroup, mark, sweep
from tests import REPOSITORY
from tests.env.processes import identity, nothing_left, start  # noqa: F401
from tests.env.until import until
from tests.env.worker import alive

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_descendants_and_what_bears_a_cookie() -> None:
    code = "import os, time; print(1, flush=True); os.fork(); os.fork(); time.sleep(1000)"
    process = start(code, env={"COOKIE": "a-1"})
    family = until(lambda: len(f := processes.descendants([os.getpid()])) == 4 and f, "all four")
    assert family
    assert processes.descendants([process.pid]) == family - {identity(process.pid)}
    assert sweep.bearers(b"COOKIE=a-1", 0) == family
    assert sweep.bearers(b"COOKIE=a-", 0) == set()
    assert processes.kill_descendants() == family
    process.wait(10)


def test_a_mark_is_borne_by_all_that_is_started() -> None:
    me, other = ProcessId(os.getpid(), 12345, "boot"), ProcessId(2**22 - 1, 2**40 - 1, "boot")
    assert mark.of(me) != mark.of(other) < 2**63
    code = (
        "import os, sys, time; from taskgated.host.processes import ProcessId; from taskgated.worker import mark\n"
        f"mark.bear(ProcessId({me.pid}, {me.start}, '')); print(1, flush=True)\n"
        "os.fork() or (os.setsid(), os.execve('/bin/sleep', ['sleep', '1000'], {})); time.sleep(1000)"
    )
    process = start(code, env={"PYTHONPATH": str(REPOSITORY)})
    (child,) = until(lambda: processes.descendants([process.pid]), "its child")
    until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n", "it to run another program")
    assert sweep.bearers(None, mark.of(me)) == {identity(process.pid), child}
    assert sweep.bearers(None, mark.of(other)) == set()
    processes.kill_descendants()
    process.wait(10)


def test_a_burial_waits_for_what_is_not_reaped() -> None:
    process = start("print(1, flush=True); import time; time.sleep(1000)")
    nobody = ProcessId(2**22 + 1, 1, "")
    burial = sweep.Burial(nobody, None, None, lambda: processes.children(os.getpid()))
    assert not burial.step()
    until(lambda: not alive(process.pid), "it to die")
    assert not burial.step()  # its zombie could still have left children to us unseen
    process.wait(10)
    assert burial.step()
    assert len(burial.killed) == 1


def test_what_cannot_be_killed_holds_up_no_later_burial(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in state D, or root's where there is no control group. It may be of any worker that died by then."""
    process = start("print(1, flush=True); import time; time.sleep(1000)")
    stubborn, send = identity(process.pid), processes.send
    monkeypatch.setattr(processes, "send", lambda who, number: None if who == stubborn else send(who, number))

    def orphans() -> list[int]:
        return processes.children(os.getpid())

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
