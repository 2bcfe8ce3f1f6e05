"""Events of the file system that are lost, and a spool that is deleted, replaced or unmounted: no file is left lying.

The health check looks every ten seconds, and at one look misses the sign of life that it asked for at the one
before: so what is wrong is said within twenty. It is repaired by itself; where it cannot be, the spool is looked
through every five seconds. The ordinary look at everything comes too late here to rescue anybody (``SELDOM``).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from taskgated.daemon.health import EVERY
from tests import REPOSITORY
from tests.chaos.siege import Siege, repeated
from tests.chaos.table import Row

NOTICED = 2 * EVERY + 10.0
"""Seconds in which the daemon says what is wrong; the last ten are for a busy host."""
SELDOM = "rescan_interval: 1h\n"
QUEUED = Path("/proc/sys/fs/inotify/max_queued_events")
"""How many events the kernel keeps for one watcher; for those that are too many it says IN_Q_OVERFLOW once."""
HOOK = """\
import os, sys, threading, time

def wait():
    while not os.path.exists(os.environ["TASKGATE_TRIAL"]):
        time.sleep(0.02)
    observers = [t for t in threading.enumerate() if type(t).__name__ == "BaseObserver"]
    emitters = [t for t in threading.enumerate() if type(t).__name__ == "Emitter"]
    what = open(os.environ["TASKGATE_TRIAL"]).read()
    if what == "observer":
        for observer in observers:
            observer.event_queue.put(None)  # which it cannot unpack
    elif what == "emitter":
        for emitter in emitters:
            emitter.should_keep_running = lambda: 1 / 0
            emitter.ping()
    elif what == "intake":
        intake = next(t for t in threading.enumerate() if t.name == "intake")
        intake._round = lambda *_: 1 / 0
        intake.poke()
    else:
        for observer in observers:
            for handlers in list(observer._handlers.values()):
                for handler in handlers:
                    handler.dispatch = lambda event: time.sleep(1000)
    os.unlink(os.environ["TASKGATE_TRIAL"])  # it is done; and not for the next daemon, if there is one

if "taskgated" in sys.orig_argv and "TASKGATE_TRIAL" in os.environ:
    threading.Thread(target=wait, daemon=True).start()
"""
"""Runs in the daemon (as ``sitecustomize``): when a file appears it does to the threads what that says."""


def _begin(siege: Siege) -> None:
    siege.well()
    siege.drop("before0", "before1")
    siege.until_ended("before0", "before1")
    siege.drop("across", seconds=4)
    siege.until_running("across")
    siege.mark()


def _repaired(siege: Siege) -> None:
    siege.said("is watched and worked on again", status=False, within=NOTICED)
    siege.well()


def _noticed(siege: Siege, *words: str) -> None:
    """It is in the journal within the time that is promised. (What the status says is gone when it is repaired.)"""
    siege.said(*words, status=False, within=NOTICED)


def _taken(siege: Siege, since: float, *names: str) -> None:
    """What came in trouble ran as soon as is promised, from ``since`` (monotonic) on."""
    siege.until_ended(*names, within=NOTICED - (time.monotonic() - since))


# -- too many, too few ---------------------------------------------------------------------------


def overflow(name: str, rng: random.Random) -> Row:
    """The daemon stands still while names pour in; of those that come last there is no event."""
    too_many = int(QUEUED.read_text()) + 1  # each name is an event at least
    with Siege(name, f"{SELDOM}queues: {{etl: {{}}}}\n") as siege:
        _begin(siege)
        siege.env.signal(signal.SIGSTOP)
        for directory in (siege.env.layout.spool, siege.env.layout.spool / "etl"):
            for number in range(too_many):
                path = directory / f".pour{number}"
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
                path.unlink()
        siege.drop("during0", "during1")
        siege.drop("during2", "during3", queue="etl")
        siege.env.signal(signal.SIGCONT)
        since = time.monotonic()
        _taken(siege, since, "during0", "during1", "during2", "during3")
        siege.drop("after0")
        return siege.audit(since)


def pour(name: str, rng: random.Random) -> Row:
    """40,000 names come and go, as fast as they can be made, with jobs in between."""
    with Siege(name, SELDOM) as siege:
        _begin(siege)
        spool = siege.env.layout.spool
        for number in range(40_000):
            path = spool / f"pour{number}.tmp"
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            path.unlink()
            if number % 10_000 == 5_000:
                siege.drop(f"during{number}")
        since = time.monotonic()
        _taken(siege, since, *(name for name in siege.names if name.startswith("during")))
        siege.drop("after0")
        return siege.audit(since)


def out_of_watches(name: str, rng: random.Random, limit: str) -> Row:
    """Nothing more can be watched, for a daemon in a user namespace with a limit of its own. Then the spool is
    replaced, so that it has to be watched anew."""
    with Siege(name, SELDOM, prefix=["unshare", "--user", "--map-root-user"]) as siege:
        _begin(siege)
        _set_limit(siege, limit, 0)
        spool = siege.env.layout.spool
        os.rename(spool, siege.root / "old")
        spool.mkdir(exist_ok=True)  # the daemon may have been quicker
        siege.said("cannot be watched", within=NOTICED)
        since = time.monotonic()
        siege.drop("during0", "during1")
        _taken(siege, since, "during0", "during1")
        _set_limit(siege, limit, 10_000)
        since = time.monotonic()
        siege.said("all directories are watched again", status=False, within=NOTICED)
        siege.well()
        siege.drop("after0")
        return siege.audit(since)


def _set_limit(siege: Siege, limit: str, value: int) -> None:
    """The namespace's own limit (namespaces(7), "The /proc/sys/user directory"); the host's is not touched."""
    command = f"echo {value} >/proc/sys/user/{limit}"
    subprocess.run(["nsenter", "--user", "--target", str(siege.pid), "sh", "-c", command], check=True)


# -- threads -------------------------------------------------------------------------------------


def thread(name: str, rng: random.Random, what: str, words: str, may_end: tuple[int, ...] = ()) -> Row:
    """A thread of the watch dies, or hangs; what is dropped meanwhile is found when that is noticed."""
    with tempfile.TemporaryDirectory(prefix="taskgate-hook-") as hook:
        (Path(hook) / "sitecustomize.py").write_text(HOOK)
        trigger = Path(hook) / "trigger"
        path = f"{hook}:{REPOSITORY}"
        environ = {"PYTHONPATH": path, "TASKGATE_TRIAL": str(trigger)}
        with Siege(name, SELDOM, env=environ, may_end=may_end) as siege:
            _begin(siege)
            fresh = trigger.with_suffix(".new")
            fresh.write_text(what)
            fresh.rename(trigger)
            since = time.monotonic()
            siege.wait(lambda: not trigger.exists(), "it is done")
            if what != "hang":
                siege.wait(lambda: "Traceback" in siege.log(), "the thread has died")
            siege.drop("during0", "during1")
            _noticed(siege, words)
            _taken(siege, since, "during0", "during1")
            if not may_end:
                _repaired(siege)
            siege.drop("after0")
            return siege.audit(since)


def intake_dies(name: str, rng: random.Random) -> Row:
    """It does not come back: the daemon ends, and the next one finds what lies there."""
    return thread(name, rng, "intake", "the thread that takes files in has ended", may_end=(74,))


# -- the directory -------------------------------------------------------------------------------


def deleted(name: str, rng: random.Random) -> Row:
    """The daemon makes it again, with the queues in it."""
    with Siege(name, f"{SELDOM}queues: {{etl: {{}}}}\n") as siege:
        _begin(siege)
        spool = siege.env.layout.spool
        _delete(spool)
        since = time.monotonic()
        _noticed(siege, "No such file or directory")
        siege.wait((spool / "etl").exists, "it is made again", NOTICED - (time.monotonic() - since))
        siege.drop("during0")
        siege.drop("during1", queue="etl")
        _taken(siege, since, "during0", "during1")
        _repaired(siege)
        siege.drop("after0")
        return siege.audit(since)


def _delete(directory: Path) -> None:
    """Again, if meanwhile somebody has made anew what was gone already."""
    end = time.monotonic() + NOTICED
    while True:
        try:
            shutil.rmtree(directory)
            return
        except OSError:
            if time.monotonic() > end:
                raise


def replaced(name: str, rng: random.Random) -> Row:
    """Another directory has its name, and the old one comes back: what lies in either is taken."""
    with Siege(name, SELDOM) as siege:
        _begin(siege)
        spool = siege.env.layout.spool
        old, new = siege.root / "old", siege.root / "new"
        siege.prepare("during0", "during1")
        os.rename(spool, old)
        spool.mkdir(exist_ok=True)
        siege.drop("during2")
        _taken(siege, time.monotonic(), "during2")
        os.rename(spool, new)
        os.rename(old, spool)
        since = time.monotonic()
        siege.release("during0", "during1")
        _taken(siege, since, "during0", "during1")
        siege.well()
        siege.drop("after0")
        row = siege.audit(since)
        lying = [path.name for path in new.iterdir() if not path.name.startswith(".") and path.is_file()]
        return row + Row(name, 0, left=len(lying), notes=tuple(lying))


def unmounted(name: str, rng: random.Random) -> Row:
    """The spool is a mount that goes, with files in it, and comes back."""
    with Siege(name, SELDOM, disks=["spool"]) as siege:
        _begin(siege)
        disk = siege.disks["spool"]
        siege.env.signal(signal.SIGSTOP)  # so that files are in it when it goes
        siege.drop("during0", "during1")
        disk.unmount()
        siege.env.signal(signal.SIGCONT)
        since = time.monotonic()
        _noticed(siege, "another directory is there now", "No such file")
        siege.drop("between")  # into the directory below the mount
        _taken(siege, since, "between")
        siege.well()
        siege.mark()
        disk.mount()
        since = time.monotonic()
        siege.drop("after0")
        _noticed(siege, "another directory is there now")
        _taken(siege, since, "during0", "during1", "after0")
        return siege.audit(since)


USER = 64_322
"""A user that nobody is."""


def typed_by_root(name: str, rng: random.Random) -> Row:
    """Root types the daemon's name over the gate of its user, which must not notice; then each directory that intake
    works in changes hands, which must be said, and forgotten when it is mended."""
    with Siege(name, SELDOM, user=USER) as siege:
        _begin(siege)
        layout = siege.env.layout
        places = [layout.spool, layout.claims, layout.rejected, layout.state, layout.run]
        before = [(path.stat().st_ino, path.stat().st_uid, sorted(os.listdir(path))) for path in places]
        command = [sys.executable, "-m", "taskgated", "--root", str(siege.env.root)]
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != os.EX_NOPERM:
            siege.notes.append(f"root's daemon ended with status {done.returncode}: {done.stderr}")
        if [(path.stat().st_ino, path.stat().st_uid, sorted(os.listdir(path))) for path in places] != before:
            siege.notes.append("root's daemon has changed directories of the gate")
        hands = places[:3]
        rng.shuffle(hands)
        for number, path in enumerate(hands):
            siege.mark()
            os.chown(path, 0, 0)
            _noticed(siege, f"{path} belongs to root")
            siege.drop(f"during{number}")
            os.chown(path, USER, USER)
            since = time.monotonic()
            siege.until_ended(f"during{number}")
            siege.well()
        return siege.audit(since)


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    """By name; each takes a source of chance, and whether to do all of it."""
    trials: dict[str, Callable[[str, random.Random], Row]] = {
        "events overflow: daemon stopped": overflow,
        "events overflow: 40,000 names": pour,
        "no inotify watches": lambda name, rng: out_of_watches(name, rng, "max_inotify_watches"),
        "no inotify instances": lambda name, rng: out_of_watches(name, rng, "max_inotify_instances"),
        "observer thread dies": lambda name, rng: thread(name, rng, "observer", "the observer thread is dead"),
        "observer thread hangs": lambda name, rng: thread(name, rng, "hang", "no event comes through"),
        "event reader dies": lambda name, rng: thread(
            name, rng, "emitter", "the thread that reads its events is dead"
        ),
        "intake thread dies": intake_dies,
        "spool deleted": deleted,
        "spool replaced": replaced,
        "spool unmounted": unmounted,
        "daemon typed by root, directories change hands": typed_by_root,
    }

    def attack(name: str) -> Callable[[random.Random, bool], Row]:
        return lambda rng, all_of_it: repeated(name, lambda: trials[name](name, rng), 3 if all_of_it else 1)

    return {name: attack(name) for name in trials}
