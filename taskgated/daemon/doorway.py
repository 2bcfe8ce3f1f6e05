"""Everything that closes whole queues, put together: a piece of the composition (``daemon/daemon.py``)."""

from __future__ import annotations

from collections.abc import Callable

from taskgated.core.gate import Gate
from taskgated.daemon.adaptives import Adaptives
from taskgated.daemon.breakers import Breakers
from taskgated.daemon.budgets import Budgets
from taskgated.daemon.conductor import Conductor
from taskgated.daemon.doorkeeper import Doorkeeper
from taskgated.daemon.in_force import InForce
from taskgated.daemon.ledger import Ledger
from taskgated.daemon.looks import Looks
from taskgated.daemon.machine import MachineDoors
from taskgated.daemon.overrides import Overrides
from taskgated.daemon.pauses import Pauses
from taskgated.daemon.probes import Probes
from taskgated.daemon.rates import Rates
from taskgated.daemon.supervise import Supervisor
from taskgated.daemon.windows import PutsBack, Windows
from taskgated.host.journal import Journal
from taskgated.host.loop import Loop
from taskgated.host.zones import ZONES
from taskgated.store.reader import Reader
from taskgated.worker.cgroup import of_gate


class Doorway:
    """The doorkeeper and all of its parts. ``uptime``: the clock of the store. What tells of a new configuration goes
    on to the gate after it: nothing starts by one whose doors nobody has looked at."""

    def __init__(
        self,
        loop: Loop,
        gate: Gate,
        conductor: Conductor,
        uptime: Callable[[], int],
        in_force: InForce,
        ledger: Ledger,
        overrides: Overrides,
        supervisor: Supervisor,
        reader: Reader,
        journal: Journal,
    ) -> None:
        self.keeper = keeper = Doorkeeper(loop, gate, conductor, uptime)
        overrides.changed.add(keeper.soon)
        ledger.changed.add(keeper.soon)
        self.adaptives = Adaptives(uptime, journal, gate.attempts.of)
        breakers = Breakers(uptime, journal, gate.attempts.__contains__)
        for book in (self.adaptives, Rates(uptime), breakers, Budgets(uptime)):
            ledger.add(book, in_force.now)
            keeper.add(book)
        ledger.opened()
        in_force.changed.add(ledger.configure)
        self.looks = Looks(loop, supervisor)
        self.probes = Probes(loop, gate, self.looks, reader, in_force, journal, keeper.soon)
        self.machine = MachineDoors(loop, gate, reader, in_force, journal, of_gate(), keeper.soon)
        for part in (self.probes, self.machine):
            keeper.add(part)
            keeper.knocked.add(part.knocked)
        in_force.changed.add(lambda _: keeper.look())
        self.pauses = Pauses(overrides)
        keeper.add(self.pauses)
        keeper.add(Windows(in_force, ZONES, PutsBack(gate, conductor, journal)))
