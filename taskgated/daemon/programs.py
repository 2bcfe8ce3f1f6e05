"""Programs that the configuration names and that are not there: what ``--check`` notes. They may come later."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from taskgated.language.config import Config, marks_in
from taskgated.worker.start import PATH


def notes(config: Config) -> Iterator[str]:
    """Of probes and handlers, as far as it is plain what they run: text is the shell's to understand."""
    for name, probe in config.probes.items():
        if isinstance(probe.command, tuple) and (missing := _missing(probe.command[0])):
            yield f"probe {name}: {missing}; until it does, the answer is that of on_error, {probe.on_error}"
    for queue in config.queues.values():
        if queue.handler is not None and not marks_in(queue.handler[:1]) and (missing := _missing(queue.handler[0])):
            yield f"queue {queue.name}: its handler: {missing}"


def _missing(program: str) -> str:
    if shutil.which(program, path=PATH.decode()) is not None:
        return ""
    return f"{program} is no program here that can be run, and may become one"
