#!/usr/bin/env python3
"""What a job of a trial runs: it leaves a record that no crash of the gate can alter, and has the kernel as witness.

    record.py DIRECTORY NAME SECONDS [[SLOTS=]LIMIT]...

Appends lines to DIRECTORY/record, each written at once and synced: ``start NAME ATTEMPT PID NANOSECONDS`` and
``end ...``. While it runs it holds a lock on DIRECTORY/NAME.lock: if another attempt of the same job has it, it
writes ``twice ...``; and one of LIMIT slots (DIRECTORY/SLOTS.N, SLOTS being ``slot`` if nothing is said): if none
is free it writes ``over ...``. A lock goes with its last process, however that dies (flock(2)), so no bookkeeping
can be wrong. Several limits hold at once, as those of a queue and of the whole gate do.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time


def main() -> int:
    directory, name, seconds, *limits = sys.argv[1:]
    attempt = os.environ.get("TASKGATE_ATTEMPT", "1")
    record = os.open(f"{directory}/record", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def say(word: str) -> None:
        os.write(record, f"{word} {name} {attempt} {os.getpid()} {time.time_ns()}\n".encode())
        os.fsync(record)

    alone = os.open(f"{directory}/{name}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    if not locked(alone):
        say("twice")
    for limit in limits:
        slots, _, number = limit.rpartition("=")
        if int(number) and not any(slot(f"{directory}/{slots or 'slot'}.{n}") for n in range(int(number))):
            say("over")
    say("start")
    time.sleep(float(seconds))
    say("end")
    return 0


def slot(path: str) -> bool:
    return locked(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))


def locked(fd: int) -> bool:
    """Whether we have the lock now, until we end."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
