"""The probers that a worker server has forked, each with the look that it makes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from taskgated.errors import ProtocolError
from taskgated.host.clock import boot_id
from taskgated.host.processes import ProcessId
from taskgated.protocol.channel import decode
from taskgated.protocol.looking import Look, Looking, Seen, Sight, Unseen, from_server
from taskgated.protocol.messages import Identity
from taskgated.protocol.serving import Settings
from taskgated.worker import cgroup
from taskgated.worker.prober import Prober

_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Forked:
    look: int
    ours: socket.socket


class Probers:
    """Those that have not been reaped, by pid. ``fork``: makes a process of ours that does what it is given and exits
    with what that returns; ``OSError``."""

    def __init__(self, settings: Settings, env: dict[bytes, bytes], fork: Callable[[Callable[[], int]], int]) -> None:
        self._settings = settings
        self._env = env
        self._fork = fork
        self._forked: dict[int, _Forked] = {}

    def __bool__(self) -> bool:
        return bool(self._forked)

    def __contains__(self, pid: int) -> bool:
        return pid in self._forked

    def begin(self, look: Look) -> Sight:
        """Have a new one make that look."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            return Seen(look.id, None, "", f"no prober can be had: {error.strerror}")
        try:
            with theirs:
                pid = self._fork(lambda: self._make(look, ours, theirs))
        except OSError as error:
            ours.close()
            return Seen(look.id, None, "", f"no prober can be had: {error.strerror}")
        self._forked[pid] = _Forked(look.id, ours)
        process = ProcessId.of(pid) or ProcessId(pid, 0, boot_id())
        return Looking(look.id, Identity(process, cgroup.path_for(process)))

    def _make(self, look: Look, ours: socket.socket, theirs: socket.socket) -> int:
        """The life of a prober."""
        ours.close()
        return Prober(self._settings, self._env, theirs, look).run()

    def end(self, look: int) -> None:
        """End that look, if it is under way."""
        for forked in self._forked.values():
            if forked.look == look:
                _end(forked.ours)

    def reaped(self, pid: int, status: int) -> Sight | None:
        """What there is to say of a child that has ended; None: it is no prober."""
        forked = self._forked.pop(pid, None)
        if forked is None:
            return None
        with forked.ours as ours:
            try:
                ours.setblocking(False)
                frame, end, _ = ours.recv(_LARGEST).partition(b"\0")
                seen = from_server(decode(frame)) if end and status == 0 else None
            except (OSError, ProtocolError):
                seen = None
        return seen if isinstance(seen, Seen) and seen.id == forked.look else Unseen(forked.look, status)

    def forget(self) -> None:
        """In a process that was just forked: a prober sees that its server is gone when nobody has its socket."""
        for forked in self._forked.values():
            forked.ours.close()

    def end_all(self) -> None:
        """Have all end what they do."""
        for forked in self._forked.values():
            _end(forked.ours)


def _end(ours: socket.socket) -> None:
    try:
        ours.shutdown(socket.SHUT_WR)
    except OSError:  # it has ended, and is about to be reaped
        pass
