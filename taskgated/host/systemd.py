"""Speaking to the service manager (sd_notify(3)), with ``sdnotify`` as the messenger.

What the library leaves to its caller is done here: a socket that is full must not block the daemon, text
must survive its latin-1 encoding (or the whole message vanishes), and the connection is made anew for each
message, because a manager that re-executed has a new socket behind the same name. A manager that is busy
may have no room for a message (unix(7), ``net.unix.max_dgram_qlen``): what says in which state the service
is, ``READY=1`` above all, is then kept, and said again with the next message. Without a manager all of this
does nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import time

import sdnotify

from taskgated.text import printable

ASKING = 2.0
"""Seconds that the manager has to answer a question."""
TIMEOUT = 0.2
"""Seconds that a message may wait for room in the manager's queue."""


class Systemd:
    """The service manager, or nobody."""

    def __init__(self) -> None:
        self.managed = bool(os.environ.get("NOTIFY_SOCKET"))
        self.watchdog_interval = _watchdog_interval()
        self._status = ""
        self._owed: dict[str, tuple[str, ...]] = {}  # by its first word, in their order: at most one of a kind

    def ready(self, status: str) -> None:
        self._status = status
        self._owe("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """In words what the gate is doing; sent only when it changed."""
        if text != self._status:
            self._status = text
            self._owe(f"STATUS={text}")
        else:
            self._pay()

    def reloading(self) -> None:
        """``MONOTONIC_USEC`` is what ``Type=notify-reload`` matches the later ``READY=1`` by."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._owe("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        self._status = status
        self._owe("STOPPING=1", f"STATUS={status}")

    def restarting(self) -> bool:
        """Whether the stop under way is the first half of a restart.

        Only the manager knows: it is asked for the job that it carries out for our unit (systemctl(1), list-jobs).
        Without an answer, as where there is no D-Bus, it counts as a stop.
        """
        unit, user = _own_unit()
        if not self.managed or unit is None:
            return False
        command = ["systemctl", *(["--user"] if user else []), "--no-legend", "--plain", "--full", "list-jobs", unit]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=ASKING, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        words = done.stdout.split()
        return unit in words and "restart" in words

    def extend(self, seconds: float) -> None:
        """The stop takes this much longer than the manager may think."""
        if self._pay():
            self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def alive(self) -> None:
        """The ping that the watchdog waits for, if there is one and it is ours to feed."""
        if self._pay() and self.watchdog_interval is not None:
            self._send("WATCHDOG=1")

    def _owe(self, *lines: str) -> None:
        """Say in which state the service is, now or as soon as there is room. A later word of a kind is the one that
        counts: what has not been said of the same kind is forgotten."""
        kind = lines[0].partition("=")[0]
        self._owed.pop(kind, None)
        self._owed[kind] = lines
        self._pay()

    def _pay(self) -> bool:
        """Say what is owed, in its order. False: there is no room yet, and more would only wait for it as well."""
        while self._owed:
            kind, lines = next(iter(self._owed.items()))
            if not self._send(*lines):
                return False
            del self._owed[kind]
        return True

    def _send(self, *lines: str) -> bool:
        """Whether the manager has it."""
        if not self.managed:
            return True
        text = "\n".join(map(printable, lines))
        try:
            notifier = sdnotify.SystemdNotifier(debug=True)  # it raises what it would hide
            with notifier.socket:
                notifier.socket.settimeout(TIMEOUT)
                notifier.notify(text.encode("utf-8", "replace").decode("latin-1"))
        except OSError:  # nobody listens at the moment, or there is no room
            return False
        return True


def _own_unit() -> tuple[str | None, bool]:
    """The service that this process belongs to, by its control group, and whether it is of a user's manager."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            paths = [line.rstrip("\n").split(":", 2)[2] for line in file]
    except OSError:
        return None, False
    for path in paths:
        services = [part for part in path.split("/") if part.endswith(".service")]
        if services:
            return services[-1], len(services) > 1 and services[0].startswith("user@")
    return None, False


def _watchdog_interval() -> float | None:
    """Half the seconds that the manager waits for a ping (sd_watchdog_enabled(3)); None: no watchdog."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not re.fullmatch("[0-9]{1,18}", usec) or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6 / 2
