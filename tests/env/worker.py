"""A daemon in miniature for tests of workers: it listens, forks workers through a real server, and talks."""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from select import select
from typing import Any

from taskgated.attempts import outputs
from taskgated.core.job import Outcome, Spec
from taskgated.host import kernel, processes
from taskgated.host.paths import Layout
from taskgated.host.processes import ProcessId
from taskgated.protocol.channel import Channel, Message
from taskgated.protocol.serving import Settings
from taskgated.worker import cgroup
from taskgated.worker.spawn import spawn_server
from tests.env.until import until

PATIENCE = 20.0

# The server and its workers as they are where no control group may be made.
WITHOUT_CGROUP = (
    sys.executable,
    "-c",
    "import sys; from taskgated.worker import cgroup; cgroup.own = lambda: None; "
    "from taskgated.worker.server import main; sys.exit(main())",
)
# The same for another user, who may not be able to read this checkout: after everything is imported.
AS_NOBODY = (
    sys.executable,
    "-c",
    "import encodings.ascii, os, sys; from taskgated.worker import cgroup; cgroup.own = lambda: None; "
    "from taskgated.worker.server import main; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
    "sys.exit(main())",
)

# On a host without pseudo-terminals, as a container may be one: a mount namespace of its own has nothing at /dev/pts.
WITHOUT_TERMINALS = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs none /dev/pts && exec "$0" -m taskgated.worker "$@"',
    sys.executable,
)

# Starts a daemon as daemons are written: double fork, setsid, closed descriptors, empty environment. Its pid
# goes to the file named. It ignores SIGTERM.
DAEMON = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.closerange(0, 100)
        script = 'echo $$ > "$0.tmp"; mv "$0.tmp" "$0"; exec sleep 1000'
        os.execve("/bin/sh", ["sh", "-c", script, sys.argv[1]], {})
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]):
    pass
"""
# Processes that are gone at once and live on in a child each, a few in parallel: nobody can list them all.
HOPPERS = """
import os
for i in range(3):
    if os.fork() == 0: break
while True:
    if os.fork(): os._exit(0)
"""


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return ("/usr/bin/env", "python3", "-S", "-c", code, *arguments)


class Peer:
    """A channel that can be waited on for one kind of message."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.seen: deque[Message] = deque()

    def say(self, **message: Any) -> None:
        self.channel.send(message)
        while self.channel.pending and not self.channel.closed:
            assert select([], [self.channel], [], PATIENCE)[1], "the peer takes no message"
            self.channel.flush()

    def poll(self) -> bool:
        """Take what has arrived; True when there is something to look at."""
        if not self.channel.closed and select([self.channel], [], [], 0.005)[0]:
            self.seen += self.channel.receive()
        return bool(self.seen)

    def expect(self, kind: str) -> Any:
        """The next message, which must be of this kind."""
        until(lambda: self.poll() or self.channel.closed, f"{kind!r} from the peer")
        assert self.seen, f"the peer left instead of saying {kind!r}"
        message = self.seen.popleft()
        assert list(message) == [kind], message
        return message[kind]

    def closed(self) -> bool:
        self.poll()
        return self.channel.closed


class WorkerPeer(Peer):
    """A worker that has said hello."""

    def __init__(self, channel: Channel, env: Env) -> None:
        super().__init__(channel)
        self.env = env
        self.hello = self.expect("hello")
        self.id = ProcessId(self.hello["pid"], self.hello["start"], self.hello["boot"])
        self.group: str | None = self.hello["cgroup"]
        if self.group:
            env.groups.add(self.group)

    def start(self, spec: Spec, job: int = 1, attempt: int = 1, **more: object) -> None:
        log = str(self.env.log(job, attempt))
        self.say(run={"job": job, "attempt": attempt, "spec": spec.to_json(), "log": log, **more})

    def outcome(self, job: int = 1, attempt: int = 1, *, ack: bool = True) -> Outcome:
        outcome = Outcome.from_json(self.expect("outcome"))
        assert (outcome.job, outcome.attempt) == (job, attempt)
        if ack:
            self.ack(job, attempt)
        return outcome

    def ack(self, job: int = 1, attempt: int = 1) -> None:
        self.say(ack={"job": job, "attempt": attempt})

    def run(self, spec: Spec, job: int = 1, attempt: int = 1, **more: object) -> Outcome:
        self.start(spec, job, attempt, **more)
        return self.outcome(job, attempt)

    def drop(self) -> None:
        """End the connection, as a daemon that dies does."""
        self.channel.close()


class Env:
    """One gate's directories, its worker socket and its worker server."""

    def __init__(
        self,
        root: Path,
        *,
        cgroups: bool = True,
        linger: float = 30.0,
        nobody: bool = False,
        program: Sequence[str] = (),
    ) -> None:
        self.layout = Layout.under(root)
        for directory in (self.layout.state, self.layout.run, self.layout.log):
            directory.mkdir(parents=True)
        self.settings = replace(Settings.of(self.layout), reconnect=0.05, linger=linger)
        self.groups: set[str] = set()
        self.workers: list[WorkerPeer] = []
        self._cgroups = cgroups
        self._nobody = nobody
        self._program = program
        self.listen()
        self.start_server()

    def listen(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.layout.worker_socket.unlink(missing_ok=True)
        self.listener.bind(str(self.layout.worker_socket))
        self.listener.listen(16)
        self.listener.settimeout(PATIENCE)
        if self._nobody:
            for path in (self.layout.state, self.layout.run, self.layout.log, self.layout.worker_socket):
                os.chown(path, 65534, 65534)

    def start_server(self) -> None:
        if self._program:
            self.process, channel = spawn_server(self.settings, self._program)
        elif self._nobody:
            self.process, channel = spawn_server(self.settings, AS_NOBODY)
        elif self._cgroups:
            self.process, channel = spawn_server(self.settings)
        else:
            self.process, channel = spawn_server(self.settings, WITHOUT_CGROUP)
        self.server = Peer(channel)

    def stop_server(self) -> int:
        self.server.channel.close()
        return self.process.wait(PATIENCE)

    def kill_server(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self.server.channel.close()

    def worker(self) -> WorkerPeer:
        """Fork one more worker and greet it."""
        self.server.say(fork={})
        peer = self.accept()
        forked = self.server.expect("forked")
        assert ProcessId.from_json(forked) == peer.id
        return peer

    def accept(self) -> WorkerPeer:
        peer = WorkerPeer(Channel(self.listener.accept()[0]), self)
        self.workers.append(peer)
        return peer

    def bury(self, worker: WorkerPeer, job: int | None = 1, attempt: int | None = 1) -> int:
        """Have a worker buried; returns how many processes had to be killed."""
        self.server.say(bury={**worker.id.to_json(), "cgroup": worker.group, "job": job, "attempt": attempt})
        while True:
            until(self.server.poll, "the burial")
            message = self.server.seen.popleft()
            if "buried" in message:
                assert ProcessId.from_json(message["buried"]) == worker.id
                killed = message["buried"]["killed"]
                assert isinstance(killed, int)
                return killed

    def log(self, job: int = 1, attempt: int = 1) -> Path:
        return Path(outputs.path(self.layout.log, job, attempt))

    def output(self, job: int = 1, attempt: int = 1) -> bytes:
        path = self.log(job, attempt)
        return path.read_bytes() if path.exists() else b""

    def close(self) -> None:
        """End everything; workers without a job leave by themselves."""
        self.listener.close()
        for worker in self.workers:
            worker.channel.close()
        if self.process.poll() is None:
            self.stop_server()


def proof(root: Path, **options: Any) -> Iterator[Env]:
    """An ``Env`` for a fixture, and the proof that nothing of it is left afterwards.

    For that this process becomes a subreaper: what anybody leaves behind turns up as our child. What was there before
    is not of it, and is said before it does harm.
    """
    kernel.become_subreaper()
    until_alone("what ran before this test is over")
    env = Env(root, **options)
    try:
        yield env
        env.close()
        # Workers may have to be collected by us, if their server is gone.
        until_alone("the last process is gone")
        assert not [group for group in env.groups if os.path.exists(group)]
        assert not list(env.layout.scripts.glob("*"))
    finally:
        env.close()
        while processes.kill_descendants():  # only after a failure
            reap()
        for group in env.groups:
            cgroup.kill(group)
            cgroup.remove(group)
        kernel.become_subreaper(False)


def reap() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return True


def until_alone(description: str) -> None:
    """Wait until this process has no child, and so no descendant; if that does not happen, say what there is."""
    try:
        until(lambda: reap() and not processes.children(os.getpid()), description)
    except AssertionError as error:
        raise AssertionError("\n".join((str(error), *family()))) from None


def family() -> list[str]:
    """A line for each living descendant of this process: what the kernel says of it, and its command line."""
    lines = []
    for pid, _ in sorted(processes.descendants([os.getpid()])):
        if entry := processes.look(pid):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                command = "(it has just gone)"
            lines.append(f"process {pid}, state {entry.state.decode()}, child of {entry.parent}: {command.strip()}")
    return lines


def alive(pid: int) -> bool:
    return processes.look(pid) is not None


def written_pid(path: Path) -> int:
    """The pid that a job wrote to a file, once it is there."""
    return int(until(lambda: path.exists() and path.read_text().strip(), f"a pid in {path}"))
