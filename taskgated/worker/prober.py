"""A prober: a process that makes one look, says what it saw, and ends. The worker server forks it.

What the command starts is looked after as that of an attempt, by the same ``running``: it has a session and a group
of its own, ends when its time is up, and the prober says nothing before nothing of it is left. Whatever it writes is
read, and mostly dropped, so that a flood costs the prober alone, and that no longer than the timeout.

The server is at the other end of ``server``, a socket. When that ends, whether the server wants it or has died, so
does the look. So none outlives its server.
"""

from __future__ import annotations

import math
import os
import select
import socket
import time
from pathlib import Path

from taskgated.attempts.scripts import Scripts
from taskgated.core.job import Result, Spec
from taskgated.host import kernel
from taskgated.host.clock import LONGEST_SLEEP
from taskgated.host.processes import ProcessId
from taskgated.language.units import format_duration
from taskgated.protocol.channel import encode
from taskgated.protocol.looking import Look, Seen
from taskgated.protocol.serving import Settings
from taskgated.text import printable
from taskgated.worker import mark
from taskgated.worker.cgroup import Cgroup
from taskgated.worker.running import Running
from taskgated.worker.start import CannotRun, Host, NotNow, Start

KEPT = 4096
"""Bytes of an output that are kept: of the standard output its beginning, of the standard error its end."""
LONGEST = 500
"""Characters of a line that are told."""
_CHUNK = 64 * 1024


class _Output:
    """The reading end of a pipe that the command writes to, and what is kept of it. ``end``: its end, not its
    beginning."""

    def __init__(self, *, end: bool) -> None:
        self.fd, self.theirs = os.pipe()
        os.set_blocking(self.fd, False)
        self._end = end
        self._kept = b""

    def read(self) -> bool:
        """Take some of what is there; whether there was any."""
        try:
            data = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return False
        if self._end:
            self._kept = (self._kept + data)[-KEPT:]
        elif len(self._kept) < KEPT:
            self._kept = (self._kept + data)[:KEPT]
        return bool(data)

    def lines(self) -> list[str]:
        """What was kept, as far as it says anything."""
        lines = self._kept.decode("utf-8", "replace").splitlines()
        return [line.strip()[:LONGEST] for line in lines if line.strip()]

    def first(self) -> str:
        return self._kept.decode("utf-8", "replace").partition("\n")[0][:LONGEST]


class Prober:
    """One look. ``env``: what every job finds in its environment."""

    def __init__(self, settings: Settings, env: dict[bytes, bytes], server: socket.socket, look: Look) -> None:
        kernel.set_name("taskgate-prober")
        kernel.become_subreaper()
        me = ProcessId.own()
        mark.bear(me)
        self._server = server
        self._look = look
        self._host = Host(settings, Scripts(Path(settings.scripts)), Cgroup.create(me), env)
        self._wakeup = kernel.catch_signals()

    def run(self) -> int:
        """Make it and say what was seen; returns the exit status."""
        try:
            seen = self._see()
        finally:
            if self._host.cgroup is not None:
                self._host.cgroup.leave()
        try:
            self._server.sendall(encode(seen.to_json()))
        except OSError:  # nobody wants to know any more
            return os.EX_UNAVAILABLE
        return os.EX_OK

    def _see(self) -> Seen:
        out, err = _Output(end=False), _Output(end=True)
        try:
            spec = self._look.run.understood()
            start = Start(self._look.run, spec, self._host, probe=self._look.probe)
            running = Running(start.spawn(out.theirs, err.theirs), spec, self._host.cgroup)
        except NotNow as error:
            return self._unknown(f"it cannot be started now: {error}")
        except CannotRun as error:
            return self._unknown(error.outcome.message)
        except (TypeError, ValueError, KeyError) as error:  # a spec of another version
            return self._unknown(f"it is not understood: {error}")
        self._watch(running, out, err)
        for output in (out, err):
            for _ in range(KEPT):  # a stranger who got hold of the other end, and writes on, cannot keep us
                if not output.read():
                    break
        return self._seen(running, spec, out, err)

    def _watch(self, running: Running, out: _Output, err: _Output) -> None:
        """Until nothing of it is left."""
        poll = select.poll()
        for fd in (self._wakeup, self._server.fileno(), out.fd, err.fd):
            poll.register(fd, select.POLLIN)
        while not running.advance():
            left = min(LONGEST_SLEEP, max(0.0, running.look_at - time.monotonic()))
            for fd, _ in poll.poll(None if running.look_at == math.inf else math.ceil(left * 1000)):
                if fd == self._wakeup:
                    kernel.clear_wakeup(fd)
                elif fd == self._server.fileno():
                    poll.unregister(fd)
                    running.stop(None)
                elif fd == out.fd:
                    out.read()
                else:
                    err.read()

    def _seen(self, running: Running, spec: Spec, out: _Output, err: _Output) -> Seen:
        code = os.waitstatus_to_exitcode(running.status or 0)
        if running.forced is Result.TIMED_OUT:
            end = f"it took longer than {format_duration(spec.timeout or 0)}"
        elif running.forced is not None:
            end = "it was ended"
        elif code < 0:
            end = f"it was killed by signal {-code}"
        else:
            end = "" if code <= 1 else f"exit code {code}"
        told = out.lines()
        said = [line for line in told[:2] if not line.isdecimal()][:1] + err.lines()[-1:]
        words = "; ".join([end] * bool(end) + said + running.words())
        return Seen(self._look.id, None if running.forced or code < 0 else code, out.first(), printable(words))

    def _unknown(self, words: str) -> Seen:
        return Seen(self._look.id, None, "", printable(words))
