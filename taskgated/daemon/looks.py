"""Looks: the commands of probes, run by probers of the worker server, each until nothing of it is left.

Nothing here waits for one. A look that is not over when it had to be, because its prober is stopped or its command
waits for a device for ever, is *late*: who asked hears that it failed, and its prober is buried. It is over when
nothing of it is left. Until then its key is taken, so that no command is started a second time beside itself,
whatever becomes of servers and daemons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

from taskgated.core.probe import Answer, Says, read
from taskgated.daemon.supervise import Supervisor
from taskgated.host.loop import Loop, Timer
from taskgated.protocol.looking import KILL_AFTER, EndLook, Look, Looking, Seen, Sight, Unseen
from taskgated.protocol.messages import Identity, Key, Run
from taskgated.worker.survivors import Survivor

MARGIN = 5.0
"""Seconds beyond its time after which a look counts as late."""
CHANCES = 3
"""The margin is cut into so many pieces: there is time left when all of us were stopped."""
AGAIN = 1.0
"""Seconds until a look is begun for which no worker server was there."""


class Asker(Protocol):
    """Who wants to know."""

    def answered(self, answer: Answer) -> None:
        """The look is over, and nothing of it is left. Of one that was late this is no news."""

    def late(self, answer: Answer) -> None:
        """It had to be over, and is not; what follows from that."""


@dataclass(slots=True)
class _Look:
    """One that is not over. ``asker``: None of one from before, about which nobody asks any more."""

    id: int
    key: Key
    asker: Asker | None
    asked: bool = False  # a server has been told
    prober: Identity | None = None
    buried: bool = False  # being so
    late: bool = False
    timer: Timer | None = None
    answer: Answer | None = None  # what there is to say when it is over


class Looks:
    def __init__(self, loop: Loop, supervisor: Supervisor) -> None:
        self._loop = loop
        self._supervisor = supervisor
        self._ids = count(1)
        self._looks: dict[Key, _Look] = {}
        self._held_up: dict[Key, str] = {}
        supervisor.sighted.add(self._sighted)
        supervisor.prober_buried.add(self._buried)
        supervisor.prober_held_up.add(self._told_held_up)
        supervisor.server_died.add(self._server_died)

    def taken(self, key: Key) -> bool:
        """Whether something of a look with that key may be left."""
        return key in self._looks

    def stuck(self, key: Key) -> str:
        """The processes of a look that were killed and live on, in words; "" if there are none."""
        return self._held_up.get(key, "")

    def begin(self, probe: str | None, run: Run, timeout: float, asker: Asker) -> None:
        """Have a look made, whose key is not taken. ``run``, ``probe``: as of ``protocol.looking.Look``."""
        key = run.job, run.attempt
        assert key not in self._looks, "a look is made twice at the same time"
        look = self._looks[key] = _Look(next(self._ids), key, asker)
        self._try(look, Look(look.id, probe, run), timeout)

    def end(self, key: Key) -> None:
        """End that look if there is one; it is over when nothing of it is left."""
        if look := self._looks.get(key):
            self._supervisor.look(EndLook(look.id))

    def recover(self, left: Iterable[Survivor]) -> None:
        """At the start: what looks of an earlier daemon have left is ended, and their keys are taken until then."""
        for survivor in left:
            for key in survivor.looks:
                self._looks.setdefault(key, _Look(next(self._ids), key, None))
                self._bury(self._looks[key], Identity(survivor.process, survivor.cgroup))

    # -- its course ------------------------------------------------------------------------------

    def _try(self, look: _Look, message: Look, timeout: float) -> None:
        if self._looks.get(look.key) is not look:
            return
        if not self._supervisor.look(message):
            self._loop.after(AGAIN, lambda: self._try(look, message, timeout))
            return
        look.asked = True
        self._wait(look, timeout + KILL_AFTER, CHANCES)

    def _wait(self, look: _Look, seconds: float, chances: int) -> None:
        """For its end, so many seconds and then a piece of the margin more, so often."""
        after = self._late if not chances else partial(self._wait, seconds=MARGIN / CHANCES, chances=chances - 1)
        look.timer = self._loop.after(seconds, lambda: after(look))

    def _late(self, look: _Look) -> None:
        look.late = True
        if look.asker is not None:
            look.asker.late(Answer(Says.ERROR, None, "it had to end, and does not"))
        if look.prober is not None:
            self._bury(look, look.prober)

    def _sighted(self, sight: Sight) -> None:
        look = next((look for look in self._looks.values() if look.id == sight.id), None)
        if look is None:
            return
        match sight:
            case Looking(_, prober):
                look.prober = prober
                if look.late:
                    self._bury(look, prober)
            case Seen(_, exit_code, line, words):
                look.answer = read(exit_code, line, words)
                if not look.buried:
                    self._over(look)
            case Unseen(_, status):
                look.answer = Answer(Says.ERROR, None, f"its prober died (status {status})")
                if look.prober is not None:
                    self._bury(look, look.prober)

    def _server_died(self, status: int) -> None:
        """Its probers end by themselves, as soon as they can; that nothing of them is left is for the next to see."""
        for look in list(self._looks.values()):
            if look.buried or not look.asked:
                continue
            look.answer = look.answer or Answer(Says.ERROR, None, "the worker server ended meanwhile")
            if look.prober is not None:
                self._bury(look, look.prober)
            else:  # it had not said that there is one
                self._loop.after(MARGIN, partial(self._over, look))

    def _bury(self, look: _Look, prober: Identity) -> None:
        if not look.buried:
            look.prober, look.buried = prober, True
            self._supervisor.bury(prober, *look.key)

    def _of(self, prober: Identity) -> _Look | None:
        return next((look for look in self._looks.values() if look.prober == prober), None)

    def _told_held_up(self, prober: Identity, by: Sequence[str]) -> None:
        if look := self._of(prober):
            self._held_up[look.key] = ", ".join(by)

    def _buried(self, prober: Identity, killed: int) -> None:
        if look := self._of(prober):
            self._over(look)

    def _over(self, look: _Look) -> None:
        if self._looks.get(look.key) is not look:
            return
        del self._looks[look.key]
        self._held_up.pop(look.key, None)
        if look.timer is not None:
            look.timer.cancel()
        if look.asker is not None:
            look.asker.answered(look.answer or Answer(Says.ERROR, None, "it did not end, and was ended"))
