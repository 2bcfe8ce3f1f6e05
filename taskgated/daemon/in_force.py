"""The configuration that is in force, for every part of the daemon: none has a copy of its own."""

from __future__ import annotations

from pathlib import Path

from taskgated.errors import CannotStart, ConfigError, DiskTrouble, Problem
from taskgated.events import Event
from taskgated.host import directories
from taskgated.host.journal import Journal, Priority
from taskgated.host.listeners import Listeners
from taskgated.host.paths import Layout
from taskgated.language.config import Config
from taskgated.language.configfiles import load


class InForce:
    """``now`` is read on any thread; it is one value, which another takes the place of. ``changed`` is told of each
    that comes into force, on the loop. ``problem``: what is wrong with the one on disk, if it could not."""

    def __init__(self, layout: Layout, main: Path | None, config: Config, journal: Journal) -> None:
        self._layout = layout
        self._main = main
        self._journal = journal
        self.now = config
        self.changed = Listeners[Config]()
        self.problem = ""

    def read(self) -> Config:
        """What is on disk, with directories for its queues. Raises ``ConfigError``, and says so in the journal: the
        one in force stays there."""
        try:
            config = load(self._layout, self._main)
            directories.make_in_spool(self._layout, config.queues)
            return config
        except (ConfigError, CannotStart, DiskTrouble) as error:
            lines = str(error).split("\n")
            text = "the new configuration is not usable, the old one stays in force:"
            self._journal.event(Event.BAD_CONFIGURATION, text, Priority.ERROR, more=lines)
            self.problem = "the configuration on disk is not usable"
            if isinstance(error, ConfigError):
                raise
            raise ConfigError([Problem(str(self._layout.spool), 0, 0, line) for line in lines]) from None

    def put(self, config: Config) -> None:
        """From now on this one is in force."""
        self.problem = ""
        self.now = config
        self.changed.tell(config)
