"""What the host runs out of: room, inodes, descriptors, processes, memory; and disks that refuse, or are slow.

Each for the store, the output files, the spool and the daemon apart. In every trial some jobs are over before, one
runs, and some come while it lasts. The daemon must say what is wrong, take nothing in that it cannot keep, keep what
runs, and go on by itself when there is room again.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

from taskgated.attempts import outputs
from taskgated.control.reading import HUNG
from taskgated.ctl.client import CallError
from tests.chaos import messages, putback, stuck
from tests.chaos.disks import ThinDisk
from tests.chaos.siege import PATIENCE, WATCHDOG, Manager, Siege, repeated
from tests.chaos.table import Row

Befall = Callable[[Siege], AbstractContextManager[None]]

FULL = ("No space left", "disk is full")
READ_ONLY = ("Read-only", "readonly", "read-only", "disk I/O error")
SLOWLY = "200ms"
"""What a slow disk takes for each sync, and for each name that it is to change."""
SLOW_CALLS = "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"
HANGS = "15s"
"""What a disk takes that hangs: longer than whoever asks is to wait."""
PROMPT = 1.5
"""Seconds in which the control socket answers, however slow the disk is."""
USER = 64_321
"""A user that nobody is: for limits that root does not have."""


def _begin(siege: Siege, seconds: float = 5.0) -> None:
    """Some jobs are over, one runs."""
    siege.well()
    siege.drop("before0", "before1", "before2")
    siege.until_ended("before0", "before1", "before2")
    siege.drop("across", seconds=seconds, output=100)
    siege.until_running("across")
    siege.mark()


def _end(siege: Siege, since: float, **excuses: tuple[str, ...]) -> Row:
    siege.drop("after0", "after1")
    return siege.audit(since, **excuses)


# -- the store -----------------------------------------------------------------------------------


def store_full(name: str, rng: random.Random, *, kill: bool = False) -> Row:
    """Nothing is taken in that is not kept, and nothing starts that is not written down."""
    with Siege(name, disks=["state"], may_end=[74]) as siege:
        _begin(siege)
        with siege.disks["state"].full():
            siege.drop("during0", "during1", "during2")
            siege.drop("script", script=True)
            siege.said(*FULL)
            if kill:
                siege.env.kill()
                siege.launch()
            siege.until_ended("across")
            _not_started(siege, *siege.names[4:])
        return _end(siege, time.monotonic())


def _not_started(siege: Siege, *names: str) -> None:
    """The store cannot know of them now; if they run, nothing would be known of them after a crash."""
    if early := siege.lines("start") & set(names):
        siege.notes.append(f"started although the store could not be written: {' '.join(sorted(early))}")


def store_without_inodes(name: str, rng: random.Random) -> Row:
    """It has its files; but a script needs a private copy, and that waits for its inode."""
    with Siege(name, disks=["state"], inodes=64) as siege:
        _begin(siege)
        with siege.disks["state"].without_inodes():
            siege.drop("during0", "during1", "during2")
            siege.until_ended("during0", "during1", "during2")
            siege.drop("script", script=True)
            siege.wait(lambda: (siege.env.job("script") or {}).get("state") == "running", "it is tried")
            siege.said("now, trying again: No space left", status=False)
            siege.until_ended("across")
            _not_started(siege, "script")
        return _end(siege, time.monotonic())


def store_read_only(name: str, rng: random.Random) -> Row:
    """An error of the disk makes it read-only under the daemon. It takes a repair with nobody there, and a start."""
    with Siege(name, disks=["state"], may_end=[74]) as siege:
        _begin(siege)
        siege.disks["state"].fail()
        siege.drop("during0", "during1", "during2")
        siege.wait(lambda: siege.ends or any(word in siege.log() for word in READ_ONLY), "it says so, or ends")
        siege.until_ended("across")
        siege.env.kill()  # a worker that cannot put down its outcome stays, but has nothing open there
        siege.disks["state"].repair()
        siege.launch()
        return _end(siege, time.monotonic())


def store_refusing(name: str, rng: random.Random) -> Row:
    """It is read-only for some seconds, for the daemon that has its files open, and then not any more. (No file
    system can be made so under a writer, and back again: the kernel's answers are forged.)"""
    with Siege(name) as siege:
        _begin(siege)
        with siege.injected("pwrite64,ftruncate,fsync,fdatasync", "error=EROFS"):
            siege.drop("during0", "during1", "during2")
            siege.drop("script", script=True)
            siege.said(*READ_ONLY)
            siege.until_ended("across")
            _not_started(siege, *siege.names[4:])
        return _end(siege, time.monotonic())


def store_failing(name: str, rng: random.Random, room: int = 0) -> Row:
    """Syncs fail for some seconds. The daemon may end of one, for what that has lost nobody can tell; but without
    more done than to start it again, it goes on as soon as the disk does. ``room``: so many blocks can be written
    before, so that the first sync that fails may as well be that of a start, for which nobody waits."""
    with Siege(name, disks=["state"], disk=ThinDisk, may_end=[74]) as siege:
        _begin(siege, seconds=12)
        disk = siege.disks["state"]
        assert isinstance(disk, ThinDisk)
        with disk.failing(room):
            siege.drop("first")
            siege.said("the store cannot write: disk I/O error", "the disk failed to sync", status=False)
            siege.drop("during0", "during1", "during2")
            siege.drop("script", script=True)
            siege.wait(lambda: _refused(siege), "the daemon says what it waits for")
            siege.until_ended("across")
            works = time.monotonic() + rng.uniform(2, 6)
            siege.wait(lambda: time.monotonic() > works, "the disk works again")
            _not_started(siege, "during0", "during1", "during2", "script")
        since = time.monotonic()
        siege.until_ended(*siege.names)
        siege.drop("later")
        siege.wait(lambda: not any(siege.env.layout.claims.glob("*/*")) and not siege.in_spool("later"), "it has all")
        with disk.after_a_cut(siege.root / "cut"):
            stable = _names_in(siege.root / "cut" / siege.env.layout.database.name)
        if lost := set(siege.names) - stable:
            siege.notes.append(f"accepted, but not on the disk: {' '.join(sorted(lost))}")
        return _end(siege, since)


def _refused(siege: Siege) -> bool:
    """The daemon says so to who asks; or one that could not even start says so in the journal, and waits."""
    asked = " ".join(siege.status().get("problems", ()))
    return "the store cannot write: disk I/O error" in asked or "it is tried every second" in siege.log()


def _names_in(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {os.fsdecode(name) for (name,) in db.execute("SELECT name FROM jobs")}


# -- the output files ----------------------------------------------------------------------------


def output_disk(name: str, rng: random.Random, befall: Befall, *, cut: bool = True) -> Row:
    """The job is not hurt: only its output is, and its outcome says so."""
    with Siege(name, disks=["log"], inodes=64) as siege:
        _begin(siege)
        siege.until_ended("across")
        with befall(siege):
            siege.drop("during0", "during1", output=200)
            siege.drop("during2", output=200, script=True)
            if cut:
                siege.until_ended("during0", "during1", "during2")
                siege.wait(lambda: siege.log().count("succeeded (output") >= 3, "all outcomes say what was cut")
        return _end(siege, time.monotonic())


def output_hangs(name: str, rng: random.Random) -> Row:
    """The directory of the outputs lies on a disk that answers no more. Who asks for an output is told so; the rest
    goes on, and the pings as well. (The workers are spared: what they write to is theirs to wait for.)"""
    with Manager() as manager, Siege(name, env=manager.environ) as siege:
        _begin(siege)
        since = time.monotonic()
        directory = Path(outputs.path(siege.env.layout.log, 1, 1)).parent
        with siege.injected("openat", f"delay_enter={HANGS}", directory):
            siege.wait(lambda: _told(siege, "before0") == HUNG, "it is said to who asks")
            siege.said(HUNG)
            siege.drop("during0", "during1", "during2")
            siege.until_ended("across", "during0", "during1", "during2")
            siege.wait(lambda: _told(siege, "before0") == HUNG, "it is said again, at once")
        if (silence := manager.silence(since)) > WATCHDOG:
            siege.notes.append(f"no ping for {silence:.1f} s")
        siege.wait(lambda: _told(siege, "across"), "outputs can be read again")
        return _end(siege, time.monotonic())


def _told(siege: Siege, job: str) -> str:
    """The output of a job, or what is wrong with that."""
    try:
        return str(siege.env.call("Logs", id=(siege.env.job(job) or {})["id"])["data"])
    except CallError as error:
        return str(error)


# -- the spool -----------------------------------------------------------------------------------


def spool_disk(name: str, rng: random.Random, befall: Befall, words: tuple[str, ...]) -> Row:
    """Files stay where they are until they can be claimed."""
    with Siege(name, disks=["spool"], inodes=128) as siege:
        _begin(siege)
        # It has four directories left from before, and takes so many files at each try: enough for some seconds.
        names = [f"during{number}" for number in range(36)]
        siege.prepare(*names)
        siege.env.signal(signal.SIGSTOP)  # so that they come while it cannot claim them
        siege.release(*names)
        with befall(siege):
            siege.env.signal(signal.SIGCONT)
            siege.said(*words)
            siege.until_ended("across")
            if not set(names) - siege.lines("end"):
                siege.notes.append("nothing kept it from taking files in")
            if (times := siege.log().count("cannot be worked on")) > 3:
                siege.notes.append(f"said {times} times")
        return _end(siege, time.monotonic())


# -- slow ----------------------------------------------------------------------------------------


def frozen(name: str, rng: random.Random, place: str, *, words: str = "") -> Row:
    """The disk stands still for some seconds, or until that is said; whoever needs it waits, nobody gives up."""
    with Siege(name, disks=[place]) as siege:
        _begin(siege, seconds=2)
        siege.prepare("during0", "during1", output=200)  # so much that they cannot end before it is written
        siege.env.signal(signal.SIGSTOP)  # so that nothing can be done before it is frozen
        if place == "spool":
            siege.release("during0", "during1")
        with siege.disks[place].frozen():
            if place != "spool":
                siege.release("during0", "during1")
            siege.env.signal(signal.SIGCONT)
            thaw = time.monotonic() + rng.uniform(2, 6)
            siege.wait(lambda: time.monotonic() > thaw, "it thaws")
            if words:
                siege.said(words, status=False)
            if early := siege.lines("end" if place == "log" else "start") & {"during0", "during1"}:
                siege.notes.append(f"did not wait for the disk: {' '.join(sorted(early))}")
        return _end(siege, time.monotonic())


def slow(name: str, rng: random.Random, files: int, *, at_once: bool = False) -> Row:
    """Each sync and each change of a name takes long, in the store and in the spool: all of it goes on, but slowly.
    The daemon has nothing to complain of, answers at once, and gives its pings."""
    with Manager() as manager, Siege(name, env=manager.environ) as siege:
        _begin(siege)
        names = [f"during{number}" for number in range(files)]
        siege.prepare(*names)
        since = time.monotonic()
        with siege.injected(SLOW_CALLS, f"delay_enter={SLOWLY}") as log:
            for number in names:
                siege.release(number)
                if not at_once:
                    siege.wait(lambda: _prompt(siege), "it answers")
            siege.wait(lambda: _prompt(siege) and set(names) <= siege.lines("end"), "they end, slowly", 3 * PATIENCE)
            siege.wait(lambda: _prompt(siege) and time.monotonic() - since > WATCHDOG, "pings are due")
            if (calls := log.read_text().count("DELAYED")) < len(names):
                siege.notes.append(f"it was not slow: {calls} calls were delayed")
        if (silence := manager.silence(since)) > WATCHDOG:
            siege.notes.append(f"no ping for {silence:.1f} s")
        return _end(siege, time.monotonic())


def _prompt(siege: Siege) -> bool:
    asked = time.monotonic()
    status = siege.status()
    took = time.monotonic() - asked
    notes = [f"an answer took {took:.1f} s"] if took > PROMPT else []
    notes += [f"of a disk that is only slow it says: {problem}" for problem in status.get("problems", ())]
    siege.notes += [note for note in notes if note not in siege.notes]
    return bool(status)


# -- the daemon ----------------------------------------------------------------------------------


def descriptors(name: str, rng: random.Random, spare: int) -> Row:
    """The daemon may have ``spare`` more than it has; then all it wants again."""
    with Siege(name) as siege:
        _begin(siege)
        before = resource.prlimit(siege.pid, resource.RLIMIT_NOFILE)
        highest = max(int(fd) for fd in os.listdir(f"/proc/{siege.pid}/fd"))
        names = [f"during{number}" for number in range(30)]
        siege.prepare(*names)
        resource.prlimit(siege.pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, before[1]))
        siege.release(*names)
        siege.said("Too many open files", status=False)
        siege.until_ended("across")
        if spare:
            siege.until_ended(*names)
        resource.prlimit(siege.pid, resource.RLIMIT_NOFILE, before)
        return _end(siege, time.monotonic())


def processes(name: str, rng: random.Random) -> Row:
    """No process may be forked any more: no worker for one that died, and no job."""
    with Siege(name, user=USER) as siege:
        _begin(siege)
        server = siege.env.server()
        busy = {w["pid"]: w["job"] for w in siege.status()["workers"]}
        for pid in (server, *busy):
            _limit_processes(pid, "1:")
        siege.drop("during0", "during1", "during2")
        idle = next(pid for pid, job in busy.items() if job is None)
        siege.wait(lambda: (siege.env.job("during0") or {}).get("state") not in (None, "queued"), "it is tried")
        os.kill(idle, signal.SIGKILL)
        siege.said("cannot be forked", "cannot fork")
        siege.until_ended("across")
        for pid in (server, *(pid for pid in busy if pid != idle)):
            _limit_processes(pid, "1000:")
        return _end(siege, time.monotonic(), again=("during0", "during1", "during2"))


def processes_of_the_daemon(name: str, rng: random.Random) -> Row:
    """It may not fork when it has lost its worker server, and so can replace neither that nor a worker."""
    with Siege(name, user=USER) as siege:
        _begin(siege)
        idle = next(worker["pid"] for worker in siege.status()["workers"] if worker["job"] is None)
        _limit_processes(siege.pid, "1:")
        os.kill(siege.env.server(), signal.SIGKILL)
        os.kill(idle, signal.SIGKILL)
        siege.said("the worker server cannot be started")
        siege.drop("during0", "during1", "during2")
        siege.until_ended("across")
        _limit_processes(siege.pid, "1000:")
        return _end(siege, time.monotonic())


def _limit_processes(pid: int, limit: str) -> None:
    """As that user: to change another's limits takes a capability that root need not have in a container."""
    command = ["prlimit", "--pid", str(pid), f"--nproc={limit}"]
    subprocess.run(command, user=USER, group=USER, extra_groups=[], check=True)


def memory(name: str, rng: random.Random) -> Row:
    """The daemon gets no more memory; it lives with that, or ends and is started again."""
    with Siege(name, may_end=[1, 74, -6, -9, -11]) as siege:
        _begin(siege)
        with open(f"/proc/{siege.pid}/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        before = resource.prlimit(siege.pid, resource.RLIMIT_AS)
        pid = siege.pid
        resource.prlimit(pid, resource.RLIMIT_AS, (size, before[1]))
        names = [f"during{number}" for number in range(30)]
        siege.drop(*names)
        siege.drop("large", env={f"LARGE{n}": "x" * 100_000 for n in range(9)})
        siege.until_ended("across")
        if siege.pid == pid and siege.env.process is not None and siege.env.process.poll() is None:
            resource.prlimit(pid, resource.RLIMIT_AS, before)
        return _end(siege, time.monotonic(), again=(*names, "large"))  # what was about to start is uncertain


def killed(name: str, rng: random.Random) -> Row:
    """What is left of a kill for want of memory where there is no kernel to do it; with one: ``test_controllers``."""
    with Siege(name, may_end=[-9]) as siege:
        _begin(siege)
        siege.drop("during0", "during1", "during2")
        siege.env.kill()
        siege.launch()
        return _end(siege, time.monotonic())


def users_away(name: str, rng: random.Random) -> Row:
    """Nobody can be asked who a file's owner is, as when a directory service is away. That file waits, no other."""
    with tempfile.TemporaryDirectory(prefix="taskgate-etc-") as etc:
        shutil.copy("/etc/nsswitch.conf", etc)
        passwd = Path(etc, "passwd")
        passwd.write_text(f"root:x:0:0::/root:/bin/sh\nmember:x:{USER}:{USER}::/:/bin/sh\n")
        Path(etc, "group").write_text(f"root:x:0:\netl:x:{USER + 1}:member\n")
        prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {etc} /etc && exec "$@"', "sh"]
        with Siege(name, "queues: {etl: {}}\n", prefix=prefix) as siege:
            _begin(siege)
            queue = siege.env.layout.spool / "etl"
            os.chown(queue, -1, USER + 1)
            queue.chmod(0o3730)
            away = passwd.rename(passwd.with_suffix(".away"))
            for number in range(2):
                spec = json.loads(siege.spec(f"theirs{number}", 0.1)) | {"queue": "etl"}
                staged = siege.env.layout.spool / f".theirs{number}"
                staged.write_text(json.dumps(spec))
                os.chown(staged, USER, USER)
                siege.release(f"theirs{number}")
            siege.said("has to wait: the user database cannot be asked", status=False)
            siege.drop("during0", "during1")
            siege.until_ended("during0", "during1")
            if rng.random() < 0.5:
                siege.env.kill()
                siege.launch()
                siege.well()
            away.rename(passwd)
            return _end(siege, time.monotonic())


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    """By name; each takes a source of chance, and whether to do all of it."""

    def full(place: str) -> Befall:
        return lambda siege: siege.disks[place].full()

    def inodes(place: str) -> Befall:
        return lambda siege: siege.disks[place].without_inodes()

    def read_only(place: str) -> Befall:
        return lambda siege: siege.disks[place].read_only()

    trials: dict[str, Callable[[str, random.Random], Row]] = {
        "full disk: store": store_full,
        "full disk: store, daemon killed": lambda name, rng: store_full(name, rng, kill=True),
        "full disk: output": lambda name, rng: output_disk(name, rng, full("log")),
        "full disk: spool": lambda name, rng: spool_disk(name, rng, full("spool"), FULL),
        "no inodes: store": store_without_inodes,
        "no inodes: output": lambda name, rng: output_disk(name, rng, inodes("log")),
        "no inodes: spool": lambda name, rng: spool_disk(name, rng, inodes("spool"), FULL),
        "read-only disk: store": store_read_only,
        "read-only disk: store, for a while": store_refusing,
        "failing disk: store": store_failing,
        "failing disk: store, later": lambda name, rng: store_failing(name, rng, rng.randint(5, 9)),
        "read-only disk: output": lambda name, rng: output_disk(name, rng, read_only("log")),
        "read-only disk: spool": lambda name, rng: spool_disk(name, rng, read_only("spool"), READ_ONLY),
        "frozen disk: store": lambda name, rng: frozen(name, rng, "state"),
        "frozen disk: store, for long": lambda name, rng: frozen(
            name, rng, "state", words="the store does not answer"
        ),
        "frozen disk: output": lambda name, rng: frozen(name, rng, "log"),
        "hung disk: output": output_hangs,
        "frozen disk: spool": lambda name, rng: frozen(name, rng, "spool"),
        "slow disk: store and spool": lambda name, rng: slow(name, rng, 20),
        "slow disk: many files at once": lambda name, rng: slow(name, rng, 200, at_once=True),
        "no descriptors: daemon": lambda name, rng: descriptors(name, rng, 0),
        "few descriptors: daemon": lambda name, rng: descriptors(name, rng, 12),
        "no processes: workers": processes,
        "no processes: daemon": processes_of_the_daemon,
        "no memory: daemon": memory,
        "out of memory: daemon killed": killed,
        "no user database: spool": users_away,
        "failing sends: no memory": lambda name, rng: messages.sends(name, rng, "ENOBUFS", 3),
        "failing sends: broken pipe": lambda name, rng: messages.sends(name, rng, "EPIPE", 25),
        "hung log: standard error": messages.unread,
        "hung log: journal": messages.hung,
        "old disk: database put back": putback.database,
        "old disk: database put back under work": putback.under_work,
        "blocked disk: directories for outputs": putback.in_the_way,
        **stuck.TRIALS,
    }

    def attack(name: str) -> Callable[[random.Random, bool], Row]:
        return lambda rng, all_of_it: repeated(name, lambda: trials[name](name, rng), 3 if all_of_it else 1)

    return {name: attack(name) for name in trials}
