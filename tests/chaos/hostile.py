"""What hostile people drop into the spool and say on the sockets; the gate goes on serving everybody else.

All attacks of a kind meet one daemon, which has as many descriptors as systemd gives a service. During each, an
honest job is dropped and must run; after each, the daemon is the same process, and its memory and descriptors are
back.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import auditor
from gate_env import REPOSITORY, GateEnv, as_user, until
from table import Row
from taskgated.clock import boot_id, start_time
from taskgated.control.gate import INTERFACE
from taskgated.ctl.client import CallError, Client
from taskgated.errors import TaskgateError
from taskgated.sockets import connect

RECORD = Path(__file__).with_name("record.py")
PATIENCE = 60.0
"""Seconds for an honest job, on a busy machine; an idle one needs some 0.1."""
PEAK = 64 * 1024**2
LASTING = 24 * 1024**2
"""By how much the daemon's memory may grow during an attack, and by an attack."""
DESCRIPTORS = 1024
NOBODY = 65534
CONFIG = """\
workers: 2
rescan_interval: 2s
max_backlog: 3000000
queues:
  default: {limit: 2}
  honest: {limit: 2}
  parked: {defaults: {delay: 1d}}
  lines: {handler: {command: ["true", "{line}"]}, defaults: {delay: 1d}}
"""


class Stage:
    """One gate under attack, and what shows that it is well. ``notes`` collects what is not."""

    def __init__(self, random_: random.Random, everything: bool) -> None:
        self.random = random_
        self.everything = everything
        self.directory = Path(tempfile.mkdtemp(prefix="hostile-"))
        self.directory.chmod(0o711)
        self.record = self.directory / "record"
        self.record.mkdir()
        self.gate = GateEnv(self.directory / "gate", CONFIG)
        self.notes: list[str] = []
        self.tries = self.left = 0
        self.seconds = 0.0
        self._names: list[str] = []
        self._start()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.gate.clean_up()
        except AssertionError as left:
            self.left += 1
            self.notes.append(str(left))
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        self.gate.start()
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        self.honest("at first")

    @property
    def pid(self) -> int:
        assert self.gate.process is not None
        return self.gate.process.pid

    @property
    def alive(self) -> bool:
        assert self.gate.process is not None
        return self.gate.process.poll() is None

    def drop(self, name: str | bytes, content: str | bytes, queue: str = "") -> None:
        self.gate.drop(name, content, queue)

    def refused(self, *names: str) -> None:
        """These are put aside, in time."""

        def missing() -> list[str]:
            return [name for name in names if not os.path.lexists(self.gate.layout.rejected / name)]

        until(lambda: not missing(), f"{names} are refused; missing of them: {missing()}", PATIENCE)

    def honest(self, when: str = "meanwhile") -> float:
        """Somebody's job runs, whatever else goes on; returns the seconds that took."""
        name = f"honest-{len(self._names)}"
        self._names.append(name)
        command = json.dumps([sys.executable, str(RECORD), str(self.record), name, "0", "2"])
        dropped = time.monotonic()
        self.drop(f"{name}.yaml", f"name: {name}\ncommand: {command}\n", "honest")

        def ended() -> bool:
            assert self.alive, "the daemon is dead"
            return any(line.word == "end" and line.name == name for line in auditor.read(self.record))

        until(ended, f"an honest job dropped {when} runs", PATIENCE)
        return time.monotonic() - dropped

    def attack(self, name: str, attack: Callable[[Stage], None]) -> None:
        """One attack, with all that must hold during it and after it."""
        self.tries += 1
        before, open_before = self._memory("RssAnon"), self._descriptors()
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # the peak is counted from here on (proc(5))
        peak_before = self._memory("VmHWM")
        try:
            attack(self)
            self.seconds = max(self.seconds, self.honest("afterwards"))
            grown = self._memory("VmHWM") - peak_before
            assert grown < PEAK, f"the daemon's memory grew by {grown >> 20} MB meanwhile"
            until(lambda: self._descriptors() <= open_before + 2, "the descriptors are back", PATIENCE)
            until(lambda: self._memory("RssAnon") - before < LASTING, "the memory is back", PATIENCE)
            assert self._turns_seldom(), "the daemon does not come to rest"
        except (AssertionError, OSError, TaskgateError) as error:
            self.notes.append(f"{name}: {error}")
            try:
                self.gate.wait(1)
            except subprocess.TimeoutExpired:
                self.left += self._descriptors() > open_before + 2
            else:  # the others are to be tried as well
                self.notes.append(f"{name}: the daemon died:\n{self.gate.log()[-3000:]}")
                self._start()

    def row(self, attack: str) -> Row:
        """What came of it, when all is over."""
        verdict = auditor.judge(auditor.read(self.record), self._names, 2)
        self.notes += [f"ran again without need: {name}" for name in verdict.again]
        counts = len(verdict.lost), len(verdict.twice), len(verdict.over)
        return Row(attack, self.tries, *counts, self.left, self.seconds, tuple(self.notes))

    def _memory(self, what: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"the daemon has no {what}: it is dead")

    def _descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _turns_seldom(self) -> bool:
        """Nothing makes the daemon spin: some second comes in which it computes for less than half of it."""

        def ticks() -> int:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])

        def quiet() -> bool:
            before = ticks()
            time.sleep(0.5)  # not to wait for anything: it is what is measured
            return ticks() - before < os.sysconf("SC_CLK_TCK") // 4

        return until(quiet, "the daemon comes to rest", PATIENCE)


# -- files ---------------------------------------------------------------------------------------


def bombs(stage: Stage) -> None:
    """What explodes in other readers."""
    laughs = b"a: &a [x]\n" + b"".join(b"%c: &%c [%s]\n" % (c, c, b"*%c," % (c - 1) * 9) for c in range(98, 123))
    contents = {
        "laughs.yaml": laughs, "merge.yaml": b"a: &a {b: c}\nd: {<<: *a}\n", "brackets.yaml": b"[" * 1_000_000,
        "brackets.json": b"[" * 1_000_000, "braces.json": b'{"a":' * 200_000, "braces.yaml": b"{a: " * 250_000,
        "dashes.yaml": b"- " * 500_000, "list.json": b"[" + b"1," * 500_000 + b"1]", "nul.sh": b"#!/bin/sh\n\0",
        "objects.yaml": b"!!python/object/apply:os.system ['false']\n", "utf16.yaml": "command: x".encode("utf-16"),
        "digits.json": b'{"priority": ' + b"9" * 900_000 + b"}", "text.tasks": b"true\n\0\n", "elf": b"\x7fELF",
        "documents.yaml": b"---\n- {}\n" * 100_000, "keys.yaml": b"".join(b"k%d: 1\n" % n for n in range(60_000)),
    }  # fmt: skip
    for name, content in contents.items():
        stage.drop(name, content)
    stage.honest()
    stage.refused(*contents)


def one_line(stage: Stage) -> None:
    """100 MB without a newline, as everything that a file can be."""
    names = {"line.yaml": "", "line.json": "", "line.sh": "", "line.tasks": "", "line": "lines"}
    for name, queue in names.items():
        with open(stage.gate.root / "staged", "wb") as file:
            file.write(b"#!" if name.endswith(".sh") else b"")
            for _ in range(100):
                file.write(b"x" * 1024**2)
        os.rename(stage.gate.root / "staged", stage.gate.layout.spool / queue / name)
    stage.honest()
    stage.refused(*names)


def blank_lines(stage: Stage) -> None:
    """Lines that are no jobs cost time and nothing else, and the time is that of their own queue."""
    size = 100 if stage.everything else 10
    with open(stage.gate.root / "staged", "wb") as file:
        for _ in range(size):
            file.write(b"\n" * 1024**2)
    os.rename(stage.gate.root / "staged", stage.gate.layout.spool / "blank.tasks")
    stage.honest()


def tiny_files(stage: Stage) -> None:
    """So many that a listing of them would fill the memory."""
    number = 1_000_000 if stage.everything else 20_000
    queue = stage.gate.layout.spool / "parked"
    before = stage.gate.status()["counts"]["queued"]
    for n in range(number):
        with open(queue / f".{n}", "wb") as file:
            file.write(b"x")
        os.rename(queue / f".{n}", queue / f"{n}.tasks")
        if n == number // 2:
            stage.honest()
    until(
        lambda: stage.gate.status()["counts"]["queued"] >= before + number,
        f"all of {number} files are taken in",
        PATIENCE + number / 500,
    )


def names(stage: Stage) -> None:
    """Each byte that a name can have, alone and inside; and the longest names."""
    spool = stage.gate.layout.spool
    every = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
    ignored = {b".", b"~"}
    dropped = [b"n" + byte + b".tasks" for byte in every] + [byte for byte in every if byte not in ignored]
    dropped += [b"l" * 249 + b".tasks", b"\xff" * 255]
    over = stage.gate.status()["counts"]["succeeded"]
    for name in dropped:
        stage.drop(name, "true\n" if name.endswith(b".tasks") else "#!/bin/sh\n")
    stage.drop(b"\xfe" * 250 + b".yaml", "nonsense")
    expected = over + len(dropped) + 1  # and the honest one
    stage.honest()
    until(lambda: stage.gate.status()["counts"]["succeeded"] >= expected, "all names are jobs", PATIENCE)
    left = [name for name in os.listdir(os.fsencode(spool)) if name in dropped]
    assert not left, f"left in the spool: {left}"
    until(lambda: any(n.startswith(b"\xfe" * 200) for n in os.listdir(os.fsencode(stage.gate.layout.rejected))),
          "a long name is refused")  # fmt: skip


def no_files(stage: Stage) -> None:
    """Whatever else can have a name."""
    spool = stage.gate.layout.spool
    os.mkfifo(spool / "fifo.yaml")
    os.mkfifo(spool / "honest" / "fifo.tasks")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stage.gate.root / "s"))
    os.rename(stage.gate.root / "s", spool / "socket.yaml")
    (spool / "no queue").mkdir()
    (spool / "honest" / "directory.yaml").mkdir()
    links = {"passwd.yaml": "/etc/passwd", "dangling.sh": "/nonexistent", "directory": "/etc", "loop.txt": "loop.txt"}
    for name, target in links.items():
        os.symlink(target, spool / name)
    os.symlink("/etc/passwd", spool / "lines" / "inner")
    refused = ["fifo.yaml", "fifo.tasks", "socket.yaml", "no queue", "directory.yaml", *links, "inner"]
    if os.geteuid() == 0:
        for name, device in (("zero.yaml", (1, 5)), ("tty.tasks", (5, 0)), ("full.sh", (1, 7))):
            os.mknod(spool / name, 0o666 | stat.S_IFCHR, os.makedev(*device))
            refused.append(name)
    stage.honest()
    stage.refused(*refused)
    assert Path("/etc/passwd").is_file()


# -- clients -------------------------------------------------------------------------------------


def sockets(stage: Stage) -> tuple[Path, Path]:
    return stage.gate.layout.control_socket, stage.gate.layout.worker_socket


@contextmanager
def connections(path: Path, number: int) -> Iterator[list[socket.socket]]:
    """So many at once; they may be closed by the other side as soon as they are there."""
    with ExitStack() as stack:
        yield [stack.enter_context(connect(path)) for _ in range(number)]


def tell(sock: socket.socket, data: bytes) -> None:
    """Say something to somebody who may hang up."""
    try:
        sock.sendall(data)
    except OSError:
        pass


def silent(stage: Stage) -> None:
    """They say nothing, or half of something, and stay. Whoever asks is answered all the same."""
    for path in sockets(stage):
        with connections(path, 70) as socks:
            for sock in socks[::2]:
                tell(sock, b'{"method": "io.taskgate.Gate.Sta')
            stage.honest()
            assert stage.gate.call("Status")["ready"]


def thousands(stage: Stage) -> None:
    """More connections than there are descriptors, held at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = 3000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, number + 500), hard))
    try:
        for path in sockets(stage):
            with ExitStack() as stack:
                for _ in range(number):
                    try:
                        stack.enter_context(connect(path, wait=False))
                    except BlockingIOError:  # so busy that it has to be asked again
                        time.sleep(0.001)
                stage.honest()
                assert stage.gate.call("Status")["ready"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def gigabyte(stage: Stage) -> None:
    """A message without an end."""
    for path in sockets(stage):
        with connect(path) as sock:
            sock.settimeout(PATIENCE)
            try:
                for _ in range(1024):
                    sock.sendall(b"x" * 1024**2)
            except ConnectionError:
                pass
            else:
                raise AssertionError(f"{path.name} takes a gigabyte")
        stage.honest()


def garbage(stage: Stage) -> None:
    """Bytes of all kinds."""
    pieces = [
        b"\0", b"\xff\xfe\0", b"[" * 100_000 + b"\0", b"{}\0" * 1000, b"null\0", b'{"method": []}\0',
        b"GET / HTTP/1.1\r\n\r\n\0", b'{"hello": 1}\0', b'{"hello": {"protocol": 1}}\0', b'{"outcome": {}}\0',
        b'"' * 70_000 + b"\0", b"9" * 5000 + b"\0",
    ]  # fmt: skip
    for path in sockets(stage):
        for piece in [*pieces, *(stage.random.randbytes(stage.random.randrange(1, 5000)) for _ in range(50))]:
            with connect(path) as sock:
                tell(sock, piece)
        stage.honest()


def anything(random_: random.Random, depth: int = 3) -> Any:
    """Some JSON value."""
    scalars = (
        None,
        True,
        -1,
        0,
        1,
        2**63,
        10**400,
        1.5,
        float("inf"),
        "",
        "x",
        "\ud800",
        "running",
        "honest",
        "honest-0",
    )
    kind = random_.randrange(4 if depth else 2)
    if kind == 2:
        return [anything(random_, depth - 1) for _ in range(random_.randrange(4))]
    if kind == 3:
        return {random_.choice(("id", "ids", "x", "")): anything(random_, depth - 1) for _ in range(3)}
    return random_.choice(scalars)


def calls(stage: Stage) -> None:
    """Methods that exist, parameters of any type, many at once, also behind one that waits for its answer."""
    methods = {
        "Status": (), "List": ("after", "limit", "states", "queues"), "Show": ("id",),
        "Logs": ("id", "attempt", "offset"), "Wait": ("ids",), "Cancel": ("id",), "Nothing": ("x",),
    }  # fmt: skip
    for _ in range(1000 if stage.everything else 150):
        with connect(stage.gate.layout.control_socket) as sock:
            for _ in range(stage.random.randrange(1, 12)):
                method = stage.random.choice(list(methods))
                parameters = {name: anything(stage.random) for name in methods[method] if stage.random.random() < 0.8}
                message: dict[str, Any] = {"method": f"{INTERFACE}.{method}", "parameters": parameters}
                message |= {
                    word: anything(stage.random, 0) for word in ("more", "oneway") if stage.random.random() < 0.3
                }
                if stage.random.random() < 0.1:
                    message = stage.random.choice(
                        ({}, {"method": anything(stage.random)}, message | {"parameters": 1})
                    )
                tell(sock, json.dumps(message).encode() + b"\0")
    stage.drop("waited.yaml", "name: waited\ncommand: sleep 1\n", "honest")
    job = until(lambda: stage.gate.job("waited"), "it is taken in")
    with connect(stage.gate.layout.control_socket) as sock:
        wait = {"method": f"{INTERFACE}.Wait", "parameters": {"ids": [job["id"]]}}
        tell(sock, json.dumps(wait).encode() + b"\0{}\0")
        for name in ([], {}, 1):
            with connect(stage.gate.layout.control_socket) as other:
                ask = {"method": "org.varlink.service.GetInterfaceDescription", "parameters": {"interface": name}}
                tell(other, json.dumps(ask).encode() + b"\0")
        stage.honest()
        until(
            lambda: (stage.gate.job("waited") or job)["state"] == "succeeded", "what was waited for is over", PATIENCE
        )


# -- workers that are none -----------------------------------------------------------------------

IMPOSTOR = """
import json, sys
from pathlib import Path
from taskgated.clock import ProcessId
from taskgated.sockets import connect
own, socks = ProcessId.own(), []
for line in sys.stdin:
    socks.append(connect(Path(sys.argv[1])))
    for message in json.loads(line):
        if isinstance(message.get("hello"), dict):
            message["hello"] = {"pid": own.pid, "start": own.start, "boot": own.boot, **message["hello"]}
        try:
            socks[-1].sendall(json.dumps(message).encode() + b"\\0")
        except OSError:
            pass
    print(flush=True)
"""


def impostor(stage: Stage, *connections: list[dict[str, Any]]) -> subprocess.Popen[str]:
    """A process that is no worker says these messages, each list on a connection of its own, and keeps them open.
    In a process of its own, because of a worker that goes nothing is left."""
    command = [sys.executable, "-c", IMPOSTOR, str(stage.gate.layout.worker_socket)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    try:
        for messages in connections:
            process.stdin.write(json.dumps(messages) + "\n")
            process.stdin.flush()
            process.stdout.readline()
    except BrokenPipeError:
        pass  # it has been buried already
    return process


def impostors(stage: Stage) -> None:
    """They know the protocol, and nobody gave them a job."""
    stage.drop("long.yaml", "name: long\ncommand: sleep 5\nretry: {attempts: 1}\n", "honest")
    job = stage.gate.until_running("long")
    hello: dict[str, Any] = {"hello": {"protocol": 1}}
    worker = stage.gate.status()["workers"][0]["pid"]
    claim = {"protocol": 1, "pid": worker, "start": start_time(worker), "boot": boot_id()}
    with connect(stage.gate.layout.worker_socket) as sock:
        tell(sock, json.dumps({"hello": claim}).encode() + b"\0")
        sock.settimeout(PATIENCE)
        assert sock.recv(1) == b"", "a hello in the name of another process is taken"

    def outcome(**what: Any) -> dict[str, Any]:
        return {"outcome": {"job": job["id"], "attempt": 1, "result": "succeeded", "exit_code": 0, **what}}

    said: list[tuple[list[dict[str, Any]], ...]] = [
        ([hello, outcome()],),
        ([hello, outcome(attempt=0), outcome(attempt=2), outcome(job=10**9), outcome(job=1), outcome(job=2**70)],),
        ([hello], [hello], [hello, outcome()]),
        ([hello, outcome(job="x"), hello],),
        ([hello, outcome(attempt=None)],),
        ([hello, outcome(started="x", finished=[], message={}, exit_code="", signal={}, max_rss=1.5)],),
        ([{"hello": {"protocol": 1, "running": {"job": job["id"], "attempt": 1}}}],),
        *(([{"hello": {"protocol": 1, "running": running}}],) for running in ({}, {"job": "x", "attempt": 1}, [], 7)),
        *(([{"hello": {"protocol": protocol}}],) for protocol in (0, 2, "1", None, [])),
        *(([{"hello": {"protocol": 1, word: value}}],) for word in ("start", "boot", "pid")
          for value in (None, float("inf"), 10**30, [], {}, "x")),
    ]  # fmt: skip
    for _ in range(100 if stage.everything else 10):
        field = stage.random.choice(("job", "attempt", "result", "exit_code", "signal", "started", "user", "message"))
        said.append(([hello, outcome(**{field: anything(stage.random, 1)})],))
    for connections in said:
        process = impostor(stage, *connections)
        try:
            now = stage.gate.call("Show", id=job["id"])["job"]
            assert now["state"] == "running" or now["finished"], "an outcome was taken from who had not the job"
        finally:
            process.kill()
            process.communicate()
    stage.honest()
    until(
        lambda: len([w for w in stage.gate.status()["workers"] if w["state"] != "leaving"]) == 2, "there are workers"
    )


def strangers(stage: Stage) -> None:
    """Another user, even if a mistake has been made with the modes of the sockets."""
    gate = stage.gate
    assert as_user(NOBODY, lambda: Client(gate.layout.control_socket).__enter__() and "in") != "in"
    assert as_user(NOBODY, lambda: connect(gate.layout.worker_socket) and "in") != "in"
    for path in sockets(stage):
        path.chmod(0o666)
    job = gate.jobs()[0]["id"]

    def ask(method: str, **parameters: Any) -> Any:
        with Client(gate.layout.control_socket) as client:
            try:
                return client.call(method, **parameters)
            except CallError as error:
                return error.kind

    assert as_user(NOBODY, lambda: ask("Status"))["ready"]
    for method, parameters in (("Cancel", {"id": job}), ("Logs", {"id": job}), ("Reload", {})):
        answer = as_user(NOBODY, lambda m=method, p=parameters: ask(m, **p))  # type: ignore[misc]
        assert answer == "PermissionDenied", f"{method}: {answer}"
    assert as_user(NOBODY, lambda: ask("Show", id=job))["spec"] is None
    for _ in range(200):
        assert as_user(NOBODY, lambda: connect(gate.layout.worker_socket).recv(1).decode()) in (
            "",
            "ConnectionResetError",
        )
    stage.honest()


# -- the rows ------------------------------------------------------------------------------------

FILES = (bombs, no_files, names, one_line, blank_lines, tiny_files)
CLIENTS = (silent, garbage, calls, gigabyte, impostors, thousands)


def siege(attack: str, kinds: Iterable[Callable[[Stage], None]], random_: random.Random, everything: bool) -> Row:
    """All of these against one daemon."""
    with Stage(random_, everything) as stage:
        for kind in kinds:
            stage.attack(f"{kind.__name__.replace('_', ' ')}", kind)
        row = stage.row(attack)
    return row


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    """The rows of the table, by name: a source of chance, and whether all of it is wanted or a selection."""
    clients = (*CLIENTS, strangers) if os.geteuid() == 0 else CLIENTS
    return {
        "hostile files": lambda random_, everything: siege("hostile files", FILES, random_, everything),
        "hostile clients": lambda random_, everything: siege("hostile clients", clients, random_, everything),
    }
