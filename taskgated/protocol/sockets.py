"""Unix sockets at paths of any length, with the right mode from the start, and the process at the other end."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path


def listen(path: Path, mode: int) -> socket.socket:
    """A listening stream socket at ``path``; nobody can connect before it has that ``mode``. Raises ``OSError``.

    It is made beside its place, and then renamed. So a socket that an earlier daemon left at ``path`` is replaced in
    one step, and a client finds either the old one or the new. What an earlier call left half made is deleted: only
    one daemon at a time may listen at a path, which the caller sees to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    mask = os.umask(0o777 & ~mode)
    try:
        _bind(sock, fresh)
    finally:
        os.umask(mask)
    sock.listen(128)
    sock.setblocking(False)
    os.rename(fresh, path)
    return sock


def _bind(sock: socket.socket, path: Path) -> None:
    """Bind through the directory's descriptor: the path may be longer than the 107 bytes of unix(7)."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def connect(path: Path, *, wait: bool = True) -> socket.socket:
    """Connect to a socket at a path of any length; raises ``OSError``.

    With ``wait`` false a listener that is too busy to accept is an error as well (EAGAIN).
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setblocking(wait)
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sock.connect(f"/proc/self/fd/{directory}/{path.name}")
        finally:
            os.close(directory)
    except OSError:
        sock.close()
        raise
    return sock


def peer(sock: socket.socket) -> tuple[int, int]:
    """pid and uid of the process that connected (SO_PEERCRED, unix(7))."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", data)
    return pid, uid
