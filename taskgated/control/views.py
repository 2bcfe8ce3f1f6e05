"""What a caller is shown of a job: one rule for every answer.

Everybody who may use the socket sees that a job is there and how it fares: what ``job`` and ``attempt`` have, with
its name, and the name of its file. What it is to run, what it wrote, and what is said in words of its failures, which
may quote both, are for those whom ``access.see`` means; all others are given ``HIDDEN`` instead. The same goes for
what it waits for (``public``): that it does is for all, with the names of queues, users, tokens, probes and jobs, and
what a probe of the gate says; the locks and the key that it names, and what its ``requires`` says, are its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from taskgated.attempts import outputs
from taskgated.core.after import Waited
from taskgated.core.reasons import NotThere, Reason
from taskgated.core.shortages import KeyPromised, KeyTaken, Locked, LockPromised
from taskgated.core.state import State
from taskgated.errors import Trouble
from taskgated.host.clock import MICROSECONDS, rfc3339
from taskgated.host.paths import Layout
from taskgated.language.config import Access
from taskgated.protocol.replies import ShownAttempt, ShownCondition, ShownJob
from taskgated.protocol.strict import name_bytes
from taskgated.protocol.varlink import Call, denied
from taskgated.store.arrays import Group
from taskgated.store.contract import Attempt, Details, Record

HIDDEN = "(not yours to see)"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whoever calls, and what the configuration lets members of the group do."""

    call: Call
    access: Access

    def sees(self, record: Record) -> bool:
        """Whether what the job runs and writes may be shown."""
        return self._may(self.access.see, record)

    def ends(self, record: Record | Group) -> bool:
        """Whether the job, or the array, may be cancelled."""
        return self._may(self.access.cancel, record)

    def _may(self, whom: str, record: Record | Group) -> bool:
        its_owner = self.call.name is not None and self.call.name == record.owner
        return self.call.privileged or whom == "members" or its_owner

    def denied(self) -> Exception:
        """The error of a caller who may not do this, or of whom nobody can tell now whether."""
        if self.call.name is None:
            return Trouble("whether you may do that cannot be told now: the user database does not answer")
        return denied()

    def job(self, record: Record, after: Iterable[Waited] | None = None) -> ShownJob:
        """``after``: what it still waits for of other jobs, nothing if it is over; None: that was not asked for."""
        if after is None and record.state.final:
            after = ()
        # While a job is not over, and of one that was cancelled, it is the gate that speaks, in words of its own.
        quotes = record.state is State.FAILED and record.reason and not self.sees(record)
        return {
            "id": record.id,
            "name": record.name,
            "queue": record.queue,
            "state": record.state,
            "priority": record.priority,
            "attempt": record.attempt,
            "failures": record.failures,
            "exit_code": record.exit_code,
            "signal": record.signal,
            "result": None if record.result is None else record.result.word,
            "reason": HIDDEN if quotes else record.reason,
            "source": record.source,
            "source_bytes": name_bytes(record.source),
            "owner": record.uid,
            "user": record.owner,
            "submitted": rfc3339(record.submitted),
            "started": rfc3339(record.started),
            "finished": rfc3339(record.finished),
            "due": rfc3339(record.due),
            "array": record.array,
            "after": None if after is None else [_condition(one) for one in after],
        }

    def attempt(self, layout: Layout, record: Record, attempt: Attempt) -> ShownAttempt:
        return {
            "number": attempt.number,
            "started": rfc3339(attempt.started),
            "finished": rfc3339(attempt.finished),
            "result": attempt.result,
            "exit_code": attempt.exit_code,
            "signal": attempt.signal,
            "user": attempt.user,
            "system": attempt.system,
            "max_rss": attempt.max_rss,
            "output": attempt.output,
            "omitted": attempt.omitted,
            "message": HIDDEN if attempt.message and not self.sees(record) else attempt.message,
            "log": outputs.path(layout.log, record.id, attempt.number),
        }

    def reasons(self, record: Record, found: Iterable[Reason]) -> list[Reason]:
        """What the job waits for."""
        return list(found) if self.sees(record) else [public(reason) for reason in found]

    def spec(self, details: Details) -> dict[str, object] | None:
        """What the job is to run; None when that may not be shown, or cannot be read."""
        return details.job.spec.to_json() if self.sees(details.record) and not details.job.unreadable else None

    def unreadable(self, details: Details) -> str | None:
        """Why there is no spec, though it may be shown: what the database has of it cannot be read."""
        return details.job.unreadable or None if self.sees(details.record) else None


def public(reason: Reason) -> Reason:
    """The same without what the job itself has written, or what it had look for it has said."""
    match reason:
        case Locked() | LockPromised():
            return replace(reason, lock=HIDDEN)
        case KeyTaken() | KeyPromised():
            return replace(reason, key=HIDDEN)
        case NotThere(words) if words:
            return replace(reason, words=HIDDEN)
        case _:
            return reason


def _condition(one: Waited) -> ShownCondition:
    return {
        "job": one.job,
        "name": one.name,
        "when": one.when,
        "state": one.state,
        "array": one.array,
        "left": None if one.left is None else one.left / MICROSECONDS,
    }
