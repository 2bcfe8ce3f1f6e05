"""Groups: verbs that a store does as a whole, or not at all.

Each group has a number, of whoever does it. Where the store is a server, the answer to a ``commit`` may be lost on
its way, with the connection: then nobody here knows whether the group was committed (``InDoubt``). So it is begun
again *with the same number*, and the store says whether one of that number was committed. If it was, the answers in
hand are those of what happened; if not, all of it is done anew. So no verb needs to bear being done twice.

A store that answers each ``commit`` without fail, as a file does, need not keep the numbers.
"""

from __future__ import annotations

from typing import Protocol

ALONE = ""
"""Who does groups in a store that nobody else uses."""


class Groups(Protocol):
    """A part of ``contract.Store``."""

    def begin(self, who: str, number: int, *, early: bool = False) -> bool:
        """Start group ``number`` of ``who``, which is still to be done. False: it was committed before; then nothing
        is begun. ``early``: its ``commit`` shall not wait for the disk, ``sync`` will.

        ``who`` names one that numbers its groups by itself, each higher than the last. Whoever begins to number anew
        (a daemon that is started again) is another, unless the store keeps no numbers.
        """

    def commit(self) -> None:
        """All verbs since ``begin`` are on stable storage when this returns; or, of an ``early`` group, they
        are written: no crash of this process undoes them, only a power cut before ``sync`` returned. ``InDoubt``: the
        group is over, committed or not."""

    def sync(self) -> None:
        """The early groups are on stable storage now. ``InDoubt``: nobody knows; the last one can be begun again, and
        if it was committed, it may have to be synced all the same. ``Lost``: nobody will ever know, and the only way
        on is to open the store again."""

    def rollback(self) -> None:
        """None of the verbs since ``begin`` happened. Where no group is under way, nothing is done."""
