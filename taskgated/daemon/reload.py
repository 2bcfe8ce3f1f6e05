"""A reload: by SIGHUP, by ``systemctl reload`` or over the control socket."""

from __future__ import annotations

from taskgated.daemon.in_force import InForce
from taskgated.daemon.life import Life
from taskgated.daemon.members import Members
from taskgated.daemon.starting import Start
from taskgated.daemon.status import Status
from taskgated.errors import ConfigError
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.systemd import Systemd


class Reload:
    def __init__(
        self,
        in_force: InForce,
        members: Members,
        life: Life,
        start: Start,
        status: Status,
        systemd: Systemd,
        journal: Journal,
    ) -> None:
        self._in_force = in_force
        self._members = members
        self._life = life
        self._start = start
        self._status = status
        self._systemd = systemd
        self._journal = journal

    def by_signal(self, number: int) -> None:
        try:
            self.reload()
        except ConfigError:
            pass  # said already; nobody waits for an answer to a signal
        except Exception:
            if not self._life.given_up:
                raise  # else it is said, and the daemon ends with its own exit status

    def reload(self) -> list[str]:
        """Put the configuration on disk in force, or raise ``ConfigError`` and change nothing. Returns what may not
        have been meant."""
        if self._start.announced:  # before that the manager waits for READY=1, and would take ours for it
            self._systemd.reloading()
        try:
            config = self._in_force.read()
            notes = [*config.lifted(self._in_force.now), *config.notes()]
            try:
                self._in_force.put(config)
            except Exception as error:  # what is half in force is none
                self._life.give_up(f"the new configuration could not be put in force: {error!r}")
                raise
            notes += self._members.notes
            self._journal.event(Event.RELOADED, "; ".join(["configuration reloaded", *notes]), Priority.NOTICE)
            return notes
        finally:
            if self._start.announced:
                self._systemd.ready(self._status.text())
