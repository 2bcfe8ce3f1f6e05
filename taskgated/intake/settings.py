"""The configuration that intake works by. A newer one, from another thread, holds from the next turn on."""

from __future__ import annotations

from taskgated.language.config import Config


class Settings:
    """``config`` holds. ``newest`` is the one that was given last; any thread may set it."""

    def __init__(self, config: Config) -> None:
        self.config = self.newest = config

    @property
    def outdated(self) -> bool:
        """A newer one is there: what a file is, is decided by the newest that was there before the file."""
        return self.config is not self.newest
