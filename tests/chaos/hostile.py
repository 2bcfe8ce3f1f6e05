"""What hostile people drop into the spool and say on the sockets; the gate goes on serving everybody else.

All attacks of a kind meet one daemon, which has as many descriptors as systemd gives a service. During each, an
honest job is dropped and must run; after each, the daemon is the same process, and its memory and descriptors are
back. At the end it stops, and leaves nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.chaos.hostile_clients import (
    behind,
    broken_hand_over,
    calls,
    garbage,
    gigabyte,
    hung_up,
    listings,
    removed_sockets,
    silent,
    thousands,
)
from tests.chaos.hostile_files import (
    blank_lines,
    bombs,
    directories,
    flood,
    forgers,
    names,
    no_files,
    no_place,
    one_line,
    outputs,
    tiny_files,
)
from tests.chaos.hostile_handlers import handler_taken_away, mess_and_kills, messy_handlers
from tests.chaos.impostors import impostors, strangers
from tests.chaos.stage import siege
from tests.chaos.table import Row

HANDLERS = (messy_handlers, handler_taken_away)
FILES = (
    bombs, no_files, no_place, directories, names, forgers, one_line, blank_lines, flood, outputs, *HANDLERS,
    tiny_files,
)  # fmt: skip
CLIENTS = (
    silent, garbage, calls, gigabyte, hung_up, behind, listings, broken_hand_over, removed_sockets, impostors,
    thousands, strangers,
)  # fmt: skip


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    """The rows of the table, by name: a source of chance, and whether all of it is wanted or a selection."""
    return {
        "hostile files": lambda random_, everything: siege("hostile files", FILES, random_, everything),
        "a handler's mess, and kills": mess_and_kills,
        "hostile clients": lambda random_, everything: siege("hostile clients", CLIENTS, random_, everything),
    }
