"""The time zones of the host, by the names of the IANA database, as zoneinfo finds and reads them.

A system has them in /usr/share/zoneinfo, from the package tzdata.
"""

from __future__ import annotations

import difflib
import os
import zoneinfo
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from taskgated.text import quoted

LOCALTIME = "/etc/localtime"
"""The time zone of the host (localtime(5)); without that file it is UTC."""

_Stamp = tuple[int, int, int, int] | None


class UnknownZone(ValueError):
    """There is no such time zone; in words, with what to do."""


class Zones:
    """Zones by their names, and that of the host by None. ``TZ`` of the environment stands before ``LOCALTIME``, as
    for every program (tzset(3)). Each is read once, and again by ``refresh`` when its file is another: a zone may get
    new rules, and the host another zone, while a daemon runs."""

    def __init__(self, localtime: str = LOCALTIME) -> None:
        self._localtime = localtime
        self._read: dict[str | None, tuple[_Stamp, tzinfo]] = {}

    def __call__(self, name: str | None) -> tzinfo:
        """Raises ``UnknownZone``."""
        if name not in self._read:
            self._read[name] = self._stamp(name), self._load(name)
        return self._read[name][1]

    def refresh(self) -> bool:
        """Whether one of those that were asked for is not any more what it was. What cannot be read now, such as
        while tzdata is being upgraded, stays as it is."""
        changed = False
        for name, (stamp, _) in self._read.items():
            now = self._stamp(name)
            if now != stamp:
                try:
                    self._read[name] = now, self._load(name)
                    changed = True
                except UnknownZone:
                    pass
        return changed

    def _load(self, name: str | None) -> tzinfo:
        name = self._local() if name is None else name
        if name == "UTC":  # also where there are no others
            return UTC
        try:
            if name.startswith("/"):
                with open(name, "rb") as file:
                    return ZoneInfo.from_file(file, name)
            return ZoneInfo.no_cache(name)
        except (KeyError, ValueError, OSError):
            raise UnknownZone(_unknown(name)) from None

    def _stamp(self, name: str | None) -> _Stamp:
        name = self._local() if name is None else name
        for directory in zoneinfo.TZPATH:
            try:
                found = os.stat(os.path.join(directory, name))
                return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
            except (OSError, ValueError):
                pass
        return None

    def _local(self) -> str:
        """The name of the host's zone, or the path of its file."""
        named = os.environ.get("TZ")
        if named is not None:
            return named.removeprefix(":") or "UTC"
        if os.path.exists(self._localtime) or not os.path.islink(self._localtime):
            return self._localtime if os.path.exists(self._localtime) else "UTC"
        target = os.readlink(self._localtime)  # it is configured, and its file is not there
        return "UTC" if target.endswith("/UTC") else target


ZONES = Zones()
"""Those of this process. What was checked to be there stays there."""


def _unknown(name: str) -> str:
    known = zoneinfo.available_timezones()
    if len(known) < 10:
        return f"time zone {quoted(name)} is not known, as this host has none: install tzdata"
    close = [one for one in known if one.lower() == name.lower()]
    if not close and not name.isupper():  # CEST is no slip of EST
        close = difflib.get_close_matches(name, known, 1, 0.8)
    hint = f"did you mean {close[0]}?" if close else "write a name such as Europe/Berlin"
    return f"there is no time zone {quoted(name)}: {hint}"
