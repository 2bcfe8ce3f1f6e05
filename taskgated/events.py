"""What can be told of in the journal. The catalog (``systemd/taskgated.catalog``) explains each of them."""

from __future__ import annotations

import enum


@enum.unique
class Event(enum.StrEnum):
    """Each event by its ``MESSAGE_ID`` (systemd.journal-fields(7))."""

    STARTED = "5b8e1a0f27d94a5f9c0f8a7de1b3c601"
    STOPPED = "5b8e1a0f27d94a5f9c0f8a7de1b3c602"
    RELOADED = "5b8e1a0f27d94a5f9c0f8a7de1b3c603"
    BAD_CONFIGURATION = "5b8e1a0f27d94a5f9c0f8a7de1b3c604"
    FILE_ACCEPTED = "5b8e1a0f27d94a5f9c0f8a7de1b3c605"
    FILE_REFUSED = "5b8e1a0f27d94a5f9c0f8a7de1b3c606"
    INTAKE_PAUSED = "5b8e1a0f27d94a5f9c0f8a7de1b3c607"
    INTAKE_RESUMED = "5b8e1a0f27d94a5f9c0f8a7de1b3c608"
    INTAKE_BLIND = "5b8e1a0f27d94a5f9c0f8a7de1b3c609"
    INTAKE_REPAIRED = "5b8e1a0f27d94a5f9c0f8a7de1b3c60a"
    JOB_STARTED = "5b8e1a0f27d94a5f9c0f8a7de1b3c60b"
    JOB_SUCCEEDED = "5b8e1a0f27d94a5f9c0f8a7de1b3c60c"
    JOB_FAILED = "5b8e1a0f27d94a5f9c0f8a7de1b3c60d"
    JOB_RETRIES = "5b8e1a0f27d94a5f9c0f8a7de1b3c60e"
    JOB_REQUEUED = "5b8e1a0f27d94a5f9c0f8a7de1b3c60f"
    JOB_CANCELLED = "5b8e1a0f27d94a5f9c0f8a7de1b3c610"
    WORKER_DIED = "5b8e1a0f27d94a5f9c0f8a7de1b3c611"
    WORKERS_UNAVAILABLE = "5b8e1a0f27d94a5f9c0f8a7de1b3c612"
    STORE_TROUBLE = "5b8e1a0f27d94a5f9c0f8a7de1b3c613"
    STORE_RECOVERED = "5b8e1a0f27d94a5f9c0f8a7de1b3c614"
    FILE_STUCK = "5b8e1a0f27d94a5f9c0f8a7de1b3c616"
    FILE_WAITS = "5b8e1a0f27d94a5f9c0f8a7de1b3c621"
    HANDLER_MISSING = "5b8e1a0f27d94a5f9c0f8a7de1b3c6a1"
    FILE_LOST = "5b8e1a0f27d94a5f9c0f8a7de1b3c620"
    OUTPUT_DROPPED = "5b8e1a0f27d94a5f9c0f8a7de1b3c617"
    STORE_BEHIND = "5b8e1a0f27d94a5f9c0f8a7de1b3c631"
    OUTPUT_STUCK = "5b8e1a0f27d94a5f9c0f8a7de1b3c630"
    OUTPUT_REMOVED = "5b8e1a0f27d94a5f9c0f8a7de1b3c634"
    STUCK = "5b8e1a0f27d94a5f9c0f8a7de1b3c640"
    SOCKET_REMADE = "5b8e1a0f27d94a5f9c0f8a7de1b3c650"
    EVENTS_MISSING = "5b8e1a0f27d94a5f9c0f8a7de1b3c651"
    WRONG_OWNER = "5b8e1a0f27d94a5f9c0f8a7de1b3c660"
    QUEUE_MISNAMED = "5b8e1a0f27d94a5f9c0f8a7de1b3c662"
    NOT_READY = "5b8e1a0f27d94a5f9c0f8a7de1b3c661"
    STORE_DAMAGED = "5b8e1a0f27d94a5f9c0f8a7de1b3c618"
    OUTPUTS_HANG = "5b8e1a0f27d94a5f9c0f8a7de1b3c632"
    OUTPUTS_ANSWER = "5b8e1a0f27d94a5f9c0f8a7de1b3c633"
    INTERNAL_ERROR = "5b8e1a0f27d94a5f9c0f8a7de1b3c615"
