"""The few calls to the kernel that Python has no function for, and signals as a readable descriptor."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)

# The daemon tells the worker and its server to end over their sockets. A SIGTERM to the whole service must not
# take away the processes that look after the jobs.
_NOT_FOR_US = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def become_subreaper(yes: bool = True) -> None:
    """From now on orphans among our descendants become our children, not init's (prctl(2))."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"PR_SET_CHILD_SUBREAPER: {os.strerror(error)}")


def die_with_parent(yes: bool = True) -> None:
    """This process is killed when the one that forked it ends (PR_SET_PDEATHSIG, prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if yes else 0, 0, 0, 0)


def drop_capabilities() -> None:
    """Give up what the daemon was given for itself (CAP_LEASE): no job shall have it. capabilities(7), capset(2).

    Not for root, whose programs get everything back by being root's.
    """
    if os.geteuid() == 0:
        return
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)  # an old kernel knows no such set
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: two words each
    if _libc.capset(header, nothing) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"capset: {os.strerror(error)}")


def be_an_ordinary_victim() -> None:
    """When memory runs out, the daemon may be spared (OOMScoreAdjust=, systemd.exec(5)); jobs are not."""
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            if int(file.read()) < 0:
                file.write("0")
    except (OSError, ValueError):
        pass


def set_name(name: str) -> None:
    """What ``ps -o comm`` shows of this process: at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def catch_signals() -> int:
    """Set up the signals of this process; returns a descriptor that gets readable when a child ends.

    Handlers that do nothing rather than ``SIG_IGN``: exec(2) resets handlers to the default but passes on
    what is ignored, and jobs must start with default dispositions and an empty mask. (Popen itself gives
    jobs back the SIGPIPE and SIGXFSZ that Python ignores.)
    """
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in (*_NOT_FOR_US, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    inherited = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)  # a full pipe wakes us as well
    if inherited >= 0:  # from the server that forked us
        os.close(inherited)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return readable


def clear_wakeup(readable: int) -> None:
    """Take the bytes that signals left in the descriptor of ``catch_signals``."""
    try:
        os.read(readable, 4096)
    except BlockingIOError:
        pass
