"""Hosts that have too few watches: the real limits, those of a user namespace of the daemon's own (namespaces(7),
"The /proc/sys/user directory"); the host's are not touched."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

CONFIG = "workers: 1\nrescan_interval: 1h\nqueues: {a: {}, b: {}, c: {}}\n"
INSTANCES, WATCHES = "max_inotify_instances", "max_inotify_watches"


@contextmanager
def limited(root: Path, limit: str, value: int) -> Iterator[GateEnv]:
    """A daemon whose user namespace has no more of them than that."""
    probe = ["unshare", "--user", "--map-root-user", "sh", "-c", f"echo {value} >/proc/sys/user/{limit}"]
    if os.geteuid() != 0 or subprocess.run(probe, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("there are no user namespaces here")
    env = GateEnv(root / "gate", CONFIG)
    command = f'echo {value} >/proc/sys/user/{limit}; exec "$0" -m taskgated --root "$1"'
    with open(env.root / "daemon.log", "ab") as log:
        env.process = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "sh", "-c", command, sys.executable, str(env.root)],
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
    try:
        yield env
    finally:
        env.process.terminate()
        env.process.wait(30)


def raise_limit(env: GateEnv, limit: str) -> None:
    assert env.process is not None
    command = f"echo 10000 >/proc/sys/user/{limit}"
    subprocess.run(["nsenter", "--user", "--target", str(env.process.pid), "sh", "-c", command], check=True)


def drop(env: GateEnv, name: str) -> Path:
    """A job that says that it ran."""
    ran = env.scratch / f"ran-{name.replace('/', '-')}"
    hidden = env.layout.spool / ".drop"
    hidden.write_text(f"command: [touch, {ran}]\n")
    hidden.rename(env.layout.spool / f"{name}.yaml")
    return ran


def problems(env: GateEnv) -> str:
    return " ".join(env.status().get("problems", []))


@pytest.mark.parametrize(("limit", "sysctl"), [(INSTANCES, "max_user_instances"), (WATCHES, "max_user_watches")])
def test_a_gate_that_can_watch_nothing_is_ready_and_says_so(tmp_path: Path, limit: str, sysctl: str) -> None:
    with limited(tmp_path, limit, 0) as env:
        until(lambda: env.status()["ready"], "the gate is ready", 30)
        until(lambda: "degraded: the spool, and 3 more, cannot be watched" in problems(env), "status says so", 10)
        assert f"fs.inotify.{sysctl}" in problems(env)
        for name in ("one", "a/two", "c/three"):
            until(drop(env, name).exists, f"{name} ran", 15)
        raise_limit(env, limit)
        until(lambda: env.status()["ready"] and not problems(env), "everything is watched by itself", 20)
        until(drop(env, "b/four").exists, "events come", 4)  # less than the time between two looks
        log = (env.root / "daemon.log").read_text()
        assert log.count("cannot be watched") == 1
        assert "all directories are watched again" in log


def test_directories_beyond_the_watches_are_looked_through_and_told_of(tmp_path: Path) -> None:
    with limited(tmp_path, INSTANCES, 2) as env:
        until(lambda: env.status()["ready"], "the gate is ready", 30)
        until(lambda: "degraded: queue directory" in problems(env), "status says so", 10)
        for name in ("one", "a/two", "b/three", "c/four"):
            until(drop(env, name).exists, f"{name} ran", 15)


def test_where_no_thread_can_be_started_it_says_what_helps(tmp_path: Path) -> None:
    """Each watched directory has a thread; here there is no room for the stack of one more (pthread_create(3))."""
    env = GateEnv(tmp_path / "gate", "workers: 1\nrescan_interval: 1h\n")
    env.start()
    try:
        assert env.process is not None
        text = Path(f"/proc/{env.process.pid}/status").read_text()
        size = int(re.findall(r"VmSize:\s+(\d+) kB", text)[0]) * 1024
        before = resource.prlimit(env.process.pid, resource.RLIMIT_AS, (size + 2 * 1024**2, resource.RLIM_INFINITY))
        for number in range(8):  # some stacks of threads that have ended are kept for the next
            (env.layout.spool / f"q{number}").mkdir()
        until(lambda: "cannot be watched: can't start new thread" in problems(env), "status says so", 20)
        said = problems(env)
        assert "TasksMax=" in said and "LimitAS=" in said and "inotify" not in said
        assert env.status()["ready"]
        for number in (0, 7):
            until(drop(env, f"q{number}/one").exists, "what is dropped there runs all the same", 20)
        resource.prlimit(env.process.pid, resource.RLIMIT_AS, before)
        until(lambda: not problems(env), "everything is watched by itself", 20)
    finally:
        env.clean_up()
