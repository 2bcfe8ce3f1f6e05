"""What whom is shown of a job: one rule for every answer.

Everybody who may use the socket sees that a job is there and how it fares: what ``job`` and ``attempt`` have, with
its name, and the name of its file. What it is to run, what it wrote, and what is said in words of its failures, which
may quote both, only those see whom ``access.see`` means. Who may not is given ``HIDDEN`` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taskgated.clock import rfc3339
from taskgated.config import Access
from taskgated.control.varlink import Call
from taskgated.core.job import State
from taskgated.paths import Layout
from taskgated.store.contract import Attempt, Details, Record

HIDDEN = "(not yours to see)"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who asks, and what the configuration lets members do."""

    call: Call
    access: Access

    def sees(self, record: Record) -> bool:
        return self._may(self.access.see, record)

    def ends(self, record: Record) -> bool:
        return self._may(self.access.cancel, record)

    def _may(self, whom: str, record: Record) -> bool:
        return self.call.privileged or whom == "members" or record.owner == self.call.uid

    def job(self, record: Record) -> dict[str, Any]:
        """A job as every program sees it; documented in the interface description."""
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
            "owner": record.owner,
            "submitted": rfc3339(record.submitted),
            "started": rfc3339(record.started),
            "finished": rfc3339(record.finished),
            "due": rfc3339(record.due),
        }

    def attempt(self, layout: Layout, record: Record, attempt: Attempt) -> dict[str, Any]:
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
            "log": layout.output_path(record.id, attempt.number),
        }

    def spec(self, details: Details) -> dict[str, Any] | None:
        return details.job.spec.to_json() if self.sees(details.record) and not details.job.unreadable else None

    def unreadable(self, details: Details) -> str | None:
        """Why there is no spec for who may see it: what the database has of it cannot be read."""
        return details.job.unreadable or None if self.sees(details.record) else None
