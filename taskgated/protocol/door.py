"""A listening Unix socket on the main loop: it welcomes each connection, and is made again when it was deleted."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

from taskgated.host.loop import Loop
from taskgated.protocol.sockets import listen, peer

Welcome = Callable[[socket.socket, int, int], None]
"""Is given the connection, and pid and uid of the process at its other end. One for which there is no room
(``OSError``) is hung up on."""


class Door:
    def __init__(self, loop: Loop, path: Path, mode: int, welcome: Welcome) -> None:
        self.path = path
        self._loop = loop
        self._mode = mode
        self._welcome = welcome
        self._open()

    def look(self) -> bool:
        """Make the socket again if it is not at its path any more, for then nobody can come; True if it had to be.
        Raises ``OSError`` when it cannot be."""
        if self._is_ours():
            return False
        old = self._sock
        self._open()
        self._loop.remove(old)
        while self._let_in(old):  # those that had connected before it was taken away
            pass
        old.close()
        return True

    def close(self) -> None:
        self._loop.remove(self._sock)
        self._sock.close()
        if self._is_ours():
            self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        sock = listen(self.path, self._mode)
        try:
            status = os.lstat(self.path)
            self._loop.add(sock, lambda: self._let_in(sock))
        except OSError:
            sock.close()
            raise
        self._sock = sock
        self._inode = (status.st_dev, status.st_ino)

    def _is_ours(self) -> bool:
        try:
            status = os.lstat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._inode

    def _let_in(self, listener: socket.socket) -> bool:
        """Welcome the first connection that waits; False when there is none, or no descriptor for one."""
        try:
            sock, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):  # it goes on waiting; the health check says why
                self._loop.add_later(listener, lambda: self._let_in(listener))
            return False
        try:
            self._welcome(sock, *peer(sock))
        except OSError:
            sock.close()
        return True
