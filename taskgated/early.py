"""Signals in the moment before the daemon can deal with them.

By default SIGHUP ends a process, and it takes a daemon a while to be one. So it is held back by the kernel, and
comes when there is somebody who reloads. SIGTERM and SIGINT end whoever has not begun to work: nothing is half done
by then. This is imported first, and imports nothing that takes time.
"""

from __future__ import annotations

import signal

MEANINGLESS = (signal.SIGUSR1, signal.SIGUSR2)
"""They say nothing to us, and shall not end us: some programs take them for "open your log again"."""
HELD = (signal.SIGHUP, *MEANINGLESS)


def hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
