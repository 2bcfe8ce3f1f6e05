"""Whose a job is: a user, by name.

On several hosts one person has several numbers (uids), and one name. So jobs, lanes, limits of users, shares, and
names of jobs go by the name that the user database of the host has for the owner of the file.

A uid that has no name stands for itself, as a decimal number. That is never taken for a name: by useradd(8) no name
consists of digits alone, and neither systemd (https://systemd.io/USER_NAMES, in its relaxed mode as well) nor we take
one that does. Other names that cannot be written down everywhere stand aside for the number, too: the empty one, one
with a ``:``, which ends a name in passwd(5) and here, one that cannot be printed, and one that is too long.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 256
"""Characters of a name, at most. systemd allows 256 bytes for a host name and less for a user; directory services
make names of a user and a domain."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Of a file, or whoever calls: by name, and the number as the host had it then."""

    name: str
    uid: int

    @property
    def words(self) -> str:
        """For people."""
        uid = f"uid {self.uid}"
        return uid if self.name == str(self.uid) else f"{self.name} ({uid})"


def owner_of(uid: int, name: str | None) -> str:
    """The owner whose files have that uid. ``name``: of the uid; None if it has none."""
    return str(uid) if name is None or not _fit(name) else name


def number_of(owner: str) -> int | None:
    """The uid for which an owner stands that has no name; None of one that has."""
    return int(owner) if owner.isascii() and owner.isdecimal() else None


def shown(owner: str) -> str:
    """For people."""
    return owner if number_of(owner) is None else f"uid {owner}"


def _fit(name: str) -> bool:
    return 0 < len(name) <= LONGEST and name.isprintable() and ":" not in name and not name.isdecimal()
