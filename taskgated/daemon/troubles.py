"""What may be wrong for a while, or keep a start waiting, in words."""

from __future__ import annotations

from taskgated.control.reading import Outputs
from taskgated.daemon.checks import Spell
from taskgated.daemon.life import Life
from taskgated.daemon.news import News
from taskgated.daemon.status import StatusLine
from taskgated.daemon.supervise import Supervisor
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.intake.intake import Intake
from taskgated.store.client import StoreClient
from taskgated.store.reader import Reader


def damage(store: StoreClient, reader: Reader) -> str:
    """What was found to be wrong with the database itself; "" if nothing was."""
    return store.damage or reader.damage


def missing(intake: Intake, supervisor: Supervisor, news: News) -> list[str]:
    """What a start waits for, without there being anything wrong."""
    found = []
    if not intake.watching and not news.blind:
        found.append("what was in the spool before the start is still being looked through")
    if not supervisor.count and not supervisor.trouble:
        found.append("no worker has come yet")
    return found


def spells(
    store: StoreClient,
    reader: Reader,
    supervisor: Supervisor,
    outputs: Outputs,
    journal: Journal,
    life: Life,
    line: StatusLine,
) -> list[Spell]:
    """What the journal has the beginning of, and the end."""
    tell = journal.event

    def ended() -> str:
        """Why the store's thread has ended; "" while it has not."""
        if store.alive:
            return ""
        if store.damage:
            return f"nothing can be written any more: {store.damage}"
        return f"the store's thread has ended: {store.ended}"

    def store_fails(trouble: str) -> None:
        text = f"the store cannot write: {trouble}; nothing is lost, it is tried every second"
        tell(Event.STORE_TROUBLE, text, Priority.CRITICAL)
        line.soon()

    def store_works() -> None:
        tell(Event.STORE_RECOVERED, "the store can write again", Priority.NOTICE)
        line.soon()

    def damaged(what: str) -> None:
        tell(Event.STORE_DAMAGED, f"{what}; nothing more is taken in", Priority.CRITICAL)

    def no_worker(trouble: str) -> None:
        tell(Event.WORKER_DIED, f"{trouble}; it is tried again", Priority.WARNING)

    def outputs_hang(trouble: str) -> None:
        tell(Event.OUTPUTS_HANG, trouble, Priority.ERROR)

    def outputs_answer() -> None:
        tell(Event.OUTPUTS_ANSWER, "the disk of the outputs answers again", Priority.NOTICE)

    return [
        Spell(lambda: damage(store, reader), damaged),
        Spell(ended, life.give_up),
        Spell(lambda: store.trouble, store_fails, store_works),
        Spell(lambda: supervisor.trouble, no_worker),
        Spell(lambda: outputs.trouble, outputs_hang, outputs_answer),
    ]
