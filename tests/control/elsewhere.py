"""What a process says that knows the situation as JSON, and the store, of what each job waits for.

python -m tests.control.elsewhere DATABASE < SITUATION
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from taskgated.control.needs import Health, Work
from taskgated.control.reasons import with_numbers
from taskgated.control.waiting import Waiting, standing
from taskgated.core.capacity import Situation, reasons
from taskgated.core.job import Job
from taskgated.core.reasons import Reason
from taskgated.core.situation import situation_from_json
from taskgated.store.contract import Filter, Questions
from taskgated.store.sqlite.questions import SqliteQuestions


@dataclass(frozen=True)
class Seen:
    """What the parts of a daemon know, from the situation alone."""

    situation: Situation
    store_trouble: str = ""

    def starts(self, job: int) -> bool:
        return False

    def strict(self, queue: str) -> bool:
        return queue in self.situation.capacities.policy.strict

    def fair(self, queue: str) -> bool:
        return queue in self.situation.capacities.policy.fair

    def reasons(self, job: Job) -> tuple[Reason, ...]:
        return reasons(job, self.situation)


def said(store: Questions, now: Situation) -> dict[str, Any]:
    """By the names of all jobs: the reasons, as ``taskgatectl --json why`` has them."""
    seen = Seen(now)
    waiting = Waiting(cast(Work, seen), cast(Health, seen))
    return {
        record.name: [with_numbers(reason) for reason in waiting.reasons(standing(store, record.id))]
        for record in store.list(0, 1000, Filter()).records
    }


if __name__ == "__main__":
    view = SqliteQuestions(Path(sys.argv[1]))
    json.dump(said(view, situation_from_json(json.load(sys.stdin))), sys.stdout)
